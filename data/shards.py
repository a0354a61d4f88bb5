"""Baked data sets: immutable shards of samples in Arrow's file format, read by memory map, under one record.

A folder holds `shards.json` (the record: what the set is, its licence and source, each file's size and sha256),
`index.arrow` (all that is told of samples but their streams), `batches.npy` (the first sample of every record batch)
and `shard-00000.arrow` ..., of 128 MB and more, whose rows are a sample's header, payload and CRC-32
(`data.shard_records`). The record, which signs itself, and the index are checked whenever a set is opened, a shard's
size when it is first read, and every sample's CRC-32 whenever it is read; `verify` reads all bytes.
Source: Apache Arrow columnar format 1.5, IPC file format.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.parallel import num_cores
from mainstem.core.samples import Load, SampleSet
from mainstem.core.schema import Count, Flag, Sha256, first_mistake, printable, read_object
from mainstem.core.stream import Sample, Stream
from mainstem.data.rights import SHARDS
from mainstem.data.shard_index import read_samples
from mainstem.data.shard_records import FOREIGN, decode

INDEX, BATCHES = "index.arrow", "batches.npy"
NO_SHARDS = (INDEX, BATCHES)  # of a set's files
FORMAT = 2
TOLD = tuple(each.name for each in fields(SampleSet) if each.name != "samples")  # of a set: its record says all of it
MOST_OPEN = 256  # shards that a process holds open
BATCHES_KEPT = 16  # as views of the memory map
AGAIN = "copy it again, or bake the set again into an empty folder"


class BakedFile(BaseModel):
    """One file of a set; `batches` are the record batches in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^(index\.arrow|batches\.npy|shard-[0-9]{5,9}\.arrow)$")]
    size: Count
    sha256: Sha256
    batches: Count = 0


class ShardsRecord(BaseModel):
    """What `shards.json` says: the attributes of a SampleSet by their names, and how they were baked.

    `adapter`, `task` and `options` are what read the data that were baked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mainstem_shards: Count = FORMAT
    name: str
    num: Count
    licence: str
    source: str
    attribution: str
    simulated: Flag
    adapter: str
    task: str
    options: dict[str, str]
    flagged: dict[str, str]
    test_groups: Annotated[frozenset[str], PlainSerializer(sorted)]
    classes: tuple[str, ...]
    unsound_split: str
    refused: dict[str, str]
    streams: dict[str, str]
    files: tuple[BakedFile, ...]

    def text(self) -> bytes:
        """The one text of this record: its entries sorted, and the sha256 of them."""
        facts = self.model_dump(mode="json")
        return _written({**facts, "sha256": hashlib.sha256(_written(facts)).hexdigest()})

    @property
    def shards(self) -> tuple[BakedFile, ...]:
        """The shards, in order."""
        return tuple(file for file in self.files if file.name not in NO_SHARDS)


def _written(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()


def is_baked(path: str | Path) -> bool:
    """True for a folder of shards, whole or not."""
    folder = Path(path)
    return folder.is_dir() and ((folder / SHARDS).exists() or any(folder.glob("shard-*.arrow")))


def read_record(folder: Path) -> ShardsRecord:
    """Read a set's record.

    Raises:
        InputError: if there is none, it is of another format, or any byte of it was changed.
    """
    path = folder / SHARDS
    if not path.is_file():
        raise InputError(f"{folder} holds shards without {SHARDS}, so that they are half-written; {AGAIN}")
    facts = read_object(path, InputError)
    if facts.get("mainstem_shards") != FORMAT:
        found = printable(facts.get("mainstem_shards"), 20)
        raise InputError(f"{path} is of format {found}, want {FORMAT}; {AGAIN}")
    try:
        record = ShardsRecord(**{name: value for name, value in facts.items() if name != "sha256"})
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {first_mistake(error)}; {AGAIN}") from error
    if record.text() != path.read_bytes():
        raise InputError(f"{path} is not as it was written: its sha256 differs; {AGAIN}")
    return record


def open_shards(folder: Path) -> SampleSet:
    """Open a baked set; streams are read when they are looked at.

    Raises:
        InputError: if its record or index is damaged, or a file is absent or half-written.
    """
    record = check_whole(folder)
    load = ShardStreams(folder=folder.absolute(), sha256=hashlib.sha256(record.text()).hexdigest())
    return SampleSet(samples=_indexed(folder / INDEX, load), **{name: getattr(record, name) for name in TOLD})


def check_whole(folder: Path) -> ShardsRecord:
    """Check record, index and the size of every file of a set, and return its record; no shard is read.

    Raises:
        InputError: naming the first that is not as it was written.
    """
    record = read_record(folder)
    for file in record.files:
        check_size(folder, file)
        if file.name in NO_SHARDS and (fault := _fault(folder, file)):
            raise InputError(f"{folder}: {fault}; {AGAIN}")
    return record


def _indexed(path: Path, load: Load) -> Sequence[Sample]:
    pa = arrow()
    try:
        with pa.memory_map(str(path)) as file:
            return read_samples(pa.ipc.open_file(file).read_all(), load)
    except (pa.ArrowException, OSError, *FOREIGN) as error:
        raise InputError(f"{path} cannot be read ({printable(error, 200)}); {AGAIN}") from error


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a set's files, of which all bytes are read; empty where the set is whole.

    Raises:
        InputError: if the record itself is damaged.
    """
    record = read_record(folder)
    with ThreadPoolExecutor(num_cores()) as pool:  # hashing holds no lock
        return [fault for fault in pool.map(partial(_fault, folder), record.files) if fault]


