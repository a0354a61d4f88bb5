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
from mainstem.core.detecting import best_threshold, mean_sensitivity, one_finding, sensitivity_at_95_specificity
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.evaluation import mean_auroc
from mainstem.core.finetuning import FitSpec
from mainstem.core.fit import OutOfFold
from mainstem.core.fitted import load_run
from mainstem.core.judging import Evidence
from mainstem.core.predict import predict
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Classes, Findings, FindingSet
from mainstem.core.targets.odds import fit_line, learned, likely_of
from mainstem.core.targets.suspects import shown_of
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


@pytest.mark.long
def test_the_product_s_own_functions_learn_judge_and_claim_them(run):
    fresh = made(1)
    fitted = load_run(run, TASK)
    told, blend = predict(fitted, fresh.samples, TASK.view_of, 0.9), fitted.ensemble.blend["whole"]
    record = json.loads((run / "record.json").read_text())["held_out"]
    thresholds = {name: blend[f"threshold {name}"] for name in NAMES}
    assert set(blend) == {"plain", *(f"{part} {name}" for part in ("threshold", "slope", "offset") for name in NAMES)}
    assert blend.items() <= record.items()
    assert blend["plain"] == 0  # a table has no plain model
    truth = np.stack([sample.target for sample in fresh.samples])
    shares = np.array([[one.probabilities[name] for name in NAMES] for one in told])
    seen = np.isfinite(truth)
    assert ((shares >= 0.5) == (truth == 1))[seen].mean() > 0.9
    is_held: dict[tuple[str, float], list[bool]] = {}
    for one, row in zip(told, truth, strict=True):
        assert {one.claim.state, one.units} == {"stated", "findings"} or one.claim.state == "withdrawn"
        assert one.value == "; ".join(name for name, share in one.probabilities.items() if share >= thresholds[name])
        for name, value in zip(NAMES, row, strict=True):
            wrong = {0: one.region.present, 1: one.region.absent}.get(value, ())
            is_held.setdefault((name, value), []).append(name not in wrong)
    assert np.mean([one.claim.state == "stated" for one in told]) > 0.6  # the alarm fires on one group in five
    for name in NAMES:  # each where it is there and where it is not: of 100 cases, in groups of 10
        for value in (0.0, 1.0):
            assert np.mean(is_held[name, value]) >= 0.8
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


@pytest.mark.long
def test_an_evaluation_has_what_every_evaluation_has():
    told = evaluate(TASK, DataRequest(data="3"), EvaluationSpec(fit=SPEC, protocol=GROUPED_FOLDS))
    assert list(told["metrics"]) == ["mean_auroc", "mean_sensitivity_at_95_specificity"]
    assert told["metrics"]["mean_auroc"] > 0.95
    assert 0.85 <= told["coverage"]["pooled"] <= 0.97
    assert set(told["baselines"]) == {"logistic", "random_forest"}  # no average, whose ranks would be those of folds
    assert min(found["mean_auroc"] for found in told["baselines"].values()) > 0.9  # two channels tell all
    assert set(told["by_finding"]) == set(NAMES)
    for found in told["by_finding"].values():
        assert min(found["coverage_where_absent"], found["coverage_where_present"]) > 0.8
    assert set(told["by_group"]) == {f"s3-{row}" for row in range(GROUPS)}


def quantiles(*rows: tuple[float, float]) -> np.ndarray:
    """Quantiles (cases, strata) of cases: where a finding is absent, and where it is present, of both alike."""
    return np.tile(np.array(rows), (1, 2))


def test_a_region_says_what_is_there_what_is_not_and_what_stays_open():
    told = {"probabilities": np.array([[0.95, 0.05], [0.95, 0.5], [0.5, 0.5]])}
    both = quantiles((0.2, 0.2), (0.6, 0.6), (0.6, 0.6))
    sure, half, _ = TWO.regions(told, both)
    assert sure == FindingSet(present=("rust",), absent=("mildew",), open=())
    assert half == FindingSet(present=("rust",), absent=(), open=("mildew",))
    assert ["rust"] in sure
    assert [] not in sure
    assert NAMES not in sure
    assert ["rust"] in half
    assert NAMES in half
    assert TWO.size(told, both).tolist() == [0, 1, 2]
    narrow = TWO.size({"probabilities": np.full((1, 2), 0.5)}, quantiles((0.3, 0.3)))
    assert narrow.tolist() == [2]  # neither can be held: what is not held stays open, never asserted


