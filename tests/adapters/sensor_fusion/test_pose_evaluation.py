"""The pose on the public logs: what was measured there must not get worse unseen."""

import numpy as np
import pytest

from mainstem.adapters.sensor_fusion.humanoid import attitude_errors, evaluate_humanoid
from mainstem.adapters.sensor_fusion.pose_evaluation import evaluate_car, evaluate_husky, evaluate_mower
from mainstem.adapters.sensor_fusion.pose_state import from_yaw
from mainstem.core import rotations


def test_angles_of_attitude_are_told_apart() -> None:
    truth = np.stack([from_yaw(0.4)] * 3)
    tilt = np.stack([np.array([1.0, 0, 0, 0]), from_yaw(0.1), rotations.exp(np.array([0.2, 0.0, 0.0]))])
    errors = attitude_errors(rotations.multiply(rotations.multiply(from_yaw(1.0)[None], tilt), truth), truth)
    assert np.allclose(errors["heading_deg"], np.degrees([0, 0.1, 0]), atol=1e-6)  # the first heading is aligned
    assert np.allclose(errors["inclination_deg"], np.degrees([0, 0, 0.2]), atol=1e-6)


@pytest.mark.mirror
@pytest.mark.slow
def test_the_mowers_range_bias_is_named() -> None:
    found = evaluate_mower()
    assert found["range_bias"]["covers_reference"]
    assert found["range_bias"]["excludes_zero"]
    assert found["metrics"]["path_rmse_m"] < 0.5 < found["baselines"]["ekf"]["path_rmse_m"]
    assert found["baselines"]["dead_reckoning_of_the_set"]["end_error_m"] == pytest.approx(36.9, abs=0.1)
    assert found["difference"]["ekf"]["high"] < 0


@pytest.mark.mirror
def test_the_humanoids_attitude_is_scored_beside_vqf() -> None:
    found = evaluate_humanoid()
    assert found["baselines"]["vqf"]["total_deg"] == pytest.approx(1.25, abs=0.05)
    assert found["metrics"]["inclination_deg"] < 1.5


@pytest.mark.mirror
@pytest.mark.slow
def test_the_cars_wheels_are_found_to_read_slow() -> None:
    found = evaluate_car()
    assert found["wheel_speed_error"]["covers_reference"]
    assert found["wheel_speed_error"]["excludes_zero"]
    assert found["metrics"]["median_end_error_m"] < found["baselines"]["ekf"]["median_end_error_m"]


@pytest.mark.mirror
@pytest.mark.slow
def test_the_huskys_windows_end_nearer_than_the_peers() -> None:
    found = evaluate_husky()
    assert found["n"] == len(found["windows"]) == 24
    assert found["metrics"]["median_end_error_m"] < found["baselines"]["ekf"]["median_end_error_m"]
    assert found["coverage"]["pooled"] >= 0.85
