"""LeRobot data sets of version 3.0: one episode as a recording, whose features have names and no units.

    meta/info.json                                  fps, features (dtype, shape, names), codebase_version "v3.0"
    meta/episodes/chunk-000/file-000.parquet        a row an episode: where its frames are
    data/chunk-000/file-000.parquet                 a row a frame: timestamp, episode_index and a column a feature
    videos/...                                      not read

Source: huggingface/lerobot, src/lerobot/datasets (utils.py, dataset_metadata.py), format v3.0.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel
from mainstem.data.json_text import read_json
from mainstem.data.limits import measure_folder
from mainstem.data.parquet_files import open_parquet
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.recording import Array, Recording, Sensor

INFO: Final = Path("meta", "info.json")
LARGEST_INFO: Final = 16 << 20
MOST_CHANNELS: Final = 4096
BOOKKEEPING: Final = ("timestamp", "frame_index", "episode_index", "index", "task_index")
NUMBERS: Final = re.compile(r"u?int(8|16|32|64)|float(16|32|64)|bool")
DATA_PATH: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
UNSTATED: Final = "unstated"
RATE_TOLERANCE: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class Info:
    """What meta/info.json says: frames a second, and channel names of each feature that holds numbers."""

    fps: float
    channels: Mapping[str, tuple[str, ...]]
    skipped: Mapping[str, str]


def read_lerobot(folder: Path, episode: int | None = None) -> Recording:
    """Read one episode; of a set that holds one alone it need not be named.

    Raises:
        InputError: if the folder is no such set, is damaged, or has several episodes and none is named.
    """
    measure_folder(folder)  # no link in it may lead elsewhere
    info = _info(folder)
    place = _episode(folder, episode)
    found = _frames(folder, place, info)
    times = found.pop("timestamp")[:, 0]
    sensors = {
        name: Sensor(
            kind="other", times=times, values=values, source=name,
            channels=tuple(Channel(name=channel, unit=UNSTATED) for channel in info.channels[name]),
        )
        for name, values in found.items()
    }  # fmt: skip
    return Recording(
        name=f"{folder.name} episode {place['episode_index']}",
        sensors=sensors,
        skipped=info.skipped,
        faults=_rate(times, info.fps),
        body="robot",
    )


def _info(folder: Path) -> Info:
    path = folder / INFO
    if not path.is_file() or path.stat().st_size > LARGEST_INFO:
        raise InputError(f"{folder.name} holds no {INFO}, or one of more than 16 MiB; give the folder of a LeRobot set")
    try:
        told = read_json(path.read_text("utf-8"))
        version, fps, features = str(told["codebase_version"]), float(told["fps"]), told["features"]
        if not isinstance(features, Mapping):
            raise TypeError("its features are no object")
        data_path = told.get("data_path", DATA_PATH)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise InputError(f"{folder.name}/{INFO} is no description of a LeRobot set ({error!s:.80})") from error
    if not version.startswith("v3."):
        raise InputError(f"{folder.name} is of version {version[:20]!r}, want v3.0; convert it by LeRobot's own script")
    if data_path != DATA_PATH:
        raise InputError(f"{folder.name} keeps its frames in {str(data_path)[:80]!r}, want {DATA_PATH}; write it anew")
    if not 0 < fps < 1e6:
        raise InputError(f"{folder.name} says {fps:g} frames a second; mend {INFO}")
    found = _features(folder.name, fps, features)
    if not found.channels:
        raise InputError(f"{folder.name} names no feature of numbers in one dimension; give a set of a robot's states")
    return found


def _features(name: str, fps: float, features: Mapping[str, Any]) -> Info:
    channels: dict[str, tuple[str, ...]] = {}
    skipped: dict[str, str] = {}
    for feature, told in features.items():
        kind = str(told.get("dtype")) if isinstance(told, Mapping) else "nothing"
        shape = told.get("shape") if isinstance(told, Mapping) else None
        if feature in BOOKKEEPING:
            continue
        if not NUMBERS.fullmatch(kind):
            skipped[feature] = f"{kind[:20]}, no numbers"
        elif not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise InputError(f"{name}: the feature {feature[:40]!r} has the shape {str(shape)[:40]}; mend {INFO}")
        elif len(shape) != 1 or shape[0] > MOST_CHANNELS:
            skipped[feature] = f"of shape {shape!s:.40}, want one dimension of at most {MOST_CHANNELS}"
        else:
            channels[feature] = _names(told.get("names"), shape[0])
    return Info(fps=fps, channels=channels, skipped=skipped)


def _names(told: Any, count: int) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    """Names of a feature's channels: a list, or lists by a word as "motors"; numbers where they are none or too few."""
    flat: Sequence[Any] = []
    if isinstance(told, Mapping):
        flat = [name for names in told.values() if isinstance(names, list) for name in names]
    elif isinstance(told, list):
        flat = told
    names = tuple(str(name)[:80] for name in flat)
    return names if len(names) == count and len(set(names)) == count else tuple(map(str, range(count)))


