"""Maize yields of US counties as samples: season aggregates by crop phase, soil, trend and five past yields.

Times are seconds from 1 January of the harvest year; yields are t/ha.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Sample, Stream
from mainstem.data.earth.region_tables import check_yields, read_table
from mainstem.data.earth.regions import HISTORY, YEAR_S, source_of

UNITS = {"TAVG": "degC", "PREC": "mm", "CWB": "mm", "FAPAR": "1"}  # CY-Bench's feature names; Z counts dekads
LAGS = (5, 4, 3, 2, 1)
SAME_T_HA = 1e-6  # the tables repeat a yield digit for digit
LAST_TRAINING_YEAR = 2011  # the split that the upstream README names


def us_season_channels(columns: Sequence[str]) -> dict[str, tuple[Channel, ...]]:
    """Channels by stream: "soil", and the season's aggregates by crop phase, "phase0" to "phase4"."""
    units = {f"avg{quantity}": unit for quantity, unit in UNITS.items()}
    streams: dict[str, tuple[Channel, ...]] = {"soil": (Channel(name="SM_WHC", unit="cm"),)}
    for column in columns:
        if column.startswith(("avg", "Z-", "Z+")):
            name = f"phase{column[-1]}"
            channel = Channel(name=column, unit=units.get(column[:-2], "1"))
            streams[name] = (*streams.get(name, ()), channel)
    return dict(sorted(streams.items()))


def load_us_maize(folder: Path, attribution: str = "") -> SampleSet:
    """Read the US county tables (train 2000-2011, test 2012-2018): season aggregates and five past yields."""
    lags = [f"yield-{lag}" for lag in LAGS]
    parts = [_read_us(folder / f"grain_maize_US_{part}.csv", lags) for part in ("train", "test")]
    table = pd.concat(parts, ignore_index=True)
    channels = us_season_channels(list(table.columns))
    season = {name: table[[channel.name for channel in named]].to_numpy(np.float64) for name, named in channels.items()}
    facts: dict[str, str | float] = {"crop": "maize", "country": "US"}
    past, trend = table[lags].to_numpy(np.float64), table[["yield_trend"]].to_numpy(np.float64)
    records: dict[str, dict[int, float]] = {}
    for region, year, harvested in zip(table["adm_id"], table["year"], table["yield"], strict=True):
        records.setdefault(str(region), {})[int(year)] = float(harvested)
    trend_channel = (Channel(name="yield_trend", unit="t/ha"),)
    samples = []
    for row, (region, year, harvested) in enumerate(zip(table["adm_id"], table["year"], table["yield"], strict=True)):
        streams = {
            **{name: Stream(kind="scalar", values=season[name][row], channels=channels[name]) for name in channels},
            "history": Stream(
                kind="series",
                values=past[row][:, None],
                channels=HISTORY,
                times=(lag_years(int(year), past[row], records[str(region)]) - int(year)) * YEAR_S,
            ),
            "trend": Stream(kind="scalar", values=trend[row], channels=trend_channel),
        }
        source = source_of("us-maize", str(region), int(year), attribution, facts)
        origin = f"{year}-01-01T00:00:00Z"
        samples.append(Sample(streams=streams, target=float(harvested), source=source, origin=origin))
    return SampleSet(
        name="us-maize",
        samples=tuple(samples),
        flagged={},
        attribution=attribution,
        test_groups=frozenset(str(year) for year in table["year"].unique() if year > LAST_TRAINING_YEAR),
    )


def _read_us(path: Path, lags: Sequence[str]) -> pd.DataFrame:
    """One of the US tables, checked."""
    source, table = read_table(path, {"adm_id": "name", "year": "year", "yield": "yield"})
    source.need("yield_trend", "SM_WHC", *lags)
    if check_yields(source, table):
        raise InputError(f"{path.name}: {source.notes[-1]}; pull us-maize again")
    season = [channel.name for named in us_season_channels(list(source.columns)).values() for channel in named]
    numbers = {column: source.numbers(column) for column in dict.fromkeys([*season, "yield_trend", *lags])}
    ordered = [column for column in source.columns if column in numbers or column in table.columns]
    return pd.concat([table, pd.DataFrame(numbers)], axis=1)[ordered]


def lag_years(year: int, past: np.ndarray, records: Mapping[int, float]) -> np.ndarray:
    """Return the harvest years of a row's past yields, oldest first: they are the last records, with gaps left out.

    A past yield that equals another row of the region is of that row's year; others are of the year before the next.
    """
    years, before = [], year
    for value in past[::-1]:
        same = [known for known, harvested in records.items() if known < before and abs(harvested - value) < SAME_T_HA]
        before = max(same, default=before - 1)
        years.append(before)
    return np.array(years[::-1], np.float64)
