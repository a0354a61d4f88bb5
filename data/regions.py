"""Regional yields with their seasons: CY-Bench folders and the US county feature tables, as samples.

Times are seconds from 1 January of the harvest year. Yields are t/ha; zero yields are missing and flagged.
Source of the layout: CY-Bench (AgML), data card, https://github.com/WUR-AI/AgML-CY-Bench.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance, Sample, SampleSet, Stream

DAY_S = 86_400.0
YEAR_S = 365.25 * DAY_S
HISTORY = (Channel(name="yield", unit="t/ha"),)
SOIL_UNITS = {"awc": "cm/m", "bulk_density": "kg/dm3", "drainage_class": "1"}
SERIES_UNITS = {"ndvi": "relative", "fpar": "%"}
LARGEST_YIELD_T_HA = (
    25.0  # the maize record of the US national contest is 38.7 t/ha on one field; no region's median nears 25
)
ODD_YEAR_SHARE = 0.5  # a year this far from the median of its neighbours is flagged
COMMON_LAST_DAY = 366.0  # where no crop calendar is given, series end with the harvest year


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV that has to hold `columns`.

    Raises:
        InputError: if the file or a column is missing; a near name is suggested.
    """
    if not path.is_file():
        raise InputError(
            f"no file {path.name} in {path.parent}; want CY-Bench's layout, CROP/COUNTRY/yield_CROP_COUNTRY.csv"
        )
    table = pd.read_csv(path)
    for column in columns:
        if column not in table.columns:
            near = difflib.get_close_matches(column, table.columns, n=1, cutoff=0.5)
            hint = f"; rename {near[0]!r}?" if near else f"; it has {', '.join(map(str, table.columns[:8]))}"
            raise InputError(f"{path.name} lacks the column {column!r}{hint}")
    if table.empty:
        raise InputError(f"{path.name} holds no rows")
    return table


def check_yields(table: pd.DataFrame, name: str) -> None:
    """Refuse repeated region-years, yields that are all missing, and yields that look like bushels.

    Raises:
        InputError: naming the first offending row or the median found.
    """
    repeated = table.duplicated(["adm_id", "year"])
    if repeated.any():
        row = table[repeated].iloc[0]
        raise InputError(
            f"{name}: {row['adm_id']} {row['year']} stands twice, want one row a region and year; drop one"
        )
    numbers = pd.to_numeric(table["yield"], errors="coerce")
    if not np.isfinite(numbers).any():
        raise InputError(f"{name}: every yield is missing or no number; fill the column 'yield' in t/ha")
    if numbers.median() > LARGEST_YIELD_T_HA:
        raise InputError(
            f"{name}: median yield {numbers.median():.0f}, want t/ha; these look like bu/ac: convert them first"
        )


def parse_days(dates: pd.Series, name: str) -> pd.Series:
    """Parse YYYYMMDD integers.

    Raises:
        InputError: with the first value that is no date.
    """
    parsed = pd.to_datetime(dates.astype(str), format="%Y%m%d", errors="coerce")
    if parsed.isna().any():
        raise InputError(f"{name}: got date {dates[parsed.isna()].iloc[0]!r}, want YYYYMMDD")
    return parsed


def load_cybench(folder: Path, crop: str, country: str, name: str = "", attribution: str = "") -> SampleSet:
    """Read CROP/COUNTRY below `folder` in CY-Bench's layout; every file but the yields may be absent."""
    place = folder / crop / country
    stem = f"{crop}_{country}.csv"
    table = read_table(place / f"yield_{stem}", ["adm_id", "harvest_year", "yield"])
    table = table.rename(columns={"harvest_year": "year"})
    check_yields(table, f"yield_{stem}")
    table = table.sort_values(["adm_id", "year"])
    series = {kind: _read_series(place / f"{kind}_{stem}", kind) for kind in SERIES_UNITS}
    soil, ends = _read_soil(place / f"soil_{stem}"), _read_ends(place / f"crop_calendar_{stem}")
    flagged = _flag(table)
    samples = []
    for key, rows in table.groupby("adm_id"):
        region = str(key)
        good = rows[rows["yield"] > 0]
        for year, harvested in zip(rows["year"], rows["yield"], strict=True):
            streams = {"history": history_stream(good["year"].to_numpy(), good["yield"].to_numpy(), int(year))}
            end_day = ends.get(region, COMMON_LAST_DAY)
            for kind, by_region in series.items():
                streams[kind] = _season(by_region.get(region), int(year), end_day, kind)
            streams["soil"] = soil.get(region)
            facts: dict[str, str | float] = {"crop": crop, "country": country, "season_end_day": end_day}
            source = _source(name or f"{crop}-{country}", region, int(year), attribution, facts)
            kept = {kind: stream for kind, stream in streams.items() if stream is not None}
            origin = f"{year}-01-01T00:00:00Z"
            target = float(harvested) if np.isfinite(harvested) else None
            samples.append(Sample(streams=kept, target=target, source=source, origin=origin))
    return SampleSet(
        name=name or f"{crop}-{country}",
        samples=tuple(samples),
        flagged=flagged,
        attribution=attribution,
    )


US_UNITS = {"TAVG": "degC", "PREC": "mm", "CWB": "mm", "FAPAR": "1"}  # CY-Bench's feature names; Z counts dekads
US_LAGS = (5, 4, 3, 2, 1)
SAME_T_HA = 1e-6  # the tables repeat a yield digit for digit
US_LAST_TRAINING_YEAR = 2011  # the split that the upstream README names


