"""What the robotics page draws of a recording: lanes, attitudes and paths with their doubt, and health."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.robotics import Opened, Used
from mainstem.apps.robotics_filters import Attitude, Health, Travelled, error_rad, share_inside
from mainstem.core import rotations
from mainstem.core.stream import Channel
from mainstem.dashboards.components.tracks import HealthLane, Injected, Lane, Packed, Scene, Style, Track, Way
from mainstem.data.robot.estimates import NO_PROTECTION, UNVERIFIED
from mainstem.data.robot.faults import Fault
from mainstem.data.robot.geodesy import Origin
from mainstem.data.robot.mounting import listed
from mainstem.data.robot.recording import Array, Kind, Recording, Sensor
from mainstem.data.robot.units import possible

NOT_FOR = NO_PROTECTION.removeprefix("not for ")
HELD = "stated covariance held in your self-check"
ORDER: tuple[Kind, ...] = (
    "gyroscope", "accelerometer", "magnetometer", "wheel", "gnss", "range", "position", "orientation", "other",
)  # fmt: skip
MOST_LANES = 7  # that a canvas has room for
MOST_SHOWN = 400_000  # readings of a sensor that are sent to the screen; of more, the extremes of even parts
MOST_TRACK = 20_000  # attitudes that are sent: more than any screen has pixels
NORMAL_90 = 1.645  # standard deviations to either side that hold 90 % of a normal error
CHI2_90 = 4.605  # squared distance, in covariances, that holds 90 % of a normal place in the plane
STEP_RAD = 1e-5  # by which a rotation is turned to see how roll, pitch and yaw follow
STYLES: tuple[Style, ...] = ("estimate", "classical")


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """What is told of a recording.

    Attributes:
        own: our filter's attitude, None where it cannot be had.
        classical: another's beside it.
        path: ours.
        health: of each sensor, by name.
        used: the sensors that filters were given; None where none tells of motion.
    """

    own: Attitude | None = None
    classical: Attitude | None = None
    path: Travelled | None = None
    health: Mapping[str, Health] = field(default_factory=dict)
    used: Used | None = None

    def all(self) -> list[tuple[Style, Attitude]]:
        """Those that there are, with how each is drawn."""
        return [(style, one) for style, one in zip(STYLES, (self.own, self.classical), strict=True) if one is not None]

    @property
    def main(self) -> Attitude | None:
        """The one that is told first."""
        return self.own or self.classical


def titles_of(recording: Recording) -> dict[str, str]:
    """Return what each sensor is called on the page: its kind, or its name where several are of a kind."""
    kinds = [sensor.kind for sensor in recording.sensors.values()]
    return {
        name: sensor.kind if kinds.count(sensor.kind) == 1 else name.lstrip("/")
        for name, sensor in recording.sensors.items()
    }


def drawn_sensors(recording: Recording) -> list[str]:
    """Return the sensors that are drawn, in the order of lanes: MOST_LANES at most, whose readings have a clock."""
    held = [name for name, sensor in recording.sensors.items() if sensor.usable().any()]
    return sorted(held, key=lambda name: ORDER.index(recording.sensors[name].kind))[:MOST_LANES]


def lanes_of(recording: Recording, fault: Fault | None) -> tuple[Lane, ...]:
    """Return the streams as they are drawn, at their own rates."""
    titles = titles_of(recording)
    return tuple(
        _lane(recording.sensors[name], titles[name], fault if fault and fault.sensor == name else None)
        for name in drawn_sensors(recording)
    )


def _lane(sensor: Sensor, title: str, fault: Fault | None) -> Lane:
    kept = sensor.usable()
    times, values, channels = sensor.times[kept], sensor.values[kept], sensor.channels
    if sensor.kind == "gnss":
        values, channels = local_metres(values), tuple(Channel(name=name, unit="m") for name in ("east", "north", "up"))
    times, values = thinned(times, values)
    units = dict.fromkeys(channel.unit for channel in channels)
    span = (
        None if fault is None else Injected(word=fault.kind, start_s=fault.start_s, end_s=fault.start_s + fault.seconds)
    )
    return Lane(
        title=title, unit=", ".join(units), channels=tuple(channel.name for channel in channels),
        rate_hz=sensor.rate_hz, times=Packed.of(times), values=Packed.of(values), fault=span,
    )  # fmt: skip


def thinned(times: Array, values: Array, most: int = MOST_SHOWN) -> tuple[Array, Array]:
    """Return readings (n,), (n, channels) of which the screen gets MOST_SHOWN at most: of even parts both extremes."""
    if len(times) <= most:
        return times, values
    ends = np.linspace(0, len(times), most // 2 + 1).astype(np.intp)[:-1]
    with np.errstate(invalid="ignore"):
        low, high = np.fmin.reduceat(values, ends, axis=0), np.fmax.reduceat(values, ends, axis=0)
    shown = np.stack([low, high], 1).reshape(-1, values.shape[1])
    return np.stack([times[ends]] * 2, 1).ravel(), shown


def local_metres(geodetic: Array) -> Array:
    """Return east, north and up (n, 3), m, of fixes from the first whole one; NaN where one lacks a part or is none."""
    known = np.isfinite(geodetic).all(1) & possible("gnss", geodetic)
    found = np.full(geodetic.shape, np.nan)
    if known.any():
        found[known] = Origin(*geodetic[known][0].tolist()).to_enu(geodetic[known])
    return found


def tracks_of(opened: Opened, estimates: Estimates) -> tuple[Track, ...]:
    """Return attitudes as they are drawn, with their doubt, and their error where the truth is at hand."""
    found = []
    for style, one in estimates.all():
        rows = _even_rows(len(one.times))
        error = None
        if opened.truth is not None and opened.truth.attitude is not None:
            error = Packed.of(np.degrees(error_rad(one, opened.truth))[rows])
        radius = None if one.radius90_rad is None else Packed.of(np.degrees(one.radius90_rad)[rows])
        halves = None
        if one.covariance is not None:
            halves = Packed.of(half_widths_deg(one.quat[rows], one.covariance[rows]))
        found.append(
            Track(
                name=one.name, style=style, times=Packed.of(one.times[rows]), quat=Packed.of(one.quat[rows]),
                radius_deg=radius, halves_deg=halves, error_deg=error,
            )
        )  # fmt: skip
    if opened.truth is not None and opened.truth.attitude is not None:
        rows = _even_rows(len(opened.truth.times))
        times, quat = Packed.of(opened.truth.times[rows]), Packed.of(opened.truth.attitude[rows])
        found.append(Track(name="reference", style="reference", times=times, quat=quat))
    return tuple(found)


def _even_rows(num: int) -> NDArray[np.intp]:
    return np.arange(0, num, max(-(-num // MOST_TRACK), 1))


def half_widths_deg(quat: Array, covariance: Array) -> Array:
    """Return half widths (n, 3), deg, of roll, pitch and yaw at 90 %, by a covariance (n, 3, 3) in the earth's axes."""
    here = rotations.roll_pitch_yaw(quat)
    steps = [
        rotations.roll_pitch_yaw(rotations.multiply(rotations.exp(STEP_RAD * axis), quat)) - here for axis in np.eye(3)
    ]
    slopes = (np.stack(steps, -1) + np.pi) % (2 * np.pi) - np.pi
    variances = np.einsum("nij,njk,nik->ni", slopes, covariance, slopes) / STEP_RAD**2
    found: Array = np.degrees(NORMAL_90 * np.sqrt(np.maximum(variances, 0.0)))
    return found


