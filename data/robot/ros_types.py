"""Which message types are read, and their decoders, of rosbags.

A file's own definition is compared with the standard's, never turned into code: rosbags generates Python from
definitions, and only its own and those in folders that the user names are trusted with that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.schema import printable
from mainstem.data.robot.ros_records import DamageError, Topic

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

ALIASES = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}  # the same layout under the name that it had before
TRANSFORMS = "tf2_msgs/msg/TFMessage"
LARGEST_DEFINITION = 64 << 10  # letters; those of the types that are read have some 5,000
MOST_DEFINITIONS = 10_000  # .msg files of one folder
NEWEST, BEFORE_IRON = "LATEST", "ROS2_HUMBLE"  # which differ in sensor_msgs/Range alone, of the types that are read
Fields = Mapping[str, Any]  # types' constants and fields, as rosbags holds them


def kind_of(topic: Topic) -> str:
    """Return the type that a topic is read as."""
    return ALIASES.get(topic.type, topic.type)


class Decoder:
    """Turns a topic's messages into objects, by the first of several stores of types that fits them."""

    def __init__(self, topic: Topic, stores: Sequence["Typestore"]) -> None:
        self.type = kind_of(topic)
        self.is_ros1 = topic.encoding == "ros1"
        self.stores = list(stores)

    def decode(self, data: bytes) -> Any:  # noqa: ANN401 - a message
        """Return the message.

        Raises:
            DamageError: if it is shorter or longer than its type, or otherwise no such message.
        """
        for store in self.stores:
            try:
                found = (
                    store.deserialize_ros1(data, self.type) if self.is_ros1 else store.deserialize_cdr(data, self.type)
                )
            except Exception as error:
                reason = error
                continue
            self.stores = [store]
            return found
        raise DamageError("message that does not fit its type") from reason


@dataclass(frozen=True)
class OwnTypes:
    """Types of the user's folders: their names, and stores of them beside ROS's by encoding."""

    names: frozenset[str]
    stores: Mapping[str, "Typestore"]


def decoder_of(topic: Topic, own: OwnTypes | None) -> Decoder:
    """Return what decodes a topic's messages.

    Args:
        topic: with a type that is read, or one of the user's own, encoded as "ros1" or "cdr".
        own: types of the user's folders.

    Raises:
        InputError: saying why its messages cannot be decoded.
    """
    kind = kind_of(topic)
    if own is not None and kind in own.names:
        return Decoder(topic, [own.stores[topic.encoding]])
    stores = [ros1_store()] if topic.encoding == "ros1" else [ros2_store(NEWEST), ros2_store(BEFORE_IRON)]
    if topic.definition:
        stated = _parsed(topic.definition, topic.language, kind)
        stores = [store for store in stores if _is_same(kind, stated, store.fielddefs)]
    if not stores:
        raise InputError(f"the file defines {topic.type} otherwise than ROS does; it is not read as one")
    return Decoder(topic, stores)


@lru_cache(64)
def _parsed(text: str, language: str, kind: str) -> Fields:
    """A definition of a type, and of those that it holds."""
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    if len(text) > LARGEST_DEFINITION:
        raise InputError(f"the file's definition of {kind} is longer than any")
    try:
        if language == "msg":
            return get_types_from_msg(text, kind)
        parts = text.split("=" * 80 + "\n")
        texts = [part.partition("\n")[2] if part.startswith("IDL: ") else part for part in parts if part]
        return {name: fields for each in texts for name, fields in get_types_from_idl(each).items()}
    except Exception as error:  # a parser of damaged text raises anything
        raise InputError(f"the file's definition of {kind} cannot be read") from error


def _is_same(kind: str, stated: Fields, known: Fields) -> bool:
    """True where two definitions of a type name the same fields in the same order, down to the last."""
    waiting, seen = [kind], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in known or name not in stated:
            return name in known and name != kind  # a nested one that the file leaves out is the standard's
        ours, theirs = known[name][1], stated[name][1]
        if [(field.lower(), kind) for field, kind in ours] != [(field.lower(), kind) for field, kind in theirs]:
            return False
        waiting += [found for _, description in ours if (found := _named(description))]
    return True


def _named(description: Any) -> str:  # noqa: ANN401 - a field's, as rosbags holds it
    """The type that a field, or its elements, are of; "" for a plain one."""
    from rosbags.interfaces import Nodetype

    node, content = description
    if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        node, content = content[0]
    return str(content) if node == Nodetype.NAME else ""


@cache
def ros1_store() -> "Typestore":
    """ROS 1's types, with that of /tf_static, which rosbags' lack."""
    get_typestore, stores = _rosbags()
    from rosbags.typesys import get_types_from_msg

    store: Typestore = get_typestore(stores.ROS1_NOETIC)
    store.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms\n", TRANSFORMS))
    return store


@cache
def ros2_store(name: str) -> "Typestore":
    """ROS 2's types of a release."""
    get_typestore, stores = _rosbags()
    store: Typestore = get_typestore(stores[name])
    return store


def own_types(folders: Sequence[Path]) -> OwnTypes | None:
    """Types of the .msg files in the user's folders, PACKAGE/msg/NAME.msg; None of no folder. ROS's own stay ROS's.

    Raises:
        InputError: if a folder is none, or a definition cannot be used.
    """
    if not folders:
        return None
    get_typestore, releases = _rosbags()
    stores = {"ros1": get_typestore(releases.ROS1_NOETIC), "cdr": get_typestore(releases[NEWEST])}
    found: dict[str, Any] = {}
    for folder in folders:
        found |= _types_in(folder)
    found = {
        name: fields for name, fields in found.items() if not any(name in store.fielddefs for store in stores.values())
    }
    try:
        for store in stores.values():
            store.register(found)
    except Exception as error:  # of definitions that contradict one another it raises anything
        raise InputError(
            f"the definitions in {folders[0]} cannot be used ({printable(error, 200)}); mend them"
        ) from error
    return OwnTypes(frozenset(found), stores)


def _types_in(folder: Path) -> Fields:
    from rosbags.typesys import get_types_from_msg

    paths = sorted(folder.rglob("*.msg"))[:MOST_DEFINITIONS] if folder.is_dir() else []
    if not paths:
        raise InputError(f"{folder} holds no .msg file; name a folder of PACKAGE/msg/NAME.msg")
    found: dict[str, Any] = {}
    for path in paths:
        package = path.parent.parent.name if path.parent.name == "msg" else path.parent.name
        try:
            text = path.read_text(encoding="utf-8")[:LARGEST_DEFINITION]
            found |= get_types_from_msg(text, f"{package}/msg/{path.stem}")
        except Exception as error:  # a parser of damaged text raises anything
            raise InputError(
                f"{path} cannot be read as a message definition ({printable(error, 80)}); mend it"
            ) from error
    return found


def _rosbags() -> tuple[Any, Any]:
    """The library's ways to its stores of types.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise MissingExtraError("rosbags", "robot") from error
    return get_typestore, Stores
