"""ROS bags to recordings: ROS 1 (.bag), ROS 2 folders, .db3 and .mcap, without ROS.

A topic is read where its type is one of `ros_messages.READERS`; every other is listed with why not. What is damaged is
left out, and said.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.schema import printable
from mainstem.data.robot import ros_bag1, ros_db3, ros_mcap
from mainstem.data.robot.finding import Finding, State
from mainstem.data.robot.recording import Recording
from mainstem.data.robot.ros_collecting import Gathered, Room
from mainstem.data.robot.ros_folder import files_of
from mainstem.data.robot.ros_frames import Frames
from mainstem.data.robot.ros_messages import CONVERSIONS, READERS
from mainstem.data.robot.ros_own import own_reader
from mainstem.data.robot.ros_records import NO_INDEX, Allowance, Bounded, DamageError, Lost, Named, Raw, Topic, told
from mainstem.data.robot.ros_types import TRANSFORMS, Decoder, OwnTypes, decoder_of, kind_of, own_types

MOST_TOPICS = 10_000
LATEST_NS = 2**62  # the year 2116: differences of such stamps are whole numbers of 64 bits
OTHER_CLOCK_NS = 86_400 * 10**9  # a day: stamps further from the recorder's follow another clock
CALENDAR_S = (946_684_800, 4_102_444_800)  # 2000 to 2100 in seconds since 1970: stamps between are of a calendar
SHORT_NAMES = tuple(name.replace("/msg/", "/") for name in READERS)


def read_bag(path: Path, msg_paths: Sequence[Path] = (), wanted: Collection[str] | None = None) -> Recording:
    """Read the sensors of a bag, each with the stamps of its headers.

    Args:
        path: a .bag, .db3 or .mcap file, or the folder of a ROS 2 bag.
        msg_paths: folders of .msg files (PACKAGE/msg/NAME.msg), of types of the user's own: read as "other" sensors.
        wanted: names of the topics to read; all unless given.

    Raises:
        InputError: if it is no bag, holds no reading, or more than memory should be given to.
        MissingExtraError: if rosbags is not installed.
    """
    reading = Reading(own=own_types(msg_paths), wanted=wanted)
    lost = Lost()
    try:
        for file, is_packed in files_of(path, lost):
            allowance = Allowance(file.stat().st_size)
            for topic, received, data in _scan(file, is_packed, lost, reading.named):
                if not 0 <= received <= LATEST_NS:
                    lost["message that was received beyond any clock"] += 1
                elif reading.take(topic, received, data):
                    continue
                allowance.waste()
    except ImportError as error:
        raise MissingExtraError(error.name or "rosbags", "robot") from error
    return recording_of(reading, path.name, lost)


def _scan(path: Path, is_packed: bool, lost: Lost, named: Named) -> Iterator[Raw]:
    """Messages of one file.

    Raises:
        InputError: if it is none of the three kinds.
    """
    with path.open("rb") as file:
        magic = file.read(16)
        source = Bounded(file, path.stat().st_size)
        if magic.startswith(ros_bag1.MAGIC):
            yield from ros_bag1.scan(source, lost, named)
        elif magic.startswith(ros_mcap.MAGIC):
            yield from ros_mcap.scan(source, lost, named)
        elif magic == ros_db3.MAGIC:
            yield from ros_db3.scan(path, lost, named, is_packed)
        elif magic.startswith(b"#ROSBAG V"):
            raise InputError(f"{path.name} is a bag of a format before 2.0; convert it first (rosbag fix)")
        else:
            raise InputError(f"{path.name} is no bag: it begins as no .bag, .db3 or .mcap does; give the file itself")


@dataclass
class Reading:
    """A bag while it is read."""

    own: OwnTypes | None
    wanted: Collection[str] | None
    topics: dict[Topic, tuple[Decoder, Gathered | None] | None] = field(default_factory=dict)
    gathered: dict[str, Gathered] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    named: Named = field(default_factory=dict)
    frames: Frames = field(default_factory=Frames)
    room: Room = field(default_factory=Room)
    first_ns: int | None = None

    def take(self, topic: Topic, received: int, data: bytes) -> bool:
        """Keep what a message says, where its topic is read; return whether it was kept."""
        if self.first_ns is None or received < self.first_ns:
            self.first_ns = received
        if topic not in self.topics:
            self.topics[topic] = self._opened(topic)
        if (found := self.topics[topic]) is None:
            return False
        decoder, gathered = found
        try:
            message = decoder.decode(data)
            if gathered is None:
                self.frames.note(message.transforms)
            else:
                gathered.add(message, received, self.room)
        except (DamageError, OverflowError):
            if gathered is not None:
                gathered.num_damaged += 1
            return False
        return True

    def _opened(self, topic: Topic) -> tuple[Decoder, Gathered | None] | None:
        """What decodes and gathers a topic; None where it is skipped, which is noted.

        Raises:
            InputError: if there are more topics than any robot has.
        """
        if len(self.topics) >= MOST_TOPICS:
            raise InputError(f"the bag names more than {MOST_TOPICS:,} topics, which no robot has")
        name = printable(topic.name, 200)
        try:
            _check_read(topic, self.wanted)
            gathered = self._gathered(topic, name)
            return decoder_of(topic, self.own), gathered
        except InputError as error:
            self.skipped.setdefault(name, str(error))
            return None

    def _gathered(self, topic: Topic, name: str) -> Gathered | None:
        """What gathers a topic's messages; None of /tf_static, whose transforms are frames.

        Raises:
            InputError: saying why the topic is not read.
        """
        kind = kind_of(topic)
        if kind == TRANSFORMS:
            return None
        if self.types.setdefault(name, kind) != kind:
            raise InputError(f"its messages are of several types, of which {printable(self.types[name])} is read")
        if name in self.gathered:
            return self.gathered[name]
        if kind in READERS:
            found = Gathered(name, READERS[kind])
        elif self.own is not None and kind in self.own.names:
            own = own_reader(kind, self.own.stores[topic.encoding])
            if own is None:
                raise InputError(f"{printable(topic.type)} holds no number")
            channels, read, has_header = own
            found = Gathered(name, read, {"other": channels}, has_header)
        else:
            raise InputError(
                f"{printable(topic.type)} is no type that sensors are read from; --msg-path names your own"
            )
        self.gathered[name] = found
        return found


def _check_read(topic: Topic, wanted: Collection[str] | None) -> None:
    """Raises InputError saying why a topic is not read, whatever it holds."""
    kind = kind_of(topic)
    if not topic.type:
        raise InputError("the file names no type of it (a channel without a schema)")
    if topic.encoding not in ("ros1", "cdr"):
        raise InputError(f"its messages are written as {printable(topic.encoding)!r}, want cdr or ros1")
    if kind == TRANSFORMS and not topic.name.endswith("tf_static"):
        raise InputError("moving frames are not read, those of /tf_static are")
    if kind != TRANSFORMS and wanted is not None and topic.name not in wanted:
        raise InputError("not among the topics that were asked for")
    if "cmd" in topic.name.rsplit("/", 1)[-1] and "Twist" in kind:
        raise InputError("a command, no measurement")


@dataclass(frozen=True)
class Clock:
    """Where times count from: header stamps and recorder stamps, ns, and the instant (ISO 8601 UTC, or "")."""

    zero_ns: int
    received_zero_ns: int
    origin: str
    faults: tuple[Finding, ...] = ()


def _clock(gathered: Collection[Gathered], first_ns: int) -> Clock:
    """The recorder's first whole second, or, where no header follows its clock, the first stamp of the headers."""
    offsets = {each: offset for each in gathered if (offset := each.offset_ns()) is not None}
    zero = first_ns // 10**9 * 10**9
    if offsets and all(abs(offset) > OTHER_CLOCK_NS for offset in offsets.values()):
        words = (
            "headers are stamped by another clock than the recorder's, as a simulator's: times count from their first"
        )
        fault = Finding(sensor="", what="clock", state="note", count=len(offsets), words=words)
        return Clock(min(stamp for each in gathered for stamp in each.stamps if stamp), zero, "", (fault,))
    has_calendar = CALENDAR_S[0] <= zero // 10**9 <= CALENDAR_S[1]
    faults = (each.other_clock() for each, offset in offsets.items() if abs(offset) > OTHER_CLOCK_NS)
    return Clock(zero, zero, f"{np.datetime64(zero // 10**9, 's')}Z" if has_calendar else "", tuple(faults))


