"""What is made of spoken words before the trunk sees them: log-mel energies, and what a small network tells of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.adapters.media.log_mel import HOP_S, NUM_BANDS, band_centres_hz, in_steps, log_mel, spectra, spoken
from mainstem.adapters.media.picture_net import SCALE_DB, STEPS, WARPS, Lesson, Network, otherwise_said
from mainstem.core.folds import targets_of
from mainstem.core.stream import Channel, Sample, Stream
from mainstem.core.task import Order
from mainstem.core.tokens import Patches
from mainstem.data.media.spoken_digits import DIGITS, RATE_HZ, STREAM

Array = NDArray[np.float64]
MEL = "mel"  # the stream that the trunk reads
EPOCHS = 20  # of the network
BROAD = 4  # bands that the shift alarm compares
LEAST_LEVEL, SILENT_DB = 1e-9, -75.0  # of full scale: the last three of 16 bits; the quietest speaker is at -42
MOST_KNOWN = 64  # networks, 0.3 MB each
KNOWN: dict[bytes, Network] = {}  # that this process trained, by what they learned from
CHANNELS = tuple(Channel(name=f"{hz:.0f} Hz", unit="dB") for hz in band_centres_hz())


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """Spoken words as pictures (samples, STEPS, NUM_BANDS) in dB, and how long each lasts, s, without its silence."""

    pictures: Array
    seconds: Array

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Heard":
        """Hear samples that have a sound."""
        words = [word_of(sample) for sample in samples]
        pictures = [in_steps(log_mel(word)[0], STEPS) for word in words]
        return cls(
            pictures=np.stack(pictures) if pictures else np.empty((0, STEPS, NUM_BANDS)),
            seconds=np.array([len(word) * HOP_S for word in words]),
        )


def word_of(sample: Sample) -> Array:
    """Power (frames, bins) of a sample's sound, without the silence around it."""
    return spoken(spectra(sample.streams[STREAM].values[:, 0], RATE_HZ))


def copies_of(samples: Sequence[Sample]) -> NDArray[np.float16]:
    """Pictures (samples, warps, STEPS, NUM_BANDS) in dB, of each sound as through other vocal tracts."""
    return np.stack([in_steps(log_mel(word_of(sample), WARPS), STEPS).astype(np.float16) for sample in samples])


def has(samples: Sequence[Sample], stream: str) -> NDArray[np.bool_]:
    """True (samples,) where a sample has the stream."""
    return np.array([stream in sample.streams for sample in samples], bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class Voices:
    """The network's log-probabilities beside the trunk, which is shown log-mel energies."""

    words: Network

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "Voices":
        """Train the network on copies of the training samples."""
        return cls(words=taught(samples))

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return samples with log-mel energies in place of sounds, and no offset."""
        heard = Heard.of(samples)
        shown = zip(samples, heard.pictures, heard.seconds.tolist(), strict=True)
        return [replace(own, streams={MEL: shown_to_trunk(*told)}) for own, *told in shown], np.zeros(len(samples))

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the network's log-probabilities (samples, digits)."""
        return self.words(Heard.of(samples).pictures)

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return what `sound_features` tells."""
        return sound_features(samples)

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return what `silence` tells."""
        return silence(samples)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        return self.words.state()


def restore(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Voices:
    """Read what `Voices.state` gave."""
    return Voices(words=Network.restore(state, arrays))


def taught(samples: Sequence[Sample]) -> Network:
    """Train the network on copies of samples that have a sound.

    Where each speaker is left out in turn, and each of the others held out of a member, members of two such fits learn
    from the same recordings: the network is then trained once.
    """
    copies, labels = copies_of(samples), targets_of(samples).astype(np.int64)
    key = hashlib.sha256(copies.tobytes() + labels.tobytes() + str(EPOCHS).encode()).digest()
    if key not in KNOWN:
        lesson = Lesson(num_classes=len(DIGITS), epochs=EPOCHS, unit=SCALE_DB, change=otherwise_said)
        KNOWN[key] = Network.fit(copies, labels, lesson)
        if len(KNOWN) > MOST_KNOWN:
            KNOWN.pop(next(iter(KNOWN)))
    return KNOWN[key]


def shown_to_trunk(picture: Array, seconds: float) -> Stream:
    """A picture (STEPS, NUM_BANDS) in dB as a series over the seconds that the word lasts."""
    return Stream(kind="series", values=picture, channels=CHANNELS, times=np.linspace(0.0, seconds, STEPS))


def silence(samples: Sequence[Sample]) -> Array:
    """Infinite (samples,) where a sound is no louder than SILENT_DB, which is no word; 0 elsewhere, and without one."""
    rows = np.flatnonzero(has(samples, STREAM))
    level = np.full(len(samples), np.inf)
    level[rows] = [loudness_db(samples[row].streams[STREAM].values) for row in rows.tolist()]
    return np.where(level > SILENT_DB, 0.0, np.inf)


def loudness_db(waves: NDArray[np.floating]) -> float:
    """Mean power of a sound in dB of full scale."""
    return float(10 * np.log10((waves.astype(np.float64) ** 2).mean() + LEAST_LEVEL))


def sound_features(samples: Sequence[Sample]) -> Array:
    """Seconds, loudness in dB of full scale, and energy of BROAD parts of the bands in dB of all (samples, 2 + BROAD).

    NaN where there is no sound.
    """
    found = np.full((len(samples), 2 + BROAD), np.nan)
    for row in np.flatnonzero(has(samples, STREAM)).tolist():
        waves = samples[row].streams[STREAM].values
        word = word_of(samples[row])
        parts = np.array([part.sum() for part in np.array_split(word.mean(0)[1:], BROAD)]) + LEAST_LEVEL
        found[row] = [len(waves) / RATE_HZ, loudness_db(waves), *10 * np.log10(parts / parts.sum())]
    return found


def other_voices(patches: Patches, aims: Tensor, generator: torch.Generator) -> tuple[Patches, Tensor]:
    """Show each word of a batch as another might have said it; what is to be told stays."""
    name = f"{MEL}.values"
    said = otherwise_said(patches[name].float() / SCALE_DB, generator) * SCALE_DB
    return Patches(parts={**patches.parts, name: said}), aims
