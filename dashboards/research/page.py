"""The researcher's page: runs and their curves side by side, cards, data sets with licences, an adapter for a table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import pandas as pd
import streamlit as st

from mainstem.apps.runs import Run, find_runs, run_at
from mainstem.core.records import read_card
from mainstem.dashboards.charts import show_chart
from mainstem.dashboards.components.tables import choice_table, named_in_address
from mainstem.dashboards.research.board import (
    CHART_PX,
    LOW_CHART_PX,
    USUAL,
    adapter_files,
    by_news,
    curve_chart,
    curve_table,
    data_card,
    data_table,
    described,
    difference_table,
    figures_in,
    first_compared,
    name_of,
    next_commands,
    result_of,
    run_table,
)
from mainstem.dashboards.shell import (
    Desk,
    lay_desk,
    mistakes_as_lines,
    note_in_address,
    open_panel,
    plain,
    put_in_address,
    recall,
    say_in_vain,
)
from mainstem.data.catalogue import data_home

IN_ADDRESS = ("show", "folder", "run", "compare", "figures", "data", "panel")
PANELS = {
    "runs": "Runs", "run": "Run", "compared": "Compared", "data": "Data sets", "adapter": "New adapter",
}  # fmt: skip
SHOWN = {"Runs": "runs", "Data sets": "data", "New adapter": "adapter"}  # panels by how older links call them
EVERY_S = 3.0  # how often curves are drawn anew
MOST_COMPARED = 6
MOST_FIGURES = 12
RUNS_PX, DATA_PX = 560, 420  # of tables, at most
TABLE_ENDINGS = ["csv", "parquet"]


def show_research() -> None:
    """Lay the page out: curves fill it, and runs, data sets or what makes an adapter are docked beside them."""
    recall("research", IN_ADDRESS)
    vain = follow_older_links()
    desk = lay_desk(PANELS)
    desk.status.markdown("# Research", width="content")
    say_in_vain(desk.vain, "show", vain, PANELS.get(desk.panel, "no panel"))
    with desk.bar:
        folder = Path(asked_folder())
    names: dict[str, Run] | None = None
    with desk.canvas, mistakes_as_lines("The folder of runs"):
        names = runs_below(folder, desk)
    usual = first_compared(list(names.values()), folder) if names else []
    compared: list[Run] = []
    if names:
        with desk.canvas, mistakes_as_lines("The curves"):
            compared = show_compared(names, folder, usual, desk)
    elif names is not None:
        with desk.canvas:
            show_empty()
    if desk.dock is None:
        return
    with desk.dock, mistakes_as_lines(f"The panel {PANELS[desk.panel]}"):
        if desk.panel == "data":
            show_data()
        elif desk.panel == "adapter":
            show_wizard()
        elif not names:
            st.caption("No run here yet.")
        elif desk.panel == "runs":
            show_table(names, folder, usual)
        elif desk.panel == "run":
            show_run(names, folder, compared)
        else:
            show_differences(compared, folder)


def follow_older_links() -> str:
    """Open the panel that an older link names under "show"; return what it names in vain."""
    asked = str(st.query_params.get("show", ""))
    put_in_address("show", None)
    if asked in SHOWN and not st.query_params.get("panel"):
        open_panel(SHOWN[asked])
    return "" if asked in SHOWN else asked


def runs_below(folder: Path, desk: Desk) -> dict[str, Run]:
    """Return the runs below a folder by name, those in training and the newest first; say which are damaged.

    Raises:
        InputError: if there is no such folder.
    """
    found, damaged = find_runs(folder) if folder.is_dir() or folder != data_home() else ([], [])
    for line in damaged:
        desk.vain.warning(plain(line), icon=":material/warning:")
    growing = sum(run.state == "training" for run in found)
    few = f", {growing:d} in training" if growing else ""
    desk.status.markdown(f"{len(found):d} run{'s' * (len(found) != 1)}{plain(few)}", width="content")
    return {name_of(run, folder): run for run in by_news(found)}


def show_empty() -> None:
    """Say what to do where there is no run."""
    st.info(
        "No run here yet. `mainstem finetune crop-yield --data simulated-maize --out runs/first` trains one in a "
        "minute; its curve is drawn here meanwhile.",
        icon=":material/model_training:",
    )


def show_compared(names: dict[str, Run], folder: Path, usual: Sequence[str], desk: Desk) -> list[Run]:
    """Have the user choose runs and figures, draw their curves, and return those runs."""
    with desk.bar:
        chosen = choose_several(
            lambda **told: st.multiselect("Compare", max_selections=MOST_COMPARED, **told),
            "compare", list(names), usual, MOST_COMPARED,
        )  # fmt: skip
    if not chosen:
        st.info("No run is compared: choose some above, or in the list.", icon=":material/monitoring:")
        return []
    runs = [names[name] for name in chosen]
    offered = figures_in(runs)
    figures: Sequence[str] = USUAL  # that may come
    if offered:
        drawn = [name for name in USUAL if name in offered] or offered[:1]
        with desk.bar:
            figures = choose_several(
                lambda **told: st.pills("Draw", selection_mode="multi", **told), "figures", offered, drawn,
                MOST_FIGURES,
            )  # fmt: skip
    every = EVERY_S if any(run.state != "done" for run in runs) else None  # drawing anew fades what is there
    st.fragment(show_curves, run_every=every)(str(folder), tuple(chosen), tuple(figures))
    return runs


def show_table(names: dict[str, Run], folder: Path, usual: Sequence[str]) -> None:
    """List runs; the one whose row is clicked is drawn, too."""
    asked, vain = named_in_address("run", names, "")
    if vain:
        st.warning(f"There is no run {plain(vain, 120)} here.", icon=":material/warning:")
    listed = f"runs {hash(tuple(names))}"  # other runs, other rows
    choice_table(
        run_table(list(names.values()), folder),
        list(names),
        asked,
        lambda name: take_run(name, usual),
        listed,
        RUNS_PX,
    )
    st.caption("Click on the left of a row to draw its curve; *Run* says what can be done with it.")


def show_run(names: dict[str, Run], folder: Path, compared: Sequence[Run]) -> None:
    """Say how the run that was clicked ended, or else the first that is compared, and what can be done with it."""
    first = name_of(compared[0], folder) if compared else next(iter(names))
    asked, vain = named_in_address("run", names, first)
    if vain:
        st.warning(f"There is no run {plain(vain, 120)} here.", icon=":material/warning:")
        return
    run = names[asked]
    st.subheader(plain(asked, 120), anchor=False)
    st.markdown(plain(result_of(run) or run.describe_state()))
    if commands := next_commands(run):
        st.caption("Commands for what comes next")
        st.code("\n".join(commands), language=None, wrap_lines=True)
    if run.state == "done":
        show_card(run)


def take_run(name: str, usual: Sequence[str]) -> None:
    """Take the run whose row was clicked, and compare it with those that are compared."""
    put_in_address("run", name)
    compared = names_of(st.query_params.get("compare"), usual)
    if name not in compared:
        put_in_address("compare", as_text([*compared[: MOST_COMPARED - 1], name]))


def choose_several(
    widget: Callable[..., object], name: str, offered: Sequence[str], usual: Sequence[str], most: int
) -> list[str]:
    """Have one of Streamlit's widgets, given with its label, choose several of what is offered; the address follows."""
    asked = names_of(st.query_params.get(name), usual)
    st.session_state[name] = [one for one in dict.fromkeys(asked) if one in offered][:most]
    widget(options=offered, format_func=str, key=name, on_change=note_several, args=(name,))
    if vain := [one[:120] for one in asked if one not in offered]:
        st.caption(f"Not here: {plain(', '.join(vain), 400)}.")
    return list(st.session_state[name])


