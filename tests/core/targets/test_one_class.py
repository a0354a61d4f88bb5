"""An alarm is learned, weighed and set from healthy cases alone, and says how little few of them tell."""

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli

from mainstem.core.conformal import Calibration
from mainstem.core.errors import InputError
from mainstem.core.evaluation import exact_interval
from mainstem.core.judging import Evidence
from mainstem.core.targets import Known, OneClass
from mainstem.core.targets.one_class import threshold_rate, told_alarms
from mainstem.core.targets.parts import Regions

TARGET = OneClass(units="score", names=("healthy", "failed"))
TRUTH = np.array([0.0] * 20 + [1.0] * 5)


def told():
    """Healthy cases 1 to 20, failed ones 100 to 104, as both parts tell them."""
    values = np.append(np.arange(1.0, 21), np.arange(100.0, 105))
    raw = {"trunk": values, "plain": values}
    blend = TARGET.blend(raw, TRUTH, [""] * 25)
    return raw, blend, TARGET.combine([raw], blend)


def test_only_healthy_cases_teach_and_weigh():
    assert TARGET.teaches(TRUTH).tolist() == (TRUTH == 0).tolist()
    raw, blend, _ = told()
    assert blend["centre trunk"] == 10.5
    other = {name: np.append(values[:20], np.full(5, 1e6)) for name, values in raw.items()}
    assert TARGET.blend(other, TRUTH, [""] * 25) == blend, "failures move nothing"
    with pytest.raises(InputError, match="1 healthy"):
        TARGET.learnable(np.array([0.0, 1.0, 1.0]))


def test_scores_rank_as_both_parts_do_and_failed_cases_set_no_threshold():
    _, _, outputs = told()
    assert (np.diff(outputs["score"]) > 0).all()
    scores = TARGET.scores(outputs, TRUTH)
    assert np.isnan(scores[20:]).all()
    evidence = Evidence.of(TARGET, outputs, TRUTH, [f"g{row}" for row in range(25)], [""] * 25)
    assert len(evidence.scores) == 20
    assert set(evidence.groups) == {f"g{row}" for row in range(20)}


def test_the_threshold_is_the_conformal_quantile_of_healthy_cases():
    _, _, outputs = told()
    groups = [f"g{row}" for row in range(25)]
    calibration: Calibration = Evidence.of(TARGET, outputs, TRUTH, groups, [""] * 25).calibration((), "made", ())
    quantile = calibration.quantiles(0.9, [""] * 25)
    assert np.allclose(quantile, outputs["score"][18])  # the 19th of 20: ceil(0.9 * 21)
    regions = TARGET.noted(TARGET.regions(outputs, quantile), calibration, 0.9)
    assert [one.is_raised for one in regions] == [row > 18 for row in range(25)]
    assert regions[0].columns()["healthy_cases"] == 20
    assert "20 healthy cases" in TARGET.reasons(calibration, 0.9)[0]
    share = TARGET.probabilities(outputs, calibration, [""] * 25, ())["as strange though healthy"]
    assert np.isclose(share[0], 1.0)
    assert np.isclose(share[24], 1 / 21)
    told_of = TARGET.coverage_figures(Regions(told=outputs, truth=TRUTH, quantile=quantile, level=0.9), groups)
    assert told_of["recall"] == 1
    assert told_of["false_alarms"] == 1 / 20


def test_exact_intervals_are_those_of_clopper_and_pearson():
    assert exact_interval(0, 41) == pytest.approx((0.0, 1 - 0.025 ** (1 / 41)))
    assert exact_interval(41, 41) == pytest.approx((0.025 ** (1 / 41), 1.0))
    assert exact_interval(4, 41) == pytest.approx((0.0272, 0.2313), abs=1e-4)
    assert exact_interval(0, 0) == (0.0, 1.0)
    assert np.isnan(told_alarms(np.array([True]), np.array([1.0]))["false_alarms"])


def test_a_threshold_s_rate_is_as_simulated():
    scores = np.sort(np.random.default_rng(0).uniform(size=(20_000, 41)), 1)
    rates = 1 - scores[:, 37]  # the 38th of 41: ceil(0.9 * 42)
    assert threshold_rate(41, 0.9) == pytest.approx(np.quantile(rates, (0.025, 0.975)), abs=3e-3)


def test_the_head_tells_odds():
    distribution = Bernoulli(logits=torch.tensor([-2.0, 3.0]))
    outputs = TARGET.outputs(distribution, Known(past=np.zeros(2), plain=np.array([0.5, 1.5]), frame={}))
    assert outputs["trunk"].tolist() == [-2.0, 3.0]
    loss = TARGET.loss(distribution, torch.tensor([0.0, 1.0], dtype=torch.float64), None).mean()
    assert np.isclose(float(loss), (np.log1p(np.exp(-2)) + np.log1p(np.exp(-3))) / 2)
