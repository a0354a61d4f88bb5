"""How noisy each kind of sensor is taken to be where its messages do not say.

Nothing here is fitted to a log that is scored. Gyroscope and accelerometer: consumer MEMS in a vibrating vehicle
(Groves 2013, Principles of GNSS, inertial and multisensor navigation, table 4.1 and 4.2, white part raised tenfold for
vibration). GNSS: a single-frequency receiver errs by a metre or two that wanders over a minute (Groves, section 9.3).
Wheels: tyre radius within 3 %, slip that lasts a third of a second. Ranges: ultra-wideband behind vegetation is late by
metres (Djugash 2009, Navigating with ranging radios).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Standard deviations; `_walk` is of a random walk, a second's worth; `_prior` is of the value at the start."""

    gyroscope_rad_rts: float = 1e-3  # rad in the root of a second
    gyroscope_fraction: float = 0.005  # of the rate, of scale and alignment, over a second
    gyroscope_bias_prior: float = 0.01  # rad/s
    gyroscope_bias_walk: float = 3e-5
    accelerometer_m_rts: float = 0.1  # m/s in the root of a second
    accelerometer_bias_prior: float = 0.2  # m/s2
    accelerometer_bias_walk: float = 1e-3
    still_rate: float = 3e-3  # rad/s, of a gyroscope on wheels that stand
    silent_yaw: float = 0.5  # rad in the root of a second, where nothing measures the rate of turn
    silent_tilt: float = 0.01  # the same of roll and pitch of a vehicle on wheels
    free_tilt: float = 0.5  # the same of a body without wheels
    silent_speed: float = 1.0  # m/s in the root of a second, where nothing measures acceleration
    silent_climb: float = 0.1  # the same upward, of a vehicle on wheels
    wheel_speed: float = 0.05  # m/s
    wheel_fraction: float = 0.01  # of the speed, slip
    wheel_side: float = 0.1  # m/s, sideways and upward, of wheels that cannot go there
    wheel_still: float = 0.01  # m/s, where all wheels stand
    wheel_lasting_s: float = 0.3  # how long an error of the wheels lasts: readings within it tell no more than one
    wheel_yaw: float = 0.05  # rad/s
    wheel_yaw_fraction: float = 0.3  # of the rate: wheels that scrub, and stamps that differ by tenths of a second
    wheel_yaw_scale_prior: float = 0.1
    wheel_yaw_offset_prior: float = 0.005  # rad/s
    wheel_yaw_offset_walk: float = 3e-5
    wheel_scale_prior: float = 0.03
    wheel_scale_walk: float = 1e-4
    wheel_offset_prior: float = 0.02  # m/s
    gnss: float = 1.5  # m, a fix beside the next, where the message states none
    gnss_wander: float = 3.0  # m, what fixes have in common, horizontally; twice that upward
    gnss_wander_s: float = 30.0
    range: float = 0.5  # m
    range_lasting_s: float = 1.0
    range_bias_prior: float = 2.0  # m, common to all beacons
    range_scale_prior: float = 0.05  # of the range, as a clock that runs fast makes it
    beacon_bias_prior: float = 0.5  # m, of one beacon beside the others
    range_bias_walk: float = 0.01
    orientation: float = 0.05  # rad, where the message states none
    orientation_lasting_s: float = 1.0
    heading: float = 0.2  # rad, of a magnetometer on a vehicle
    heading_lasting_s: float = 5.0
    gravity: float = 0.03  # rad, of the direction of specific force at rest
    gravity_moving: float = 0.1  # the same of a body that moves: 1 m/s2 of speeding up
    gravity_lasting_s: float = 0.5
