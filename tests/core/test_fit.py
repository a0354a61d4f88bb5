"""Members, folds, the gate, and what a saved regressor refuses."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.core.families import drawn, pixel_series

from mainstem.core.adapter import Adapter
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.conformal import Calibration
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.fit import fit
from mainstem.core.fitted import load_fitted, save_again, save_fitted
from mainstem.core.folds import drawn as drawn_of_groups
from mainstem.core.folds import fit_gate, group_folds, groups_of
from mainstem.core.judging import calibrate_fit, forward_judges
from mainstem.core.member import Ensemble, MemberFit
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.openmodels.presto import PrestoTokenizer
from mainstem.core.predict import predict
from mainstem.core.preparation import MeanOffset, from_the_mean, restore_plain, stream_means
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import FitConfig, Holding, Recipe, Task
from mainstem.core.tokenizers.streams import StreamsTokenizer
from mainstem.core.training import TrainingConfig

RAIN = (Channel(name="rain", unit="mm"),)
QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=2, batch_size=32), num_folds=2)


def make_samples(count: int = 60, group_count: int = 6, shift: float = 0.0) -> list[Sample]:
    rng = np.random.default_rng(0)
    samples = []
    for index in range(count):
        rain = rng.normal(shift, 1)
        source = Provenance(data="made", item=str(index), group=f"g{index % group_count}", facts={"crop": "maize"})
        streams = {"season": Stream(kind="scalar", values=np.array([rain]), channels=RAIN)}
        samples.append(Sample(streams=streams, target=2 * rain + 5, source=source))
    return samples


TASK = Task(
    name="made", task="table", version="1", target=Quantity(units="t/ha"), config=QUICK, read=lambda request: None,
    prepare=from_the_mean,
)  # fmt: skip
FACTS = {
    "adapter": "made", "task": "table", "version": "1", "scope": {}, "training": {}, "licence": "CC0-1.0",
    "attribution": "made", "simulated": False,
}  # fmt: skip


def source_of(samples):
    return SampleSet(name="made", samples=tuple(samples), flagged={}, attribution="made")


def fitted_to(samples, prepare=from_the_mean, config=QUICK, base=None):
    return fit(replace(TASK, prepare=prepare), source_of(samples), samples, Recipe(config=config, base=base))


def save(folder, samples, trunk=None, part="full"):
    config = replace(QUICK, training=replace(QUICK.training, trunk=part))
    made = fitted_to(samples, config=config, base=trunk)
    found = made.judged["whole"]
    calibration = Calibration(
        scores=(found.truth - found.told["mean"]) / found.told["scale"], groups=found.groups, population="made"
    )
    alarm = ShiftAlarm.fit(found.features, found.groups)
    facts = FACTS | {"scope": {"crop": ["maize"]}}
    return save_fitted(folder, made.ensemble, ({"whole": calibration}, {"whole": alarm}), facts)


def load(folder):
    return load_fitted(folder, TASK.target, restore_plain)


@dataclass(frozen=True, kw_only=True)
class Told(MeanOffset):
    """A preparation whose fallback knows the rain, or says something else."""

    slope: float = 0.0

    def fallback(self, samples, offset):
        return offset + self.slope * rain_of(samples)


@pytest.mark.parametrize(("slope", "low", "high"), [(2.0, 0.95, 1.0), (4.0, 0.45, 0.55), (-2.0, 0.0, 0.0)])
def test_a_fallback_is_trusted_as_far_as_it_is_right_on_groups_not_seen(slope, low, high):
    samples = make_samples()
    made = fitted_to(
        samples, lambda part, order: Told(**vars(MeanOffset.fit(part)), slope=slope), replace(QUICK, num_folds=3)
    )
    found = made.judged["whole"]
    share, past = found.blend["share"], found.raw["past"]
    assert low <= share <= high
    assert share == made.ensemble.blend["whole"]["share"]
    np.testing.assert_allclose(found.told["without_trunk"], past + share * slope * rain_of(samples))
    assert np.mean((found.truth - found.told["mean"]) ** 2) <= np.mean((found.truth - past) ** 2)


def rain_of(samples):
    return np.array([sample.streams["season"].values[0] for sample in samples])


def test_folds_keep_groups_whole_and_cover_every_case():
    groups = tuple("aabbbcdde")
    held_together = []
    for kept, held in group_folds(groups, 3):
        assert not {groups[row] for row in kept} & {groups[row] for row in held}
        held_together += held.tolist()
    assert sorted(held_together) == list(range(len(groups)))


def test_the_gate_closes_on_noise_and_opens_on_signal():
    rng = np.random.default_rng(0)
    groups = [f"{year}" for year in range(12) for _ in range(50)]
    wanted = rng.normal(size=600)
    assert fit_gate(wanted, rng.normal(size=600), groups) == 0.0
    assert fit_gate(wanted, 2 * wanted, groups) == pytest.approx(0.5)
    assert fit_gate(wanted, np.zeros(600), groups) == 0.0


def test_a_gain_in_one_year_alone_does_not_open_the_gate():
    groups = np.repeat([f"{year}" for year in range(12)], 50)
    wanted = np.random.default_rng(1).normal(size=600)
    wanted[groups == "3"] += 4
    assert fit_gate(wanted, np.where(groups == "3", 4.0, 0.0), groups.tolist()) == 0.0


def test_later_groups_are_judged_with_weights_of_earlier_ones():
    """The trunk is worth something in the later half alone: what judges it from the earlier one must not know that."""
    years = [str(2000 + year) for year in range(12)]
    samples = [
        replace(sample, source=replace(sample.source, group=years[index % 12]))
        for index, sample in enumerate(make_samples(120, 12))
    ]
    made = fitted_to(samples)
    found = made.judged["whole"]
    is_later = np.array([int(group) >= 2006 for group in found.groups])
    departure = found.truth - found.raw["past"]
    trunk = np.where(is_later, 2 * departure, -0.5 * departure)
    raw = {**found.raw, "trunk": trunk, "plain": np.zeros(len(samples))}
    of_all = found.target.blend(raw, found.truth, found.groups)
    assert of_all["gate"] > 0.1
    first, second = forward_judges(
        TASK, samples, replace(made, judged={"whole": replace(found, raws=(raw,))}), Recipe(config=QUICK)
    )
    assert first.model.blend["whole"]["gate"] == 0
    assert second.model.blend["whole"]["gate"] < of_all["gate"]


def without_group(sample):
    return replace(sample, source=replace(sample.source, group=None))


def test_a_sample_without_group_among_others_cannot_be_calibrated():
    samples = make_samples(4)
    with pytest.raises(InputError, match="group column"):
        groups_of([without_group(samples[0]), *samples[1:]])


def test_two_groups_are_enough_where_the_larger_ones_are_drawn_from():
    """Each member learns from one group, and is drawn from it as from several."""
    samples = make_samples(40, 2)
    task, source, recipe = replace(TASK, holding=Holding(largest_group=1000)), source_of(samples), Recipe(config=QUICK)
    limited, free = (fit(one, source, samples, recipe).judged["whole"] for one in (task, TASK))
    np.testing.assert_array_equal(limited.told["mean"], free.told["mean"])
    assert len(drawn_of_groups(samples[::2], 5, 0)) == 5
    unnamed = [without_group(sample) for sample in samples]
    assert drawn_of_groups(unnamed, 1, 0) == unnamed


def test_data_that_name_no_groups_are_cases_of_their_own():
    samples = [without_group(sample) for sample in make_samples(40)]
    assert len(set(groups_of(samples))) == 40
    made = fitted_to(samples)
    known = calibrate_fit(TASK, samples, made, Recipe(config=QUICK), "made")
    claim = known.calibration["whole"].claim(0.9)
    assert claim.state == "stated"
    assert "nothing is claimed of a new one" in claim.population
    assert not known.calibration["whole"].has_groups


def test_one_member_is_judged_on_a_part_of_its_own():
    samples = make_samples(60)
    one = replace(QUICK, num_folds=1)
    made = fitted_to(samples, config=one)
    assert len(made.ensemble.members) == 1
    held = {samples[row].source.group for row in made.judged["whole"].rows.tolist()}
    assert held == {"g0", "g5"}  # one in five
    assert made.ensemble.members[0].plan.samples == 40
    known = calibrate_fit(TASK, samples, made, Recipe(config=one), "made")
    assert set(known.calibration["whole"].groups) == held


@pytest.mark.parametrize("part", ["full", "lora", "frozen"])
def test_a_saved_regressor_comes_back_equal(tmp_path, part):
    samples = make_samples()
    trunk = None if part == "full" else load_open_model("xs", seed=3)
    saved = save(tmp_path, samples, trunk, part)
    again = load(tmp_path)
    assert saved.manifest.trunk_is_shared == (part != "full")
    assert saved.manifest.members[0].lora_alpha == (16.0 if part == "lora" else None)
    assert again.adapter_sha256 == saved.adapter_sha256
    before, after = (fitted.outputs(samples, "whole")["mean"] for fitted in (saved, again))
    assert np.abs(before - after).max() < 1e-5
    assert len({id(member.trunk) for member in again.ensemble.members}) == (2 if part == "full" else 1)
    save_again(tmp_path / "again", again)
    twice = load(tmp_path / "again")
    assert twice.manifest.members == again.manifest.members
    np.testing.assert_array_equal(twice.outputs(samples, "whole")["mean"], after)


@pytest.mark.parametrize("part", ["lora", "frozen"])
def test_members_that_share_a_tokenizer_are_saved_loaded_and_saved_again(tmp_path, part):
    samples, base = pixels()
    made = fitted_to(samples, config=trained_by(part, lr_per_step=0.1), base=base)
    saved = save_fitted(tmp_path / "first", made.ensemble, ({}, {}), FACTS)
    again = load(tmp_path / "first")
    assert {member.encoder for member in again.ensemble.members} == {again.ensemble.members[0].encoder}
    assert save_again(tmp_path / "second", again).adapter_sha256 == saved.adapter_sha256
    wanted = saved.outputs(samples, "whole")["mean"]
    np.testing.assert_allclose(load(tmp_path / "second").outputs(samples, "whole")["mean"], wanted, atol=1e-5)


def test_members_of_one_encoder_read_their_samples_once(monkeypatch):
    samples = make_samples()
    first, second = fitted_to(samples).ensemble.members
    same = replace(second, trunk=first.trunk, adapter=Adapter(first.adapter.tokenizer, second.adapter.head))
    mixed = Ensemble(members=(first, same), target=first.target, blend={})
    alone = [member.outputs(samples) for member in mixed.members]
    read = []
    project = StreamsTokenizer.project
    monkeypatch.setattr(
        StreamsTokenizer, "project", lambda own, patches: read.append(len(patches)) or project(own, patches)
    )
    for found, wanted in zip(mixed.raw(samples), alone, strict=True):
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values)
    assert sum(read) == len(samples)
    assert np.abs(alone[0]["trunk"] - alone[1]["trunk"]).max() > 0


def pixels(num: int = 40) -> tuple[list[Sample], OpenModel]:
    """Pixel series of four groups, and a drawn Presto that reads them with a tokenizer of its own."""
    made, rng = drawn("presto"), np.random.default_rng(0)
    samples = [replace(sample, target=float(rng.normal())) for sample in pixel_series(num)]
    tokenizers = {"series": made.tokenizer}
    return samples, OpenModel(name="drawn", family="presto", trunk=made.trunk, tokenizers=tokenizers)


def trained_by(part: str, **changed) -> FitConfig:
    return replace(QUICK, num_folds=3, training=replace(QUICK.training, trunk=part, lora_rank=2, **changed))


def memory_of(parts) -> set[int]:
    return {weight.data_ptr() for part in parts for weight in part.parameters()}


def test_members_train_loras_of_their_own_on_one_trunk():
    """Each is, to the bit, what it would be on a copy of the open model, which is left as it was."""
    samples, base = pixels()
    before, config = base.sha256(), trained_by("lora", dropout=0.1, lr_per_step=0.01)
    made = fitted_to(samples, config=config, base=base)
    members = made.ensemble.members
    assert len({member.encoder for member in members}) == 1
    assert [member.lora for member in members] == ["adapter-0", "adapter-1", "adapter-2"]
    assert memory_of([base.trunk, base.tokenizer]) <= memory_of([members[0].trunk, members[0].adapter.tokenizer])
    assert base.sha256() == before
    assert not base.trunk.has_lora("adapter-0")
    for index, (member, split) in enumerate(zip(members, made.splits, strict=True)):
        known = [samples[row] for row in split.train.tolist()]
        maker = MemberFit(task=TASK, target=TASK.target, config=config, order="later").seeded(index)
        alone = maker(known, pixels()[1])
        for name, values in alone.outputs(samples).items():
            np.testing.assert_array_equal(member.outputs(samples)[name], values)


def test_what_is_trained_is_never_shared():
    samples, base = pixels()
    whole = fitted_to(samples, config=trained_by("full"), base=base).ensemble.members
    assert len({member.encoder for member in whole}) == 3
    assert not memory_of([base.trunk]) & memory_of(member.trunk for member in whole)
    base.tokenizer.requires_grad_(True)
    learning = fitted_to(samples, config=trained_by("lora"), base=base).ensemble.members
    assert not memory_of([base.tokenizer]) & memory_of(member.adapter for member in learning)
    assert len({id(member.trunk) for member in learning}) == 1


@pytest.mark.parametrize("num", [5, 240])  # as one batch whose rows name their LoRAs, and folded
@pytest.mark.parametrize("part", ["lora", "frozen"])
def test_members_of_one_trunk_cut_and_read_samples_once(part, num, monkeypatch):
    """Members prepare samples by lists of their own, of the very same samples, and differ in their LoRAs."""

    @dataclass(frozen=True, kw_only=True)
    class Listed(MeanOffset):
        def __call__(self, samples):
            return list(samples), np.full(len(samples), self.mean)

    samples, base = pixels()
    config, asked = trained_by(part, lr_per_step=0.1), [samples[row % 40] for row in range(num)]
    made = fitted_to(samples, lambda given, order: Listed(**vars(MeanOffset.fit(given))), config, base)
    alone = [member.outputs(asked) for member in made.ensemble.members]
    calls = Counter()
    for name in ("cut", "project"):
        own = getattr(PrestoTokenizer, name)
        monkeypatch.setattr(
            PrestoTokenizer, name, lambda self, given, own=own, name=name: calls.update([name]) or own(self, given)
        )
    together = made.ensemble.raw(asked)
    assert calls == {"cut": 1, "project": 1}
    for found, wanted in zip(together, alone, strict=True):
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, atol=1e-5)
    assert np.abs(alone[0]["trunk"] - alone[1]["trunk"]).max() > 1e-3


def test_members_that_prepare_samples_otherwise_read_their_own():
    samples, base = pixels()
    first, second = fitted_to(samples, config=replace(trained_by("lora"), num_folds=2), base=base).ensemble.members

    class Brighter(MeanOffset):
        def __call__(self, samples):
            shown = [
                replace(one, streams={**one.streams, "pixel": replace(one.streams["pixel"], values=bright(one))})
                for one in samples
            ]
            return shown, np.full(len(samples), self.mean)

    def bright(one):
        return one.streams["pixel"].values + 0.5

    other = replace(second, preparation=Brighter(**vars(second.preparation)))
    found = Ensemble(members=(first, other, second), target=first.target, blend={}).raw(samples)
    for member, told in zip((first, other, second), found, strict=True):
        for name, values in member.outputs(samples).items():
            np.testing.assert_allclose(told[name], values, atol=1e-5)
    assert np.abs(found[1]["trunk"] - found[2]["trunk"]).max() > 1e-4


def test_another_trunk_is_refused(tmp_path):
    save(tmp_path / "a", make_samples())
    save(tmp_path / "b", make_samples(), load_open_model("xs", seed=5), "frozen")
    (tmp_path / "a" / "trunk.safetensors").write_bytes((tmp_path / "b" / "trunk.safetensors").read_bytes())
    with pytest.raises(ArtifactError, match="put back the trunk"):
        load(tmp_path / "a")


def test_a_file_without_manifest_is_refused(tmp_path):
    from mainstem.core.weights import save_tensors

    save_tensors(tmp_path / "adapter.safetensors", {"a": torch.zeros(2)}, {"format": "pt"})
    with pytest.raises(ArtifactError, match="no adapter manifest"):
        load(tmp_path)


def test_outside_its_scope_it_does_not_predict_and_a_shifted_group_loses_its_claim(tmp_path):
    samples = make_samples()
    artifact = save(tmp_path, samples)
    rice = replace(samples[0], source=replace(samples[0].source, facts={"crop": "rice"}))
    shifted = [
        replace(sample, source=replace(sample.source, group="drought")) for sample in make_samples(20, shift=9.0)
    ]
    found = predict(artifact, [rice, samples[1], *shifted], lambda sample: "whole", 0.8, thresholds=(5.0,))
    assert found[0].abstained
    assert found[0].value is None
    assert "rice" in found[0].reasons[0]
    assert found[1].claim.state == "stated"
    assert 0 <= found[1].probabilities["below 5"] <= 1
    assert {prediction.claim.state for prediction in found[2:]} == {"withdrawn"}
    assert "drought" in found[2].reasons[-1]


def test_stream_means_skip_what_is_missing():
    values = np.array([[1.0, np.nan], [3.0, 4.0]])
    channels = (Channel(name="a", unit="1"), Channel(name="b", unit="1"))
    stream = Stream(kind="series", values=values, channels=channels, times=np.array([0.0, 1.0]))
    samples = [Sample(streams={"s": stream}, target=None, source=Provenance(data="d", item="i"))]
    samples.append(replace(samples[0], streams={}))
    found = stream_means(samples, {"s": 2})
    assert found[0].tolist() == [2.0, 4.0]
    assert np.isnan(found[1]).all()


def test_an_adjustment_holds_for_mean_scale_and_every_part():
    """Local labels turn a simulator's units into the field's: half as much, and three more."""
    samples = make_samples()
    plain = fitted_to(samples).ensemble
    turned = replace(plain, blend={"whole": {**plain.blend["whole"], "slope": 0.5, "intercept": 3.0}})
    before, after = (found.outputs(samples, "whole") for found in (plain, turned))
    np.testing.assert_allclose(after["mean"], 0.5 * before["mean"] + 3)
    np.testing.assert_allclose(after["scale"], 0.5 * before["scale"])
    parts = plain.target.parts(before)
    assert set(parts) == {"trunk_alone", "without_trunk"}
    for name, values in parts.items():
        np.testing.assert_allclose(plain.target.parts(after)[name], 0.5 * values + 3)


def only_one_group_has_a_series(samples: list[Sample]) -> list[Sample]:
    ndvi = (Channel(name="ndvi", unit="1"), Channel(name="evi", unit="1"))
    found = []
    for index, sample in enumerate(samples):
        streams = dict(sample.streams)
        if sample.source.group == "g0":
            values = np.full((3, 2), 0.1 * (index % 7))
            streams["image"] = Stream(kind="series", values=values, channels=ndvi, times=864e3 * np.arange(3.0))
        found.append(replace(sample, streams=streams))
    return found


@pytest.mark.parametrize("num_folds", [2, 6])
def test_a_stream_of_one_group_alone_is_taken(num_folds):
    """In one fold training knows the stream, in another the samples that are held out alone do."""
    samples = only_one_group_has_a_series(make_samples())
    config = replace(QUICK, num_folds=num_folds)
    made = fitted_to(samples, config=config)
    assert made.judged["whole"].features.shape == (60, 3)
    assert made.ensemble.features(samples).shape == (60, 3)
    assert np.isfinite(made.judged["whole"].features).sum(0).tolist() == [10, 10, 60]
    assert np.isfinite(made.ensemble.outputs(samples, "whole")["mean"]).all()


def test_two_million_scores_are_kept_as_they_are_and_read_again(tmp_path):
    artifact = save(tmp_path, make_samples())
    rng = np.random.default_rng(0)
    many = Calibration(
        scores=rng.normal(size=2_000_000), groups=tuple(np.repeat(["a", "b"], 1_000_000).tolist()), population="made"
    )
    save_again(tmp_path, replace(artifact, calibration={"whole": many}))
    again = load(tmp_path).calibration["whole"]
    assert np.array_equal(again.scores, many.scores)
    assert again.groups == many.groups


def test_arrays_of_a_preparation_keep_every_digit(tmp_path):
    exact = np.array([1 / 3, 2**40 + 2**-10])

    class Exact(MeanOffset):
        def state(self):
            return super().state()[0], {"exact": exact}

    made = fitted_to(make_samples(), lambda part, order: Exact(**vars(MeanOffset.fit(part))))
    save_fitted(tmp_path, made.ensemble, ({}, {}), FACTS)
    found = []

    def restore(state, arrays):
        found.append(arrays["exact"])
        return MeanOffset(**state)

    load_fitted(tmp_path, TASK.target, restore)
    assert all(np.array_equal(values, exact) for values in found)
