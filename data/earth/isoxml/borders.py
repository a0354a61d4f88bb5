"""Borders of fields in a task file (PFD) as polygons, by the field's number: names of people's fields stay there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.isoxml.taskdata import Partfield, read_taskdata

if TYPE_CHECKING:
    import geopandas as gpd

LEAST_POINTS = 3


def read_borders(path: Path, where: str) -> "gpd.GeoDataFrame":
    """Read the fields of TASKDATA.XML: `field` (PFD1 ...) and border, EPSG:4326; one that is no polygon comes as it is.

    Raises:
        InputError: if the file is no task data, or holds no field.
    """
    fields = read_taskdata(path).partfields
    if not fields:
        raise InputError(f"{where} holds no field (PFD); export the fields with their borders")
    shapes = [_border(field) for field in fields]
    table: gpd.GeoDataFrame = load_geopandas().GeoDataFrame(
        {"field": [field.id for field in fields]}, geometry=shapes, crs="EPSG:4326"
    )
    return table


def _border(field: Partfield) -> Any:  # noqa: ANN401 - shapely's
    """The outer lines less the inner ones; as drawn where a line crosses itself, which whoever uses it refuses."""
    import shapely

    rings = zip(field.rings, field.is_hole, strict=True)
    drawn = [(shapely.Polygon(ring), is_hole) for ring, is_hole in rings if len(ring) >= LEAST_POINTS]
    odd = next((ring for ring, _ in drawn if not ring.is_valid), None)
    if odd is not None:
        return odd
    outer = shapely.unary_union([ring for ring, is_hole in drawn if not is_hole])
    return outer.difference(shapely.unary_union([ring for ring, is_hole in drawn if is_hole]))
