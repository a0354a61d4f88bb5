"""The unit that a map's yields are looked at in: as the map holds them, or, of t/ha, bushels an acre of a crop."""

from collections.abc import Mapping
from dataclasses import replace

from mainstem.core.errors import InputError
from mainstem.dashboards.field_map.board import T_HA, FieldBoard
from mainstem.data.earth.crops import ACRE_HA, POUNDS_PER_BUSHEL, bushel_crop, bushels_per_acre

BU_AC = "bu/ac"
LEVELS = ("mean", "lower", "upper")
BY_DATE = (*LEVELS, "lower_issued", "upper_issued", "typical_error", "average_error")


def list_units(tags: Mapping[str, str]) -> list[str]:
    """Units that a map can be looked at in, its own first; of a map that names no crop, bushels of every one."""
    if tags["UNITS"] != T_HA:
        return [tags["UNITS"]]
    return [T_HA, *(f"{BU_AC} {crop}" for crop in _bushels_of(tags.get("CROP", "")))]


def _bushels_of(crop: str) -> list[str]:
    """Crops by whose bushel yields of a crop may be told: its own, none where its own is not known."""
    if not crop:
        return list(POUNDS_PER_BUSHEL)
    try:
        return [bushel_crop(crop)]
    except InputError:
        return []


def meant_unit(asked: str, units: list[str]) -> str:
    """Which of a map's units is meant by what was asked of another: bushels, of whatever crop, are the map's own."""
    bushels = [unit for unit in units if unit.startswith(BU_AC)]
    return bushels[0] if asked.startswith(BU_AC) and asked not in units and len(bushels) == 1 else asked


def describe_unit(unit: str) -> str:
    """A unit in words, a bushel's with what it weighs."""
    crop = unit.removeprefix(f"{BU_AC} ")
    return unit if crop == unit else f"{BU_AC}, {crop} ({POUNDS_PER_BUSHEL[crop]:.0f} lb)"


def in_unit(board: FieldBoard, unit: str) -> FieldBoard:
    """The board with its yields in one of `list_units`; files, edits and the names of layers go by the map's own."""
    if unit == board.tags["UNITS"]:
        return board
    factor = bushels_per_acre(1.0, unit.removeprefix(f"{BU_AC} "))
    bands = {name: factor * band if name in LEVELS else band for name, band in board.bands.items()}
    by_date = None if board.by_date is None else board.by_date.copy()
    if by_date is not None and (by_date["units"] == T_HA).all():
        by_date[list(BY_DATE)] *= factor
        by_date["units"] = BU_AC
    table = board.table.copy()
    table[list(LEVELS)] *= factor
    return replace(
        board, bands=bands, table=table, by_date=by_date, tags={**board.tags, "UNITS": BU_AC}, per_t_ha=factor
    )


def area_unit(tags: Mapping[str, str]) -> str:
    """The unit of areas that goes with a map's unit: ac, or ha."""
    return "ac" if tags["UNITS"] == BU_AC else "ha"


def areas_per_ha(tags: Mapping[str, str]) -> float:
    """How many of `area_unit` make 1 ha."""
    return 1 / ACRE_HA if area_unit(tags) == "ac" else 1.0
