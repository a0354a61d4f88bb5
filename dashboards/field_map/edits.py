"""Fields that a user draws, names, alters, deletes or brings: checked, averaged, written anew, and undone again."""

import math
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from mainstem.apps.field_exports import mean_fields, write_fields
from mainstem.apps.field_maps import check_file_name
from mainstem.apps.fields.harvest_files import harvest_means
from mainstem.apps.fields.harvest_maps import is_harvest
from mainstem.apps.map_files import FIELDS as FILES
from mainstem.apps.map_files import MAP
from mainstem.apps.map_notes import read_notes
from mainstem.core.bounds import Bounds
from mainstem.core.errors import InputError, MainstemError
from mainstem.core.files import locked, write_atomically
from mainstem.dashboards.field_map.board import FIELDS, FieldBoard, fields_on
from mainstem.dashboards.field_map.corners import MOST_CORNERS, with_fewer_corners
from mainstem.dashboards.field_map.journal import (
    REDO,
    UNDO,
    Change,
    change_of,
    lost_fields,
    note,
    read_journal,
    told_of,
)
from mainstem.data.earth.field_checks import LeftOut
from mainstem.data.earth.field_columns import own_columns
from mainstem.data.earth.fields import Fields, check_fields, usable_fields
from mainstem.data.earth.raster import describe

if TYPE_CHECKING:
    import geopandas as gpd

REPLACED = "fields.replaced.gpkg"  # what was there before a user asked to replace it
GIVEN = "fields.given"  # and the suffix of a file whose fields were taken with fewer corners
SAME_M = 0.01  # two borders whose corners lie this near, in the CRS's unit, are one: files round coordinates
WRITING = threading.Lock()  # two tabs of one server change fields one after the other, wherever files have no locks
LOCKED, WAIT_S = ".fields.lock", 10.0  # beside a map: two servers do, too
DRAWN = "drawn"
ACTS = {"redraw": "outline of {} redrawn", "add": "part added to {}", "cut": "part cut from {}"}


def add_field(board: FieldBoard, corners: Sequence[Sequence[float]], name: str = "") -> str:
    """Add a field drawn on the map, its corners in the map's CRS, and write the fields anew.

    Returns:
        Its name: as given, with a number where another field has it, or "drawn 1" and so on.

    Raises:
        InputError: if it crosses itself or leaves the map.
    """
    border, wanted = _drawn(corners), " ".join(name.split())

    def plan(held: "gpd.GeoDataFrame") -> Change:
        free = _free_name(wanted, set(held["field"]))
        return _change(f"field {free} drawn", held, [], _row(held, free, border))

    return str(_act(board, plan).after["field"].iloc[0])


def _free_name(wanted: str, taken: set[str]) -> str:
    number, name = 1, wanted or f"{DRAWN} 1"
    while name in taken:
        number += 1
        name = f"{wanted or DRAWN} {number}"
    return name


def rename_field(board: FieldBoard, field: str, name: str) -> str:
    """Give a field another name; returns it as it is kept.

    Raises:
        InputError: if there is no such field, or another has the name.
    """

    def plan(held: "gpd.GeoDataFrame") -> Change:
        rows = _rows(held, [field])
        if name.strip() in set(held["field"]) - {field}:
            raise InputError(f"there is a field named {name.strip()!r:.60} already; choose another name")
        return _change(f"field {field} renamed to {name.strip()}", held, [field], rows.assign(field=name))

    return str(_act(board, plan).after["field"].iloc[0])


def alter_field(board: FieldBoard, field: str, act: str, corners: Sequence[Sequence[float]]) -> None:
    """Redraw a field's outline, add a part to it or cut one away (`act`, of ACTS), by what was drawn.

    Raises:
        InputError: if there is no such field, nothing of it would be left, or what was drawn crosses itself.
    """
    drawn = _drawn(corners)
    if not drawn.is_valid:
        raise InputError("the drawing crosses itself; draw it again")

    def plan(held: "gpd.GeoDataFrame") -> Change:
        rows = _rows(held, [field])
        before = rows.geometry.iloc[0]
        border = {"redraw": drawn, "add": before.union(drawn), "cut": before.difference(drawn)}[act]
        after = _polygons(border)
        if after.is_empty:
            raise InputError(f"nothing of field {field!r:.60} would be left; delete it instead")
        if after.equals(before):
            raise InputError(f"the drawing changes nothing of field {field!r:.60}; draw over its border")
        return _change(ACTS[act].format(f"field {field}"), held, [field], rows.set_geometry([after], crs=held.crs))

    _act(board, plan)