def ways_of(opened: Opened, path: Travelled | None) -> tuple[Way, ...]:
    """Return paths as they are drawn: what a sensor of places, a reference and our filter say."""
    found, is_local = [], path is not None and not path.is_placed  # what is told of the world lies elsewhere then
    readings = [*opened.recording.find("gnss").values(), *opened.recording.find("position").values()][:1]
    for sensor in [] if is_local else readings:
        kept = sensor.usable()
        values = sensor.values[kept]
        place = Packed.of((local_metres(values) if sensor.kind == "gnss" else values)[:, :2])
        times = Packed.of(sensor.times[kept])
        found.append(Way(name=f"{sensor.kind} readings", style="readings", times=times, xy=place))
    if opened.truth is not None and opened.truth.position is not None and not is_local:
        rows = _even_rows(len(opened.truth.times))
        place, times = Packed.of(opened.truth.position[rows, :2]), Packed.of(opened.truth.times[rows])
        found.append(Way(name="reference", style="reference", times=times, xy=place))
    if path is not None:
        ellipses, times = Packed.of(ellipses_of(path.covariance)), Packed.of(path.times)
        name = f"{path.name}, 90 %{' of the way from its first pose' if is_local else ''}"
        found.append(Way(name=name, style="estimate", times=times, xy=Packed.of(path.place), ellipses=ellipses))
    return tuple(found)


