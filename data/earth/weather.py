"""Daily weather of a place: CSV tables, and AgERA5 or ERA5-Land NetCDF read through xarray."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import one_line
from mainstem.core.stream import Channel, Stream
from mainstem.data.earth.stores import check_netcdf
from mainstem.data.hearing import tell
from mainstem.data.tabular import Table, check_regular, open_table, shown

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
DAY_S = 86_400.0
NUM_DAYS = 365  # of a season that lies within a calendar year
UNITS = {"temperature_c": "degC", "rain_mm": "mm", "radiation_mj_m2": "MJ/m2", "reference_et_mm": "mm"}
NAMES = tuple(UNITS)
CHANNELS = tuple(Channel(name=name, unit=unit) for name, unit in UNITS.items())
COORDINATES = {"lat": ("lat", "latitude"), "lon": ("lon", "longitude"), "time": ("time", "valid_time")}
Days = dict[datetime.date, float]
SAME = 1e-4  # of a value, within which two files agree on a day
LARGEST_STEPS = 1_000_000  # of a NetCDF file: a century of hours
WET_DAYS, LEAST_WETTEST_MM = 20, 0.3  # of so many days with rain, one brings more than that anywhere
YEARLONG_DAYS, LEAST_BRIGHTEST = 300, 12.0  # a year's brightest day passes that, MJ/m2, up to the polar circles
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
    found: dict[str, Days] = {}
    tables: list[Table] = []
    for path in paths:
        read = _read_csv(path, tables) if path.suffix.lower() in (".csv", ".parquet") else _read_netcdf(path, place)
        for name, days in read.items():
            _merge(found.setdefault(name, {}), days, name, path.name)
    stream = _stream(found, year, ", ".join(path.name for path in paths))
    tell(tables)
    return stream


def _merge(known: Days, new: Days, name: str, where: str) -> None:
    """Add a file's days to those of others.

    Raises:
        InputError: if a day is known already, with another value.
    """
    for day in sorted(known.keys() & new.keys()):
        first, second = known[day], new[day]
        if np.isfinite(first) and np.isfinite(second) and abs(first - second) > SAME * max(1.0, abs(first)):
            raise InputError(f"{where}: {name} of {day} is {second:g}, another file says {first:g}; give one of them")
    known |= {day: value for day, value in new.items() if np.isfinite(value) or day not in known}


def check_season(weather: Stream, years: Sequence[int], least_days: int = NUM_DAYS) -> None:
    """Check that weather covers the one year that scenes are of, or its first days, so many of them at least.

    Raises:
        InputError: if scenes are of several years, or a day or value is missing; nothing is filled.
    """
    if len(set(years)) != 1:
        raise InputError(f"the scenes are of {min(years)} to {max(years)}; give those of one season, in one year")
    assert weather.times is not None
    known = (weather.times[weather.observed().all(1)] / DAY_S).astype(int)
    num_days = max(least_days, min(int(known.max(initial=-1)) + 1, NUM_DAYS))
    missing = sorted(set(range(num_days)) - set(known.tolist()))
    if missing:
        start = datetime.date(years[0], 1, 1)
        first, last = (start + datetime.timedelta(days=day) for day in (missing[0], num_days - 1))
        wanted = "the whole year's" if num_days == NUM_DAYS else f"that of every day until {last} at least"
        raise InputError(f"the weather lacks {len(missing)} days of {years[0]}, first {first}; give {wanted}")


def _stream(found: dict[str, Days], year: int, where: str) -> Stream:
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
                f"{_likely(name, float(np.median(seen)))}"
            )
    table["rain_mm"] = np.where(table["rain_mm"] < 0, 0.0, table["rain_mm"])  # what packing leaves of a dry day
    rain, radiation = (table[name][np.isfinite(table[name])] for name in ("rain_mm", "radiation_mj_m2"))
    if (rain > 0).sum() >= WET_DAYS and rain.max() < LEAST_WETTEST_MM:
        raise InputError(
            f"{where}: rain_mm never passes {rain.max():g} a day, want mm; this looks like m: check its unit"
        )
    if len(radiation) >= YEARLONG_DAYS and radiation.max() < LEAST_BRIGHTEST:
        raise InputError(
            f"{where}: radiation_mj_m2 never passes {radiation.max():g}, want MJ/m2 a day; this looks like kWh/m2: "
            "multiply by 3.6"
        )


def _likely(name: str, median: float) -> str:
    """The unit that such values speak of, in words."""
    if name == "temperature_c" and 200 < median < 330:
        return ", this looks like kelvin"
    if name == "temperature_c" and 30 < median < 120:
        return ", this looks like degrees Fahrenheit"
    if name == "radiation_mj_m2" and median > 1e5:
        return ", this looks like J/m2"
    return ", this looks like W/m2" if name == "radiation_mj_m2" and median > 0 else ""


def _read_csv(path: Path, tables: list[Table]) -> dict[str, Days]:
    wanted = f"want columns date, {', '.join(NAMES)}"
    try:
        table = open_table(path, wanted)
    except InputError as error:
        raise InputError(f"{path.name} is no weather table: {error}; {wanted}") from error
    if "date" not in table.columns or not any(name in table.columns for name in NAMES):
        held = shown(", ".join(list(table.columns)[:8]))
        raise InputError(f"{path.name} is no weather table, it has {held}; {wanted}")
    dates = [stamp.date() for stamp in table.days("date")]
    given = [name for name in NAMES if name in table.columns]
    values = {name: table.numbers(name) for name in given}
    if "rain_mm" in values and (values["rain_mm"] < 0).any():
        index = int(np.flatnonzero(values["rain_mm"] < 0)[0])
        got = values["rain_mm"][index]
        raise InputError(
            f"{table.where(index, 'rain_mm')}: got {got:g} mm, want 0 or more; leave it empty if not known"
        )
    rows: dict[datetime.date, int] = {}
    for index, day in enumerate(dates):
        first = rows.setdefault(day, index)
        if any(not np.array_equal(found[first], found[index], equal_nan=True) for found in values.values()):
            raise InputError(
                f"{table.where(index, 'date')}: {day} stands in row {table.rows[first]} with other values; "
                "give one row a day"
            )
    if len(rows) < len(dates):
        table.notes.append(f"{len(dates) - len(rows)} days stand twice with the same values")
    tables.append(table)
    return {name: {day: float(found[index]) for day, index in rows.items()} for name, found in values.items()}


def _read_netcdf(path: Path, place: tuple[float, float]) -> dict[str, Days]:
    """Daily values of the variables known, at the cell nearest to the place."""
    try:
        import xarray
    except ImportError as error:
        raise MissingExtraError("xarray", "maps") from error
    check_regular(path, "give a .csv, or a NetCDF file of AgERA5 or ERA5-Land")
    check_netcdf(path)
    try:
        dataset = xarray.open_dataset(path, engine="netcdf4", decode_timedelta=False, cache=False)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        raise InputError(f"{path.name} cannot be read as NetCDF ({one_line(error)}); fetch it again") from error
    with dataset:
        known = {str(name): VARIABLES[str(name)] for name in dataset.data_vars if name in VARIABLES}
        if not known:
            held = shown(", ".join(map(str, list(dataset.data_vars)[:8])))
            raise InputError(f"{path.name} holds {held}, want one of {', '.join(VARIABLES)}")
        for name, variable in known.items():
            twins = [other for other in known if known[other].name == variable.name]
            if len(twins) > 1:
                raise InputError(f"{path.name} holds {' and '.join(twins)}, both {variable.name}; keep one of them")
            _check_dimensions(dataset[name], path)
        try:
            cell = _nearest(dataset, place, path)
            return {variable.name: _days(cell[name], variable, path) for name, variable in known.items()}
        except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
            raise InputError(f"{path.name} is damaged ({one_line(error)}); fetch it again") from error


def _check_dimensions(values: "xarray.DataArray", path: Path) -> None:
    """Refuse a variable that does not lie over time, latitude and longitude alone, before it is read."""
    wanted = {name for names in COORDINATES.values() for name in names}
    further = {str(name): size for name, size in values.sizes.items() if name not in wanted and size != 1}
    if further:
        name, size = next(iter(further.items()))
        raise InputError(f"{values.name} of {path.name} has a dimension {name!r} of {size}; choose one of them first")
    steps = max((values.sizes[name] for name in COORDINATES["time"] if name in values.sizes), default=0)
    if steps > LARGEST_STEPS or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values.dtype.type()):
        raise InputError(
            f"{values.name} of {path.name} holds {steps} steps of {values.dtype}; want numbers, fewer steps"
        )


def _nearest(dataset: "xarray.Dataset", place: tuple[float, float], path: Path) -> "xarray.Dataset":
    names = {}
    for axis, choices in COORDINATES.items():
        held = [name for name in choices if name in dataset.coords]
        if not held:
            raise InputError(f"{path.name} has no coordinate {' or '.join(choices)}; it is not guessed")
        names[axis] = held[0]
    for axis, largest in (("lat", 90.0), ("lon", 360.0)):
        degrees = np.atleast_1d(np.asarray(dataset[names[axis]].values))
        plain = degrees.ndim == 1 and np.issubdtype(degrees.dtype, np.number) and np.isfinite(degrees).all()
        if not plain or not len(degrees) or len(np.unique(degrees)) < len(degrees) or abs(degrees).max() > largest:
            raise InputError(f"{names[axis]} of {path.name} is no list of degrees, each once; fetch it on a plain grid")
    if not np.issubdtype(dataset[names["time"]].dtype, np.datetime64):
        raise InputError(f"{names['time']} of {path.name} has no units of a usual calendar, as days since 1900-01-01")
    grid = dataset.expand_dims([name for name in (names["lat"], names["lon"]) if name not in dataset.dims])
    longitude = place[1] % 360 if float(grid[names["lon"]].max()) > 180 else place[1]
    cell = grid.sel({names["lat"]: place[0], names["lon"]: longitude}, method="nearest")
    away = max(abs(float(cell[names["lat"]]) - place[0]), abs(float(cell[names["lon"]]) - longitude))
    if away > FARTHEST_DEG:
        raise InputError(f"{path.name} ends {away:.1f} degrees from {place[0]:.2f}, {place[1]:.2f}; fetch that area")
    return cell.rename({names["time"]: "time"}) if names["time"] != "time" else cell


def _days(values: "xarray.DataArray", variable: Variable, path: Path) -> Days:
    where = f"{values.name} of {path.name}"
    unit = str(values.attrs.get("units", ""))
    if unit not in variable.factors:
        raise InputError(f"{where} comes in {shown(unit) if unit else 'no unit'}, want {', '.join(variable.factors)}")
    factor, offset = variable.factors[unit]
    if "time" not in values.dims:
        values = values.expand_dims("time")
    stamps = values["time"].values.astype("datetime64[s]")
    read: Any = np.asarray(values.squeeze([name for name in values.dims if name != "time"]).values, np.float64)
    read = read * factor + offset
    if np.isnat(stamps).any() or len(np.unique(stamps)) < len(stamps):
        twice = stamps[np.isnat(stamps)] if np.isnat(stamps).any() else stamps[pd.Index(stamps).duplicated()]
        raise InputError(f"{where}: the time {twice[0]} is none, or stands twice; give every step its own")
    if variable.daily == "last":  # accumulated since 00 UTC: the sum of a day is stamped 00 UTC of the next
        kept = (stamps - stamps.astype("datetime64[D]")).astype(int) == 0
        if not kept.any():
            raise InputError(f"{where} has no step at 00 UTC, which holds a whole day's sum")
        stamps, read = stamps[kept] - np.timedelta64(1, "D"), read[kept]
    by_day: dict[datetime.date, list[float]] = {}
    for day, value in zip(stamps.astype("datetime64[D]").tolist(), read.tolist(), strict=True):
        by_day.setdefault(day, []).append(value)
    whole = max(map(len, by_day.values()), default=0)  # a day of which steps are lacking has no sum and no mean
    return {
        day: float(np.sum(steps) if variable.daily == "sum" else np.mean(steps))
        for day, steps in by_day.items()
        if len(steps) == whole
    }
