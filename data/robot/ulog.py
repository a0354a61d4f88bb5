"""PX4 flight logs (.ulg): sensors of the body, the receiver and the autopilot's own estimate, in FLU and ENU.

Stamps are those of the sample where a message has them; when it was published is `received`. What the log says of
itself (dropouts, clipping, damage) becomes a finding. Source: PX4 user guide, "ULog File Format", and the uORB
messages of PX4-Autopilot.
"""

import contextlib
import io
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.limits import bounded_memory
from mainstem.data.robot.finding import FIRST, Finding
from mainstem.data.robot.recording import Recording, Sensor
from mainstem.data.robot.ulog_topics import TOPICS, Log, Topic, calendar

MAGIC: Final = b"ULog\x01\x12\x35"
MOST_BYTES: Final = 4 << 30
MOST_MEMORY: Final = 4 << 30
HEADER: Final = 3  # bytes of a message's size and kind
LARGEST_MESSAGE: Final = 65_535  # bytes: the header's size is a uint16
MOST_READ: Final = 16  # times the file's size: a damaged one is searched back and forth


def read_ulog(path: Path) -> Recording:
    """Read the sensors of a log.

    Raises:
        InputError: if it is no ULog, or damaged so that nothing can be read.
        MissingExtraError: if pyulog is not installed.
    """
    try:
        import pyulog
    except ImportError as error:
        raise MissingExtraError("pyulog", "robot") from error
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InputError(f"{path.name} has {size >> 20} MiB, want at most {MOST_BYTES >> 20}; split the log")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{path.name} is no ULog by its first bytes; give a .ulg of PX4")
    chosen = _Chosen(wanted=TOPICS)
    said = io.StringIO()
    try:
        with bounded_memory(path.name, MOST_MEMORY), contextlib.redirect_stdout(said):
            head, _ = _parsed(pyulog, path, chosen, header_only=True)
            _check_formats(head.message_formats, path.name)
            found, is_cut = _parsed(pyulog, path, chosen, header_only=False)
    except InputError:
        raise
    except Exception as error:  # pyulog raises what a damaged byte makes of its tables
        raise InputError(f"{path.name} cannot be read as ULog ({_line(error)}); fetch or write it again") from error
    damage = said.getvalue().splitlines()[:1] or ["bytes that are no message"] * bool(found.file_corruption)
    damage += ["it ends within a message"] * is_cut
    return _recording(path.name, found, chosen, damage)


@dataclass
class _Chosen(Container[str]):
    """Topics that are read; those that are asked for and are not are noted."""

    wanted: Mapping[str, Topic]
    left: set[str] = field(default_factory=set)

    def __contains__(self, name: object) -> bool:
        if name not in self.wanted:
            self.left.add(str(name))
        return name in self.wanted


class _Metered(io.BufferedReader):
    """A file that is not read more than MOST_READ times over: pyulog goes back where bytes make no sense."""

    left: int = 0
    is_cut: bool = False  # a message ended early, or never began after its header

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.left -= max(len(data), 1)
        self.is_cut |= len(data) < (size or 0) and (size != HEADER or len(data) > 0)
        if self.left < 0:
            raise ValueError("its messages lead in circles")
        return data


def _parsed(pyulog: Any, path: Path, chosen: _Chosen, header_only: bool) -> tuple[Any, bool]:  # noqa: ANN401
    """What pyulog made of the file, and whether that was cut."""
    raw = io.FileIO(path)
    with _Metered(raw) as file:
        file.left = MOST_READ * path.stat().st_size
        stream: BinaryIO = file
        return pyulog.ULog(stream, chosen, parse_header_only=header_only), file.is_cut


def _check_formats(formats: Mapping[str, Any], name: str) -> None:
    """Refuse message formats that hold themselves, or more fields than a message has bytes."""
    sizes: dict[str, int] = {}

    def count(kind: str, open_: tuple[str, ...]) -> int:
        if kind in open_ or len(open_) > 20:
            raise InputError(f"{name}: the message {kind[:40]!r} holds itself; the log is damaged, fetch it again")
        if kind not in sizes and kind in formats:
            fields = [(each, max(number, 1)) for each, number, _ in formats[kind].fields]
            sizes[kind] = sum(number * count(each, (*open_, kind)) for each, number in fields)
            if sizes[kind] > LARGEST_MESSAGE:
                raise InputError(f"{name}: the message {kind[:40]!r} claims {sizes[kind]} fields; the log is damaged")
        return sizes.get(kind, 1)

    for kind in formats:
        count(kind, ())


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:100] or type(error).__name__


def _recording(name: str, found: Any, chosen: _Chosen, damage: Sequence[str]) -> Recording:  # noqa: ANN401 - pyulog's
    log = Log(start_us=int(found.start_timestamp))
    sensors: dict[str, Sensor] = {}
    counts = {each.name: 0 for each in found.data_list}
    for each in found.data_list:
        counts[each.name] += 1
    for each in found.data_list:
        label = each.name if counts[each.name] == 1 else f"{each.name}[{each.multi_id}]"
        try:
            sensors |= TOPICS[each.name](log, label, each.data)
        except KeyError as error:
            log.skipped[label] = f"lacks the field {error}, as another version of PX4 writes it"
    if not sensors:
        held = ", ".join(sorted(chosen.left)[:6]) or "no message"
        raise InputError(f"{name} holds {held} and no sensor that is read; log sensor_combined, or give another file")
    log.skipped |= dict.fromkeys(sorted(chosen.left), "not a sensor that is read")
    faults = [*log.faults, *_dropouts(found, log.start_us)]
    faults += [_damage(told) for told in damage]
    return Recording(
        name=name,
        sensors=sensors,
        origin=calendar(found.data_list, log.start_us),
        extrinsics={"base_link": np.eye(4)},
        converted=tuple(dict.fromkeys(log.converted)),
        skipped=log.skipped,
        faults=tuple(faults),
        simulated="SITL" in str(found.msg_info_dict.get("ver_hw", "")),
    )


def _dropouts(found: Any, start_us: int) -> list[Finding]:  # noqa: ANN401 - pyulog's
    """What the logger could not write, as it counted itself. Source: ULog File Format, "Dropout message"."""
    spans = found.dropouts
    if not spans:
        return []
    lost_s = sum(each.duration for each in spans) / 1000
    longest = max(each.duration for each in spans)
    first = tuple((each.timestamp - start_us) / 1e6 for each in spans[:FIRST])
    words = (
        f"the log counts {len(spans)} dropout{'' if len(spans) == 1 else 's'}, {lost_s:.2f} s in all, the longest "
        f"{longest} ms: messages of these spans are lost; use a faster card or log less"
    )
    return [
        Finding(sensor="", what="dropouts", state="bad" if longest >= 1000 else "note", count=len(spans),
                where_s=first, words=words)
    ]  # fmt: skip


def _damage(told: str) -> Finding:
    words = f"the file is damaged ({told.split('!')[0][:120]}); what could be read is shown, readings may lack"
    return Finding(sensor="", what="damage", state="bad", count=1, words=words)
