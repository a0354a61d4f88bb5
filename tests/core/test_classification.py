"""Classification: learned classes, sets with coverage, saved and loaded equal, known answers of its parts."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.core.class_artifact import load_class_artifact, save_class_artifact
from mainstem.core.class_sets import ClassSetCalibration
from mainstem.core.classification import (
    ClassesOutOfFold,
    ClassificationTask,
    balanced_weights,
    drawn,
    facts_of,
    fit_classifier,
    fit_temperature,
    softmax,
)
from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.evaluation import accuracy, macro_f1
from mainstem.core.layout import Layout
from mainstem.core.predict import predict_classes
from mainstem.core.prediction import ClassSet
from mainstem.core.regression import RegressionConfig
from mainstem.core.stream import Channel, Provenance, Sample, SampleSet, Stream
from mainstem.core.training import TrainingConfig

CLASSES = ("falling", "rising")
RISE, HEAT = Channel(name="rise", unit="1"), Channel(name="heat", unit="degC")
TASK = ClassificationTask(
    name="test",
    task="slopes",
    version="1",
    config=RegressionConfig(training=TrainingConfig(epochs=12, batch_size=32, lr_per_step=3e-3), num_folds=3),
    read=lambda request: pytest.fail("nothing is read"),
    prepare=list,
    baselines=lambda train, test, seed: {},
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
    source = slopes(180)
    classifier, judged = fit_classifier(TASK, source.samples, CLASSES, TASK.config)
    shares = softmax(judged.logits / classifier.temperature)
    calibration = ClassSetCalibration.fit(shares, judged.truth.tolist(), CLASSES, judged.groups)
    folder = tmp_path_factory.mktemp("run")
    facts = {
        **facts_of(TASK, source),
        "scope": {},
        "training": {"data": "test", "groups": ["g0", "g1"], "seen": {"test": ["g0", "g1"]}},
    }
    return save_class_artifact(folder, classifier, calibration, TASK.prepare(source.samples), facts), folder


def test_classes_are_learned_and_their_sets_cover(fitted):
    artifact, _ = fitted
    fresh = slopes(200, seed=1)
    truth = np.array([sample.target for sample in fresh.samples])
    shares = artifact.classifier.probabilities(fresh.samples)
    assert np.abs(shares.sum(1) - 1).max() < 1e-9
    assert accuracy(truth, shares.argmax(1)) > 0.9
    sets = artifact.calibration.sets(shares, 0.9)
    assert 0.84 <= sets[np.arange(200), truth.astype(int)].mean() <= 1.0


def test_one_seed_gives_one_classifier_and_loading_gives_the_saved_one(fitted):
    artifact, folder = fitted
    again = load_class_artifact(folder)
    samples = slopes(8).samples
    assert np.array_equal(again.classifier.probabilities(samples), artifact.classifier.probabilities(samples))
    assert again.adapter_sha256 == artifact.adapter_sha256
    other, _ = fit_classifier(TASK, slopes(180).samples, CLASSES, TASK.config)
    assert np.array_equal(other.probabilities(samples), artifact.classifier.probabilities(samples))


def test_predictions_carry_sets_claim_and_licence(fitted):
    found = predict_classes(fitted[0], of_group("new", slopes(6, seed=1)), 0.9)
    other = replace(slopes(1).samples[0], source=Provenance(data="elsewhere", item="1"))
    assert predict_classes(fitted[0], [other])[0].claim.state == "none"
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
    (seen, *_) = predict_classes(artifact, of_group("g0", slopes(6)))
    assert seen.claim.state == "none"
    assert "trained or calibrated on" in seen.claim.reason
    (shifted, *_) = predict_classes(artifact, of_group("new", slopes(6), shift=5.0))
    assert shifted.claim.state == "withdrawn"
    few = replace(artifact, calibration=replace(artifact.calibration, groups=dict.fromkeys(CLASSES, ("g0",) * 90)))
    (unclaimed, *_) = predict_classes(few, of_group("new", slopes(6)))
    assert "1 groups of calibration, want 9" in unclaimed.claim.reason
    simulated = replace(artifact, manifest=artifact.manifest.model_copy(update={"simulated": True}))
    (refused, *_) = predict_classes(simulated, of_group("new", slopes(6)))
    assert refused.abstained
    assert "trained on simulations alone" in refused.reasons[0]
    scoped = replace(artifact, manifest=artifact.manifest.model_copy(update={"scope": {"crop": ["maize"]}}))
    assert all(found.abstained for found in predict_classes(scoped, of_group("new", slopes(2))))


def in_channels(sample: Sample, columns: list[int]) -> Sample:
    stream = sample.streams["x"]
    channels = tuple(stream.channels[column] for column in columns)
    return replace(sample, streams={"x": replace(stream, values=stream.values[:, columns], channels=channels)})


def test_channels_go_by_name_in_classes_sets_and_claims(fitted):
    artifact, folder = fitted
    samples = of_group("new", slopes(6, seed=1))
    wanted = predict_classes(artifact, samples)
    assert {found.claim.state for found in wanted} == {"stated"}
    for known in (artifact, load_class_artifact(folder)):
        turned = predict_classes(known, [in_channels(sample, [1, 0]) for sample in samples])
        for one, other in zip(wanted, turned, strict=True):
            assert (one.value, one.region, one.claim) == (other.value, other.region, other.claim)
    (seen, *_) = artifact.features([in_channels(samples[0], [1])])
    assert np.isnan(seen[0])  # what is lacking is lacking: no other channel stands in its place
    assert seen[1] == pytest.approx(artifact.features(samples[:1])[0, 1])
    fahrenheit = replace(samples[0].streams["x"], channels=(RISE, replace(HEAT, unit="degF")))
    with pytest.raises(ChannelError, match=r"0, x: channel 'heat' comes in degF, want degC"):
        predict_classes(artifact, [replace(samples[0], streams={"x": fahrenheit})])


def test_a_run_that_does_not_say_its_channels_is_refused(fitted, tmp_path):
    artifact, _ = fitted
    nameless = replace(artifact.classifier, layout=Layout(channels={}))
    facts = {**facts_of(TASK, slopes(2)), "scope": {}, "training": {"data": "test"}}
    groups = of_group("a", slopes(2)) + [one for name in "bcdef" for one in of_group(name, slopes(2))]
    save_class_artifact(tmp_path, nameless, artifact.calibration, groups, facts)
    with pytest.raises(ArtifactError, match=r"which channels.*train it again"):
        load_class_artifact(tmp_path)


def test_training_on_channels_in_any_order_gives_the_same_classifier():
    source = slopes(60)
    config = replace(TASK.config, training=replace(TASK.config.training, epochs=1), num_folds=2)
    mixed = [in_channels(sample, [row % 2, 1 - row % 2]) for row, sample in enumerate(source.samples)]
    first, other = (fit_classifier(TASK, samples, CLASSES, config)[0] for samples in (source.samples, mixed))
    assert np.array_equal(first.probabilities(source.samples[:9]), other.probabilities(mixed[:9]))


def test_what_no_classifier_uses_is_refused(tmp_path):
    from mainstem.apps.classes import fit_class_artifact
    from mainstem.apps.finetune import FitSpec

    source = slopes(12)
    with pytest.raises(InputError, match=r"slopes names classes .* leave order out"):
        fit_class_artifact(TASK, source, source.samples, FitSpec(config=TASK.config, order="any"), tmp_path)
    with pytest.raises(InputError, match="num_gap_draws"):
        replace(TASK, config=replace(TASK.config, num_gap_draws=7))


def test_a_run_of_classes_is_no_run_of_quantities(fitted):
    from mainstem.core.artifact import load_artifact

    with pytest.raises(ArtifactError, match="names classes"):
        load_artifact(fitted[1], lambda state, arrays: pytest.fail("nothing to restore"))


def test_the_temperature_that_made_the_labels_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 4))
    shares = softmax(logits / 2.0)
    labels = np.array([rng.choice(4, p=row) for row in shares])
    assert fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.08)


def test_a_class_with_too_few_cases_stays_in_every_set():
    shares = np.tile([0.98, 0.01, 0.01], (40, 1))
    calibration = ClassSetCalibration.fit(shares, [0] * 38 + [1, 2], ["common", "rare", "rarer"])
    assert calibration.thresholds(0.9)[1:].tolist() == [0.0, 0.0]
    assert calibration.sets(shares, 0.9)[:, 1:].all()


def test_weights_and_draws_are_those_of_their_definition():
    weights = balanced_weights(np.array([0] * 16 + [1] * 4), 2)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[-1] / weights[0] == pytest.approx(2.0)  # square root of 16 / 4
    samples = slopes(60).samples
    few = drawn(samples, 2, 0)
    assert len(few) == 20
    assert few == drawn(samples, 2, 0)


def test_macro_f1_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 4, 500).astype(float), rng.integers(0, 4, 500).astype(float)
    assert macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_a_lora_on_a_shared_trunk_is_saved_once_and_loads_equal(tmp_path):
    from mainstem.core.openmodels import load_open_model

    source = slopes(60)
    config = replace(TASK.config, training=replace(TASK.config.training, epochs=1, trunk="lora"), num_folds=2)
    classifier, judged = fit_classifier(TASK, source.samples, CLASSES, config, base=load_open_model("xs"))
    calibration = ClassSetCalibration.fit(softmax(judged.logits), judged.truth.tolist(), CLASSES)
    facts = {**facts_of(TASK, source), "scope": {}, "training": {"data": "test", "groups": ["g0"]}}
    saved = save_class_artifact(tmp_path, classifier, calibration, TASK.prepare(source.samples), facts)
    assert saved.manifest.trunk_is_shared
    samples = source.samples[:5]
    loaded = load_class_artifact(tmp_path).classifier.probabilities(samples)
    assert np.abs(loaded - classifier.probabilities(samples)).max() < 1e-6


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
        classifier, _ = fit_classifier(TASK, source.samples, CLASSES, config, base=base)
        kept = [
            all((weights == 0.123).all() for weights in member.adapter.tokenizer.parameters())
            for member in classifier.members
        ]
        assert kept == [not renamed] * 2


def test_nothing_near_what_is_held_out_is_trained_on():
    from mainstem.core.classification import buffered_folds

    def at(x_m: float, group: str) -> Sample:
        facts = {"x_m": x_m, "y_m": 0.0}
        return Sample(streams={}, target=0.0, source=Provenance(data="d", item=str(x_m), group=group, facts=facts))

    samples = [at(10.0 * step, "abcd"[step // 10]) for step in range(40)]  # four neighbours of 100 m on a line
    for kept, held in buffered_folds(samples, 4, 30.0):
        nearest = min(abs(samples[a].source.facts["x_m"] - samples[b].source.facts["x_m"]) for a in kept for b in held)
        assert nearest == 30.0
    assert sum(len(kept) for kept, _ in buffered_folds(samples, 4, 0.0)) == 4 * 30
    with pytest.raises(InputError, match="leaves no sample to train on"):
        buffered_folds(samples, 2, 500.0)


def test_a_fold_s_own_labels_tell_nothing_of_its_probabilities_and_sets():
    """Labels of the fold that is held out are turned: what is said of it stays, what is said of the others does not."""
    from mainstem.apps.classes import judged_in_folds

    rng = np.random.default_rng(6)
    truth, groups = rng.integers(0, 3, 600), tuple(f"g{row // 10}" for row in range(600))
    logits = rng.normal(0, 2, (600, 3)) + 2.5 * np.eye(3)[truth]
    folds = [
        (np.flatnonzero(np.arange(600) % 4 != fold), np.flatnonzero(np.arange(600) % 4 == fold)) for fold in range(4)
    ]
    held = folds[0][1]
    other = truth.copy()
    other[held] = (other[held] + 1) % 3
    found, turned = (
        judged_in_folds(ClassesOutOfFold(truth=labels, logits=logits, groups=groups), folds, list("abc"), 0.9)
        for labels in (truth, other)
    )
    for said, said_of_turned in zip(found, turned, strict=True):
        assert np.array_equal(said[held], said_of_turned[held])
        assert not np.array_equal(said, said_of_turned)


def test_a_group_of_many_cases_counts_once():
    from mainstem.apps.classes import over_groups

    assert over_groups(np.array([True] * 98 + [False, True]), ["large"] * 98 + ["small"] * 2) == 0.75


def test_nothing_is_claimed_of_what_lacks_a_channel_that_training_had(fitted):
    (whole, *_) = samples = of_group("new", slopes(6, seed=1))
    (lacking, *_) = predict_classes(fitted[0], [in_channels(sample, [1]) for sample in samples])
    assert lacking.claim.state == "none"
    assert f"lacks x: {whole.streams['x'].channels[0].name}" in lacking.claim.reason
