"""Where the body heads at first: wheels tell a path of unknown direction, fixes tell where it lies.

The rotation that best lays dead-reckoned places on fixes has a closed form in sums of complex numbers (Horn 1987,
Closed-form solution of absolute orientation, in the plane), so that the state stays small while it waits.
"""

from dataclasses import replace

import numpy as np

from mainstem.adapters.sensor_fusion.pose_readings import Reading
from mainstem.adapters.sensor_fusion.pose_state import (
    TURN,
    VELOCITY,
    Alignment,
    Array,
    PoseModel,
    PoseState,
    from_yaw,
    yaw_of,
)
from mainstem.core import rotations

ENOUGH_RAD = 0.3  # standard deviation of the heading with which the filter may begin; its errors are then about linear
SPEED_DOUBT = 0.3  # m/s, of the velocity at that instant
LONGEST_STEP_S = 1.0  # between two readings of the wheels; over a longer one the path is not known


def align(model: PoseModel, state: PoseState, reading: Reading) -> PoseState:
    """Take a reading into the sums, and set the heading as soon as it is known well enough."""
    waiting = state.alignment
    assert waiting is not None
    if reading.kind == "wheel":
        return replace(state, alignment=_rolled(waiting, state, reading))
    if reading.kind in ("gnss", "position") and np.isfinite(waiting.last_wheel):
        waiting = _fixed(waiting, reading)
        yaw, deviation = heading_of(model, waiting, state.time)
        if deviation < ENOUGH_RAD:
            return begin(state, yaw, deviation)
        return replace(state, alignment=waiting)
    return state


def _rolled(waiting: Alignment, state: PoseState, reading: Reading) -> Alignment:
    """The path, one reading of the wheels on."""
    step = reading.time - waiting.last_wheel
    yaw = float(yaw_of(state.attitude))
    place = waiting.place
    if np.isfinite(step) and step < LONGEST_STEP_S:
        place += complex(reading.value[0] * step * np.exp(0.5j * (yaw + waiting.yaw)))
    return replace(waiting, place=place, yaw=yaw, last_wheel=reading.time)


def _fixed(waiting: Alignment, reading: Reading) -> Alignment:
    """The sums with one more fix."""
    fix = complex(reading.value[0], reading.value[1])
    return replace(
        waiting,
        num_fixes=waiting.num_fixes + 1,
        places=waiting.places + waiting.place,
        fixes=waiting.fixes + fix,
        products=waiting.products + waiting.place.conjugate() * fix,
        squares=waiting.squares + abs(waiting.place) ** 2,
    )


def heading_of(model: PoseModel, waiting: Alignment, time: float) -> tuple[float, float]:
    """Return by how much the path is to be turned, rad, and the standard deviation of the heading at its end.

    Three parts: the fixes' own noise, what they wander along the path, and the gyroscope's bias over half of it.
    """
    number, noise = waiting.num_fixes, model.noise
    if number < 3:
        return 0.0, np.inf
    spread = waiting.squares - abs(waiting.places) ** 2 / number
    if spread < 1e-9:
        return 0.0, np.inf
    turn = waiting.products - waiting.places.conjugate() * waiting.fixes / number
    lasted = time - waiting.start
    drift = 2 * noise.gnss_wander**2 * (1 - np.exp(-lasted / noise.gnss_wander_s))
    variance = noise.gnss**2 / spread + drift * number / (12 * spread) + (noise.gyroscope_bias_prior * lasted / 2) ** 2
    return float(np.angle(turn)), float(np.sqrt(variance))


def begin(state: PoseState, turn: float, deviation: float) -> PoseState:
    """Turn the state about the vertical to its heading, and give it the velocity of its wheels."""
    attitude = rotations.multiply(from_yaw(turn), state.attitude)
    mean, covariance = state.mean.copy(), state.covariance.copy()
    held = state.held.get("wheel")
    yaw = TURN.start + 2
    covariance[yaw, :] = covariance[:, yaw] = 0.0
    covariance[yaw, yaw] = deviation**2
    if held is not None:
        speed = np.array([held.value[0], 0.0, 0.0])
        mean[VELOCITY] = rotations.rotate(attitude, speed)
        covariance[VELOCITY, :] = covariance[:, VELOCITY] = 0.0
        covariance[VELOCITY, VELOCITY] = _velocity_doubt(mean[VELOCITY], deviation)
        caused = np.cross([0.0, 0.0, 1.0], mean[VELOCITY]) * deviation**2
        covariance[VELOCITY, yaw] = covariance[yaw, VELOCITY] = caused
    return replace(state, attitude=attitude, mean=mean, covariance=covariance, alignment=None)


def _velocity_doubt(velocity: Array, deviation: float) -> Array:
    """Covariance (3, 3) of a velocity whose direction is as doubtful as the heading."""
    across = np.cross([0.0, 0.0, 1.0], velocity) * deviation
    doubt: Array = SPEED_DOUBT**2 * np.eye(3) + np.outer(across, across)
    return doubt
