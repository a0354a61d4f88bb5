"""What the researcher's page shows, from files alone: runs, their curves, what tells them apart, and data sets."""

import shlex
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import altair as alt
import pandas as pd

from mainstem.apps.compare_runs import compare
from mainstem.apps.new_adapter import write_adapter
from mainstem.apps.runs import LAST, Run, is_figure, is_launched
from mainstem.apps.typed_files import as_time
from mainstem.data.catalogue import is_pulled, read_catalogue
from mainstem.data.table import read_samples, target_of

CURVE = ("run", "task", "training", "step", "figure", "value")
HELD_OUT, MOST_FIGURES = "held_out_", 3  # beside them stand what parts are worth, as gate and thresholds
WATCHED = ("spread", "latents", "reconstruction", "contrast")  # of a pretraining (docs/pretraining.md)
PLACE = ("training", "step", "steps", "start", "samples", "seconds")  # of a line, beside its figures
USUAL = ("loss", "spread")  # figures that are drawn unless others are asked for
COMPARED = 2  # runs, unless others are asked for
CHART_PX, LOW_CHART_PX = 460, 190  # of the plot of one; of each of several
AROUND_PX, KEY_ROW_PX = 135, 24  # what title, axis and head of the key take from a height; each row of it
KEY_COLUMNS, NUMBER_COLUMNS = 2, 7  # of a key on a telephone: names of runs, numbers of trainings
MOST_POINTS, MOST_MARKS = 500, 8  # of a curve: about as many as a screen has pixels for; as tell trainings apart
COLOURS = (  # 3 to 1 on white or more (WCAG 2.2, 1.4.11), told apart by the colour-blind: Okabe & Ito 2008, without
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#882255",  # its light ones; wine of Tol 2021, muted
)  # fmt: skip
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


def name_of(run: Run, folder: Path) -> str:
    """A run's name below the folder that was looked through."""
    return str(run.path.relative_to(folder)) if run.path.is_relative_to(folder) else str(run.path)


def by_news(runs: Sequence[Run]) -> list[Run]:
    """Runs, those in training first, then the newest."""
    return sorted(runs, key=lambda run: (run.state == "training", run.changed()), reverse=True)


def first_compared(runs: Sequence[Run], folder: Path) -> list[str]:
    """Names of the first runs that have curves."""
    return [name_of(run, folder) for run in islice((run for run in runs if figures_in([run])), COMPARED)]


def run_table(runs: Sequence[Run], folder: Path) -> pd.DataFrame:
    """A row a run: what came out, state and how far it is, task, data, when it was last written, seed and duration."""
    return pd.DataFrame([{"run": name_of(run, folder), **_told(run)} for run in runs])


def _told(run: Run) -> dict[str, str]:
    asked = run.record or run.asked()
    lines = [line for line in run.lines() if "step" in line] if run.state == "training" else []
    step = f" {lines[-1]['training'] + 1}, step {lines[-1]['step']}" if lines else ""
    seconds = asked.get("seconds", lines[-1].get("seconds") if lines else None)
    return {
        "result": result_of(run),
        "state": f"{run.describe_state()}{step}",
        "task": task_of(run),
        "data": _listed(asked.get("data", asked.get("corpora", ""))),
        "when (UTC)": f"{datetime.fromtimestamp(run.changed(), UTC):%Y-%m-%d %H:%M}",
        "seed": str(asked.get("seed", "")),
        "duration": "" if seconds is None else as_time(round(seconds)),
    }


def result_of(run: Run) -> str:
    """The first figures on what was held out; of a pretraining what to watch of it, as it ended."""
    figures = run.figures()
    held_out = [(name.removeprefix(HELD_OUT), figures[name]) for name in figures if HELD_OUT in name][:MOST_FIGURES]
    found = held_out or [(name, figures[f"{LAST}{name}"]) for name in WATCHED if f"{LAST}{name}" in figures]
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in found)