def recording_of(reading: Reading, name: str, lost: Lost) -> Recording:
    """Return what was read.

    Raises:
        InputError: if it is nothing.
    """
    gathered = [each for each in reading.gathered.values() if len(each.stamps)]
    skipped = {**({name: "; ".join(told(lost))} if lost else {}), **_silent(reading), **reading.skipped}
    skipped |= _damaged(reading)
    if not gathered or reading.first_ns is None:
        why = "; ".join(f"{topic}: {reason}" for topic, reason in [*skipped.items()][:5]) or "it holds no message"
        raise InputError(
            f"{name} holds no reading of a sensor ({why}); give a bag with one of {', '.join(SHORT_NAMES)}"
        )
    clock = _clock(gathered, reading.first_ns)
    sensors = {key: sensor for each in gathered for key, sensor in each.sensors(clock.zero_ns, clock.received_zero_ns)}
    mounted = [sensor.frame for sensor in sensors.values() if sensor.kind not in ("position", "orientation")]
    body = reading.frames.body([sensor.frame for sensor in sensors.values() if sensor.kind == "wheel"], mounted)
    extrinsics = reading.frames.extrinsics(body, mounted)
    return Recording(
        name=name,
        sensors=sensors,
        origin=clock.origin,
        extrinsics=extrinsics,
        body=body,
        converted=(*_conversions(reading.types, gathered), *reading.frames.doubts),
        skipped={**skipped, **{name: why for each in gathered for name, why in each.absent()}},
        faults=(
            *_lost_parts(lost),
            *clock.faults,
            *(fault for each in reading.gathered.values() for fault in each.faults()),
        ),
    )


