"""What is trained on, what regions are set on, what is scored: by folds of groups, or by the data's own parts."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_fit import QUICK, TASK, make_samples, source_of

from mainstem.apps.baselines import baselines_of
from mainstem.apps.evaluate import evaluate
from mainstem.apps.protocols import (
    GROUPED_FOLDS,
    HOLDOUT,
    LEFT_OUT_GROUP,
    EvaluationSpec,
    default_protocol,
    protocol_note,
    split_samples,
)
from mainstem.core.cases import Cases
from mainstem.core.conformal import Calibration
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.fit import fit
from mainstem.core.folds import targets_of
from mainstem.core.judging import calibrate_fit, forward_judges
from mainstem.core.preparation import from_the_mean
from mainstem.core.split import Split, member_splits
from mainstem.core.stream import Sample
from mainstem.core.targets import Classes
from mainstem.core.task import DataRequest, Holding, Recipe

SEVERAL = replace(QUICK, num_folds=3)


def parted(samples: Sequence[Sample], part_of: dict[str, str]) -> list[Sample]:
    """Samples with the official part of their group."""
    return [
        replace(sample, source=replace(sample.source, part=part_of.get(str(sample.source.group), "train")))
        for sample in samples
    ]


class Watched:
    """A preparation's maker that keeps which groups every member was trained on."""

    def __init__(self) -> None:
        self.groups: list[set[str]] = []

    def __call__(self, samples, order):
        self.groups.append({str(sample.source.group) for sample in samples})
        return from_the_mean(samples, order)


PARTS = {"g1": "calibrate", "g4": "calibrate"}


@pytest.mark.parametrize("num_folds", [1, 3])
def test_an_official_calibrate_part_is_never_trained_on_and_all_members_are_judged_on_it(num_folds):
    samples, watched = parted(make_samples(), PARTS), Watched()
    made = fit(
        replace(TASK, prepare=watched), source_of(samples), samples, Recipe(config=replace(QUICK, num_folds=num_folds))
    )
    assert watched.groups == [{"g0", "g2", "g3", "g5"}] * num_folds
    found = made.judged["whole"]
    assert [samples[row].source.group for row in found.rows.tolist()] == ["g1", "g4"] * 10
    assert len(made.ensemble.members) == num_folds
    held = [samples[row] for row in found.rows.tolist()]
    for name, told in made.ensemble.outputs(held, "whole").items():  # what is judged is what will speak
        np.testing.assert_array_equal(found.told[name], told)
    np.testing.assert_array_equal(found.features, made.ensemble.features(held))


def test_what_several_members_say_of_classes_together_is_what_is_judged():
    samples = [replace(sample, target=float(sample.target > 5)) for sample in parted(make_samples(), PARTS)]
    task, source = replace(TASK, target=Classes()), replace(source_of(samples), classes=("low", "high"))
    made = fit(task, source, samples, Recipe(config=SEVERAL))
    found = made.judged["whole"]
    told = made.ensemble.outputs([samples[row] for row in found.rows.tolist()], "whole")
    np.testing.assert_array_equal(found.told["probabilities"], told["probabilities"])


def test_regions_are_set_on_the_official_part_alone_and_no_later_judge_is_trained_on_it():
    years = [str(2000 + year) for year in range(30)]
    samples = [
        replace(sample, source=replace(sample.source, group=years[index % 30]))
        for index, sample in enumerate(make_samples(120, 30))
    ]
    samples = parted(samples, dict.fromkeys(years[::2], "calibrate"))
    recipe = Recipe(config=SEVERAL, order="later")
    made = fit(TASK, source_of(samples), samples, recipe)
    assert not forward_judges(TASK, samples, made, recipe)
    assert set(calibrate_fit(TASK, samples, made, recipe, "made").calibration["whole"].groups) == set(years[::2])


def test_a_part_that_is_later_than_all_training_founds_claims_on_what_is_later_still():
    samples = [
        replace(sample, source=replace(sample.source, group=str(2000 + index % 40)))
        for index, sample in enumerate(make_samples(120, 40))
    ]
    recipe = Recipe(config=SEVERAL, order="later")

    def calibrated(meant: range) -> Calibration:
        some = parted(samples, dict.fromkeys(map(str, meant), "calibrate"))
        made = fit(TASK, source_of(some), some, recipe)
        return calibrate_fit(TASK, some, made, recipe, "made").calibration["whole"]

    known = calibrated(range(2020, 2040))
    assert known.forward == tuple(str(year) for year in range(2020, 2040))
    assert known.claim(0.9, later="2040").state == "stated"
    assert "further ahead" in known.claim(0.9, later="2041").reason
    assert not calibrated(range(2010, 2030)).forward  # training has later ones


