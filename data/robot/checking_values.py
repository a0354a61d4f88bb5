"""Values of a sensor: stuck, saturated, missing, infinite, of another unit, or with a covariance that says nothing."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mainstem.data.robot.checking_stamps import LONG_GAP_S, MISSING_SHARE, counted, first
from mainstem.data.robot.finding import Finding, State
from mainstem.data.robot.recording import Array, Sensor
from mainstem.data.robot.units import BEYOND, DEGREE, GRAVITY, STILL, contradiction, possible

INERTIAL = ("gyroscope", "accelerometer", "magnetometer")
ESTIMATES = ("orientation", "position", "other")  # which rest where a robot does
STANDING = 1e-3  # m/s or rad/s: a vehicle may stand, and its odometry ends in rounding
STUCK_READINGS = 10  # and more where equal neighbours are common, so that one in a million recordings has such a run
STUCK_S = 0.1
BY_CHANCE = 1e-6
RAREST, COMMONEST = 1e-4, 0.99  # shares of equal neighbours: below, none is known; above, the sensor hangs throughout
BLOCKS = 16  # parts of a recording; the median part tells how often neighbours are equal when all is well
PILED = 5  # readings at the very extreme
PILED_RATIO = 3.0  # times as many as at the next value: noise thins out towards its end, a clipped signal piles up
LEVELS = 10  # values of a channel, below which it is no measurement of noise
SATURATED_SHARE = 0.001
RANGES = {
    "gyroscope": tuple(rate * DEGREE for rate in (125, 250, 500, 1000, 2000, 4000)),
    "accelerometer": tuple(size * GRAVITY for size in (2, 4, 8, 16, 32)),
}  # of common MEMS sensors (ICM-20948, BMI088, LSM6DSO)
RANGE_TOLERANCE = 0.02


def check_values(name: str, sensor: Sensor) -> Iterator[Finding]:
    """Yield what was found in a sensor's values."""
    yield from _infinite(name, sensor)
    yield from _missing(name, sensor)
    yield from _stuck(name, sensor)
    if sensor.kind in INERTIAL:
        yield from _saturated(name, sensor)
    units = [*_unit(name, sensor)]
    yield from units
    if not any(finding.what == "unit" for finding in units):  # in their own unit they are possible
        yield from _range(name, sensor)
    yield from _covariance(name, sensor)


def _infinite(name: str, sensor: Sensor) -> Iterator[Finding]:
    rows = np.asarray(np.isinf(sensor.values).any(axis=1))
    if rows.any():
        words = f"{int(rows.sum())} readings are infinite; they are not used, mend the driver"
        yield Finding(sensor=name, what="infinity", state="bad", count=int(rows.sum()),
                      where_s=first(sensor.times, rows), words=words)  # fmt: skip


def _missing(name: str, sensor: Sensor) -> Iterator[Finding]:
    """Readings of NaN: stamps go on and the values lack."""
    absent = np.isnan(sensor.values)
    lost = np.asarray(absent.any(axis=1) if sensor.kind in INERTIAL else absent.all(axis=1))
    if not lost.any():
        return
    starts, ends = runs(lost)
    held = sensor.times[np.minimum(ends, len(lost) - 1)] - sensor.times[starts]
    longest, share = float(np.nan_to_num(held).max()), float(lost.mean())
    is_bad = sensor.kind in INERTIAL and (share > MISSING_SHARE or longest >= LONG_GAP_S)
    words = (
        f"{counted(int(lost.sum()), 'reading')} ({share:.1%}) are NaN, in {counted(len(starts), 'span')}, the longest "
        f"{longest:.3g} s; expect the doubt to grow there"
    )
    yield Finding(sensor=name, what="dropouts", state="bad" if is_bad else "note", count=len(starts),
                  where_s=first(sensor.times, starts), words=words)  # fmt: skip


def runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where runs of True start, and the index after their end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]


def _stuck(name: str, sensor: Sensor) -> Iterator[Finding]:
    """All channels the same for longer than noise would let them be, or one channel that never moves.

    Equal neighbours have a share p when all is well (a coarse or a repeated reading has many): a run of k of them comes
    by chance in n readings about n p^k times, and k is chosen so that this is BY_CHANCE.
    """
    values = sensor.values
    if len(values) < STUCK_READINGS or sensor.kind in ESTIMATES:
        return
    state: State = "bad" if sensor.kind in INERTIAL else "note"
    if sensor.kind in INERTIAL:
        yield from _dead(name, sensor)
    equal = (values[1:] == values[:-1]).all(1)
    if sensor.kind == "wheel":
        equal &= (np.abs(np.nan_to_num(values[1:])) > STANDING).any(1)
    usual = float(np.median([part.mean() for part in np.array_split(equal, BLOCKS) if len(part)]))
    chance = max(usual, RAREST)
    noise_run = 0 if usual > COMMONEST else math.ceil(math.log(BY_CHANCE / len(values)) / math.log(chance))
    longest_run = max(STUCK_READINGS, noise_run)
    starts, ends = runs(equal)
    spans = sensor.times[ends] - sensor.times[starts]
    held = (ends - starts >= longest_run) & (spans >= STUCK_S)
    if not held.any():
        return
    words = (
        f"every channel keeps one value {counted(int(held.sum()), 'time')}, for {spans[held].max():.3g} s at most and "
        f"{float(spans[held].sum()):.3g} s in all: noise would move it; the sensor or its driver hangs"
    )
    yield Finding(sensor=name, what="stuck values", state=state, count=int(held.sum()),
                  where_s=first(sensor.times, starts[held]), words=words)  # fmt: skip


