"""Growth of a crop from its observed canopy and the weather: light-use efficiency under a water balance, by pixel.

A day's growth is radiation-use efficiency x absorbed PAR x water supply: Monteith 1977, Phil. Trans. R. Soc. B 281,
277; canopy cover comes from NDVI, not from a model of leaves (compare SCYM: Lobell et al. 2015, Remote Sensing
of Environment 164, 324). Cover is 1 - ((full - NDVI) / (full - soil))^EXPONENT: Baret & Guyot 1991, Remote Sensing of
Environment 35, 161. Water supply is FAO-56's, equation 84 (Allen et al. 1998), with `data.simulate`'s maize constants.
A soil map is wrong, or there is none: each balance is run for three capacities, and what they are worth is learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.cases import blocks_in, with_streams
from mainstem.core.stream import Channel, Sample
from mainstem.data.earth.simulate import BASE_TEMPERATURE_C, DEPLETION_SHARE, RADIATION_USE_G_MJ, ROOT_DEPTH_M
from mainstem.data.earth.weather import NAMES as WEATHER

Array = NDArray[np.float64]
DAY_S = 86_400.0
LOAM_MM = 140.0  # of a metre of root zone (FAO-56, table 19), where no soil map says it
CAPACITIES = (0.75, 1.0, 1.25)  # times what the soil map says
NDVI_SOIL, NDVI_FULL, EXPONENT = 0.17, 0.95, 0.6  # the exponent, of extinctions, chosen on simulated training farms
DEGREE_DAYS = 1500.0  # to maturity of a mid-late maize hybrid, base 8 degC
EMERGED = 0.05  # cover at which degree days begin where sowing is unknown
STEP_DAYS, FIRST_DAY, NUM_STEPS = 10, 90, 20  # of the trunk's series: April to mid October
STEPS_A_LEAD, LEADS = 3, 5  # a lead is a month: known to mid October, September ... June
NUM_DAYS = FIRST_DAY + STEP_DAYS * NUM_STEPS  # of a whole season: maize is ripe by then
DAILY = ("cover", "stage", "growth", "supply", "rain", "temperature", "radiation")
CHANNELS = tuple(
    Channel(name=name, unit=unit)
    for name, unit in zip(DAILY, ("1", "1", "g/m2", "1", "mm", "degC", "MJ/m2"), strict=True)
)
STEPS_S = DAY_S * (FIRST_DAY + STEP_DAYS * np.arange(NUM_STEPS, dtype=np.float64))
FEATURES = 2 + 2 * len(CAPACITIES)
SUMS = tuple(Channel(name=f"sum {index}", unit="1") for index in range(FEATURES))
CHUNK = 512  # pixels at once: daily states of more would not stay in the cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Seasons:
    """What is known of pixels' seasons: NDVI (n, day), weather (n, day, 4), sowing day (n,), water capacity mm (n,).

    NaN where unknown; an unknown capacity is that of loam. Weather that all pixels share is (1, day, 4). Days run from
    1 January to the last that is known.
    """

    ndvi: Array
    weather: Array
    sowing: Array
    capacity_mm: Array

    @classmethod
    def read(cls, samples: Sequence[Sample], num_days: int = NUM_DAYS) -> "Seasons":
        """Read samples' streams `pixel`, `weather`, `soil` and `management`, of the first days of the year alone."""
        num = len(samples)
        ndvi, weather = np.full((num, num_days), np.nan), np.full((num, num_days, len(WEATHER)), np.nan)
        sowing, capacity = np.full(num, np.nan), np.full(num, LOAM_MM)
        for rows, pixel in blocks_in(samples, "pixel"):
            ndvi[rows] = _daily_ndvi(pixel, num_days)
        for rows, daily in blocks_in(samples, "weather"):
            if daily.is_shared and len(rows) == num:
                weather = _daily(daily[:1], num_days)
            else:
                weather[rows] = _daily(daily, num_days)
        for rows, soil in blocks_in(samples, "soil"):
            known = np.isfinite(soil.values[:, 0])
            capacity[rows[known]] = 10 * ROOT_DEPTH_M * soil.values[known, 0]
        for rows, farming in blocks_in(samples, "management"):
            sowing[rows] = farming.values[:, 0]
        return cls(ndvi=ndvi, weather=weather, sowing=sowing, capacity_mm=capacity)


def _days(times: Array | None) -> NDArray[np.int64]:
    assert times is not None
    return np.floor(times / DAY_S).astype(np.int64)


