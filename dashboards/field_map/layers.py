"""The field page's map: its layers by field and by pixel, and each field in words."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.fields.harvest_files import TAKEN
from mainstem.dashboards.components.fieldmap import HATCHED, Layer, MapContent, Raster
from mainstem.dashboards.field_map.board import T_HA, FieldBoard
from mainstem.dashboards.palette import colours, ramp

VISIT = "cannot say: visit"
SEQUENTIAL, DOUBT = "viridis", "plasma"
NDVI, CLOUD, ZONES = "NDVI", "share of dates in cloud", "zones"
MEASURED = (NDVI, CLOUD, TAKEN, ZONES)
NUMBERS = "by number, 1 the lowest"
CHANCE = "probability below "  # how a map names the bands of its thresholds
MARGIN = 0.1  # around the fields that a map opens on, as a share of their longer side


def colour_fields(board: FieldBoard, date: str, selected: str, shown: str = "", is_outside: bool = False) -> MapContent:
    """What the map shows, beginning with the layer `shown`, the first unless given; see `list_layers`."""
    unit = board.tags["UNITS"]
    claims = board.table["claim"].to_numpy()
    layers = list_layers(board, date, is_outside)
    return MapContent(
        name=board.name,
        bounds=frame_view(board),
        layers=layers,
        flags=np.where(claims != "stated", HATCHED, 0).astype(np.uint8),
        labels=[f"{row.field}: {describe_field(row, unit)}" for row in board.table.itertuples()],
        names=[str(name) for name in board.table["field"]],
        selected=selected,
        shown=shown,
        told=tuple(layer.title for layer in layers),
    )


def frame_view(board: FieldBoard) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of what the map opens on: its fields, or all of it where there are none."""
    if not len(board.table):
        return board.bounds
    left, bottom, right, top = board.table.total_bounds.tolist()
    margin = MARGIN * max(right - left, top - bottom)
    west, south, east, north = board.bounds
    return max(left - margin, west), max(bottom - margin, south), min(right + margin, east), min(top + margin, north)


def list_layers(board: FieldBoard, date: str, is_outside: bool = False) -> list[Layer]:
    """Every layer that the map can be coloured by: fields first, then pixels; the scales are the map's own.

    Pixels are shown in fields alone, unless `is_outside` asks for all of them: tracks, woods and margins are no crop.
    """
    unit = "%" if "percent" in board.tags["UNITS"] else board.tags["UNITS"]
    what = "vigour" if unit == "%" else "yield"
    table, bands = board.table, board.bands
    nothing = np.zeros((len(table), 4), np.uint8)
    is_predicted = board.tags["TRAINING"] != "none"

    def fields(title: str, values: NDArray[np.float64], ends: tuple[float, float], palette: str) -> Layer:
        return Layer(
            rgba=colours(values, *ends, palette), title=title, low=f"{ends[0]:.1f}", high=f"{ends[1]:.1f} {unit}",
            ramp=ramp(palette), is_claimed=is_predicted, values=values.astype(np.float32), ends=ends, unit=unit,
        )  # fmt: skip

    def pixels(title: str, values: NDArray[np.float32], ends: tuple[float, float], palette: str, text: str) -> Layer:
        low, high = ends
        if not is_outside:
            values = np.where(board.inside, values, np.float32(np.nan))
        raster = scale_raster(values, low, high, board)
        if title == f"{what} by pixel":
            raster = with_interval(raster, low, high, board)
        is_share = ends == (0.0, 1.0)
        return Layer(
            rgba=nothing, title=title, low=f"{low:.3g}", high=f"{high:.3g} {text}".strip(), ramp=ramp(palette),
            raster=raster, is_claimed=is_predicted and title not in MEASURED, ends=ends, is_bounded=is_share,
            unit=unit if text == unit else "", digits={unit: 1, NUMBERS: 0}.get(text, 2),
        )  # fmt: skip

    width = bands["upper"] - bands["lower"]
    level_ends, width_ends = board.scale(bands["mean"]), board.scale(width)
    found: list[Layer] = []
    by_pixel = [
        pixels(f"{what} by pixel", bands["mean"], level_ends, SEQUENTIAL, unit),
        pixels("interval by pixel", width, width_ends, DOUBT, unit),
    ]
    if len(table):
        means, widths = (table[name].to_numpy(np.float64) for name in ("mean", "upper"))
        widths = widths - table["lower"].to_numpy(np.float64)
        found.append(fields(f"{what} by field", means, level_ends, SEQUENTIAL))
        found.append(fields("interval by field", widths, board.scale(width, board.mean_factor), DOUBT))
    found = [*found, *by_pixel] if len(table) > 1 else [*by_pixel, *found]  # one field's mean has nothing beside it
    found += [
        pixels(name, values, (0.0, 1.0), DOUBT, chance_words(board, name, unit))
        for name, values in bands.items()
        if name.startswith("probability")
    ]
    if TAKEN in bands:
        found.append(pixels(TAKEN, bands[TAKEN], (0.0, 1.0), DOUBT, ""))
    if np.isfinite(board.zones).any():
        found.append(pixels(ZONES, board.zones, (1.0, max(float(np.nanmax(board.zones)), 2.0)), SEQUENTIAL, NUMBERS))
    if date:
        found.append(pixels(NDVI, board.ndvi[board.dates.index(date)], (0.0, 0.9), SEQUENTIAL, f"on {date}"))
        found.append(pixels(CLOUD, 1 - board.clear_share, (0.0, 1.0), DOUBT, ""))
    return found


def chance_words(board: FieldBoard, name: str, unit: str) -> str:
    """Say what a layer of chances is of, its threshold in the map's own unit and in the one shown; "" of others."""
    if not name.startswith(CHANCE):
        return ""
    if not board.per_t_ha > 1:
        return f"({name} {unit})"
    try:
        return f"({name} {T_HA}: {board.per_t_ha * float(name.removeprefix(CHANCE)):.4g} {unit})"
    except ValueError:
        return f"({name} {T_HA})"


def scale_raster(values: NDArray[np.float32], low: float, high: float, board: FieldBoard) -> Raster:
    """Scale values (y, x) to 1-255 between low and high, 0 where missing."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.where(np.isfinite(values), 1 + np.rint(np.nan_to_num(share) * 254), 0).astype(np.uint8)
    return Raster(pixels=pixels, bounds=board.bounds)


def with_interval(raster: Raster, low: float, high: float, board: FieldBoard) -> Raster:
    """Have the pointer say a level's interval with it."""
    ends = [scale_raster(board.bands[name], low, high, board).pixels for name in ("lower", "upper")]
    return replace(raster, interval=(ends[0], ends[1]), level=float(board.tags["LEVEL"]))


def describe_field(row: Any, unit: str) -> str:  # noqa: ANN401 - a named tuple
    """A field's value, interval and claim in words."""
    if not np.isfinite(row.mean):
        return f"{VISIT} ({row.seen_share:.0%} of it is known)"
    text = f"{row.mean:.1f} {unit}, {row.level:.0%} between {row.lower:.1f} and {row.upper:.1f}"
    return text if row.claim == "stated" else f"{text}; claim {row.claim}"
