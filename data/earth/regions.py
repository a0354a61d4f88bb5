"""Regional yields with their seasons in CY-Bench's layout, as samples.

Times are seconds from 1 January of the harvest year. Yields are t/ha; zero yields are missing and flagged.
Source of the layout: CY-Bench (AgML), data card, https://github.com/WUR-AI/AgML-CY-Bench.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.earth.crops import crop_name
from mainstem.data.earth.region_tables import Number, check_keys, check_regions, check_yields, named_by, read_table
from mainstem.data.hearing import tell
from mainstem.data.tabular import LARGEST, Table, shown

DAY_S = 86_400.0
YEAR_S = 365.25 * DAY_S
HISTORY = (Channel(name="yield", unit="t/ha"),)
SOIL_UNITS = {"awc": "cm/m", "bulk_density": "kg/dm3", "drainage_class": "1"}
SERIES_UNITS = {"ndvi": "relative", "fpar": "%"}
NDVI_LARGEST = 255.0  # of CY-Bench's digital numbers, a byte each
FEWEST_TOLD = 5  # values of a region and year from which their unit is told
ODD_YEAR_SHARE = 0.5  # a year this far from the median of its neighbours is flagged
COMMON_LAST_DAY = 366.0  # where no crop calendar is given, series end with the harvest year


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
            source = source_of(name or f"{crop}-{country}", region, int(year), attribution, facts)
            kept = {kind: stream for kind, stream in streams.items() if stream is not None}
            origin = f"{year}-01-01T00:00:00Z"
            target = float(harvested) if np.isfinite(harvested) else None
            samples.append(Sample(streams=kept, target=target, source=source, origin=origin))
    return SampleSet(name=name or f"{crop}-{country}", samples=tuple(samples), flagged=flagged, attribution=attribution)


def source_of(data: str, region: str, year: int, attribution: str, facts: Mapping[str, str | float]) -> Provenance:
    """Where a region's season comes from; years are what is held out whole."""
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
    check_keys(source, table, ["adm_id", "date"])
    check_regions(source, table["adm_id"], known)
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
    check_keys(source, table, ["adm_id"])
    check_regions(source, table["adm_id"], known)
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
