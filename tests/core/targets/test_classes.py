"""Classification: learned classes, sets with coverage, saved and loaded equal, known answers of its parts."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.apps.scoring import in_folds
from mainstem.core.conformal import Calibration
from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.evaluation import accuracy, macro_f1, over_groups
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.fit import OutOfFold, fit
from mainstem.core.fitted import Fitted, load_fitted, save_again
from mainstem.core.folds import drawn
from mainstem.core.layout import Layout
from mainstem.core.predict import predict
from mainstem.core.preparation import restore_plain
from mainstem.core.samples import SampleSet
from mainstem.core.split import member_splits
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Classes, ClassSet, Quantity
from mainstem.core.targets.classes import fit_temperature, softmax
from mainstem.core.task import FitConfig, Holding, Recipe, Task
from mainstem.core.training import TrainingConfig

CLASSES = ("falling", "rising")
RISE, HEAT = Channel(name="rise", unit="1"), Channel(name="heat", unit="degC")
TASK = Task(
    name="test",
    task="slopes",
    version="1",
    target=Classes(),
    config=FitConfig(training=TrainingConfig(epochs=12, batch_size=32, lr_per_step=3e-3), num_folds=3),
    read=lambda request: pytest.fail("nothing is read"),
    holding=Holding(largest_group=1000, only_same_data=True),
    optional=(),
)


def slopes(num: int, seed: int = 0) -> SampleSet:
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(num):
        label, steps = index % 2, int(rng.integers(4, 9))
        values = (2 * label - 1) * np.linspace(-1, 1, steps) + rng.normal(0, 0.3, steps)
        stream = Stream(
            kind="series", values=np.stack([values, 40.0 + values**2], 1), channels=(RISE, HEAT),
            times=86_400.0 * np.cumsum(rng.integers(1, 30, steps)),
        )  # fmt: skip
        source = Provenance(data="test", item=str(index), group=f"g{index // 6}", licence="CC0-1.0")
        samples.append(Sample(streams={"x": stream}, target=float(label), source=source))
    return SampleSet(name="test", samples=tuple(samples), flagged={}, attribution="test", classes=CLASSES)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    source, folder = slopes(180), tmp_path_factory.mktemp("run")
    return fit_and_save(TASK, source, source.samples, FitSpec(config=TASK.config), folder)[0], folder


def load(folder) -> Fitted:
    return load_fitted(folder, TASK.target, restore_plain)


def said(fitted: Fitted, samples) -> list:
    return predict(fitted, samples, TASK.view_of)


def shares_of(fitted: Fitted, samples) -> np.ndarray:
    return fitted.outputs(samples, "whole")["probabilities"]


def fit_to(source: SampleSet, config: FitConfig = TASK.config, base=None):
    return fit(TASK, source, source.samples, Recipe(config=config, base=base))


@pytest.mark.long
def test_classes_are_learned_and_their_sets_cover(fitted):
    artifact, _ = fitted
    fresh = slopes(200, seed=1)
    truth = np.array([sample.target for sample in fresh.samples])
    told = artifact.outputs(fresh.samples, "whole")
    shares = told["probabilities"]
    assert np.abs(shares.sum(1) - 1).max() < 1e-9
    assert accuracy(truth, shares.argmax(1)) > 0.9
    quantile = artifact.calibration["whole"].quantiles(0.9, [""] * 200, CLASSES)
    assert 0.84 <= artifact.target.covered(told, truth, quantile).mean() <= 1.0


@pytest.mark.long
def test_one_seed_gives_one_classifier_and_loading_gives_the_saved_one(fitted):
    artifact, folder = fitted
    again = load(folder)
    samples = slopes(8).samples
    assert np.array_equal(shares_of(again, samples), shares_of(artifact, samples))
    assert again.adapter_sha256 == artifact.adapter_sha256
    other = fit_to(slopes(180)).ensemble
    assert np.array_equal(other.outputs(samples, "whole")["probabilities"], shares_of(artifact, samples))


def test_predictions_carry_sets_claim_and_licence(fitted):
    found = said(fitted[0], of_group("new", slopes(6, seed=1)))
    other = replace(slopes(1).samples[0], source=Provenance(data="elsewhere", item="1", group="new"))
    (elsewhere,) = said(fitted[0], [other])
    assert elsewhere.claim.state == "none"
    assert "groups of test alone" in elsewhere.claim.reason
    for prediction in found:
        assert prediction.value in CLASSES
        assert isinstance(prediction.region, ClassSet)
        assert prediction.claim.state == "stated"
        assert prediction.source.licence == "CC0-1.0"
        assert max(prediction.probabilities, key=prediction.probabilities.get) == prediction.value


def of_group(name: str, source: SampleSet, shift: float = 0.0) -> list[Sample]:
    return [
        replace(
            sample,
            source=replace(sample.source, group=name),
            streams={"x": replace(sample.streams["x"], values=sample.streams["x"].values + shift)},
        )
        for sample in source.samples
    ]


def test_nothing_is_claimed_of_groups_trained_on_of_real_ones_by_simulations_or_of_inputs_unlike_training(fitted):
    artifact, _ = fitted
    (seen, *_) = said(artifact, of_group("g0", slopes(6)))
    assert seen.claim.state == "none"
    assert "trained or calibrated on" in seen.claim.reason
    (shifted, *_) = said(artifact, of_group("new", slopes(6), shift=5.0))
    assert shifted.claim.state == "withdrawn"
    known = artifact.calibration["whole"]
    few = replace(artifact, calibration={"whole": replace(known, groups=("g0",) * len(known.groups))})
    (unclaimed, *_) = said(few, of_group("new", slopes(6)))
    assert "1 groups, want 9" in unclaimed.claim.reason
    simulated = replace(artifact, manifest=artifact.manifest.model_copy(update={"simulated": True}))
    (refused, *_) = said(simulated, of_group("new", slopes(6)))
    assert refused.abstained
    assert "trained on simulations alone" in refused.reasons[0]
    scoped = replace(artifact, manifest=artifact.manifest.model_copy(update={"scope": {"crop": ["maize"]}}))
    assert all(found.abstained for found in said(scoped, of_group("new", slopes(2))))


def in_channels(sample: Sample, columns: list[int]) -> Sample:
    stream = sample.streams["x"]
    channels = tuple(stream.channels[column] for column in columns)
    return replace(sample, streams={"x": replace(stream, values=stream.values[:, columns], channels=channels)})


def test_channels_go_by_name_in_classes_sets_and_claims(fitted):
    artifact, folder = fitted
    samples = of_group("new", slopes(6, seed=1))
    wanted = said(artifact, samples)
    assert {found.claim.state for found in wanted} == {"stated"}
    for known in (artifact, load(folder)):
        turned = said(known, [in_channels(sample, [1, 0]) for sample in samples])
        for one, other in zip(wanted, turned, strict=True):
            assert (one.value, one.region, one.claim) == (other.value, other.region, other.claim)
    (seen, *_) = artifact.ensemble.features([in_channels(samples[0], [1])])
    assert np.isnan(seen[0])  # what is lacking is lacking: no other channel stands in its place
    assert seen[1] == pytest.approx(artifact.ensemble.features(samples[:1])[0, 1])
    fahrenheit = replace(samples[0].streams["x"], channels=(RISE, replace(HEAT, unit="degF")))
    with pytest.raises(ChannelError, match=r"0, x: channel 'heat' comes in degF, want degC"):
        said(artifact, [replace(samples[0], streams={"x": fahrenheit})])


def test_a_run_that_does_not_say_its_channels_is_refused(fitted, tmp_path):
    artifact, _ = fitted
    nameless = replace(artifact, ensemble=replace(artifact.ensemble, layout=Layout(channels={})))
    save_again(tmp_path, nameless)
    with pytest.raises(ArtifactError, match=r"which channels.*train it again"):
        load(tmp_path)


def test_training_on_channels_in_any_order_gives_the_same_classifier():
    source = slopes(60)
    config = replace(TASK.config, training=replace(TASK.config.training, epochs=1), num_folds=2)
    mixed = [in_channels(sample, [row % 2, 1 - row % 2]) for row, sample in enumerate(source.samples)]
    sets = [source, replace(source, samples=tuple(mixed))]
    first, other = (fit_to(one, config).ensemble.outputs(one.samples[:9], "whole")["probabilities"] for one in sets)
    assert np.array_equal(first, other)


def test_a_run_of_classes_is_no_run_of_quantities(fitted):
    with pytest.raises(ArtifactError, match="it names classes"):
        load_fitted(fitted[1], Quantity(units="class"), restore_plain)


def test_thresholds_are_refused_where_classes_have_no_order(fitted):
    with pytest.raises(InputError, match="leave --below out"):
        predict(fitted[0], slopes(2).samples, TASK.view_of, thresholds=(1.0,))


def test_data_of_other_classes_are_refused(fitted):
    with pytest.raises(InputError, match="give the same"):
        fitted[0].target.check_data(replace(slopes(2), classes=("rising", "falling")))


def test_the_temperature_that_made_the_labels_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 4))
    shares = softmax(logits / 2.0)
    labels = np.array([rng.choice(4, p=row) for row in shares])
    assert fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.08)


def test_a_class_with_too_few_cases_stays_in_every_set():
    shares, names = np.tile([0.98, 0.01, 0.01], (40, 1)), ("common", "rare", "rarer")
    target, truth = Classes(names=names), np.array([0.0] * 38 + [1.0, 2.0])
    told = {"probabilities": shares}
    calibration = Calibration(
        scores=target.scores(told, truth), groups=tuple(map(str, range(40))), population="", strata=target.strata(truth)
    )
    assert calibration.stratum_quantiles(names, 0.9)[1:].tolist() == [np.inf, np.inf]
    assert target.inside(told, calibration.quantiles(0.9, [""] * 40, names))[:, 1:].all()
    assert target.reasons(calibration, 0.9) == tuple(
        f"too few groups show {name} for it to be ruled out" for name in ("rare", "rarer")
    )


def test_with_one_quantile_for_all_classes_few_groups_give_sets_of_what_was_seen_and_no_claim():
    rng = np.random.default_rng(0)
    scores, groups = rng.uniform(0, 0.4, 300), tuple(f"g{row % 6}" for row in range(300))
    told = {"probabilities": np.array([[0.55, 0.30, 0.15], [0.97, 0.02, 0.01]])}
    by_class, alike = (Classes(names=("a", "b", "c"), by_class=is_by_class) for is_by_class in (True, False))
    strata = by_class.strata(np.arange(300) % 3)
    assert alike.strata(np.zeros(1)) is None
    apart, together = (Calibration(scores=scores, groups=groups, population="p", strata=own) for own in (strata, None))
    everything = apart.quantiles(0.9, ["", ""], by_class.strata_names())
    assert by_class.size(told, everything).tolist() == [3, 3]
    quantile = together.quantiles(0.9, ["", ""], alike.strata_names())
    assert quantile == pytest.approx([scores.max()] * 2)  # 6 of 7 groups is the most that six can tell
    assert [one.classes for one in alike.regions(told, np.array([0.72, 0.72]))] == [("a", "b"), ("a",)]
    assert alike.covered(told, np.array([1.0, 1.0]), np.array([0.72, 0.72])).tolist() == [True, False]
    assert together.claim(0.9).state == "none"
    facts = alike.layer_facts(together, 0.9)
    assert facts["thresholds"] == pytest.approx([1 - scores.max()] * 3)


def test_the_headline_is_the_first_of_the_same_measures():
    assert list(Classes().measures)[:2] == ["macro_f1", "accuracy"]
    assert list(Classes(headline="accuracy").measures)[:2] == ["accuracy", "macro_f1"]


def test_weights_and_draws_are_those_of_their_definition():
    weights = Classes(names=("a", "b")).weights(np.array([0.0] * 16 + [1.0] * 4))
    assert weights.mean() == pytest.approx(1.0)
    assert weights[-1] / weights[0] == pytest.approx(2.0)  # square root of 16 / 4
    samples = slopes(60).samples
    few = drawn(samples, 2, 0)
    assert len(few) == 20
    assert few == drawn(samples, 2, 0)
    assert drawn(samples, None, 0) is samples


def test_macro_f1_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 4, 500).astype(float), rng.integers(0, 4, 500).astype(float)
    assert macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_a_lora_on_a_shared_trunk_is_saved_once_and_loads_equal(tmp_path):
    source = slopes(60)
    config = replace(TASK.config, training=replace(TASK.config.training, epochs=1, trunk="lora"), num_folds=2)
    saved, _ = fit_and_save(TASK, source, source.samples, FitSpec(config=config, trunk="xs"), tmp_path)
    assert saved.manifest.trunk_is_shared
    samples = source.samples[:5]
    assert np.abs(shares_of(load(tmp_path), samples) - shares_of(saved, samples)).max() < 1e-6


def test_an_own_trunk_s_tokenizer_is_kept_and_a_stream_it_does_not_read_draws_a_new_one():
    from mainstem.core.openmodels import load_open_model
    from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs

    source, loaded = slopes(24), load_open_model("xs")
    for renamed in (False, True):
        specs = read_specs(source.samples)
        tokenizer = StreamsTokenizer({"y": specs["x"]} if renamed else specs, loaded.trunk.config.dim)
        for weights in tokenizer.requires_grad_(False).parameters():
            weights.fill_(0.123)
        config = replace(TASK.config, training=replace(TASK.config.training, epochs=1, trunk="lora"), num_folds=2)
        base = replace(loaded, tokenizers={"streams": tokenizer})
        classifier = fit_to(source, config, base).ensemble
        kept = [
            all((weights == 0.123).all() for weights in member.adapter.tokenizer.parameters())
            for member in classifier.members
        ]
        assert kept == [not renamed] * 2


def test_nothing_near_what_is_held_out_is_trained_on():
    def at(x_m: float, group: str) -> Sample:
        facts = {"x_m": x_m, "y_m": 0.0}
        return Sample(streams={}, target=0.0, source=Provenance(data="d", item=str(x_m), group=group, facts=facts))

    samples = [at(10.0 * step, "abcd"[step // 10]) for step in range(40)]  # four neighbours of 100 m on a line
    places = np.array([sample.source.facts["x_m"] for sample in samples])
    for split in member_splits(samples, 4, 30.0):
        assert abs(places[split.train][:, None] - places[split.calibrate]).min() == 30.0
    assert sum(len(split.train) for split in member_splits(samples, 4, 0.0)) == 4 * 30
    with pytest.raises(InputError, match="leaves no sample to train on"):
        member_splits(samples, 2, 500.0)


def test_a_fold_s_own_labels_tell_nothing_of_its_probabilities_and_sets():
    """Labels of the fold that is held out are turned: what is said of it stays, what is said of the others does not."""
    rng = np.random.default_rng(6)
    truth, groups = rng.integers(0, 3, 600), tuple(f"g{row // 10}" for row in range(600))
    logits = rng.normal(0, 2, (600, 3)) + 2.5 * np.eye(3)[truth]
    held = [np.flatnonzero(np.arange(600) % 4 == fold) for fold in range(4)]
    other = truth.copy()
    other[held[0]] = (other[held[0]] + 1) % 3

    def judged(labels: np.ndarray) -> OutOfFold:
        return OutOfFold(
            target=Classes(names=("a", "b", "c")), truth=labels.astype(float), raws=({"logits": logits},),
            groups=groups, blend={"temperature": 1.0}, features=logits, own_features=logits[:, :0], rows=np.arange(600),
        )  # fmt: skip

    found, turned = (in_folds(judged(labels), held, 0.9) for labels in (truth, other))
    pairs = [(found[0]["probabilities"], turned[0]["probabilities"]), (found[1], turned[1])]
    for told, told_of_turned in pairs:
        assert np.array_equal(told[held[0]], told_of_turned[held[0]])
        assert not np.array_equal(told, told_of_turned)


def test_a_group_of_many_cases_counts_once():
    assert over_groups(np.array([True] * 98 + [False, True]), ["large"] * 98 + ["small"] * 2) == 0.75


def test_nothing_is_claimed_of_what_lacks_a_channel_that_training_had(fitted):
    (whole, *_) = samples = of_group("new", slopes(6, seed=1))
    (lacking, *_) = said(fitted[0], [in_channels(sample, [1]) for sample in samples])
    assert lacking.claim.state == "none"
    assert f"x: {whole.streams['x'].channels[0].name}" in lacking.claim.reason


def test_a_plain_model_is_trusted_as_far_as_it_is_right_out_of_fold():
    truth = np.random.default_rng(0).integers(3, size=300).astype(float)
    right = np.log(np.where(np.eye(3)[truth.astype(int)] == 1, 0.9, 0.05))
    noise = np.log(np.random.default_rng(1).dirichlet(np.ones(3), 300))
    target = Classes(names=("a", "b", "c"))
    for outputs, share in (({"logits": noise, "plain": right}, 1.0), ({"logits": right, "plain": noise}, 0.0)):
        blend = target.blend(outputs, truth, [""] * 300)
        assert abs(blend["plain"] - share) < 0.25
        told = target.combine([outputs], blend)
        assert (target.point(told) == truth).all()
        assert set(target.parts(told)) == {"trunk", "plain_model"}
    alone = target.blend({"logits": right}, truth, [""] * 300)
    assert set(alone) == {"temperature"}
    assert target.check_blend(alone, "whole") == alone, "runs without a plain model stay as they are"


def test_one_quantile_for_all_classes_leaves_no_set_empty():
    target = Classes(names=("a", "b", "c"), by_class=False)
    told = {"probabilities": np.array([[0.98, 0.01, 0.01], [0.5, 0.4, 0.1]])}
    assert [region.classes for region in target.regions(told, np.array([0.001, 0.65]))] == [("a",), ("a", "b")]
    assert target.covered(told, np.array([0.0, 2.0]), np.array([0.001, 0.65])).tolist() == [True, False]
    by_class = Classes(names=("a", "b", "c"))
    assert by_class.regions(told, np.array([0.001, 0.65]))[0].classes == ()
