"""Zones as they come from a file: ours, or another program's with a column `zone`; by field, checked, in metres."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.apps.field_exports import areas_ha
from mainstem.core.errors import InputError
from mainstem.core.files import content
from mainstem.core.plain import plain
from mainstem.data.earth.field_grids import metric_crs
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.rate_rules import MOST_ZONES
from mainstem.data.earth.vectors import read_vectors
from mainstem.data.earth.zone_polygons import polygonal

MOST_FIELDS = 5000
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class ZonedField:
    """A field's zones: polygons by number in a metric CRS, hectares on the ellipsoid, what the file says of each
    (share that stays in it, %, NaN where not told), and what it claims of them all."""

    name: str
    crs: str
    zones: dict[int, Any]
    hectares: dict[int, float]
    words: dict[int, str]
    stable_pct: dict[int, float]
    claim: str
    reason: str


def read_zones(path: Path) -> tuple[list[ZonedField], str]:
    """Read the zones of fields, and the sha256 of the file.

    Raises:
        InputError: if it has no column zone of whole numbers, or a polygon that is none or crosses itself.
    """
    table = read_vectors(path)
    if not len(table):
        raise InputError(f"{path.name} holds no zone; draw them (mainstem fields zones)")
    numbers = _zone_numbers(table, path.name)
    names = _names(table, path.name)
    _check_shapes(table, path.name)
    if len(set(names)) > MOST_FIELDS:
        raise InputError(f"{path.name} holds {len(set(names))} fields, at most {MOST_FIELDS} go into one rate map")
    found = []
    for name in dict.fromkeys(names):
        rows = np.array([one == name for one in names])
        part = table[rows]
        crs = metric_crs(part.geometry.iloc[0], table.crs)
        moved = part.geometry.to_crs(crs)
        zones: dict[int, Any] = {}
        for zone, shape in zip(numbers[rows].tolist(), moved, strict=True):
            zones[zone] = polygonal(zones[zone].union(shape)) if zone in zones else polygonal(shape)
        claim, reason = _claim(part[numbers[rows] > 0] if (numbers[rows] > 0).any() else part)
        words = {
            zone: plain(row.get("words") or "") for zone, (_, row) in zip(numbers[rows], part.iterrows(), strict=True)
        }
        stable = {
            zone: _number(row.get("stable_pct")) for zone, (_, row) in zip(numbers[rows], part.iterrows(), strict=True)
        }
        shapes = load_geopandas().GeoDataFrame(geometry=list(zones.values()), crs=crs)
        found.append(
            ZonedField(
                name=name, crs=crs, zones=dict(sorted(zones.items())), words=words, claim=claim, reason=reason,
                hectares=dict(zip(zones, areas_ha(shapes), strict=True)), stable_pct=stable,
            )
        )  # fmt: skip
    return found, content(path).sha256


def _claim(zones: Any) -> tuple[str, str]:  # noqa: ANN401 - geopandas'
    """What a field's zones claim together, and the reasons: nothing where one of them claims nothing."""
    claims, reasons = (
        list(dict.fromkeys(plain(row.get(key) or "") for _, row in zones.iterrows())) for key in ("claim", "reason")
    )
    of_all_first = sorted(filter(None, reasons), key=lambda reason: reason.startswith("zone "))
    return claims[0] if len(claims) == 1 else "none", "; ".join(of_all_first)


def _column(table: Any, name: str) -> Any:  # noqa: ANN401 - geopandas'
    return next((column for column in table.columns if str(column).strip().casefold() == name), None)


def _number(value: Any) -> float:  # noqa: ANN401 - a cell
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _zone_numbers(table: Any, where: str) -> "np.ndarray[Any, np.dtype[np.int64]]":  # noqa: ANN401 - geopandas'
    column = _column(table, "zone")
    if column is None:
        raise InputError(f"{where} has no column zone; number the zones from 1, the lowest")
    numbers = []
    for row, value in enumerate(table[column], 1):
        number = _number(value)
        if not (number.is_integer() and 0 <= number <= MOST_ZONES):
            raise InputError(f"row {row} of {where} has the zone {plain(value)!r:.40}, want a whole number from 0")
        numbers.append(int(number))
    return np.array(numbers, dtype=np.int64)


def _names(table: Any, where: str) -> list[str]:  # noqa: ANN401 - geopandas'
    column = _column(table, "field") or _column(table, "name")
    if column is None:
        return ["1"] * len(table)
    names = ["" if value is None else plain(value).strip() for value in table[column]]
    odd = next((row for row, name in enumerate(names, 1) if not 0 < len(name) <= LONGEST_NAME), None)
    if odd is not None:
        raise InputError(f"row {odd} of {where} has no name of a field, or one of over {LONGEST_NAME} letters; name it")
    return names


def _check_shapes(table: Any, where: str) -> None:  # noqa: ANN401 - geopandas'
    for row, shape in enumerate(table.geometry, 1):
        if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
            raise InputError(f"row {row} of {where} is no polygon; draw the zone")
        if not shape.is_valid:
            from shapely.validation import explain_validity

            raise InputError(f"row {row} of {where} crosses itself ({explain_validity(shape)}); draw it again")