def note_several(name: str) -> None:
    """Write what a widget has chosen into the address."""
    put_in_address(name, as_text(st.session_state[name]))


def as_text(names: Sequence[str]) -> str:
    """Return names as an address has them, which may hold commas themselves; a comma alone where there is none."""
    return ",".join(name.replace("%", "%25").replace(",", "%2C") for name in names) or ","


def names_of(text: str | None, usual: Sequence[str]) -> list[str]:
    """Return the names of a text of `as_text`; the usual ones where there is no text."""
    return list(usual) if text is None else [unquote(name) for name in text.split(",") if name]


def asked_folder() -> str:
    """The folder to look through: the address's, else where this machine keeps the pages' own runs."""
    st.session_state["folder"] = st.query_params.get("folder", str(data_home()))[:1000]
    return st.text_input(
        "Folder of runs on this machine", key="folder", width=300, on_change=note_in_address,
        args=("folder", "run", "compare", "figures"),
        help="Every run folder below it is listed: what finetune, pretrain and launch wrote.",
    )  # fmt: skip


def show_curves(folder: str, chosen: tuple[str, ...], figures: tuple[str, ...]) -> None:
    """Draw figures of the chosen runs' trainings, anew while they grow, each of each task on an axis of its own."""
    found = [run for name in chosen if (run := run_at(Path(folder) / name)) is not None]
    curves = curve_table(found, Path(folder), figures)
    drawn = list(curves.groupby(["task", "figure"], sort=False))
    for _, own in drawn:
        show_chart(curve_chart(own, chosen, CHART_PX if len(drawn) < 2 else LOW_CHART_PX))
    if figures and (without := [name[:120] for name in chosen if name not in set(curves["run"])]):
        st.caption(
            f"No curve of {plain(', '.join(without), 400)}: noted no {plain(' or '.join(figures), 200)} yet, or was "
            "made before these were kept."
        )


