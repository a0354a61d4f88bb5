"""Simulated maize regions with known truth: weather, soil, canopy, water and yield, always labelled simulated.

A day's chain is weather -> canopy -> soil water -> growth; what a satellite would see is then sampled with gaps.
Equations and constants:
- extraterrestrial radiation, Hargreaves radiation and reference evapotranspiration, water stress: Allen et al. 1998,
  FAO Irrigation and Drainage Paper 56, equations 21, 50, 52 and 84; depletion fraction 0.55 and rooting depth 1 m of
  maize from its table 22.
- daily rain as a two-state Markov chain with exponential amounts: Richardson 1981, Water Resources Research 17, 182.
- interception 1 - exp(-k LAI): Monsi & Saeki 1953; k = 0.5 for maize.
- growth = radiation-use efficiency x intercepted PAR: Monteith 1977, Phil. Trans. R. Soc. B 281, 277;
  3.3 g/MJ PAR for maize: Sinclair & Muchow 1999, Advances in Agronomy 65, 215. PAR is half of solar radiation.
- harvest index 0.5: Hay 1995, Annals of Applied Biology 126, 197. Grain at 15.5 % moisture (USDA standard for maize).
- NDVI as a mixture of soil and full canopy: Gutman & Ignatov 1998, Int. J. Remote Sensing 19, 1533.
What no source gives (spread of soils and climates, farms' efficiency, noise) is this module's own choice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.earth.regions import DAY_S, SERIES_UNITS, SOIL_UNITS, history_stream

Array = NDArray[np.float64]
FIRST_SEASON, NUM_YEARS, NUM_REGIONS = 2004, 20, 64
NUM_DAYS = 365
NUM_TEST_YEARS = 3
SOWING_DAY, HARVEST_DAY = 120, 285
DEKAD = 10
RADIATION_USE_G_MJ, HARVEST_INDEX, DRY_SHARE = 3.3, 0.5, 0.845
EXTINCTION, LARGEST_LAI = 0.5, 5.0
DEPLETION_SHARE, ROOT_DEPTH_M = 0.55, 1.0
BASE_TEMPERATURE_C = 8.0  # of maize's degree days
NDVI_SOIL, NDVI_CANOPY = 0.15, 0.9
CLOUDY_SHARE = 0.2  # of dekads without a usable view
ATTRIBUTION = "Simulated by Mainstem (light-use-efficiency and water-balance model); not a measurement"


@dataclass(frozen=True, kw_only=True, eq=False)
class Weather:
    """Daily weather (regions, years, days): temperature degC, rain mm, solar radiation and evapotranspiration."""

    temperature_c: Array
    rain_mm: Array
    radiation_mj_m2: Array
    reference_et_mm: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedTruth:
    """What the simulator knows: yields t/ha (regions, years), fraction of PAR intercepted and stress by day."""

    yields_t_ha: Array
    intercepted: Array
    stress: Array
    available_water_cm_m: Array
    latitude: Array
    longitude: Array


def extraterrestrial_radiation(latitude_deg: Array, days: Array) -> Array:
    """Return daily extraterrestrial radiation (regions, days), MJ/m2 (FAO-56, equations 21-25)."""
    latitude = np.radians(latitude_deg)[:, None]
    inverse_distance = 1 + 0.033 * np.cos(2 * np.pi * days / 365)
    declination = 0.409 * np.sin(2 * np.pi * days / 365 - 1.39)
    sunset = np.arccos(np.clip(-np.tan(latitude) * np.tan(declination), -1, 1))
    turned = sunset * np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.sin(sunset)
    radiation: Array = 24 * 60 / np.pi * 0.0820 * inverse_distance * turned
    return radiation


def draw_weather(rng: np.random.Generator, latitude: Array) -> Weather:
    """Draw daily weather whose year effects are shared by all regions, more or less, as real droughts are."""
    regions, shape = len(latitude), (len(latitude), NUM_YEARS, NUM_DAYS)
    days = np.arange(1, NUM_DAYS + 1, dtype=np.float64)
    dryness = 0.8 * rng.normal(size=(1, NUM_YEARS)) + 0.6 * rng.normal(size=(regions, NUM_YEARS))
    season = np.cos(2 * np.pi * (days - 200) / 365)
    mean = 10.5 - 0.6 * (latitude[:, None] - 47) + 0.6 * dryness
    temperature = mean[..., None] + 9.5 * season + _autoregressive(rng, shape, 0.7, 2.2)
    wet_after_dry = np.clip(0.26 - 0.06 * dryness, 0.04, 0.5)[..., None]
    wet_after_wet = np.clip(0.58 - 0.05 * dryness, 0.2, 0.85)[..., None]
    wet = np.zeros(shape, dtype=bool)
    draws = rng.random(shape)
    for day in range(1, NUM_DAYS):
        chance = np.where(wet[..., day - 1], wet_after_wet[..., 0], wet_after_dry[..., 0])
        wet[..., day] = draws[..., day] < chance
    rain = np.where(wet, rng.exponential(5.2, shape), 0.0)
    daily_range = np.where(wet, 7.0, 11.5) + 0.8 * dryness[..., None]
    top = extraterrestrial_radiation(latitude, days)[:, None]
    root = np.sqrt(np.maximum(daily_range, 2.0))
    radiation = 0.16 * root * top  # equation 50, interior: k_Rs = 0.16 K^-0.5
    evaporation = 0.0023 * np.maximum(temperature + 17.8, 0) * root * top * 0.408  # equation 52; 0.408 mm a MJ/m2
    return Weather(temperature_c=temperature, rain_mm=rain, radiation_mj_m2=radiation, reference_et_mm=evaporation)


def _autoregressive(rng: np.random.Generator, shape: tuple[int, ...], memory: float, std: float) -> Array:
    noise = rng.normal(scale=std * np.sqrt(1 - memory**2), size=shape)
    for day in range(1, shape[-1]):
        noise[..., day] += memory * noise[..., day - 1]
    return noise


def simulate_truth(seed: int) -> SimulatedTruth:
    """Run the daily model for all regions and years."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(NUM_REGIONS))
    row, column = np.divmod(np.arange(NUM_REGIONS), side)
    latitude, longitude = 46.0 + 0.35 * row, 4.0 + 0.5 * column
    water_cm_m = np.clip(rng.normal(14, 3.5, NUM_REGIONS), 6, 22)
    weather = draw_weather(rng, latitude)
    heat = np.where(np.arange(NUM_DAYS) >= SOWING_DAY, np.maximum(weather.temperature_c - BASE_TEMPERATURE_C, 0), 0)
    grown = heat.cumsum(-1) / 1500.0  # share of the degree days to maturity of a mid-late hybrid
    leaf = LARGEST_LAI / (1 + np.exp(-(grown - 0.3) / 0.05)) * (1 - 1 / (1 + np.exp(-(grown - 0.95) / 0.05)))
    leaf = np.where(np.arange(NUM_DAYS) < SOWING_DAY, 0.0, leaf)
    storage = 10 * water_cm_m[:, None] * ROOT_DEPTH_M  # total available water, mm
    stress, interception = np.empty_like(leaf), np.empty_like(leaf)
    depletion = np.zeros(leaf.shape[:2])
    vigour = np.ones(leaf.shape[:2])
    for day in range(NUM_DAYS):
        cover = 1 - np.exp(-EXTINCTION * leaf[..., day] * vigour)
        supply = np.clip((storage - depletion) / ((1 - DEPLETION_SHARE) * storage), 0, 1)  # equation 84
        used = (0.3 + 0.9 * cover) * supply * weather.reference_et_mm[..., day]
        depletion = np.clip(depletion - weather.rain_mm[..., day] + used, 0, storage)
        if SOWING_DAY <= day < HARVEST_DAY:
            vigour = vigour * (1 - 0.01 * (1 - supply))  # leaves lost to drought do not come back
        stress[..., day], interception[..., day] = supply, cover
    mature = grown >= 1.0
    growth = np.where(mature, 0.0, RADIATION_USE_G_MJ * interception * 0.5 * weather.radiation_mj_m2 * stress)
    attainable = growth[..., SOWING_DAY:HARVEST_DAY].sum(-1) * HARVEST_INDEX / DRY_SHARE / 100  # g/m2 -> t/ha
    efficiency = np.clip(rng.normal(0.62, 0.06, NUM_REGIONS), 0.45, 0.8)[:, None]
    progress = 1 + 0.008 * np.arange(NUM_YEARS)[None]
    yields = attainable * efficiency * progress * np.exp(rng.normal(0, 0.04, attainable.shape))
    return SimulatedTruth(
        yields_t_ha=yields,
        intercepted=interception,
        stress=stress,
        available_water_cm_m=water_cm_m,
        latitude=latitude,
        longitude=longitude,
    )


