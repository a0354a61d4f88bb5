"""Growth of a crop from its observed canopy and the weather: light-use efficiency under a water balance, by pixel.

A day's growth is radiation-use efficiency x absorbed PAR x water supply: Monteith 1977, Phil. Trans. R. Soc. B 281,
277; canopy cover comes from NDVI, not from a model of leaves (compare SCYM: Lobell et al. 2015, Remote Sensing
of Environment 164, 324). Cover is 1 - ((full - NDVI) / (full - soil))^EXPONENT: Baret & Guyot 1991, Remote Sensing of
Environment 35, 161. Water supply is FAO-56's, equation 84 (Allen et al. 1998), with `data.simulate`'s maize constants.
A soil map is wrong, or there is none: each balance is run for three capacities, and what they are worth is learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstem.core.stream import Channel, Sample, Stream
from mainstem.data.earth.simulate import BASE_TEMPERATURE_C, DEPLETION_SHARE, RADIATION_USE_G_MJ, ROOT_DEPTH_M
from mainstem.data.earth.weather import NAMES as WEATHER

Array = NDArray[np.float64]
DAY_S = 86_400.0
NUM_DAYS = 365
LOAM_MM = 140.0  # of a metre of root zone (FAO-56, table 19), where no soil map says it
CAPACITIES = (0.75, 1.0, 1.25)  # times what the soil map says
NDVI_SOIL, NDVI_FULL, EXPONENT = 0.17, 0.95, 0.6  # the exponent, of extinctions, chosen on simulated training farms
DEGREE_DAYS = 1500.0  # to maturity of a mid-late maize hybrid, base 8 degC
EMERGED = 0.05  # cover at which degree days begin where sowing is unknown
STEP_DAYS, FIRST_DAY, NUM_STEPS = 10, 90, 20  # of the trunk's series: April to mid October
DAILY = ("cover", "stage", "growth", "supply", "rain", "temperature", "radiation")
CHANNELS = tuple(
    Channel(name=name, unit=unit)
    for name, unit in zip(DAILY, ("1", "1", "g/m2", "1", "mm", "degC", "MJ/m2"), strict=True)
)
FEATURES = 2 + 2 * len(CAPACITIES)
SUMS = tuple(Channel(name=f"sum {index}", unit="1") for index in range(FEATURES))
CHUNK = 4096  # pixels at once: daily states of all of them would not fit


@dataclass(frozen=True, kw_only=True, eq=False)
class Seasons:
    """What is known of pixels' seasons: NDVI (n, day), weather (n, day, 4), sowing day (n,), water capacity mm (n,).

    NaN where unknown; an unknown capacity is that of loam.
    """

    ndvi: Array
    weather: Array
    sowing: Array
    capacity_mm: Array

    @classmethod
    def read(cls, samples: Sequence[Sample]) -> "Seasons":
        """Read samples' streams `pixel`, `weather`, `soil` and `management`."""
        num = len(samples)
        ndvi, weather = np.full((num, NUM_DAYS), np.nan), np.full((num, NUM_DAYS, len(WEATHER)), np.nan)
        sowing, capacity = np.full(num, np.nan), np.full(num, LOAM_MM)
        for row, sample in enumerate(samples):
            pixel, daily, soil, farming = (
                sample.streams.get(name) for name in ("pixel", "weather", "soil", "management")
            )
            if pixel is not None:
                ndvi[row] = _daily_ndvi(pixel)
            if daily is not None:
                weather[row] = _daily(daily)
            if soil is not None and np.isfinite(soil.values[0]):
                capacity[row] = 10 * ROOT_DEPTH_M * soil.values[0]
            if farming is not None:
                sowing[row] = farming.values[0]
        return cls(ndvi=ndvi, weather=weather, sowing=sowing, capacity_mm=capacity)


def _days(stream: Stream) -> NDArray[np.int64]:
    assert stream.times is not None
    return np.floor(stream.times / DAY_S).astype(np.int64)


def _daily_ndvi(pixel: Stream) -> Array:
    """NDVI of each day, linear between clear dates and level before and after; NaN where no date is clear."""
    names = [channel.name for channel in pixel.channels]
    if "B8" not in names or "B4" not in names:
        return np.full(NUM_DAYS, np.nan)
    values = np.where(pixel.observed(), pixel.values, np.nan)
    near_infrared, red = values[:, names.index("B8")], values[:, names.index("B4")]
    ndvi = (near_infrared - red) / np.where(near_infrared + red > 0, near_infrared + red, np.nan)
    seen = np.isfinite(ndvi)
    if not seen.any():
        return np.full(NUM_DAYS, np.nan)
    return np.interp(np.arange(NUM_DAYS), _days(pixel)[seen], ndvi[seen])


