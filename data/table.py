"""Samples from a table of one's own: CSV or Parquet with sample, target and licence; all else is free.

`data.labels` reads what `target` holds; `group` names what is held out whole, and may be left out.
A numeric column is a channel; its unit stands in brackets, "rain [mm]". Where a column `time` is given, the rows of one
sample are the steps of a series; else one row is one sample and its channels are scalars. A text column of file names
names, a sample each, an image, or, ending in .csv or .parquet, a further series with its own `time` and channels.
Times are seconds, or dates and times (ISO 8601) that are turned into seconds since the sample's first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.cases import Cases
from mainstem.core.errors import InputError
from mainstem.core.samples import LazySamples, SampleSet
from mainstem.core.stream import NO_LICENCE, Channel, Provenance, Sample, Stream
from mainstem.core.targets import Target, recognise
from mainstem.data.hearing import tell
from mainstem.data.images import IMAGES, read_image
from mainstem.data.labels import TableLabels
from mainstem.data.tabular import MISSING, SUFFIXES, Table, open_table, shown

REQUIRED = ("sample", "licence")
KNOWN = (*REQUIRED, "group", "part", "time")  # and the targets: all other columns are streams
FILES = (SUFFIXES, IMAGES)  # what a column of file names may name, one kind each
COLUMN_OF = {"item": "sample", "group": "group", "licence": "licence", "part": "part"}  # of what is told of a sample
PARTS = ("", "train", "calibrate", "test")
UNSTATED = "unstated"  # the unit of a column that names none; a model trained on it takes no other
NAMED_UNIT = re.compile(r"(?P<name>.+?)\s*\[(?P<unit>[^\]]+)\]")
ROWS = "table"  # the stream that a table's own channels make
INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
ZONED = r".*[0-9](Z|[+-][0-9]{2}:?[0-9]{2})"
MOST_HELD = 2_000  # samples whose files are read at once: of more, files are read as they are needed
TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Columns:
    """A table's columns by what they are: facts of a sample (a value a row), channels' values, files and times."""

    table: Table
    facts: Mapping[str, NDArray[np.object_]]
    targets: NDArray[np.float64]  # (rows,) or (rows, parts)
    classes: tuple[str, ...]
    channels: tuple[Channel, ...]
    values: NDArray[np.float64]
    files: Mapping[str, NDArray[np.object_]]
    times: NDArray[Any] | None
    folder: Path


def target_of(path: Path) -> Target:
    """Return what a table's targets are: numbers, words or findings.

    Raises:
        InputError: if they are nothing of the sort, or the table cannot be read.
    """
    table = open_table(path)
    _check_columns(table)
    return recognise(TableLabels.of(table, table.names("sample")))


def read_samples(path: Path, target: Target | None = None) -> SampleSet:
    """Read a table's samples, their targets as `target` reads them, or, without it, as what they look like.

    A table to predict, whose `target` is known, may lack the column.

    Raises:
        InputError: naming the row, column or sample that cannot be used as it is.
    """
    columns = _read(path, target)
    names = columns.facts["sample"]
    order = np.argsort(names, kind="stable")
    starts = np.flatnonzero(np.r_[True, names[order][1:] != names[order][:-1]])
    licences = sorted(set(columns.facts["licence"]) - {""})
    known = _cases(columns, order[starts])  # by the first row of each
    samples: Sequence[Sample] = known
    is_row_each = len(starts) == len(order) and columns.times is None
    if is_row_each and columns.files and len(order) > MOST_HELD:
        samples = LazySamples(known=replace(known, streams={}), load=_Files.of(columns), places=order)
    elif columns.files or not is_row_each:
        opened: dict[Path, Stream] = {}
        parts = zip(known, np.split(order, starts[1:]), strict=True)
        samples = tuple(_sample(columns, told, rows, opened) for told, rows in parts)
    tell([columns.table])
    return SampleSet(
        name=path.stem, samples=samples, flagged={}, attribution=f"{path.name}, licence {', '.join(licences)}",
        licence=", ".join(licences) or NO_LICENCE, classes=columns.classes,
    )  # fmt: skip


def _check_columns(table: Table) -> None:
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise InputError(
            f"{table.name} lacks the column {missing[0]!r}; want sample, target and licence, "
            f"it has {shown(', '.join(list(table.columns)[:8]))}"
        )


def _read(path: Path, target: Target | None) -> _Columns:
    table = open_table(path)
    _check_columns(table)
    facts = {"sample": table.names("sample"), "licence": table.names("licence", is_needed=False)}
    has_groups = "group" in table.columns
    facts["group"] = table.names("group", is_needed=False) if has_groups else np.full(len(table), "", object)
    facts["part"] = _parts(table)
    labels = TableLabels.of(table, facts["sample"], is_needed=target is None)
    free = [column for column in table.columns if column not in (*KNOWN, *labels.columns)]
    files = {column: table.raw(column) for column in free if _names_files(table, column)}
    channels, values = _channels(table, [column for column in free if column not in files])
    if not channels and not files:
        raise InputError(f"{path.name} holds no stream: add numeric columns, or a column of .csv or image files")
    if ROWS in files:
        raise InputError(f"{path.name}: a column of files cannot be called {ROWS!r}, as the rows are; rename it")
    target = recognise(labels) if target is None else target
    times = _times(table) if "time" in table.columns else None
    nothing = np.full(len(facts["sample"]), np.nan)
    targets = target.read(labels) if labels.columns else nothing  # samples to predict need none
    return _Columns(
        table=table, facts=facts, targets=targets, classes=target.told_names, channels=channels,
        values=values, files=files, times=times, folder=path.parent,
    )  # fmt: skip


def _parts(table: Table) -> NDArray[np.object_]:
    """The part of the data's own split that each row belongs to, "" where the table names none.

    Raises:
        InputError: naming the first that is none.
    """
    if "part" not in table.columns:
        return np.full(len(table), "", object)
    named = table.names("part", is_needed=False)
    for row, part in enumerate(named.tolist()):
        if part not in PARTS:
            raise InputError(
                f"{table.where(row, 'part')}: got {shown(part)}, want train, calibrate or test; mend it, or rename the "
                "column where it is a measurement"
            )
    return named


def files_named(inputs: Iterable[str]) -> Iterator[Path]:
    """Yield the files that the tables among the inputs name in their cells."""
    for path in map(Path, inputs):
        if path.suffix in SUFFIXES and path.is_file():
            table = open_table(path)
            for column in table.columns:
                if _names_files(table, column):
                    yield from (path.parent / text for text in sorted(set(map(str, table.raw(column)))))


def _names_files(table: Table, column: str) -> bool:
    """True where all cells that are given name files of one kind; the first given one mostly says no."""
    given = (text.strip().lower() for text in map(str, table.columns[column]) if text.strip().lower() not in MISSING)
    first = next(given, "")
    kind = next((suffixes for suffixes in FILES if first.endswith(suffixes)), None)
    return kind is not None and all(text.endswith(kind) for text in given)


def _channels(table: Table, columns: Sequence[str]) -> tuple[tuple[Channel, ...], NDArray[np.float64]]:
    """Channels with their values (row, channel); a column of numbers written as text is an error."""
    channels: list[Channel] = []
    for column in columns:
        match = NAMED_UNIT.fullmatch(column)
        channel = Channel(name=match["name"], unit=match["unit"]) if match else Channel(name=column, unit=UNSTATED)
        if not column:
            raise InputError(f"{table.name} has a column without a name; name it, or drop it if it counts rows")
        if channel.name in [known.name for known in channels]:
            raise InputError(f"{table.name} has two columns for the channel {shown(channel.name)}; rename or drop one")
        channels.append(channel)
    values = [_values(table, column) for column in columns]
    return tuple(channels), np.column_stack(values) if values else np.empty((len(table), 0))


def _values(table: Table, column: str) -> NDArray[np.float64]:
    values, faults = table.sift(column)
    if not faults:
        return values
    texts = [text.lower() for text in table.raw(column)]
    if set(texts) <= {*TRUTH, *MISSING}:
        return np.array([TRUTH.get(text, np.nan) for text in texts])
    index, fault = next(iter(faults.items()))
    end = (
        "" if table.is_numeric(column) else "; or name a .csv, .parquet or image file in every row, or drop the column"
    )
    raise InputError(f"{table.where(index, column)}: {fault.replace('want a number', 'want numbers')}{end}")


def _cases(columns: _Columns, order: NDArray[np.intp]) -> Cases:
    """What these rows say of a sample each."""
    name = columns.table.name
    told = {field: columns.facts[column][order] for field, column in COLUMN_OF.items()}
    told["group"] = np.array([group or None for group in told["group"]], object)
    told["licence"] = np.array([licence or NO_LICENCE for licence in told["licence"]], object)
    words = {licence: f"{name}, licence {licence}" for licence in set(told["licence"])}
    told["attribution"] = np.array([words[licence] for licence in told["licence"]], object)
    return Cases(
        num=len(order),
        streams={ROWS: Block(kind="scalar", values=columns.values[order], channels=columns.channels)},
        source=Provenance(data=Path(name).stem, item=""),
        told=told,
        targets=columns.targets[order],
    )


def _sample(columns: _Columns, told: Sample, rows: NDArray[np.int64], opened: dict[Path, Stream]) -> Sample:
    """The sample of these rows, which are in the order of the file, by what is `told` of it in the first."""
    name = told.source.item
    _check_facts(columns, rows, name)
    streams, origin = {}, ""
    where = f"{columns.table.name}: sample {shown(name)}"
    if columns.channels:
        if columns.times is not None:
            streams[ROWS], origin = _series(columns.times[rows], columns.values[rows], columns.channels, where)
        elif len(rows) > 1:
            raise InputError(f"{where} stands {len(rows)} times; add a column 'time', or drop repeats")
        else:
            streams[ROWS] = told.streams[ROWS]
    streams |= _read_files(columns, int(rows[0]), opened)
    return replace(told, streams=streams, origin=origin)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Files:
    """Reads the channels of a row, and the files that it names."""

    channels: tuple[Channel, ...]
    values: NDArray[np.float64]
    files: Mapping[str, NDArray[np.object_]]
    folder: Path

    @classmethod
    def of(cls, columns: _Columns) -> "_Files":
        """Take of a table's columns what its streams are."""
        return cls(channels=columns.channels, values=columns.values, files=columns.files, folder=columns.folder)

    def __call__(self, row: int) -> dict[str, Stream]:
        """Return the streams of a row.

        Raises:
            InputError: if a file cannot be used as it is.
        """
        own = Stream(kind="scalar", values=self.values[row], channels=self.channels)
        return ({ROWS: own} if self.channels else {}) | _read_files(self, row, {})


