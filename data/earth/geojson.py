"""GeoJSON read by Python's json: of GDAL's readers some follow links that a document names."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line
from mainstem.data.earth.crs import CRS84, EPSG, parse_crs
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.json_text import read_json

if TYPE_CHECKING:
    import geopandas as gpd

SHAPES = ("Polygon", "MultiPolygon")


def read_geojson(path: Path, where: str) -> "gpd.GeoDataFrame":
    """Read the features of a file, their properties as columns.

    Raises:
        InputError: if it is no GeoJSON, a feature of it is none, or its CRS is not named.
    """
    try:
        document = read_json(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise not_as_named(where, f"no JSON: {one_line(error, 100)}") from error
    kind = document.get("type") if isinstance(document, Mapping) else type(document).__name__
    if kind in SHAPES:
        features: Any = [{"type": "Feature", "properties": {}, "geometry": document}]
    elif kind == "Feature":
        features = [document]
    elif kind == "FeatureCollection":
        features = document.get("features")
    else:
        raise not_as_named(where, f"an object of type {str(kind)[:40]!r}, want a FeatureCollection")
    crs = _crs(document, where)
    if not isinstance(features, list) or not features:
        raise InputError(f"{where} holds no field; draw or export at least one")
    rows = [_feature(feature, number, where) for number, feature in enumerate(features, 1)]
    table: gpd.GeoDataFrame = load_geopandas().GeoDataFrame(
        [properties for _, properties in rows], geometry=[shape for shape, _ in rows], crs=crs
    )
    return table


def _crs(document: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - pyproj's
    """WGS 84 (RFC 7946, section 4), or the CRS that an older document names; a link to one is never followed."""
    if "crs" not in document:
        return parse_crs("OGC:CRS84", where)
    named = document["crs"]
    properties = named.get("properties") if isinstance(named, Mapping) and named.get("type") == "name" else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str) or not (EPSG.fullmatch(name) or CRS84.fullmatch(name)):
        raise InputError(
            f"{where} has a member crs that is no name of EPSG's or OGC's; links are not followed, set one"
        )
    return parse_crs(name, where)


def _feature(feature: Any, number: int, where: str) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 - what a file holds
    import shapely
    from shapely.geometry import shape

    if not isinstance(feature, Mapping) or not isinstance(feature.get("properties") or {}, Mapping):
        raise InputError(f"feature {number} of {where} is none; want type, properties and geometry")
    geometry = feature.get("geometry")
    if geometry is None and "geometry" in feature:  # RFC 7946, section 3.2: it has no place; whoever reads it says so
        geometry = {"type": "Polygon", "coordinates": []}
    if not isinstance(geometry, Mapping) or not isinstance(geometry.get("type"), str):
        raise InputError(f"feature {number} of {where} has no geometry; draw its border or leave it out")
    try:
        found = shape(geometry)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError) as error:
        raise InputError(f"feature {number} of {where} has a geometry that is none ({error!s:.80}); draw it") from error
    properties = dict(feature.get("properties") or {})
    properties.pop("geometry", None)
    if "id" in feature and not any(str(name).strip().casefold() == "id" for name in properties):
        properties["id"] = feature["id"]
    return found, properties


def not_as_named(where: str, found: str) -> InputError:
    """What is raised of a file whose first bytes or structure are not those of its suffix."""
    return InputError(f"{where} is not what its name says ({found}); export the fields again as {Path(where).suffix}")
