"""Robot execution failures: forces and torques of a gripper just after a grasp or a transfer, healthy or failed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import NO_LICENCE, Channel, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.hearing import tell
from mainstem.data.limits import measure_folder
from mainstem.data.tabular import Table, check_regular, open_table, shown

ROBOT_FAILURES = "robot-failures"
PARTS = ("lp1", "lp2")  # failures on the way to a grasp, and in a transfer; lp3 holds the traces of lp2 again
AXES = ("Fx", "Fy", "Fz", "Tx", "Ty", "Tz")
CHANNELS = tuple(Channel(name=axis, unit="counts") for axis in AXES)  # robot.txt names no unit
TEXTS = (".txt", ".data")  # the set's files have the one name here, the other there
STEPS = 15
STEP_S = 0.315 / STEPS  # robot.txt, 7: the whole window is 315 ms
STREAM = "contact"
CLASSES = ("healthy", "failed")
HEALTHY = frozenset({"normal", "ok"})
FAILED = frozenset({  # robot.txt, 9, as the files write them
    "collision", "fr_collision", "obstruction", "front_col", "back_col", "left_col", "right_col", "slightly_moved",
    "moved", "lost", "bottom_collision", "bottom_obstruction", "collision_in_part", "collision_in_tool", "failed",
})  # fmt: skip
UNKNOWN = "unknown"  # a label of one's own that says that nobody knows
MOST = 1e6  # counts: a hundred times what any of the five sets holds
MOST_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """One execution: where it stands, its label in words, and its counts (STEPS, axes)."""

    where: str
    label: str
    values: NDArray[np.float64]

    @property
    def target(self) -> float | None:
        """The index of its class; None where nobody knows.

        Raises:
            InputError: if its label is no word of the sets.
        """
        if self.label in ("", UNKNOWN):
            return None
        if self.label not in HEALTHY | FAILED:
            raise InputError(
                f"{self.where}: got the label {shown(self.label)}, want normal, ok, {UNKNOWN}, or one of "
                f"{', '.join(sorted(FAILED))}; correct it"
            )
        return float(self.label in FAILED)

    @property
    def print(self) -> str:
        """What tells its content from others': the same trace stands in several of the sets."""
        return hashlib.sha256(np.ascontiguousarray(self.values + 0.0).tobytes()).hexdigest()[:16]


def open_failures(data: str, mirror: Path | None = None) -> SampleSet:
    """Read the set by name, lp1 and lp2 together, or one's own: a file as lp*.data.txt, a folder of such, or a table.

    A table has the columns trace, Fx to Tz and maybe label, and STEPS rows a trace in the order of time. A trace that
    stands there again is flagged: every distinct one counts once, and is a group of its own.

    Raises:
        InputError: if it is neither, a trace is not whole, a count no number, or a label unknown.
    """
    if data == ROBOT_FAILURES:
        known, folder = find_data_set(data), pull(data, mirror)
        traces = [trace for part in PARTS for trace in read_traces(folder / f"{part}.data.txt")]
        return _set_of(traces, data, known.licence, known.attribution)
    path = Path(data)
    if not path.exists():
        raise InputError(f"got {shown(data)}; want {ROBOT_FAILURES}, a file as lp1.data.txt, or a table of traces")
    if path.is_dir() or path.suffix.lower() in TEXTS:
        measure_folder(path)  # no link in it may lead elsewhere
        files = sorted(file for file in path.glob("lp*.data*") if file.suffix in TEXTS) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path} holds no lp*.data and no lp*.data.txt; give the folder of the set, or one file")
        return _set_of([trace for file in files for trace in read_traces(file)], own_name(path.name), NO_LICENCE, "")
    table = open_table(path, f"name {ROBOT_FAILURES}, a .txt, .data, .csv or .parquet file")
    found = _set_of(traces_in(table), own_name(path.name), NO_LICENCE, "")
    tell([table])
    return found