def _lost_parts(lost: Lost) -> Iterator[Finding]:
    """What of the file could not be read."""
    if lost:
        words = f"the file is not whole ({'; '.join(told(lost))}); what is whole in it was read, the rest is a gap"
        state: State = "note" if {*lost} == {NO_INDEX} else "bad"
        yield Finding(sensor="", what="damage", state=state, count=lost.total(), words=words)


def _silent(reading: Reading) -> dict[str, str]:
    """Topics that the file names and has no message of."""
    return {
        printable(
            topic.name, 200
        ): f"no message of it ({printable(topic.type) or 'of no type'}) was recorded, or is left"
        for topic in [*reading.named][:MOST_TOPICS]
        if topic not in reading.topics and printable(topic.name, 200) not in reading.gathered
    }


def _damaged(reading: Reading) -> dict[str, str]:
    """Topics of which some messages were lost."""
    return {
        each.topic: f"{each.num_damaged:,} of {each.num_damaged + len(each.stamps):,} messages do not fit their type"
        for each in reading.gathered.values()
        if each.num_damaged
    }


def _conversions(types: Mapping[str, str], gathered: Collection[Gathered]) -> Iterator[str]:
    """What was changed on the way, and what was not though it is doubtful."""
    for each in gathered:
        if (said := CONVERSIONS.get(types[each.topic])) is not None:
            yield f"{each.topic}: {said}"
        if not each.has_header:
            yield f"{each.topic}: its type has no header; the recorder's stamps are its times"
        yield from each.changes()