def test_an_artefact_says_what_it_was_judged_on_and_what_taught_it(tmp_path):
    samples = parted(make_samples(), PARTS)
    saved, _ = fit_and_save(TASK, source_of(samples), samples, FitSpec(config=SEVERAL), tmp_path)
    told, keys, taught = saved.manifest.training, saved.manifest.keys, saved.taught
    assert told["judged_on"] == "the data's calibrate part"
    assert told["groups"] == sorted(keys.each(["g0", "g2", "g3", "g5"]))
    assert told["seen"] == {"made": told["groups"]}
    assert told["calibrated"] == {"made": sorted(keys.each(["g1", "g4"]))}
    assert told["num_samples"] == 40
    for sample in samples:
        is_calibrate = sample.source.part == "calibrate"
        assert taught.was_calibrated_on(sample) == is_calibrate
        assert taught.was_trained_on(sample) != is_calibrate
        unnamed = replace(sample, source=replace(sample.source, data="a copy"))
        assert taught.was_calibrated_on(unnamed) == is_calibrate  # by content


def test_groups_that_the_official_part_shares_are_not_trained_on():
    samples = make_samples()
    some = [
        replace(sample, source=replace(sample.source, part="calibrate" if index in (1, 4, 7) else "train"))
        for index, sample in enumerate(samples)
    ]
    (one,) = member_splits(some, 1)
    assert one.calibrate.tolist() == [1, 4, 7]
    assert {samples[row].source.group for row in one.train.tolist()} == {"g0", "g2", "g3", "g5"}
    every = [replace(sample, source=replace(sample.source, part="calibrate")) for sample in samples[:6]]
    with pytest.raises(InputError, match="calibrate part"):
        member_splits([*every, *samples[6:]], 3)
    with pytest.raises(InputError, match="calibrate part"):
        member_splits(every, 3)


def test_cases_without_groups_are_parted_as_the_data_say():
    samples = [
        replace(sample, source=replace(sample.source, group=None, part="calibrate" if index % 5 == 0 else ""))
        for index, sample in enumerate(make_samples(20))
    ]
    splits = member_splits(samples, 4)
    assert len(splits) == 4
    assert all(split.calibrate.tolist() == [0, 5, 10, 15] for split in splits)
    assert all(len(split.train) == 16 for split in splits)


GROUPS = st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=40).filter(lambda names: len(set(names)) > 1)


def named(groups: Sequence[str], parts: Sequence[str]) -> list[Sample]:
    return [
        replace(sample, source=replace(sample.source, group=group, part=part))
        for sample, group, part in zip(make_samples(len(groups)), groups, parts, strict=True)
    ]


@given(groups=GROUPS, num_folds=st.integers(1, 9))
def test_folds_deal_whole_groups_each_once_and_are_told_apart(groups, num_folds):
    splits = Split.by_group(named(groups, [""] * len(groups)), num_folds)
    for split in splits:
        assert not len(split.test)
        assert {*split.train.tolist(), *split.calibrate.tolist()} == set(range(len(groups)))
        assert not {groups[row] for row in split.train} & {groups[row] for row in split.calibrate}
    if num_folds > 1:
        assert sorted(np.concatenate([split.calibrate for split in splits]).tolist()) == list(range(len(groups)))
        assert len(splits) == min(num_folds, len(set(groups)))
    else:
        assert len(splits) == 1


@given(
    cases=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "train", "calibrate", "test"])), min_size=1),
    tested=st.frozensets(st.sampled_from("abc")),
)
def test_the_official_split_gives_every_row_to_one_part(cases, tested):
    split = Split.official(named([group for group, _ in cases], [part for _, part in cases]), tested)
    assert sorted([*split.train, *split.calibrate, *split.test]) == list(range(len(cases)))
    for row, (group, part) in enumerate(cases):
        wanted = (
            split.test if part == "test" or group in tested else split.calibrate if part == "calibrate" else split.train
        )
        assert row in wanted


def test_protocols_split_by_the_data_s_own_parts_or_leave_each_group_out():
    samples = parted(make_samples(), PARTS | {"g5": "test"})
    ((given_to_fit, scored),) = split_samples(samples, HOLDOUT, frozenset({"g0"}))
    assert {sample.source.group for sample in scored} == {"g0", "g5"}
    assert {sample.source.group for sample in given_to_fit} == {"g1", "g2", "g3", "g4"}
    left = split_samples(samples, LEFT_OUT_GROUP)
    assert [{sample.source.group for sample in scored} for _, scored in left] == [{f"g{index}"} for index in range(6)]
    assert all(len(given_to_fit) == 50 for given_to_fit, _ in left)


def average(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, np.ndarray]:
    return {"average": np.full(len(test), targets_of(train).mean())}