def test_a_rare_finding_is_not_told_absent_where_its_own_cases_do_not_say_so():
    rng = np.random.default_rng(0)
    there = rng.random((4000, 2)) < [0.04, 0.5]
    likely = likely_of(rng.normal(there - np.array([3.2, 0.5]), 1), 1, 0)
    told, truth = {"probabilities": likely}, there.astype(float)
    read = rng.random(truth.shape) < 0.7
    groups = [str(row % 200) for row in range(4000)]
    known = Evidence.of(TWO, told, np.where(read, truth, np.nan), groups, [""] * 4000).calibration((), "made", ())
    assert len(known.scores) == read.sum()  # what nobody read calibrates nothing
    quantile = known.quantiles(0.9, [""] * 4000, TWO.strata_names())
    held = TWO.held(told, quantile)
    for name in range(2):
        for side in (0, 1):
            assert 0.87 <= held[there[:, name] == side, name, side].mean() <= 0.93
    assert (likely[there[:, 0], 0] < 0.1).mean() > 0.3  # one quantile for all would have told these absent
    few = Evidence.of(TWO, {"probabilities": likely[:40]}, truth[:40], groups[:40], [""] * 40).calibration((), "x", ())
    assert there[:40, 0].sum() < 9
    assert TWO.reasons(few, 0.9) == ("too few groups show rust present for it to be ruled out",)
    assert not any(
        region.absent.count("rust") for region in TWO.regions(told, few.quantiles(0.9, groups, TWO.strata_names()))
    )


def test_a_region_says_how_many_held_out_cases_told_so_show_it():
    truth, likely = np.zeros((400, 2)), np.tile([[0.1, 0.2]], (400, 1))
    truth[:40, 0], likely[:40, 0] = 1, 0.7  # rust is there, and told
    likely[40:60, 0] = 0.7  # and of 20 told too, who have none: one in eighteen of these
    truth[:, 1] = 1
    groups = [str(row % 100) for row in range(400)]
    told = {"probabilities": likely}
    known = Evidence.of(TWO, told, truth, groups, [""] * 400).calibration((), "made", ())
    shown = shown_of(known, NAMES, 0.9)
    assert shown == {"rust": (40, 60), "mildew": (0, 0)}  # that mildew is absent nobody ever saw
    assert shown_of(known, NAMES, 0.96)["rust"] == (0, 0)  # one in eighteen is too many at 96 %
    regions = TWO.noted(TWO.regions(told, known.quantiles(0.9, [""] * 400, TWO.strata_names())), known, 0.9)
    assert regions[0].shown == {"rust": (40, 60)}
    assert regions[0].to_dict()["held_out"] == {"rust": {"show": 40, "told": 60}}
    assert regions[0].columns()["held_out"] == "rust 40 of 60"
    assert regions[399].shown == {}
    assert regions[0].words("", "", 0.9).there == ("rust",)


def test_what_is_told_to_be_covered_lies_in_the_region_told():
    rng = np.random.default_rng(0)
    told = {"probabilities": rng.uniform(size=(400, 2))}
    truth = (rng.uniform(size=(400, 2)) < told["probabilities"]).astype(float)
    for level in (0.2, 0.4, 0.5, 0.7):
        quantile = quantiles(*[(level, 1 - level)] * 400)
        regions, names = TWO.regions(told, quantile), np.array(NAMES)
        inside = [names[row == 1].tolist() in region for row, region in zip(truth, regions, strict=True)]
        assert (TWO.covered(told, truth, quantile) == 1).tolist() == inside
        read = truth.copy()
        read[:, 1] = np.nan  # of one that nobody read nothing is said
        alone = TWO.covered(told, read, quantile)
        assert set(alone.tolist()) <= {0.0, 1.0}
        assert (alone == 1)[np.array(inside)].all()


def test_a_finding_s_score_is_one_less_the_probability_of_what_is_true_and_of_what_nobody_read_there_is_none():
    told = {"probabilities": np.array([[0.9, 0.3], [0.9, 0.3]])}
    truth = np.array([[1.0, 1.0], [0.0, np.nan]])
    np.testing.assert_allclose(TWO.scores(told, truth), [[0.1, 0.7], [0.9, np.nan]])
    assert TWO.strata(truth) == ("rust present", "mildew present", "rust absent", "")
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = TWO.loss(Bernoulli(logits=logits), torch.tensor([[1.0, torch.nan]]), None)
    loss.total.backward()
    assert (loss.mean().item(), loss.count.item()) == (pytest.approx(np.log(2)), 1)
    assert logits.grad[0, 1] == 0