def _daily_ndvi(pixels: Block, num_days: int) -> Array:
    """NDVI of the first days (n, day), linear between clear dates, level before and after; NaN where none is clear.

    A date beyond them is not seen: no day leans towards it.
    """
    names = [channel.name for channel in pixels.channels]
    if "B8" not in names or "B4" not in names:
        return np.full((len(pixels), num_days), np.nan)
    bands = [pixels.values[..., names.index(name)] for name in ("B8", "B4")]
    if pixels.valid is not None:
        valid = [pixels.valid[..., names.index(name)] for name in ("B8", "B4")]
        bands = [np.where(seen, band, np.nan) for seen, band in zip(valid, bands, strict=True)]
    near_infrared, red = bands
    total = near_infrared + red
    ndvi = (near_infrared - red) / np.where(total > 0, total, np.nan)
    days = _days(pixels.times)
    ndvi = np.where(days < num_days, ndvi, np.nan)
    if days.ndim > 1:
        return np.concatenate([_interpolated(row[None], own, num_days) for row, own in zip(ndvi, days, strict=True)])
    return _interpolated(ndvi, days, num_days)


def _interpolated(seen: Array, days: NDArray[np.int64], num_days: int) -> Array:
    """Values (n, date), NaN where not seen, on each of the first days of the year (n, day).

    What is missing is put on the line between its neighbours first, so that all rows have the same dates.
    """
    num, dates = seen.shape
    is_seen = np.isfinite(seen)
    index = np.arange(dates)
    before = np.maximum.accumulate(np.where(is_seen, index, -1), 1)
    after = np.minimum.accumulate(np.where(is_seen, index, dates)[:, ::-1], 1)[:, ::-1]
    first, last = np.where(before >= 0, before, after), np.where(after < dates, after, before)
    first, last = np.clip(first, 0, dates - 1), np.clip(last, 0, dates - 1)
    low, high = np.take_along_axis(seen, first, 1), np.take_along_axis(seen, last, 1)
    gap = (days[last] - days[first]).astype(np.float64)
    share = np.where(gap > 0, (days - days[first]) / np.where(gap > 0, gap, 1.0), 0.0)
    filled = np.where(is_seen, seen, low + share * (high - low))
    weights = np.array([np.interp(np.arange(num_days), days, row) for row in np.eye(dates)])
    return filled @ weights if dates else np.full((num, num_days), np.nan)


def _daily(weather: Block, num_days: int) -> Array:
    """Daily weather (n, day, 4) in the order of WEATHER; a day that is not given is NaN."""
    found = np.full((len(weather), num_days, len(WEATHER)), np.nan)
    columns = [[channel.name for channel in weather.channels].index(name) for name in WEATHER]
    days = np.broadcast_to(_days(weather.times), weather.values.shape[:2])
    rows, steps = np.nonzero((days >= 0) & (days < num_days))
    found[rows, days[rows, steps]] = weather.values[rows, steps][:, columns]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Growth:
    """States by name of DAILY for the middle capacity (day, n), or (day, 1) where all share them; sums (n, FEATURES).

    NaN where unknown.
    """

    daily: Mapping[str, Array]
    sums: Array


