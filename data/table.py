"""Samples from a table of one's own: CSV or Parquet with sample, target, group and licence; all else is free.

A numeric column is a channel; its unit stands in brackets, "rain [mm]". Where a column `time` is given, the rows of one
sample are the steps of a series; else one row is one sample and its channels are scalars. A text column of file names
ending in .csv or .parquet names, a sample each, a further series with its own `time` and channels.
Times are seconds, or dates and times that are turned into seconds since the sample's first.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance, Sample, SampleSet, Stream

REQUIRED = ("sample", "target", "group", "licence")
UNSTATED = "unstated"  # the unit of a column that names none; a model trained on it takes no other
NAMED_UNIT = re.compile(r"(?P<name>.+?)\s*\[(?P<unit>[^\]]+)\]")
SERIES_FILES = (".csv", ".parquet")
MAX_BYTES = 2 << 30


def read_any(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table.

    Raises:
        InputError: if it is absent, of another kind, larger than MAX_BYTES, empty or unreadable.
    """
    if not path.is_file():
        raise InputError(f"no file {path}; name a .csv or .parquet table")
    if path.suffix not in SERIES_FILES:
        raise InputError(f"got {path.name}, want a .csv or .parquet table")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path.name} is larger than {MAX_BYTES >> 30} GiB; split it")
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} cannot be read as a table: {str(error).splitlines()[0]}") from error
    if table.empty:
        raise InputError(f"{path.name} holds no rows")
    return table


def read_samples(path: Path) -> SampleSet:
    """Read a table's samples.

    Raises:
        InputError: naming the column or sample that cannot be used as it is.
    """
    table = read_any(path)
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise InputError(
            f"{path.name} lacks the column {missing[0]!r}; want {', '.join(REQUIRED)}, "
            f"it has {', '.join(table.columns[:8])}"
        )
    channels = _channels(table, path.name)
    files = _file_columns(table)
    if not channels and not files:
        raise InputError(f"{path.name} holds no stream: add numeric columns, or a column of .csv files")
    licences = sorted(set(table["licence"].dropna().astype(str)))
    samples = [_sample(str(name), rows, channels, files, path) for name, rows in table.groupby("sample", sort=True)]
    return SampleSet(
        name=path.stem, samples=tuple(samples), flagged={}, attribution=f"{path.name}, licence {', '.join(licences)}",
        licence=", ".join(licences) or UNSTATED,
    )  # fmt: skip


def _channels(table: pd.DataFrame, name: str) -> dict[str, Channel]:
    """Columns that are channels; a column of numbers written as text is an error."""
    free = [column for column in table.columns if column not in (*REQUIRED, "time")]
    found = {}
    for column in free:
        if pd.api.types.is_numeric_dtype(table[column]):
            match = NAMED_UNIT.fullmatch(column)
            found[column] = (
                Channel(name=match["name"], unit=match["unit"]) if match else Channel(name=column, unit=UNSTATED)
            )
        elif column not in _file_columns(table):
            value = table[column].dropna().iloc[0] if table[column].notna().any() else "nothing"
            raise InputError(
                f"{name}: column {column!r} holds {value!r}, want numbers or .csv files; convert or drop it"
            )
    return found


def _file_columns(table: pd.DataFrame) -> list[str]:
    return [
        column
        for column in table.columns
        if column not in (*REQUIRED, "time")
        and not pd.api.types.is_numeric_dtype(table[column])
        and table[column].notna().any()
        and table[column].dropna().astype(str).str.endswith(SERIES_FILES).all()
    ]


def _sample(name: str, rows: pd.DataFrame, channels: Mapping[str, Channel], files: list[str], path: Path) -> Sample:
    for column in REQUIRED[1:]:
        if rows[column].nunique(dropna=False) != 1:
            raise InputError(f"{path.name}: sample {name!r} has several values of {column!r}; give one a sample")
    first = rows.iloc[0]
    streams, origin = {}, ""
    if channels:
        values = rows[list(channels)].to_numpy(np.float64)
        if "time" in rows:
            where = f"{path.name}: sample {name!r}"
            streams["table"], origin = _series(rows["time"], values, tuple(channels.values()), where)
        elif len(rows) > 1:
            raise InputError(
                f"{path.name}: sample {name!r} stands {len(rows)} times; add a column 'time', or drop repeats"
            )
        else:
            streams["table"] = Stream(kind="scalar", values=values[0], channels=tuple(channels.values()))
    for column in files:
        if pd.notna(first[column]):
            streams[column] = _series_file(path.parent / str(first[column]), path.parent)
    target = pd.to_numeric(pd.Series([first["target"]]), errors="coerce").iloc[0]
    if pd.isna(target) and pd.notna(first["target"]):
        raise InputError(
            f"{path.name}: target {first['target']!r} of sample {name!r} is no number; classes are not read yet"
        )
    source = Provenance(
        data=path.stem, item=name, group=None if pd.isna(first["group"]) else str(first["group"]),
        licence=str(first["licence"]), attribution=f"{path.name}, licence {first['licence']}",
    )  # fmt: skip
    return Sample(streams=streams, target=None if pd.isna(target) else float(target), source=source, origin=origin)


def _series_file(path: Path, root: Path) -> Stream:
    if root.resolve() not in path.resolve().parents:
        raise InputError(f"got a series file {path}, want one below the table's own folder; copy it there")
    table = read_any(path)
    if "time" not in table.columns:
        raise InputError(f"{path.name} lacks the column 'time'")
    channels = _channels(table.drop(columns=[name for name in REQUIRED if name in table.columns]), path.name)
    return _series(table["time"], table[list(channels)].to_numpy(np.float64), tuple(channels.values()), path.name)[0]


def _series(
    times: pd.Series, values: NDArray[np.float64], channels: tuple[Channel, ...], where: str
) -> tuple[Stream, str]:
    """A series in the order of its times, and the date they count from, "" for seconds; unreadable times are errors."""
    origin = ""
    if pd.api.types.is_numeric_dtype(times):
        seconds = times.to_numpy(np.float64)
    else:
        dates = pd.to_datetime(times, errors="coerce", utc=True)
        if dates.isna().any():
            raise InputError(f"{where}: got time {times[dates.isna()].iloc[0]!r}, want seconds or ISO 8601")
        seconds = (dates - dates.min()).dt.total_seconds().to_numpy(np.float64)
        origin = dates.min().strftime("%Y-%m-%dT%H:%M:%SZ")
    if not np.isfinite(seconds).all() or len(np.unique(seconds)) != len(seconds):
        raise InputError(f"{where}: a time is missing or stands twice; give every step its own")
    order = np.argsort(seconds)
    return Stream(kind="series", values=values[order], channels=channels, times=seconds[order]), origin