def _episode(folder: Path, episode: int | None) -> dict[str, int]:
    """Where an episode's frames are."""
    columns = ("episode_index", "data/chunk_index", "data/file_index", "length")
    places: dict[int, dict[str, int]] = {}
    for path in sorted((folder / "meta" / "episodes").glob("chunk-*/file-*.parquet")):
        for row in _rows(path, columns, folder):
            places[row["episode_index"]] = row
    if not places:
        raise InputError(f"{folder.name} holds no episode; give a whole LeRobot set")
    if episode is None and len(places) > 1:
        raise InputError(f"{folder.name} holds {len(places)} episodes, {min(places)} to {max(places)}; say which one")
    chosen = next(iter(places)) if episode is None else episode
    if chosen not in places:
        raise InputError(f"{folder.name} has no episode {chosen}; it has {min(places)} to {max(places)}")
    return places[chosen]


def _rows(path: Path, columns: Sequence[str], folder: Path) -> list[dict[str, int]]:
    table = _table(path, columns, folder)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*(table[c].to_pylist() for c in columns), strict=True)]
    if any(type(value) is not int for row in rows for value in row.values()):
        raise InputError(f"{path.name} of {folder.name} has episodes without whole numbers of place; write it anew")
    return rows


def _table(path: Path, columns: Sequence[str], folder: Path, rows: Any = None) -> Any:  # noqa: ANN401 - pyarrow's
    """Some columns of a shard, as a pyarrow Table."""
    import pyarrow as pa

    where = f"{path.relative_to(folder)} of {folder.name}"
    if not path.is_file():
        raise InputError(f"{where} is missing; give a whole LeRobot set")
    try:
        with open_parquet(path) as file:
            missing = [column for column in columns if column not in file.schema_arrow.names]
            if missing:
                raise InputError(f"{where} lacks the column {missing[0][:40]!r}; write the set anew")
            table = file.read(columns=list(columns), use_threads=False)
            return table if rows is None else table.filter(rows)
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise InputError(f"{where} cannot be read as Parquet ({error!s:.100}); fetch or write it again") from error


def _frames(folder: Path, place: Mapping[str, int], info: Info) -> dict[str, Array]:
    """The episode's features (frames, channels), and its timestamp."""
    import pyarrow.compute as pc

    chunk, number = place["data/chunk_index"], place["data/file_index"]
    path = folder / "data" / f"chunk-{chunk:03d}" / f"file-{number:03d}.parquet"
    of_episode = pc.field("episode_index") == place["episode_index"]
    table = _table(path, ["timestamp", "episode_index", *info.channels], folder, of_episode)
    if table.num_rows != place["length"] or not table.num_rows:
        raise InputError(
            f"{folder.name} says that episode {place['episode_index']} has {place['length']} frames, "
            f"{path.name} has {table.num_rows}; fetch the set again"
        )
    sizes = {"timestamp": 1, **{name: len(channels) for name, channels in info.channels.items()}}
    return {name: _numbers(table[name], size, f"{path.name}: {name}") for name, size in sizes.items()}


def _numbers(column: Any, size: int, where: str) -> Array:  # noqa: ANN401 - pyarrow's
    """A column of numbers, or of lists of `size` numbers, as (frames, size); NaN where one is null."""
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    try:
        if is_list:
            rows: list[Any] = column.to_pylist()
            if any(row is not None and len(row) != size for row in rows):
                raise InputError(f"{where} holds lists of other lengths than {size}; mend {INFO}")
            return np.array([row if row is not None else [np.nan] * size for row in rows], np.float64).reshape(-1, size)
        values: NDArray[np.float64] = np.array(column.cast(pa.float64()), np.float64).reshape(-1, 1)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"{where} holds {str(kind)[:40]}, want numbers; mend {INFO}") from error
    if size != 1:
        raise InputError(f"{where} holds single numbers, {INFO} says {size}; mend one")
    return values


def _rate(times: Array, fps: float) -> tuple[Finding, ...]:
    """Whether frames come as fast as is said."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    if len(steps) < 10 or abs(float(np.median(steps)) * fps - 1) <= RATE_TOLERANCE:
        return ()
    words = f"{fps:g} frames a second are said, stamps step by {float(np.median(steps)):.4g} s; mend fps or the stamps"
    return (Finding(sensor="", what="rate", state="bad", count=len(steps), words=words),)
