"""Sound as numbers from -1 to 1 at the rate that is asked for: whole, or block by block where it is long."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.opening import Opened, decoded, opened

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler, AudioStream

LEAST_RATE, MOST_RATE = 1000, 768_000  # samples a second; below, a few bytes would become hours
MOST_CHANNELS = 64
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
    with opened(path, bounds) as file:
        stream = _heard(file, path)
        pieces: list[Samples] = []
        held, start_s = 0, 0.0
        for time_s, samples in _pieces(file, stream, path, rate, bounds):
            start_s = start_s if pieces else time_s
            pieces.append(samples)
            held += 2 * samples.nbytes  # laid together, they are there twice
            if held > bounds.memory:
                raise InputError(
                    f"{plain(path.name)} is too long to be held at {rate} samples a second; read it in blocks"
                )
        samples = np.concatenate(pieces)
        seconds = len(samples) / rate
        return Sound(
            samples=samples,
            rate=rate,
            channels=stream.channels,
            seconds=seconds,
            start_s=start_s,
            notes=_about(stream, seconds),
        )


def read_blocks(path: Path, rate: int, block_s: float = 10.0, bounds: Bounds = DEFAULT_BOUNDS) -> Iterator[Samples]:
    """Yield a file's first sound track, its channels' mean, in blocks of `block_s` seconds; the last may be shorter.

    Raises:
        InputError: if it has none, is damaged, or longer than the bounds.
    """
    length = max(1, round(block_s * rate))
    held: list[Samples] = []
    num = 0
    with opened(path, bounds) as file:
        for _, samples in _pieces(file, _heard(file, path), path, rate, bounds):
            held.append(samples)
            num += len(samples)
            if num >= length:
                whole = np.concatenate(held)
                for start in range(0, num - length + 1, length):
                    yield whole[start : start + length]
                held, num = [whole[num // length * length :]], num % length
    if num:
        yield np.concatenate(held)


def _pieces(
    file: Opened, stream: "AudioStream", path: Path, rate: int, bounds: Bounds
) -> Iterator[tuple[float, Samples]]:
    """Pieces of a track, and when each begins."""
    most, total = bounds.seconds * rate, 0
    for time_s, frame in _resampled(file, stream, path, rate):
        samples = np.clip(np.nan_to_num(frame.to_ndarray().mean(0, dtype=np.float32)), -1.0, 1.0)
        total += len(samples)
        if total > most:
            raise InputError(f"{plain(path.name)} holds more than {bounds.seconds:g} s of sound; split it")
        if len(samples):
            yield time_s, samples
    if not total:
        raise InputError(f"{plain(path.name)} holds no sound that can be decoded; copy it again")


def _resampled(file: Opened, stream: "AudioStream", path: Path, rate: int) -> Iterator[tuple[float, "AudioFrame"]]:
    """Frames at the rate asked for, and when each begins; a track may change its own rate or channels on its way."""
    resampler: AudioResampler | None = None
    form: tuple[str, str, int] | None = None
    time_s = 0.0
    for any_frame in decoded(file, stream, path):
        frame = cast("AudioFrame", any_frame)
        if form != (found := (frame.format.name, frame.layout.name, frame.sample_rate)):
            if resampler is not None:
                yield from ((time_s, rest) for rest in resampler.resample(None))
            resampler, form = _resampler(frame, path, rate), found
        assert resampler is not None
        time_s = time_s if frame.pts is None or frame.time is None else frame.time - file.start_s
        yield from ((time_s, made) for made in resampler.resample(frame))
    if resampler is not None:
        yield from ((time_s, rest) for rest in resampler.resample(None))


def _resampler(frame: "AudioFrame", path: Path, rate: int) -> "AudioResampler":
    from av import AudioResampler

    if not LEAST_RATE <= frame.sample_rate <= MOST_RATE or not 1 <= frame.layout.nb_channels <= MOST_CHANNELS:
        raise InputError(
            f"{plain(path.name)} says {frame.sample_rate} samples a second in {frame.layout.nb_channels} channels; "
            f"want {LEAST_RATE} to {MOST_RATE} in at most {MOST_CHANNELS}"
        )
    return AudioResampler(format="fltp", layout=frame.layout, rate=rate)


def _about(stream: "AudioStream", seconds: float) -> tuple[str, ...]:
    """What is to be said where a track's own length is not what was decoded."""
    if stream.duration is None or stream.time_base is None:
        return ()
    told = float(stream.duration * stream.time_base)
    if abs(told - seconds) <= max(0.5, 0.02 * seconds):
        return ()
    return (f"it says that it lasts {told:.1f} s and {seconds:.1f} s can be decoded; it may be cut off",)


def _heard(file: Opened, path: Path) -> "AudioStream":
    if file.heard is None:
        raise InputError(f"{plain(path.name)} has no sound track; name a sound, or a video with one")
    return file.heard