def us_season_channels(columns: Sequence[str]) -> dict[str, tuple[Channel, ...]]:
    """Channels by stream: "soil", and the season's aggregates by crop phase, "phase0" to "phase4"."""
    units = {f"avg{quantity}": unit for quantity, unit in US_UNITS.items()}
    streams: dict[str, tuple[Channel, ...]] = {"soil": (Channel(name="SM_WHC", unit="cm"),)}
    for column in columns:
        if column.startswith(("avg", "Z-", "Z+")):
            name = f"phase{column[-1]}"
            channel = Channel(name=column, unit=units.get(column[:-2], "1"))
            streams[name] = (*streams.get(name, ()), channel)
    return dict(sorted(streams.items()))


def load_us_maize(folder: Path, attribution: str = "") -> SampleSet:
    """Read the US county tables (train 2000-2011, test 2012-2018): season aggregates and five past yields."""
    lags = [f"yield-{lag}" for lag in US_LAGS]
    wanted = ["adm_id", "year", "yield", "yield_trend", "SM_WHC", *lags]
    paths = [folder / f"grain_maize_US_{part}.csv" for part in ("train", "test")]
    table = pd.concat([read_table(path, wanted) for path in paths], ignore_index=True)
    check_yields(table, "grain_maize_US")
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
        source = _source("us-maize", str(region), int(year), attribution, facts)
        origin = f"{year}-01-01T00:00:00Z"
        samples.append(Sample(streams=streams, target=float(harvested), source=source, origin=origin))
    return SampleSet(
        name="us-maize",
        samples=tuple(samples),
        flagged={},
        attribution=attribution,
        test_groups=frozenset(str(year) for year in table["year"].unique() if year > US_LAST_TRAINING_YEAR),
    )


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


def _source(data: str, region: str, year: int, attribution: str, facts: Mapping[str, str | float]) -> Provenance:
    return Provenance(
        data=data,
        item=f"{region} {year}",
        group=str(year),
        attribution=attribution,
        facts={"region": region, "year": float(year), **facts},
    )


def history_stream(years: np.ndarray, yields: np.ndarray, harvest_year: int) -> Stream | None:
    """Yields of the years strictly before the harvest year, or None where there are none."""
    earlier = years < harvest_year
    if not earlier.any():
        return None
    times = (years[earlier] - harvest_year).astype(np.float64) * YEAR_S
    return Stream(kind="series", values=yields[earlier, None].astype(np.float64), channels=HISTORY, times=times)


def _read_series(path: Path, kind: str) -> dict[str, pd.Series]:
    """Each region's values by date; a repeated date is an error, the order of rows is free."""
    if not path.is_file():
        return {}
    table = read_table(path, ["adm_id", "date", kind])
    table["date"] = parse_days(table["date"], path.name)
    if table.duplicated(["adm_id", "date"]).any():
        row = table[table.duplicated(["adm_id", "date"])].iloc[0]
        raise InputError(f"{path.name}: {row['adm_id']} has {row['date']:%Y-%m-%d} twice; drop one")
    table = table.sort_values(["adm_id", "date"])
    return {str(region): rows.set_index("date")[kind] for region, rows in table.groupby("adm_id")}


def _season(values: pd.Series | None, year: int, last_day: float, kind: str) -> Stream | None:
    """The observations from 1 January of the harvest year up to the end of its season."""
    if values is None:
        return None
    start = pd.Timestamp(year=year, month=1, day=1)
    inside = values[(values.index >= start) & (values.index < start + pd.Timedelta(days=last_day))]
    if inside.empty:
        return None
    times = (pd.DatetimeIndex(inside.index) - start).total_seconds().to_numpy(np.float64)
    channels = (Channel(name=kind, unit=SERIES_UNITS[kind]),)
    return Stream(kind="series", values=inside.to_numpy(np.float64)[:, None], channels=channels, times=times)


def _read_soil(path: Path) -> dict[str, Stream]:
    if not path.is_file():
        return {}
    table = read_table(path, ["adm_id", *SOIL_UNITS])
    channels = tuple(Channel(name=name, unit=unit) for name, unit in SOIL_UNITS.items())
    rows = table.set_index("adm_id")[list(SOIL_UNITS)].astype(float)
    return {
        str(region): Stream(kind="scalar", values=row.to_numpy(), channels=channels) for region, row in rows.iterrows()
    }


def _read_ends(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    table = read_table(path, ["adm_id", "eos"])
    return {str(region): float(day) for region, day in zip(table["adm_id"], table["eos"], strict=True)}


def _flag(table: pd.DataFrame) -> dict[str, str]:
    """Name zero yields, and every region of a year whose mean lies far from that of its neighbours."""
    zero = table["yield"] <= 0
    flagged = {f"{row.adm_id} {row.year}": "yield of zero means missing" for row in table[zero].itertuples()}
    means = table[~zero].groupby("year")["yield"].mean()
    for year in means.index:
        near = means[(abs(means.index - year) <= 2) & (means.index != year)]
        if len(near) >= 2 and abs(means[year] - near.median()) > ODD_YEAR_SHARE * near.median():
            reason = (
                f"mean of {year} is {means[year]:.1f} t/ha, near years' {near.median():.1f}: likely wrong at the source"
            )
            flagged |= {f"{region} {year}": reason for region in table.loc[table["year"] == year, "adm_id"]}
    return flagged