def test_what_a_record_says_of_cases_held_out_was_weighed_without_them():
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 2)) < 0.5).astype(float)
    raw = {"trunk": rng.normal(size=(60, 2)), "plain": np.zeros((60, 2))}  # chance alone
    groups = tuple(str(row % 30) for row in range(60))
    rest = {"features": np.zeros((60, 1)), "own_features": np.zeros((60, 1)), "rows": np.arange(60)}
    judged = OutOfFold(
        target=TWO, truth=truth, raws=(raw,), blend=TWO.blend(raw, truth, groups), groups=groups, **rest
    )  # fmt: skip
    turned = replace(judged, truth=np.where(np.arange(60)[:, None] == 7, 1 - truth, truth))
    own = np.array(groups) == groups[7]
    np.testing.assert_array_equal(judged.nested["probabilities"][own], turned.nested["probabilities"][own])
    assert not np.array_equal(judged.nested["probabilities"][~own], turned.nested["probabilities"][~own])
    figures = TWO.figures(judged.nested, raw, truth, judged.blend)
    assert figures["held_out_mean_auroc"] == mean_auroc(truth, judged.nested["probabilities"])
    assert judged.blend.items() <= figures.items()


def test_the_part_that_knows_is_trusted_and_its_line_gives_probabilities():
    rng = np.random.default_rng(0)
    knows = rng.normal(0, 2, (3000, 2))
    truth = (rng.random((3000, 2)) < likely_of(knows, 1, [-1.0, 2.0])).astype(float)
    truth[::5, 0] = np.nan
    outputs = {"trunk": rng.normal(size=(3000, 2)), "plain": 3 * knows}
    blend = TWO.blend(outputs, truth, ())
    assert blend["plain"] == 1
    assert blend["slope rust"] == pytest.approx(1 / 3, abs=0.05)
    assert (blend["offset rust"], blend["offset mildew"]) == (pytest.approx(-1, abs=0.2), pytest.approx(2, abs=0.2))
    assert TWO.check_blend(blend, "whole") == blend
    told = TWO.combine([outputs, outputs], blend)
    np.testing.assert_allclose(told["probabilities"], likely_of(knows, 1, [-1.0, 2.0]), atol=0.06)
    assert set(TWO.parts(told)) == {"trunk", "plain_model"}
    other = learned({"trunk": outputs["plain"], "plain": outputs["trunk"]}, truth, NAMES)
    assert other["plain"] == 0
    assert other["slope rust"] == pytest.approx(blend["slope rust"])
    assert not TWO.parts(TWO.combine([{"trunk": knows, "plain": np.zeros_like(knows)}], blend))


def test_odds_that_say_nothing_keep_their_order_and_the_share():
    odds = np.random.default_rng(0).normal(size=400)
    (slope, offset), _ = fit_line(odds, (odds < -1).astype(float))  # the wrong way round
    likely = likely_of(odds, slope, offset)
    assert slope == pytest.approx(0.01)
    assert likely.mean() == pytest.approx((odds < -1).mean(), abs=0.01)
    assert (np.argsort(likely) == np.argsort(odds)).all()
    (slope, offset), _ = fit_line(odds, np.full(400, np.nan))
    assert (slope, offset) == (1, 0)


def test_areas_are_those_of_scikit_learn_and_sensitivities_those_of_each_finding():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (300, 3)).astype(float)
    shares = np.round(np.clip(truth * 0.3 + rng.uniform(0, 0.7, truth.shape), 0, 1), 1)  # with ties
    assert mean_auroc(truth, shares) == pytest.approx(roc_auc_score(truth, shares, average="macro"))
    each = [sensitivity_at_95_specificity(own, likely) for own, likely in zip(truth.T, shares.T, strict=True)]
    assert mean_sensitivity(truth, shares) == pytest.approx(np.mean(each))
    assert mean_sensitivity(np.vstack([truth, np.full((1, 3), np.nan)]), np.vstack([shares, shares[:1]])) == np.mean(
        each
    )


def test_one_share_for_all_cases_ranks_none_of_them():
    truth = (np.random.default_rng(0).random((300, 2)) < [0.1, 0.6]).astype(float)
    assert mean_auroc(truth, np.tile([0.1, 0.6], (300, 1))) == 0.5


@pytest.mark.long
def test_what_are_no_findings_is_refused(run):
    for target in (None, np.array([0.0, 2.0]), np.array([1.0])):
        sample = replace(made(0, 1).samples[0], target=target)
        with pytest.raises(InputError, match="finding"):
            TWO.truth([sample])
    with pytest.raises(ArtifactError, match="the task names classes"):
        load_run(run, replace(TASK, target=Classes()))
    with pytest.raises(InputError, match="leave --below out"):
        predict(load_run(run, TASK), made(1, 2).samples, TASK.view_of, thresholds=(1.0,))


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
    blend = {"plain": 0.5, "threshold rust": 0.5, "slope rust": 1.0, "offset rust": 0.0}
    alone = Findings(names=("rust",))
    assert alone.check_blend(blend, "whole") == blend
    with pytest.raises(ArtifactError, match="odd 'threshold mildew'"):
        alone.check_blend({**blend, "threshold mildew": 0.5}, "whole")
    with pytest.raises(ArtifactError, match="got threshold rust 2 of 'whole', want 0 to 1"):
        alone.check_blend({**blend, "threshold rust": 2.0}, "whole")