def _daily(weather: Stream) -> Array:
    """Daily weather (day, 4) in the order of WEATHER; a day that is not given is NaN."""
    found = np.full((NUM_DAYS, len(WEATHER)), np.nan)
    columns = [[channel.name for channel in weather.channels].index(name) for name in WEATHER]
    days = _days(weather)
    inside = (days >= 0) & (days < NUM_DAYS)
    found[days[inside]] = weather.values[inside][:, columns]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Growth:
    """Daily states (n, day, len(DAILY)) for the middle capacity, and season sums (n, FEATURES); NaN where unknown."""

    daily: Array
    sums: Array


def grow(seasons: Seasons) -> Growth:
    """Run the growth model; `sums` hold absorbed growth, degree days' share, and watered growth and stress by capacity.

    All growth is above-ground dry matter, g/m2.
    """
    temperature, rain, radiation, demand = np.moveaxis(seasons.weather, -1, 0)
    cover = 1 - (1 - np.clip((seasons.ndvi - NDVI_SOIL) / (NDVI_FULL - NDVI_SOIL), 0, 1)) ** EXPONENT
    days = np.arange(NUM_DAYS)
    is_green: NDArray[np.bool_] = np.greater(cover, EMERGED)
    emerged = np.where(is_green.any(1), np.argmax(is_green, 1), NUM_DAYS)
    start = np.where(np.isfinite(seasons.sowing), seasons.sowing, emerged)
    growing = days >= start[:, None]
    heat = np.where(growing, np.maximum(temperature - BASE_TEMPERATURE_C, 0), 0.0).cumsum(1)
    stage = heat / DEGREE_DAYS
    absorbed = np.where(growing & (stage < 1), RADIATION_USE_G_MJ * cover * 0.5 * radiation, 0.0)
    supplies = [_supply(cover, rain, demand, share * seasons.capacity_mm) for share in CAPACITIES]
    sums = [absorbed.sum(1), np.minimum(stage[:, -1], 1.5)]
    for supply in supplies:
        sums += [(absorbed * supply).sum(1), np.where(growing & (stage < 1), (1 - supply) * cover, 0.0).sum(1)]
    known = np.logical_and(np.isfinite(seasons.ndvi).all(1), np.isfinite(seasons.weather).all((1, 2)))
    middle = supplies[len(supplies) // 2]
    daily = np.stack([cover, np.minimum(stage, 1.5), absorbed * middle, middle, rain, temperature, radiation], -1)
    return Growth(daily=daily, sums=np.where(known[:, None], np.stack(sums, 1), np.nan))


def _supply(cover: Array, rain: Array, demand: Array, capacity_mm: Array) -> Array:
    """Share of the water demand that the soil meets, 0-1 (n, day): a bucket that begins full on 1 January."""
    supply = np.ones_like(cover)
    depletion = np.zeros(len(cover))
    for day in range(NUM_DAYS):
        supply[:, day] = np.clip((capacity_mm - depletion) / ((1 - DEPLETION_SHARE) * capacity_mm), 0, 1)
        used = (0.3 + 0.9 * cover[:, day]) * supply[:, day] * demand[:, day]
        depletion = np.clip(depletion - rain[:, day] + used, 0, capacity_mm)
    return supply


SAID = ("soil", "management")  # of the place, by a map or by its farmer; a loam and a usual sowing day without them


def derive(samples: Sequence[Sample]) -> list[Sample]:
    """Return samples with the growth model's states by ten days and its season sums in place of daily streams.

    SAID streams stay, so that calibration knows what the model had to assume where they are missing.
    """
    found: list[Sample] = []
    for start in range(0, len(samples), CHUNK):
        part = samples[start : start + CHUNK]
        growth = grow(Seasons.read(part))
        for sample, series, sums in zip(part, _series(growth), growth.sums, strict=True):
            said = {name: sample.streams[name] for name in SAID if name in sample.streams}
            streams = {"growth": series, "sums": Stream(kind="scalar", values=sums, channels=SUMS)}
            found.append(replace(sample, streams={**said, **streams}))
    return found


def _series(growth: Growth) -> list[Stream]:
    """The daily states by step of ten days (mean; growth and rain as sums), for the trunk."""
    stop = FIRST_DAY + STEP_DAYS * NUM_STEPS
    steps = growth.daily[:, FIRST_DAY:stop].reshape(len(growth.daily), NUM_STEPS, STEP_DAYS, len(DAILY)).mean(2)
    steps[..., [DAILY.index("growth"), DAILY.index("rain")]] *= STEP_DAYS
    times = DAY_S * (FIRST_DAY + STEP_DAYS * np.arange(NUM_STEPS, dtype=np.float64))
    return [Stream(kind="series", values=values, channels=CHANNELS, times=times) for values in steps]
