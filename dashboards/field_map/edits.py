"""Fields that a user draws on a map or brings beside its own: checked, averaged and written anew."""

import math
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mainstem.apps.field_exports import field_table, write_fields
from mainstem.apps.field_maps import check_file_name
from mainstem.apps.map_notes import read_notes
from mainstem.core.bounds import Bounds
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.dashboards.field_map.board import FIELDS, FieldBoard, fields_on
from mainstem.data.earth.fields import Fields, check_fields, open_fields

if TYPE_CHECKING:
    import geopandas as gpd

REPLACED = "fields.replaced.gpkg"  # what was there before a user asked to replace it
MOST_CORNERS = 10_000
SAME_M = 0.01  # two borders whose corners lie this near, in the CRS's unit, are one: files round coordinates
WRITING = threading.Lock()  # two tabs of one server draw one after the other


def add_field(board: FieldBoard, corners: Sequence[Sequence[float]]) -> str:
    """Add a field drawn on the map, its corners in the map's CRS, and write the fields anew; returns its name.

    Raises:
        InputError: if it crosses itself or leaves the map.
    """
    import geopandas as gpd
    from shapely.geometry import Polygon

    corners = _checked_corners(corners)
    with WRITING:
        held = fields_on(board.folder, board.crs)  # not the board's: another tab may have drawn since
        number = 1
        while f"drawn {number}" in set(held["field"]):
            number += 1
        name = f"drawn {number}"
        drawn = gpd.GeoDataFrame({"field": [name]}, geometry=[Polygon(corners)], crs=board.crs)
        _take(board, _joined(held, drawn, "the drawing"))
    return name


def _checked_corners(corners: Any) -> list[tuple[float, float]]:  # noqa: ANN401 - from a browser
    """Corners as pairs of numbers.

    Raises:
        InputError: if they are no such pairs, fewer than three or more than MOST_CORNERS.
    """
    is_list = isinstance(corners, list | tuple) and 3 <= len(corners) <= MOST_CORNERS
    if not is_list or not all(_is_point(corner) for corner in corners):
        raise InputError(f"a drawn field wants 3 to {MOST_CORNERS} corners, each two numbers; draw it again")
    return [(float(x), float(y)) for x, y in corners]


def _is_point(corner: Any) -> bool:  # noqa: ANN401 - from a browser
    return (
        isinstance(corner, list | tuple)
        and len(corner) == 2
        and all(isinstance(number, int | float) and math.isfinite(number) for number in corner)
    )


def import_fields(board: FieldBoard, name: str, content: bytes, replace: bool = False) -> int:
    """Add fields of a user's file to the map's, and return how many there are then.

    A field that is there already under the same name and border is kept once. Where `replace` asks for it, the map's
    own give way, and are kept in fields.replaced.gpkg.

    Raises:
        InputError: if they cannot be used, or one has the name of another field.
    """
    check_file_name(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        brought = open_fields(path).table.to_crs(board.crs)
    with WRITING:
        if replace:
            _keep_replaced(board.folder)
            return _take(board, check_fields(brought, name))
        return _take(board, _joined(fields_on(board.folder, board.crs), brought, name))


def _keep_replaced(folder: Path) -> None:
    if (folder / FIELDS).is_file():
        write_atomically(folder / REPLACED, (folder / FIELDS).read_bytes())


def _joined(held: "gpd.GeoDataFrame", added: "gpd.GeoDataFrame", where: str) -> Fields:
    """Both tables' fields; one that is in both, by name and border, counts once.

    Raises:
        InputError: if two different fields have one name, or a border is no valid polygon.
    """
    import geopandas as gpd

    borders = dict(zip(held["field"], held.geometry, strict=True))
    is_new = []
    for field, border in zip(added["field"], added.geometry, strict=True):
        is_same = field in borders and borders[field].equals_exact(border, SAME_M)
        if field in borders and not is_same:
            raise InputError(
                f"the map has another field named {field!r:.60}; rename it in {where}, or replace the map's fields"
            )
        is_new.append(not is_same)
    parts = [held[["field", "geometry"]], added.loc[is_new, ["field", "geometry"]]]
    whole = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return check_fields(gpd.GeoDataFrame(whole, geometry="geometry", crs=held.crs), where)


def _take(board: FieldBoard, fields: Fields) -> int:
    """Average the map over other fields, and write them in place of its own; returns how many there are."""
    notes = read_notes(board.folder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FIELDS
        fields.table[["field", "geometry"]].to_file(path, driver="GPKG")
        table = field_table(
            board.folder / "map.tif", path, notes.tags, notes.mean_factor, Bounds.of(notes.lowest, notes.highest)
        )
    write_fields(table, board.folder)
    return len(table)
