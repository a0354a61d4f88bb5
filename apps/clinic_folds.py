"""A training case shown as an unseen one: by the member of a model of folds that never saw the case's person."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mainstem.apps.clinic import Layer, Study, write_layer
from mainstem.apps.clinic_predictions import Said, ask, mask_title, models
from mainstem.apps.clinic_reading import open_study
from mainstem.core.conformal import Calibration
from mainstem.core.fitted import Fitted
from mainstem.core.stream import Sample
from mainstem.core.taught import print_of
from mainstem.data.medical.hippocampus import HIPPOCAMPUS

MODEL = "diagnostics hippocampus"
UNSEEN = "told by the one of the model's members that never saw this person"
SEEN = "seen in training: the model has learnt from this very case, so that its answer proves nothing"


def told_unseen(study: Study, person: str, persons: Collection[str]) -> Study:
    """A crop of the hippocampus' own set, as whom the model has not seen tells it where there is one; else labelled.

    Args:
        study: whose files are in place, and which every model was asked about.
        person: whose crop it is.
        persons: of the whole set, which say who was in whose fold.
    """
    if MODEL not in models() or not any(map(_is_of_model, study.predictions)):
        return study
    model = models()[MODEL]
    read = model.sample_of(open_study(study))
    origin = replace(read.source, data=HIPPOCAMPUS, item=study.id, group=person, attribution=study.attribution)
    sample = replace(read, source=origin)
    unseen = without(model.fitted, sample, persons)
    if unseen is None:
        return replace(study, note=f"{study.note}; {SEEN}") if model.fitted.taught.has_seen(sample) else study
    (said,) = ask(replace(model, fitted=unseen), [sample])
    return replace(_said_by(study, said), note=f"{study.note}; {UNSEEN}")


def _is_of_model(told: Mapping[str, Any]) -> bool:
    return f"{told['model']['adapter']} {told['model']['task']}" == MODEL


def _said_by(study: Study, said: Said) -> Study:
    """A study with what the unseen member says in the place of what the model said, and no mask where it says none."""
    is_model = [_is_of_model(one) for one in study.predictions]
    told = [said.told if asked else one for asked, one in zip(is_model, study.predictions, strict=True)]
    layers = [layer for layer in study.layers if layer.title != mask_title(models()[MODEL].task)]
    if said.mask is not None:
        file = write_layer(study, is_model.index(True), said.mask)
        layers.append(Layer(file=file, title=said.title, names=said.names))
    return replace(study, predictions=tuple(told), layers=tuple(layers))


def without(fitted: Fitted, sample: Sample, persons: Collection[str]) -> Fitted | None:
    """The member that never saw a sample's person, with what calibration knows of all others; None where none is known.

    Folds are dealt as `core.folds.group_folds` deals them, to the persons in order.
    """
    names, members, training = sorted(set(persons)), fitted.ensemble.members, fitted.manifest.training
    keys = {fitted.manifest.keys(name) for name in names}
    if training["judged_on"] != "folds" or keys != set(training["groups"]) or sample.source.group not in names:
        return None
    key = fitted.manifest.keys(sample.source.group)
    member = members[names.index(sample.source.group) % min(len(members), len(names))]
    seen = {data: [group for group in groups if group != key] for data, groups in training["seen"].items()}
    taught = replace(
        fitted.taught,
        training={**training, "seen": seen},
        trained=np.setdiff1d(fitted.taught.trained, [print_of(sample)]),
    )
    calibration = {view: _of_others(known, key) for view, known in fitted.calibration.items()}
    return replace(fitted, ensemble=fitted.ensemble.alone(member), calibration=calibration, taught=taught)


def _of_others(known: Calibration, key: str) -> Calibration:
    kept = np.array([group != key for group in known.groups], bool)
    return replace(
        known,
        scores=known.scores[kept],
        groups=tuple(np.asarray(known.groups)[kept].tolist()),
        patterns=tuple(known.pattern_of_cases()[kept].tolist()),
        strata=None if known.strata is None else tuple(np.asarray(known.strata)[kept].tolist()),
    )
