"""Message types of the user's own: their numbers as the channels of an "other" sensor, without units."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mainstem.core.stream import Channel
from mainstem.data.robot.ros_frames import frame_name
from mainstem.data.robot.ros_messages import Part, Parts

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

LONGEST_ARRAY = 16  # numbers of a fixed array that are channels each: a matrix is, a map is none
MOST_CHANNELS = 256
DEEPEST = 8  # messages within messages
HEADER = "std_msgs/msg/Header"
Path = tuple[str | int, ...]


def own_reader(kind: str, store: "Typestore") -> tuple[tuple[Channel, ...], Callable[[Any], Parts], bool] | None:
    """Return the channels of a type, what reads them of a message, and whether it has a header; None of no number.

    Texts, times and lists of any length are no channels.
    """
    paths = [*_paths(kind, store, ())][:MOST_CHANNELS]
    if not paths:
        return None
    fields = store.fielddefs[kind][1]
    has_header = any(name == "header" and content == HEADER for name, (_, content) in fields)

    def read(message: Any) -> Parts:  # noqa: ANN401 - a message
        frame = frame_name(message.header.frame_id) if has_header else ""
        return {"other": Part(frame, tuple(_value(message, path) for path in paths))}

    channels = tuple(Channel(name=".".join(str(part) for part in path), unit="") for path in paths)
    return channels, read, has_header


def _paths(kind: str, store: "Typestore", before: Path) -> Iterator[Path]:
    """Where in a message the numbers stand."""
    from rosbags.interfaces import Nodetype
    from rosbags.typesys.base import normalize_fieldname

    if len(before) > DEEPEST or kind not in store.fielddefs or kind in (HEADER, "builtin_interfaces/msg/Time"):
        return
    fields: Any = store.fielddefs[kind][1]
    for name, (node, content) in fields:
        path = (*before, normalize_fieldname(name))
        if node == Nodetype.NAME:
            yield from _paths(str(content), store, path)
        elif node == Nodetype.BASE and content[0] != "string":
            yield path
        elif node == Nodetype.ARRAY:
            (inner, element), length = content
            if inner == Nodetype.BASE and element[0] != "string" and length <= LONGEST_ARRAY:
                yield from ((*path, index) for index in range(length))


def _value(message: Any, path: Path) -> float:  # noqa: ANN401 - a message
    for part in path:
        message = message[part] if isinstance(part, int) else getattr(message, part)
    try:
        return float(message)
    except OverflowError:
        return math.nan
