"""Regional yields with their seasons: CY-Bench folders and the US county feature tables, as samples.

Times are seconds from 1 January of the harvest year. Yields are t/ha; zero yields are missing and flagged.
Source of the layout: CY-Bench (AgML), data card, https://github.com/WUR-AI/AgML-CY-Bench.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance, Sample, SampleSet, Stream
from mainstem.data.earth.crops import check_named, crop_name
from mainstem.data.tabular import LARGEST, Table, open_table, shown, tell

DAY_S = 86_400.0
YEAR_S = 365.25 * DAY_S
HISTORY = (Channel(name="yield", unit="t/ha"),)
SOIL_UNITS = {"awc": "cm/m", "bulk_density": "kg/dm3", "drainage_class": "1"}
SERIES_UNITS = {"ndvi": "relative", "fpar": "%"}
NDVI_LARGEST = 255.0  # of CY-Bench's digital numbers, a byte each
FEWEST_TOLD = 5  # values of a region and year from which their unit is told
LARGEST_YIELD_T_HA = (
    25.0  # the maize record of the US national contest is 38.7 t/ha on one field; no region's median nears 25
)
YIELD_UNITS = {  # to t/ha: 100 kg, 1 kg; bushels of 56 lb (maize) and pounds an acre, NIST Handbook 44, appendix C
    "dt/ha": 0.1, "bu/ac": 0.0628, "kg/ha": 1e-3, "lb/ac": 0.00112085,
}  # fmt: skip
LIKELY = (1.0, 16.0)  # t/ha, between which medians of regions lie
APART = 4.0  # times the usual median; bushels are 16 times t/ha
MOST_ABOVE = 0.1  # share of yields above the largest: wild values are few, another unit is not
ODD_YEAR_SHARE = 0.5  # a year this far from the median of its neighbours is flagged
COMMON_LAST_DAY = 366.0  # where no crop calendar is given, series end with the harvest year


@dataclass(frozen=True, kw_only=True)
class Number:
    """A column of numbers within limits, which lie far beyond what is measured: they tell units apart."""

    low: float
    high: float
    unit: str


Kind = Literal["name", "year", "day", "yield"] | Number


def read_table(
    path: Path, kinds: Mapping[str, Kind], named: tuple[str, str] | None = None
) -> tuple[Table, pd.DataFrame]:
    """Read a table that has to hold these columns, each as what it is; yields keep their faults for `check_yields`.

    Raises:
        InputError: if the file or a column is missing (a near name is suggested), a cell is not of its kind, or a row
            says another crop or country than the `named` ones.
    """
    table = open_table(path, f"none in {path.parent}; want CY-Bench's layout, CROP/COUNTRY/yield_CROP_COUNTRY.csv")
    table.need(*kinds)
    if named is not None:
        check_named(table, *named)
    readers: dict[str, Callable[[str], Any]] = {
        "name": table.names,
        "year": table.years,
        "day": table.days,
        "yield": table.raw,
    }
    columns = {
        column: table.numbers(column, kind.low, kind.high, kind.unit)
        if isinstance(kind, Number)
        else readers[kind](column)
        for column, kind in kinds.items()
    }
    return table, pd.DataFrame(columns)


def named_by(path: Path) -> tuple[str, str]:
    """Return the crop and country that CY-Bench names a table after, as yield_CROP_COUNTRY.csv."""
    _, crop, country = path.stem.rsplit("_", 2)
    return crop, country


def check_yields(table: Table, frame: pd.DataFrame) -> dict[str, str]:
    """Put numbers for the yields, NaN for those that cannot be, and name these by region and year.

    Raises:
        InputError: if a region-year stands twice, two regions have all but one name, every yield is missing, or all
            yields, or those of a region, look like another unit's.
    """
    _check_keys(table, frame, ["adm_id", "year"])
    _check_names(table, frame["adm_id"])
    numbers, faults = table.sift("yield")
    frame["yield"] = numbers
    if not np.isfinite(numbers).any():
        got = next((f" (row {table.rows[index]}: {fault})" for index, fault in faults.items()), "")
        raise InputError(f"{table.name}: every yield is missing or no number{got}; fill the column 'yield' in t/ha")
    _check_units(table.name, frame)
    for index in np.flatnonzero((numbers < 0) | (numbers > LARGEST_YIELD_T_HA)).tolist():
        faults[index] = f"a yield of {numbers[index]:g} t/ha cannot be, want 0 to {LARGEST_YIELD_T_HA:g}"
    flagged = {}
    for index, fault in sorted(faults.items()):
        frame.loc[index, "yield"] = np.nan
        flagged[f"{frame['adm_id'][index]} {frame['year'][index]}"] = f"row {table.rows[index]}: {fault}"
    if flagged:
        item, fault = next(iter(flagged.items()))
        taken = f"{len(frame) - len(flagged)} of {len(frame)} yields taken"
        table.notes.append(f"{taken}, {len(flagged)} left out, first {item}, {fault}")
    return flagged


def _check_units(name: str, frame: pd.DataFrame) -> None:
    """Refuse yields of which all, a region's or a year's have a median that no harvest has, naming likely units."""
    usual = frame["yield"].median()
    groups = [(f" of {shown(str(key))}", rows.median()) for key, rows in frame.groupby("adm_id")["yield"]]
    groups += [(f" of {key}", rows.median()) for key, rows in frame.groupby("year")["yield"]]
    for of, median in (("", usual), *groups):
        is_apart = median > LIKELY[1] and median > APART * usual
        if not (median > LARGEST_YIELD_T_HA or is_apart):
            continue
        likely = {unit: median * factor for unit, factor in YIELD_UNITS.items()}
        fitting = [f"{unit} ({value:.3g} t/ha)" for unit, value in likely.items() if LIKELY[0] <= value <= LIKELY[1]]
        if of and not fitting:
            continue  # a wild value or two, which are flagged each
        looks = f"these look like {' or '.join(fitting)}" if fitting else "no unit of yields fits"
        raise InputError(f"{name}: median yield{of} {median:.4g}, want t/ha; {looks}: convert them first")
    above = int((frame["yield"] > LARGEST_YIELD_T_HA).sum())
    if above > MOST_ABOVE * frame["yield"].notna().sum() and above > 1:
        raise InputError(
            f"{name}: {above} yields above {LARGEST_YIELD_T_HA:g}, want t/ha; these look like another unit's, "
            "as dt/ha or bu/ac: convert them first"
        )


def _check_keys(table: Table, frame: pd.DataFrame, keys: Sequence[str]) -> None:
    """Refuse what stands twice."""
    for index in frame.index[frame.duplicated(list(keys))][:1]:
        what = " ".join(f"{frame[key][index]:%Y-%m-%d}" if key == "date" else str(frame[key][index]) for key in keys)
        raise InputError(
            f"{table.name}, row {table.rows[index]}: {what} stands twice, want one row a region"
            f"{' and ' + keys[1] if keys[1:] else ''}; drop one"
        )


def _check_names(table: Table, regions: pd.Series) -> None:
    """Refuse names that differ by case or blanks alone: one region would become two."""
    seen: dict[str, str] = {}
    for region in regions.unique():
        like = seen.setdefault("".join(region.split()).casefold(), region)
        if like != region:
            raise InputError(
                f"{table.name}: {shown(like)} and {shown(region)} differ by blanks or case alone; write one name"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionSeries:
    """One region's values by date, and what they are of."""

    values: "pd.Series[float]"
    channel: Channel