def task_of(run: Run) -> str:
    """Adapter and task of a run, or the command that was launched: losses of others are other quantities."""
    asked = run.record or run.asked()
    named = [str(asked[name]) for name in ("adapter", "task") if name in asked]
    return " ".join(named or [str(asked.get("command", ""))])


def _listed(data: object) -> str:
    """Data as a launch names them: one, or several."""
    return ", ".join(map(str, data)) if isinstance(data, list) else str(data)


def next_commands(run: Run) -> list[str]:
    """What can be done with a run, ready for a shell."""
    path = run.path.absolute()
    own, again = shlex.quote(str(path)), shlex.quote(str(path.with_name(f"{path.name}-again")))
    if run.state != "done":
        return [f"mainstem runs {verb} {own}" for verb in ("status", "logs", "cancel") if is_launched(run.path)]
    found = [f"mainstem runs repeat {own} --out {again}", f"mainstem runs bundle {own} --out {own}.zip"]
    scored = list((run.record.get("excluded") or run.record.get("corpora") or {}).values())
    for one in scored[:1]:  # of a pretraining: what it is for
        asked = f"{one['adapter']} --data {shlex.quote(one['data'])}"
        found.append(f"mainstem finetune {asked} --trunk {own} --out {shlex.quote(f'{path}-adapted')}")
    return found


def figures_in(runs: Sequence[Run]) -> list[str]:
    """Figures that the lines of runs tell, those first that are usually drawn."""
    lines = [line for run in runs for line in run.lines() if "step" in line]
    named = {name for line in lines for name, value in line.items() if is_figure(value)}
    return sorted(named.difference(PLACE), key=lambda name: (name not in USUAL, name))


def curve_table(runs: Sequence[Run], folder: Path, figures: Sequence[str] = USUAL[:1]) -> pd.DataFrame:
    """Columns run, task, training, step, figure, value: each training's curves, thinned to what a screen can show."""
    parts = [_curve(run, figure).assign(run=name_of(run, folder)) for figure in figures for run in runs]
    known = [part[list(CURVE)] for part in parts if len(part)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=list(CURVE))


def _curve(run: Run, figure: str) -> pd.DataFrame:
    rows = [line for line in run.lines() if "step" in line and is_figure(line.get(figure))]
    told = pd.DataFrame(rows, columns=["training", "step", figure]).rename(columns={figure: "value"})
    told["training"] = told["training"].fillna(0).astype(int) + 1  # as people count
    return _thinned(told, MOST_POINTS).assign(figure=figure, task=task_of(run))


