"""PX4 logs: frames and units with known answers, what the log says of itself, and damaged files in one line."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.data.robot import ned
from mainstem.data.robot.ulog import MAGIC, read_ulog

START_US = 5_000_000
CODES = {"uint64_t": "Q", "float": "f", "double": "d", "int32_t": "i", "uint8_t": "B", "bool": "?"}
COMBINED = (
    "sensor_combined:uint64_t timestamp;float[3] gyro_rad;int32_t accelerometer_timestamp_relative;"
    "float[3] accelerometer_m_s2;uint8_t accelerometer_clipping;"
)
ATTITUDE = "vehicle_attitude:uint64_t timestamp;uint64_t timestamp_sample;float[4] q;"
MAGNETOMETER = "vehicle_magnetometer:uint64_t timestamp;float[3] magnetometer_ga;"
OLD_GPS = (
    "vehicle_gps_position:uint64_t timestamp;uint64_t time_utc_usec;int32_t lat;int32_t lon;int32_t alt_ellipsoid;"
    "float eph;float epv;uint8_t fix_type;"
)
NEW_GPS = (
    "sensor_gps:uint64_t timestamp;uint64_t timestamp_sample;double latitude_deg;double longitude_deg;"
    "double altitude_ellipsoid_m;float eph;float epv;uint8_t fix_type;"
)
POSITION = "vehicle_local_position:uint64_t timestamp;float x;float y;float z;bool xy_valid;bool z_valid;"
WHEELS = "wheel_encoders:uint64_t timestamp;float[2] wheel_speed;float[2] wheel_angle;"


def message(kind: str, body: bytes) -> bytes:
    return struct.pack("<HB", len(body), ord(kind)) + body


def pack(form: str, values: list[float]) -> bytes:
    """The fields of a format, in its order."""
    codes = ""
    for field in form.partition(":")[2].strip(";").split(";"):
        kind, _, number = field.split()[0].partition("[")
        codes += f"{number.rstrip(']')}{CODES[kind]}"
    return struct.pack(f"<{codes}", *values)


def log(path: Path, topics: dict[str, list[list[float]]], tail: bytes = b"") -> Path:
    """A ULog of topics by their formats, a row a message."""
    data = MAGIC + b"\x01" + struct.pack("<Q", START_US)
    data += message("B", bytes(40))
    data += b"".join(message("F", form.encode()) for form in topics)
    for number, form in enumerate(topics):
        data += message("A", struct.pack("<BH", 0, number) + form.partition(":")[0].encode())
    for number, (form, rows) in enumerate(topics.items()):
        data += b"".join(message("D", struct.pack("<H", number) + pack(form, row)) for row in rows)
    path.write_bytes(data + tail)
    return path


def stamp(seconds: float) -> int:
    return START_US + round(seconds * 1e6)


def test_ned_and_frd_become_enu_and_flu():
    """REP-103: x forward, y left, z up; x east, y north, z up."""
    np.testing.assert_array_equal(ned.flu_of_frd(np.array([1.0, 2.0, 3.0])), [1, -2, -3])
    np.testing.assert_array_equal(ned.enu_of_ned(np.array([1.0, 2.0, 3.0])), [2, 1, -3])
    level_north = ned.enu_flu_of_ned_frd(np.array([1.0, 0, 0, 0]))  # nose north: forward is +y of ENU, up stays up
    np.testing.assert_allclose(rotations.rotate(level_north, np.array([1.0, 0, 0])), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotations.rotate(level_north, np.array([0, 0, 1.0])), [0, 0, 1], atol=1e-12)
    nose_east = np.array([np.cos(np.pi / 4), 0, 0, np.sin(np.pi / 4)])  # +90 deg about down
    turned = ned.enu_flu_of_ned_frd(nose_east)
    np.testing.assert_allclose(np.abs(turned), [1, 0, 0, 0], atol=1e-12)


def test_a_vector_goes_the_same_way_by_both_conventions():
    random = np.random.default_rng(2)
    rotation = rotations.normalise(random.standard_normal((50, 4)))
    vector = random.standard_normal((50, 3))
    ways = rotations.rotate(ned.enu_flu_of_ned_frd(rotation), ned.flu_of_frd(vector))
    np.testing.assert_allclose(ways, ned.enu_of_ned(rotations.rotate(rotation, vector)), atol=1e-12)


def test_inertial_readings_are_flu_and_the_accelerometer_has_its_own_stamp(tmp_path):
    rows = [[stamp(i / 100), 1, 2, 3, -2000, 0.5, 0.25, -9.5, 0] for i in range(5)]
    rows[3][4] = 0x7FFFFFFF
    rows[4][8] = 2
    found = read_ulog(log(tmp_path / "a.ulg", {COMBINED: rows}))
    gyroscope, accelerometer = (found.sensors[f"sensor_combined.{name}"] for name in ("gyroscope", "accelerometer"))
    np.testing.assert_allclose(gyroscope.values[0], [1, -2, -3])
    np.testing.assert_allclose(accelerometer.values[0], [0.5, -0.25, 9.5])
    np.testing.assert_allclose(gyroscope.times, np.arange(5) / 100, atol=1e-9)
    np.testing.assert_allclose(accelerometer.times[:3], np.arange(3) / 100 - 0.002, atol=1e-9)
    assert np.isnan(accelerometer.values[3]).all()
    assert [(fault.what, fault.count, fault.where_s) for fault in found.faults] == [("saturation", 1, (0.04,))]


def test_gauss_becomes_microtesla_in_flu(tmp_path):
    found = read_ulog(log(tmp_path / "a.ulg", {MAGNETOMETER: [[stamp(0), 0.2, 0.1, 0.4]]}))
    np.testing.assert_allclose(found.sensors["vehicle_magnetometer"].values, [[20, -10, -40]], rtol=1e-6)


@pytest.mark.parametrize("is_old", [True, False])
def test_places_of_both_generations_agree_and_lack_without_a_fix(tmp_path, is_old):
    utc = 1_700_000_000_000_000
    if is_old:
        topics = {OLD_GPS: [[stamp(i), utc + i * 10**6, 473977422, 85455940, 488009, 2, 3, i] for i in range(5)]}
    else:
        topics = {NEW_GPS: [[stamp(i) + 500, stamp(i), 47.3977422, 8.545594, 488.009, 2, 3, i] for i in range(5)]}
    found = read_ulog(log(tmp_path / "a.ulg", topics))
    sensor = next(iter(found.find("gnss").values()))
    np.testing.assert_allclose(sensor.times, np.arange(5), atol=1e-9)
    np.testing.assert_allclose(sensor.values[3], [47.3977422, 8.545594, 488.009], rtol=0, atol=1e-9)
    assert np.isnan(sensor.values[:2]).all()
    assert np.isnan(sensor.values[2]).tolist() == [False, False, True]
    np.testing.assert_allclose(np.diagonal(sensor.covariance[0]), [4, 4, 9])
    if is_old:
        assert found.origin == "2023-11-14T22:13:20.000Z"
    else:
        np.testing.assert_allclose(sensor.received - sensor.times, 500e-6, atol=1e-9)


def test_attitude_position_and_wheels(tmp_path):
    topics = {
        ATTITUDE: [[stamp(1), stamp(0.5), 1, 0, 0, 0]],
        POSITION: [[stamp(0), 10, 20, -5, True, True], [stamp(1), 1, 2, 3, False, True]],
        WHEELS: [[stamp(0), 3, 4, 0, 0]],
    }
    found = read_ulog(log(tmp_path / "a.ulg", topics))
    attitude = found.sensors["vehicle_attitude"]
    assert attitude.times[0] == pytest.approx(0.5)
    assert attitude.received[0] == pytest.approx(1.0)
    np.testing.assert_allclose(attitude.values[0], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-7)
    np.testing.assert_allclose(found.sensors["vehicle_local_position"].values[0], [20, 10, 5])
    assert np.isnan(found.sensors["vehicle_local_position"].values[1]).tolist() == [True, True, False]
    wheels = found.sensors["wheel_encoders"]
    assert (wheels.kind, [channel.unit for channel in wheels.channels]) == ("other", ["rad/s", "rad/s"])
    np.testing.assert_allclose(wheels.values, [[3, 4]])


def test_dropouts_that_the_log_counts_are_findings(tmp_path):
    tail = message("O", struct.pack("<H", 1500)) + message("O", struct.pack("<H", 20))
    found = read_ulog(log(tmp_path / "a.ulg", {MAGNETOMETER: [[stamp(2), 0.2, 0.1, 0.4]]}, tail))
    (fault,) = found.faults
    assert (fault.what, fault.state, fault.count, fault.where_s) == ("dropouts", "bad", 2, (2.0, 2.0))
    assert "1.52 s" in fault.words


def test_other_topics_are_named_and_a_log_without_sensors_is_refused(tmp_path, capsys):
    other = "cpuload:uint64_t timestamp;float load;"
    found = read_ulog(log(tmp_path / "a.ulg", {MAGNETOMETER: [[stamp(0), 0.2, 0, 0.4]], other: [[stamp(0), 1]]}))
    assert list(found.skipped) == ["cpuload"]
    with pytest.raises(InputError, match="holds cpuload and no sensor"):
        read_ulog(log(tmp_path / "a.ulg", {other: [[stamp(0), 1]]}))
    (tmp_path / "b.ulg").write_text("no log")
    with pytest.raises(InputError, match="no ULog"):
        read_ulog(tmp_path / "b.ulg")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "forms",
    [
        ["a:uint64_t timestamp;a[2] again;"],
        ["a:uint64_t timestamp;b x;", "b:a y;"],
        ["a:b[60000] x;", "b:c[60000] x;", "c:uint8_t[60000] x;"],
        ["a:uint64_t[99999999] x;"],
    ],
    ids=["itself", "circle", "billions of fields", "a huge array"],
)
def test_formats_that_would_fill_the_machine_are_refused(tmp_path, forms):
    data = MAGIC + b"\x01" + struct.pack("<Q", START_US) + b"".join(message("F", form.encode()) for form in forms)
    data += message("A", struct.pack("<BH", 0, 0) + b"a") + message("D", struct.pack("<H", 0) + bytes(64))
    (tmp_path / "a.ulg").write_bytes(data)
    with pytest.raises(InputError):
        read_ulog(tmp_path / "a.ulg")


def test_a_message_that_leads_back_ends(tmp_path):
    """A size beyond the end, in the definitions: the parser goes back by it, again and again."""
    data = (
        MAGIC + b"\x01" + struct.pack("<Q", START_US) + bytes(70_000) + struct.pack("<HB", 60_000, ord("z")) + bytes(9)
    )
    (tmp_path / "a.ulg").write_bytes(data)
    with pytest.raises(InputError):
        read_ulog(tmp_path / "a.ulg")


def test_every_cut_and_every_flipped_bit_is_read_or_refused(tmp_path, capsys):
    rows = [[stamp(i / 100), 1, 2, 3, -2000, 0.5, 0.25, -9.5, 0] for i in range(30)]
    path = log(tmp_path / "a.ulg", {COMBINED: rows, MAGNETOMETER: [[stamp(i), 0.2, 0.1, 0.4] for i in range(5)]})
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    broken = [whole[:length] for length in range(0, len(whole), 41)]
    for at, bit in zip(random.integers(0, len(whole), 300), random.integers(0, 8, 300), strict=True):
        broken.append(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    refused = damaged = 0
    for data in broken:
        path.write_bytes(data)
        try:
            damaged += any(fault.what == "damage" for fault in read_ulog(path).faults)
        except InputError:
            refused += 1
    assert refused > 10
    assert damaged > 60  # a flipped bit of a reading is another reading
    assert capsys.readouterr().out == ""


@pytest.mark.mirror
def test_real_logs_stand_with_gravity_up():
    folder = Path(os.environ["MAINSTEM_MIRROR"], "robot", "ulog")
    for name, is_simulated in (("sample_log_small.ulg", False), ("sample_px4_events.ulg", True)):
        found = read_ulog(folder / name)
        force = found.sensors["sensor_combined.accelerometer"].values
        assert np.median(force[:, 2]) == pytest.approx(9.8, abs=0.3)
        assert found.simulated is is_simulated
        attitude = found.sensors["vehicle_attitude"].values
        up = rotations.rotate(attitude, np.median(force, axis=0))  # the estimate and the accelerometer agree on up
        np.testing.assert_allclose(up[:, 2], 9.8, atol=0.3)
    place = read_ulog(folder / "sample_log_small.ulg").sensors["vehicle_gps_position"].values[-1]
    np.testing.assert_allclose(place, [63.417, 10.408, 102.9], atol=0.1)
