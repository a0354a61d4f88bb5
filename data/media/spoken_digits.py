"""Spoken digits: recordings of a word each, as they were sampled, by speaker; a set by name, or files of one's own."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.core.samples import SampleSet
from mainstem.core.split import TEST
from mainstem.core.stream import NO_LICENCE, Channel, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.media.bounds import DEFAULT_BOUNDS
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.sounds import read_sound
from mainstem.data.tabular import shown

Waves = NDArray[np.float32]
SPOKEN_DIGITS = "spoken-digits"
FILE = "fsdd_0_24.npz"
DIGITS = tuple("0123456789")
STREAM = "sound"
RATE_HZ = 8000  # of the set; others are resampled to it
FULL_SCALE = 1 << 15  # of 16 bits
CHANNELS = (Channel(name="pressure", unit="1"),)  # share of full scale
OFFICIAL_TEST = range(5)  # indices, as the set's README has it
LONGEST_S, SHORTEST_S = 5.0, 0.05  # of one digit; the set's last 0.14 to 2.3 s
NAMED = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)")  # as the set's files are


def open_spoken_digits(data: str, mirror: Path | None = None) -> SampleSet:
    """Read the set by name, or sound files of one's own: one, or a folder of them.

    Files named DIGIT_SPEAKER_INDEX, as the set's are, have a known digit and speaker; others are to be told.

    Raises:
        InputError: if it is neither, or a file holds no sound of SHORTEST_S to LONGEST_S.
    """
    if data == SPOKEN_DIGITS:
        known = find_data_set(data)
        of = Provenance(data=data, item="", licence=known.licence, attribution=known.attribution)
        return set_of(list(_recorded(pull(data, mirror) / FILE, of)), of)
    path = Path(data)
    if not path.exists():
        raise InputError(f"got {shown(data)}; want {SPOKEN_DIGITS}, a sound file, or a folder of them")
    of = Provenance(data=own_name(path.name), item="", licence=NO_LICENCE)
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if is_sound(one))
    if not files:
        raise InputError(f"{plain(path.name)} holds no sound file; want such as 7_anna_0.wav")
    return set_of([read_spoken(file, of) for file in files], of)


def is_sound(path: Path) -> bool:
    """True where a file holds sound, whatever its name."""
    return path.is_file() and kind_of(path) == "sound"


def set_of(samples: list[Sample], of: Provenance) -> SampleSet:
    """Return samples of digits with what is said of them all."""
    return SampleSet(
        name=of.data,
        samples=tuple(samples),
        flagged={},
        attribution=of.attribution,
        licence=of.licence,
        classes=DIGITS,
    )


def _recorded(path: Path, of: Provenance) -> Iterator[Sample]:
    """Give the set's recordings; those of OFFICIAL_TEST are its test part."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names, offsets, samples = (file[name] for name in ("names", "offsets", "samples"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name} is damaged ({error!s:.80}); pull {SPOKEN_DIGITS} again") from error
    for name, start, stop in zip(names.tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        yield sample_of(samples[start:stop].astype(np.float32) / FULL_SCALE, name, of)


def read_spoken(path: Path, of: Provenance) -> Sample:
    """Read a sound file as one digit.

    Raises:
        InputError: if it holds no sound, or one too short or too long for a digit.
    """
    bounds = replace(DEFAULT_BOUNDS, seconds=LONGEST_S)
    found = read_sound(path, RATE_HZ, bounds)
    if found.seconds < SHORTEST_S:
        raise InputError(f"{plain(path.name)} lasts {found.seconds:.3f} s, want {SHORTEST_S} s or more of one digit")
    return sample_of(found.samples, path.stem, of, path.name)


def sample_of(waves: Waves, name: str, of: Provenance, item: str = "") -> Sample:
    """Return a recording (samples,), full scale 1, at RATE_HZ; its name tells digit, speaker and part, where it can."""
    told = NAMED.fullmatch(name)
    facts: dict[str, str | float] = {"seconds": len(waves) / RATE_HZ}
    source = replace(of, item=item or name, facts=facts)
    if told is not None:
        is_test = of.data == SPOKEN_DIGITS and int(told["index"]) in OFFICIAL_TEST
        facts["speaker"] = told["speaker"]
        source = replace(source, group=told["speaker"], part=TEST if is_test else "")
    stream = Stream(kind="series", values=waves[:, None], channels=CHANNELS, times=np.arange(len(waves)) / RATE_HZ)
    target = None if told is None else float(told["digit"])
    return Sample(streams={STREAM: stream}, target=target, source=source)