def _check_facts(columns: _Columns, rows: NDArray[np.int64], name: str) -> None:
    """Refuse a sample whose rows contradict each other in what is said once a sample."""
    facts = {**{column: columns.facts[column] for column in ("group", "licence")}, **columns.files}
    told = {column: len(set(values[rows])) for column, values in facts.items()}
    told["target"] = len(np.unique(np.nan_to_num(columns.targets[rows], nan=np.inf), axis=0))
    for column in ("target", "group", "licence", *columns.files):
        if told[column] != 1:
            raise InputError(
                f"{columns.table.name}: sample {shown(name)} has several values of {column!r}; give one a sample"
            )


def _read_files(columns: "_Columns | _Files", row: int, opened: dict[Path, Stream]) -> dict[str, Stream]:
    """The streams of the files that a row names."""
    named = {column: str(files[row]) for column, files in columns.files.items()}
    return {
        column: _file(columns.folder / name, columns.folder, opened)
        for column, name in named.items()
        if name.lower() not in MISSING
    }


def _file(path: Path, root: Path, opened: dict[Path, Stream]) -> Stream:
    """The stream of a further file, read once however many samples name it."""
    if root.resolve() not in path.resolve().parents:
        raise InputError(f"got a file {shown(str(path))}, want one below the table's own folder; copy it there")
    if path not in opened:
        opened[path] = read_image(path) if path.suffix.lower() in IMAGES else _series_file(path)
    return opened[path]


