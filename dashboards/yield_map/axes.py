"""The season's axis, which all charts of a region share: dates, or crop phases where the inputs have no dates."""

from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from mainstem.adapters.crop_yield.seasons import LEADS, MONTH_DAYS, PHASE
from mainstem.apps.crop_phases import PHASES
from mainstem.core.stream import Sample

LAST_DAY = 365.0


@dataclass(frozen=True, kw_only=True)
class SeasonAxis:
    """The axis of one region's season: `end` is its last day, None where its inputs are of crop phases."""

    season: str
    end: pd.Timestamp | None

    @classmethod
    def of(cls, sample: Sample, season: str) -> "SeasonAxis":
        """Read what a sample's inputs lie on."""
        if any(PHASE.fullmatch(name) for name in sample.streams):
            return cls(season=season, end=None)
        day = float(sample.source.facts.get("season_end_day", LAST_DAY))
        return cls(season=season, end=pd.Timestamp(f"{season}-01-01") + pd.Timedelta(days=day))

    def at(self, lead: float) -> Any:  # noqa: ANN401 - a date or a phase
        """Where what was known at a lead ends."""
        if self.end is None:
            return PHASES[LEADS - 1 - int(lead)]
        return self.end - pd.Timedelta(days=float(lead) * MONTH_DAYS)

    def middle_of(self, order: int) -> Any:  # noqa: ANN401 - a date or a phase
        """Where an input of a crop phase, or a month (0 is January), lies."""
        if self.end is None:
            return PHASES[order]
        return pd.Timestamp(f"{self.season}-01-01") + pd.Timedelta(days=(order + 0.5) * MONTH_DAYS)

    def x(self, field: str, *, is_last: bool) -> alt.X:
        """The axis, with words under the last chart alone."""
        if self.end is None:
            axis = alt.Axis(
                labels=is_last, ticks=is_last, labelAngle=0, labelOverlap=False,
                labelExpr="split(datum.label, ' ')",  # a line each
            )  # fmt: skip
            return alt.X(f"{field}:O", title=None, axis=axis, scale=alt.Scale(domain=list(PHASES)))
        axis = alt.Axis(labels=is_last, ticks=is_last, format="%b", tickCount="month")
        ends = [pd.Timestamp(f"{self.season}-01-01").isoformat(), (self.end + pd.Timedelta(days=5)).isoformat()]
        return alt.X(f"{field}:T", title=None, axis=axis, scale=alt.Scale(domain=ends))
