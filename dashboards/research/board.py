"""What the researcher's page shows, from files alone: runs, their curves, what tells them apart, and data sets."""

import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import altair as alt
import pandas as pd

from mainstem.apps.compare_runs import compare
from mainstem.apps.new_adapter import write_adapter
from mainstem.apps.runs import Run
from mainstem.data.catalogue import is_pulled, read_catalogue
from mainstem.data.table import read_samples, target_of

CURVE = ("run", "training", "step", "loss")
HELD_OUT, MOST_FIGURES = "held_out_", 3  # beside them stand what parts are worth, as gate and thresholds
CHART_PX = 380
MOST_POINTS = 500  # of a curve, about as many as a screen has pixels for


def name_of(run: Run, folder: Path) -> str:
    """A run's name below the folder that was looked through."""
    return str(run.path.relative_to(folder)) if run.path.is_relative_to(folder) else str(run.path)


def run_table(runs: Sequence[Run], folder: Path) -> pd.DataFrame:
    """A row a run: state and how far it is, adapter, data, and the first figures on what was held out."""
    return pd.DataFrame([{"run": name_of(run, folder), **_told(run)} for run in runs])


def _told(run: Run) -> dict[str, Any]:
    if run.state != "done":
        lines = [line for line in run.lines() if "step" in line]
        step = f" {lines[-1]['training'] + 1}, step {lines[-1]['step']}" if lines else ""
        asked = run.asked()
        named = [str(asked[name]) for name in ("adapter", "task") if name in asked] or [str(asked.get("command", ""))]
        data = asked.get("data", asked.get("corpora", ""))
        return {
            "state": f"{run.describe_state()}{step}",
            "adapter": " ".join(named),
            "data": _listed(data),
            "held out": "",
        }
    record = run.record
    figures = [(name.removeprefix(HELD_OUT), value) for name, value in record["held_out"].items() if HELD_OUT in name]
    figure = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures[:MOST_FIGURES])
    adapter = f"{record['adapter']} {record['task']}"
    return {"state": run.state, "adapter": adapter, "data": record["data"], "held out": figure}


def _listed(data: object) -> str:
    """Data as a launch names them: one, or several."""
    return ", ".join(map(str, data)) if isinstance(data, list) else str(data)


def curve_table(runs: Sequence[Run], folder: Path) -> pd.DataFrame:
    """Columns run, training, step, loss: each training's curve, thinned to what a screen can show."""
    parts = [_curve(run, name_of(run, folder)) for run in runs]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(CURVE))


def _curve(run: Run, name: str) -> pd.DataFrame:
    rows = [line for line in run.lines() if {"step", "loss"} <= line.keys()]
    told = pd.DataFrame(rows, columns=["training", "step", "loss"]).assign(run=name)[list(CURVE)]
    told["training"] = told["training"].fillna(0).astype(int) + 1  # as people count
    kept = [one.iloc[:: max(len(one) // MOST_POINTS, 1)] for _, one in told.groupby("training")]
    return pd.concat(kept) if kept else told


def curve_chart(curves: pd.DataFrame) -> alt.Chart:
    """Losses by step, a line a training, a colour a run; several trainings of a run differ in their dashes."""
    dashes = {} if curves["training"].nunique() < 2 else {"strokeDash": alt.StrokeDash("training:N", title="training")}
    chart: alt.Chart = (
        alt.Chart(curves, height=CHART_PX)
        .mark_line(opacity=0.7)
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("loss:Q", title="loss a case", scale=alt.Scale(zero=False)),
            color=alt.Color("run:N", title="run"),
            detail="curve:N",
            **dashes,
            tooltip=["curve:N", "step:Q", alt.Tooltip("loss:Q", format=".4g")],
        )
    )
    return chart


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
