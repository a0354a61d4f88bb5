"""Zones of a field as polygons that fill it to its border."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.field_grids import FieldGrid
from mainstem.data.earth.raster import affine

ROUNDING = 1e-9  # of a field's area
REACH = 2.0  # cells over which a zone grows to the border, or over a gap


def near_values(years: NDArray[np.float64], reach: float = REACH) -> NDArray[np.bool_]:
    """True (y, x) where a season of several (season, y, x) shows something within reach: elsewhere is no zone."""
    from scipy import ndimage

    seen = np.asarray(np.isfinite(years).any(0), dtype=bool)
    if not seen.any():
        return seen
    near: NDArray[np.bool_] = ndimage.distance_transform_edt(~seen) <= reach
    return near


def filled(labels: NDArray[np.int64], share: NDArray[np.float64], reach: float = REACH) -> NDArray[np.int64]:
    """Labels (y, x) of every cell that touches the field: its own, else the nearest zone's within reach; else 0."""
    from scipy import ndimage

    away, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    near: NDArray[np.int64] = labels[tuple(nearest)]
    return np.where((share > 0) & (away <= reach), near, 0)


def zone_polygons(labels: NDArray[np.int64], laid: FieldGrid) -> dict[int, Any]:
    """The area of each zone within the field, in the grid's CRS; 0 is the part of the field that is in no zone."""
    import shapely
    from rasterio.features import shapes

    found = filled(labels, laid.share)
    parts: dict[int, list[Any]] = {}
    for outline, value in shapes(found.astype(np.int16), mask=found > 0, transform=affine(laid.grid)):
        parts.setdefault(int(value), []).append(shapely.geometry.shape(outline))
    zones = {zone: polygonal(shapely.unary_union(pieces).intersection(laid.polygon)) for zone, pieces in parts.items()}
    if sum(zone.area for zone in zones.values()) > (1 - ROUNDING) * laid.polygon.area:
        return {zone: area for zone, area in sorted(zones.items()) if not area.is_empty}
    covered = shapely.unary_union(list(zones.values())) if zones else shapely.Polygon()
    rest = polygonal(laid.polygon.difference(covered))
    if zones and rest.area < (REACH * laid.cell_m) ** 2:  # a corner that no zone reaches
        near = min(zones, key=lambda zone: zones[zone].distance(rest))
        zones[near] = polygonal(zones[near].union(rest))
    elif not rest.is_empty:
        zones[0] = rest
    return {zone: area for zone, area in sorted(zones.items()) if not area.is_empty}


def polygonal(shape: Any) -> Any:  # noqa: ANN401 - shapely's
    """The polygons of a shape, as one that is valid; points and lines, which cutting leaves behind, are dropped.

    Moving a border to another CRS rounds it, which can make parts that touch in a corner cross.
    """
    import shapely

    shape = shape if shape.is_valid else shapely.make_valid(shape)
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = [part for part in getattr(shape, "geoms", [shape]) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.unary_union(parts) if parts else shapely.Polygon()
