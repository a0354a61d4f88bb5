"""Whether one thing is there: figures with known answers, a plain model's share, and sets that decide nothing."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical

from mainstem.core.conformal import Calibration
from mainstem.core.detecting import accuracy, auc, ece, sensitivity_at_95_specificity
from mainstem.core.errors import ArtifactError
from mainstem.core.targets import Detection, Known

TARGET = Detection(names=("absent", "present"))


def test_figures_have_their_known_answers():
    truth, told = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    assert auc(truth, told) == 0.75
    assert accuracy(truth, told) == 0.5
    assert sensitivity_at_95_specificity(truth, told) == 0.5
    others = np.linspace(0, 0.99, 100)
    told = np.concatenate([others, [0.945, 0.5, 0.99]])
    assert sensitivity_at_95_specificity(np.repeat([0.0, 1], [100, 3]), told) == pytest.approx(2 / 3)
    assert np.isnan(sensitivity_at_95_specificity(np.ones(3), np.ones(3)))


def test_calibration_error_is_nought_of_what_is_as_often_right_as_it_says():
    told = np.full(10, 0.7)
    assert ece(np.array([1.0] * 7 + [0] * 3), told) == pytest.approx(0)
    assert ece(np.zeros(10), told) == pytest.approx(0.7)
    assert ece(np.zeros(10), np.full(10, 0.3)) == pytest.approx(0.3)


def outputs(odds: np.ndarray, plain: np.ndarray) -> dict[str, np.ndarray]:
    logits = torch.tensor(np.stack([np.zeros(len(odds)), odds], 1))
    known = Known(past=np.zeros(len(odds)), plain=plain, frame={})
    return dict(TARGET.outputs(Categorical(logits=logits), known))


def test_the_better_of_trunk_and_plain_model_gets_the_larger_share():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400).astype(float)
    good, noise = 4 * (truth - 0.5) + rng.normal(0, 1, 400), rng.normal(0, 1, 400)
    assert TARGET.blend(outputs(noise, good), truth, ())["plain"] >= 0.8
    assert TARGET.blend(outputs(good, noise), truth, ())["plain"] <= 0.2
    blend = TARGET.blend(outputs(good, np.zeros(400)), truth, ())
    assert blend["plain"] == 0  # nothing plain is there
    told = TARGET.combine([outputs(good, np.zeros(400))], blend)
    assert TARGET.parts(told) == {}
    np.testing.assert_allclose(TARGET.point(told), 1 / (1 + np.exp(-good / blend["temperature"])))
    with pytest.raises(ArtifactError, match="plain"):
        TARGET.check_blend({"temperature": 1.0, "plain": 1.5}, "whole")


def test_a_set_of_both_or_of_none_decides_nothing_and_says_which():
    shares = np.array([0.05, 0.5, 0.95])
    told = {"probabilities": np.stack([1 - shares, shares], 1)}
    assert TARGET.undecided(told, np.full((3, 2), 0.6)) == ["", "neither absent nor present can be ruled out", ""]
    assert TARGET.undecided(told, np.full((3, 2), 0.4)) == ["", "it fits neither class", ""]
    calibration = Calibration(
        scores=np.tile(np.linspace(0, 0.9, 40), 2), groups=tuple(map(str, range(80))), population="made",
        strata=("absent",) * 40 + ("present",) * 40, has_groups=False,
    )  # fmt: skip
    assert calibration.stratum_quantiles(TARGET.names, 0.9)[0] == pytest.approx(np.linspace(0, 0.9, 40)[36])
