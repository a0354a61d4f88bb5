"""Samples to learn from: moments of trials, each with what the trunk sees of it and the true attitude."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.scoring import Trial
from mainstem.adapters.sensor_fusion.settings import stored_settings
from mainstem.adapters.sensor_fusion.track import follow
from mainstem.adapters.sensor_fusion.windows import moments, windows_at
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Provenance, Sample

Array = NDArray[np.float64]
SEEDS = (20_001,)  # of silences in training; evaluations draw from seeds below
EVERY = 6  # of the moments at which the trunk is asked, training takes one in so many


def moments_of(trials: Sequence[Trial], facts: Mapping[str, str], settings: str) -> SampleSet:
    """Return moments of trials, whole and with silences, as filters of stored settings stood at them.

    Args:
        trials: with an optical reference.
        facts: name, licence and attribution of the data.
        settings: the name of the stored ones.
    """
    samples = [sample for trial in trials for sample in _moments(trial, facts, settings)]
    return SampleSet(
        name=facts["name"], samples=tuple(samples), flagged={}, licence=facts["licence"],
        attribution=facts["attribution"],
    )  # fmt: skip


def _moments(trial: Trial, facts: Mapping[str, str], settings: str) -> Iterator[Sample]:
    known = stored_settings(settings)
    every = moments(len(trial), trial.rate_hz)
    counted = trial.scored & np.isfinite(trial.quat).all(1)
    for number, seed in enumerate((None, *SEEDS)):
        readings = trial.samples if seed is None else trial.silenced(trial.silences(seed))
        track = follow(readings, trial.steps_s, known)
        at = every[number % EVERY :: EVERY]
        at = at[counted[at]]
        for streams, place in zip(windows_at(readings, track, trial.rate_hz, at), at.tolist(), strict=True):
            source = Provenance(
                data=facts["name"],
                item=f"{trial.name} {place / trial.rate_hz:.2f} s" + ("" if seed is None else f" silenced {seed}"),
                group=trial.name,
                licence=facts["licence"],
                attribution=facts["attribution"],
                facts={"settings": settings, "kind": trial.kind},
            )
            yield Sample(streams=streams, target=trial.quat[place], source=source)
