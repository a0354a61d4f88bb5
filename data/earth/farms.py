"""Simulated farms at 10 m: fields, soil, weather and management, Sentinel-2-like scenes with clouds, and true yield.

Growth is the model of `data.simulate`, run for every pixel. What a satellite sees of a leaf area (LAI) is, a band,
r = r_canopy - (r_canopy - r_soil) exp(-k LAI): Clevers 1989, Remote Sensing of Environment 29, 25, there for near
infrared, here for every band with an extinction of its own. Reflectances of bare soil, of a dense green canopy and of a
ripe one are round values within the ranges of Jacquemoud et al. 2009, Remote Sensing of Environment 113, S56; a wet
soil is darker by a third. Revisit of 5 days, 10 bands, scale 1e-4 and offset -0.1: Sentinel-2 Products Specification,
baseline 04.00. What no source gives (fields, spread of soils and management, extinctions, clouds, noise) is this
module's own choice. Everything it makes is labelled simulated.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_whole
from mainstem.data.earth import simulate
from mainstem.data.earth.biology import FLOWERING, PATCH_SHARE, Biology, biology_of, grain_set
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.raster import Grid

Array = NDArray[np.float64]
ATTRIBUTION = "Simulated by Mainstem (farms: growth model and canopy reflectance); not a measurement"
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
SOIL = np.array([0.08, 0.11, 0.14, 0.17, 0.19, 0.21, 0.23, 0.25, 0.33, 0.28])  # dry
GREEN = np.array([0.03, 0.06, 0.03, 0.09, 0.28, 0.36, 0.40, 0.42, 0.20, 0.09])
RIPE = np.array([0.06, 0.10, 0.13, 0.18, 0.24, 0.27, 0.29, 0.31, 0.32, 0.22])
SEEN_EXTINCTION = np.array([1.1, 1.0, 1.1, 0.8, 0.45, 0.4, 0.4, 0.4, 0.6, 0.8])
SIDE, PIXEL_M = 96, 10.0
FIRST_PASS, REVISIT = 100, 5
OVERCAST_SHARE, CLOUDY_SHARE = 0.4, 0.25  # of passes: nothing seen, or a part of the farm
SCALE, OFFSET = 1e-4, -0.1
YEAR = 2021
SOIL_BLUR, SOIL_ERROR_CM_M = 12.0, 1.0  # pixels; SoilGrids has 250 m cells, Poggio et al. 2021, SOIL 7, 217


@dataclass(frozen=True, kw_only=True, eq=False)
class Farm:
    """One farm and season.

    Attributes:
        reflectance: (date, band, y, x) 0-1, NaN under cloud.
        days: of the year, from 0, of each pass.
        fields: (y, x) number of the field, -1 on tracks.
        yield_t_ha: (y, x), NaN on tracks, grain at 15.5 % moisture.
        management: a row a field: sowing day (from 0), share of full vigour.
        soil_cm_m: (y, x) available water as a soil map tells it: blurred to about 250 m, and wrong by SOIL_ERROR.
    """

    name: str
    grid: Grid
    reflectance: NDArray[np.float32]
    days: NDArray[np.int64]
    fields: NDArray[np.int64]
    yield_t_ha: NDArray[np.float32]
    management: Array
    soil_cm_m: NDArray[np.float32]
    weather: simulate.Weather


def smooth_field(rng: np.random.Generator, side: int, length: float) -> Array:
    """A Gaussian random field (side, side) of mean 0 and variance 1 with a correlation length in pixels."""
    drawn = blurred(rng.normal(size=(side, side)), length)
    field: Array = (drawn - drawn.mean()) / drawn.std()
    return field


def blurred(values: Array, length: float) -> Array:
    """A square (side, side) under a Gaussian of standard deviation length / sqrt(2), whose edges meet."""
    frequency = np.fft.fftfreq(len(values))
    squares = frequency[:, None] ** 2 + frequency[None] ** 2
    spectrum = np.exp(-2 * (np.pi * length) ** 2 * squares / 2)
    smooth: Array = np.fft.ifft2(np.fft.fft2(values) * spectrum).real
    return smooth


def cut_fields(rng: np.random.Generator, side: int, smallest: int = 20) -> NDArray[np.int64]:
    """Number fields (side, side) by cutting the farm in two, again and again; tracks of two pixels lie between."""
    fields = np.full((side, side), -1)
    open_parts, number = [(0, side, 0, side)], 0
    while open_parts:
        top, bottom, left, right = open_parts.pop()
        tall, wide = bottom - top, right - left
        length = max(tall, wide)
        if length < 2 * smallest + 2 or (length < 45 and rng.random() < 0.4):
            fields[top + 1 : bottom - 1, left + 1 : right - 1] = number
            number += 1
            continue
        cut = int(rng.integers(smallest, length - smallest))
        if tall >= wide:
            open_parts += [(top, top + cut, left, right), (top + cut, bottom, left, right)]
        else:
            open_parts += [(top, bottom, left, left + cut), (top, bottom, left + cut, right)]
    return fields


def simulate_farm(number: int, side: int = SIDE, worlds: tuple[str, ...] = ()) -> Farm:
    """Simulate one farm of this number, `side` pixels a side; the same two always give the same farm.

    Each farm has a biology of its own (`data.earth.biology`); `worlds` change that, and leave fields, soil, weather,
    management and noise as they are.
    """
    biology = biology_of(number, worlds)
    rng = np.random.default_rng([number, 40])
    latitude = np.array([rng.uniform(44, 50)])
    drawn, year = simulate.draw_weather(rng, latitude), int(rng.integers(20))
    weather = simulate.Weather(**{name: values[0, year] for name, values in vars(drawn).items()})
    fields = cut_fields(rng, side)
    count = int(fields.max()) + 1
    management = np.column_stack([rng.integers(108, 136, count), rng.uniform(0.65, 1.0, count)])
    water_cm_m = np.clip(14 + 3.0 * smooth_field(rng, side, 14), 6, 22)
    nitrogen = np.clip(1 + 0.1 * smooth_field(rng, side, 6), 0.6, 1.2)
    sown = np.where(fields >= 0, management[fields, 0], simulate.HARVEST_DAY)
    vigour = np.where(fields >= 0, management[fields, 1], 0.0) * nitrogen
    leaf, ripe, grain = _grow(weather, Pixels(sown, vigour, water_cm_m), biology)
    hidden = np.exp(rng.normal(0, 0.04, count))[fields] * np.exp(rng.normal(0, 0.03, fields.shape))
    stored = (1 - biology.losses) * hidden * (1 - biology.patch_losses * _patches(number, side))
    yields = np.where(fields >= 0, grain / simulate.DRY_SHARE / 100 * stored, np.nan)
    days = np.arange(FIRST_PASS + number % REVISIT, simulate.HARVEST_DAY, REVISIT)
    through = np.exp(-biology.seen_extinction * SEEN_EXTINCTION[:, None, None] * leaf[days][:, None])
    ground = biology.soil_brightness * (1 + 0.12 * smooth_field(rng, side, 10))
    seen = _seen(rng, through, ripe[days], weather.rain_mm[days - 1] > 2.0, ground)
    shown = ~np.isnan(seen).all((1, 2, 3))
    easting, northing = 400_000 + 20_000 * (number % 10), 5_000_000 + 20_000 * (number // 10 % 25)
    transform = (PIXEL_M, 0.0, float(easting), 0.0, -PIXEL_M, float(northing))
    return Farm(
        name=f"farm-{number:03d}",
        grid=Grid(width=side, height=side, transform=transform, crs=_utm()),
        reflectance=seen[shown].astype(np.float32),
        days=days[shown],
        fields=fields,
        yield_t_ha=yields.astype(np.float32),
        management=management,
        soil_cm_m=_soil_map(water_cm_m, np.random.default_rng([number, 42])),
        weather=weather,
    )


def _soil_map(water_cm_m: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """What a soil map says of the available water (y, x), cm/m."""
    told = blurred(water_cm_m, SOIL_BLUR) + SOIL_ERROR_CM_M * smooth_field(rng, len(water_cm_m), 20)
    return np.asarray(np.clip(told, 4, 25), np.float32)


def _utm() -> str:
    from rasterio.crs import CRS

    wkt: str = CRS.from_epsg(32631).to_wkt()
    return wkt


class Pixels(NamedTuple):
    """Of every pixel (y, x): sowing day, share of full vigour, available water of the soil, cm/m."""

    sown: Array
    vigour: Array
    water_cm_m: Array


def _grow(weather: simulate.Weather, pixels: Pixels, biology: Biology) -> tuple[Array, Array, Array]:
    """Leaf area and ripeness 0-1 (day, y, x), and dry grain g/m2 (y, x) before losses, of every pixel's season."""
    sown, water_mm = pixels.sown, 10 * biology.root_depth_m * pixels.water_cm_m
    shape = (simulate.NUM_DAYS, *sown.shape)
    leaf, ripe = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    heat, depletion, kept = np.zeros(sown.shape), np.zeros(sown.shape), np.ones(sown.shape)
    grown, days, met, free, watered = (np.zeros(sown.shape) for _ in range(5))
    for day in range(simulate.HARVEST_DAY):
        growing = day >= sown
        heat += np.where(growing, max(weather.temperature_c[day] - simulate.BASE_TEMPERATURE_C, 0.0), 0.0)
        stage = heat / biology.degree_days
        rise, fall = 1 / (1 + np.exp(-(stage - 0.3) / 0.05)), 1 / (1 + np.exp(-(stage - 0.95) / 0.05))
        area = np.where(growing, simulate.LARGEST_LAI * pixels.vigour * kept * rise * (1 - 0.7 * fall), 0.0)
        cover = 1 - np.exp(-biology.extinction * area)
        supply = np.clip(
            (water_mm - depletion) / ((1 - simulate.DEPLETION_SHARE) * water_mm), 0, 1
        )  # FAO-56, equation 84
        used = (0.3 + 0.9 * cover) * supply * weather.reference_et_mm[day]
        depletion = np.clip(depletion - weather.rain_mm[day] + used, 0, water_mm)
        kept = np.where(growing, kept * (1 - 0.01 * (1 - supply)), kept)
        light = biology.radiation_use_g_mj * cover * 0.5 * weather.radiation_mj_m2[day]
        grown += np.where(growing & (stage < 1), light * supply, 0.0)
        flowers = growing & (stage >= FLOWERING[0]) & (stage < FLOWERING[1])
        for total, value in zip((days, met, free, watered), (1.0, supply, light, light * supply), strict=True):
            total += np.where(flowers, value, 0.0)
        leaf[day], ripe[day] = area, fall
    seen = np.maximum(days, 1)  # a crop that never flowers sets what it would
    if biology.follows_growth:
        share = grain_set(watered / seen, free / seen)
    else:
        share = np.where(days > 0, np.maximum(1 - biology.flowering_response * (1 - met / seen), 0.0), 1.0)
    return leaf.astype(np.float64), ripe.astype(np.float64), grown * biology.harvest_index * share