SERIES_LIMITS = {
    "ndvi": Number(low=-LARGEST, high=LARGEST, unit=""),  # its unit is told in `_series_unit`
    "fpar": Number(low=0, high=100, unit="%"),
}
SOIL_LIMITS = {"awc": (0, 60), "bulk_density": (0.05, 2.7), "drainage_class": (0, 10)}  # quartz weighs 2.65 kg/dm3


def load_cybench(folder: Path, crop: str, country: str, name: str = "", attribution: str = "") -> SampleSet:
    """Read CROP/COUNTRY below `folder` in CY-Bench's layout, or its files side by side in `folder`.

    Every file but the yields may be absent.

    Raises:
        InputError: if a table cannot be read, or speaks of another crop or country.
    """
    if not (folder / crop / country).is_dir():  # the layout has small letters for crops, capitals for countries
        crop, country = crop_name(crop), country.strip().upper()
    stem = f"{crop}_{country}.csv"
    place = folder if (folder / f"yield_{stem}").is_file() else folder / crop / country
    source_table, table = read_table(
        place / f"yield_{stem}",
        {"adm_id": "name", "harvest_year": "year", "yield": "yield"},
        named_by(place / f"yield_{stem}"),
    )
    crop = crop_name(crop)
    table = table.rename(columns={"harvest_year": "year"})
    faults = check_yields(source_table, table)
    table = table.sort_values(["adm_id", "year"])
    tables = [source_table]
    known = set(table["adm_id"])
    series = {kind: _read_series(place / f"{kind}_{stem}", kind, known, tables) for kind in SERIES_UNITS}
    soil = _read_soil(place / f"soil_{stem}", known, tables)
    ends = _read_ends(place / f"crop_calendar_{stem}", known, tables)
    flagged = _flag(table) | faults
    tell(tables)
    samples = []
    for key, rows in table.groupby("adm_id"):
        region = str(key)
        good = rows[rows["yield"] > 0]
        for year, harvested in zip(rows["year"], rows["yield"], strict=True):
            streams = {"history": history_stream(good["year"].to_numpy(), good["yield"].to_numpy(), int(year))}
            end_day = ends.get(region, COMMON_LAST_DAY)
            for kind, by_region in series.items():
                streams[kind] = _season(by_region.get(region), int(year), end_day)
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


