"""What is taken of a recording: what the doctor knows of it is said, in every file, or refused; fixes are weighed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mcap.reader import make_reader
from tests.data.robot.bags import IMU, ODOMETRY, START_NS, Maker, Timed, write2

from mainstem.adapters.sensor_fusion.motion import TASK
from mainstem.adapters.sensor_fusion.pose_tracks import posed
from mainstem.adapters.sensor_fusion.recordings import predict_recording, taken, usable
from mainstem.core.errors import InputError
from mainstem.core.task import DataRequest, TrackAsk
from mainstem.data.robot.recording import CHANNELS, Kind, Recording, Sensor

MAKER = Maker()
SIDE = "imu_link"
M_LATITUDE = 1 / 111_229.0  # deg of a metre at 50 degrees


def bag(
    folder: Path,
    seconds: float = 12.0,
    change: Callable[[Any, int], None] = lambda message, index: None,
    frame: str = "base_link",
) -> Path:
    """An mcap of an IMU at 50 Hz that rests on a robot that rolls straight on; `change` alters each IMU message."""
    random, found = np.random.default_rng(0), list[Timed]()
    for index in range(int(seconds * 50)):
        stamp = START_NS + index * 20_000_000
        message = MAKER.imu(stamp, 0)
        message.header.frame_id = frame
        message.angular_velocity = MAKER.xyz(0.01 * random.standard_normal(3))
        message.linear_acceleration = MAKER.xyz([0, 0, 9.81] + 0.05 * random.standard_normal(3))
        change(message, index)
        found.append(("/imu", IMU, stamp + 1_000_000, message))
        if index % 5 == 0:
            found.append(("/odom", ODOMETRY, stamp + 1_000_000, MAKER.odometry(stamp)))
    write2(folder, MAKER, found)
    return next(folder.glob("*.mcap"))


def ask(path: Path, **options: str) -> TrackAsk:
    return TrackAsk(request=DataRequest(data=str(path), options={k.replace("_", "-"): v for k, v in options.items()}))


def metadata(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return next(iter(make_reader(file).iter_metadata())).metadata


def test_a_whole_bag_has_no_doubt_and_a_cut_one_says_so_in_every_file(tmp_path):
    path = bag(tmp_path / "a")
    assert not any("damage" in line for line in predict_recording(TASK, ask(path), tmp_path / "whole.csv"))
    assert "doctor" not in pd.read_csv(tmp_path / "whole.csv")["note"][0]
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    said = predict_recording(TASK, ask(cut), tmp_path / "est.mcap")
    predict_recording(TASK, ask(cut), tmp_path / "est.csv")
    assert any(line.startswith("the file: damage: the file is not whole (") and "cut off at" in line for line in said)
    facts = metadata(tmp_path / "est.mcap")
    assert "the file: damage" in facts["note"]
    assert "cut off at byte" in facts["said"]
    assert "the file: damage" in pd.read_csv(tmp_path / "est.csv")["note"][0]
    assert "the file: damage" in (tmp_path / "est.tum").read_text()


def test_nothing_is_written_into_the_folder_of_a_bag(tmp_path):
    folder = bag(tmp_path / "a").parent
    (tmp_path / "link").symlink_to(folder)
    for out in (folder / "est.csv", folder / "deeper" / "est.mcap", tmp_path / "link" / "est.tum"):
        with pytest.raises(InputError, match="lies within"):
            predict_recording(TASK, ask(folder), out)


def in_g(message: Any, index: int) -> None:
    message.linear_acceleration = MAKER.xyz([0.001 * (index % 7), 0, 1 + 0.003 * (index % 3)])


def in_degrees(message: Any, index: int) -> None:
    message.angular_velocity = MAKER.xyz([0, 0, 90 + index % 7])


@pytest.mark.parametrize(("change", "told"), [(in_g, "looks like g"), (in_degrees, "looks like deg/s")])
def test_another_unit_in_a_bag_is_refused(tmp_path, change, told):
    path = bag(tmp_path / "a", change=change)
    with pytest.raises(InputError, match=told):
        taken(ask(path).request)


def test_headers_without_a_stamp_and_absent_parts_are_said(tmp_path):
    def change(message: Any, index: int) -> None:
        if index % 10 == 0:
            message.header = MAKER.header(0, "base_link")
        if index > 400:
            message.linear_acceleration_covariance = np.array([-1.0, *(0.0,) * 8])

    recording, said = taken(ask(bag(tmp_path / "a", change=change)).request)
    assert any("/imu: unstamped: 60 of 600 headers are stamped 0" in line for line in said)
    assert any("/imu.accelerometer: absent in 199 of 600 messages" in line for line in said)
    assert any("/imu.gyroscope: 60 of 600 readings left out: stamps" in line for line in said)
    assert len(recording.sensors["/imu.gyroscope"].times) == 540


def on_its_side(message: Any, index: int) -> None:
    message.linear_acceleration = MAKER.xyz([0.1 * (index % 3), 9.81, 0.1])


def test_an_imu_on_its_side_that_is_assumed_upright_is_said(tmp_path):
    path = bag(tmp_path / "a", change=on_its_side, frame=SIDE)
    said = predict_recording(TASK, ask(path, assume_identity="yes"), tmp_path / "est.csv")
    assert any("/imu.accelerometer: mounting: gravity lies along -y of base_link" in line for line in said)
    assert "/imu.accelerometer: mounting" in pd.read_csv(tmp_path / "est.csv")["note"][0]
    turned = tmp_path / "side.yaml"
    turned.write_text(f"{SIDE}: {{translation_m: [0, 0, 0], rotation_wxyz: [{0.5**0.5}, {0.5**0.5}, 0, 0]}}\n")
    assert not any("mounting:" in line for line in taken(ask(path, extrinsics=str(turned)).request)[1])


def sensor(kind: Kind, times: np.ndarray, values: np.ndarray) -> Sensor:
    return Sensor(kind=kind, times=times, values=values, channels=CHANNELS[kind], frame="base_link")


def drive(seconds: float = 70.0) -> Recording:
    """A robot that goes north at 1 m/s from 50, 8: a gyroscope, wheels and fixes at 2 Hz."""
    times, fixes = np.arange(0, seconds, 0.1), np.arange(0, seconds, 0.5)
    wheel = np.column_stack([np.ones(len(times)), np.zeros(len(times)), np.zeros(len(times))])
    places = np.column_stack([50 + M_LATITUDE * fixes, np.full(len(fixes), 8.0), np.full(len(fixes), 100.0)])
    gyroscope = 0.001 * np.random.default_rng(0).standard_normal((len(times), 3))
    sensors = {
        "gyro": sensor("gyroscope", times, gyroscope),
        "wheels": sensor("wheel", times.copy(), wheel),
        "gnss": sensor("gnss", fixes, places),
    }
    return Recording(name="made", sensors=sensors, extrinsics={"base_link": np.eye(4)})


def put(recording: Recording, name: str, rows: slice, value: object) -> Recording:
    values = recording.sensors[name].values.copy()
    values[rows] = value
    return replace(recording, sensors={**recording.sensors, name: replace(recording.sensors[name], values=values)})


@pytest.mark.parametrize(
    ("rows", "place", "why"),
    [
        (slice(0, 10), (0.0, 0.0, 0.0), "0, 0"),
        (slice(3, 5), (95.0, 8.0, 100.0), "the earth"),
        (slice(0, 1), (4.2e8, 7e7, 100.0), "the earth"),
        (slice(0, 1), (50.1, 8.0, 100.0), "nobody gets to the others"),
        (slice(0, 10), (-33.0, 151.0, 0.0), "nobody gets to the others"),
    ],
)
def test_fixes_that_are_none_are_counted_and_are_no_origin(rows, place, why):
    kept, said = usable(put(drive(), "gnss", rows, place))
    assert len(kept.sensors["gnss"].times) == 140 - (rows.stop - rows.start)
    (line,) = said
    assert line.startswith(f"gnss: {rows.stop - rows.start} of 140 readings left out")
    assert why in line
    estimate, told = posed(kept)
    assert not any("refused" in line for line in told)
    assert estimate.position is not None
    away = 0 if rows.start else rows.stop * 0.5
    np.testing.assert_allclose(estimate.position[-1, :2], [0, 70 - away], atol=2.0)


def test_one_fix_far_off_amid_a_drive_is_for_the_gate():
    kept, said = usable(put(drive(), "gnss", slice(60, 61), (50.5, 8.0, 100.0)))
    assert not said
    estimate, told = posed(kept)
    assert any(line.startswith("gnss: 1 of 140 readings refused") for line in told)
    assert estimate.position is not None
    np.testing.assert_allclose(estimate.position[-1, :2], [0, 70], atol=2.0)


def test_fixes_without_height_tell_a_place_in_the_plane():
    flat = put(drive(), "gnss", slice(None), np.array([np.nan]))
    flat.sensors["gnss"].values[:, :2] = drive().sensors["gnss"].values[:, :2]
    kept, said = usable(flat)
    assert said == ["gnss: 140 of 140 readings tell no height; their place in the plane is used"]
    estimate, _ = posed(kept)
    assert estimate.position is not None
    np.testing.assert_allclose(estimate.position[-1, :2], [0, 70], atol=2.0)


@pytest.mark.parametrize(("name", "value"), [("wheels", 1e200), ("gyro", 1e30), ("gyro", -1e308), ("gnss", 1e300)])
def test_numbers_that_no_sensor_tells_are_left_out_and_said(name, value):
    kept, said = usable(put(drive(), name, slice(100, 103), value))
    assert len(said) == 1
    assert said[0].startswith(f"{name}: 3 of ")
    assert "they lie beyond" in said[0]
    estimate, _ = posed(kept)
    assert estimate.position is not None
    np.testing.assert_allclose(estimate.position[-1, :2], [0, 70], atol=2.0)


def test_a_stamp_in_the_future_costs_one_reading():
    recording = drive()
    recording.sensors["gyro"].times[100] += 1000
    recording.sensors["wheels"].times[0] = 2.0**31
    kept, said = usable(recording)
    assert [line.split(":")[1] for line in said] == [" 1 of 700 readings left out"] * 2
    estimate, _ = posed(kept)
    assert estimate.times[-1] < 70


def test_many_refused_readings_are_said_to_mean_more_than_chance():
    recording = drive()
    recording.sensors["gnss"].values[::4, 0] += 0.01  # a kilometre
    _, told = posed(usable(recording)[0])
    (line,) = (line for line in told if "refused" in line)
    assert "its mounting, unit or clock" in line


def test_the_rate_of_turn_is_the_gyroscopes_with_its_doubt_and_unknown_without_one():
    recording = drive(20.0)
    recording.sensors["gyro"].values[:, 2] += 0.002
    estimate, _ = posed(recording)
    assert estimate.rate is not None
    assert estimate.rate_covariance is not None
    np.testing.assert_allclose(estimate.rate[-1], [0, 0, 0], atol=0.006)
    assert (np.linalg.eigvalsh(estimate.rate_covariance) > 0).all()
    wheels = {name: sensor for name, sensor in recording.sensors.items() if name != "gyro"}
    without, _ = posed(replace(recording, sensors=wheels))
    assert without.rate is not None
    assert np.isfinite(without.rate[-1]).tolist() == [False, False, True]


def test_a_silence_of_years_is_refused_and_not_waited_for():
    recording = drive(20.0)
    for sensor_ in recording.sensors.values():
        sensor_.times[len(sensor_.times) // 2 :] += 1e8
    with pytest.raises(InputError, match="is silent for 1e\\+08 s between stamps"):
        posed(usable(recording)[0])
