"""The journal of a map in the making: its plan, its finished blocks, and who may write there.

A block's file ends with a hash of the plan, of the block's number, of its header and of the CRC-32 of its values: one
that was cut off, changed, swapped or made by another plan is as good as missing, and is made again. A plan's hash keeps
apart what somebody may have made on purpose, and is sha256; values change by accident alone, of which CRC-32 misses one
in four thousand million and none of 32 bits in a row. Nobody waits until a block lies on the disk: one that a power
failure took is found out by its hash.

A map is made by one process, or by shards of one plan; who comes with something else is told so.
"""

import errno
import hashlib
import io
import json
import math
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mainstem.apps.map_blocks import Plan
from mainstem.core.errors import InputError
from mainstem.core.files import locked, write_atomically, write_whole
from mainstem.core.schema import first_mistake, read_object
from mainstem.core.tiling import Box, Values

PLAN_FILE = "plan.json"
HASH_BYTES = 32
MOST_OUTPUTS, MOST_BLOCKS = 1000, 10_000_000
WAIT_S = 60.0  # for another process to open the journal, which takes it milliseconds


def parts_folder(output: Path) -> Path:
    """Where a map's finished blocks lie until it is whole."""
    return output.with_name(f".{output.name}.parts")


def block_path(folder: Path, number: int) -> Path:
    """A block's file."""
    return folder / f"block-{number:06d}.npy"


@contextmanager
def reserved(output: Path, shard: tuple[int, int] = (0, 1)) -> Iterator[None]:
    """Keep others from mapping to this output: all of them, or, for a shard, all but the other shards.

    Raises:
        InputError: if another process maps to it.
    """
    is_new, (index, count) = not output.parent.exists(), shard
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as held:
            held.enter_context(locked(_lock(output, "lock"), str(output), shared=count > 1))
            if count > 1:
                held.enter_context(locked(_lock(output, f"{index}-of-{count}.lock"), f"shard {index} of {output}"))
            yield
    finally:
        if is_new:
            with suppress(OSError):  # that it is not empty: it holds a map, or its blocks
                output.parent.rmdir()


@contextmanager
def opened(output: Path, plan: Plan) -> Iterator[Path]:
    """Begin a map's journal, or go on with one of the same plan; blocks of another plan are deleted.

    Raises:
        InputError: if shards of another plan are being made there.
    """
    folder = parts_folder(output)
    with agreed(output, plan.digest(), lambda: _begin(folder, plan)):
        yield folder


@contextmanager
def agreed(output: Path, digest: str, begin: Callable[[], None]) -> Iterator[None]:
    """Keep those of another plan from an output, and `begin` there, which nobody else does at the same time.

    Raises:
        InputError: if shards of another plan are being made there.
    """
    with ExitStack() as held:
        with locked(_lock(output, "gate"), str(output), wait_s=WAIT_S):
            for other in output.parent.glob(f".{output.name}.plan-*"):
                if other != _plan_lock(output, digest):
                    with locked(other, f"{output} of other inputs"):
                        pass
            held.enter_context(locked(_plan_lock(output, digest), str(output), shared=True))
            begin()
        yield


def _begin(folder: Path, plan: Plan) -> None:
    try:
        if read_plan(folder) == plan:
            return
    except InputError:
        pass  # none yet, or damaged: blocks know their plan themselves
    else:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / PLAN_FILE, json.dumps({"digest": plan.digest(), **asdict(plan)}).encode())


def _lock(output: Path, what: str) -> Path:
    return output.with_name(f".{output.name}.{what}")


def _plan_lock(output: Path, digest: str) -> Path:
    return _lock(output, f"plan-{digest[:16]}")


def read_plan(folder: Path) -> Plan:
    """Read a map's plan, which holds a hash of itself.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    if not (folder / PLAN_FILE).is_file():
        raise InputError(f"{folder} holds no map in the making; run map first")
    plain = read_object(folder / PLAN_FILE, InputError)
    digest = plain.pop("digest", None)
    try:
        plan = TypeAdapter(Plan).validate_python(plain)
    except ValidationError as error:
        raise InputError(
            f"{folder / PLAN_FILE} is damaged: {first_mistake(error)}; run map or its shards again"
        ) from error
    if digest != plan.digest() or not _is_possible(plan):
        raise InputError(f"{folder / PLAN_FILE} is damaged: its hash is another; run map or its shards again")
    return plan


def _is_possible(plan: Plan) -> bool:
    """True where the blocks of a plan can be counted: nobody makes a list of what a forged one claims."""
    sides = ((plan.grid.height, plan.block[0]), (plan.grid.width, plan.block[1]))
    if any(length < 1 or step < 1 for length, step in sides):
        return False
    return math.prod(-(-length // step) for length, step in sides) <= MOST_BLOCKS


def save_block(folder: Path, plan: Plan, number: int, values: Values) -> None:
    """Write a block whole or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    path = block_path(folder, number)
    if path.is_dir():
        shutil.rmtree(path)
    values = np.ascontiguousarray(values, np.float32)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(values))
    digest = _digest(plan, number, header.getvalue(), zlib.crc32(values.data.cast("B")))
    write_whole(path, [header.getvalue(), values.data.cast("B"), digest], is_durable=False)


def is_intact(folder: Path, plan: Plan, number: int, span: Box) -> bool:
    """False where a block is missing, cut off, changed or another plan's."""
    path = block_path(folder, number)
    found = _header(path, span)
    if found is None:
        return False
    try:
        values = map_block(folder, number, span)
        with path.open("rb") as file:
            file.seek(-HASH_BYTES, io.SEEK_END)
            digest = file.read()
    except (OSError, ValueError):
        return False
    return digest == _digest(plan, number, found[1], zlib.crc32(values.data.cast("B")))


def map_block(folder: Path, number: int, span: Box) -> Values:
    """Map a block (out, y, x), which `is_intact`, into memory; keep it briefly: what is read of it counts as ours.

    Raises:
        OSError: if it is there no more.
    """
    path = block_path(folder, number)
    found = _header(path, span)
    if found is None:
        raise OSError(errno.ENOENT, "a finished block is gone", str(path))
    return np.memmap(path, "<f4", "r", len(found[1]), found[0])


def num_outputs(folder: Path, number: int, span: Box) -> int:
    """How many values a pixel of a block has, by its header; 0 where it is missing or cut off."""
    found = _header(block_path(folder, number), span)
    return 0 if found is None else found[0][0]


def _header(path: Path, span: Box) -> tuple[tuple[int, ...], bytes] | None:
    """Shape and header of a block's file; None where it is not of such a block."""
    sides = tuple(side.stop - side.start for side in span)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return None
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
            offset, size = file.tell(), path.stat().st_size
            if dtype != np.dtype("<f4") or is_fortran or len(shape) != 3 or shape[1:] != sides:
                return None
            if not 1 <= shape[0] <= MOST_OUTPUTS or size != offset + 4 * math.prod(shape) + HASH_BYTES:
                return None
            file.seek(0)
            return shape, file.read(offset)
    except (OSError, ValueError, TypeError, SyntaxError, MemoryError):  # whatever a damaged header may raise
        return None


def _digest(plan: Plan, number: int, header: bytes, crc: int) -> bytes:
    return hashlib.sha256(f"{plan.digest()} {number} {crc}\n".encode() + header).digest()


def intact(folder: Path, plan: Plan, numbers: Sequence[int]) -> set[int]:
    """Which of these blocks are whole."""
    blocks = plan.tiling.blocks()
    return {number for number in numbers if is_intact(folder, plan, number, blocks[number])}
