"""The yield page's map: its layers, and each region in words."""

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.dashboards.components.fieldmap import HATCHED, Geometry, Layer, MapContent
from mainstem.dashboards.palette import colours, ramp
from mainstem.dashboards.yield_map.controls import Controls, YieldUnit

US_COUNTY = re.compile(r"^([A-Z]{2})_(?=[A-Z])")  # IA_STORY
LAYERS = {
    "yield": ("value", "viridis"),
    "against expectation": ("gap", "brbg"),
    "interval width": ("width", "plasma"),
    "chance below threshold": ("below", "plasma"),
}


def colour_regions(name: str, table: pd.DataFrame, geometry: Geometry, controls: Controls, selected: str) -> MapContent:
    """Colour the regions of the set `name` by every layer; regions without a row are grey."""
    by_region = table.set_index("region").reindex(geometry.ids)
    labels = [
        label_region(str(region), row, controls)
        for region, row in zip(geometry.ids, by_region.itertuples(), strict=True)
    ]
    return MapContent(
        name=name,
        layers=[
            colour_layer(by_region[column].to_numpy(np.float64), title, controls.unit)
            for title, (column, _) in LAYERS.items()
        ],
        flags=np.where(by_region["claim"].isin(["withdrawn", "none"]).to_numpy(), HATCHED, 0).astype(np.uint8),
        labels=labels,
        selected=selected,
    )


def colour_layer(values: NDArray[np.float64], title: str, unit: YieldUnit) -> Layer:
    """Colour one column: chances from 0 to 1, gaps evenly around zero, all else between its 2nd and 98th percentile."""
    column, palette = LAYERS[title]
    if column == "below":
        return Layer(rgba=colours(values, 0.0, 1.0, palette), title=title, low="0 %", high="100 %", ramp=ramp(palette))
    values = unit.convert(values)
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    if column == "gap":
        high = max(abs(low), abs(high), 1e-9)
        low = -high
    rgba = colours(values, low, high, palette)
    return Layer(rgba=rgba, title=title, low=f"{low:.1f}", high=f"{high:.1f} {unit.name}", ramp=ramp(palette))


def title_region(region: str) -> str:
    """A region's name as people write it: US counties lie in their state."""
    found = US_COUNTY.match(region)
    return f"{found[1]}, {region[found.end() :].replace('_', ' ')}" if found else region


def label_region(region: str, row: Any, controls: Controls) -> str:  # noqa: ANN401 - a named tuple
    """One region in words."""
    if pd.isna(row.claim):
        return f"{title_region(region)}: no data in {controls.season}"
    return f"{title_region(region)}: {describe_region(row, controls.unit)}"


def describe_region(row: Any, unit: YieldUnit) -> str:  # noqa: ANN401 - a named tuple
    """A region's value, interval and claim in words, or why there is none."""
    if not np.isfinite(row.value):
        return f"no forecast: {row.reasons}"
    value, low, high = (unit.convert(number) for number in (row.value, row.low, row.high))
    doubt = f", {row.level:.0%} between {low:.1f} and {high:.1f}" if np.isfinite(low + high) else ", no interval"
    text = f"{value:.1f} {unit.name}{doubt}"
    return text if row.claim == "stated" else f"{text}; claim {row.claim}"


def describe_outcome(row: Any, unit: YieldUnit) -> str:  # noqa: ANN401 - a named tuple
    """Say how a region's harvest ended against its interval."""
    harvested = f"Harvested: {unit.convert(row.observed):.1f} {unit.name}"
    if not np.isfinite(row.low + row.high):
        return f"{harvested}."
    side = "above" if row.observed > row.high else "below" if row.observed < row.low else "inside"
    return f"{harvested}, {side} the interval."
