"""Sentinel-2's bands by the names that users give them, and one date of scenes on its way to a GeoTIFF."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Channel
from mainstem.data.earth.raster import Grid

ROWS = 512  # staged at once
BAND_NAMES = {f"B0{digit}": f"B{digit}" for digit in range(1, 10)}
COMMON = {  # of STAC's common band names
    "blue": "B2", "green": "B3", "red": "B4", "rededge1": "B5", "rededge2": "B6", "rededge3": "B7", "nir": "B8",
    "nir08": "B8A", "swir16": "B11", "swir22": "B12",
}  # fmt: skip
WAVELENGTHS_NM = {  # centres of Sentinel-2A's bands: ESA, Sentinel-2 User Handbook, table 1
    "B2": 492.4, "B3": 559.8, "B4": 664.6, "B5": 704.1, "B6": 740.5, "B7": 782.8, "B8": 832.8, "B8A": 864.7,
    "B11": 1613.7, "B12": 2202.4,
}  # fmt: skip
CLEAR = (4, 5, 6, 7)  # of the scene classification: vegetation, bare, water, unclassified (ESA, L2A ATBD, table 4)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """One date to be staged: stored values by rows, with what turns them into the channels' units."""

    name: str
    time: datetime.datetime
    grid: Grid
    channels: tuple[Channel, ...]
    read: Callable[[slice], NDArray[np.generic]]  # rows -> (band, y, x), nodata where cloudy
    dtype: str = "float32"
    nodata: float = float("nan")
    scale: float = 1.0
    offset: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()  # that it was read from, besides the one that was named


def canonical(name: str) -> str:
    """A band's name as the project writes it: B04, red and B4 are one."""
    return COMMON.get(name, BAND_NAMES.get(name, name))
