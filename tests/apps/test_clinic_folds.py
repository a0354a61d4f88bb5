"""Which member of the shipped hippocampus model never saw whom: proven by what each learned of how its cases lie."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.adapters.diagnostics.facing import Facing
from mainstem.adapters.diagnostics.hippocampus import volumes_of
from mainstem.apps.clinic_folds import MODEL, without
from mainstem.apps.clinic_predictions import models
from mainstem.core.samples import read_now
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
