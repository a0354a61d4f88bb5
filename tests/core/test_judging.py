"""What a fit's calibration is judged on: each case by what never saw its group, also with gaps, early, and later."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from mainstem.core.conformal import Calibration
from mainstem.core.fit import Fit, OutOfFold
from mainstem.core.folds import targets_of
from mainstem.core.judging import calibrate_fit, forward_judges
from mainstem.core.layout import Layout
from mainstem.core.member import Ensemble
from mainstem.core.preparation import ONE_VIEW, View, from_the_mean
from mainstem.core.samples import SampleSet
from mainstem.core.split import Split
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, FitConfig, Recipe, Task
from mainstem.core.training import TrainingConfig

FOLDS, GROUPS = 3, 12
CONFIG = FitConfig(num_folds=FOLDS, training=TrainingConfig(epochs=1))
FARMS = tuple(f"farm {number:02d}" for number in range(GROUPS))
YEARS = tuple(str(year) for year in range(2000, 2000 + GROUPS))


def sample(row: int, group: str, number: int) -> Sample:
    """A sample of a target, and of an error and a scale of its own, by which a mix-up of rows would show."""
    values = np.array([float(number)])
    streams = {
        name: Stream(kind="scalar", values=values, channels=(Channel(name=name, unit="1"),)) for name in ("soil", "sun")
    }
    facts = {"error": 1 + row / 10 + number / 1000, "scale": 0.5 + (7 * row + number) % 5 / 10}
    source = Provenance(data="test", item=f"{group} {number}", group=group, facts=facts)
    return Sample(streams=streams, target=row * row + number / 10, source=source)


def samples_of(names: Sequence[str] = FARMS) -> list[Sample]:
    """Groups of 4 to 12 samples."""
    return [sample(row, name, number) for row, name in enumerate(names) for number in range(4 + row * 5 % 9)]


def shuffled(samples: Sequence[Sample]) -> list[Sample]:
    return [samples[row] for row in np.random.default_rng(5).permutation(len(samples))]


def read(request: DataRequest) -> SampleSet:
    return SampleSet(name=request.data, samples=tuple(samples_of()), flagged={}, attribution="")


TASK = Task(
    name="test", task="test", version="1", target=Quantity(units="1"), config=CONFIG, read=read, prepare=from_the_mean
)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A member that knows the groups it was trained on by heart, and errs by each sample's own error on all others.

    Of samples without sun it says that it errs `early` times as much, and in truth errs `without` times as much.
    """

    groups: frozenset[str]
    without: float = 1.0
    early: float = 1.0

    @property
    def encoder(self) -> tuple[int, int, str]:
        return id(self), id(self), ""

    def outputs_beside(self, others: Sequence["Memory"], samples: Sequence[Sample]) -> list[dict[str, np.ndarray]]:
        assert not others, "each reads for itself"
        return [self.outputs(samples)]

    def outputs(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        dark = np.array(["sun" not in one.streams for one in samples])
        told = np.array([str(one.source.group) not in self.groups for one in samples]) * errors(samples)
        nothing = np.zeros(len(samples))
        past = targets_of(samples) - told * np.where(dark, self.without, 1.0)
        scale = scales(samples) * np.where(dark, self.early, 1.0)
        return {"past": past, "plain": nothing, "trunk": nothing, "scale": scale}


def errors(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([float(one.source.facts["error"]) for one in samples])


def scales(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([float(one.source.facts["scale"]) for one in samples])


def fitted(
    samples: Sequence[Sample], views: Mapping[str, View] = ONE_VIEW, without: float = 1.0, early: float = 1.0
) -> Fit:
    """A fit of members that know nothing but their own groups, as it is judged on those held out."""
    groups, nothing = tuple(str(one.source.group) for one in samples), {"share": 0.0, "gate": 0.0}

    def member(known: frozenset[str]) -> Memory:
        return Memory(groups=known, without=without, early=early)

    def judged(view: View) -> OutOfFold:
        return OutOfFold(
            target=TASK.target, truth=targets_of(samples), blend=nothing,
            raws=(member(frozenset()).outputs([view(one) for one in samples]),),
            features=np.random.default_rng(0).normal(size=(len(samples), 2)), groups=groups,
            own_features=np.zeros((len(samples), 0)), rows=np.arange(len(samples)),
        )  # fmt: skip

    splits = Split.by_group(samples, FOLDS)
    members: Any = tuple(member(frozenset(groups[row] for row in split.train.tolist())) for split in splits)
    ensemble = Ensemble(
        members=members, target=TASK.target, blend=dict.fromkeys(views, nothing), layout=Layout.of(samples)
    )
    return Fit(ensemble=ensemble, judged={name: judged(view) for name, view in views.items()}, splits=splits)


WITHOUT_GAPS = replace(TASK, optional=())


def calibrated(samples: Sequence[Sample], order: Any = "any", task: Task = TASK) -> Calibration:
    recipe = Recipe(config=CONFIG, order=order)
    return calibrate_fit(task, samples, fitted(samples), recipe, "test").calibration["whole"]


def scores_by_group(calibration: Calibration, of: Callable[[str], bool]) -> dict[str, list[float]]:
    """Sorted scores of each group, of the patterns that are asked for."""
    told = zip(calibration.groups, calibration.patterns or (), calibration.scores.tolist(), strict=True)
    found: dict[str, list[float]] = {}
    for group, pattern, score in told:
        if of(pattern):
            found.setdefault(group, []).append(round(score, 9))
    return {group: sorted(scores) for group, scores in found.items()}


def expected(samples: Sequence[Sample]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one, error, scale in zip(samples, errors(samples), scales(samples), strict=True):
        found.setdefault(str(one.source.group), []).append(round(float(error / scale), 9))
    return {group: sorted(scores) for group, scores in found.items()}


@pytest.mark.parametrize("order_of", [list, shuffled], ids=["by group", "shuffled"])
def test_each_sample_has_the_error_of_the_member_that_never_saw_its_group(order_of):
    samples = order_of(samples_of())
    assert scores_by_group(calibrated(samples, task=WITHOUT_GAPS), lambda pattern: True) == expected(samples)
    known = calibrated(samples)
    assert set(known.patterns or ()) == {"", "soil", "sun"}
    lacking = scores_by_group(known, bool)
    assert set(lacking) == set(FARMS)
    for group, scores in lacking.items():  # 0 where a member was asked for a group that it knows
        assert set(scores) <= set(expected(samples)[group])
    assert len(known.groups) == len(samples) * (1 + CONFIG.num_gap_draws)
    assert not known.forward


def test_the_order_of_samples_changes_no_interval():
    """Which streams are drawn to be missing does, by chance; so none are here."""
    one, other = (calibrated(order_of(samples_of()), task=WITHOUT_GAPS) for order_of in (list, shuffled))
    for level in (0.5, 0.8, 0.9):
        assert one.half_width(level) == pytest.approx(other.half_width(level))
    assert one.scale_of[""] == pytest.approx(other.scale_of[""])


def dark(one: Sample) -> Sample:
    return replace(one, streams={name: stream for name, stream in one.streams.items() if name != "sun"})


@pytest.mark.parametrize(("without", "early"), [(0.3, 1.0), (1.0, 0.3), (0.3, 0.3), (2.0, 1.0)])
def test_a_view_that_shows_less_is_never_narrower(without, early):
    views = {"late": lambda one: one, "middle": dark, "early": dark}
    task = replace(TASK, views=views, view_of=lambda one: "late" if "sun" in one.streams else "middle")
    samples = samples_of()
    fit = fitted(samples, views, without, early)
    known = calibrate_fit(task, samples, fit, Recipe(config=CONFIG, order="any"), "test").calibration
    scale = {name: found.told["scale"].mean() for name, found in fit.judged.items()}
    halves = [known[view].half_width(0.9) * scale[view] for view in views]
    assert halves[1] >= (1 - 1e-9) * halves[0]
    assert halves[2] >= (1 - 1e-9) * halves[1]
    assert halves[1] == pytest.approx(max(1.0, without) * halves[0], rel=0.25)  # no wider than need be


@pytest.mark.parametrize("order_of", [list, shuffled], ids=["by group", "shuffled"])
def test_the_later_half_is_judged_by_members_of_earlier_groups_alone(order_of):
    samples = order_of(samples_of(YEARS))
    recipe = Recipe(config=CONFIG, order="later")
    known = calibrated(samples, "later", WITHOUT_GAPS)
    truth, year = targets_of(samples), np.array([int(str(one.source.group)) for one in samples])
    told: dict[str, list[float]] = {}
    for judge, (first, end) in zip(
        forward_judges(TASK, samples, fitted(samples), recipe), [(2006, 2009), (2009, 2012)], strict=True
    ):
        assert judge.rows.tolist() == np.flatnonzero((first <= year) & (year < end)).tolist()
        said = judge.model.outputs([samples[row] for row in judge.rows], "whole")
        mean, scale = said["mean"], said["scale"]
        np.testing.assert_allclose(mean, truth[year < first].mean())  # all that is known of earlier groups
        for row, score in zip(judge.rows.tolist(), (truth[judge.rows] - mean) / scale, strict=True):
            told.setdefault(str(year[row]), []).append(round(float(score), 9))
    within = {name: scores for name, scores in expected(samples).items() if name < "2006"}
    found = scores_by_group(known, lambda pattern: True)
    assert {name: found[name] for name in within} == within
    for name, scores in told.items():
        np.testing.assert_allclose(found[name], sorted(scores), atol=1e-6)
    assert known.forward == YEARS[6:]


@pytest.mark.parametrize(
    ("years", "reach"),
    [
        (range(2000, 2012), 2014),
        (range(2000, 2010), 2012),
        (range(2000, 2024, 2), 2028),
        (range(1900, 2020, 10), 2040),
        ([*range(2000, 2009), 2020], 2023),  # one group that lay far ahead
        ([*range(2000, 2007), 2020, 2021, 2022, 2023, 2050], 2053),  # one of each part
        ([2000, 2008, *range(2016, 2026)], 2028),  # far ahead, long ago
    ],
)
def test_claims_reach_as_far_ahead_as_groups_lay_everywhere_not_once(years, reach):
    known = calibrated(samples_of([str(year) for year in years]), "later")
    assert known.reach == reach
    assert known.claim(0.9, later=str(reach)).state == "stated"
    assert "further ahead than was judged" in known.claim(0.9, later=str(reach + 1)).reason


def test_calibration_says_how_far_it_is_until_its_end():
    told: list[float] = []
    samples, recipe = samples_of(), Recipe(config=CONFIG, order="any")
    calibrate_fit(TASK, samples, fitted(samples), recipe, "test", lambda stage, share: told.append(share))
    assert len(told) >= FOLDS
    assert told == sorted(told)
    assert told[-1] == 1.0
