"""How a map is laid out for the browser; payload.js reads it."""

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.dashboards.components.fieldmap.blobs import Blob, pack_arrays
from mainstem.dashboards.components.fieldmap.content import Geometry, Layer, MapContent, Raster
from mainstem.dashboards.components.fieldmap.ground import ground_around, make_ground

TILES = "MAINSTEM_TILES"  # address of the user's own tile server, which is asked once the user ticks it
LARGEST = 1e12  # of a coordinate: beyond, float32 has no room beside it


def pack_geometry(frame: Any, background: Any, crs: str) -> Geometry:  # noqa: ANN401 - GeoDataFrames
    """Project outlines and pack their rings; points are places without an outline, drawn as such.

    Raises:
        InputError: if an outline cannot be projected.
    """
    shapes = list(frame.to_crs(crs).geometry)
    if background is not None:
        shapes += list(background.to_crs(crs).geometry)
    rings, owners, is_hole = _rings(np.array(shapes, np.object_))
    xy = shapely.get_coordinates(rings)
    if not np.isfinite(xy).all() or (np.abs(xy) > LARGEST).any():
        raise InputError(f"an outline lies outside what {crs} can show; check its coordinates and CRS")
    is_turned = (shapely.is_ccw(rings) == is_hole) & ~is_place(rings)
    rings[is_turned] = shapely.reverse(rings[is_turned])
    xy, of_ring = shapely.get_coordinates(rings, return_index=True)
    is_last = np.append(np.diff(of_ring) > 0, True)[: len(xy)] & ~is_place(rings)[of_ring]  # it is the first too
    counts = np.bincount(of_ring[~is_last], minlength=len(rings))
    xy = xy[~is_last]
    origin = tuple(np.round((xy.min(0) + xy.max(0)) / 2).tolist()) if len(xy) else (0.0, 0.0)
    relative = (xy - origin).astype(np.float32)
    told = json.dumps([crs, origin, owners.tolist(), *map(str, frame.index)])
    return Geometry(
        ids=tuple(frame.index), ends=np.cumsum(counts).astype(np.uint32), owners=owners.astype(np.uint32), xy=relative,
        key=hashlib.sha256(relative.tobytes() + told.encode()).hexdigest()[:16], crs=crs, origin=origin,
    )  # fmt: skip


def _rings(shapes: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.bool_]]:
    """Rings and points of shapes that are not empty: each, whose it is, and whether it is a hole."""
    parts, of_part = shapely.get_parts(shapes, return_index=True)
    is_kept = ~shapely.is_empty(parts)
    parts, of_part = parts[is_kept], of_part[is_kept]
    is_point = is_place(parts)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    is_hole = np.r_[False, of_ring[1:] == of_ring[:-1]] if len(of_ring) else np.zeros(0, bool)
    owners = np.concatenate([of_part[of_ring], of_part[is_point]])
    order = np.argsort(owners, kind="stable")
    every = np.concatenate([rings, parts[is_point]])
    return every[order], owners[order], np.concatenate([is_hole, np.zeros(int(is_point.sum()), bool)])[order]


