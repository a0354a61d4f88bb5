"""What a region set shows while there is no model of it: the newest harvests known, as they were measured."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from mainstem.apps.region_sets import RegionChoice, choices
from mainstem.core.samples import SampleSet
from mainstem.dashboards.components.fieldmap import Geometry, MapContent, fieldmap
from mainstem.dashboards.shell import Desk, origin_of, plain, say_status
from mainstem.dashboards.yield_map.board import outlines_of
from mainstem.dashboards.yield_map.controls import YieldUnit
from mainstem.dashboards.yield_map.layers import HARVEST, LAYERS, colour_layer, short_name, title_region
from mainstem.dashboards.yield_map.reads import pack_outlines, stamp_of, tables_of
from mainstem.dashboards.yield_map.table import choose_region

LEAST = 0.5  # of the regions have a harvest of the season that is shown, where there is such a season


@dataclass(frozen=True, kw_only=True, eq=False)
class Harvests:
    """Harvests of one season, t/ha, by region; `season` is "" and `by_region` empty where none is known."""

    crop: str
    season: str
    by_region: dict[str, float]
    num_regions: int
    is_simulated: bool
    attribution: str
    geometry: Geometry | None


def newest_harvests(source: SampleSet) -> tuple[str, dict[str, float]]:
    """The newest season whose harvests half of the regions have, or as many as any, and them by region, t/ha.

    Harvests that are known to be wrong are none.
    """
    known = [
        (str(sample.source.group), str(sample.source.facts["region"]), float(sample.target))
        for sample in source.labelled()
        if sample.target is not None and sample.source.item not in source.flagged
    ]
    counts = Counter(season for season, _, _ in known)
    if not counts:
        return "", {}
    enough = min(LEAST * len({sample.source.facts["region"] for sample in source.samples}), max(counts.values()))
    season = max(season for season, count in counts.items() if count >= enough)
    return season, {region: harvest for one, region, harvest in known if one == season}


@st.cache_resource(show_spinner="Reading the harvests", max_entries=4)
def read_harvests(name: str, stamp: str) -> Harvests:
    """Read the newest harvests of a set once for all sessions; `stamp` renews them when a user brings other files."""
    assert stamp
    choice = next(choice for choice in choices() if choice.name == name)
    source = choice.read()
    outlines = outlines_of(source, folder=choice.folder)
    season, by_region = newest_harvests(source)
    return Harvests(
        crop=str(source.samples[0].source.facts["crop"]),
        season=season,
        by_region=by_region,
        num_regions=len({sample.source.facts["region"] for sample in source.samples}),
        is_simulated=source.simulated,
        attribution="; ".join(filter(None, (source.attribution, outlines.attribution if outlines else ""))),
        geometry=pack_outlines(outlines) if outlines else None,
    )


def colour_harvests(told: Harvests, geometry: Geometry) -> MapContent:
    """Colour the regions by their harvests; those without are grey."""
    values = np.array([told.by_region.get(str(region), np.nan) for region in geometry.ids])
    unit = YieldUnit(name="t/ha", crop=told.crop)
    words = [f"harvested {value:.1f} {unit.name}" if np.isfinite(value) else "no harvest known" for value in values]
    return MapContent(
        name=f"harvests of {told.season}",
        layers=[colour_layer(pd.DataFrame({LAYERS[HARVEST][0]: values}), HARVEST, unit, {})],
        flags=np.zeros(len(values), np.uint8),
        labels=[f"{title_region(str(region))}: {word}" for region, word in zip(geometry.ids, words, strict=True)],
        names=[short_name(str(region)) for region in geometry.ids],
    )


def show_harvests(choice: RegionChoice, desk: Desk) -> bool:
    """Draw the newest harvests of a set, and say whose they are; False where none can be drawn."""
    with desk.canvas:
        told = read_harvests(choice.name, "-".join(map(stamp_of, tables_of(choice))) or "ours")
    if told.geometry is None or not told.by_region:
        return False
    origin = origin_of([told.is_simulated])
    say_status(
        desk.status, f"{told.crop.capitalize()} harvests {told.season}", origin=origin, training=origin,
        adapter="no model yet", not_for="trading or insurance",
        state=f"the newest known, in {len(told.by_region)} of {told.num_regions} regions",
    )  # fmt: skip
    chosen = str(st.query_params.get("region", ""))
    content = replace(colour_harvests(told, told.geometry), selected=chosen if chosen in told.by_region else "")
    with desk.canvas:
        fieldmap(told.geometry, content, "harvests", choose_region)
    if told.attribution:
        (desk.dock or desk.canvas).caption(f"Data: {plain(told.attribution, 1000)}")
    return True
