"""What a fitted adapter tells of a whole stretch of samples: attitudes, with balls that hold the truth at a level.

The filter runs on every sample; the trunk is asked each quarter of a second, by one member, and what it adds stays
until it is asked again. Between, a ball's radius grows and shrinks as the filter's own doubt does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from mainstem.adapters.sensor_fusion.health import judge_health
from mainstem.adapters.sensor_fusion.health_acting import without_the_guilty, without_the_impossible
from mainstem.adapters.sensor_fusion.health_limits import HealthLimits, stored_limits
from mainstem.adapters.sensor_fusion.integrated import Integrated
from mainstem.adapters.sensor_fusion.track import follow, has_north, rate_of, smooth
from mainstem.adapters.sensor_fusion.windows import doubt_of, moments, windows_at
from mainstem.core import rotations
from mainstem.core.fitted import Fitted
from mainstem.core.gaps import patterns_in
from mainstem.core.stream import Provenance, Sample

Array = NDArray[np.float64]
VIEW = "whole"
ASKED_AT_ONCE = 512  # moments that go through the trunk together


@dataclass(frozen=True, kw_only=True, eq=False)
class Attitudes:
    """What is told of samples.

    Attributes:
        quat: earth from sensor (samples, 4).
        covariance: of its error in earth axes (samples, 3, 3), rad2, as the filter has it.
        radius_rad: radius (samples,) of the ball about it that holds the truth at the level; pi where nothing is known.
        health: code of each sensor at each sample (samples, 3), words of which are in `health_state.STATES`.
    """

    quat: Array
    covariance: Array
    radius_rad: Array
    health: NDArray[np.int8]


def tell_attitudes(
    samples: Array,
    steps_s: Array,
    fitted: Fitted,
    level: float,
    is_smoothed: bool = False,
    limits: HealthLimits | None = None,
) -> Attitudes:
    """Tell the attitude at each sample (samples, 9), rad/s, m/s2, uT, each standing for `steps_s` (samples,).

    A sensor that is named stuck or saturated is taken for silent. Smoothed attitudes come of all samples; the trunk,
    which learned from causal ones, adds nothing to them, and their balls are as wide as the causal ones': narrowed by
    the smoother's own doubt they held too few. Where no field is ever seen headings count from the first, and balls are
    the filter's own: the trunk learned with a magnetometer. `limits` are of what is healthy; those that come with the
    package unless given.
    """
    prepared = fitted.ensemble.members[0].preparation
    assert isinstance(prepared, Integrated)
    samples = without_the_impossible(samples)
    health = judge_health(samples, steps_s, limits or stored_limits())
    samples = without_the_guilty(samples, health)
    track = follow(samples, steps_s, prepared.settings)
    if not has_north(samples):
        track = smooth(samples, steps_s, prepared.settings) if is_smoothed else track
        radius = own_radius(track.covariance, level)
        return Attitudes(quat=track.quat, covariance=track.covariance, radius_rad=radius, health=health)
    doubt, at = doubt_of(track), moments(len(samples), rate_of(steps_s))
    turn, ratio = np.zeros((len(at) + 1, 3)), np.full(len(at) + 1, np.inf)  # before the first, nothing is known
    for start in range(0, len(at), ASKED_AT_ONCE):
        asked = at[start : start + ASKED_AT_ONCE]
        windows = windows_at(samples, track, rate_of(steps_s), asked)
        source = Provenance(data="recording", item="moment")
        told = ask_trunk([Sample(streams=streams, target=None, source=source) for streams in windows], fitted, level)
        turn[start + 1 : start + 1 + len(asked)], radius = told
        ratio[start + 1 : start + 1 + len(asked)] = radius / doubt[asked]
    latest = np.searchsorted(at, np.arange(len(samples)), side="right")
    radius = np.minimum(ratio[latest] * doubt, np.pi)
    if is_smoothed:
        whole = smooth(samples, steps_s, prepared.settings)
        return Attitudes(quat=whole.quat, covariance=whole.covariance, radius_rad=radius, health=health)
    quat = rotations.multiply(rotations.exp(turn[latest]), track.quat)
    return Attitudes(quat=quat, covariance=track.covariance, radius_rad=radius, health=health)


def own_radius(covariance: Array, level: float) -> Array:
    """Return the radius (...,), rad, of the ball that holds an error of a covariance (..., 3, 3), rad2, at a level.

    The error's square is taken for a scaled chi-square of its mean and variance. Source: Satterthwaite 1946, An
    approximate distribution of estimates of variance components.
    """
    mean, square = np.trace(covariance, axis1=-2, axis2=-1), np.einsum("...ij,...ij->...", covariance, covariance)
    degrees = mean**2 / square
    radius: Array = np.minimum(np.sqrt(chi2.ppf(level, degrees) * mean / degrees), np.pi)
    return radius


def ask_trunk(samples: list[Sample], fitted: Fitted, level: float) -> tuple[Array, Array]:
    """Return the rotation vectors (moments, 3), rad, that one member adds to the filter's, and the balls' radii."""
    target, calibration = fitted.target, fitted.calibration[VIEW]
    told = fitted.ensemble.alone(fitted.ensemble.members[0]).outputs(samples, VIEW)
    quantile = calibration.quantiles(level, patterns_in(samples, calibration.streams))
    return rotations.log(rotations.multiply(told["centre"], rotations.conjugate(told["past"]))), target.size(
        told, quantile
    )
