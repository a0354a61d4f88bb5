"""A cleaned harvest on a grid, with the doubt of every cell, and means of fields with intervals.

What a cell's mean is worth is learned from the harvest itself: records of one pass in a cell differ by the record's own
error, passes that cross one cell by the pass's, and the latter stays however many records a pass has (one-way analysis
of variance with random effects; Searle, Casella, McCulloch 1992, Variance Components, chapter 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mainstem.core.errors import InputError
from mainstem.data.earth.fields import overlay
from mainstem.data.earth.gdal import keep_offline
from mainstem.data.earth.harvests.cleaning import Cleaned
from mainstem.data.earth.harvests.points import Array
from mainstem.data.earth.raster import Grid

LEVEL = 0.9
ACROSS = 5  # points across the header that a record's area is spread over
LEAST_SHARE = 0.25  # of a cell that must have been harvested, below which it shows nothing
LEAST_SEEN = 0.5  # of a field, as maps have it
MOST_CELLS = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Standard deviations, t/ha, of a record about its pass in a cell, and of a pass about its cell."""

    record: float
    of_pass: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Records:
    """Records of a harvest that were kept, as means of fields need them (record,).

    Attributes:
        x, y: m, in `crs`; heading_rad: counter-clockwise from east; number: of its pass.
        yield_t_ha: corrected; area_m2, swath_m: NaN where the log tells none.
    """

    crs: str
    x: Array
    y: Array
    yield_t_ha: Array
    area_m2: Array
    heading_rad: Array
    swath_m: Array
    number: NDArray[np.int64]

    @classmethod
    def of(cls, cleaned: Cleaned) -> "Records":
        """Those that no rule took out."""
        kept, points = cleaned.kept, cleaned.points
        return cls(
            crs=points.local_crs(), x=cleaned.x[kept], y=cleaned.y[kept], yield_t_ha=cleaned.yield_t_ha[kept],
            area_m2=cleaned.area_m2[kept], heading_rad=cleaned.heading_rad[kept], swath_m=points.swath_m[kept],
            number=cleaned.number[kept],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class YieldGrid:
    """Yield by cell.

    Attributes:
        records: that it was made of.
        mean, error: t/ha (y, x), area-weighted mean and its standard error; NaN where too little was harvested.
        share: of each cell's area that kept records cover, 0-1 and beyond where passes overlap.
    """

    grid: Grid
    mean: NDArray[np.float32]
    error: NDArray[np.float32]
    share: NDArray[np.float32]
    errors: Errors
    records: Records

    def interval(self, level: float = LEVEL) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lower and upper ends (y, x), none below 0."""
        half = norm.ppf((1 + level) / 2) * self.error
        return np.maximum(self.mean - half, 0).astype(np.float32), (self.mean + half).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class FieldMean:
    """A field's mean, t/ha, with its interval; NaN where less than LEAST_SEEN of it was harvested."""

    mean: float
    lower: float
    upper: float
    seen_share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Parts:
    """What of each record lies in each cell: its area m², cell, record and pass (part,)."""

    cell: NDArray[np.int64]
    record: NDArray[np.int64]
    area: Array
    number: NDArray[np.int64]
    value: Array


def own_grid(cleaned: Cleaned, cell_m: float) -> Grid:
    """The grid of whole multiples of a cell's size, in the UTM zone of the harvest, that holds all kept records."""
    from mainstem.data.earth.crs import parse_crs

    kept = cleaned.kept
    if not kept.any():
        raise InputError(
            "no record of the harvest is left; look at what each rule took out, and leave one out (--skip)"
        )
    x, y = cleaned.x[kept], cleaned.y[kept]
    margin = np.nan_to_num(np.nanmax(cleaned.points.swath_m[kept], initial=0)) / 2
    left, top = np.floor((x.min() - margin) / cell_m) * cell_m, np.ceil((y.max() + margin) / cell_m) * cell_m
    width, height = int(np.ceil((x.max() + margin - left) / cell_m)), int(np.ceil((top - y.min() + margin) / cell_m))
    if width * height > MOST_CELLS:
        raise InputError(
            f"the harvest spans {width} x {height} cells of {cell_m:g} m; give one field at a time, or larger cells"
        )
    crs = parse_crs(cleaned.points.local_crs(), "the harvest").to_wkt()
    return Grid(width=max(width, 1), height=max(height, 1), transform=(cell_m, 0.0, left, 0.0, -cell_m, top), crs=crs)


def grid_yield(cleaned: Cleaned, cell_m: float = 10.0, grid: Grid | None = None) -> YieldGrid:
    """Lay a harvest on a grid: one of its own, or that of scenes.

    Raises:
        InputError: if nothing is left of it.
    """
    grid = grid or own_grid(cleaned, cell_m)
    records = Records.of(cleaned)
    parts = _parts(records, grid)
    errors = _errors(parts)
    size = grid.width * grid.height
    total = np.bincount(parts.cell, parts.area, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(parts.cell, parts.area * parts.value, size) / total
        by_record = np.bincount(parts.cell, parts.area**2, size) / total**2
        by_pass = _squares(parts, size) / total**2
    share = total / abs(grid.transform[0] * grid.transform[4])
    error = np.sqrt(errors.record**2 * by_record + errors.of_pass**2 * by_pass)
    seen = share >= LEAST_SHARE
    shape = (grid.height, grid.width)
    return YieldGrid(
        grid=grid, mean=np.where(seen, mean, np.nan).reshape(shape).astype(np.float32),
        error=np.where(seen, error, np.nan).reshape(shape).astype(np.float32),
        share=share.reshape(shape).astype(np.float32), errors=errors, records=records,
    )  # fmt: skip


def _parts(records: Records, grid: Grid) -> _Parts:
    """Spread each record over ACROSS points of its header, and put together what lies in one cell."""
    keep_offline()
    from pyproj import Transformer

    swath = np.nan_to_num(records.swath_m)
    side = (np.arange(ACROSS) + 0.5) / ACROSS - 0.5
    turn, left = records.heading_rad[:, None], swath[:, None] * side
    x, y = records.x[:, None] - left * np.sin(turn), records.y[:, None] + left * np.cos(turn)
    to = Transformer.from_crs(records.crs, grid.crs, always_xy=True)
    x, y = to.transform(x.ravel(), y.ravel())
    column = np.floor((x - grid.transform[2]) / grid.transform[0])
    row = np.floor((y - grid.transform[5]) / grid.transform[4])
    inside = (column >= 0) & (column < grid.width) & (row >= 0) & (row < grid.height)
    num = len(records.x)
    record = np.repeat(np.arange(num), ACROSS)[inside]
    cell = (row[inside] * grid.width + column[inside]).astype(np.int64)
    area = np.repeat(_areas(records) / ACROSS, ACROSS)[inside]
    key, inverse = np.unique(cell * num + record, return_inverse=True)
    area = np.asarray(np.bincount(inverse, area, len(key)), np.float64)
    record = key % num
    return _Parts(
        cell=key // num, record=record, area=area,
        number=records.number[record], value=records.yield_t_ha[record],
    )  # fmt: skip


def _areas(records: Records) -> Array:
    """Area of each record, m²; where the log tells none, all count alike, as 10 m²."""
    area = records.area_m2
    known = area[np.isfinite(area) & (area > 0)]
    usual = float(np.median(known)) if known.size else 10.0
    return np.where(np.isfinite(area) & (area > 0), area, usual)


def _errors(parts: _Parts) -> Errors:
    """Standard deviations of records within a pass in a cell, and of passes within a cell."""
    if not len(parts.cell):
        return Errors(record=0.0, of_pass=0.0)
    _, group = np.unique(np.column_stack([parts.cell, parts.number]), axis=0, return_inverse=True)
    group = group.ravel()
    count = np.bincount(group)
    mean = np.bincount(group, parts.value) / count
    freedom = float((count - 1).sum())
    within = float(((parts.value - mean[group]) ** 2).sum() / freedom) if freedom else 0.0
    cell = np.zeros(len(count), np.int64)
    cell[group] = parts.cell
    _, place, passes = np.unique(cell, return_inverse=True, return_counts=True)
    shared = passes[place] > 1
    if not shared.any():
        return Errors(record=within**0.5, of_pass=within**0.5)  # nothing tells them apart: the passes are not trusted
    middle = np.bincount(place, mean) / passes
    freedom = float((passes - 1).sum())
    between = float(((mean - middle[place]) ** 2).sum() / freedom)
    return Errors(record=within**0.5, of_pass=max(between - within * float((1 / count[shared]).mean()), 0.0) ** 0.5)


def _squares(parts: _Parts, size: int) -> Array:
    """Sum over the passes of a cell of their area's square (cell,)."""
    pairs, group = np.unique(np.column_stack([parts.cell, parts.number]), axis=0, return_inverse=True)
    area = np.bincount(group.ravel(), parts.area, len(pairs))
    return np.asarray(np.bincount(pairs[:, 0], area**2, size))


def taken_share(cleaned: Cleaned, grid: Grid) -> NDArray[np.float32]:
    """Share of the records in each cell (y, x) that a rule took out, 0-1; NaN where none was logged."""
    x, y = cleaned.points.metric(grid.crs)
    with np.errstate(invalid="ignore"):
        column, row = (
            np.floor((x - grid.transform[2]) / grid.transform[0]),
            np.floor((y - grid.transform[5]) / grid.transform[4]),
        )
        inside = (column >= 0) & (column < grid.width) & (row >= 0) & (row < grid.height)
    cell, size = (row[inside] * grid.width + column[inside]).astype(np.int64), grid.width * grid.height
    with np.errstate(invalid="ignore"):
        share = np.bincount(cell, ~cleaned.kept[inside], size) / np.bincount(cell, minlength=size)
    return np.asarray(share.reshape(grid.height, grid.width), np.float32)


def field_means(found: YieldGrid, polygons: Sequence[Any | None]) -> list[FieldMean]:
    """Mean over each field's cells, as `field_mean` has it: the one calculation behind the command and the pages."""
    parts = _parts(found.records, found.grid)
    return [field_mean(found, polygon, parts) for polygon in polygons]


def field_mean(found: YieldGrid, polygon: Any | None = None, parts: _Parts | None = None) -> FieldMean:  # noqa: ANN401 - shapely's
    """Mean over a field's cells (all of them without a polygon, in the grid's CRS), and its interval.

    Errors of records and passes average out; of what was not harvested, or taken out, the cells' own spread stands for
    how far it may be from the rest. A monitor that weighs wrongly all day is in neither: only weighed loads tell that.
    """
    cell_m2 = abs(found.grid.transform[0] * found.grid.transform[4])
    share = np.where(found.share > 0, 1.0, 0.0) if polygon is None else _whole_share(found.grid, polygon)
    whole = float(share.sum()) if polygon is None else max(float(share.sum()), polygon.area / cell_m2)
    seen = np.where(np.isfinite(found.mean), share, 0.0)
    seen_share = float(seen.sum() / whole) if whole > 0 else 0.0
    if seen_share < LEAST_SEEN:
        return FieldMean(mean=np.nan, lower=np.nan, upper=np.nan, seen_share=seen_share)
    weight = seen / seen.sum()
    mean = float(np.nansum(weight * found.mean))
    spread = float(np.sqrt(np.nansum(weight * (found.mean - mean) ** 2)))
    parts = parts or _parts(found.records, found.grid)
    inside = seen.ravel()[parts.cell] > 0
    area = np.bincount(parts.number[inside], parts.area[inside])
    records = np.bincount(parts.record[inside], parts.area[inside])
    error = np.sqrt(
        found.errors.of_pass**2 * (area**2).sum() / area.sum() ** 2
        + found.errors.record**2 * (records**2).sum() / records.sum() ** 2
        + ((1 - seen_share) * spread) ** 2
    )
    half = float(norm.ppf((1 + LEVEL) / 2) * error)
    return FieldMean(mean=mean, lower=max(mean - half, 0.0), upper=mean + half, seen_share=seen_share)


def _whole_share(grid: Grid, polygon: Any) -> Array:  # noqa: ANN401 - shapely's
    """Share of each of the grid's cells (y, x) that lies in a polygon."""
    laid = overlay(grid, polygon)
    share = np.zeros((grid.height, grid.width))
    share[laid.rows, laid.columns] = laid.share[: grid.height, : grid.width]
    return share
