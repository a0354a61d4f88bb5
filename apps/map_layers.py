"""Layers derived from a whole map, read back by rows: the mask of what is known, and of classes the most probable."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.cog import BLOCK, write_cog
from mainstem.data.earth.raster import Source, describe, read_window

Derive = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (band, y, x) -> (out, y, x)


def write_layers(target: Path, wanted: Mapping[str, Any], tags: Mapping[str, str]) -> list[Path]:
    """Write valid.tif (1 where the map holds a value, else 0) and, of classes, classes.tif beside the map.

    classes.tif holds the index from 1 of the most probable class, NaN where none, and how many cannot be ruled out.
    """
    source = describe(target)
    made = [_derive(source, target.with_name("valid.tif"), ["valid"], tags, _valid)]
    if "classes" in wanted:
        names = {f"CLASS_{index + 1}": name for index, name in enumerate(wanted["classes"])}
        thresholds = np.asarray(wanted["thresholds"])[:, None, None]

        def classes(values: NDArray[np.float32]) -> NDArray[np.float32]:
            known = np.isfinite(values).all(0)
            named = np.where(known, np.nan_to_num(values).argmax(0) + 1.0, np.nan)
            left = np.where(known, (values >= thresholds).sum(0), np.nan)
            return np.stack([named, left]).astype(np.float32)

        path = target.with_name("classes.tif")
        made.append(_derive(source, path, ["class", "classes not ruled out"], {**tags, **names}, classes))
    return made


def _valid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.isfinite(values[:1]).astype(np.float32)


def _derive(source: Source, path: Path, names: list[str], tags: Mapping[str, str], derive: Derive) -> Path:
    def windows() -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        for top in range(0, source.grid.height, BLOCK):
            rows = slice(top, min(top + BLOCK, source.grid.height))
            yield top, 0, derive(read_window(source, rows, slice(0, source.grid.width)))

    write_cog(windows(), path, source.grid, names, {**tags, "UNITS": "1"}, is_category=True)
    return path
