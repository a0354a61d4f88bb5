"""The files of a ROS 2 bag's folder, in their order. Source: rosbag2, metadata.yaml of versions 1 to 9."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml

from mainstem.core.errors import InputError
from mainstem.core.schema import printable
from mainstem.data.limits import measure_folder
from mainstem.data.robot.ros_records import NO_INDEX, Lost

METADATA = "metadata.yaml"
LARGEST_BYTES = 1 << 20  # of metadata.yaml: a topic takes some 1,500 of it
DEEPEST = 12  # levels of it: it has 8
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = ("*.db3", "*.mcap")


def files_of(path: Path, lost: Lost) -> Iterator[tuple[Path, bool]]:
    """Yield the files of a bag, and whether each message in them is packed by zstd.

    Raises:
        InputError: if there is none, they are packed as a whole, or a link leads out of the folder.
    """
    if not path.exists():
        raise InputError(f"no file {path}; name a .bag, .db3 or .mcap file, or a ROS 2 bag's folder")
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path} is no plain file; give a .bag, .db3 or .mcap file")
        yield path, False
        return
    measure_folder(path)  # no link in it may lead elsewhere
    told = _metadata(path, lost)
    if str(told.get("compression_mode", "")).lower() == "file":
        raise InputError(f"the files of {path.name} are packed as a whole; unpack them first (zstd -d)")
    is_packed = str(told.get("compression_mode", "")).lower() == "message"
    found = {file for pattern in KINDS for file in path.glob(pattern) if file.is_file()}
    order = [path / PurePath(str(name)).name for name in _listed(told, "relative_file_paths")]
    for missing in (file for file in order if file not in found):
        lost[f"{printable(missing.name)}, which {METADATA} names, is not there"] += 1
    if not found:
        raise InputError(f"{path} holds no .db3 and no .mcap file; give a ROS 2 bag's folder, or the file itself")
    for file in [*(file for file in order if file in found), *sorted(found.difference(order))]:
        yield file, is_packed


def _metadata(folder: Path, lost: Lost) -> Mapping[str, Any]:
    """What the folder's metadata.yaml says; nothing where it is absent or damaged, which is noted."""
    path = folder / METADATA
    if not path.is_file():
        lost[NO_INDEX] += 1
        return {}
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError("it is too large")
        found = _read(path.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        if isinstance(found, dict):
            return found
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        pass
    lost[f"{METADATA} cannot be read; the files were taken by name"] += 1
    return {}


def _read(text: str) -> Any:  # noqa: ANN401 - whatever a file holds
    """What a YAML text holds.

    Raises:
        ValueError: if it could grow when it is read: by many levels, or by names of what stands elsewhere.
    """
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or getattr(event, "anchor", None):
            raise ValueError("it is no metadata of a bag")
    loader = LOADER(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _listed(told: Mapping[str, Any], name: str) -> list[Any]:
    found = told.get(name)
    return found if isinstance(found, list) else []
