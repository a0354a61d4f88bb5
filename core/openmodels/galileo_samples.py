"""Galileo's own inputs from samples: monthly composites of bands, scaled as in training, and what is hidden."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mainstem.core.cases import Cases
from mainstem.core.openmodels.composites import (
    composed,
    grid_of,
    in_order,
    latlon_of,
    monthly,
    one_size,
    share_clock,
    spacing_of,
    windows_in,
)
from mainstem.core.stream import Channel, Sample

SPACE_TIME = {"S1": (0, 1), "S2_RGB": (2, 3, 4), "S2_Red_Edge": (5, 6, 7), "S2_NIR_10m": (8,), "S2_NIR_20m": (9,),
              "S2_SWIR": (10, 11), "NDVI": (12,)}  # fmt: skip
VALUES = {"s_t_x": 13, "sp_x": 16, "t_x": 6, "st_x": 18}
MASKS = {"s_t_m": 7, "sp_m": 3, "t_m": 3, "st_m": 4}
BANDS = (
    *(Channel(name=name, unit="dB") for name in ("VV", "VH")),
    *(Channel(name=f"B{band}", unit="1") for band in ("2", "3", "4", "5", "6", "7", "8", "8A", "11", "12")),
    Channel(name="NDVI", unit="1"),
)
MEAN = (-11.7287, -18.8556, 1395.3409, 1338.4027, 1343.0988, 1543.8608, 2186.2022, 2525.0933, 2410.3377, 2750.2855,
        2234.9111, 1474.5311)  # fmt: skip
STD = (4.8871, 5.7303, 917.7041, 913.2988, 1092.6787, 1047.2206, 1048.0101, 1143.6903, 1098.9792, 1204.4728, 1145.9774,
       980.2430)  # fmt: skip


def inputs_of(samples: Sequence[Sample], kernel: int, max_steps: int) -> dict[str, Any]:
    """The original's inputs from samples with one image series each, in patches of at most `kernel` pixels a side.

    Bands are scaled as in training, (x - mean + 2 std) / 4 std with the statistics of the original's
    `config/normalization.json` (`Normalizer`, mode std); NDVI is taken as it is. A pixel under cloud takes the mean of
    what its patch shows.
    """
    if isinstance(samples, Cases) and share_clock(samples) and "place" not in samples.streams:
        return _windows(samples, kernel, max_steps)
    streams = [grid_of(sample, "Galileo") for sample in samples]
    rows, columns = one_size(streams)
    spacing = np.array([spacing_of(sample, stream) for sample, stream in zip(samples, streams, strict=True)])
    months = [monthly(stream, sample.origin, max_steps) for stream, sample in zip(streams, samples, strict=True)]
    num, steps = len(samples), max(1, *(len(found.values) for found in months))
    values, numbers = np.full((num, rows, columns, steps, len(BANDS)), np.nan), np.zeros((num, steps), np.int64)
    static = np.zeros((num, VALUES["st_x"]))
    static_hidden = np.ones((num, MASKS["st_m"]))
    for row, (sample, stream, found) in enumerate(zip(samples, streams, months, strict=True)):
        part = in_order(found.values, stream.channels, BANDS)
        values[row, :, :, : len(part)] = part.transpose(2, 3, 0, 1)
        numbers[row, : len(part)] = found.numbers()
        where = latlon_of(sample)
        if where is not None:
            static[row, 1:4], static_hidden[row, 1] = _unit_vector(*where), 0
    return _inputs(values, numbers, (static, static_hidden), spacing, kernel)


def _windows(samples: Cases, kernel: int, max_steps: int) -> dict[str, Any]:
    """The original's inputs from windows that share their dates, of which no place is known."""
    found, num = windows_in(samples), len(samples)
    values, months = composed(found, str(samples.origin), max_steps)
    values = in_order(values, found.channels, BANDS).transpose(0, 3, 4, 1, 2)
    static, hidden = np.zeros((num, VALUES["st_x"])), np.ones((num, MASKS["st_m"]))
    spacing = spacing_of(samples[0], grid_of(samples[0], "Galileo"))
    return _inputs(values, months, (static, hidden), np.full(num, spacing), kernel)


def _inputs(
    values: np.ndarray, months: np.ndarray, static: tuple[np.ndarray, np.ndarray], spacing: np.ndarray, kernel: int
) -> dict[str, Any]:
    """The original's inputs from raw values (n, y, x, time, band), NaN where missing, and metres a pixel (n,).

    `static` holds values and masks; `kernel` is the largest patch, pixels a side.
    """
    num, rows, columns, steps, _ = values.shape
    patch_size = next(size for size in range(kernel, 0, -1) if rows % size == 0 and columns % size == 0)
    values = _filled(values, patch_size)
    mean, std = np.array(MEAN), np.array(STD)
    scaled = values.copy()
    scaled[..., 2:12] *= 1e4
    scaled[..., :12] = (scaled[..., :12] - mean + 2 * std) / (4 * std)
    hidden = np.stack([np.isnan(values[..., list(members)]).any(-1) for members in SPACE_TIME.values()], -1)
    return {
        "s_t_x": np.nan_to_num(scaled), "s_t_m": hidden,
        "sp_x": np.zeros((num, rows, columns, VALUES["sp_x"])),
        "sp_m": np.ones((num, rows, columns, MASKS["sp_m"])),
        "t_x": np.zeros((num, steps, VALUES["t_x"])), "t_m": np.ones((num, steps, MASKS["t_m"])),
        "st_x": static[0], "st_m": static[1], "months": months, "patch_size": patch_size,
        "input_resolution_m": spacing,
    }  # fmt: skip


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    """Give missing pixels (n, y, x, time, band) the mean of those that their patch shows; NaN where it shows none."""
    num, rows, columns, steps, bands = values.shape
    cut = values.reshape(num, rows // size, size, columns // size, size, steps, bands)
    seen = np.isfinite(cut)
    count = seen.sum((2, 4), keepdims=True)
    mean = np.where(seen, cut, 0.0).sum((2, 4), keepdims=True) / np.where(count > 0, count, np.nan)
    return np.where(seen, cut, mean).reshape(values.shape)


def _unit_vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    """A place as (x, y, z) on the unit sphere, as the original's `location`."""
    lat, lon = math.radians(latitude), math.radians(longitude)
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)
