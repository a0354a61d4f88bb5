"""The yield page's map: its layers, and each region in words."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.dashboards.components.fieldmap import HATCHED, Geometry, Layer, MapContent
from mainstem.dashboards.palette import colours, ramp
from mainstem.dashboards.yield_map.controls import Controls, YieldUnit

US_COUNTY = re.compile(r"^([A-Z]{2})_(?=[A-Z])")  # IA_STORY
HARVEST, LESS_HARVEST = "harvest", "forecast less harvest"
LAYERS = {
    "yield": ("value", "viridis"),
    "against expectation": ("gap", "brbg"),
    "interval width": ("width", "plasma"),
    "chance below threshold": ("below", "plasma"),
    HARVEST: ("observed", "viridis"),
    LESS_HARVEST: ("error", "brbg"),
}
ALIKE = ("value", "observed")  # columns that are coloured alike, so that they can be compared
AROUND_ZERO = ("gap", "error")
MEASURED = ("observed",)
Ends = Mapping[str, tuple[float, float]]


def colour_regions(name: str, table: pd.DataFrame, geometry: Geometry, controls: Controls, lasting: Ends) -> MapContent:
    """Colour the regions of the set `name` by every layer; regions without a row are grey.

    `lasting` are ends of the colours that hold for all seasons, t/ha, by column.
    """
    by_region = table.set_index("region").reindex(geometry.ids)
    labels = [
        label_region(str(region), row, controls)
        for region, row in zip(geometry.ids, by_region.itertuples(), strict=True)
    ]
    return MapContent(
        name=name,
        layers=[colour_layer(by_region, title, controls.unit, lasting) for title in LAYERS],
        flags=np.where(by_region["claim"].isin(["withdrawn", "none"]).to_numpy(), HATCHED, 0).astype(np.uint8),
        labels=labels,
        names=[short_name(str(region)) for region in geometry.ids],
    )


def colour_layer(table: pd.DataFrame, title: str, unit: YieldUnit, lasting: Ends) -> Layer:
    """Colour one column: chances from 0 to 1, differences evenly around zero, else between 2nd and 98th percentile."""
    column, palette = LAYERS[title]
    values = table[column].to_numpy(np.float64)
    if column == "below":
        return Layer(
            rgba=colours(values, 0.0, 1.0, palette), title=title, low="0 %", high="100 %", ramp=ramp(palette),
            values=(100 * values).astype(np.float32), ends=(0.0, 100.0), unit="%", digits=0,
        )  # fmt: skip
    low, high = (float(end) for end in unit.convert(ends_of(table, column)))
    fixed = None
    if column in lasting:
        least, most = unit.convert(np.array(lasting[column])).tolist()
        fixed = (least, most)
    return Layer(
        rgba=colours(unit.convert(values), low, high, palette),
        title=title, low=f"{low:.1f}", high=f"{high:.1f} {unit.name}", ramp=ramp(palette),
        is_claimed=column not in MEASURED, values=unit.convert(values).astype(np.float32), ends=(low, high),
        fixed=fixed, unit=unit.name,
    )  # fmt: skip


def ends_of(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Where a column's colours begin and end (2,), t/ha."""
    together = [name for name in (ALIKE if column in ALIKE else (column,)) if name in table]
    values = table[together].to_numpy(np.float64)
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    if column in AROUND_ZERO:
        high = max(abs(low), abs(high), 1e-9)
        low = -high
    return np.array([low, high])


def title_region(region: str) -> str:
    """A region's name as people write it: US counties lie in their state."""
    found = US_COUNTY.match(region)
    return f"{found[1]}, {region[found.end() :].replace('_', ' ')}" if found else region


def short_name(region: str) -> str:
    """A region's name as a map has room for: a US county's without its state."""
    return title_region(region).split(", ")[-1].title() if US_COUNTY.match(region) else region


def label_region(region: str, row: Any, controls: Controls) -> str:  # noqa: ANN401 - a named tuple
    """One region in words."""
    if pd.isna(row.claim):
        return f"{title_region(region)}: no data in {controls.season}"
    return f"{title_region(region)}: {describe_region(row, controls.unit)}"


def describe_region(row: Any, unit: YieldUnit) -> str:  # noqa: ANN401 - a named tuple
    """A region's value, interval and claim in words, or why there is none; and its harvest where that is known."""
    if not np.isfinite(row.value):
        return f"no forecast: {row.reasons}"
    value, low, high = (unit.convert(number) for number in (row.value, row.low, row.high))
    doubt = f", {row.level:.0%} between {low:.1f} and {high:.1f}" if np.isfinite(low + high) else ", no interval"
    if np.isfinite(low + high) and row.is_doubted:
        doubt += f" (in this season {row.season_coverage:.0%} held)"
    text = f"{value:.1f} {unit.name}{doubt}"
    if np.isfinite(row.observed):
        text += f"; harvested {unit.convert(row.observed):.1f}"
    return text if row.claim == "stated" else f"{text}; claim {row.claim}"


def describe_outcome(row: Any, unit: YieldUnit) -> str:  # noqa: ANN401 - a named tuple
    """Say how a region's harvest ended against its forecast and its interval."""
    harvested = f"Harvested: {unit.convert(row.observed):.1f} {unit.name}"
    if not np.isfinite(row.value):
        return f"{harvested}."
    off = unit.convert(row.error)
    side = f"{abs(off):.1f} {unit.name} {'below' if off > 0 else 'above'} the forecast"
    return f"{harvested}, {side}, {place_of(row)} the interval." if place_of(row) else f"{harvested}, {side}."


def place_of(row: Any) -> str:  # noqa: ANN401 - a named tuple
    """Where a harvest ended: inside, above or below its interval; "" where it or the interval is unknown."""
    if not np.isfinite(row.observed + row.low + row.high):
        return ""
    return "above" if row.observed > row.high else "below" if row.observed < row.low else "inside"