def _patches(number: int, side: int) -> Array:
    """1 in patches on PATCH_SHARE of a farm (y, x), 0 elsewhere."""
    field = smooth_field(np.random.default_rng([number, 44]), side, 5)
    inside: Array = (field > np.quantile(field, 1 - PATCH_SHARE)).astype(np.float64)
    return inside


def _seen(rng: np.random.Generator, through: Array, ripe: Array, wet: NDArray[np.bool_], ground: Array) -> Array:
    """Reflectance (date, band, y, x), NaN under cloud.

    Args:
        through: share of the soil's reflectance that the canopy lets through (date, band, y, x).
        ripe: ripeness 0-1 (date, y, x).
        wet: whether the soil is, by date.
        ground: brightness of the soil (y, x), times SOIL.
    """
    soil = SOIL[None, :, None, None] * ground * np.where(wet, 0.67, 1.0)[:, None, None, None]
    canopy = GREEN[:, None, None] + (RIPE - GREEN)[:, None, None] * ripe[:, None]
    clean = canopy - (canopy - soil) * through
    noisy = clean * (1 + 0.02 * rng.normal(size=clean.shape)) + 0.003 * rng.normal(size=clean.shape)
    for index, draw in enumerate(rng.random(len(ripe)).tolist()):
        if draw < OVERCAST_SHARE:
            noisy[index] = np.nan
        elif draw < OVERCAST_SHARE + CLOUDY_SHARE:
            noisy[index][:, smooth_field(rng, ripe.shape[1], 12) > rng.normal()] = np.nan
    seen: Array = np.clip(noisy, 0.0001, 1.0)
    return seen


