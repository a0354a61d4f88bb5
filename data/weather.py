"""Daily weather of a place: CSV tables, and AgERA5 or ERA5-Land NetCDF read through xarray."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.stream import Channel, Stream

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
DAY_S = 86_400.0
NUM_DAYS = 365  # of a season that lies within a calendar year
UNITS = {"temperature_c": "degC", "rain_mm": "mm", "radiation_mj_m2": "MJ/m2", "reference_et_mm": "mm"}
NAMES = tuple(UNITS)
CHANNELS = tuple(Channel(name=name, unit=unit) for name, unit in UNITS.items())
COORDINATES = {"lat": ("lat", "latitude"), "lon": ("lon", "longitude"), "time": ("time", "valid_time")}
Read = Callable[[Path, tuple[float, float]], dict[str, dict[datetime.date, float]]]
FARTHEST_DEG = 0.3  # from the place to the centre of the cell that is taken: AgERA5's are 0.1 apart, ERA5's 0.25


@dataclass(frozen=True, kw_only=True)
class Variable:
    """How a file's variable becomes one of NAMES: which one, by the units it may come in, and how a day is made."""

    name: str
    factors: Mapping[str, tuple[float, float]]  # unit -> factor, offset
    daily: str  # of sub-daily steps: "mean", or "sum"; ERA5-Land's accumulations are "last"


KELVIN = {"K": (1.0, -273.15), "degC": (1.0, 0.0), "Celsius": (1.0, 0.0)}
DEPTH = {"mm": (1.0, 0.0), "mm d-1": (1.0, 0.0), "mm/day": (1.0, 0.0), "m": (1e3, 0.0)}
ENERGY = {"J m-2": (1e-6, 0.0), "J m**-2": (1e-6, 0.0), "J m-2 d-1": (1e-6, 0.0), "J m-2 day-1": (1e-6, 0.0),
          "MJ m-2": (1.0, 0.0), "MJ m-2 d-1": (1.0, 0.0)}  # fmt: skip
VARIABLES: Mapping[str, Variable] = {  # AgERA5 2.0 and ERA5-Land, as the Copernicus Climate Data Store names them
    "Temperature_Air_2m_Mean_24h": Variable(name="temperature_c", factors=KELVIN, daily="mean"),
    "t2m": Variable(name="temperature_c", factors=KELVIN, daily="mean"),
    "Precipitation_Flux": Variable(name="rain_mm", factors=DEPTH, daily="sum"),
    "tp": Variable(name="rain_mm", factors=DEPTH, daily="last"),
    "Solar_Radiation_Flux": Variable(name="radiation_mj_m2", factors=ENERGY, daily="sum"),
    "ssrd": Variable(name="radiation_mj_m2", factors=ENERGY, daily="last"),
    "ReferenceET_PenmanMonteith_FAO56": Variable(name="reference_et_mm", factors=DEPTH, daily="sum"),
}


def reference_et_mm(temperature_c: Array, radiation_mj_m2: Array) -> Array:
    """Reference evapotranspiration, mm a day, from mean temperature and solar radiation.

    Source: Hargreaves & Samani 1985, Applied Engineering in Agriculture 1, 96, as FAO-56 equations 50 and 52 combine:
    0.0023 / 0.16 x radiation x (T + 17.8) x 0.408 mm a MJ/m2.
    """
    demand: Array = 0.0023 / 0.16 * radiation_mj_m2 * np.maximum(temperature_c + 17.8, 0) * 0.408
    return demand


def open_weather(paths: Sequence[Path], place: tuple[float, float], year: int) -> Stream:
    """Daily weather of a place (latitude, longitude, degrees) as a stream whose times count from 1 January of the year.

    A CSV has the columns `date` and those of NAMES; NetCDF files hold variables of AgERA5 or ERA5-Land, one or several
    a file. Evapotranspiration is computed where it is not given.

    Raises:
        InputError: if a variable, unit, date or the place is missing, or values cannot be.
    """
    if not paths:
        raise InputError("got no weather file, want a .csv or NetCDF files of AgERA5 or ERA5-Land")
    found: dict[str, dict[datetime.date, float]] = {}
    for path in paths:
        read: Callable[..., dict[str, dict[datetime.date, float]]] = (
            _read_csv if path.suffix == ".csv" else _read_netcdf
        )
        for name, days in read(path, place).items():
            found.setdefault(name, {}).update(days)
    return _stream(found, year, ", ".join(path.name for path in paths))


def check_season(weather: Stream, years: Sequence[int]) -> None:
    """Check that weather covers the whole of the one year that scenes are of.

    Raises:
        InputError: if scenes are of several years, or a day or value is missing; nothing is filled.
    """
    if len(set(years)) != 1:
        raise InputError(f"the scenes are of {min(years)} to {max(years)}; give those of one season, in one year")
    assert weather.times is not None
    known = (weather.times[weather.observed().all(1)] / DAY_S).astype(int)
    missing = sorted(set(range(NUM_DAYS)) - set(known.tolist()))
    if missing:
        first = datetime.date(years[0], 1, 1) + datetime.timedelta(days=missing[0])
        raise InputError(f"the weather lacks {len(missing)} days of {years[0]}, first {first}; give the whole year's")


