"""Pixels with their land use: windows of an NDVI cube around each labelled pixel, grouped by polygon."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import NO_LICENCE, Channel, Geometry, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.earth.eopatch import Cube, is_eopatch, open_eopatch, open_land_use
from mainstem.data.earth.scenes import origin_of

EOLEARN = "eolearn-ndvi"
WINDOW = 3  # pixels a side of what is seen around a pixel


def open_land_cover(data: str, mirror: Path | None = None) -> SampleSet:
    """Read labelled pixels by name, or from an EOPatch folder of one's own with `vector_timeless/LULC.gpkg`.

    Raises:
        InputError: if it is neither, or no polygon is labelled.
    """
    attribution, licence, folder = "", NO_LICENCE, Path(data)
    if data == EOLEARN:
        found = find_data_set(data)
        folder, attribution, licence = pull(data, mirror), found.attribution, found.licence
    if not is_eopatch(folder):
        raise InputError(f"got {data!r}, want {EOLEARN} or an EOPatch folder (data/, timestamps.json, bbox.geojson)")
    cube = open_eopatch(folder)
    name = data if data == EOLEARN else f"{folder.resolve().name} {digest_of(cube)}"
    land_use = open_land_use(folder, cube.grid)
    classes = tuple(sorted(set(land_use.names.values())))
    if not classes:
        raise InputError(f"{folder.name} has no polygon with a LULC_NAME; label some")
    rows, columns = np.nonzero(land_use.polygon >= 0)
    samples, to_m = [], cube.grid.transform
    for sample, row, column in zip(windows(cube, rows, columns), rows.tolist(), columns.tolist(), strict=True):
        polygon = int(land_use.polygon[row, column])
        source = Provenance(
            data=name,
            item=f"{row} {column}",
            group=f"polygon {polygon}",
            licence=licence,
            attribution=attribution,
            facts={"x_m": to_m[2] + to_m[0] * (column + 0.5), "y_m": to_m[5] + to_m[4] * (row + 0.5)},
        )
        target = float(classes.index(land_use.names[polygon]))
        samples.append(Sample(streams=sample, target=target, source=source, origin=origin_of(cube.times[0])))
    return SampleSet(
        name=name, samples=tuple(samples), flagged={}, attribution=attribution, licence=licence, classes=classes
    )


def digest_of(cube: Cube) -> str:
    """What tells a cube from others, wherever it lies: twelve digits of a hash of its grid, times and values."""
    found = hashlib.sha256(repr((cube.grid.crs, cube.grid.transform, cube.times)).encode())
    found.update(np.ascontiguousarray(cube.values).tobytes())
    return found.hexdigest()[:12]


def windows(cube: Cube, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Iterator[dict[str, Stream]]:
    """Yield the streams of pixels: `cube`, the window around each, on the dates that show any of it."""
    first = cube.times[0].replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    times = np.array([(time - first).total_seconds() for time in cube.times])
    found = windows_of(cube.values, times, (rows, columns), cube.channels, float(cube.grid.transform[0]))
    for window in found.values:
        shown = np.isfinite(window).any((1, 2, 3))
        yield {
            "cube": Stream(
                kind="grid", values=window[shown], channels=found.channels, times=times[shown], geometry=found.geometry
            )
        }


def windows_of(
    values: NDArray[np.float32],
    times: NDArray[np.float64],
    at: tuple[NDArray[np.intp], NDArray[np.intp]],
    channels: tuple[Channel, ...],
    spacing_m: float,
) -> Block:
    """Windows (time, channel, WINDOW, WINDOW) of values around pixels, on all dates; missing beyond the edge."""
    reach = WINDOW // 2
    padded = np.pad(values, [(0, 0), (0, 0), (reach, reach), (reach, reach)], constant_values=np.nan)
    every = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW), (2, 3))
    found = np.moveaxis(every[:, :, at[0], at[1]], 2, 0).astype(np.float64)
    return Block(kind="grid", values=found, channels=channels, times=times, geometry=Geometry.of_spacing(spacing_m))
