"""CSV of sensors: units from headers, sensors at their own rates, and units that nobody should guess."""

import math

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.robot.csv_columns import column_of
from mainstem.data.robot.csv_logs import read_csv_log

EUROC = """#timestamp [ns],w_RS_S_x [rad s^-1],w_RS_S_y [rad s^-1],w_RS_S_z [rad s^-1],a_RS_S_x [m s^-2],a_RS_S_y [m s^-2],a_RS_S_z [m s^-2]
1403636579758555392,-0.099134701513277898,0.14730578886832138,0.02722713633111154,8.1476917083333333,-0.37592158333333331,-2.4026292499999999
1403636579763555584,-0.099134701513277898,0.14032447186034408,0.029321531433504733,8.033280791666666,-0.40861041666666664,-2.4026292499999999
"""  # noqa: E501 - as EuRoC MAV writes it


def write(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text)
    return path


def table(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    ("header", "sensor", "channel", "scale"),
    [
        ("gyr_x [rad/s]", "imu.gyroscope", "x", 1.0),
        ("gyr_x_deg_s", "imu.gyroscope", "x", math.pi / 180),
        ("GyrX (°/s)", "imu.gyroscope", "x", math.pi / 180),
        ("gyro.y [dps]", "imu.gyroscope", "y", math.pi / 180),
        ("acc_x_g", "imu.accelerometer", "x", 9.80665),
        ("acc_z [m/s^2]", "imu.accelerometer", "z", 1.0),
        ("accel_y [mg]", "imu.accelerometer", "y", 9.80665e-3),
        ("mag_x_uT", "imu.magnetometer", "x", 1.0),
        ("mag_x [µT]", "imu.magnetometer", "x", 1.0),
        ("mag_x [mG]", "imu.magnetometer", "x", 0.1),
        ("mag_x [T]", "imu.magnetometer", "x", 1e6),
        ("imu2/gyr_z [deg/s]", "imu2.gyroscope", "z", math.pi / 180),
        ("w_RS_S_x [rad s^-1]", "imu.gyroscope", "x", 1.0),
        ("q_RS_w []", "robot.orientation", "w", 1.0),
        ("p_RS_R_x [m]", "robot.position", "x", 1.0),
        ("lat [1e-7 deg]", "robot.gnss", "latitude", 1e-7),
        ("speed_x [km/h]", "robot.wheel", "speed_x", 1 / 3.6),
        ("time_ms", "", "time", 1e-3),
        ("#timestamp [ns]", "", "time", 1e-9),
        ("pressure [Pa]", "pressure", "pressure", 1.0),
    ],
)
def test_headers_mean_what_they_say(header, sensor, channel, scale):
    found = column_of(header)
    assert (found.sensor, found.channel) == (sensor, channel)
    assert found.scale == pytest.approx(scale, rel=1e-12)


def test_headers_without_a_unit_and_a_sensor_are_not_read():
    assert column_of("note") is None


@pytest.mark.parametrize("header", ["gyr_x", "acc_x [rad/s]", "timestamp", "mag_y [parsec]", "lat", "time [m]"])
def test_a_unit_that_lacks_or_is_none_says_what_to_write(header):
    with pytest.raises(InputError, match="write "):
        column_of(header)


def test_euroc_is_read_to_the_nanosecond(tmp_path):
    found = read_csv_log(write(tmp_path, EUROC))
    assert found.origin == "2014-06-24T19:02:59Z"
    np.testing.assert_allclose(found.sensors["imu.gyroscope"].times, [0.758555392, 0.763555584], rtol=0, atol=1e-10)
    assert found.sensors["imu.accelerometer"].values[0, 0] == 8.1476917083333333
    assert found.converted == ()


