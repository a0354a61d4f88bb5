"""A robot that follows a wall: 24 ultrasound ranges with their recent past, and which of four moves it then made."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.cases import Cases
from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.split import TEST
from mainstem.core.stream import NO_LICENCE, Channel, Provenance
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.csv_files import read_csv
from mainstem.data.hearing import tell
from mainstem.data.tabular import Table, check_regular, open_table, shown

WALL_FOLLOWING = "wall-following"
FILE = "sensor_readings_24.data"
MOVES = ("Move-Forward", "Sharp-Right-Turn", "Slight-Left-Turn", "Slight-Right-Turn")
NUM_SONARS = 24
RATE_HZ = 9.0  # Freire et al. 2009, Short-term memory mechanisms in neural network learning of robot navigation tasks
STEPS = 8  # of the recent past, now among them: 0.9 s
FARTHEST_M = 20.0  # beyond it no ultrasound of a robot reads
STRETCH = 190  # rows, 21 s, that are held out together
TRAINING = 0.7  # of the rows, in their order; the others test
BORDER = 18  # rows, 2 s, before the test part that nothing learns from: they are nearly like its first ones
LABEL = "OUTPUT"
SONARS = tuple(f"S{number}" for number in range(1, NUM_SONARS + 1))
CHANNELS = (Channel(name="range", unit="m"),)


def open_wall_following(data: str, mirror: Path | None = None) -> SampleSet:
    """Read the set by name, or a table of one's own with a header: S1 to S24 in m, and OUTPUT where moves are known.

    Rows are steps of one drive in the order of time. A sonar is a stream of its own: its ranges of the last STEPS rows.
    None reaches back into another stretch of STRETCH rows, so that nothing that is held out shares a reading with what
    is learned from. The first 70 % are to be learned from, less the BORDER rows before the others, which test.

    Raises:
        InputError: if it is neither, a range is no length, or a label none of the four moves.
    """
    if data == WALL_FOLLOWING:
        known = find_data_set(data)
        return _set_of(_table(pull(data, mirror) / FILE), data, known.licence, known.attribution)
    path = Path(data)
    if not path.exists():
        raise InputError(f"got {shown(data)}; want {WALL_FOLLOWING}, or a table with the columns S1 to S24")
    table = _table(path)
    found = _set_of(table, own_name(path.name), NO_LICENCE, "")
    tell([table])
    return found


def _table(path: Path) -> Table:
    if path.suffix.lower() != ".data":
        return open_table(path)
    check_regular(path, f"want {FILE}")
    cells = read_csv(path)
    return Table(name=path.name, columns=cells.columns, rows=cells.rows, separator=cells.separator)


def _set_of(table: Table, name: str, licence: str, attribution: str) -> SampleSet:
    table.need(*SONARS)
    ranges = np.stack([table.numbers(sonar, 0.0, FARTHEST_M, "m") for sonar in SONARS], 1)
    num = len(ranges)
    first_test = int(TRAINING * num)
    row = np.arange(num)
    stretch = row // STRETCH
    stretch[first_test:] = first_test // STRETCH + 1 + (row[first_test:] - first_test) // STRETCH
    items = np.array([f"row {index + 1}" for index in row], object)
    samples = Cases(
        num=num,
        streams=recent(ranges, stretch),
        source=Provenance(data=name, item="", licence=licence, attribution=attribution),
        told={
            "item": items,
            "group": np.array([f"{name}, stretch {index:03d}" for index in stretch], object),
            "part": np.array([TEST if index >= first_test else "" for index in row], object),
        },
        facts={"row": row.astype(object)},
        targets=moves_in(table),
        origin="",
    )
    border = f"within {BORDER / RATE_HZ:g} s of the test part"
    return SampleSet(
        name=name,
        samples=samples,
        flagged=dict.fromkeys(items[max(first_test - BORDER, 0) : first_test].tolist(), border),
        attribution=attribution,
        licence=licence,
        classes=MOVES,
    )


def moves_in(table: Table) -> NDArray[np.float64]:
    """Return the index of each row's move (rows,), NaN where none is told.

    Raises:
        InputError: naming the first that is none of the four.
    """
    if LABEL not in table.columns:
        return np.full(len(table), np.nan)
    words = table.names(LABEL, is_needed=False)
    places = {move: float(index) for index, move in enumerate(MOVES)} | {"": np.nan}
    for index in np.flatnonzero([word not in places for word in words])[:1].tolist():
        raise InputError(
            f"{table.where(index, LABEL)}: got {shown(words[index])}, want one of {', '.join(MOVES)}, or nothing"
        )
    return np.array([places[word] for word in words])


def recent(ranges: NDArray[np.float64], stretch: NDArray[np.intp]) -> dict[str, Block]:
    """Return each sonar's series of the last STEPS rows up to every row; NaN before a stretch begins.

    `ranges` are (rows, sonars) in m, `stretch` (rows,) the number of each row's stretch. A row whose sonar reads
    nothing now lacks that sonar, whatever it read before.
    """
    num = len(ranges)
    back = np.arange(1 - STEPS, 1)
    at = np.arange(num)[:, None] + back
    is_same = (at >= 0) & (stretch[np.maximum(at, 0)] == stretch[:, None])
    seen = np.where(is_same[:, :, None], ranges[np.maximum(at, 0)], np.nan)
    return {
        sonar: Block(
            kind="series",
            values=seen[:, :, [column]],
            channels=CHANNELS,
            times=back / RATE_HZ,
            has=np.isfinite(ranges[:, column]),
        )
        for column, sonar in enumerate(SONARS)
    }
