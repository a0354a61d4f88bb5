"""Bakes a set of samples into shards; what was begun and not ended leaves nothing that could be taken for a set."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import ValidationError

from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, sync_folder, write_whole
from mainstem.core.progress import Progress, silent
from mainstem.core.samples import SampleSet, read_now
from mainstem.core.schema import first_mistake
from mainstem.core.stream import Sample
from mainstem.data.rights import SHARDS, Rights
from mainstem.data.shard_index import ROWS_AT_ONCE, IndexRows
from mainstem.data.shard_index import schema as index_schema
from mainstem.data.shard_records import Record, encode
from mainstem.data.shards import BATCHES, INDEX, TOLD, BakedFile, ShardsRecord, arrow

SHARD_BYTES = 128 << 20  # a shard is closed once it holds so many: it has 128 MB and at most one sample more
BATCH_BYTES, BATCH_ROWS = 1 << 20, 1024  # a record batch is closed at the first of both


@dataclass(frozen=True, kw_only=True)
class ReadBy:
    """The adapter, its task and the options that read the data, so that nobody else takes them for its own."""

    adapter: str = ""
    task: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def bake(source: SampleSet, rights: Rights, out: Path, by: ReadBy, progress: Progress = silent) -> ShardsRecord:
    """Write a set's samples to the new folder `out`, and return its record; it takes its name when all are on the disk.

    Raises:
        ArtifactError: if `out` is no empty folder, or the disk is full.
        InputError: if another process is making it, or a stream, fact or target cannot be written.
    """
    record = _record(source, rights, by)  # before anything is written
    with new_folder(out) as folder:
        files, streams = _write_all(source, folder, progress)
        record = record.model_copy(update={"files": tuple(files), "streams": streams})
        write_whole(folder / SHARDS, [record.text()])
        sync_folder(folder)
    return record


def _record(source: SampleSet, rights: Rights, by: ReadBy) -> ShardsRecord:
    """What is told of a set before its samples are written."""
    told = {name: getattr(source, name) for name in TOLD}
    try:
        return ShardsRecord(
            **told,
            num=len(source.samples),
            source=rights.source,
            adapter=by.adapter,
            task=by.task,
            options=dict(by.options),
            streams={},
            files=(),
        )
    except ValidationError as error:
        raise InputError(f"the set cannot be baked: {first_mistake(error)}; mend what its reader tells") from error


def _write_all(source: SampleSet, folder: Path, progress: Progress) -> tuple[list[BakedFile], dict[str, str]]:
    """Write shards, index and batches, and return them and the kinds of streams by name."""
    shards, index = _Shards(folder), _Index(folder)
    streams: dict[str, str] = {}
    for row in range(len(source.samples)):
        sample = read_now(source.samples[row])
        streams |= {name: stream.kind for name, stream in sample.streams.items()}
        shards.add(encode(sample.streams))
        index.add(sample)
        if row % 64 == 0:
            progress("baking", row / len(source.samples))
    starts = folder / BATCHES
    with starts.open("wb") as file:
        np.save(file, np.array(shards.ended().starts, np.int64), allow_pickle=False)
    return [*shards.files, index.ended(), _baked(starts)], streams


class _Arrow:
    """An Arrow file that is being written."""

    def __init__(self, path: Path, schema: Any, compression: str | None = None) -> None:  # noqa: ANN401 - pyarrow's
        pa = arrow()
        self.path, self.schema, self.batches = path, schema, 0
        self.file: BinaryIO = path.open("wb")
        options = pa.ipc.IpcWriteOptions(compression=compression)
        self.writer = pa.ipc.new_file(self.file, schema, options=options)

    def write(self, columns: Mapping[str, list[Any]]) -> None:
        """Write a record batch."""
        pa = arrow()
        arrays = [pa.array(columns[each.name], each.type) for each in self.schema]
        self.writer.write_batch(pa.record_batch(arrays, schema=self.schema))
        self.batches += 1

    def ended(self) -> BakedFile:
        """Close the file, and return what is to be known of it."""
        self.writer.close()
        self.file.close()
        return _baked(self.path, self.batches)


def _baked(path: Path, batches: int = 0) -> BakedFile:
    """Hash a file that was written, and have it on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return BakedFile(name=path.name, size=path.stat().st_size, sha256=sha256, batches=batches)


class _Shards:
    """Samples' records on their way into shards."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.starts, self.num = folder, list[BakedFile](), list[int](), 0
        self.open: _Arrow | None = None
        self.waiting: list[Record] = []
        self.bytes_waiting, self.bytes_written = 0, 0

    def add(self, record: Record) -> None:
        """Add a sample's."""
        self.waiting.append(record)
        self.bytes_waiting += len(record.header) + len(record.payload)
        if self.bytes_waiting >= BATCH_BYTES or len(self.waiting) == BATCH_ROWS:
            self._write_batch()
        if self.bytes_written >= SHARD_BYTES:
            self._close()

    def ended(self) -> "_Shards":
        """Write what waits."""
        if self.waiting:
            self._write_batch()
        if self.open is not None:
            self._close()
        return self

    def _write_batch(self) -> None:
        if self.open is None:
            self.open = _Arrow(self.folder / f"shard-{len(self.files):05}.arrow", _schema())
        self.open.write(
            {
                "header": [record.header for record in self.waiting],
                "payload": [record.payload for record in self.waiting],
                "crc32": [record.crc32 for record in self.waiting],
            }
        )
        self.starts.append(self.num)
        self.num += len(self.waiting)
        self.bytes_written += self.bytes_waiting
        self.waiting, self.bytes_waiting = [], 0

    def _close(self) -> None:
        assert self.open is not None
        self.files.append(self.open.ended())
        self.open, self.bytes_written = None, 0


class _Index:
    """What is told of samples on its way into the index."""

    def __init__(self, folder: Path) -> None:
        self.file, self.rows = _Arrow(folder / INDEX, index_schema(), "zstd"), IndexRows()

    def add(self, sample: Sample) -> None:
        """Add a sample's row."""
        self.rows.add(sample)
        if len(self.rows) == ROWS_AT_ONCE:
            self._write()

    def ended(self) -> BakedFile:
        """Write what waits."""
        if len(self.rows):
            self._write()
        return self.file.ended()

    def _write(self) -> None:
        self.file.write(self.rows.columns)
        self.rows = IndexRows()


def _schema() -> Any:  # noqa: ANN401 - pyarrow's Schema
    pa = arrow()
    return pa.schema([("header", pa.large_binary()), ("payload", pa.large_binary()), ("crc32", pa.uint32())])
