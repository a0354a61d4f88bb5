"""What lies around the regions: land, borders, places and the graticule's own grid, projected once per CRS and box.

The source is Natural Earth (public domain, see world/NOTICE); its lines are true to about 500 m.
"""

import base64
import hashlib
import json
import math
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from mainstem.dashboards.components.fieldmap.blobs import Blob, pack_arrays

WORLD = Path(__file__).parent / "world" / "world.json"
GRID = 48  # samples a side of the longitudes and latitudes that the browser interpolates
REACH = 1.0  # of what is drawn beyond the regions on each side, as a share of their longer side
SPAN_DEG = 75.0  # of longitude and latitude on each side of the middle: beyond, map projections fold
MOST_DEG = 84.0
LEAST_SIDE = 1e-3
LEAST_SHARE = 1 / 400  # of the box's side that an area with a name takes
MOST_PLACES = 1500
FINEST_M = 250.0  # lines are not simplified below
LINES = ("land", "lakes", "countries", "states")
Array = NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Rings and lines in degrees, and names: (text, longitude, latitude, size in km)."""

    lines: dict[str, NDArray[np.object_]]
    areas: dict[str, tuple[tuple[str, float, float, float], ...]]
    places: tuple[tuple[str, float, float], ...]


@cache
def read_world() -> World:
    """Read what ships of Natural Earth, once."""
    told = json.loads(WORLD.read_text(encoding="utf-8"))
    return World(
        lines={name: _unpack(told[name], told["quantum_deg"]) for name in LINES},
        areas={name: tuple(map(tuple, told[f"{name}_names"])) for name in ("country", "state")},
        places=tuple(map(tuple, told["places"])),
    )


def _unpack(group: dict[str, Any], quantum: float) -> NDArray[np.object_]:
    """Lines, or polygons where rings have owners, as shapely holds them."""
    starts, counts = _ints(group["starts"], "<i4").reshape(-1, 2), _ints(group["counts"], "<i4")
    deltas = _ints(group["deltas"], "<i2").reshape(2, -1).T.astype(np.int64)
    steps = np.empty((int(counts.sum()), 2), np.int64)
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    is_first = np.zeros(len(steps), bool)
    is_first[firsts] = True
    steps[~is_first] = deltas
    ends = np.zeros_like(starts, dtype=np.int64)  # where the line before it stopped
    steps[firsts] = starts
    sums = np.cumsum(steps, axis=0)
    ends[1:] = sums[firsts[1:] - 1]
    points = (sums - np.repeat(ends, counts, axis=0)) * quantum
    owners = np.repeat(np.arange(len(counts)), counts)
    if "owners" not in group:
        return np.asarray(shapely.linestrings(points, indices=owners), np.object_)
    is_ring = counts >= 4
    rings = shapely.linearrings(points[is_ring[owners]], indices=np.cumsum(is_ring)[owners[is_ring[owners]]] - 1)
    polygons = np.asarray(shapely.polygons(rings, indices=_ints(group["owners"], "<i4")[is_ring]), np.object_)
    is_crossed = ~shapely.is_valid(polygons)  # by the rounding
    polygons[is_crossed] = shapely.make_valid(polygons[is_crossed])
    return polygons


def _ints(text: str, kind: str) -> NDArray[np.int64]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


def ground_around(box: Box) -> Box:
    """Widen a box of the regions to what is drawn around it; rounded, so that one more field seldom needs a new one."""
    left, bottom, right, top = box
    side = max(right - left, top - bottom, LEAST_SIDE)
    step = 2.0 ** math.ceil(math.log2(side)) / 8
    return (
        math.floor((left - REACH * side) / step) * step, math.floor((bottom - REACH * side) / step) * step,
        math.ceil((right + REACH * side) / step) * step, math.ceil((top + REACH * side) / step) * step,
    )  # fmt: skip


@lru_cache(maxsize=8)
def make_ground(crs: str, box: Box, origin: tuple[float, float]) -> Blob:
    """Project what lies in a box; what the browser reads of it is laid out in ground.js.

    Coordinates are relative to `origin`, y upwards.
    """
    back = Transformer.from_crs(CRS.from_user_input(crs), "EPSG:4326", always_xy=True)
    grid = sample_grid(back, box)
    header: dict[str, Any] = {
        "grid": {"box": [box[0] - origin[0], box[1] - origin[1], box[2] - origin[0], box[3] - origin[1]], "side": GRID},
        "lines": {}, "names": [], "ellipsoid": ellipsoid_of(crs),
        "is_metric": CRS.from_user_input(crs).is_projected,
    }  # fmt: skip
    arrays: list[NDArray[Any]] = [grid]
    window = window_of(grid)
    if window is not None:
        there = Transformer.from_crs("EPSG:4326", CRS.from_user_input(crs), always_xy=True)
        for name in LINES:
            ends, xy = _project(read_world().lines[name], window, there, box)
            header["lines"][name] = len(ends)
            arrays += [ends, (xy - origin).astype(np.float32)]
        header["names"] = _names(window, there, box, origin)
    data = pack_arrays(header, arrays)
    return Blob(key=hashlib.sha256(data).hexdigest()[:16], kind="ground", data=data)


def ellipsoid_of(crs: str) -> list[float]:
    """Semi-major axis, m, and flattening of a CRS's ellipsoid."""
    found = CRS.from_user_input(crs).ellipsoid
    if found is None:
        return [6378137.0, 1 / 298.257223563]  # WGS 84
    inverse = found.inverse_flattening
    return [found.semi_major_metre, 1 / inverse if inverse else 0.0]