@pytest.mark.parametrize("lacking", ["x_m", "y_m"])
def test_a_buffer_needs_the_place_of_every_sample(lacking):
    placed = [
        replace(one, source=replace(one.source, facts={"x_m": 100.0 * row, "y_m": 0.0}))
        for row, one in enumerate(make_samples(12, 3))
    ]
    assert sum(len(split.train) for split in member_splits(placed, 3, 99.0)) == 24
    facts = {name: value for name, value in placed[5].source.facts.items() if name != lacking}
    placed[5] = replace(placed[5], source=replace(placed[5].source, facts=facts))
    with pytest.raises(InputError, match=f"buffer of 30 m needs x_m and y_m .* '5' has no {lacking}"):
        member_splits(placed, 3, 30.0)


def test_two_groups_are_scored_in_folds_and_are_too_few_to_leave_one_out():
    samples = make_samples(40, 2)
    task = replace(TASK, read=lambda request: source_of(samples), baselines=average)
    spec = EvaluationSpec(fit=FitSpec(config=SEVERAL))
    with warnings.catch_warnings(action="error", category=RuntimeWarning):
        found = evaluate(task, DataRequest(data="made"), spec)
    assert (found["protocol"], found["n"]) == (GROUPED_FOLDS, 40)
    for protocol in ("leave-one-year-out", LEFT_OUT_GROUP):
        with pytest.raises(InputError, match=f"{protocol} needs 3 groups.* g0, g1 alone; use --protocol grouped-folds"):
            evaluate(task, DataRequest(data="made"), replace(spec, protocol=protocol))


@pytest.mark.parametrize(
    ("groups", "own", "wanted"),
    [
        (2, "", GROUPED_FOLDS), (3, "", LEFT_OUT_GROUP), (2, "leave-one-year-out", GROUPED_FOLDS),
        (3, "leave-one-year-out", "leave-one-year-out"), (2, "season-by-season", "season-by-season"),
        (0, "", GROUPED_FOLDS),
    ],
)  # fmt: skip
def test_the_protocol_is_the_task_s_own_where_there_are_groups_enough(groups, own, wanted):
    made = make_samples(12, groups or 1)
    samples = made if groups else [replace(one, source=replace(one.source, group=None)) for one in made]
    assert default_protocol(replace(TASK, holding=Holding(protocol=own)), source_of(samples)) == wanted


def test_baselines_learn_from_what_members_learn_from():
    """Else they would know more than the model they are held against."""
    samples, seen = parted(make_samples(), PARTS | {"g5": "test"}), []

    def baselines(train, test, seed):
        seen.append({str(sample.source.group) for sample in train})
        return baselines_of(TASK, TASK.target)(train, test, seed)

    task = replace(TASK, baselines=baselines, read=lambda request: source_of(samples))
    found = evaluate(task, DataRequest(data="made"), EvaluationSpec(fit=FitSpec(config=SEVERAL)))
    assert seen == [{"g0", "g2", "g3"}]
    assert found["n"] == 10


def test_a_note_is_told_only_where_inputs_hold_targets_however_samples_are_held():
    samples = [knowing(one, f"g{row % 4}") for row, one in enumerate(make_samples(20, 4))]
    for held in (samples, Cases.of(samples)):
        assert not protocol_note(TASK, GROUPED_FOLDS, held)
        assert "one step ahead" in protocol_note(replace(TASK, forget=forget), GROUPED_FOLDS, held)


def test_baselines_of_folds_forget_what_members_forget():
    """Samples may know the targets of other groups; nothing that is held against members knows those it is asked."""
    samples, seen = [knowing(one, f"g{row // 4 % 4}") for row, one in enumerate(make_samples(20, 4))], []

    def watched(train, test, seed):
        seen.append({sample.source.facts["knows"] for sample in train})
        return average(train, test, seed)

    task = replace(TASK, read=lambda request: source_of(samples), forget=forget, baselines=watched)
    evaluate(task, DataRequest(data="made"), EvaluationSpec(fit=FitSpec(config=QUICK), protocol=GROUPED_FOLDS))
    assert seen == [{"", "g1", "g3"}, {"", "g0", "g2"}]


def knowing(sample: Sample, group: str) -> Sample:
    return replace(sample, source=replace(sample.source, facts={"crop": "maize", "knows": group}))


def forget(samples: Sequence[Sample], groups: frozenset[str]) -> list[Sample]:
    return [knowing(sample, "") if sample.source.facts["knows"] in groups else sample for sample in samples]


def test_folds_cannot_be_scored_where_the_data_say_what_to_calibrate_on():
    samples = parted(make_samples(), PARTS)
    task = replace(TASK, read=lambda request: source_of(samples))
    spec = EvaluationSpec(fit=FitSpec(config=SEVERAL), protocol="grouped-folds")
    with pytest.raises(InputError, match="calibrate part"):
        evaluate(task, DataRequest(data="made"), spec)
