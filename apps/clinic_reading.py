"""From a study's files, a series of DICOM images or a NIfTI volume, to what is shown and what models are given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.clinic import INPUT, Layer, Study, opaque, write_layer
from mainstem.apps.clinic_listing import ALONE, Listed, held_in
from mainstem.core.errors import InputError
from mainstem.core.stream import Provenance, Sample
from mainstem.data.medical.studies import Opened

if TYPE_CHECKING:
    from mainstem.apps.clinic_predictions import Said

Samples = Mapping[str, Sample | InputError]


def open_study(study: Study) -> Opened:
    """Open the very series or volume that was listed; no pixel of a series is decoded.

    Raises:
        InputError: if its files are gone or others, or cannot be read.
    """
    listed = [one for one in held_in(study.files).listed if study.series in ("", one.key)]
    if len(listed) != 1:
        raise InputError("the study's files are gone, or others than were listed; open them again")
    return Opened(series=listed[0].series, volume=listed[0].volume())


def studies_in(folder: Path, known: Sequence[Study] = ()) -> tuple[list[Study], list[str]]:
    """Studies of a user's files, with what the models say of all together, and why files were refused.

    One that is known stays as it is.
    """
    held = held_in(folder / INPUT)
    before = {study.id: study for study in known}
    new = [study for one in held.listed if (study := _own(folder, one)).id not in before]
    told = [replace(study, title=f"Own study {len(before) + 1 + index}") for index, study in enumerate(new)]
    after = before | {study.id: study for study in said_of(told)}
    return [after[opaque(one.key)] for one in held.listed], list(held.refused)


def _own(folder: Path, one: Listed) -> Study:
    alone = f"; marks structures, and is no picture. {ALONE}" if one.series is not None and one.series.is_mask else ""
    return Study(
        id=opaque(one.key), folder=folder, title="", kind=one.kind, series=one.key, facts={}, patient=one.patient(),
        note="opened by you, kept for this session alone" + alone, attribution="the user's own",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A study, its slices' shape and whether they are a series', and what models are given of it."""

    study: Study
    shape: tuple[int, ...] = ()
    is_series: bool = False
    samples: Samples


def said_of(studies: Sequence[Study]) -> list[Study]:
    """Return studies with what every model says of them, asked once for all; masks are written beside their files."""
    from mainstem.apps.clinic_predictions import ask_all  # late: looking needs no torch

    asked = [_asked(study) for study in studies]
    said = ask_all([one.samples for one in asked])
    return [_answered(one, told) for one, told in zip(asked, said, strict=True)]


def _asked(study: Study) -> _Asked:
    """What models are given of a study; what none of them predicts is not kept, for it may be gigabytes."""
    from mainstem.apps.clinic_predictions import within_scope

    try:
        opened = open_study(study)
        samples, pixels = _samples(study, opened), opened.pixel_sha256()
    except InputError as error:
        return _Asked(study=replace(study, note=f"{study.note}; cannot be read: {error}"), samples={})
    return _Asked(
        study=replace(study, pixel_sha256=pixels), shape=opened.shape,
        is_series=opened.series is not None, samples={name: within_scope(name, one) for name, one in samples.items()},
    )  # fmt: skip


def _answered(asked: _Asked, said: Sequence["Said"]) -> Study:
    layers = [layer for number, one in enumerate(said) for layer in _layers(asked, number, one)]
    return replace(asked.study, predictions=tuple(one.told for one in said), layers=tuple(layers))


def _layers(asked: _Asked, number: int, said: "Said") -> Iterator[Layer]:
    """Write what a model lays over a study, on the grid of its slices."""
    values = said.mask
    if said.heat is not None and asked.is_series:
        values = np.zeros(asked.shape, np.uint8)
        values[len(values) // 2] = over_square(said.heat, *asked.shape[1:])
    if values is not None:
        yield Layer(file=write_layer(asked.study, number, values), title=said.title, names=said.names)


def over_square(heat: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Lay a square (side, side) over the largest square in the middle of a picture, as `on_grid` took it from there."""
    short, side = min(rows, columns), len(heat)
    at = np.arange(short) * side // short
    found = np.zeros((rows, columns), np.uint8)
    top, left = (rows - short) // 2, (columns - short) // 2
    found[top : top + short, left : left + short] = heat[at][:, at]
    return found


def _samples(study: Study, opened: Opened) -> Samples:
    """What each model is given of a study, or why it cannot be given it."""
    from mainstem.apps.clinic_predictions import models

    found: dict[str, Sample | InputError] = {}
    for name, model in models().items():
        try:
            found[name] = _named(study, model.sample_of(opened))
        except InputError as error:
            found[name] = error.with_traceback(None)  # which would hold on to pixels
    return found


def _named(study: Study, sample: Sample) -> Sample:
    """A sample under the study's own name, with what the set that it is of says of its patients beside its files."""
    source = Provenance(
        data="clinic", item=study.id, attribution=study.attribution, simulated=bool(study.simulated),
        facts={**sample.source.facts, **study.facts},
    )  # fmt: skip
    return replace(sample, source=source)
