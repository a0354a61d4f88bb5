"""Words that are made, a chord of two gliding tones a digit by speakers of other pitch; and pictures of digits."""

import wave
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

RATE = 8000


def word(digit: int, speaker: int, index: int) -> np.ndarray:
    """Samples of 0.3 s or so, -1 to 1, between two stretches of near silence."""
    rng = np.random.default_rng([digit, speaker, index])
    seconds = np.arange(int(RATE * rng.uniform(0.25, 0.4))) / RATE
    low, high = 300 + 60 * digit, 900 + 230 * (digit * 3 % 10)
    glide = 1 + 0.1 * speaker + 0.2 * seconds
    sound = np.sin(2 * np.pi * low * glide * seconds) + 0.7 * np.sin(2 * np.pi * high * glide * seconds)
    quiet = np.zeros(RATE // 20)
    samples = np.concatenate([quiet, 0.2 * sound, quiet])
    return samples + rng.normal(0, 1e-4, len(samples))


def write_wave(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """Write 16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_words(folder: Path, num_speakers: int = 3, each: int = 2) -> Path:
    """Write DIGIT_SPEAKER_INDEX.wav of all digits."""
    folder.mkdir(parents=True, exist_ok=True)
    for digit in range(10):
        for speaker in range(num_speakers):
            for index in range(each):
                write_wave(folder / f"{digit}_speaker{speaker}_{index}.wav", word(digit, speaker, index))
    return folder


def write_pairs(folder: Path, num_speakers: int = 3) -> Path:
    """Write DIGIT_SPEAKER_INDEX.wav and .png; each third pair lacks its sound, each third its picture."""
    known = load_digits()
    folder = write_words(folder, num_speakers)
    for number, path in enumerate(sorted(folder.glob("*.wav"))):
        pictures = known.images[known.target == int(path.name[0])]
        if number % 3:
            grey = (pictures[number % len(pictures)] * 15.9375).astype(np.uint8)
            Image.fromarray(grey).save(path.with_suffix(".png"))
        if number % 3 == 1:
            path.unlink()
    return folder