def write_farm(farm: Farm, folder: Path) -> list[Path]:
    """Write a farm as real sources come: scenes and yield as COGs, fields as GeoPackage, weather and management as CSV.

    Scenes are uint16 with scale and offset, 0 under cloud, bands named with units. Returns the scenes' paths. The
    folder is new or empty, and gets its name when all is in it.

    Raises:
        ArtifactError: if the folder holds anything, or cannot be written.
        InputError: if another process writes it, or the disk is full.
    """
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    with new_folder(folder) as made, rasterio.Env():  # in it GDAL's errors are raised, and not printed too
        try:
            scenes = _write_all(farm, made)
        except (OSError, RuntimeError, RasterioError, CPLE_BaseError) as error:  # pyogrio's are RuntimeErrors
            raise InputError(f"cannot write {folder} ({error}); free space or name another folder") from error
    return [folder / path.name for path in scenes]


def _write_all(farm: Farm, folder: Path) -> list[Path]:
    import pandas as pd

    scenes = [_write_scene(farm, index, folder) for index in range(len(farm.days))]
    tags = {"UNITS": "t/ha", "SIMULATED": "yes", "ATTRIBUTION": ATTRIBUTION}
    write_cog(iter([(0, 0, farm.yield_t_ha[None])]), folder / "yield.tif", farm.grid, ["yield"], tags)
    soil = {"UNITS": "cm/m", "SIMULATED": "yes", "ATTRIBUTION": ATTRIBUTION}
    write_cog(iter([(0, 0, farm.soil_cm_m[None])]), folder / "soil.tif", farm.grid, ["available_water"], soil)
    _write_fields(farm, folder / "fields.gpkg")
    dates = [_date(day) for day in range(simulate.NUM_DAYS)]
    weather = {name: values.round(3) for name, values in vars(farm.weather).items()}
    pd.DataFrame({"date": dates, **weather}).to_csv(folder / "weather.csv", index=False)
    sowing = [_date(int(day)) for day in farm.management[:, 0]]
    table = {"field": range(len(sowing)), "sowing": sowing, "vigour": farm.management[:, 1].round(3)}
    pd.DataFrame(table).to_csv(folder / "management.csv", index=False)
    return scenes