def _stream(found: dict[str, dict[datetime.date, float]], year: int, where: str) -> Stream:
    missing = [name for name in NAMES[:3] if name not in found]
    if missing:
        raise InputError(f"{where} lacks {missing[0]}, want {', '.join(NAMES[:3])} a day; add the file that has it")
    days = sorted(day for day in found[NAMES[0]] if day.year == year)
    if not days:
        raise InputError(f"{where} holds no day of {year}; give the weather of the scenes' year")
    table = {name: np.array([found[name].get(day, np.nan) for day in days]) for name in NAMES if name in found}
    if "reference_et_mm" not in table:
        table["reference_et_mm"] = reference_et_mm(table["temperature_c"], table["radiation_mj_m2"])
    _check(table, where)
    times = DAY_S * np.array([(day - datetime.date(year, 1, 1)).days for day in days], np.float64)
    values = np.stack([table[name] for name in NAMES], 1)
    return Stream(kind="series", values=values, channels=CHANNELS, times=times)


def _check(table: dict[str, Array], where: str) -> None:
    limits = {"temperature_c": (-60, 60), "rain_mm": (-0.1, 2000), "radiation_mj_m2": (0, 45),
              "reference_et_mm": (-1, 25)}  # fmt: skip
    for name, values in table.items():
        low, high = limits[name]
        seen = values[np.isfinite(values)]
        if len(seen) and (seen.min() < low or seen.max() > high):
            raise InputError(
                f"{where}: {name} runs from {seen.min():g} to {seen.max():g}, want {low} to {high}; check its unit"
            )


def _read_csv(path: Path, place: tuple[float, float]) -> dict[str, dict[datetime.date, float]]:
    import pandas as pd

    try:
        table = pd.read_csv(path)
        dates = [datetime.date.fromisoformat(str(date)[:10]) for date in table["date"]]
        return {
            name: dict(zip(dates, table[name].astype(float).tolist(), strict=True)) for name in NAMES if name in table
        }
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path.name} is no weather table ({error}); want columns date, {', '.join(NAMES)}") from error


def _read_netcdf(path: Path, place: tuple[float, float]) -> dict[str, dict[datetime.date, float]]:
    """Daily values of the variables known, at the cell nearest to the place."""
    try:
        import xarray
    except ImportError as error:
        raise MissingExtraError("xarray", "maps") from error
    if not path.is_file():
        raise InputError(f"no file {path}; give a .csv or a NetCDF file of AgERA5 or ERA5-Land")
    try:
        dataset = xarray.open_dataset(path, engine="netcdf4", decode_timedelta=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read as NetCDF ({error}); fetch it again") from error
    with dataset:
        known = [name for name in dataset.data_vars if name in VARIABLES]
        if not known:
            raise InputError(
                f"{path.name} holds {', '.join(map(str, dataset.data_vars))}, want one of {', '.join(VARIABLES)}"
            )
        cell = _nearest(dataset, place, path)
        return {VARIABLES[str(name)].name: _days(cell[name], VARIABLES[str(name)], path) for name in known}


def _nearest(dataset: "xarray.Dataset", place: tuple[float, float], path: Path) -> "xarray.Dataset":
    names = {}
    for axis, choices in {
        "lat": ("lat", "latitude"),
        "lon": ("lon", "longitude"),
        "time": ("time", "valid_time"),
    }.items():
        held = [name for name in choices if name in dataset.coords]
        if not held:
            raise InputError(f"{path.name} has no coordinate {' or '.join(choices)}; it is not guessed")
        names[axis] = held[0]
    longitude = place[1] % 360 if float(dataset[names["lon"]].max()) > 180 else place[1]
    cell = dataset.sel({names["lat"]: place[0], names["lon"]: longitude}, method="nearest")
    away = max(abs(float(cell[names["lat"]]) - place[0]), abs(float(cell[names["lon"]]) - longitude))
    if away > FARTHEST_DEG:
        raise InputError(f"{path.name} ends {away:.1f} degrees from {place[0]:.2f}, {place[1]:.2f}; fetch that area")
    return cell.rename({names["time"]: "time"}) if names["time"] != "time" else cell


def _days(values: "xarray.DataArray", variable: Variable, path: Path) -> dict[datetime.date, float]:
    unit = str(values.attrs.get("units", ""))
    if unit not in variable.factors:
        raise InputError(
            f"{values.name} of {path.name} comes in {unit or 'no unit'!r}, want {', '.join(variable.factors)}"
        )
    factor, offset = variable.factors[unit]
    stamps = values["time"].values.astype("datetime64[s]")
    read: Any = np.asarray(values.values, np.float64) * factor + offset
    if variable.daily == "last":  # accumulated since 00 UTC: the sum of a day is stamped 00 UTC of the next
        kept = (stamps - stamps.astype("datetime64[D]")).astype(int) == 0
        if not kept.any():
            raise InputError(f"{values.name} of {path.name} has no step at 00 UTC, which holds a whole day's sum")
        stamps, read = stamps[kept] - np.timedelta64(1, "D"), read[kept]
    by_day: dict[datetime.date, list[float]] = {}
    for day, value in zip(stamps.astype("datetime64[D]").tolist(), read.tolist(), strict=True):
        by_day.setdefault(day, []).append(value)
    return {day: float(np.sum(steps) if variable.daily == "sum" else np.mean(steps)) for day, steps in by_day.items()}
