"""Sound as numbers from -1 to 1 at the rate that is asked for: whole, or block by block where it is long."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.opening import Opened, opened

if TYPE_CHECKING:
    from av import AudioFrame

Samples = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound, its channels' mean.

    Attributes:
        samples: float32 (n,) from -1 to 1.
        rate: samples a second.
        channels: that the file has.
        seconds: that were decoded, whatever the file says of itself.
        start_s: when it begins, from the file's own first instant (a video's sound may begin later).
        notes: what was found, a sentence each.
    """

    samples: Samples
    rate: int
    channels: int
    seconds: float
    start_s: float = 0.0
    notes: tuple[str, ...] = ()


def read_sound(path: Path, rate: int, bounds: Bounds = DEFAULT_BOUNDS) -> Sound:
    """Read the whole of a file's first sound track.

    Raises:
        InputError: if it has none, is damaged, or longer than the bounds let be held at once.
    """
    blocks, held = [], 0
    for block in read_blocks(path, rate, bounds=bounds):
        held += block.nbytes
        if held > bounds.memory // 2:  # it is copied once
            raise InputError(f"{plain(path.name)} is too long to be held at {rate} samples a second; read it in blocks")
        blocks.append(block)
    samples = np.concatenate(blocks)
    with opened(path, bounds) as file:
        channels = _heard(file, path).channels
    return Sound(samples=samples, rate=rate, channels=channels, seconds=len(samples) / rate)


def read_blocks(path: Path, rate: int, block_s: float = 10.0, bounds: Bounds = DEFAULT_BOUNDS) -> Iterator[Samples]:
    """Yield a file's first sound track, its channels' mean, in blocks of `block_s` seconds; the last may be shorter.

    Raises:
        InputError: if it has none, is damaged, or longer than the bounds.
    """
    length, held, num, total = max(1, round(block_s * rate)), [np.zeros(0, np.float32)], 0, 0
    for piece in _pieces(path, rate, bounds):
        held.append(piece)
        num += len(piece)
        total += len(piece)
        if total > bounds.seconds * rate:
            raise InputError(f"{plain(path.name)} holds more than {bounds.seconds:g} s of sound; split it")
        while num >= length:
            whole = np.concatenate(held)
            yield whole[:length]
            held, num = [whole[length:]], num - length
    if not total:
        raise InputError(f"{plain(path.name)} holds no sound that can be decoded; copy it again")
    if num:
        yield np.concatenate(held)


def _pieces(path: Path, rate: int, bounds: Bounds) -> Iterator[Samples]:
    from av import AudioResampler

    with opened(path, bounds) as file:
        resampler = AudioResampler(format="fltp", layout=_heard(file, path).layout, rate=rate)
        for frame in file.container.decode(_heard(file, path)):
            yield from map(_mean, resampler.resample(frame))
        yield from map(_mean, resampler.resample(None))


def _mean(frame: "AudioFrame") -> Samples:
    return np.clip(np.nan_to_num(frame.to_ndarray().mean(0, dtype=np.float32)), -1.0, 1.0)


def _heard(file: Opened, path: Path):  # noqa: ANN202
    if file.heard is None:
        raise InputError(f"{plain(path.name)} has no sound track; name a sound, or a video with one")
    return file.heard