def grow(seasons: Seasons) -> Growth:
    """Run the growth model; `sums` hold absorbed growth, degree days' share, and watered growth and stress by capacity.

    All growth is above-ground dry matter, g/m2; sums run to the last day that is known.
    """
    num_days = seasons.ndvi.shape[1]
    temperature, rain, radiation, demand = np.ascontiguousarray(seasons.weather.transpose(2, 1, 0))
    full = np.clip((np.ascontiguousarray(seasons.ndvi.T) - NDVI_SOIL) / (NDVI_FULL - NDVI_SOIL), 0, 1)
    cover = 1 - (1 - full) ** EXPONENT
    is_green: NDArray[np.bool_] = np.greater(cover, EMERGED)
    emerged = np.where(is_green.any(0), np.argmax(is_green, 0), num_days)
    start = np.where(np.isfinite(seasons.sowing), seasons.sowing, emerged)
    growing = np.arange(num_days)[:, None] >= start
    heat = np.where(growing, np.maximum(temperature - BASE_TEMPERATURE_C, 0), 0.0).cumsum(0)
    stage = heat / DEGREE_DAYS
    growing &= stage < 1
    absorbed = np.where(growing, RADIATION_USE_G_MJ * cover * 0.5 * radiation, 0.0)
    supplies = _supply(cover, rain, demand, np.outer(CAPACITIES, seasons.capacity_mm))
    stage = np.minimum(stage, 1.5)
    watered = np.einsum("dn,dcn->cn", absorbed, supplies)
    stress = np.einsum("dn,dcn->cn", np.where(growing, cover, 0.0), 1 - supplies)
    sums = [absorbed.sum(0), stage[-1], *np.stack([watered, stress], 1).reshape(-1, len(seasons.ndvi))]
    known = np.logical_and(np.isfinite(seasons.ndvi).all(1), np.isfinite(seasons.weather).all((1, 2)))
    middle = supplies[:, len(CAPACITIES) // 2]
    states = (cover, stage, absorbed * middle, middle, rain, temperature, radiation)
    return Growth(daily=dict(zip(DAILY, states, strict=True)), sums=np.where(known[:, None], np.stack(sums, 1), np.nan))


def _supply(cover: Array, rain: Array, demand: Array, capacity_mm: Array) -> Array:
    """Share of the water demand that the soil meets, 0-1 (day, capacity, n): buckets that begin full on 1 January."""
    supply = np.empty((len(cover), *capacity_mm.shape))
    used = (0.3 + 0.9 * cover) * demand
    depletion, drunk = np.zeros_like(capacity_mm), np.empty_like(capacity_mm)
    per_mm = 1 / ((1 - DEPLETION_SHARE) * capacity_mm)
    for day, met in enumerate(supply):
        np.subtract(capacity_mm, depletion, out=met)
        met *= per_mm
        np.minimum(met, 1, out=met)
        np.multiply(met, used[day], out=drunk)
        depletion -= rain[day]
        depletion += drunk
        np.maximum(depletion, 0, out=depletion)
        np.minimum(depletion, capacity_mm, out=depletion)
    return supply


SAID = ("soil", "management")  # of the place, by a map or by its farmer; a loam and a usual sowing day without them


def derive(samples: Sequence[Sample], lead: int = 0) -> Sequence[Sample]:
    """Return samples with the growth model's states by ten days and its season sums in place of daily streams.

    SAID streams stay, so that calibration knows what the model had to assume where they are missing. A season is taken
    as it was known `days_known(lead)` days into its year, or at the first later lead where its weather ends before:
    scenes and weather of later days are not looked at, and the steps of ten days end there.
    """
    leads = np.maximum(_leads_of_weather(samples), lead)
    each = {one: np.flatnonzero(leads == one) for one in np.unique(leads).tolist()}
    if len(each) < 2:
        return _derived(samples, next(iter(each), lead))
    found: list[Sample] = [samples[0]] * len(samples)
    for one, rows in each.items():
        for row, sample in zip(rows.tolist(), _derived([samples[row] for row in rows.tolist()], one), strict=True):
            found[row] = sample
    return found


def days_known(lead: int) -> int:
    """How many days of the year are known at a lead."""
    return NUM_DAYS - STEP_DAYS * STEPS_A_LEAD * lead


def leads_in(samples: Sequence[Sample]) -> NDArray[np.intp]:
    """The lead at which each derived sample (samples,) is known: its steps of ten days end there."""
    found = np.zeros(len(samples), np.intp)
    for rows, steps in blocks_in(samples, "growth"):
        found[rows] = (NUM_STEPS - steps.values.shape[1]) // STEPS_A_LEAD
    return found


def _leads_of_weather(samples: Sequence[Sample]) -> NDArray[np.intp]:
    """The first lead (samples,) whose days are all over when weather ends; 0 where there is none, the last at most."""
    found = np.zeros(len(samples), np.intp)
    for rows, daily in blocks_in(samples, "weather"):
        own = daily[:1] if daily.is_shared else daily
        last = np.where(own.observed().all(2), _days(own.times), -1).max(1, initial=-1)
        lacking = np.ceil((NUM_DAYS - 1 - last) / (STEP_DAYS * STEPS_A_LEAD))
        found[rows] = np.where(last < 0, 0, np.clip(lacking, 0, LEADS - 1))
    return found


def _derived(samples: Sequence[Sample], lead: int) -> Sequence[Sample]:
    """The same of samples that are all taken as known at one lead."""
    num_days, num_steps = days_known(lead), NUM_STEPS - STEPS_A_LEAD * lead
    parts = [samples[start : start + CHUNK] for start in range(0, len(samples), CHUNK)] or [samples]
    grown = [_grown(grow(Seasons.read(part, num_days)), num_steps) for part in parts]
    series, sums = (np.concatenate(found) for found in zip(*grown, strict=True))
    streams: dict[str, Block] = {
        "growth": Block(kind="series", values=series, channels=CHANNELS, times=STEPS_S[:num_steps]),
        "sums": Block(kind="scalar", values=sums, channels=SUMS),
    }
    return with_streams(samples, SAID, streams)


def _grown(growth: Growth, num_steps: int) -> tuple[Array, Array]:
    """The daily states by step of ten days (n, step, state): means, growth and rain as sums; and the season sums."""
    steps = np.empty((len(growth.sums), num_steps, len(DAILY)))
    for index, (name, daily) in enumerate(growth.daily.items()):
        means = daily[FIRST_DAY:].reshape(num_steps, STEP_DAYS, -1).mean(1)
        steps[..., index] = (STEP_DAYS * means if name in ("growth", "rain") else means).T
    return steps, growth.sums