def _series_file(path: Path) -> Stream:
    table = open_table(path)
    if "time" not in table.columns:
        raise InputError(f"{path.name} lacks the column 'time'")
    channels, values = _channels(table, [name for name in table.columns if name not in (*KNOWN, "target")])
    if not channels:
        raise InputError(f"{path.name} holds no channel; add numeric columns beside 'time'")
    return _series(_times(table), values, channels, path.name)[0]


def _series(
    times: NDArray[Any], values: NDArray[np.float64], channels: tuple[Channel, ...], where: str
) -> tuple[Stream, str]:
    """A series in the order of its times, and the date they count from, "" for seconds."""
    origin = ""
    if np.issubdtype(times.dtype, np.datetime64):
        first = times.min()
        origin = f"{np.datetime_as_string(first, unit='s')}Z"
        times = (times - first) / np.timedelta64(1, "s")
    if len(np.unique(times)) != len(times):
        raise InputError(f"{where}: a time stands twice; give every step its own")
    order = np.argsort(times)
    return Stream(kind="series", values=values[order], channels=channels, times=times[order]), origin


def _times(table: Table) -> NDArray[Any]:
    """The column `time`: seconds, or instants in UTC where it holds dates.

    Raises:
        InputError: naming the row that is neither, or that could be read in two ways.
    """
    texts = pd.Series(table.raw("time"), dtype=object)
    numbers = table.numbers("time") if table.is_numeric("time") else np.full(len(texts), np.nan)
    if table.is_numeric("time") and np.isfinite(numbers).any():
        for index in np.flatnonzero(~np.isfinite(numbers))[:1]:
            raise InputError(f"{table.where(index, 'time')}: no time is given; give every step its own")
    is_day = texts.str.fullmatch("(19|20)[0-9]{6}")
    if np.isfinite(numbers).all() and not (is_day.all() and _parsed(texts, "%Y%m%d").notna().all()):
        return numbers
    is_instant = texts.str.fullmatch(INSTANT)
    dates = _parsed(texts.where(is_instant), "ISO8601")
    for index in np.flatnonzero(dates.isna())[:1]:
        raise InputError(
            f"{table.where(index, 'time')}: got {shown(texts[index])}, want seconds or ISO 8601, as 2020-04-03"
        )
    zoned = texts[texts.str.len() > len("2020-04-03")].str.fullmatch(ZONED)
    if zoned.nunique() > 1:
        raise InputError(f"{table.name}: some times name a zone and some do not; give all in UTC, with a Z")
    return dates.dt.tz_localize(None).to_numpy("datetime64[us]")


def _parsed(texts: "pd.Series[str]", written: str) -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(texts, errors="coerce", utc=True, format=written)
