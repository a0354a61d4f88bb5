"""What polygons must be to be fields: named, valid, bordered; those that are not are told one by one, with why."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError
from mainstem.data.earth.crops import checked_crop

if TYPE_CHECKING:
    import geopandas as gpd

NAME_COLUMNS = ("field", "name", "id")  # in any case, as all columns that are read
OWN_COLUMNS = ("field", "crop", "sowing", "yield_t_ha")  # that have this name, small, once they are read
LONGEST_NAME = 200


@dataclass(frozen=True)
class LeftOut:
    """A field of a file that cannot be used: its row from 1, its name or "", and why, with what to do."""

    row: int
    field: str
    why: str

    def of(self, where: str) -> str:
        """One line that names it and its file."""
        return (
            f"field {self.field!r:.60} of {where} {self.why}" if self.field else f"row {self.row} of {where} {self.why}"
        )

    def __str__(self) -> str:
        named = f"field {self.field!r:.60} (row {self.row})" if self.field else f"row {self.row}"
        return f"{named} {self.why}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sifted:
    """Polygons that can be used, with the columns field and those of the file; their rows from 1; and the others."""

    table: "gpd.GeoDataFrame"
    rows: tuple[int, ...]
    left_out: tuple[LeftOut, ...]


def sift(table: "gpd.GeoDataFrame", where: str) -> Sifted:
    """Name and check polygons one by one.

    Raises:
        InputError: if there is none at all, no CRS, or a column that is read stands twice.
    """
    if table.crs is None:
        raise InputError(f"{where} has no CRS; set it (a Shapefile needs its .prj), it is not guessed")
    if not len(table):
        raise InputError(f"{where} holds no field; draw or export at least one")
    table = _in_small(table, where).reset_index(drop=True)
    labels, column = _labels(table, where)
    crops = list(table["crop"]) if "crop" in table else [None] * len(table)
    is_missing = table["crop"].isna().tolist() if "crop" in table else [True] * len(table)
    first: dict[str, int] = {}
    left_out: list[LeftOut] = []
    for row, (label, geometry) in enumerate(zip(labels, table.geometry, strict=True), 1):
        name, why = _misnamed(label, column)
        why = why or _misdrawn(geometry)
        if not why and label in first:
            why = f"has the name of row {first[label]}; give each its own name"
        if not why and not is_missing[row - 1]:
            crops[row - 1], why = _crop(crops[row - 1])
        if why:
            left_out.append(LeftOut(row, name, why))
        else:
            first[label] = row
    kept = [row - 1 for row in first.values()]
    found = table.iloc[kept].reset_index(drop=True)
    found["field"] = [labels[row] for row in kept]
    found = found.set_geometry([_as_one(geometry) for geometry in found.geometry], crs=table.crs)
    if "crop" in table:
        found["crop"] = [None if is_missing[row] else crops[row] for row in kept]
    return Sifted(table=found, rows=tuple(first.values()), left_out=tuple(left_out))


def _misnamed(label: str, column: str) -> tuple[str, str]:
    """How a field is called where it is told of, and what is wrong with its name; "" where nothing is."""
    if not label:
        return "", f"has no name in column {column!r}, others have; name every field"
    if len(label) > LONGEST_NAME or not label.isprintable():
        return "", f"has the name {label[:40]!r}, want up to {LONGEST_NAME} printable letters"
    return label, ""


def _misdrawn(geometry: Any) -> str:  # noqa: ANN401 - shapely's
    """What is wrong with a border; "" where nothing is."""
    if geometry is None or geometry.is_empty:
        return "has no border; draw it, or leave the field out"
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        return f"is a {geometry.geom_type}, want a polygon; draw its border"
    if not geometry.is_valid:
        from shapely.validation import explain_validity

        return f"crosses itself ({explain_validity(geometry)}); draw it again"
    return ""


def _as_one(geometry: Any) -> Any:  # noqa: ANN401 - shapely's
    """A polygon that came as several of which there is one, as GeoPackages with any of several parts have it."""
    return geometry.geoms[0] if geometry.geom_type == "MultiPolygon" and len(geometry.geoms) == 1 else geometry


def _crop(told: Any) -> tuple[str | None, str]:  # noqa: ANN401 - what the file holds
    """A field's crop, None where its column holds blanks alone; and what is wrong with it."""
    if isinstance(told, str) and not told.strip():
        return None, ""
    try:
        return checked_crop(told, "has"), ""
    except InputError as error:
        return None, str(error)


def _in_small(table: "gpd.GeoDataFrame", where: str) -> "gpd.GeoDataFrame":
    """The table with OWN_COLUMNS under these names, whatever their case was; empty ones beside them are left out."""
    names: dict[Any, str] = {}
    empty: list[Any] = []
    for own in OWN_COLUMNS:
        alike = _named_alike(table, own)
        told = _told_once(table, alike, where)
        empty += [column for column in alike if told and column != told]
        names |= {told or column: own for column in alike[:1]}
    return table.drop(columns=empty).rename(columns=names)


def _named_alike(table: "gpd.GeoDataFrame", name: str) -> list[Any]:
    return [column for column in table.columns if str(column).strip().casefold() == name]


def _told_once(table: "gpd.GeoDataFrame", columns: Sequence[Any], where: str) -> Any:  # noqa: ANN401 - a column's name
    """The one of some columns that holds any value, None where none does."""
    told = [column for column in columns if table[column].notna().any()]
    if len(told) > 1:
        raise InputError(
            f"{where} has the columns {told[0]!r:.60} and {told[1]!r:.60}, which differ by case or blanks alone; leave "
            "one out"
        )
    return told[0] if told else None


def _labels(table: "gpd.GeoDataFrame", where: str) -> tuple[list[str], str]:
    """A name for each field, and the column: the first of NAME_COLUMNS that holds any, or the number of its row.

    As in tables, blanks around a name do not count, and it has one Unicode form; "" where it is missing.
    """
    found = (_told_once(table, _named_alike(table, name), where) for name in NAME_COLUMNS)
    column = next((name for name in found if name is not None), None)
    if column is None:
        return [str(row + 1) for row in range(len(table))], ""
    names = zip(table[column], table[column].isna(), strict=True)
    return ["" if is_missing else unicodedata.normalize("NFC", str(name).strip()) for name, is_missing in names], column
