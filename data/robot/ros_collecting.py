"""A topic's messages, gathered into sensors: compact while they come, arrays when all are there."""

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.schema import printable
from mainstem.core.stream import Channel
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.recording import CHANNELS, Array, Kind, Sensor
from mainstem.data.robot.ros_messages import OWN_ESTIMATE, Part, Parts, known

MOST_VALUES = 50_000_000  # float64 of one bag, 400 MB: a day of an IMU at 100 Hz
RANGE = (Channel(name="range", unit="m"),)


@dataclass
class Room:
    """How much may still be kept of one bag."""

    left: int = MOST_VALUES

    def take(self, count: int) -> None:
        """Count values that are kept.

        Raises:
            InputError: if they are more than one bag may hold.
        """
        self.left -= count
        if self.left < 0:
            raise InputError(f"the bag holds more than {MOST_VALUES:,} values; choose topics, or cut it first")


@dataclass
class Column:
    """One sensor's readings so far; equal covariances are kept once."""

    frame: str
    values: "array[float]" = field(default_factory=lambda: array("d"))
    covariances: dict[bytes, int] = field(default_factory=dict)
    which: "array[int]" = field(default_factory=lambda: array("i"))
    num_absent: int = 0
    frames: dict[str, None] = field(default_factory=dict)

    def add(self, part: Part, room: Room) -> None:
        """Keep one reading."""
        self.values.extend(part.values)
        room.take(len(part.values) + 1)
        self.frames.setdefault(part.frame)
        self.num_absent += part.is_absent
        if part.covariance is not None:
            key = part.covariance.tobytes()
            if key not in self.covariances:
                room.take(part.covariance.size)
            self.which.append(self.covariances.setdefault(key, len(self.covariances)))

    def covariance(self) -> Array | None:
        """Covariances (readings, channels, channels), one read-only matrix for all where all are equal."""
        if not self.which:
            return None
        told = np.frombuffer(b"".join(self.covariances), dtype=np.float64)
        size = round((len(told) / len(self.covariances)) ** 0.5)
        stated = known(told.reshape(-1, size, size))
        return np.broadcast_to(stated[0], (len(self.which), size, size)) if len(stated) == 1 else stated[self.which]


@dataclass(eq=False)
class Gathered:
    """What was read of one topic.

    Attributes:
        topic: its name.
        read: turns a message into its sensors' shares.
        stamps, received: of the header and of the recorder, ns since 1970.
        columns: readings by kind.
        num_damaged: messages that do not fit their type.
    """

    topic: str
    read: Callable[[Any], Parts]
    channels: Mapping[Kind, tuple[Channel, ...]] = field(default_factory=lambda: {**CHANNELS, "range": RANGE})
    has_header: bool = True
    stamps: "array[int]" = field(default_factory=lambda: array("q"))
    received: "array[int]" = field(default_factory=lambda: array("q"))
    columns: dict[Kind, Column] = field(default_factory=dict)
    num_damaged: int = 0

    def add(self, message: Any, received: int, room: Room) -> None:  # noqa: ANN401 - a message
        """Keep a message's shares."""
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec if self.has_header else received
        parts = self.read(message)
        self.stamps.append(stamp)
        self.received.append(received)
        room.take(2)
        for kind, part in parts.items():
            self.columns.setdefault(kind, Column(part.frame)).add(part, room)

    def sensors(self, zero_ns: int, received_zero_ns: int) -> Iterator[tuple[str, Sensor]]:
        """Yield the sensors by name: the topic's, with the kind behind it where the topic has several."""
        stamps = np.array(self.stamps, dtype=np.int64)
        times = np.where(stamps == 0, np.nan, seconds(stamps - zero_ns))
        received = seconds(np.array(self.received, dtype=np.int64) - received_zero_ns)
        for kind, column in self.columns.items():
            if column.num_absent == len(stamps):
                continue
            channels = self.channels[kind]
            is_own = kind in ("orientation", "position")
            yield (
                self.name_of(kind),
                Sensor(
                    kind=kind,
                    times=times,
                    values=np.array(column.values).reshape(len(stamps), len(channels)),
                    channels=channels,
                    frame=column.frame,
                    received=received,
                    covariance=column.covariance(),
                    source=f"{self.topic}: {OWN_ESTIMATE}" if is_own else self.topic,
                ),
            )

    def offset_ns(self) -> int | None:
        """Median of how far the headers' stamps are behind the recorder's; None where none is stamped."""
        stamps, received = np.array(self.stamps, dtype=np.int64), np.array(self.received, dtype=np.int64)
        known = stamps != 0
        return int(np.median((stamps - received)[known])) if known.any() else None

    def other_clock(self) -> Finding:
        """Say that the headers do not follow the recorder's clock, though others do."""
        off_s = (self.offset_ns() or 0) * 1e-9
        words = f"headers are stamped {off_s:+.0f} s off the recorder, by another clock; mend the driver"
        return Finding(sensor=self.topic, what="clock", state="bad", count=len(self.stamps), words=words)

    def faults(self) -> Iterator[Finding]:
        """Yield what is wrong with headers and messages."""
        count = len(self.stamps)
        if unstamped := self.stamps.count(0):
            words = f"{unstamped:,} of {count:,} headers are stamped 0: they have no time, and no filter takes them"
            yield Finding(sensor=self.topic, what="unstamped", state="bad", count=unstamped, words=words)
        if self.num_damaged:
            words = (
                f"{self.num_damaged:,} of {count + self.num_damaged:,} messages do not fit their type, and are left out"
            )
            yield Finding(sensor=self.topic, what="damage", state="note", count=self.num_damaged, words=words)

    def absent(self) -> Iterator[tuple[str, str]]:
        """Yield what the messages say that they do not have, and why."""
        for kind, column in self.columns.items():
            if column.num_absent:
                of = (
                    "all" if column.num_absent == len(self.stamps) else f"{column.num_absent:,} of {len(self.stamps):,}"
                )
                yield self.name_of(kind), f"absent in {of} messages: the covariance begins with -1"

    def changes(self) -> Iterator[str]:
        """Say where a sensor's frame is not the same in all messages."""
        for kind, column in self.columns.items():
            if len(column.frames) > 1:
                named = ", ".join(repr(printable(frame)) for frame in [*column.frames][:4])
                yield f"{self.name_of(kind)}: told in several frames ({named}); it is taken for one of the first"

    def name_of(self, kind: Kind) -> str:
        """A sensor's name: of odometry, what the wheels measured has the topic's own."""
        return self.topic if kind == "wheel" or len(self.columns) == 1 else f"{self.topic}.{kind}"


def seconds(nanoseconds: NDArray[np.int64]) -> Array:
    """Return seconds of whole nanoseconds, whose whole part loses nothing."""
    whole, rest = np.divmod(nanoseconds, 10**9)
    return whole + rest * 1e-9
