"""What a fit's calibration is judged on: samples drawn with gaps are those of groups that a member never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mainstem.core.folds import group_folds
from mainstem.core.judging import calibrate_fit
from mainstem.core.layout import Layout
from mainstem.core.preparation import MeanOffset, restore_mean_offset
from mainstem.core.regression import (
    DataRequest,
    OutOfFold,
    Parts,
    Recipe,
    RegressionConfig,
    RegressionTask,
    Regressor,
)
from mainstem.core.stream import Channel, Provenance, Sample, SampleSet, Stream

FOLDS, GROUPS, EACH, ERROR = 3, 12, 10, 3.0
CONFIG = RegressionConfig(num_folds=FOLDS)


def sample(group: int, number: int) -> Sample:
    values = np.array([float(number)])
    streams = {
        name: Stream(kind="scalar", values=values, channels=(Channel(name=name, unit="1"),)) for name in ("soil", "sun")
    }
    source = Provenance(data="test", item=f"{group} {number}", group=f"farm {group:02d}")
    return Sample(streams=streams, target=float(number), source=source)


SAMPLES = [sample(group, number) for group in range(GROUPS) for number in range(EACH)]


def read(request: DataRequest) -> SampleSet:
    return SampleSet(name=request.data, samples=tuple(SAMPLES), flagged={}, attribution="")


TASK = RegressionTask(
    name="test", task="test", version="1", units="1", config=CONFIG, read=read,
    prepare=lambda samples, order: MeanOffset.fit(samples), restore=restore_mean_offset,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A member that knows the groups it was trained on by heart, and errs by ERROR on all others."""

    groups: frozenset[str]

    def predict(self, samples: Sequence[Sample]) -> Parts:
        told = [0.0 if str(one.source.group) in self.groups else ERROR for one in samples]
        nothing = np.zeros(len(samples))
        truth = np.array([float(one.target or 0.0) for one in samples])
        return Parts(past=truth - np.array(told), plain=nothing, trunk=nothing, scale=nothing + 1.0)


def fitted() -> tuple[Regressor, Mapping[str, OutOfFold]]:
    """A fit of members that know nothing but their own groups, as it is judged on those held out."""
    groups = tuple(str(one.source.group) for one in SAMPLES)
    members: Any = tuple(
        Memory(groups=frozenset(groups[row] for row in kept.tolist())) for kept, _ in group_folds(groups, FOLDS)
    )
    parts = Memory(groups=frozenset()).predict(SAMPLES)
    found = OutOfFold(
        truth=parts.past + ERROR, mean=parts.past, offset=parts.past, past=parts.past, scale=parts.scale,
        features=np.random.default_rng(0).normal(size=(len(SAMPLES), 2)), groups=groups, gate=0.0, share=0.0,
        parts=parts, own_features=np.zeros((len(SAMPLES), 0)),
    )  # fmt: skip
    regressor = Regressor(
        members=members,
        gates={"whole": 0.0}, shares={"whole": 0.0}, layout=Layout.of(SAMPLES),
    )  # fmt: skip
    return regressor, {"whole": found}


def test_samples_with_gaps_are_judged_by_the_member_that_never_saw_their_group():
    known = calibrate_fit(TASK, SAMPLES, fitted(), Recipe(config=CONFIG, order="any"), "test").calibration["whole"]
    assert known.patterns is not None
    assert set(known.patterns) == {"", "soil", "sun"}
    np.testing.assert_allclose(known.scores, ERROR)  # 0 where a member was asked for a group that it knows
    assert known.half_width(0.9, "soil") == pytest.approx(ERROR)


def test_every_group_is_judged_with_gaps_and_none_is_said_to_be_predicted_ahead():
    known = calibrate_fit(TASK, SAMPLES, fitted(), Recipe(config=CONFIG, order="any"), "test").calibration["whole"]
    assert known.groups is not None
    lacking = [group for group, pattern in zip(known.groups, known.patterns or (), strict=True) if pattern]
    assert len(set(lacking)) == GROUPS
    assert len(known.groups) == len(SAMPLES) * (1 + CONFIG.num_gap_draws)
    assert not known.forward


def test_calibration_says_how_far_it_is_until_its_end():
    told: list[float] = []
    recipe = Recipe(config=CONFIG, order="any")
    calibrate_fit(TASK, SAMPLES, fitted(), recipe, "test", lambda stage, share: told.append(share))
    assert len(told) >= FOLDS
    assert told == sorted(told)
    assert told[-1] == 1.0
