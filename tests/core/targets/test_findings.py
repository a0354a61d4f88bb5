"""A third kind of target in one short file: known answers, and the product's own road from fit to prediction."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli

from mainstem.apps.calibrate import CalibrationSpec, calibrate
from mainstem.apps.evaluate import evaluate
from mainstem.apps.finetune import finetune
from mainstem.apps.protocols import GROUPED_FOLDS, EvaluationSpec
from mainstem.core.detecting import best_threshold, one_finding
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.evaluation import mean_auroc, mean_f1
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_run
from mainstem.core.predict import predict
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Classes, Findings, FindingSet
from mainstem.core.task import DataRequest, FitConfig, Task
from mainstem.core.training import TrainingConfig

NAMES = ("rust", "mildew")
TWO = Findings(names=NAMES)
CONFIG = FitConfig(training=TrainingConfig(epochs=15, batch_size=32, lr_per_step=3e-3), num_folds=3)
GROUPS = 24
SPEC = FitSpec(config=CONFIG)


def made(seed: int, num: int = 240) -> SampleSet:
    """A channel a finding, above 0 where it is there; of every fifth case one finding was not looked for."""
    rng, samples = np.random.default_rng(seed), []
    for row in range(num):
        values = rng.normal(size=2)
        there = (values + rng.normal(0, 0.1, 2) > 0).astype(float)
        if row % 5 == 0:
            there[row % 2] = np.nan
        stream = Stream(kind="scalar", values=values, channels=tuple(Channel(name=name, unit="1") for name in "ab"))
        source = Provenance(data="made", item=f"{seed}-{row}", group=f"s{seed}-{row % GROUPS}", licence="CC0-1.0")
        samples.append(Sample(streams={"x": stream}, target=there, source=source))
    return SampleSet(
        name="made", samples=tuple(samples), flagged={}, attribution="made", licence="CC0-1.0", classes=NAMES
    )


TASK = Task(
    name="test",
    task="signs",
    version="1",
    target=Findings(),
    config=CONFIG,
    read=lambda request: made(int(request.data)),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("findings") / "run"
    finetune(TASK, made(0), SPEC, folder)
    return folder


def test_it_is_one_file_of_under_200_lines():
    path = Path(__file__).parents[3] / "core" / "targets" / "findings.py"
    assert len(path.read_text().splitlines()) < 200


def test_the_product_s_own_functions_learn_judge_and_claim_them(run):
    fresh = made(1)
    fitted = load_run(run, TASK)
    told, thresholds = predict(fitted, fresh.samples, TASK.view_of, 0.9), fitted.ensemble.blend["whole"]
    record = json.loads((run / "record.json").read_text())["held_out"]
    assert {name: record[f"threshold {name}"] for name in NAMES} == thresholds
    truth = np.stack([sample.target for sample in fresh.samples])
    shares = np.array([[one.probabilities[name] for name in NAMES] for one in told])
    seen = np.isfinite(truth)
    assert ((shares >= 0.5) == (truth == 1))[seen].mean() > 0.9
    is_held = []
    for one, row in zip(told, truth, strict=True):
        assert {one.claim.state, one.units} == {"stated", "findings"} or one.claim.state == "withdrawn"
        assert one.value == "; ".join(name for name, share in one.probabilities.items() if share >= thresholds[name])
        absent = {name for name, value in zip(NAMES, row, strict=True) if value == 0}
        present = {name for name, value in zip(NAMES, row, strict=True) if value == 1}
        is_held.append(not set(one.region.present) & absent and not set(one.region.absent) & present)
    assert np.mean([one.claim.state == "stated" for one in told]) > 0.6  # the alarm fires on one group in five
    assert np.mean(is_held) >= 0.88  # what nobody read counts as wrong, so that more than 90 % are held
    again = calibrate(TASK, run, DataRequest(data="2"), CalibrationSpec(level=0.9))
    assert again["claim"] == "stated"
    assert 0.8 <= again["coverage_before"] <= 1


def test_a_finding_that_nobody_read_is_not_learned_and_case_alone_names_no_other(tmp_path):
    source = made(0)
    unread = [replace(one, target=np.array([one.target[0], np.nan])) for one in source.samples]
    with pytest.raises(InputError, match=f"says anything of '{NAMES[1]}'"):
        finetune(TASK, replace(source, samples=tuple(unread)), SPEC, tmp_path / "run")
    with pytest.raises(InputError, match="differ in case alone"):
        Findings().told(replace(source, classes=("Edema", "edema")))


def test_an_evaluation_has_what_every_evaluation_has():
    told = evaluate(TASK, DataRequest(data="3"), EvaluationSpec(fit=SPEC, protocol=GROUPED_FOLDS))
    assert list(told["metrics"]) == ["mean_auroc", "mean_f1"]
    assert told["metrics"]["mean_auroc"] > 0.95
    assert 0.85 <= told["coverage"]["pooled"] <= 0.97
    assert set(told["baselines"]) == {"logistic", "random_forest"}  # no average, whose ranks would be those of folds
    assert min(found["mean_auroc"] for found in told["baselines"].values()) > 0.9  # two channels tell all
    assert set(told["by_finding"]) == set(NAMES)
    assert set(told["by_group"]) == {f"s3-{row}" for row in range(GROUPS)}


def test_a_region_says_what_is_there_what_is_not_and_what_stays_open():
    told = {"probabilities": np.array([[0.95, 0.05], [0.95, 0.5], [0.5, 0.5]])}
    sure, half, _ = TWO.regions(told, np.array([0.2, 0.6, 0.6]))
    assert sure == FindingSet(present=("rust",), absent=("mildew",), open=())
    assert half == FindingSet(present=("rust",), absent=(), open=("mildew",))
    assert ["rust"] in sure
    assert [] not in sure
    assert NAMES not in sure
    assert ["rust"] in half
    assert NAMES in half
    assert TWO.size(told, np.array([0.2, 0.6, 0.6])).tolist() == [0, 1, 2]
    narrow = TWO.size({"probabilities": np.full((1, 2), 0.5)}, np.array([0.3]))
    assert narrow.tolist() == [2]  # below 1/2 neither can be held: what is not held stays open, never asserted


def test_what_is_told_to_be_covered_lies_in_the_region_told():
    rng = np.random.default_rng(0)
    told = {"probabilities": rng.uniform(size=(400, 2))}
    truth = (rng.uniform(size=(400, 2)) < told["probabilities"]).astype(float)
    for level in (0.2, 0.4, 0.5, 0.7):
        quantile = np.full(400, level)
        regions, names = TWO.regions(told, quantile), np.array(NAMES)
        inside = [names[row == 1].tolist() in region for row, region in zip(truth, regions, strict=True)]
        assert TWO.covered(told, truth, quantile).tolist() == inside
    assert TWO.covered(told, truth, np.full(400, 0.2)).mean() > 0.2


def test_the_worst_finding_is_the_score_and_what_nobody_read_counts_as_the_less_likely():
    told = {"probabilities": np.array([[0.9, 0.3], [0.9, 0.3]])}
    scores = TWO.scores(told, np.array([[1.0, 1.0], [1.0, np.nan]]))
    np.testing.assert_allclose(scores, [0.7, 0.7])
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = TWO.loss(Bernoulli(logits=logits), torch.tensor([[1.0, torch.nan]]), None)
    loss.total.backward()
    assert (loss.mean().item(), loss.count.item()) == (pytest.approx(np.log(2)), 1)
    assert logits.grad[0, 1] == 0


def test_metrics_are_those_of_scikit_learn():
    from sklearn.metrics import f1_score, roc_auc_score

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (300, 3)).astype(float)
    shares = np.round(np.clip(truth * 0.3 + rng.uniform(0, 0.7, truth.shape), 0, 1), 1)  # with ties
    assert mean_auroc(truth, shares) == pytest.approx(roc_auc_score(truth, shares, average="macro"))
    assert mean_f1(truth, shares) == pytest.approx(f1_score(truth, shares >= 0.5, average="macro"))


def test_one_share_for_all_cases_ranks_none_of_them():
    truth = (np.random.default_rng(0).random((300, 2)) < [0.1, 0.6]).astype(float)
    assert mean_auroc(truth, np.tile([0.1, 0.6], (300, 1))) == 0.5


def test_what_are_no_findings_is_refused(run):
    for target in (None, np.array([0.0, 2.0]), np.array([1.0])):
        sample = replace(made(0, 1).samples[0], target=target)
        with pytest.raises(InputError, match="finding"):
            TWO.truth([sample])
    with pytest.raises(ArtifactError, match="the task names classes"):
        load_run(run, replace(TASK, target=Classes()))
    with pytest.raises(InputError, match="leave --below out"):
        predict(load_run(run, TASK), made(1, 2).samples, TASK.view_of, thresholds=(1.0,))


def test_a_claim_holds_for_cases_that_are_read_whole_where_training_was_read_in_part():
    """A region holds all findings at once: one that is hardly ever read must not be said because nobody contradicts."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.2, 0.8, (4000, 2))
    truth = (rng.random((4000, 2)) < shares).astype(float)
    read = np.where([[False, True]], rng.random((4000, 2)) < 0.1, True)
    told = {"probabilities": shares}
    quantile = np.quantile(TWO.scores(told, np.where(read, truth, np.nan)), 0.9)
    regions = TWO.regions(told, np.full(4000, quantile))
    names = [[name for name, value in zip(NAMES, row, strict=True) if value] for row in truth]
    assert np.mean([found in one for found, one in zip(names, regions, strict=True)]) >= 0.9


def test_a_rare_finding_s_threshold_lies_where_it_is_told_best_and_few_cases_say_so():
    truth, likely = (
        np.repeat([0.0, 1.0], [90, 10]),
        np.concatenate([np.linspace(0, 0.1, 90), np.linspace(0.12, 0.2, 10)]),
    )
    assert best_threshold(truth, likely) == pytest.approx(0.12)
    assert best_threshold(np.append(truth, np.nan), np.append(likely, 0.01)) == pytest.approx(0.12)
    assert best_threshold(np.zeros(5), np.linspace(0, 1, 5)) == 0.5
    few = one_finding(truth, likely, np.full(100, 0.12))
    assert few == {"n": 100, "cases": 10, "note": "fewer than 20 cases with it, or without"}
    enough = one_finding(np.tile(truth, 2), np.tile(likely, 2), np.full(200, 0.15))
    assert (enough["cases"], enough["auc"], enough["specificity"]) == (20, 1.0, 1.0)
    assert enough["sensitivity"] == pytest.approx(0.6)
    with pytest.raises(ArtifactError, match="odd threshold of mildew"):
        Findings(names=("rust",)).check_blend({"rust": 0.5, "mildew": 0.5}, "whole")
