"""Stamps of files to seconds from an origin, without losing nanoseconds to float64."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Array

CALENDAR_S = (946_684_800, 4_102_444_800)  # 2000 to 2100 in seconds since 1970: stamps between are of a calendar
LATEST_S = 1e11  # three thousand years: no clock of a robot, but a wrong unit


def to_seconds(stamps: NDArray[np.int64] | Array, unit_s: float, where: str) -> tuple[Array, str]:
    """Return times (readings,) in s, and the instant they count from (ISO 8601 UTC; "" where there is no calendar).

    Args:
        stamps: in units of `unit_s` seconds; whole numbers are subtracted as such, so that a nanosecond is kept.
        unit_s: seconds of one unit.
        where: what the stamps are, for messages.

    Raises:
        InputError: if they lie beyond any clock, so that the unit is another one.
    """
    known = stamps[np.isfinite(stamps)]
    if not len(known):
        raise InputError(f"{where} holds no finite stamp; check the file")
    first, last = float(known.min()) * unit_s, float(known.max()) * unit_s
    if max(abs(first), abs(last)) > LATEST_S:
        raise InputError(
            f"{where} reaches {max(abs(first), abs(last)):.3g} s, more than any clock; it looks like another unit, "
            "name it: [ms], [us] or [ns]"
        )
    if not (CALENDAR_S[0] <= first and last <= CALENDAR_S[1]):
        return np.asarray(stamps * unit_s, np.float64), ""
    whole = int(first)
    start = datetime.fromtimestamp(whole, UTC).isoformat().replace("+00:00", "Z")
    if stamps.dtype.kind == "i":
        return np.asarray((stamps - whole * round(1 / unit_s)) * unit_s, np.float64), start
    return np.asarray(stamps * unit_s - whole, np.float64), start
