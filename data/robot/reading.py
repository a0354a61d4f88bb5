"""Any recording of a robot to a `Recording`: which reader, by what the file begins with, then by its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Recording

READ: Final = (
    "ROS 1 bags (.bag), ROS 2 bags (.mcap, .db3, or their folder), PX4 logs (.ulg), LeRobot v3 folders, CSV, .npz and "
    ".mat are read"
)
ROS: Final = (b"#ROSBAG V", b"\x89MCAP0\r\n", b"SQLite format 3\0")
ULOG: Final = b"ULog\x01\x12\x35"
ZIP: Final = b"PK\x03\x04"
HDF5: Final = b"\x89HDF\r\n\x1a\n"
MATLAB: Final = b"MATLAB "
USER_BLOCK: Final = 512
TEXT: Final = (".csv", ".tsv", ".txt")


def read_recording(path: Path, msg_paths: Sequence[Path] = (), episode: int | None = None) -> Recording:
    """Read a recording.

    Args:
        path: of a file, or of the folder of a ROS 2 bag or a LeRobot set.
        msg_paths: folders of message definitions, for ROS bags that lack some.
        episode: of a LeRobot set.

    Raises:
        InputError: if it is none of READ, damaged, or its units are unclear.
        MissingExtraError: if the library that reads it is not installed.
    """
    try:
        return _read(path, msg_paths, episode)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror or error!s:.80}); check it") from error


def _read(path: Path, msg_paths: Sequence[Path], episode: int | None) -> Recording:
    if not path.exists():
        raise InputError(f"no file {path}; give a recording")
    kind = kind_of(path)
    if kind != "ros" and msg_paths:
        raise InputError(f"{path.name} is no ROS bag, message definitions are of no use to it; leave them out")
    if kind != "lerobot" and episode is not None:
        raise InputError(f"{path.name} is no LeRobot set and has no episodes; leave the episode out")
    if kind == "ros":
        from mainstem.data.robot.ros import read_bag

        return read_bag(path, msg_paths)
    if kind == "lerobot":
        from mainstem.data.robot.lerobot import read_lerobot

        return read_lerobot(path, episode)
    if kind == "ulog":
        from mainstem.data.robot.ulog import read_ulog

        return read_ulog(path)
    if kind == "npz":
        from mainstem.data.robot.arrays import read_arrays

        return read_arrays(path)
    if kind == "mat":
        from mainstem.data.robot.matlab import read_matlab

        return read_matlab(path)
    from mainstem.data.robot.csv_logs import read_csv_log

    return read_csv_log(path)


def kind_of(path: Path) -> str:
    """Return "ros", "ulog", "npz", "mat", "csv" or "lerobot".

    Raises:
        InputError: if it is none of them.
    """
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.is_file():
        raise InputError(f"{path.name} is no plain file; {READ}")
    with path.open("rb") as file:
        head = file.read(USER_BLOCK + len(HDF5))
    if not head:
        raise InputError(f"{path.name} is empty; record or fetch it again")
    if head.startswith(ROS):
        return "ros"
    if head.startswith(ULOG):
        return "ulog"
    if head.startswith(ZIP) and path.suffix.casefold() == ".npz":
        return "npz"
    is_mat = path.suffix.casefold() == ".mat"
    if head.startswith(MATLAB) or (is_mat and HDF5 in (head[: len(HDF5)], head[USER_BLOCK:])):
        return "mat"
    if path.suffix.casefold() in TEXT:
        return "csv"
    raise InputError(f"{path.name} begins as none of the files that are read ({_looks_like(head)}); {READ}")


def _kind_of_folder(path: Path) -> str:
    if (path / "meta" / "info.json").is_file():
        return "lerobot"
    if (path / "metadata.yaml").is_file() or any(path.glob("*.mcap")) or any(path.glob("*.db3")):
        return "ros"
    raise InputError(f"{path.name} is a folder of neither a ROS 2 bag nor a LeRobot set; {READ}")


def _looks_like(head: bytes) -> str:
    known = (
        (ZIP, "a zip: unpack it"),
        (HDF5, "HDF5"),
        (b"\x1f\x8b", "gzip: unpack it"),
        (b"\x28\xb5\x2f\xfd", "Zstandard: unpack it"),
        (b"BZh", "bzip2: unpack it"),
        (b"PAR1", "Parquet"),
    )
    return next((words for magic, words in known if head.startswith(magic)), f"it begins {head[:8]!r}")