def show_differences(runs: Sequence[Run], folder: Path) -> None:
    """What tells the compared runs apart, and their cards."""
    differences = difference_table(runs, folder)
    st.subheader("What tells them apart", anchor=False)
    if differences.empty:
        st.caption("Nothing is told apart: compare two finished runs or more.")
    else:
        st.dataframe(differences, hide_index=True)
    for run in runs:
        if run.state == "done":
            with st.expander(f"Card of {plain(name_of(run, folder), 120)}"):
                show_card(run)


def show_card(run: Run) -> None:
    """Show what a run says of itself."""
    with mistakes_as_lines("The card"):
        st.code(read_card(run.path), language=None, wrap_lines=True)


def show_data() -> None:
    """List the data sets, and show the card of one."""
    table = data_table()
    names = list(table["data set"])
    chosen, vain = named_in_address("data", set(names), names[0])
    if vain:
        st.warning(f"There is no data set {plain(vain, 60)}.", icon=":material/warning:")
    choice_table(table, names, chosen, lambda name: put_in_address("data", name), "data sets", DATA_PX)
    if chosen:
        st.subheader(plain(chosen), anchor=False)
        st.dataframe(pd.DataFrame(data_card(chosen), columns=["", "said"]), hide_index=True)
        st.code(f"mainstem data pull {chosen}", language=None)


def show_wizard() -> None:
    """Read a table of the user's own, and write an adapter and its test for it."""
    st.markdown(
        "A table with the columns `sample`, `target`, `group`, `licence` and one a channel, as `rain [mm]`, becomes "
        "an adapter and a test: numbers, words or findings are told from the targets. Nothing is trained here, and "
        "nothing leaves this machine."
    )
    file = st.file_uploader("Table", type=TABLE_ENDINGS)
    name = st.text_input("Name of the adapter", placeholder="soil-moisture")
    if file is None:
        return
    with TemporaryDirectory() as place:
        table = Path(place) / Path(file.name).name
        table.write_bytes(file.getvalue())
        told = described(table)
        st.dataframe(pd.DataFrame(told.items(), columns=["", "read"]), hide_index=True)
        if not name:
            st.caption("Still to give: a name. Press Enter after it.")
            return
        packed = adapter_files(name, table)
    st.download_button(
        "Adapter and test", packed, f"{name}.zip", "application/zip", icon=":material/download:", on_click="ignore"
    )
    module = name.replace("-", "_")
    st.code(
        f"unzip {name}.zip && python -m pytest tests/adapters/test_{module}.py\n"
        f"mainstem finetune adapters/{module}.py --data TABLE --out runs/{name}",
        language=None,
    )


with mistakes_as_lines("The page"):
    show_research()