def simulate_regions(seed: int = 0) -> SampleSet:
    """Return simulated region-years in the streams of a CY-Bench folder: ndvi, fpar, soil, history."""
    truth = simulate_truth(seed)
    rng = np.random.default_rng([seed, 1])
    name = f"simulated-maize-{seed}" if seed else "simulated-maize"
    years = FIRST_SEASON + np.arange(NUM_YEARS)
    samples = []
    for region in range(NUM_REGIONS):
        for index, year in enumerate(years.tolist()):
            label = f"SIM{region:02d}"
            streams = _views(truth.intercepted[region, index], rng)
            streams["soil"] = _soil(truth.available_water_cm_m[region])
            history = history_stream(years, truth.yields_t_ha[region], year)
            if history is not None:
                streams["history"] = history
            facts: dict[str, str | float] = {
                "region": label, "year": float(year), "crop": "maize", "country": "SIM",
                "season_end_day": float(HARVEST_DAY),
            }  # fmt: skip
            source = Provenance(
                data=name, item=f"{label} {year}", group=str(year), licence="CC0-1.0", attribution=ATTRIBUTION,
                simulated=True, facts=facts,
            )  # fmt: skip
            target = float(truth.yields_t_ha[region, index])
            samples.append(Sample(streams=streams, target=target, source=source, origin=f"{year}-01-01T00:00:00Z"))
    return SampleSet(
        name=name, licence="CC0-1.0", samples=tuple(samples), flagged={}, attribution=ATTRIBUTION,
        simulated=True, test_groups=frozenset(str(year) for year in years[-NUM_TEST_YEARS:]),
    )  # fmt: skip


