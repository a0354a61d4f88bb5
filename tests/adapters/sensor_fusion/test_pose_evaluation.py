"""The pose on the public logs: what was measured there must not get worse unseen."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.adapters.sensor_fusion.made_drives import Drive, Faults

from mainstem.adapters.sensor_fusion import motion
from mainstem.adapters.sensor_fusion.humanoid import attitude_errors
from mainstem.adapters.sensor_fusion.pose_evaluation import MOWER_RIVAL
from mainstem.adapters.sensor_fusion.pose_state import from_yaw
from mainstem.adapters.sensor_fusion.rivals_pose import RANGE_BIAS, PlainNoise, plain_start, plain_take
from mainstem.apps.protocols import EvaluationSpec
from mainstem.apps.tracks import evaluate_tracks
from mainstem.core import rotations
from mainstem.core.finetuning import FitSpec
from mainstem.core.task import DataRequest


def test_angles_of_attitude_are_told_apart() -> None:
    truth = np.stack([from_yaw(0.4)] * 3)
    tilt = np.stack([np.array([1.0, 0, 0, 0]), from_yaw(0.1), rotations.exp(np.array([0.2, 0.0, 0.0]))])
    errors = attitude_errors(rotations.multiply(rotations.multiply(from_yaw(1.0)[None], tilt), truth), truth)
    assert np.allclose(errors["heading_deg"], np.degrees([0, 0.1, 0]), atol=1e-6)  # the first heading is aligned
    assert np.allclose(errors["inclination_deg"], np.degrees([0, 0, 0.2]), atol=1e-6)


def test_the_peer_learns_by_how_much_ranges_are_too_long() -> None:
    """A drive in circles among four beacons, all ranges 2.8 m too long: with the state it stays on its way."""
    places = {"east": (20.0, 0.0), "west": (-20.0, 0.0), "north": (0.0, 20.0), "south": (0.0, -20.0)}
    beacons = {name: np.array([*place, 0.0]) for name, place in places.items()}
    drive = Drive(speed=np.full(2400, 1.0), rate=np.full(2400, 0.1), beacons=beacons)
    readings = drive.readings(Faults(range_bias=2.8, range_m=0.2, wheel_m_s=0.02), ("gyroscope", "wheel", "range"))
    ends = {}
    for name, noise in {"with": MOWER_RIVAL, "without": PlainNoise()}.items():
        state = plain_start(noise, np.zeros(2))
        for reading in readings:
            state = plain_take(state, reading, beacons)
        ends[name] = state
    away = {name: float(np.linalg.norm(state.mean[:2] - drive.truth()[0][-1])) for name, state in ends.items()}
    assert away["with"] < 0.3 < away["without"]
    assert abs(ends["without"].mean[RANGE_BIAS]) == 0.0


@cache
def told(data: str) -> dict[str, Any]:
    """What `mainstem evaluate sensor-fusion --data DATA --json` says."""
    spec = EvaluationSpec(fit=FitSpec(config=motion.TASK.config))
    return evaluate_tracks(motion.TASK, DataRequest(data=data), spec)


def assert_doubt_is_known(data: str, least_nees: float, most_nees: float) -> None:
    """Hold NEES, 2 where the doubt is right, between bounds: the lower fails a filter twice as cautious in variance."""
    found = told(data)
    assert least_nees < found["metrics"]["mean_nees"] < most_nees
    assert 0 < found["coverage"]["count"] <= found["coverage"]["of"]


@pytest.mark.mirror
@pytest.mark.slow
def test_the_mowers_range_bias_is_named() -> None:
    found = told("plaza-uwb")
    for error in ("range_bias", "range_scale"):
        assert found[error]["covers_reference"]
        assert found[error]["excludes_zero"]
    assert found["range_offset"]["covers_reference"]
    peers = found["baselines"]
    assert found["metrics"]["path_rmse_m"] < 0.36 < peers["ekf_plain"]["path_rmse_m"]
    assert peers["ekf"]["path_rmse_m"] < 0.3, "a peer that knows of ranges' errors is no straw man"
    assert peers["dead_reckoning_of_the_set"]["end_error_m"] == pytest.approx(36.9, abs=0.1)
    assert found["difference"]["ekf_plain"]["high"] < 0
    assert_doubt_is_known("plaza-uwb", 1.0, 3.0)


@pytest.mark.mirror
def test_the_humanoids_attitude_is_scored_beside_vqf() -> None:
    found = told("icub-walk")
    assert found["baselines"]["vqf"]["total_deg"] == pytest.approx(1.25, abs=0.05)
    assert found["metrics"]["total_deg"] < 1.5
    assert found["metrics"]["inclination_deg"] < 1.05
    assert found["baselines"]["pose_filter"]["total_deg"] < 3.3
    assert found["coverage"]["pooled"] > 0.85
    assert found["coverage"]["mean_width"] < 5.0, "the ball's radius, degrees: no wider than it need be"


@pytest.mark.mirror
@pytest.mark.slow
def test_the_cars_wheels_are_found_to_read_slow() -> None:
    found = told("comma2k19-example")
    assert found["wheel_speed_error"]["covers_reference"]
    assert found["wheel_speed_error"]["excludes_zero"]
    assert found["metrics"]["median_end_error_m"] < 4.0
    assert_doubt_is_known("comma2k19-example", 0.45, 3.0)


@pytest.mark.mirror
@pytest.mark.slow
def test_the_huskys_pose_ends_near_the_fix() -> None:
    found = told("husky")
    assert found["n"] == len(found["windows"]) == 24
    assert found["metrics"]["median_end_error_m"] < 4.5
    assert found["baselines"]["ekf"]["median_end_error_m"] < 4.2
    assert_doubt_is_known("husky", 0.5, 3.0)