def _read_series(path: Path, kind: str, known: AbstractSet[str], tables: list[Table]) -> dict[str, RegionSeries]:
    """Each region's values by date; a repeated date is an error, the order of rows is free."""
    if not path.exists():
        return {}
    source, table = read_table(path, {"adm_id": "name", "date": "day", kind: SERIES_LIMITS[kind]}, named_by(path))
    _check_keys(source, table, ["adm_id", "date"])
    _check_regions(source, table["adm_id"], known)
    unit = _series_unit(source.name, table, kind)
    tables.append(source)
    table = table.sort_values(["adm_id", "date"])
    channel = Channel(name=kind, unit=unit)
    return {
        str(region): RegionSeries(values=rows.set_index("date")[kind], channel=channel)
        for region, rows in table.groupby("adm_id")
    }


def _series_unit(name: str, table: pd.DataFrame, kind: str) -> str:
    """The unit that the values speak of: CY-Bench's, or plain NDVI, which no model of the other takes.

    Raises:
        InputError: if some regions or years come in one unit and some in another, or in none that is known.
    """
    whole = table[kind].max()
    if kind == "fpar" and whole <= 1:
        raise InputError(f"{name}: fpar runs to {whole:.3g}, want percent, 0 to 100; this is a share: multiply by 100")
    if kind == "ndvi" and whole > NDVI_LARGEST:
        raise InputError(
            f"{name}: ndvi runs to {whole:.5g}, want -1 to 1, or CY-Bench's 0 to 255; this looks like NDVI "
            "times 10000: divide it"
        )
    if whole <= 1:
        return "1"
    for keys, rows in table[table[kind] != 0].groupby(["adm_id", table["date"].dt.year])[kind]:
        if len(rows) >= FEWEST_TOLD and rows.max() <= 1:
            raise InputError(
                f"{name}: {kind} of {shown(str(keys[0]))} runs to {rows.max():.3g} in {keys[1]}, elsewhere to "
                f"{whole:.4g}; give all in one unit, CY-Bench's"
            )
    if kind == "ndvi" and (table[kind] < 0).any():
        raise InputError(f"{name}: ndvi runs from {table[kind].min():.3g} to {whole:.4g}, want CY-Bench's 0 to 255")
    return SERIES_UNITS[kind]


