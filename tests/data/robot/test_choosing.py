"""Sensors by role: what is proposed, what is chosen, and what is said of names that are none."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.robot.choosing import choose_sensors, propose
from mainstem.data.robot.recording import CHANNELS, Kind, Recording, Sensor


def sensor(kind: Kind, count: int, value: float = 1.0) -> Sensor:
    channels = CHANNELS[kind]
    return Sensor(
        kind=kind, times=np.arange(float(count)), values=np.full((count, len(channels)), value), channels=channels
    )


@pytest.fixture
def recording() -> Recording:
    return Recording(
        name="a.bag",
        sensors={
            "/imu/data.gyroscope": sensor("gyroscope", 100),
            "/imu/data.accelerometer": sensor("accelerometer", 100),
            "/imu/data.orientation": sensor("orientation", 100),
            "/imu/raw.gyroscope": sensor("gyroscope", 40),
            "/odom": sensor("wheel", 20),
            "/odom.position": sensor("position", 20),
            "/fix": sensor("gnss", 5),
            "/other_fix": sensor("gnss", 5),
            "/dead_mag": sensor("magnetometer", 50, np.nan),
        },
        skipped={"/scan": "sensor_msgs/msg/LaserScan is no type that sensors are read from"},
    )


def test_busiest_topic_of_each_role_is_proposed_and_doubts_are_said(recording):
    found = propose(recording)
    assert found.mapping == {"imu": "/imu/data", "wheel": "/odom", "gnss": "/fix"}
    assert any("/imu/raw (40)" in doubt for doubt in found.doubts)
    assert any("as many as the next" in doubt and "/other_fix" in doubt for doubt in found.doubts)
    assert any("/dead_mag holds no reading" in doubt for doubt in found.doubts)
    assert len(found.doubts) == 3


def test_half_an_imu_is_said(recording):
    only = replace(recording, sensors={"/imu/raw.gyroscope": recording.sensors["/imu/raw.gyroscope"]})
    found = propose(only)
    assert found.mapping == {"imu": "/imu/raw"}
    assert found.doubts == ("imu: /imu/raw has no accelerometer",)


def test_proposal_of_words_as_names(recording):
    named = {"imu.gyroscope": sensor("gyroscope", 3), "imu.accelerometer": sensor("accelerometer", 3)}
    found = propose(replace(recording, sensors=named))
    assert found.mapping == {"imu": "imu"}
    assert set(choose_sensors(replace(recording, sensors=named), found.mapping).sensors) == set(named)


def test_chosen_sensors_are_those_of_the_roles_and_no_own_estimate(recording):
    found = choose_sensors(recording, {"imu": "/imu/data", "wheel": "/odom", "gnss": "/other_fix"})
    assert list(found.sensors) == ["/imu/data.gyroscope", "/imu/data.accelerometer", "/odom", "/other_fix"]
    assert found.sensors["/odom"] is recording.sensors["/odom"]
    assert found.skipped == recording.skipped


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, "no sensor was named"),
        ({"gps": "/fix"}, "no role 'gps', did you mean 'gnss'"),
        ({"whel": "/odom"}, "did you mean 'wheel'"),
        ({"imu": "/imu/dta"}, "no topic '/imu/dta', did you mean '/imu/data.gyroscope'.*/imu/data, /imu/raw"),
        ({"wheel": "/fix"}, "/fix is gnss, no wheel; for wheel there is /odom"),
        ({"range": "/scan"}, "LaserScan.*the recording has no range"),
        ({"imu": "/imu"}, "for imu there is /imu/data"),
    ],
)
def test_names_that_are_none_are_refused_with_the_nearest(recording, mapping, words):
    with pytest.raises(InputError, match=words):
        choose_sensors(recording, mapping)