def _date(day: int) -> str:
    return (datetime.date(YEAR, 1, 1) + datetime.timedelta(days=day)).isoformat()


def _write_scene(farm: Farm, index: int, folder: Path) -> Path:
    import rasterio
    import rasterio.shutil
    from rasterio.io import MemoryFile

    values = farm.reflectance[index]
    stored = np.where(np.isnan(values), 0, np.rint((np.nan_to_num(values) - OFFSET) / SCALE)).astype(np.uint16)
    path = folder / f"{farm.name}_S2_{_date(int(farm.days[index]))}.tif"
    profile = {
        "driver": "GTiff", "width": farm.grid.width, "height": farm.grid.height, "count": len(BANDS),
        "dtype": "uint16", "nodata": 0,
        "crs": farm.grid.crs, "transform": rasterio.Affine(*farm.grid.transform), "compress": "deflate",
    }  # fmt: skip
    with MemoryFile() as plain, MemoryFile() as packed:  # on a full disk GDAL may end well all the same
        with plain.open(**profile) as target:
            target.write(stored)
            target.descriptions, target.units = BANDS, ("1",) * len(BANDS)
            target.scales, target.offsets = (SCALE,) * len(BANDS), (OFFSET,) * len(BANDS)
            target.update_tags(SIMULATED="yes", ATTRIBUTION=ATTRIBUTION)
        rasterio.shutil.copy(plain.name, packed.name, driver="COG", COMPRESS="DEFLATE")
        write_whole(path, [packed.getbuffer()])
    return path


def _write_fields(farm: Farm, path: Path) -> None:
    import geopandas as gpd
    from shapely.geometry import box

    a, _, c, _, e, f = farm.grid.transform
    numbers = range(int(farm.fields.max()) + 1)
    boxes = []
    for number in numbers:
        rows, columns = np.nonzero(farm.fields == number)
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        boxes.append(box(c + a * left, f + e * bottom, c + a * right, f + e * top))
    means = [float(np.mean(farm.yield_t_ha[farm.fields == number])) for number in numbers]
    sowing = [_date(int(farm.management[number, 0])) for number in numbers]
    table = gpd.GeoDataFrame(
        {"field": list(numbers), "crop": "maize", "yield_t_ha": means, "sowing": sowing, "simulated": True},
        geometry=boxes,
        crs=farm.grid.crs,
    )
    table.to_file(path, driver="GPKG", layer="fields")
    if gpd.read_file(path)["yield_t_ha"].to_list() != means:
        raise OSError(f"{path.name} does not come back as it was written")