def _views(intercepted: Array, rng: np.random.Generator) -> dict[str, Stream]:
    """What a satellite reports by dekad up to harvest: NDVI and FPAR with noise and cloudy gaps."""
    ends = np.arange(DEKAD, HARVEST_DAY, DEKAD)
    cover = np.array([intercepted[end - DEKAD : end].mean() for end in ends])
    ndvi = NDVI_SOIL + (NDVI_CANOPY - NDVI_SOIL) * cover + rng.normal(0, 0.02, len(ends))
    fpar = 100 * np.clip(cover + rng.normal(0, 0.02, len(ends)), 0, 1)
    clear = rng.random(len(ends)) >= CLOUDY_SHARE
    times = ((ends - 1) * DAY_S).astype(np.float64)
    return {
        kind: Stream(
            kind="series", values=values[clear, None], channels=(Channel(name=kind, unit=unit),), times=times[clear]
        )
        for (kind, unit), values in zip(SERIES_UNITS.items(), (ndvi, fpar), strict=True)
    }


def _soil(available_water_cm_m: float) -> Stream:
    channels = tuple(Channel(name=name, unit=unit) for name, unit in SOIL_UNITS.items())
    values = np.array([available_water_cm_m, 1.6 - 0.015 * available_water_cm_m, 4.0])
    return Stream(kind="scalar", values=values, channels=channels)


def outline(region: str, seed: int = 0) -> Array:
    """Return the corners (5, 2) of a simulated region, degrees east and north, closed; neighbours share corners."""
    side = int(np.sqrt(NUM_REGIONS))
    shift = np.random.default_rng([seed, 2]).uniform(-0.28, 0.28, (side + 1, side + 1, 2))
    row, column = divmod(int(region.removeprefix("SIM")), side)
    corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column), (row, column)]
    return np.array([(3.75 + 0.5 * (c + shift[r, c, 0]), 45.825 + 0.35 * (r + shift[r, c, 1])) for r, c in corners])
