"""Log-mel energies of a spoken word: what a sound says once loudness, room and silence around it are taken away."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Waves = NDArray[np.floating]
FRAME_S, HOP_S, NUM_BINS = 0.025, 0.010, 129  # of a Fourier transform of 256 samples at 8 kHz
NUM_BANDS, LOWEST_HZ, HIGHEST_HZ = 32, 60.0, 3800.0
PRE_EMPHASIS = 0.97
SILENT_DB, DEPTH_DB = 35.0, 30.0  # below its loudest frame a word has ended; below its loudest band nothing is heard
KEPT_FRAMES = 2  # of what is silent, at either end
BENT_HZ = 3000.0  # up to here a warp stretches frequencies evenly
LEAST = 1e-9  # of a sound's mean power


def spectra(waves: Waves, rate: int) -> Array:
    """Power (frames, NUM_BINS) of a sound (samples,), mean square 1 once high frequencies are raised."""
    raised = np.append(waves[:1], waves[1:] - PRE_EMPHASIS * waves[:-1]).astype(np.float64)
    scaled = raised / np.sqrt((raised**2).mean() + 1e-15)
    length, hop = round(FRAME_S * rate), round(HOP_S * rate)
    padded = np.pad(scaled, (0, max(length - len(scaled), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop] * np.hamming(length)
    power: Array = np.abs(np.fft.rfft(frames, 2 * (NUM_BINS - 1))) ** 2
    return power


def spoken(power: Array) -> Array:
    """The frames from the first to the last that are heard, and KEPT_FRAMES around them."""
    loudness = 10 * np.log10(power.sum(1) + LEAST)
    heard = np.flatnonzero(loudness > loudness.max() - SILENT_DB)
    return power[max(heard[0] - KEPT_FRAMES, 0) : heard[-1] + KEPT_FRAMES + 1]


def log_mel(power: Array, warps: Sequence[float] = (1.0,)) -> Array:
    """Energies (warps, frames, NUM_BANDS) in dB, each band less its mean over the word.

    Source of the mean's removal: Atal 1974, Effectiveness of linear prediction characteristics of the speech wave for
    automatic speaker identification and verification, section III (cepstral mean subtraction).
    """
    banks = np.stack([filters(warp) for warp in warps])
    energies = 10 * np.log10(power @ banks.transpose(0, 2, 1) + LEAST)
    floored = np.maximum(energies, energies.max((1, 2), keepdims=True) - DEPTH_DB)
    centred: Array = floored - floored.mean(1, keepdims=True)
    return centred


@cache
def filters(warp: float, rate: int = 8000) -> Array:
    """Triangles (NUM_BANDS, NUM_BINS) even on the mel scale, each of sum 1, as a vocal tract shorter by `warp` has.

    Source: Davis & Mermelstein 1980, Comparison of parametric representations for monosyllabic word recognition,
    section II; Jaitly & Hinton 2013, Vocal tract length perturbation (VTLP) improves speech recognition, equation 1.
    """
    nyquist, at = rate / 2, np.linspace(0, rate / 2, NUM_BINS)
    edges = mel_to_hz(np.linspace(hz_to_mel(LOWEST_HZ), hz_to_mel(HIGHEST_HZ), NUM_BANDS + 2))
    bend = BENT_HZ * min(1.0, 1 / warp)
    above = nyquist - (nyquist - warp * bend) / (nyquist - bend) * (nyquist - edges)
    edges = np.where(edges <= bend, edges * warp, above)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    found = np.maximum(np.minimum((at - low) / (middle - low), (high - at) / (high - middle)), 0.0)
    for band in np.flatnonzero(found.sum(1) == 0):  # too narrow for any bin
        found[band, np.abs(at - middle[band]).argmin()] = 1.0
    shares: Array = found / found.sum(1, keepdims=True)
    return shares


def hz_to_mel(hz: float) -> float:
    """Pitch in mel. Source: O'Shaughnessy 1987, Speech communication, p. 150."""
    return float(2595 * np.log10(1 + hz / 700))


def mel_to_hz(mel: Array) -> Array:
    """The inverse of `hz_to_mel`."""
    found: Array = 700 * (10 ** (mel / 2595) - 1)
    return found


def band_centres_hz() -> Array:
    """Middle of each band (NUM_BANDS,), Hz."""
    return mel_to_hz(np.linspace(hz_to_mel(LOWEST_HZ), hz_to_mel(HIGHEST_HZ), NUM_BANDS + 2))[1:-1]


def in_steps(values: Array, num: int) -> Array:
    """Values (..., frames, bands) at `num` instants, evenly from the first frame to the last."""
    at = np.linspace(0, values.shape[-2] - 1, num)
    before = np.clip(np.floor(at).astype(np.intp), 0, max(values.shape[-2] - 2, 0))
    after, share = np.minimum(before + 1, values.shape[-2] - 1), (at - before)[:, None]
    found: Array = values[..., before, :] * (1 - share) + values[..., after, :] * share
    return found
