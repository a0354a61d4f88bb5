"""Weather as it may come: twice, in another unit, damaged, with further dimensions; read rightly or refused."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray

from mainstem.data.earth.weather import open_weather
from tests.hostile.harness import run_call

OPEN = "mainstem.data.earth.weather:open_weather"
PLACE = [48.0, 11.0]
DAYS = pd.date_range("2021-01-01", periods=365)


def year(**other: object) -> pd.DataFrame:
    wave = np.cos((np.arange(365) - 200) / 365 * 2 * np.pi)
    known = {
        "date": DAYS.strftime("%Y-%m-%d"), "temperature_c": 10 + 10 * wave,
        "rain_mm": np.where(np.arange(365) % 3 == 0, 6.0, 0.0), "radiation_mj_m2": 12 + 9 * wave,
    }  # fmt: skip
    return pd.DataFrame({**known, **other}).round(4)


def put(column: str, value: object, *rows: int) -> pd.DataFrame:
    frame = year().astype(object)
    frame.loc[list(rows), column] = value
    return frame


WARM, RAIN, SUN = (year()[name] for name in ("temperature_c", "rain_mm", "radiation_mj_m2"))
TABLES = {
    "kelvin": (year(temperature_c=WARM + 273.15), ["temperature_c", "kelvin"]),
    "Fahrenheit": (year(temperature_c=WARM * 1.8 + 62), ["temperature_c", "Fahrenheit"]),
    "rain below zero": (put("rain_mm", -4.0, 6), ["row 8", "'rain_mm'", "-4"]),
    "rain in m": (year(rain_mm=RAIN / 1000), ["rain_mm", "looks like m"]),
    "radiation in J/m2": (year(radiation_mj_m2=SUN * 1e6), ["radiation_mj_m2", "J/m2"]),
    "radiation in W/m2": (year(radiation_mj_m2=SUN * 11.6), ["radiation_mj_m2", "W/m2"]),
    "radiation in kWh/m2": (year(radiation_mj_m2=SUN / 3.6), ["radiation_mj_m2", "kWh/m2"]),
    "a day twice, otherwise": (put("date", "2021-01-06", 6), ["row 8", "2021-01-06", "row 7"]),
    "hours": (put("date", "2021-01-06T12:00", 6), ["row 8", "'2021-01-06T12:00'"]),
    "a day or a month": (year(date=DAYS.strftime("%d/%m/%Y")), ["row 2", "'01/01/2021'"]),
    "30 February": (put("date", "2021-02-30", 60), ["row 62", "'2021-02-30'"]),
    "a word": (put("temperature_c", "warm", 9), ["row 11", "'temperature_c'", "'warm'"]),
    "infinity": (put("temperature_c", "inf", 9), ["row 11", "'temperature_c'"]),
    "no date": (year().rename(columns={"date": "day"}), ["no weather table", "date"]),
    "no radiation": (year().drop(columns="radiation_mj_m2"), ["lacks radiation_mj_m2"]),
    "another year": (year(date=DAYS.strftime("1921-%m-%d")), ["no day of 2021"]),
    "nothing": ("", ["no weather table", "empty"]),
    "NetCDF by another name": (b"\x89HDF\r\n\x1a\n" + bytes(64), ["HDF5"]),
    "two temperatures": (
        "date,temperature_c,temperature_c,rain_mm,radiation_mj_m2\n2021-01-01,1,2,3,4\n", ["two columns"],
    ),
}  # fmt: skip


def write(path: Path, content: pd.DataFrame | str | bytes) -> Path:
    data = content.to_csv(index=False) if isinstance(content, pd.DataFrame) else content
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("name", TABLES)
def test_an_odd_table_of_weather_is_refused_in_one_line(tmp_path, name):
    content, words = TABLES[name]
    run_call(OPEN, [write(tmp_path / "w.csv", content)], PLACE, 2021).refused(*words)


def test_the_order_of_days_and_repeats_of_the_same_are_free(tmp_path):
    plain = open_weather([write(tmp_path / "a.csv", year())], (48.0, 11.0), 2021)
    mixed = pd.concat([year().sample(frac=1, random_state=0), year()[:5]])
    found = open_weather([write(tmp_path / "b.csv", mixed)], (48.0, 11.0), 2021)
    german = year().to_csv(index=False, sep=";", decimal=",").encode("utf-16")
    foreign = open_weather([write(tmp_path / "c.csv", german)], (48.0, 11.0), 2021)
    for other in (found, foreign):
        assert other.values.tolist() == plain.values.tolist()
        assert other.times.tolist() == plain.times.tolist()


def test_two_files_that_contradict_each_other_are_refused_and_gaps_stay(tmp_path):
    first, second = write(tmp_path / "a.csv", year()[:200]), write(tmp_path / "b.csv", put("rain_mm", 9.0, 150))
    run_call(OPEN, [first, second], PLACE, 2021).refused("b.csv", "2021-05-31", "rain_mm")
    gap = write(tmp_path / "c.csv", year().drop(index=range(100, 110)).replace({"rain_mm": {6.0: None}}))
    stream = open_weather([gap], (48.0, 11.0), 2021)
    assert len(stream.times) == 355
    assert np.isnan(stream.values[0, 1])


def netcdf(path: Path, change: str = "") -> Path:
    """Twenty days of temperature, rain and radiation at nine cells, with one thing wrong."""
    days = pd.date_range("2021-04-01", periods=20).to_numpy().copy()
    lat, lon = np.array([47.9, 48.0, 48.1]), np.array([10.9, 11.0, 11.1])
    dims, shape = ("time", "lat", "lon"), (20, 3, 3)
    cubes = {
        "Temperature_Air_2m_Mean_24h": (dims, np.full(shape, 280.0), {"units": "K"}),
        "Precipitation_Flux": (dims, np.full(shape, 2.0), {"units": "mm d-1"}),
        "Solar_Radiation_Flux": (dims, np.full(shape, 18e6), {"units": "J m-2 d-1"}),
    }
    name = "Temperature_Air_2m_Mean_24h"
    if change == "members":
        cubes[name] = (("time", "number", "lat", "lon"), np.full((20, 4, 3, 3), 280.0), {"units": "K"})
    elif change == "one member":
        cubes[name] = (("time", "number", "lat", "lon"), np.full((20, 1, 3, 3), 280.0), {"units": "K"})
    elif change == "two meanings":
        cubes["t2m"] = (dims, np.full(shape, 300.0), {"units": "K"})
    elif change == "no unit":
        cubes[name] = (dims, np.full(shape, 280.0), {})
    elif change == "words":
        cubes[name] = (dims, np.full(shape, "warm"), {"units": "K"})
    elif change == "a time twice":
        days[7] = days[6]
    elif change == "no time given":
        days[7] = np.datetime64("NaT")
    elif change == "backwards":
        days = days[::-1]
    elif change == "no place":
        lat = np.array([47.9, np.nan, 48.1])
    elif change == "a latitude twice":
        lat = np.array([47.9, 48.0, 48.0])
    elif change == "metres":
        lat, lon = lat * 1e5, lon * 1e5
    data = xarray.Dataset(cubes, coords={"time": days, "lat": lat, "lon": lon})
    if change == "no units of time":
        data = data.assign_coords(time=np.arange(20))
    elif change == "a calendar of 360 days":
        attributes = {"units": "days since 2021-01-01", "calendar": "360_day"}
        data = data.assign_coords(time=("time", np.arange(20.0), attributes))
    elif change == "places in two dimensions":
        plain = data.drop_vars(["lat", "lon"]).rename_dims(lat="y", lon="x")
        data = plain.assign_coords(lat=(("y", "x"), np.full((3, 3), 48.0)), lon=(("y", "x"), np.full((3, 3), 11.0)))
    data.to_netcdf(path)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-3000])
    elif change == "a flipped byte":
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(bytes(content))
    return path


NETCDFS = {
    "members": ["number", "4"],
    "two meanings": ["t2m", "temperature_c"],
    "no unit": ["no unit"],
    "words": ["Temperature_Air_2m_Mean_24h"],
    "a time twice": ["stands twice", "2021-04-07"],
    "no time given": ["w.nc"],
    "no place": ["lat"],
    "a latitude twice": ["lat"],
    "metres": ["degrees"],
    "no units of time": ["time", "units"],
    "a calendar of 360 days": ["time", "calendar"],
    "cut": ["NetCDF"],
    "places in two dimensions": ["'y'", "dimension"],
}


@pytest.mark.long
@pytest.mark.parametrize("name", NETCDFS)
def test_an_odd_netcdf_file_is_refused_in_one_line(tmp_path, name):
    run_call(OPEN, [netcdf(tmp_path / "w.nc", name)], PLACE, 2021).refused(*NETCDFS[name])


@pytest.mark.parametrize("name", ["one member", "backwards", ""])
def test_an_unusual_netcdf_file_is_read_rightly(tmp_path, name):
    stream = open_weather([netcdf(tmp_path / "w.nc", name)], (48.0, 11.0), 2021)
    assert stream.values[:, :3] == pytest.approx(np.tile([6.85, 2.0, 18.0], (20, 1)), abs=1e-3)
    assert stream.times[0] == 90 * 86_400


def test_a_damaged_netcdf_file_gives_no_traceback(tmp_path):
    run_call(OPEN, [netcdf(tmp_path / "w.nc", "a flipped byte")], PLACE, 2021).sound()


def test_the_same_file_twice_is_the_same_weather(tmp_path):
    path = netcdf(tmp_path / "w.nc")
    once, twice = (open_weather([path] * count, (48.0, 11.0), 2021) for count in (1, 2))
    assert once.values.tolist() == twice.values.tolist()


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.nc")
    run_call(OPEN, [tmp_path / "w.nc"], PLACE, 2021, limit_s=10).refused("pipe")
    os.mkfifo(tmp_path / "w.csv")
    run_call(OPEN, [tmp_path / "w.csv"], PLACE, 2021, limit_s=10).refused("pipe")
    run_call(OPEN, [], PLACE, 2021).refused("no weather file")
