"""Digits written and spoken: each picture with a recording of its class, of most of which training shows one alone.

Made of scikit-learn's digits and the spoken digits, as Ma et al. 2021, SMIL: Multimodal learning with severely missing
modality, section 4.1, pair MNIST with them. Nobody wrote and spoke a pair: what both show in common is the digit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.core.samples import SampleSet
from mainstem.core.split import TEST
from mainstem.core.stream import NO_LICENCE, Channel, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, own_name
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.pictures import read_picture
from mainstem.data.media.spoken_digits import (
    DIGITS,
    NAMED,
    SPOKEN_DIGITS,
    STREAM,
    open_spoken_digits,
    read_spoken,
    set_of,
)
from mainstem.data.rights import rights_of
from mainstem.data.tabular import shown

Ink = NDArray[np.float32]
DIGIT_PAIRS = "digit-pairs"
PICTURE = "picture"
STREAMS = (STREAM, PICTURE)
SIDE = 8  # pixels
MOST_INK = 16  # of scikit-learn's digits: pixels of a 4 x 4 block of the scan that were inked
CHANNELS = (Channel(name="ink", unit="1"),)  # share of a pixel
MISSING = 0.9  # of the pairs of training, that miss one stream
SEED = 15  # of pairs and of what they miss
ATTRIBUTION = "Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998, UCI, CC BY 4.0), as in scikit-learn"


@dataclass(frozen=True, kw_only=True, eq=False)
class Written:
    """Pictures (digits, SIDE, SIDE), ink 0 to 1, and their classes (digits,), in two halves: learned from, and tested.

    scikit-learn's own example parts them so, by their order.
    """

    ink: Ink
    labels: NDArray[np.int64]

    @classmethod
    def read(cls) -> "Written":
        """Read scikit-learn's digits."""
        from sklearn.datasets import load_digits

        found = load_digits()
        return cls(ink=(found.images / MOST_INK).astype(np.float32), labels=found.target.astype(np.int64))

    def of(self, digit: int, is_test: bool) -> NDArray[np.intp]:
        """Places of one digit's pictures in one half."""
        half = np.arange(len(self.labels)) >= len(self.labels) // 2
        return np.flatnonzero((self.labels == digit) & (half == is_test))


def open_digit_pairs(data: str, mirror: Path | None = None, missing: float = MISSING) -> SampleSet:
    """Read the pairs by name, or files of one's own: those of one name, whatever their kind, belong together.

    A share of `missing` of the training pairs lacks one stream each, the sound or the picture in turn; those that lack
    it, and the pairs, are drawn by SEED alone. Every test picture is there with a recording of the official test, each
    of which occurs about three times, which makes it a group.

    Raises:
        InputError: if it is neither, or a file is no digit.
    """
    if not 0 <= missing <= 1:
        raise InputError(f"got {missing:g} of the pairs to miss a stream, want a share from 0 to 1")
    if data == DIGIT_PAIRS:
        known = find_data_set(SPOKEN_DIGITS)
        attribution, licence = f"{known.attribution}; {ATTRIBUTION}", rights_of(data).licence
        of = Provenance(data=data, item="", licence=licence, attribution=attribution)
        spoken = open_spoken_digits(SPOKEN_DIGITS, mirror)
        return set_of(list(pairs_of(spoken.samples, Written.read(), of, missing)), of)
    path = Path(data)
    if not path.exists():
        raise InputError(f"got {shown(data)}; want {DIGIT_PAIRS}, a picture, a sound, or a folder of both")
    return _own(path, Provenance(data=own_name(path.name), item="", licence=NO_LICENCE))


def pairs_of(spoken: Sequence[Sample], written: Written, of: Provenance, missing: float) -> Iterator[Sample]:
    """Give training pairs, no picture or recording in two, some without a stream, and then the pairs of the test."""
    rng = np.random.default_rng(SEED)
    training = [pair for digit in range(len(DIGITS)) for pair in _matched(spoken, written, digit, (False, rng))]
    order = rng.permutation(len(training))
    lacking = order[: round(missing * len(order))].tolist()
    lost = {row: STREAMS[place % 2] for place, row in enumerate(lacking)}
    for row, (recording, picture) in enumerate(training):
        sample = _pair(recording, written.ink[picture], picture, of)
        yield replace(sample, streams={name: own for name, own in sample.streams.items() if name != lost.get(row)})
    for digit in range(len(DIGITS)):
        for recording, picture in _matched(spoken, written, digit, (True, rng)):
            sample = _pair(recording, written.ink[picture], picture, of)
            yield replace(sample, source=replace(sample.source, part=TEST))


def _matched(
    spoken: Sequence[Sample], written: Written, digit: int, drawn: tuple[bool, np.random.Generator]
) -> list[tuple[Sample, int]]:
    """Recordings and pictures of one digit, of the test or not, shuffled; a test's recordings go round."""
    is_test, rng = drawn
    heard = [sample for sample in spoken if sample.target == digit and (sample.source.part == TEST) == is_test]
    pictures, order = rng.permutation(written.of(digit, is_test)), rng.permutation(len(heard))
    num = len(pictures) if is_test else min(len(pictures), len(heard))
    return [(heard[order[index % len(heard)]], int(pictures[index])) for index in range(num)]


def _pair(recording: Sample, ink: Ink, picture: int, of: Provenance) -> Sample:
    """A recording and a picture as one sample; its group is the recording."""
    item = recording.source.item
    source = replace(of, item=f"{item}, picture {picture}", group=item)
    return Sample(streams={**recording.streams, PICTURE: picture_stream(ink)}, target=recording.target, source=source)


def picture_stream(ink: Ink) -> Stream:
    """Ink (SIDE, SIDE), 0 to 1, as a stream."""
    return Stream(kind="image", values=ink[None], channels=CHANNELS)


def _own(path: Path, of: Provenance) -> SampleSet:
    """Read files of one's own, by name."""
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file())
    found: dict[str, dict[str, Path]] = {}
    for file in files:
        kind = {"sound": STREAM, "image": PICTURE}.get(str(kind_of(file)))
        if kind is not None and kind in found.setdefault(file.stem, {}):
            raise InputError(f"{plain(file.stem)} has two files of {kind}; rename one")
        if kind is not None:
            found[file.stem][kind] = file
    samples = [_read(name, files, of) for name, files in found.items() if files]
    if not samples:
        raise InputError(
            f"{plain(path.name)} holds no picture and no sound; want such as 7_anna_0.wav and 7_anna_0.png"
        )
    return set_of(samples, of)


def _read(name: str, files: Mapping[str, Path], of: Provenance) -> Sample:
    streams = dict(read_spoken(files[STREAM], of).streams) if STREAM in files else {}
    if PICTURE in files:
        streams[PICTURE] = picture_stream(ink_of(files[PICTURE]))
    told = NAMED.fullmatch(name)
    target = None if told is None else float(told["digit"])
    return Sample(streams=streams, target=target, source=replace(of, item=name, group=name if told else None))


def ink_of(path: Path) -> Ink:
    """Ink (SIDE, SIDE), 0 to 1, of a picture of one digit, bright on dark, that fills it.

    Raises:
        InputError: if it is no picture.
    """
    from PIL import Image

    grey = Image.fromarray(read_picture(path).pixels).convert("L")
    ink: Ink = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / np.float32(255)
    return ink