def sample_grid(back: Transformer, box: Box) -> Array:
    """Longitudes and latitudes, degrees, over a box: (2, GRID, GRID), from its lower left; NaN where there are none.

    Longitudes run on beyond 180 where the box crosses that meridian.
    """
    x, y = np.meshgrid(np.linspace(box[0], box[2], GRID), np.linspace(box[1], box[3], GRID))
    longitude, latitude = back.transform(x, y)
    found = np.stack([longitude, latitude]).astype(np.float64)
    found[:, ~np.isfinite(found).all(0)] = np.nan
    middle = found[0, GRID // 2, GRID // 2]
    if np.isfinite(middle):
        found[0] = middle + (found[0] - middle + 180) % 360 - 180
    return found


def window_of(grid: Array) -> Box | None:
    """West, south, east, north of a grid, within what projections can show; None where it lies nowhere on the globe."""
    middle = grid[:, GRID // 2, GRID // 2]
    if not np.isfinite(middle).all():
        return None
    longitude, latitude = middle.tolist()
    west, east = np.nanmin(grid[0]), np.nanmax(grid[0])
    south, north = np.nanmin(grid[1]), np.nanmax(grid[1])
    return (
        max(float(west), longitude - SPAN_DEG), max(float(south), latitude - SPAN_DEG, -MOST_DEG),
        min(float(east), longitude + SPAN_DEG), min(float(north), latitude + SPAN_DEG, MOST_DEG),
    )  # fmt: skip


def _project(
    shapes: NDArray[np.object_], window: Box, there: Transformer, box: Box
) -> tuple[NDArray[np.uint32], Array]:
    """Clip to a window, project, and simplify to what a box can show: ends of rings or lines, and vertices."""
    found: list[NDArray[np.object_]] = []
    for shift in (-360.0, 0.0, 360.0):
        near = shapely.clip_by_rect(shapes, window[0] - shift, window[1], window[2] - shift, window[3])
        near = near[~shapely.is_empty(near)]
        if len(near):
            found.append(shapely.get_parts(shapely.transform(near, lambda xy, by=shift: xy + np.array([by, 0.0]))))
    if not found:
        return np.zeros(0, np.uint32), np.zeros((0, 2))
    near = shapely.transform(np.concatenate(found), lambda xy: np.column_stack(there.transform(xy[:, 0], xy[:, 1])))
    near = near[np.isfinite(shapely.bounds(near)).all(1)]
    width = max(box[2] - box[0], box[3] - box[1])
    finest = FINEST_M if not there.target_crs or there.target_crs.is_projected else FINEST_M / 111_320
    near = shapely.simplify(near, max(width / 8000, finest), preserve_topology=False)
    near = near[~shapely.is_empty(near)]
    parts = shapely.get_parts(near)
    is_area = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    rings = np.concatenate([shapely.get_rings(parts[is_area]), parts[~is_area]]) if len(parts) else parts
    rings = rings[shapely.get_type_id(rings) <= shapely.GeometryType.LINEARRING] if len(rings) else rings
    xy, owners = shapely.get_coordinates(rings, return_index=True)
    return np.cumsum(np.bincount(owners, minlength=len(rings))).astype(np.uint32), xy


def _names(window: Box, there: Transformer, box: Box, origin: tuple[float, float]) -> list[list[Any]]:
    """Names in a box, the most important first of each kind: [kind, text, x, y, size km]; places have no size."""
    world, rows = read_world(), list[tuple[str, str, float, float, float]]()
    least_km = LEAST_SHARE * max(window[2] - window[0], window[3] - window[1]) * 111.3
    for kind, areas in world.areas.items():
        rows += [(kind, text, x, y, size) for text, x, y, size in areas if size >= least_km]
    num_areas = len(rows)
    rows += [("place", text, x, y, 0.0) for text, x, y in world.places]
    at = np.array([row[2:4] for row in rows])
    middle = (window[0] + window[2]) / 2
    at[:, 0] = middle + (at[:, 0] - middle + 180) % 360 - 180
    xy = np.column_stack(there.transform(at[:, 0], at[:, 1]))
    inside = ((at >= window[:2]) & (at <= window[2:]) & (xy >= box[:2]) & (xy <= box[2:])).all(1)
    kept = np.flatnonzero(inside)
    kept = kept[: int((kept < num_areas).sum()) + MOST_PLACES]
    return [
        [
            rows[n][0],
            rows[n][1],
            round(float(xy[n, 0] - origin[0]), 3),
            round(float(xy[n, 1] - origin[1]), 3),
            rows[n][4],
        ]
        for n in kept
    ]
