"""Figures of how well it is told whether something is there; truth is 1 or 0, what is told a probability (cases,)."""

from typing import Any

import numpy as np

from mainstem.core.evaluation import Array, mean_auroc

SPECIFICITY = 0.95
NUM_BINS = 15
HALF = 0.5
FEWEST_CASES = 20  # of a subgroup of which figures are told
TOO_FEW = f"fewer than {FEWEST_CASES} cases"


def auc(truth: Array, probability: Array) -> float:
    """Area under the receiver operating characteristic; NaN where one truth alone is there."""
    return mean_auroc(truth[:, None], probability[:, None])


def accuracy(truth: Array, probability: Array) -> float:
    """Share of cases that one half tells right."""
    return float(((probability >= HALF) == truth).mean())


def sensitivity_at_95_specificity(truth: Array, probability: Array) -> float:
    """Share of what is there that is told above all but 5 % of what is not; NaN where one truth alone is there.

    Of several such thresholds the lowest is taken; a case at the threshold itself is told as absent.
    """
    here, others = probability[truth == 1], np.sort(probability[truth == 0])
    if not len(here) or not len(others):
        return float("nan")
    threshold = others[int(np.ceil(SPECIFICITY * len(others))) - 1]
    return float((here > threshold).mean())


def mean_sensitivity(truth: Array, probabilities: Array) -> float:
    """Mean over findings of `sensitivity_at_95_specificity`, of cases whose truth is known; NaN where none has both."""
    pairs = [
        (own[np.isfinite(own)], likely[np.isfinite(own)]) for own, likely in zip(truth.T, probabilities.T, strict=True)
    ]
    found = [sensitivity_at_95_specificity(own, likely) for own, likely in pairs if 0 < own.sum() < len(own)]
    return float(np.mean(found)) if found else float("nan")


def ece(truth: Array, probability: Array) -> float:
    """Expected calibration error of the likelier answer, in NUM_BINS bins of equal width.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    confidence = np.maximum(probability, 1 - probability)
    right = (probability >= HALF) == truth
    bins = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    return float(abs(np.bincount(bins, right - confidence, NUM_BINS)).sum() / len(truth))


def best_threshold(truth: Array, likely: Array) -> float:
    """The probability (cases,) from which on a finding is told best, sensitivity and specificity counting alike.

    Source: Youden 1950, Index for rating diagnostic tests, Cancer 3, 32.
    """
    seen = np.isfinite(truth)
    here, shown = truth[seen] == 1, likely[seen]
    if not here.any() or here.all():
        return HALF
    tried = np.unique(shown)
    worth = [float((shown[here] >= least).mean() - (shown[~here] >= least).mean()) for least in tried]
    return float(tried[int(np.argmax(worth))])


def one_finding(truth: Array, likely: Array, least: Array) -> dict[str, Any]:
    """Return how many cases (cases,) were read and show it, and figures where enough show it and enough do not."""
    seen = np.isfinite(truth)
    here, named = truth[seen] == 1, likely[seen] >= least[seen]
    counts = {"n": int(seen.sum()), "cases": int(here.sum())}
    if min(here.sum(), (~here).sum()) < FEWEST_CASES:
        return {**counts, "note": f"{TOO_FEW} with it, or without"}
    return {
        **counts,
        "auc": auc(truth[seen], likely[seen]),
        "sensitivity": float(named[here].mean()),
        "specificity": float((~named[~here]).mean()),
    }