def _check_regions(table: Table, regions: pd.Series, known: AbstractSet[str]) -> None:
    """Refuse a table none of whose regions is one of the yields', as where "01" became "1"."""
    if known.isdisjoint(regions):
        raise InputError(
            f"{table.name}: no region is one of the yields', {shown(regions.iloc[0])} is not, {shown(min(known))} is; "
            "write the same names in both"
        )


def _season(found: RegionSeries | None, year: int, last_day: float) -> Stream | None:
    """The observations from 1 January of the harvest year up to the end of its season."""
    if found is None:
        return None
    start, values = pd.Timestamp(year=year, month=1, day=1), found.values
    inside = values[(values.index >= start) & (values.index < start + pd.Timedelta(days=last_day))]
    if inside.empty:
        return None
    times = (pd.DatetimeIndex(inside.index) - start).total_seconds().to_numpy(np.float64)
    return Stream(kind="series", values=inside.to_numpy(np.float64)[:, None], channels=(found.channel,), times=times)


def _read_soil(path: Path, known: AbstractSet[str], tables: list[Table]) -> dict[str, Stream]:
    if not path.exists():
        return {}
    limits = {name: Number(low=low, high=high, unit=SOIL_UNITS[name]) for name, (low, high) in SOIL_LIMITS.items()}
    source, table = read_table(path, {"adm_id": "name", **limits}, named_by(path))
    table = _one_a_region(source, table, known)
    tables.append(source)
    channels = tuple(Channel(name=name, unit=unit) for name, unit in SOIL_UNITS.items())
    rows = table.set_index("adm_id")[list(SOIL_UNITS)].astype(float)
    return {
        str(region): Stream(kind="scalar", values=row.to_numpy(), channels=channels) for region, row in rows.iterrows()
    }


def _read_ends(path: Path, known: AbstractSet[str], tables: list[Table]) -> dict[str, float]:
    if not path.exists():
        return {}
    last_day = Number(low=1, high=COMMON_LAST_DAY, unit="day of year")
    source, table = read_table(path, {"adm_id": "name", "eos": last_day}, named_by(path))
    table = _one_a_region(source, table, known)
    tables.append(source)
    ends = zip(table["adm_id"], table["eos"], strict=True)
    return {str(region): float(day) for region, day in ends if np.isfinite(day)}


def _one_a_region(source: Table, table: pd.DataFrame, known: AbstractSet[str]) -> pd.DataFrame:
    """The rows, each said once; a region that stands twice with other values is an error."""
    table = table.drop_duplicates()
    _check_keys(source, table, ["adm_id"])
    _check_regions(source, table["adm_id"], known)
    return table


def _flag(table: pd.DataFrame) -> dict[str, str]:
    """Name zero yields, and every region of a year whose mean lies far from that of its neighbours."""
    zero = table["yield"] == 0
    flagged = {f"{row.adm_id} {row.year}": "yield of zero means missing" for row in table[zero].itertuples()}
    means = table[table["yield"] > 0].groupby("year")["yield"].mean()
    for year in means.index:
        near = means[(abs(means.index - year) <= 2) & (means.index != year)]
        if len(near) >= 2 and abs(means[year] - near.median()) > ODD_YEAR_SHARE * near.median():
            reason = (
                f"mean of {year} is {means[year]:.1f} t/ha, near years' {near.median():.1f}: likely wrong at the source"
            )
            flagged |= {f"{region} {year}": reason for region in table.loc[table["year"] == year, "adm_id"]}
    return flagged