def _dead(name: str, sensor: Sensor) -> Iterator[Finding]:
    """One channel without any change while another moves."""
    known = np.isfinite(sensor.values)
    is_still = np.array(
        [known[:, index].sum() >= STUCK_READINGS and np.ptp(sensor.values[known[:, index], index]) == 0
         for index in range(sensor.values.shape[1])]
    )  # fmt: skip
    if is_still.any() and not is_still.all():
        axes = ", ".join(channel.name for channel, still in zip(sensor.channels, is_still, strict=True) if still)
        words = f"channel {axes} keeps one value throughout while others move; it is not connected or was not filled in"
        yield Finding(sensor=name, what="stuck channel", state="bad", count=int(is_still.sum()), words=words)


def _saturated(name: str, sensor: Sensor) -> Iterator[Finding]:
    """Values that pile up at the channel's own extreme."""
    moved = np.concatenate([[True], (sensor.values[1:] != sensor.values[:-1]).any(1)])
    times, values = sensor.times[moved], sensor.values[moved]
    told, where = [], np.zeros(len(values), bool)
    for index, channel in enumerate(sensor.channels):
        for side, sign in (("highest", 1.0), ("lowest", -1.0)):
            hit = _piled(sign * values[:, index])
            if hit is not None:
                where |= hit
                told.append(
                    f"{channel.name} {side} {values[hit, index][0]:.4g} {_range_name(sensor, values[hit, index][0])}"
                )
    if not told:
        return
    count = int(where.sum())
    words = (
        f"{count} readings stand at the extreme of {', '.join(part.strip() for part in told)}: the range was exceeded; "
        "choose a wider one"
    )
    yield Finding(sensor=name, what="saturation", state="bad" if count > SATURATED_SHARE * len(values) else "note",
                  count=count, where_s=first(times, where), words=words)  # fmt: skip


def _piled(values: Array) -> NDArray[np.bool_] | None:
    """Where a channel stands at its highest value, if it piles up there."""
    known = values[np.isfinite(values)]
    if len(known) < PILED or known.max() == 0 or (known == known.max()).sum() < PILED:
        return None
    levels, counts = np.unique(known, return_counts=True)
    if len(levels) < LEVELS or counts[-1] <= PILED_RATIO * counts[-2]:
        return None
    hit: NDArray[np.bool_] = values == levels[-1]
    return hit


def _range_name(sensor: Sensor, value: float) -> str:
    for size in RANGES.get(sensor.kind, ()):
        if abs(abs(value) / size - 1) < RANGE_TOLERANCE:
            told = f"{size / DEGREE:.0f} deg/s" if sensor.kind == "gyroscope" else f"{size / GRAVITY:.0f} g"
            return f"(a common range, {told})"
    return ""


def _unit(name: str, sensor: Sensor) -> Iterator[Finding]:
    unnamed = [channel.name for channel in sensor.channels if channel.unit in ("", "unstated")]
    if unnamed:
        words = (
            f"the file names no unit of {', '.join(unnamed[:4])}{' ...' if len(unnamed) > 4 else ''}; say it before use"
        )
        yield Finding(sensor=name, what="unit missing", state="note", count=len(unnamed), words=words)
    finite = sensor.values[np.isfinite(sensor.values).all(1)]
    if other := contradiction(sensor.kind, finite):
        yield Finding(sensor=name, what="unit", state="bad", count=len(finite), words=f"{other}; convert it")
    elif sensor.kind == "accelerometer" and len(finite):
        typical = float(np.median(np.linalg.norm(finite, axis=1)))
        if not STILL[0] <= typical <= STILL[1]:
            words = (
                f"the median length is {typical:.3g} m/s2, gravity is {GRAVITY:.2f}: it seems taken out, or the scale "
                "is wrong; an attitude needs specific force"
            )
            yield Finding(sensor=name, what="gravity", state="bad", count=len(finite), words=words)


def _range(name: str, sensor: Sensor) -> Iterator[Finding]:
    """Values that no such quantity has."""
    values = sensor.values
    if sensor.kind == "orientation":
        lengths = np.linalg.norm(values, axis=1)
        wrong, words = np.abs(lengths - 1) > 0.01, "quaternions are not of length 1; they are no rotations"
    elif sensor.kind in BEYOND:
        wrong = ~possible(sensor.kind, values) & ~np.isinf(values).any(1)
        words = f"readings lie beyond {BEYOND[sensor.kind][1]}; they are not used, mend the driver"
    else:
        return
    if wrong.any():
        yield Finding(sensor=name, what="impossible values", state="bad", count=int(wrong.sum()),
                      where_s=first(sensor.times, wrong), words=f"{int(wrong.sum())} {words}")  # fmt: skip


def _covariance(name: str, sensor: Sensor) -> Iterator[Finding]:
    """Zeros are what drivers leave that know none (sensor_msgs/Imu: all zeros are unknown)."""
    if sensor.covariance is None or not len(sensor.covariance):
        return
    variances = np.diagonal(sensor.covariance, axis1=1, axis2=2)
    if (np.nan_to_num(variances) < 0).any():
        count = int((np.nan_to_num(variances) < 0).any(1).sum())
        words = f"{count} readings state a negative variance; it is not used"
        yield Finding(sensor=name, what="covariance", state="bad", count=count, words=words)
    elif (variances == 0).any():
        count = int((variances == 0).any(1).sum())
        words = f"{count} readings state a variance of zero, which nothing has; it is taken as unknown"
        yield Finding(sensor=name, what="covariance", state="note", count=count, words=words)
    elif np.isnan(variances).all():
        words = "the covariance is unknown throughout (zeros, or never filled in); noise is judged from the readings"
        yield Finding(sensor=name, what="covariance", state="note", count=len(variances), words=words)