def is_place(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which of the shapes are points."""
    return np.asarray(shapely.get_type_id(shapes) == shapely.GeometryType.POINT, bool)


def shapes_blob(geometry: Geometry) -> Blob:
    """Return the part of a payload that holds the polygons."""
    header = {"polygons": geometry.num_polygons, "regions": len(geometry.ids), "rings": len(geometry.ends)}
    data = pack_arrays(header, [geometry.ends, geometry.owners, geometry.xy])
    return Blob(key=geometry.key, kind="shapes", data=data)


def pixels_blob(raster: Raster) -> Blob:
    """Return the part of a payload that holds a raster's codes."""
    data = b"".join(np.ascontiguousarray(codes).tobytes() for codes in (raster.pixels, *(raster.interval or ())))
    return Blob(key=hashlib.sha256(data).hexdigest()[:16], kind="pixels", data=data)


def ground_blob(geometry: Geometry, content: MapContent) -> Blob | None:
    """Return the part of a payload that holds what lies around the regions; None where nobody knows where they lie."""
    boxes = [geometry.bounds(), content.bounds, *(one.raster.bounds for one in content.layers if one.raster)]
    known = np.array([box for box in boxes if box is not None])
    if not geometry.crs or not len(known) or not np.isfinite(known).all():
        return None
    box = (*known[:, :2].min(0).tolist(), *known[:, 2:].max(0).tolist())
    return make_ground(geometry.crs, ground_around(box), geometry.origin)


def parts_of(geometry: Geometry, content: MapContent) -> list[Blob]:
    """Every part that a map needs in the browser: polygons, background if it has one, rasters in the layers' order."""
    ground = ground_blob(geometry, content)
    rasters = [pixels_blob(layer.raster) for layer in content.layers if layer.raster is not None]
    return [shapes_blob(geometry), *([ground] if ground else []), *rasters]


def pack(
    geometry: Geometry, content: MapContent, parts: Sequence[Blob], new: Sequence[Blob], tells_view: bool
) -> bytes:
    """Return the payload that payload.js reads: `parts` are needed, `new` of them are sent along."""
    colours = [np.ascontiguousarray(layer.rgba) for layer in content.layers]
    values = [np.ascontiguousarray(layer.values, np.float32) for layer in content.layers if layer.values is not None]
    flags = np.ascontiguousarray(content.flags)
    arrays: list[NDArray[Any]] = [*colours, flags, *values]
    stamp = hashlib.sha256(b"".join(array.tobytes() for array in arrays))
    stamp.update("".join(blob.key for blob in parts).encode())
    ground = next((blob.key for blob in parts if blob.kind == "ground"), "")
    header = {
        **_told(geometry, content), "layers": _layers(geometry, content, parts), "tells_view": tells_view,
        "shapes": geometry.key, "ground": ground, "needs": [blob.key for blob in parts],
        "stamp": stamp.hexdigest()[:12],
        "parts": [{"key": blob.key, "kind": blob.kind, "size": len(blob.data)} for blob in new],
    }  # fmt: skip
    return pack_arrays(header, [*arrays, *(np.frombuffer(blob.data, np.uint8) for blob in new)])


def _told(geometry: Geometry, content: MapContent) -> dict[str, Any]:
    """What the header says of the map itself."""
    return {
        "regions": len(geometry.ids), "ids": geometry.ids, "labels": list(content.labels), "origin": geometry.origin,
        "selected": content.selected, "drawable": content.is_drawable,
        "shown": content.shown, "told": list(content.told), "map": content.name, "names": list(content.names),
        "bounds": None if content.bounds is None else _shifted(content.bounds, geometry), "link": content.link,
        "found": None if content.found is None else list(content.found), "view": content.view,
        "tiles": os.environ.get(TILES, ""), "drawing": list(content.drawing),
    }  # fmt: skip


def _layers(geometry: Geometry, content: MapContent, parts: Sequence[Blob]) -> list[dict[str, Any]]:
    rasters = iter(blob.key for blob in parts if blob.kind == "pixels")
    return [
        {"title": layer.title, "low": layer.low, "high": layer.high, "ramp": list(layer.ramp), "digits": layer.digits,
         "raster": _raster(layer.raster, next(rasters), geometry) if layer.raster is not None else None,
         "claimed": layer.is_claimed, "valued": layer.values is not None, "unit": layer.unit, "ends": layer.ends,
         "bounded": layer.is_bounded,
         "fixed": layer.fixed if _can_be_fixed(layer) else None}
        for layer in content.layers
    ]  # fmt: skip


def _can_be_fixed(layer: Layer) -> bool:
    return layer.fixed is not None and (layer.values if layer.raster is None else layer.ends) is not None


def _raster(raster: Raster, key: str, geometry: Geometry) -> dict[str, Any]:
    height, width = raster.pixels.shape
    bounds = _shifted(raster.bounds, geometry)
    return {
        "width": width,
        "height": height,
        "bounds": bounds,
        "key": key,
        "level": raster.level if raster.interval else 0,
    }


def _shifted(box: tuple[float, float, float, float], geometry: Geometry) -> list[float]:
    """A box relative to the geometry's origin."""
    x, y = geometry.origin
    return [box[0] - x, box[1] - y, box[2] - x, box[3] - y]