def ellipses_of(covariance: Array) -> Array:
    """Return semi-axes m and the longer one's angle from east, rad (n, 3), of what holds 90 % of places."""
    values, vectors = np.linalg.eigh(covariance)
    axes = np.sqrt(CHI2_90 * np.maximum(values, 0.0))
    return np.stack([axes[:, 1], axes[:, 0], np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1])], -1)


def spans_of(times: Array, words: NDArray[np.str_]) -> tuple[tuple[float, float, str], ...]:
    """Return spans (from, to, word) of the words (n,) that are said at times (n,): each lasts until the next begins."""
    if not len(times):
        return ()
    starts = np.flatnonzero(np.concatenate([[True], words[1:] != words[:-1]]))
    ends = np.append(times[starts[1:]], times[-1])
    return tuple(
        (float(start), float(end), str(word))
        for start, end, word in zip(times[starts], ends, words[starts], strict=True)
    )


def health_of(recording: Recording, estimates: Estimates) -> tuple[HealthLane, ...]:
    """Return what is said of each sensor that is drawn."""
    titles, names = titles_of(recording), [name for name in drawn_sensors(recording) if name in estimates.health]
    found = [(titles[name], estimates.health[name]) for name in names]
    return tuple(HealthLane(title=title, spans=spans_of(one.times, one.words)) for title, one in found)


def scene_of(name: str, opened: Opened, fault: Fault | None, estimates: Estimates, cursor: float) -> Scene:
    """Return the whole canvas of a recording, whose `opened` holds the fault already."""
    recording = opened.recording
    is_placed = estimates.path is None or estimates.path.is_placed
    return Scene(
        recording=name,
        span=recording.span_s(),
        lanes=lanes_of(recording, fault),
        tracks=tracks_of(opened, estimates),
        ways=ways_of(opened, estimates.path),
        up="north up" if is_placed else "ahead at first to the right",
        health=health_of(recording, estimates),
        says=f"{claim_words(opened, fault, estimates)}.",
        cursor=cursor,
    )


def claim_words(opened: Opened, fault: Fault | None, estimates: Estimates) -> str:
    """Say what the estimate rests on, and how far its stated doubt may be believed.

    As far as it held on the unit that the adapter learned from, or in the user's own self-check.
    """
    used, told = estimates.used, estimates.own
    note = UNVERIFIED if used is None else used.note or HELD
    share = float("nan") if told is None or not opened.is_learned_from else share_inside(told, opened.truth)
    if np.isfinite(share):
        what = "this trial" if fault is None else "this trial with its fault"
        note = (
            f"in hindsight {share:.0%} of {what} lay in the 90 % ball; the adapter learned from trials of this sensor"
        )
    said = [note]
    if used is not None and used.assumed:
        said.insert(0, f"mounting of {listed(used.assumed)} ASSUMED to be the body's own")
    return capital("; ".join(said))


def capital(words: str) -> str:
    """Begin with a capital letter."""
    return words[:1].upper() + words[1:]


def undrawn(recording: Recording) -> Sequence[str]:
    """Return the sensors that are not drawn."""
    return [name for name in recording.sensors if name not in drawn_sensors(recording)]