def test_sensors_keep_their_own_rows_and_units_are_converted_and_said(tmp_path):
    rows = [f"{i * 10},{18 * (i % 2)},0,90,{'0,0,1' if i % 5 == 0 else ',,'},x" for i in range(20)]
    header = "time_ms,gyr_x [deg/s],gyr_y [deg/s],gyr_z [deg/s],acc_x_g,acc_y_g,acc_z_g,note"
    found = read_csv_log(write(tmp_path, table(header, rows)))
    gyroscope, accelerometer = found.sensors["imu.gyroscope"], found.sensors["imu.accelerometer"]
    assert (len(gyroscope.times), len(accelerometer.times)) == (20, 4)
    np.testing.assert_allclose(accelerometer.times, [0.0, 0.05, 0.1, 0.15])
    np.testing.assert_allclose(gyroscope.values[1], [math.pi / 10, 0, math.pi / 2])
    np.testing.assert_allclose(accelerometer.values[:, 2], 9.80665)
    assert "acc_x_g, acc_y_g, acc_z_g: g to m/s2, times 9.80665" in found.converted
    assert (found.body, list(found.extrinsics)) == ("imu", ["imu"])
    assert list(found.skipped) == ["note"]


def test_received_counts_from_the_instant_that_time_counts_from(tmp_path):
    rows = [f"{1_700_000_000 + i}.5,{1_700_000_003 + i}.5,{i}" for i in range(5)]
    found = read_csv_log(write(tmp_path, table("time [s],received [s],pressure [Pa]", rows)))
    np.testing.assert_allclose(found.sensors["pressure"].received - found.sensors["pressure"].times, 3.0)
    assert found.sensors["pressure"].channels[0].unit == "Pa"
    assert found.body == "robot"


IMU = "time [s],acc_x [{0}],acc_y [{1}],acc_z [{2}]"
GYR = "time [s],gyr_x [{0}],gyr_y [{0}],gyr_z [{1}]"
CASES = {
    "mixed axes": (IMU.format("g", "g", "m/s2"), "0,0,9.81", "mixes units"),
    "mixed rates": (GYR.format("rad/s", "deg/s"), "0,0,1", "mixes units"),
    "g said to be m/s2": (IMU.format("m/s2", "m/s2", "m/s2"), "0.02,0,1.01", "looks like g"),
    "m/s2 said to be g": (IMU.format("g", "g", "g"), "0.02,0,9.79", "looks like m/s2"),
    "deg/s said to be rad/s": (GYR.format("rad/s", "rad/s"), "250,3,120", "looks like deg/s"),
    "an axis lacks": ("time [s],acc_x [g],acc_y [g]", "0,1", "lacks z"),
    "no time": ("acc_x [g],acc_y [g],acc_z [g]", "0,1", "write one: time"),
    "two times": ("time [s],t [ms],pressure [Pa]", "1,2", "write one"),
    "no unit of time": ("time,pressure [Pa]", "2", "no unit"),
    "one channel twice": ("time [s],gyr_x [rad/s],gyro_x [rad/s]", "1,2", "same channel"),
    "no sensor": ("time [s],note", "2", "names no sensor"),
    "no number": ("time [s],pressure [Pa]", "high", "row 2"),
    "infinity": ("time [s],pressure [Pa]", "inf", "infinity"),
    "nan throughout": ("time [s],pressure [Pa]", "nan", "NaN throughout"),
    "ns said to be s": ("timestamp [s],pressure [Pa]", "", "another unit"),
}


@pytest.mark.parametrize(("header", "values", "words"), CASES.values(), ids=CASES)
def test_what_is_unclear_is_refused_in_one_line(tmp_path, header, values, words):
    stamps = [1.4e18 + 5e6 * i if header.startswith("timestamp [s]") else i / 100 for i in range(30)]
    columns = header.count(",") + 1 - values.count(",") - 1
    rows = [",".join([*[f"{stamp}"] * columns, values or "1"][: header.count(",") + 1]) for stamp in stamps]
    if columns == 0:
        rows = [values] * 30
    with pytest.raises(InputError) as raised:
        read_csv_log(write(tmp_path, table(header, rows)))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_cut_and_every_flipped_bit_is_read_or_refused(tmp_path):
    whole = EUROC.encode()
    random = np.random.default_rng(1)
    broken = [whole[:length] for length in range(0, len(whole), 17)]
    for at, bit in zip(random.integers(0, len(whole), 120), random.integers(0, 8, 120), strict=True):
        broken.append(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    path, refused = tmp_path / "a.csv", 0
    for data in broken:
        path.write_bytes(data)
        try:
            read_csv_log(path)
        except InputError:
            refused += 1
    assert 50 < refused < len(broken)