def read_traces(path: Path) -> list[Trace]:
    """Read a file as lp1.data.txt is: a line with a label, STEPS lines of six counts, and empty lines between.

    Raises:
        InputError: naming the line that is otherwise.
    """
    if check_regular(path, "want a file as lp1.data.txt").st_size > MOST_BYTES:
        raise InputError(f"{path.name} is larger than {MOST_BYTES >> 20} MiB; split it")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is no text as lp1.data.txt is; take another copy") from error
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    traces = list(_traces_of(lines, path.name))
    if not traces:
        raise InputError(f"{path.name} holds no trace; want a label and {STEPS} lines of six counts")
    return traces


def _traces_of(lines: Sequence[tuple[int, list[str]]], name: str) -> Iterator[Trace]:
    for start in range(0, len(lines), STEPS + 1):
        (number, label), rows = lines[start], lines[start + 1 : start + 1 + STEPS]
        if len(label) != 1 or _is_number(label[0]):
            raise InputError(f"{name}, line {number}: got {shown(' '.join(label))}, want the label of the next trace")
        if len(rows) < STEPS:
            raise InputError(
                f"{name}, line {number}: the trace has {len(rows)} steps, want {STEPS}; add those it lacks"
            )
        values = np.array([_counts(row, f"{name}, line {line}") for line, row in rows])
        yield Trace(where=f"{name}, trace {start // (STEPS + 1) + 1}", label=label[0], values=values)


def _counts(row: Sequence[str], where: str) -> list[float]:
    if len(row) != len(AXES) or not all(map(_is_number, row)):
        raise InputError(f"{where}: got {shown(' '.join(row))}, want six counts ({', '.join(AXES)})")
    counts = [float(cell) for cell in row]
    if not all(abs(count) <= MOST for count in counts):  # nor NaN
        raise InputError(f"{where}: got {shown(' '.join(row))}, want counts from {-MOST:g} to {MOST:g}; correct it")
    return counts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def traces_in(table: Table) -> list[Trace]:
    """Return the traces of a table, in the order in which they are met.

    Raises:
        InputError: naming the first that has not STEPS rows, one after the other, or a cell that is no count.
    """
    table.need("trace", *AXES)
    names = table.names("trace")
    labels = table.names("label", is_needed=False) if "label" in table.columns else np.full(len(table), "", object)
    values = np.stack([table.numbers(axis, -MOST, MOST, "counts") for axis in AXES], 1)
    for row, column in np.argwhere(np.isnan(values))[:1].tolist():
        raise InputError(f"{table.where(row, AXES[column])}: got no count, want one at every step; drop the trace")
    edges = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    found: dict[str, Trace] = {}
    for start, stop in pairwise(edges):
        name = str(names[start])
        if stop - start != STEPS or name in found:
            raise InputError(
                f"{table.where(start, 'trace')}: {shown(name)} has {stop - start} rows here, want {STEPS} of each "
                "trace, one after the other; sort or mend them"
            )
        words = set(labels[start:stop].tolist())
        if len(words) > 1:
            raise InputError(f"{table.where(start, 'label')}: {shown(name)} has several labels; give it one")
        found[name] = Trace(where=f"{table.name}, trace {name}", label=words.pop(), values=values[start:stop])
    return list(found.values())


def _set_of(traces: Sequence[Trace], name: str, licence: str, attribution: str) -> SampleSet:
    times: NDArray[np.float64] = np.arange(STEPS, dtype=np.float64) * STEP_S
    samples, flagged, first = [], {}, dict[str, str]()
    for trace in traces:
        source = Provenance(
            data=name,
            item=trace.where,
            group=f"trace {trace.print}",
            licence=licence,
            attribution=attribution,
            facts={"label": trace.label} if trace.label else {},
        )
        stream = Stream(kind="series", values=trace.values, channels=CHANNELS, times=times)
        samples.append(Sample(streams={STREAM: stream}, target=trace.target, source=source))
        if trace.print in first:
            flagged[trace.where] = f"the same trace is {first[trace.print]}"
        first.setdefault(trace.print, trace.where)
    return SampleSet(
        name=name,
        samples=tuple(samples),
        flagged=flagged,
        attribution=attribution,
        licence=licence,
        classes=CLASSES,
    )
