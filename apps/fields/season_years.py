"""Which season a raster is of, and whether two rasters are of two seasons at all: no copy, and no year unknown."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.map_places import last_parts
from mainstem.core.errors import InputError
from mainstem.data.earth.chance import correlation
from mainstem.data.earth.raster import describe, missing_as_nan, open_geotiff, read_window

YEAR = re.compile(r"(?<!\d)(19[7-9]\d|20\d\d)(?!\d)")
ROWS = 256  # read at once
AS_COPIES = 0.98  # correlation of two rasters of one field, from which they are as alike as copies, resampled


def year_of(path: Path, dates: str) -> str | None:
    """The year of a raster's season: that of the last of its dates, else of its file's or its folders' name.

    A winter crop's scenes begin in the year before. A name that holds two years says neither.
    """
    told = YEAR.findall(dates)
    if told:
        return str(max(told))
    folder = path.resolve().parent  # mainstem's own are all named map.tif
    named = (set(YEAR.findall(text)) for text in (path.stem, folder.name, folder.parent.name))
    return next((str(*found) for found in named if len(found) == 1), None)


def check_copies(seasons: Mapping[str, Sequence[Path]]) -> None:
    """Check that no raster is given for two seasons.

    Raises:
        InputError: if rasters of two seasons hold the same values.
    """
    sizes: dict[tuple[int, int], list[tuple[str, Path]]] = {}
    for name, paths in seasons.items():
        for path in paths:
            with open_geotiff(path) as dataset:
                sizes.setdefault((dataset.height, dataset.width), []).append((name, path))
    for alike in sizes.values():
        held: dict[str, tuple[str, Path]] = {}
        for name, path in alike if len({name for name, _ in alike}) > 1 else ():
            digest = _sha256_of(path)
            other, first = held.setdefault(digest, (name, path)) if digest else (name, path)
            if other != name:
                raise InputError(
                    f"{last_parts(first)} and {last_parts(path)} hold the same values, so that they are one season and "
                    f"not {other} and {name}; leave one out"
                )


def _sha256_of(path: Path) -> str:
    """sha256 of the values that are looked at, of the first band as float32; "" where there is none."""
    source, hashed, shows = describe(path), hashlib.sha256(), False
    for top in range(0, source.grid.height, ROWS):
        rows = slice(top, min(top + ROWS, source.grid.height))
        values = missing_as_nan(source, read_window(source, rows, slice(0, source.grid.width))[0]).astype(np.float32)
        values[np.isnan(values)] = np.nan  # of all its bit patterns one
        shows |= bool(np.isfinite(values).any())
        hashed.update(values.tobytes())
    return hashed.hexdigest() if shows else ""


def doubt_of(names: Sequence[str], years: NDArray[np.float64], inside: NDArray[np.bool_]) -> str:
    """Why seasons (year, y, x) of these names say nothing of one another in a field, in words; "" where they may."""
    if len(names) < 2:
        return ""
    yearless = [name for name in names if not YEAR.fullmatch(name)]
    if yearless:
        return (
            f"no year is known of {', '.join(yearless[:3])}: whether these are other seasons cannot be told; name "
            "files by their year, as yield_2021.tif"
        )
    for (one, first), (other, second) in combinations(zip(names, years, strict=True), 2):
        r = correlation(np.where(inside, first, np.nan), np.where(inside, second, np.nan))
        if r > AS_COPIES:
            return (
                f"{one} and {other} are as alike as copies of one raster are (correlation {r:.3f}): look at the files"
            )
    return ""


def doubted(told: Mapping[str, object], doubt: str) -> dict[str, object]:
    """A claim with its reason, withheld where there is a doubt."""
    return {**told, "claim": "none", "reason": f"{doubt}; {told['reason']}"} if doubt else dict(told)