def refuse_damaged(names: Iterable[str]) -> None:
    """Refuse baked sets of which any byte was changed; all are read, some 0.6 s a GB and core.

    Raises:
        InputError: naming the first.
    """
    for name in names:
        if is_baked(name) and (faults := verify(Path(name))):
            more = f", and {len(faults) - 1} files more" if len(faults) > 1 else ""
            raise InputError(f"{printable(name, 200)} is damaged: {faults[0]}{more}; {AGAIN}")


def _fault(folder: Path, file: BakedFile) -> str:
    try:
        check_size(folder, file)
        with (folder / file.name).open("rb") as opened:
            is_whole = hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
    except (InputError, OSError) as error:
        return str(error)
    return "" if is_whole else f"{file.name} is not as it was written: its sha256 differs"


def check_size(folder: Path, file: BakedFile) -> None:
    """Check that a file is there at its size.

    Raises:
        InputError: if it is not.
    """
    path = folder / file.name
    size = path.stat().st_size if path.is_file() else None
    if size != file.size:
        told = "is absent" if size is None else f"has {size} bytes, its record says {file.size}: it is half-written"
        raise InputError(f"{path} {told}; {AGAIN}")


@dataclass(frozen=True)
class ShardStreams:
    """Reads the streams of a sample; goes to other processes as a folder's name and its record's sha256."""

    folder: Path
    sha256: str

    def __call__(self, row: int) -> Mapping[str, Stream]:
        """Return a sample's streams."""
        return _opened(self.folder, self.sha256).read(row)


@lru_cache(64)
def _opened(folder: Path, sha256: str) -> "_Shards":
    record = read_record(folder)
    if hashlib.sha256(record.text()).hexdigest() != sha256:
        raise InputError(f"{folder} was baked anew meanwhile; start again")
    return _Shards(folder, record)


class _Shards:
    """A set's shards, each opened when it is first asked for."""

    def __init__(self, folder: Path, record: ShardsRecord) -> None:
        self.folder, self.shards = folder, record.shards
        self.shard = lru_cache(MOST_OPEN)(self._open)
        self.batch = lru_cache(BATCHES_KEPT)(self._batch)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The first sample of each batch (batches,)."""
        found: NDArray[np.int64] = np.load(self.folder / BATCHES, mmap_mode="r", allow_pickle=False)
        return found

    @cached_property
    def first_batches(self) -> NDArray[np.int64]:
        """The first batch of each shard (shards,)."""
        return np.cumsum([0, *(shard.batches for shard in self.shards)])[:-1]

    def read(self, row: int) -> Mapping[str, Stream]:
        """Return a sample's streams.

        Raises:
            InputError: if their bytes are not what was written.
        """
        path = self.folder
        try:
            batch = int(np.searchsorted(self.starts, row, "right")) - 1
            number = int(np.searchsorted(self.first_batches, batch, "right")) - 1
            path = self.folder / self.shards[number].name
            headers, payloads, sums = self.batch(number, batch - int(self.first_batches[number]))
            place = row - int(self.starts[batch])
            header, payload = (memoryview(column[place].as_buffer()) for column in (headers, payloads))
            wanted = sums[place].as_py()
        except (arrow().ArrowException, OSError, *FOREIGN) as error:
            raise InputError(f"{path} cannot be read ({printable(error, 200)}); {AGAIN}") from error
        if zlib.crc32(payload, zlib.crc32(header)) != wanted:
            raise InputError(f"{path}: sample {row} is not as it was written (CRC-32 differs); {AGAIN}")
        return decode(bytes(header), payload)

    def _batch(self, number: int, place: int) -> tuple[Any, Any, Any]:
        """Columns of a record batch of a shard: headers, payloads, CRC-32s."""
        found = self.shard(number).get_batch(place)
        found.validate(full=True)
        headers, payloads, sums = found.columns
        return headers, payloads, sums

    def _open(self, number: int) -> Any:  # noqa: ANN401 - pyarrow's RecordBatchFileReader
        shard = self.shards[number]
        check_size(self.folder, shard)  # else reading beyond its end would kill this process
        return arrow().ipc.open_file(arrow().memory_map(str(self.folder / shard.name)))


def arrow() -> Any:  # noqa: ANN401 - a module without types
    """Import pyarrow, late.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("pyarrow", "earth") from error
    return pyarrow
