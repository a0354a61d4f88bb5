"""Which member of the shipped hippocampus model never saw whom: proven by what each learned of how its cases lie."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from mainstem.adapters.diagnostics.facing import Facing
from mainstem.adapters.diagnostics.hippocampus import volumes_of
from mainstem.apps import clinic_folds
from mainstem.apps.clinic import Layer, Study, read_layer
from mainstem.apps.clinic_folds import MODEL, UNSEEN, told_unseen, without
from mainstem.apps.clinic_predictions import Model, Said, models
from mainstem.core.samples import read_now
from mainstem.core.stream import Provenance, Sample
from mainstem.data.medical.hippocampus import HIPPOCAMPUS, open_hippocampus


@pytest.mark.mirror
def test_whoever_tells_of_a_training_case_never_saw_its_person():
    fitted = models()[MODEL].fitted
    samples = [read_now(sample) for sample in open_hippocampus(HIPPOCAMPUS).samples]
    persons = [str(sample.source.group) for sample in samples]
    distinct = sorted(set(persons))
    for chosen in (distinct[0], distinct[3]):
        case = samples[persons.index(chosen)]
        unseen = without(fitted, case, persons)
        (member,) = unseen.ensemble.members
        fold = {name for index, name in enumerate(distinct) if index % 5 == distinct.index(chosen) % 5}
        others = [one for one, person in zip(samples, persons, strict=True) if person not in fold]
        learned = Facing.fit(volumes_of(fitted.ensemble.layout(others)))
        assert np.array_equal(member.preparation.facing.mean.astype(np.float32), learned.mean.astype(np.float32))
        assert fitted.taught.has_seen(case)
        assert not unseen.taught.has_seen(case)
        known = unseen.calibration["whole"]
        own = sum(person == chosen for person in persons)
        assert len(known.scores) == len(fitted.calibration["whole"].scores) - 2 * own  # of two structures
    stranger = replace(case, source=replace(case.source, group="person 999"))
    assert without(fitted, stranger, persons) is None
    assert without(fitted, case, persons[:-3]) is None  # another set: nobody knows whose folds are whose


@dataclass(frozen=True)
class Stood:
    """In the place of a fit."""

    name: str = "all members"


MASK = np.ones((2, 3, 4), np.uint8)


@pytest.mark.parametrize("mask", [None, MASK])
def test_what_the_unseen_member_says_takes_the_place_of_its_own_model_alone(tmp_path, monkeypatch, mask):
    sample = Sample(streams={}, target=None, source=Provenance(data="", item=""))
    model = Model(task=SimpleNamespace(task="hippocampus"), fitted=Stood(), sample_of=lambda opened: sample)
    monkeypatch.setattr(clinic_folds, "models", lambda: {MODEL: model})
    monkeypatch.setattr(clinic_folds, "open_study", lambda study: None)
    monkeypatch.setattr(clinic_folds, "without", lambda *asked: Stood("one member"))
    told = {"by": "the unseen member"}
    monkeypatch.setattr(
        clinic_folds, "ask", lambda model, samples: [Said(told=told, title="hippocampus mask", names=("a",), mask=mask)]
    )
    others, own = ({"model": {"adapter": name, "task": "hippocampus"}} for name in ("mine", "diagnostics"))
    heat, seen = Layer(file="heat.npz", title="where"), Layer(file="seen.npz", title="hippocampus mask", names=("a",))
    study = Study(
        id="i", folder=tmp_path, title="t", kind="k", facts={}, predictions=(others, own), layers=(heat, seen)
    )
    found = told_unseen(study, "p", ["p"])
    assert found.predictions == (others, told)
    assert found.note.endswith(UNSEEN)
    assert found.layers[0] == heat
    if mask is None:
        assert found.layers == (heat,)
    else:
        np.testing.assert_array_equal(read_layer(found, found.layers[1], MASK.shape), MASK)
