"""Weather: AgERA5, ERA5-Land and tables to the same daily stream, units and places checked."""

import datetime

import numpy as np
import pandas as pd
import pytest
import xarray

from mainstem.core.errors import InputError
from mainstem.data.earth.simulate import draw_weather
from mainstem.data.earth.weather import NAMES, open_weather, reference_et_mm

PLACE = (48.02, 11.04)


def agera5(path, name, unit, values, dates, lat=(48.2, 48.1, 48.0), lon=(10.9, 11.0, 11.1)):
    """One variable as the Copernicus Climate Data Store hands it out."""
    cube = np.broadcast_to(np.asarray(values, np.float32)[:, None, None], (len(dates), len(lat), len(lon))).copy()
    cube[:, 0] += 500  # only the row nearest to the place is right
    data = xarray.Dataset(
        {name: (("time", "lat", "lon"), cube, {"units": unit})},
        coords={"time": dates, "lat": list(lat), "lon": list(lon)},
    )
    data.to_netcdf(path)
    return path


@pytest.fixture
def files(tmp_path):
    dates = pd.date_range("2021-04-01", periods=30)
    return [
        agera5(tmp_path / "t.nc", "Temperature_Air_2m_Mean_24h", "K", 273.15 + np.arange(30.0), dates),
        agera5(tmp_path / "p.nc", "Precipitation_Flux", "mm d-1", np.full(30, 2.5), dates),
        agera5(tmp_path / "r.nc", "Solar_Radiation_Flux", "J m-2 d-1", np.full(30, 18e6), dates),
    ]


def test_agera5_becomes_daily_weather_in_the_stream_s_units(files):
    stream = open_weather(files, PLACE, 2021)
    assert [channel.name for channel in stream.channels] == list(NAMES)
    assert stream.times[0] == 90 * 86_400  # 1 April
    assert stream.values[:, 0] == pytest.approx(np.arange(30.0), abs=1e-3)
    assert stream.values[:, 1] == pytest.approx(np.full(30, 2.5))
    assert stream.values[:, 2] == pytest.approx(np.full(30, 18.0))
    assert stream.values[3, 3] == pytest.approx(reference_et_mm(np.array([3.0]), np.array([18.0]))[0], rel=1e-3)


def test_era5_land_s_accumulations_are_those_of_the_day_before(tmp_path):
    hours = pd.date_range("2021-06-01", periods=73, freq="h")
    since = np.where(hours.hour == 0, 24, hours.hour)
    day = (hours - pd.Timedelta(1, "s")).normalize()
    amount = {pd.Timestamp("2021-06-01"): 1.0, pd.Timestamp("2021-06-02"): 2.0, pd.Timestamp("2021-06-03"): 3.0}
    rate = np.array([amount.get(stamp, 9.0) for stamp in day])
    shape = (len(hours), 1, 1)
    data = xarray.Dataset(
        {
            "t2m": (("valid_time", "latitude", "longitude"), np.full(shape, 290.0), {"units": "K"}),
            "tp": (("valid_time", "latitude", "longitude"), (1e-3 * rate * since / 24).reshape(shape), {"units": "m"}),
            "ssrd": (("valid_time", "latitude", "longitude"), (1e7 * rate * since / 24).reshape(shape),
                     {"units": "J m**-2"}),
        },
        coords={"valid_time": hours, "latitude": [48.0], "longitude": [11.0]},
    )  # fmt: skip
    data.to_netcdf(tmp_path / "era5land.nc")
    stream = open_weather([tmp_path / "era5land.nc"], PLACE, 2021)
    assert stream.values[:3, 1] == pytest.approx([1.0, 2.0, 3.0])  # mm on the first three days of June
    assert stream.values[:3, 2] == pytest.approx([10.0, 20.0, 30.0])
    assert stream.values[:3, 0] == pytest.approx(np.full(3, 16.85), abs=1e-3)


def test_a_table_reads_alike_and_evapotranspiration_is_that_of_the_simulator(tmp_path):
    weather = draw_weather(np.random.default_rng(0), np.array([48.0]))
    dates = [datetime.date(2021, 1, 1) + datetime.timedelta(days=day) for day in range(365)]
    table = pd.DataFrame(
        {"date": dates, **{name: getattr(weather, name)[0, 0] for name in NAMES if name != "reference_et_mm"}}
    )
    table.to_csv(tmp_path / "weather.csv", index=False)
    stream = open_weather([tmp_path / "weather.csv"], PLACE, 2021)
    assert stream.values.shape == (365, 4)
    assert stream.values[:, 3] == pytest.approx(weather.reference_et_mm[0, 0], rel=2e-2, abs=0.02)


def test_what_is_missing_far_or_in_another_unit_is_named(files, tmp_path):
    with pytest.raises(InputError, match="lacks radiation_mj_m2"):
        open_weather(files[:2], PLACE, 2021)
    with pytest.raises(InputError, match=r"ends 6\.8 degrees from 55\.00, 11\.04"):
        open_weather(files, (55.0, 11.04), 2021)
    with pytest.raises(InputError, match="holds no day of 2020"):
        open_weather(files, PLACE, 2020)
    dates = pd.date_range("2021-04-01", periods=30)
    odd = agera5(tmp_path / "odd.nc", "Precipitation_Flux", "inch", np.full(30, 1.0), dates)
    with pytest.raises(InputError, match="comes in 'inch', want mm"):
        open_weather([files[0], odd, files[2]], PLACE, 2021)
    kelvin = agera5(tmp_path / "k.nc", "Temperature_Air_2m_Mean_24h", "degC", 273.15 + np.arange(30.0), dates)
    with pytest.raises(InputError, match=r"temperature_c runs from 273\.15 to 302\.15, want -60 to 60; check its unit"):
        open_weather([kelvin, *files[1:]], PLACE, 2021)
    (tmp_path / "text.nc").write_text("not NetCDF")
    with pytest.raises(InputError, match="is no NetCDF file"):
        open_weather([tmp_path / "text.nc"], PLACE, 2021)
    (tmp_path / "table.csv").write_text("day;temp\n")
    with pytest.raises(InputError, match="is no weather table"):
        open_weather([tmp_path / "table.csv"], PLACE, 2021)