def _polygons(shape: Any) -> Any:  # noqa: ANN401 - shapely's
    """The areas of a shape: what touches at a line or a point leaves such."""
    from shapely import get_parts
    from shapely.ops import unary_union

    return unary_union([part for part in get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")])


def delete_field(board: FieldBoard, field: str) -> None:
    """Take a field away; the journal keeps it.

    Raises:
        InputError: if there is no such field.
    """

    def plan(held: "gpd.GeoDataFrame") -> Change:
        return _change(f"field {field} deleted", held, [field], _rows(held, [field]).iloc[:0])

    _act(board, plan)


class Brought(NamedTuple):
    """How many fields the map has, which of the file were left out, and what was done to corners; "" where nothing."""

    num_fields: int
    left_out: tuple[LeftOut, ...]
    simplified: str


def import_fields(board: FieldBoard, name: str, content: bytes, replace: bool = False) -> Brought:
    """Add fields of a user's file to the map's.

    Borders of more corners than the map's cells can show get fewer; the file is then kept whole beside the map. A field
    that is there already under the same name and border is kept once. Where `replace` asks for it, the map's own give
    way, and are kept in fields.replaced.gpkg.

    Raises:
        InputError: if none of them can be used.
    """
    check_file_name(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        grid = describe(board.folder / MAP).grid
        brought, left_out = usable_fields(path, grid)
    added = brought.table[["field", "geometry"]].join(own_columns(brought.table))
    added, moved, fields = with_fewer_corners(added, grid)
    simplified = ""
    if fields:
        given = board.folder / f"{GIVEN}{Path(name).suffix.lower()}"
        write_atomically(given, content)
        simplified = (
            f"{len(fields)} of {len(added)} fields had more than {MOST_CORNERS:,} corners: they were given fewer, "
            f"their borders moved by {moved:g} of a cell at most; the file is kept whole as {given.name} beside the map"
        )
    taken: list[LeftOut] = []

    def plan(held: "gpd.GeoDataFrame") -> Change:
        if replace:
            _keep_replaced(board.folder)
            return _change(f"fields replaced by those of {name}", held, held["field"].tolist(), added)
        is_new, odd = _new_in(held, added)
        taken.extend(odd)
        if odd and not is_new.any():
            raise InputError(odd[0].of(name))
        return _change(f"{int(is_new.sum())} fields of {name} added", held, [], added[is_new])

    _act(board, plan)
    return Brought(len(fields_on(board.folder, board.crs)), (*left_out, *taken), simplified)


def _new_in(held: "gpd.GeoDataFrame", added: "gpd.GeoDataFrame") -> tuple["pd.Series[bool]", list[LeftOut]]:
    """Which of the added fields the map lacks; and those whose name another of its fields has."""
    borders = dict(zip(held["field"], held.geometry, strict=True))
    odd = [
        LeftOut(row, field, "has the name of another field of the map; rename it, or replace the map's fields")
        for row, (field, border) in enumerate(zip(added["field"], added.geometry, strict=True), 1)
        if field in borders and not borders[field].equals_exact(border, SAME_M)
    ]
    return ~added["field"].isin(list(borders)), odd


def _keep_replaced(folder: Path) -> None:
    if (folder / FIELDS).is_file():
        write_atomically(folder / REPLACED, (folder / FIELDS).read_bytes())


def undo(board: FieldBoard) -> Change:
    """Take back what was last done to the map's fields; returns what became of them: `after` is there now.

    Raises:
        InputError: if there is nothing, or the fields were changed elsewhere since.
    """
    return _step(board, UNDO)


def redo(board: FieldBoard) -> Change:
    """Do again what was last undone; returns what became of the fields: `after` is there now.

    Raises:
        InputError: if there is nothing, or the fields were changed elsewhere since.
    """
    return _step(board, REDO)


def put_back(board: FieldBoard) -> int:
    """Put back the fields that the journal knows and the map lacks, as where it was made anew; returns how many.

    Raises:
        InputError: if one no longer lies on the map.
    """

    def plan(held: "gpd.GeoDataFrame") -> Change:
        journal = read_journal(board.folder)
        lost = lost_fields(journal, _names(held))
        rows = [change_of(journal.done[number], board.crs).after for number in sorted(set(lost.values()))]
        found = [table[[lost.get(field) == number for field in table["field"]]]
                 for number, table in zip(sorted(set(lost.values())), rows, strict=True)]  # fmt: skip
        after = pd.concat(found, ignore_index=True) if found else _rows(held, [])
        return _change(f"{len(lost)} fields put back", held, [], after)

    return len(_act(board, plan).after)


def _step(board: FieldBoard, which: str) -> Change:
    with _writing(board.folder):
        journal = read_journal(board.folder)
        told = journal.done if which == UNDO else journal.undone
        if not told:
            raise InputError(f"there is nothing to {which}")
        change = change_of(told[-1], board.crs)
        change = change.undone() if which == UNDO else change
        held = fields_on(board.folder, board.crs)
        if not (_is_held(held, change.after) and not _names(held) & (_names(change.before) - _names(change.after))):
            _check_held(held, change)
            _write(board, held, change)
        note(board.folder, {which: True})
    return change


def _check_held(held: "gpd.GeoDataFrame", change: Change) -> None:
    """Refuse a change of fields that are no longer as it knows them: it would undo more than it says."""
    if not _is_held(held, change.before) or _names(held) & (_names(change.after) - _names(change.before)):
        raise InputError(
            "the fields were changed elsewhere since, so this cannot be undone or redone; draw or bring them"
        )


def _is_held(held: "gpd.GeoDataFrame", rows: "gpd.GeoDataFrame") -> bool:
    borders = dict(zip(held["field"], held.geometry, strict=True))
    told = zip(rows["field"], rows.geometry, strict=True)
    return all(field in borders and borders[field].equals_exact(border, SAME_M) for field, border in told)


def _names(table: "gpd.GeoDataFrame") -> set[str]:
    return set(table["field"])


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Read, plan and write a map's fields with nobody else at it: no other tab, and no other server.

    Raises:
        InputError: if another is at it for longer than WAIT_S, or nothing can be written beside the map.
    """
    with WRITING, ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCKED, "fields", wait_s=WAIT_S))
        except InputError as error:
            raise InputError("another server is changing this map's fields; nothing was changed, try again") from error
        except OSError as error:
            raise InputError(f"cannot write beside the map ({error.strerror}); nothing was changed") from error
        yield


def _act(board: FieldBoard, plan: Callable[["gpd.GeoDataFrame"], Change]) -> Change:
    """Change the fields as they are now, whoever changed them meanwhile: note it down, then write them."""
    with _writing(board.folder):
        held = fields_on(board.folder, board.crs)
        change = plan(held)
        if len(change.after):
            checked = check_fields(change.after, "the drawing").on(describe(board.folder / MAP).grid)
            change = Change(words=change.words, before=change.before, after=checked.table)
        if not len(change.before) and not len(change.after):
            return change
        note(board.folder, told_of(change))
        try:
            _write(board, held, change)
        except MainstemError:
            note(board.folder, {UNDO: True})
            raise
    return change


def _write(board: FieldBoard, held: "gpd.GeoDataFrame", change: Change) -> None:
    """Write the fields after a change: those that it brings are averaged, the others stay as they are."""
    import geopandas as gpd

    notes = read_notes(board.folder)
    kept = held[~held["field"].isin(change.before["field"])]
    fields, bounds = Fields(table=change.after), Bounds.of(notes.lowest, notes.highest)
    if is_harvest(board.folder) and len(fields):
        new = harvest_means(board.folder, fields, notes.tags)
    else:
        new = mean_fields(board.folder / MAP, fields, notes.tags, notes.mean_factor, bounds)
    parts = [part for part in (kept, new) if len(part)]
    if not parts:
        for name in FILES:
            (board.folder / name).unlink(missing_ok=True)
        return
    whole = pd.concat([_with_gaps(part) for part in parts], ignore_index=True)
    write_fields(gpd.GeoDataFrame(whole, geometry="geometry", crs=board.crs), board.folder)


def _with_gaps(table: "gpd.GeoDataFrame") -> "gpd.GeoDataFrame":
    """The table whose own whole numbers, and yes or no, stay such beside fields that have none."""
    own = own_columns(table)
    whole = {name: "Int64" for name in own if pd.api.types.is_integer_dtype(own[name])}
    return table.astype(whole | {name: "boolean" for name in own if pd.api.types.is_bool_dtype(own[name])})


def _change(words: str, held: "gpd.GeoDataFrame", away: Sequence[str], after: "gpd.GeoDataFrame") -> Change:
    return Change(words=words, before=_rows(held, away), after=after)


def _rows(held: "gpd.GeoDataFrame", fields: Sequence[str]) -> "gpd.GeoDataFrame":
    """Some fields with their own columns, without what the map says of them.

    Raises:
        InputError: if one is not there.
    """
    lacking = [field for field in fields if field not in set(held["field"])]
    if lacking:
        raise InputError(f"there is no field {lacking[0]!r:.60} any more; another tab may have changed it")
    rows = held[held["field"].isin(fields)]
    told: gpd.GeoDataFrame = rows[["field", "geometry"]].join(own_columns(rows)).reset_index(drop=True)
    return told


def _row(held: "gpd.GeoDataFrame", field: str, border: Any) -> "gpd.GeoDataFrame":  # noqa: ANN401 - shapely's
    import geopandas as gpd

    return gpd.GeoDataFrame({"field": [field]}, geometry=[border], crs=held.crs)


def _drawn(corners: Any) -> Any:  # noqa: ANN401 - from a browser
    """A polygon of corners.

    Raises:
        InputError: if they are no pairs of numbers, fewer than three or more than MOST_CORNERS.
    """
    from shapely.geometry import Polygon

    is_list = isinstance(corners, list | tuple) and 3 <= len(corners) <= MOST_CORNERS
    if not is_list or not all(_is_point(corner) for corner in corners):
        raise InputError(f"a drawn field wants 3 to {MOST_CORNERS} corners, each two numbers; draw it again")
    return Polygon([(float(x), float(y)) for x, y in corners])


def _is_point(corner: Any) -> bool:  # noqa: ANN401 - from a browser
    return (
        isinstance(corner, list | tuple)
        and len(corner) == 2
        and all(isinstance(number, int | float) and math.isfinite(number) for number in corner)
    )
