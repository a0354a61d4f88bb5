"""What is known of a region: its harvests, what was observed of its season, and how old that is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.seasons import CONSTANT, PAST, PHASE
from mainstem.core.stream import Sample
from mainstem.dashboards.yield_map.board import YieldBoard


def past_yields(board: YieldBoard, region: str) -> pd.DataFrame:
    """Return what is known of a region's harvests: year, yield t/ha; history and labelled samples together."""
    remembered: dict[int, float] = {}
    harvested: dict[int, float] = {}
    for season, samples in board.by_season.items():
        for sample in samples:
            if sample.source.facts["region"] == region:
                remembered |= _history(sample, int(season))
                if sample.target is not None and sample.source.item not in board.source.flagged:
                    harvested[int(season)] = float(sample.target)
    return pd.DataFrame(sorted({**remembered, **harvested}.items()), columns=["year", "yield"])


def _history(sample: Sample, year: int) -> dict[int, float]:
    history = sample.streams.get("history")
    if history is None or history.times is None:
        return {}
    years = year + np.round(history.times / (365.25 * 86_400)).astype(int)
    return {int(y): float(v) for y, v in zip(years, history.values[:, 0], strict=True) if np.isfinite(v)}


def season_series(board: YieldBoard, region: str, season: str) -> pd.DataFrame:
    """Return the region's dated observations of the season: date, stream, unit, value; empty where it has no dates."""
    rows = []
    for sample in board.by_season[season]:
        if sample.source.facts["region"] != region:
            continue
        for name, stream in sample.streams.items():
            if stream.kind == "series" and name not in ("history", "trend") and stream.times is not None:
                start = pd.Timestamp(f"{season}-01-01")
                dates = start + pd.to_timedelta(stream.times, unit="s")
                rows += [
                    {"date": date, "stream": name, "unit": stream.channels[0].unit, "value": value}
                    for date, value in zip(dates, stream.values[:, 0], strict=True)
                ]
    return pd.DataFrame(rows, columns=["date", "stream", "unit", "value"])


def data_span(board: YieldBoard, season: str, leads: Sequence[int]) -> list[tuple[str, str]]:
    """First and last date (ISO 8601) of the season's own observations behind each row of its table, known at `leads`.

    Of crop phases, which have no dates, the first and the last; "" where nothing of the season is known.
    """
    found = []
    for sample, lead in zip(board.by_season[season], leads, strict=True):
        shown = TASK.views[f"lead{lead}"](sample)
        own = {name: stream for name, stream in shown.streams.items() if name not in (*PAST, *CONSTANT)}
        days = [stream.times[[0, -1]] for stream in own.values() if stream.times is not None and len(stream.times)]
        if days:
            start = pd.Timestamp(f"{season}-01-01")
            ends = (min(first for first, _ in days), max(last for _, last in days))
            found.append(tuple((start + pd.to_timedelta(end, unit="s")).date().isoformat() for end in ends))
        else:
            phases = sorted(name for name in own if PHASE.fullmatch(name))
            found.append((phases[0], phases[-1]) if phases else ("", ""))
    return [(str(first), str(last)) for first, last in found]


def has_inputs(board: YieldBoard, region: str, season: str) -> bool:
    """True where more is known of a region's season than yields of the past."""
    found = [sample for sample in board.by_season[season] if sample.source.facts["region"] == region]
    return any(set(sample.streams) - {"history", "trend", "soil"} for sample in found)


def data_age(board: YieldBoard, region: str, season: str) -> str:
    """Say in words how old the newest observation behind a prediction is."""
    if not has_inputs(board, region, season):
        return "yields alone: nothing of this season is known but what its past says"
    series = season_series(board, region, season)
    if series.empty:
        return "season aggregates by crop phase, without dates: their age cannot be told"
    last = series["date"].max()
    days = (pd.Timestamp.now().normalize() - last.normalize()).days
    return f"last observation {last:%d %b %Y}, {days} days old"
