"""Fingerprints of sound: signs of how energy changes over 25 bands, at every speed that a copy may play with.

A word of 24 signs every 12 ms; words that stand in loud moments are marked, for in quiet ones noise decides, and so it
does where a sound does not change. Copies share some words exactly; where they lie side by side, the share of signs
that differ decides. A faster or slower copy is found by words of the query as they would be at each of SPEEDS, with
its pitch moved alike or kept.

Source: J. Haitsma and T. Kalker, 2002, A highly robust audio fingerprinting system, ISMIR.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.prints_postings import Words
from mainstem.data.media.sounds import read_blocks

RATE = 8000  # samples a second: what a telephone carries
WINDOW, HOP = 2048, 96  # samples
HOP_S = HOP / RATE
PIECE_S = 60.0  # of a query: memory is bounded, and a piece of a long recording is found in another
LOWEST_HZ, HIGHEST_HZ, NUM_BANDS = 200.0, 1800.0, 25  # where voices and most instruments are strongest
LAG = 6  # words: 72 ms between the energies that are compared
LOUD = np.uint32(1 << 31)
QUIET = 30.0  # of a piece's loud energy (95th percentile) to the least that is loud: 15 dB
STEADY = 0.03  # of the bands' energy that changes over LAG; of speech 99.9 % have 0.07, a tone or mains hum 0.005
SILENT = 1e-2  # energy of a window below which there is none: a tone of full scale has 10^5
SPEEDS = tuple(1.0 + 0.0125 * step for step in range(-5, 6))  # 0.9375 to 1.0625, as far apart as words bear
PARTIAL = np.hanning(WINDOW).astype(np.float32)
TOP = int(HIGHEST_HZ * max(SPEEDS) * WINDOW / RATE) + 2  # bins of the spectrum that are needed


@dataclass(frozen=True)
class Variant:
    """How a copy may play: times as fast as the other, and its frequencies times as high."""

    speed: float
    pitch: float

    def words(self) -> str:
        """How it plays, in words."""
        if self.speed == 1.0:
            return "at the same speed"
        kept = "pitch kept" if self.pitch == 1.0 else "pitch moved alike"
        return f"at {self.speed:.4g} times the speed, {kept}"


VARIANTS = tuple(
    Variant(speed, speed if is_moved else 1.0)
    for speed, is_moved in product(SPEEDS, (True, False))
    if is_moved or speed != 1.0
)
AS_IT_IS = VARIANTS.index(Variant(1.0, 1.0))


@dataclass(frozen=True)
class SoundPiece:
    """A minute of a sound, to be looked up.

    Attributes:
        start: number of the sound's word that its first word is.
        played: words (n,) that the sound would have if it played as the other does, for each of VARIANTS.
    """

    start: int
    played: tuple[Words, ...]

    def words(self) -> Words:
        """Words (n,) of the sound as it plays."""
        return self.played[AS_IT_IS]


def _words(bands: NDArray[np.float32], energy: NDArray[np.float32], speed: float) -> Words:
    places = np.arange(0.0, len(bands) - 1, 1 / speed)
    levels, loud = _between(bands, places), _between(energy, places)[LAG:]
    slopes, heights = np.diff(levels, axis=1), np.exp(levels)
    packed = np.packbits(slopes[LAG:] > slopes[:-LAG], axis=1)
    words = packed.astype(np.uint32) @ np.array([1, 1 << 8, 1 << 16], np.uint32)
    is_loud = loud * QUIET >= max(float(np.quantile(loud, 0.95)), QUIET * SILENT)
    change = np.abs(heights[LAG:] - heights[:-LAG]).sum(1) / (heights[LAG:] + heights[:-LAG]).sum(1)
    return np.where(is_loud & (change >= STEADY), words | LOUD, words).astype(np.uint32)


def sound_pieces(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Iterator[SoundPiece]:
    """Yield a file's sound minute by minute; pieces overlap, so that their words join without a gap.

    Raises:
        InputError: if it has none, or cannot be read.
    """
    num_words = round(PIECE_S / HOP_S)
    held, start = np.zeros(0, np.float32), 0
    length = (num_words + LAG) * HOP + WINDOW  # one frame more than words: the last is only interpolated to
    for block in read_blocks(path, RATE, bounds=bounds):
        held = np.concatenate([held, block])
        while len(held) >= length + num_words * HOP // 4:  # the last piece is not left too short to be compared
            yield SoundPiece(start, _played(_spectra(held[:length])))
            held, start = held[num_words * HOP :], start + num_words
    if len(held) >= WINDOW + (LAG + 2) * HOP:
        yield SoundPiece(start, _played(_spectra(held)))


def _played(spectra: NDArray[np.float32]) -> tuple[Words, ...]:
    """Words for each of VARIANTS, of spectra (frame, bin): energy summed over the frequencies below each bin."""
    energies = {pitch: _energies(spectra, pitch) for pitch in {variant.pitch for variant in VARIANTS}}
    return tuple(_words(*energies[variant.pitch], variant.speed) for variant in VARIANTS)


def _energies(spectra: NDArray[np.float32], pitch: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logarithms of the bands' energies (frame, band), and the energy of all (frame,)."""
    edges = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (np.arange(NUM_BANDS + 1) / NUM_BANDS)
    below = _between(spectra.T, edges * pitch * WINDOW / RATE).T
    bands = np.log(np.maximum(np.diff(below, axis=1), 0.0) + 1e-9)
    return bands.astype(np.float32), below[:, -1] - below[:, 0]


def _spectra(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    found = np.zeros((len(frames), TOP), np.float32)
    for begin in range(0, len(frames), 512):  # 512 frames at once: 8 MB
        power = np.abs(np.fft.rfft(frames[begin : begin + 512] * PARTIAL)[:, : TOP - 1]) ** 2
        found[begin : begin + 512, 1:] = np.cumsum(power, axis=1)
    return found


def _between(rows: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows at places between them."""
    whole = np.floor(places).astype(np.int64)
    part = (places - whole).astype(np.float32).reshape(-1, *[1] * (rows.ndim - 1))
    return rows[whole] * (1 - part) + rows[np.minimum(whole + 1, len(rows) - 1)] * part


def signs_apart(first: Words, second: Words) -> tuple[float, float]:
    """Share of signs that differ where both are loud, and the seconds of that; words (n,) side by side."""
    loud = (first & second & LOUD) > 0
    if not loud.any():
        return 0.5, 0.0
    apart = np.bitwise_count((first[loud] ^ second[loud]) & ~LOUD)
    return float(apart.mean() / (NUM_BANDS - 1)), float(loud.sum() * HOP_S)
