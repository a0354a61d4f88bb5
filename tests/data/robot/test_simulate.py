"""A simulated cart: its sensors say what truly was, but for their noise; and faults are what they are called."""

import numpy as np
import pytest

from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.data.robot.faults import FAULT_KINDS, Fault, inject, kinds_of, size_unit, usual_size
from mainstem.data.robot.simulate import FIELD, GRAVITY, RATES_HZ, simulate_trial

TRIAL = simulate_trial(seconds=40.0)


def test_rates_are_the_sensors_own_and_a_seed_gives_one_trial():
    for sensor in TRIAL.sensors.values():
        if sensor.kind in RATES_HZ:
            assert sensor.rate_hz == pytest.approx(RATES_HZ[sensor.kind], rel=1e-6)
    again, other = simulate_trial(seconds=40.0), simulate_trial(3, seconds=40.0)
    for name, sensor in TRIAL.sensors.items():
        np.testing.assert_array_equal(again.sensors[name].values, sensor.values)
        assert not np.array_equal(other.sensors[name].values, sensor.values)
    assert TRIAL.simulated


def test_integrated_rates_gravity_and_field_agree_with_the_true_attitude():
    truth = TRIAL.sensors["truth.orientation"]
    turns = TRIAL.sensors["imu.gyroscope"]
    attitude = truth.values[0]
    for rate in turns.values:
        attitude = rotations.multiply(attitude, rotations.exp(rate / turns.rate_hz))
    assert rotations.angle_between(attitude, truth.values[-1]) < np.radians(0.3 * 40 * 1.8)  # the bias of 40 s
    rest = (truth.times > 21) & (truth.times < 25)
    force = TRIAL.sensors["imu.accelerometer"].values[::2][: len(rest)][rest]
    told = rotations.rotate(truth.values[rest], force).mean(0)
    assert np.abs(told - GRAVITY).max() < 0.5
    field = rotations.rotate(truth.values[::2], TRIAL.sensors["imu.magnetometer"].values).mean(0)
    assert np.abs(field - FIELD).max() < 0.2


def test_wheels_and_fixes_agree_with_the_true_path():
    path, wheels = TRIAL.sensors["truth.position"], TRIAL.sensors["wheels"]
    length = np.linalg.norm(np.diff(path.values, axis=0), axis=1).sum()
    assert wheels.values[:, 0].sum() / wheels.rate_hz == pytest.approx(length, rel=0.02)
    fixes = TRIAL.sensors["gnss"].values
    north = (fixes[:, 0] - 52.0) * 111_320.0
    assert np.std(north - path.values[::20, 1]) == pytest.approx(1.5, rel=0.2)


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_fault_changes_its_sensor_within_its_span_alone(kind):
    sensor = TRIAL.sensors["imu.gyroscope"]
    fault = Fault(sensor="imu.gyroscope", kind=kind, start_s=10, seconds=5, size=usual_size(sensor, kind))
    broken = inject(TRIAL, fault)
    values, within = broken.sensors[fault.sensor].values, (sensor.times >= 10) & (sensor.times < 15)
    np.testing.assert_array_equal(values[~within], sensor.values[~within])
    assert not np.array_equal(values[within], sensor.values[within])
    assert all(broken.sensors[name] is TRIAL.sensors[name] for name in TRIAL.sensors if name != fault.sensor)
    assert Fault.of_text(fault.text(), TRIAL) == fault


def test_each_fault_is_what_it_is_called():
    sensor = TRIAL.sensors["imu.gyroscope"]
    true, within = sensor.values, np.flatnonzero((sensor.times >= 10) & (sensor.times < 15))

    def told(kind: str, size: float = 0.0) -> np.ndarray:
        fault = Fault(sensor="imu.gyroscope", kind=kind, start_s=10, seconds=5, size=size)
        return inject(TRIAL, fault).sensors["imu.gyroscope"].values[within]

    assert np.isnan(told("absent")).all()
    assert (told("stuck") == true[within[0] - 1]).all()
    assert np.linalg.norm(told("biased", 0.3) - true[within], axis=1) == pytest.approx(0.3)
    assert (told("noisy", 0.3) - true[within]).std() == pytest.approx(0.3, rel=0.05)
    assert np.abs(told("saturated", 0.1)).max() == pytest.approx(0.1)
    np.testing.assert_array_equal(told("skewed", 0.2), true[within - 40])


def test_what_is_no_fault_is_refused():
    for text, words in (
        ("gyr", "is no fault"),
        ("a,b,c,d,e", "is no fault"),
        ("x,absent,1,2,0", "no sensor"),
        ("truth.position,absent,1,2,0", "no sensor"),
        ("gnss,biased,1,2,5", "cannot be made"),
        ("wheels,biased,1,2,0", "above 0"),
        ("wheels,absent,1,nan,0", "finite"),
        ("wheels,absent,1,-2,0", "above 0"),
        ("wheels,biased,1,2,1e300", "want 1e\\+06 at most"),
        ("wheels,stuck,1e6,1,0", "lies outside of simulated cart, which goes from 0 to"),
        ("wheels,stuck,-9,1,0", "lies outside"),
    ):
        with pytest.raises(InputError, match=words):
            Fault.of_text(text, TRIAL)
    assert kinds_of(TRIAL.sensors["gnss"]) == ("absent", "stuck", "skewed")
    assert size_unit(TRIAL.sensors["wheels"], "biased") == "m/s"
    assert size_unit(TRIAL.sensors["wheels"], "skewed") == "s"
    last = TRIAL.sensors["wheels"].times[-1]
    fault = Fault(sensor="wheels", kind="stuck", start_s=last + 0.01, seconds=1)  # after its last reading
    np.testing.assert_array_equal(inject(TRIAL, fault).sensors["wheels"].values, TRIAL.sensors["wheels"].values)