def _thinned(curves: pd.DataFrame, most: int, by: Sequence[str] = ("training",)) -> pd.DataFrame:
    """About so many rows of each curve, its last among them."""
    kept = []
    for _, one in curves.groupby(list(by)):
        every = max(len(one) // most, 1)
        kept.append(one.iloc[(len(one) - 1) % every :: every])
    return pd.concat(kept) if kept else curves


def curve_chart(curves: pd.DataFrame, chosen: Sequence[str], height: int = CHART_PX) -> alt.LayerChart:
    """One figure of one task by step: a colour a run and a shape a training; of one run alone a colour a training.

    Args:
        curves: of `curve_table`.
        chosen: all runs on the page, each of which keeps its colour whatever the others are.
        height: of the plot, pixels.
    """
    trainings = sorted(curves["training"].unique().tolist())
    told, names = "run", [name for name in chosen if name in set(curves["run"])]
    colours = [COLOURS[chosen.index(name) % len(COLOURS)] for name in names]
    if len(names) < 2 and len(trainings) > 1:
        told, names = "training", trainings
        colours = [COLOURS[at % len(COLOURS)] for at in range(len(trainings))]
    steps = [int(curves["step"].min()), int(curves["step"].max())]
    within = alt.Scale(domain=steps, nice=False) if steps[0] < steps[1] else alt.Scale(zero=False)
    columns = KEY_COLUMNS if told == "run" else NUMBER_COLUMNS
    room = AROUND_PX + KEY_ROW_PX * -(-len(names) // columns)
    key = alt.Legend(orient="bottom", columns=columns, labelLimit=160)  # beneath, as a telephone is narrow
    base = alt.Chart(curves, height=height + room).encode(
        x=alt.X("step:Q", title="step", scale=within, axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=str(curves["figure"].iloc[0]).replace("_", " "), scale=alt.Scale(zero=False)),
        color=alt.Color(f"{told}:N", scale=alt.Scale(domain=names, range=colours), legend=key),
        tooltip=["run:N", "training:N", "step:Q", alt.Tooltip("value:Q", format=".4g")],
    )
    marks = base.mark_point(filled=True, size=45, opacity=1).properties(
        data=_thinned(curves, MOST_MARKS, ("run", "training"))
    )
    if len(trainings) > 1:
        turns = [at + at // len(SHAPES) for at in range(len(trainings))]  # the seventh is not the first again
        shapes = [SHAPES[turn % len(SHAPES)] for turn in turns]
        marks = marks.encode(
            shape=alt.Shape(
                "training:N",
                scale=alt.Scale(domain=trainings, range=shapes),
                legend=alt.Legend(orient="bottom", columns=NUMBER_COLUMNS),
            )
        )
    lines = base.mark_line(strokeWidth=1.5).encode(detail=["run:N", "training:N"])
    return alt.LayerChart(layer=[lines, marks], title=str(curves["task"].iloc[0]))


def difference_table(runs: Sequence[Run], folder: Path) -> pd.DataFrame:
    """A row a setting or figure in which finished runs differ, a column a run."""
    done = [run for run in runs if run.state == "done"]
    if len(done) < 2:
        return pd.DataFrame()
    found = compare([run.path for run in done])
    rows = [
        {"what": name, **{name_of(run, folder): _short(value) for run, value in zip(done, values, strict=True)}}
        for part in ("figures", "settings")
        for name, values in found[part].items()
    ]
    return pd.DataFrame(rows)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)[:80]


def data_table() -> pd.DataFrame:
    """A row a data set of the catalogue: what it is, its licence, its size, whether it is on this machine."""
    return pd.DataFrame(
        [
            {
                "data set": name,
                "what": one.title,
                "licence": one.licence,
                "MB": round(sum(file.size for file in one.files) / 1e6, 1),
                "here": is_pulled(name),
            }
            for name, one in read_catalogue().items()
        ]
    )


def data_card(name: str) -> list[tuple[str, str]]:
    """What is known of a data set, in pairs."""
    one = read_catalogue()[name]
    return [
        ("licence", one.licence),
        ("attribution", one.attribution),
        ("source", f"{one.repository} at {one.commit[:12]}"),
        ("files", f"{len(one.files)}, each with its sha256"),
        *(("known fault", fault) for fault in one.known_faults),
    ]


def described(table: Path) -> dict[str, str]:
    """What a table would teach: the kind of its target, samples, groups, streams.

    Raises:
        InputError: naming the row or column that cannot be used.
    """
    target = target_of(table)
    samples = read_samples(table, target).samples
    groups = {sample.source.group for sample in samples} - {None}
    channels = {
        f"{channel.name} [{channel.unit}]"
        for sample in samples[:100]
        for stream in sample.streams.values()
        for channel in stream.channels
    }
    return {
        "target": target.kind,
        "samples": str(len(samples)),
        "groups": str(len(groups)) if groups else "none named: intervals hold for single samples alone",
        "channels": ", ".join(sorted(channels)),
    }


def adapter_files(name: str, table: Path) -> bytes:
    """A zip of an adapter and its test for a table, which lies beside them.

    Raises:
        InputError: if the name is odd or taken, or the table cannot be read.
    """
    packed = BytesIO()
    with TemporaryDirectory() as place:
        to = Path(place)
        own = to / table.name
        own.write_bytes(table.read_bytes())
        written = write_adapter(name, own, to)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as files:
            for path in (*written, own):
                files.writestr(str(path.relative_to(to)), path.read_bytes())
    return packed.getvalue()
