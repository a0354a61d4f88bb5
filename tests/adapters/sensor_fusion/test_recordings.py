"""Recordings to files of motion: sensors chosen, mounted, filtered; what was left out is said; nothing is made up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mainstem.adapters.sensor_fusion.motion import TASK
from mainstem.adapters.sensor_fusion.pose_tracks import instants, pieces, posed
from mainstem.adapters.sensor_fusion.recordings import in_body, mapping_of, predict_recording, usable
from mainstem.adapters.sensor_fusion.sensor_states import named_states, states_of
from mainstem.adapters.sensor_fusion.verified import note_of, write_verification
from mainstem.core.errors import InputError
from mainstem.core.task import DataRequest, TrackAsk
from mainstem.data.robot.estimates import UNVERIFIED
from mainstem.data.robot.recording import CHANNELS, Recording, Sensor

RATE_HZ, SPEED_M_S = 20.0, 0.5


def drive(seconds: float = 10.0) -> Recording:
    """Wheels straight on at a steady speed, and a gyroscope mounted upside down that hears nothing."""
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wheel = np.column_stack([np.full(len(times), SPEED_M_S), np.full(len(times), np.nan), np.zeros(len(times))])
    turned = np.diag([1.0, -1.0, -1.0, 1.0])
    gyroscope = Sensor(
        kind="gyroscope", times=times, values=np.zeros((len(times), 3)), channels=CHANNELS["gyroscope"], frame="imu"
    )
    wheels = Sensor(kind="wheel", times=times.copy(), values=wheel, channels=CHANNELS["wheel"], frame="base_link")
    return Recording(
        name="made", sensors={"gyro": gyroscope, "wheels": wheels}, extrinsics={"imu": turned, "base_link": np.eye(4)}
    )


@pytest.fixture
def resting(tmp_path) -> Path:
    """A sensor at rest on its side, x up, for 4 s at 100 Hz, with a stamp that goes back."""
    times = np.arange(400) / 100
    times[200] = 0.5
    path = tmp_path / "rest.npz"
    acc = np.tile([9.81, 0.0, 0.0], (400, 1))
    np.savez(path, gyr=np.full((400, 3), 1e-4), acc=acc, times=times)
    return path


def ask(path: Path, **options: str) -> TrackAsk:
    return TrackAsk(request=DataRequest(data=str(path), options={k.replace("_", "-"): v for k, v in options.items()}))


def test_a_straight_drive_ends_where_its_wheels_say():
    estimate, said = posed(drive())
    assert estimate.position is not None
    assert estimate.velocity is not None
    assert estimate.world == "odom"
    np.testing.assert_allclose(estimate.position[-1], [SPEED_M_S * estimate.times[-1], 0, 0], atol=0.02)
    np.testing.assert_allclose(estimate.velocity[-1], [SPEED_M_S, 0, 0], atol=0.02)
    assert any("count from the first pose" in line for line in said)
    smoothed, _ = posed(drive(), looks_back=True)
    np.testing.assert_allclose(smoothed.position[-1], [SPEED_M_S * smoothed.times[-1], 0, 0], atol=0.02)
    assert len(smoothed.times) == len(estimate.times) / 2


def test_pieces_are_all_readings_in_order():
    recording = drive(45.0)
    found = [(reading.time, reading.sensor) for reading in pieces(recording, None)]
    assert len(found) == 2 * len(recording.sensors["wheels"].times)
    assert [time for time, _ in found] == sorted(time for time, _ in found)


def test_instants_are_stamps_and_no_more_than_asked():
    recording = drive()
    np.testing.assert_array_equal(instants(recording, 50.0), recording.sensors["wheels"].times)
    thinned = instants(recording, 5.0)
    assert np.isin(thinned, recording.sensors["wheels"].times).all()
    np.testing.assert_allclose(np.diff(thinned), 0.2)


def test_what_cannot_be_used_is_left_out_and_counted():
    recording = drive()
    recording.sensors["wheels"].values[:3, 0] = np.nan
    recording.sensors["wheels"].times[10] = 0.0
    kept, said = usable(recording)
    assert len(kept.sensors["wheels"].times) == 196
    assert said == [
        "wheels: 1 of 200 readings left out: stamps repeat, go back, stand alone or are none",
        "wheels: 3 of 200 readings left out: they hold no number",
    ]


def test_vectors_are_turned_into_the_body():
    recording = drive()
    recording.sensors["gyro"].values[:] = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(in_body(recording).sensors["gyro"].values[0], [1, -2, -3])


def test_an_attitude_is_written_as_a_table_and_as_text(resting, tmp_path):
    said = predict_recording(TASK, ask(resting), tmp_path / "est.csv")
    table = pd.read_csv(tmp_path / "est.csv")
    w, x, y, z = table[["qw", "qx", "qy", "qz"]].to_numpy()[-1]
    up = [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]  # earth's up in the sensor's axes
    np.testing.assert_allclose(up, [1, 0, 0], atol=0.02)
    doubts = table["turn_z_sd_rad"]
    assert doubts.iloc[-1] > doubts.iloc[40]  # headings count from the first, and no sensor tells them
    assert table["turn_x_sd_rad"].iloc[-1] < 0.1
    assert table["note"].iloc[0].startswith(UNVERIFIED)
    assert "x_m" not in table
    assert any("proposed" in line and "--map imu=imu" in line for line in said)
    assert any("imu.gyroscope: 1 of 400 readings left out" in line for line in said)
    predict_recording(TASK, ask(resting, smooth="yes"), tmp_path / "est.tum")
    rows = np.loadtxt(tmp_path / "est.tum")
    assert rows.shape[1] == 8
    assert (rows[:, 1:4] == 0).all()


@pytest.mark.parametrize(
    ("out", "options", "told"),
    [
        ("est.txt", {}, ".mcap or .tum or .csv"),
        ("rest.npz", {}, ".mcap or .tum or .csv"),
        ("est.csv", {"map": "imu"}, "ROLE=TOPIC"),
        ("est.csv", {"map": "imu=imu\nimu=imu"}, "twice"),
        ("est.csv", {"map": "imv=imu"}, "did you mean 'imu'"),
        ("est.csv", {"map": "wheel=imu"}, "no wheel"),
        ("est.csv", {"verified": "rest.npz"}, "rest.npz"),
        ("est.csv", {"msg_path": "."}, "no ROS bag"),
    ],
)
def test_what_cannot_be_done_is_refused(resting, tmp_path, monkeypatch, out, options, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        predict_recording(TASK, ask(resting, **options), tmp_path / out)
    assert not (tmp_path / "est.csv").exists()


def test_tum_text_beside_is_not_written_over_an_input(resting, tmp_path):
    extrinsics = tmp_path / "est.tum"
    extrinsics.write_text("imu: {translation_m: [0, 0, 0], rotation_wxyz: [1, 0, 0, 0]}\n")
    with pytest.raises(InputError, match="is what is read"):
        predict_recording(TASK, ask(resting, extrinsics=str(extrinsics)), tmp_path / "est.mcap")


def test_tum_text_beside_a_bag_replaces_its_own_alone(resting, tmp_path):
    mine = tmp_path / "est.tum"
    mine.write_text("my own track\n")
    with pytest.raises(InputError, match="would be written beside"):
        predict_recording(TASK, ask(resting), tmp_path / "est.mcap")
    assert mine.read_text() == "my own track\n"
    assert not (tmp_path / "est.mcap").exists()
    predict_recording(TASK, ask(resting), tmp_path / "est.tum")  # it was asked for by name
    with pytest.raises(InputError, match="would be written beside"):
        predict_recording(TASK, ask(resting), tmp_path / "est.mcap")
    mine.unlink()
    predict_recording(TASK, ask(resting), tmp_path / "est.mcap")
    predict_recording(TASK, ask(resting, smooth="yes"), tmp_path / "est.mcap")


def test_a_role_is_a_word_before_the_first_equals_sign():
    assert mapping_of(["imu=/a=b", "wheel=/w"]) == {"imu": "/a=b", "wheel": "/w"}


CHECKS = {"checks": [{"sensor": "wheels", "verdict": "consistent"}, {"sensor": "gyro", "verdict": "consistent"}]}


def test_a_self_check_of_the_same_sensors_lifts_the_note_and_no_other(tmp_path):
    path, recording = tmp_path / "check.json", drive()
    assert note_of(None, recording) == UNVERIFIED
    write_verification(path, recording, CHECKS)
    assert note_of(path, recording) == ""
    failed = [{"sensor": "wheels", "verdict": "too sure"}, {"sensor": "gyro", "verdict": "too cautious"}]
    write_verification(path, recording, {"checks": failed})
    assert note_of(path, recording) == (
        "covariance did not hold in the self-check (wheels too sure, gyro too cautious)"
    )
    other = Recording(name="other", sensors={"wheels": recording.sensors["wheels"]})
    with pytest.raises(InputError, match="run mainstem robot selfcheck on it"):
        note_of(path, other)
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "filter_sha256": "0" * 64}))
    with pytest.raises(InputError, match="another filter"):
        note_of(path, recording)


@pytest.mark.parametrize(
    "checks",
    [
        [],
        None,
        [{}],
        [{"sensor": "wheels", "verdict": "fine"}],
        [{"sensor": [], "verdict": []}],
        "wheels",
        [*CHECKS["checks"], {}],
    ],
)
def test_a_self_check_that_checked_nothing_lifts_no_note(tmp_path, checks):
    write_verification(tmp_path / "check.json", drive(), {"checks": checks, "doubts": []})
    with pytest.raises(InputError, match="holds no check"):
        note_of(tmp_path / "check.json", drive())


def test_a_self_check_holds_for_its_mounting_alone(tmp_path):
    path, recording = tmp_path / "check.json", drive()
    write_verification(path, recording, CHECKS)
    turned = replace(recording, extrinsics={**recording.extrinsics, "imu": np.eye(4)})
    moved = replace(recording.sensors["gyro"], frame="base_link")
    for other in (turned, replace(recording, sensors={**recording.sensors, "gyro": moved})):
        with pytest.raises(InputError, match="mounted otherwise"):
            note_of(path, other)


def test_silent_and_stuck_sensors_of_a_recording_are_named_until_they_speak_again():
    recording = drive()
    generator = np.random.default_rng(0)
    gyroscope = recording.sensors["gyro"]
    noisy = replace(gyroscope, values=generator.normal(0, 1e-3, gyroscope.values.shape))
    noisy.values[80:140] = noisy.values[80]  # stuck from 4 to 7 s
    wheels = recording.sensors["wheels"].taken(np.r_[0:100, 160:200])  # silent from 5 to 8 s
    changes = states_of(replace(recording, sensors={"gyro": noisy, "wheels": wheels}))
    told = {(change.sensor, change.state): change.time_s for change in changes}
    assert [change.state for change in changes if change.sensor == "wheels"] == ["absent", "ok"]
    assert [change.state for change in changes if change.sensor == "gyro"] == ["stuck", "ok"]
    assert 4.95 < told["wheels", "absent"] < 5.2
    assert told["wheels", "ok"] == pytest.approx(8.0)
    assert 4.0 < told["gyro", "stuck"] < 4.5
    assert told["gyro", "ok"] == pytest.approx(7.0)
    assert [change.time_s for change in changes] == sorted(change.time_s for change in changes)
    said = named_states(changes)
    assert any(line.startswith("wheels: absent 1 times") for line in said)
