"""The researcher's page: runs and their curves side by side, cards, data sets with licences, an adapter for a table."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import streamlit as st

from mainstem.apps.runs import Run, find_runs, run_at
from mainstem.core.records import read_card
from mainstem.dashboards.components.tables import choice_table, named_in_address
from mainstem.dashboards.palette import legible
from mainstem.dashboards.research.board import (
    adapter_files,
    curve_chart,
    curve_table,
    data_card,
    data_table,
    described,
    difference_table,
    name_of,
    run_table,
)
from mainstem.dashboards.shell import (
    choose,
    mistakes_as_lines,
    note_in_address,
    plain,
    put_in_address,
    recall,
)
from mainstem.data.catalogue import data_home

IN_ADDRESS = ("show", "folder", "data")
SHOWN = ("Runs", "Data sets", "New adapter")
EVERY_S = 3.0  # how often curves are drawn anew
MOST_COMPARED = 6
TABLE_ENDINGS = ["csv", "parquet"]
STYLE = """<style>
.stMainBlockContainer { padding: 3.5rem 1rem 1rem; }
.stMainBlockContainer h2 { font-size: 1.25rem; padding: 0; }
</style>"""


def show_research() -> None:
    """Lay the page out."""
    st.html(STYLE)
    recall("research", IN_ADDRESS)
    st.header("Research", anchor=False)
    vain = st.container()
    shown = choose(
        lambda **told: st.segmented_control("Show", label_visibility="collapsed", **told), "show", SHOWN, vain
    )
    with mistakes_as_lines():
        {"Runs": show_runs, "Data sets": show_data, "New adapter": show_wizard}[shown]()


def show_runs() -> None:
    """List the runs below a folder, and compare those that are chosen."""
    folder = Path(asked_folder())
    found, damaged = find_runs(folder) if folder.is_dir() or folder != data_home() else ([], [])
    for line in damaged:
        st.warning(plain(line), icon=":material/warning:")
    if not found:
        st.info(
            "No run here yet. `mainstem finetune crop-yield --data simulated-maize --out runs/first` trains one in a "
            "minute; its curve is drawn here meanwhile.",
            icon=":material/model_training:",
        )
        return
    names = {name_of(run, folder): run for run in found}
    st.dataframe(run_table(found, folder), hide_index=True)
    chosen = st.multiselect(
        "Compare", list(names), default=list(names)[:2], max_selections=MOST_COMPARED, format_func=str, key="compare"
    )
    if chosen:
        show_curves(str(folder), tuple(chosen))
        show_chosen([names[name] for name in chosen if name in names], folder)


def asked_folder() -> str:
    """The folder to look through: the address's, else where this machine keeps the pages' own runs."""
    st.session_state["folder"] = st.query_params.get("folder", str(data_home()))[:1000]
    return st.text_input(
        "Folder of runs on this machine", key="folder", on_change=note_in_address, args=("folder",),
        help="Every run folder below it is listed: what finetune, pretrain and launch wrote.",
    )  # fmt: skip


@st.fragment(run_every=EVERY_S)
def show_curves(folder: str, chosen: tuple[str, ...]) -> None:
    """Draw the losses of the chosen runs' trainings, anew while they grow."""
    found = [run for name in chosen if (run := run_at(Path(folder) / name)) is not None]
    curves = curve_table(found, Path(folder))
    if curves.empty:
        st.caption("These runs noted no losses: they were trained before losses were kept, or have just begun.")
        return
    curves["curve"] = curves["run"].str.cat(curves["training"].map("training {}".format), ", ")
    st.altair_chart(legible(curve_chart(curves)))


def show_chosen(runs: Sequence[Run], folder: Path) -> None:
    """What tells the chosen runs apart, and their cards."""
    differences = difference_table(runs, folder)
    if not differences.empty:
        st.subheader("What tells them apart", anchor=False)
        st.dataframe(differences, hide_index=True)
    for run in runs:
        if run.state == "done":
            with st.expander(f"Card of {plain(name_of(run, folder), 120)}"), mistakes_as_lines("The card"):
                st.code(read_card(run.path), language=None, wrap_lines=True)


def show_data() -> None:
    """List the data sets, and show the card of one."""
    table = data_table()
    names = list(table["data set"])
    chosen, vain = named_in_address("data", set(names), names[0])
    if vain:
        st.warning(f"There is no data set {plain(vain, 60)}.", icon=":material/warning:")
    choice_table(table, names, chosen, lambda name: put_in_address("data", name), "data sets", 420)
    if chosen:
        st.subheader(plain(chosen), anchor=False)
        st.dataframe(pd.DataFrame(data_card(chosen), columns=["", "said"]), hide_index=True)
        st.code(f"mainstem data pull {chosen}", language="bash")


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
        language="bash",
    )


with mistakes_as_lines("The page"):
    show_research()
