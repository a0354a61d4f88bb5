"""What a study holds, one series of DICOM images or one volume, and what models are given of it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.data.medical.axes import to_model
from mainstem.data.medical.dicom_series import Series
from mainstem.data.medical.hippocampus import facts_of
from mainstem.data.medical.hippocampus_dicom import volume_of_series
from mainstem.data.medical.radiographs import of_series


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """What a study's files hold: one series of DICOM images, or one volume."""

    series: Series | None = None
    volume: Stream | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its slices (z, y, x)."""
        if self.series is not None:
            return len(self.series), self.series.rows, self.series.columns
        assert self.volume is not None
        return self.volume.values.shape[1:]

    def pixel_sha256(self) -> str:
        """Hash of every slice's pixels, those that no model reads too.

        Raises:
            InputError: if one cannot be decoded.
        """
        if self.series is not None:
            return self.series.pixel_sha256()
        assert self.volume is not None
        return hashlib.sha256(np.ascontiguousarray(self.volume.values).tobytes()).hexdigest()


NOTHING = frozenset({"normal", "no finding", "none", "healthy"})  # names of classes that say that nothing was found
SampleOf = Callable[[Opened], Sample]  # what a task is given of a study; an InputError says why it cannot be given it


def is_nothing(name: str) -> bool:
    """True of a class that says, however it is written, that nothing was found."""
    return name.strip().lower() in NOTHING


def radiograph_of(opened: Opened, side: int) -> Sample:
    """The middle picture on a grid of `side` x `side` pixels, with what its tags say.

    Raises:
        InputError: if it holds no picture that can be read.
    """
    if opened.series is None:
        raise InputError("a volume of NIfTI, and no radiograph")
    return of_series(opened.series, len(opened.series) // 2, side)


def volume_of(opened: Opened) -> Sample:
    """The whole MR volume, or a file's, which names no modality, its axes nearest to those of training.

    Raises:
        InputError: if it is of another modality, a single picture, or of no even grid.
    """
    stream = opened.volume
    if stream is None:
        assert opened.series is not None
        stream = volume_of_series(opened.series)
    shown, stored = to_model(stream)
    source = Provenance(data="", item="", facts={**facts_of(shown), **stored})
    return Sample(streams={"image": shown}, target=None, source=source)
