"""Slips put into a made log ring and healthy driving seldom does; a log checked against itself names false doubt."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tests.adapters.sensor_fusion.made_drives import Drive, Faults

from mainstem.adapters.sensor_fusion.pose_noise import Noise
from mainstem.adapters.sensor_fusion.selfcheck import selfcheck
from mainstem.adapters.sensor_fusion.slip import (
    Disagreement,
    disagreement,
    learn_alarm,
    poisson_interval,
    signals_of,
)
from mainstem.adapters.sensor_fusion.slip_evaluation import SLIPS, evaluate_slip, of_blocks, with_slip
from mainstem.core.errors import InputError
from mainstem.data.robot.recording import CHANNELS, Recording, Sensor


@cache
def log(seconds: float, faults: Faults) -> Recording:
    """A made drive with turns as a recording: gyroscope, accelerometer, wheels, and places in the plane."""
    number = round(seconds / 0.05)
    rate = 0.3 * np.sin(np.arange(number) * 0.05 / 3)
    readings = Drive(speed=np.full(number, 1.0), rate=rate).readings(
        faults, ("gyroscope", "accelerometer", "wheel", "turn", "gnss"), seed=1
    )

    def sensor(kind: str, as_kind: str) -> Sensor:
        some = [reading for reading in readings if reading.kind == kind]
        covariance = np.stack([r.covariance for r in some if r.covariance is not None]) if kind == "gnss" else None
        return Sensor(
            kind=as_kind,  # type: ignore[arg-type]
            times=np.array([r.time for r in some]),
            values=np.stack([r.value for r in some]),
            channels=CHANNELS[as_kind],  # type: ignore[index]
            covariance=covariance,
        )

    kinds = {"gyroscope": "gyroscope", "accelerometer": "accelerometer", "wheel": "wheel", "gnss": "position"}
    return Recording(name="made", sensors={kind: sensor(kind, as_kind) for kind, as_kind in kinds.items()})


NOISY = Faults(gnss_m=0.3, wheel_m_s=0.03, gyroscope_rad_s=0.01)


@pytest.mark.parametrize("kind", SLIPS)
def test_a_slip_rings_and_healthy_driving_seldom_does(kind: str) -> None:
    signals = signals_of(log(400, NOISY))
    healthy = disagreement(signals)
    alarm = learn_alarm(of_blocks(healthy, 0), share=0.15)
    assert len(alarm.alarms(of_blocks(healthy, 1))) <= 8  # 20 blocks of which 15 % may ring; 9 or more: 1 of 1000
    slipped = disagreement(with_slip(signals, 204.0, kind))
    assert any(204 <= time < 207.5 for time, _ in alarm.alarms(slipped))
    assert alarm.stated_per_hour == pytest.approx(54)


def test_the_threshold_is_the_conformal_quantile_of_block_maxima() -> None:
    times = np.arange(0, 100, 10.0) + 5
    values = np.zeros((10, 3))
    values[:, 0] = np.arange(1, 11)
    alarm = learn_alarm(Disagreement(times=times, values=values), share=0.6)
    assert alarm.thresholds[0] == 9  # rank ceil(11 * 0.8) = 9 of 10, each of three with a third of the share
    assert np.isinf(alarm.thresholds[1:]).all()
    with pytest.raises(InputError, match="longer"):
        learn_alarm(Disagreement(times=times, values=values), share=0.2)


def test_poisson_intervals_are_garwoods() -> None:
    assert poisson_interval(0, 1.0) == (0.0, pytest.approx(3.689, abs=1e-3))
    assert poisson_interval(5, 2.0) == (pytest.approx(1.623 / 2, abs=1e-3), pytest.approx(11.668 / 2, abs=1e-3))


def test_a_log_without_wheels_cannot_show_a_slip() -> None:
    recording = log(20, NOISY)
    with pytest.raises(InputError, match="wheels"):
        signals_of(Recording(name="bare", sensors={"gnss": recording.sensors["gnss"]}))


def test_selfcheck_hides_each_sensor_and_tells_how_sure_the_pose_may_be() -> None:
    recording = log(24, NOISY)
    found = selfcheck(recording, Noise(gnss_wander=0.1))
    assert {check.sensor for check in found} == set(recording.sensors)
    for check in found:
        assert check.num_windows >= 2
        assert check.nees_low < 1 < check.nees_high
        assert 0 <= check.covered <= check.num_windows
        assert check.verdict != "too sure"


@pytest.mark.slow
def test_selfcheck_names_a_doubt_that_is_too_small() -> None:
    lying = log(24, replace(NOISY, gyroscope_bias=0.1))
    sure = Noise(
        gnss_wander=0.01,
        gyroscope_bias_prior=1e-5,
        gyroscope_bias_walk=1e-7,
        gyroscope_fraction=0.0,
        wheel_yaw=0.001,
        wheel_yaw_offset_prior=1e-5,
        wheel_yaw_scale_prior=1e-3,
    )
    assert "too sure" in {check.verdict for check in selfcheck(lying, sure)}


@pytest.mark.mirror
def test_slips_put_into_the_husky_ring() -> None:
    found = evaluate_slip()
    assert found["slips"]["lock, stands"]["caught"] >= 15
    assert found["false_alarms"]["low"] <= found["stated_per_hour"]
