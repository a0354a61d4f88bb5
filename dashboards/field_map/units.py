"""The unit that a map's yields are looked at in: as the map holds them, or, of t/ha, bushels an acre of a crop."""

from collections.abc import Mapping
from dataclasses import replace

from mainstem.dashboards.field_map.board import T_HA, FieldBoard
from mainstem.dashboards.field_map.layers import CHANCE
from mainstem.data.earth.crops import ACRE_HA, POUNDS_PER_BUSHEL, bushels_per_acre, crop_name

BU_AC = "bu/ac"
LEVELS = ("mean", "lower", "upper")
BY_DATE = (*LEVELS, "lower_issued", "upper_issued", "typical_error", "average_error")


def list_units(tags: Mapping[str, str]) -> list[str]:
    """Units that a map can be looked at in, its own first; of a map that names no crop, bushels of every one."""
    if tags["UNITS"] != T_HA:
        return [tags["UNITS"]]
    named = crop_name(tags.get("CROP", ""))
    crops = [named] if named in POUNDS_PER_BUSHEL else [] if named else list(POUNDS_PER_BUSHEL)
    return [T_HA, *(f"{BU_AC} {crop}" for crop in crops)]


def describe_unit(unit: str) -> str:
    """A unit in words, a bushel's with what it weighs."""
    crop = unit.removeprefix(f"{BU_AC} ")
    return unit if crop == unit else f"{BU_AC}, {crop} ({POUNDS_PER_BUSHEL[crop]:.0f} lb)"


def in_unit(board: FieldBoard, unit: str) -> FieldBoard:
    """The board with its yields in one of `list_units`; files and edits go by the map's own."""
    if unit == board.tags["UNITS"]:
        return board
    factor = bushels_per_acre(1.0, unit.removeprefix(f"{BU_AC} "))
    bands = {_name_in(name, factor): factor * band if name in LEVELS else band for name, band in board.bands.items()}
    by_date = None if board.by_date is None else board.by_date.copy()
    if by_date is not None:
        rows = by_date["units"] == T_HA
        by_date.loc[rows, list(BY_DATE)] *= factor
        by_date.loc[rows, "units"] = BU_AC
    table = board.table.copy()
    table[list(LEVELS)] *= factor
    return replace(
        board, bands=bands, table=table, by_date=by_date, tags={**board.tags, "UNITS": BU_AC}, per_t_ha=factor
    )


def _name_in(band: str, factor: float) -> str:
    """A band's name; of a probability below some t/ha, with its threshold in the unit."""
    return f"{CHANCE}{factor * float(band.removeprefix(CHANCE)):.1f}" if band.startswith(CHANCE) else band


def area_unit(tags: Mapping[str, str]) -> str:
    """The unit of areas that goes with a map's unit: ac, or ha."""
    return "ac" if tags["UNITS"] == BU_AC else "ha"


def areas_per_ha(tags: Mapping[str, str]) -> float:
    """How many of `area_unit` make 1 ha."""
    return 1 / ACRE_HA if area_unit(tags) == "ac" else 1.0
