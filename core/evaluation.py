"""Metrics, and intervals of paired differences that hold over a handful of groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Plain = Any  # JSON types
Metric = Callable[[Array, Array], float]  # truth, predicted
CONFIDENCE = 0.95  # of intervals of shares
Aggregate = Callable[[Metric], Callable[[Sequence[Array], Sequence[Array]], float]]  # a metric over groups' cases


def rmse(truth: Array, predicted: Array) -> float:
    """Root mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((truth - predicted) ** 2)))


def nrmse_percent(truth: Array, predicted: Array) -> float:
    """100 RMSE / size of the mean of the truth, percent; NaN where that is nought.

    Source: CY-Bench, metrics `normalized_rmse`.
    """
    size = abs(float(truth.mean()))
    return 100 * rmse(truth, predicted) / size if size else float("nan")


def r2(truth: Array, predicted: Array) -> float:
    """Coefficient of determination; NaN where the truth does not vary."""
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return 1 - float(np.sum((truth - predicted) ** 2)) / spread if spread else float("nan")


def r2_within(truth: Array, predicted: Array, labels: Sequence[str]) -> float:
    """R2 once each label's mean is taken from truth and from prediction alike: what is told apart inside a label.

    NaN where nothing varies inside any.
    """
    _, index = np.unique(np.asarray(labels), return_inverse=True)
    count = np.bincount(index)

    def inside(values: Array) -> Array:
        left: Array = values - (np.bincount(index, values) / count)[index]
        return left

    return r2(inside(truth), inside(predicted))


def macro_f1(truth: Array, predicted: Array) -> float:
    """Mean over the classes of the truth of F1 = 2 hits / (cases + times named)."""
    scores = []
    for label in np.unique(truth):
        here, named = truth == label, predicted == label
        scores.append(2 * float((here & named).sum()) / float(here.sum() + named.sum()))
    return float(np.mean(scores))


def accuracy(truth: Array, predicted: Array) -> float:
    """Share of cases whose class is right."""
    return float((truth == predicted).mean())


def over_groups(values: NDArray[Any], groups: Sequence[str]) -> float:
    """Mean over groups of each group's mean: a group of many cases counts once."""
    labels = np.asarray(groups)
    return float(np.mean([values[labels == group].mean() for group in np.unique(labels)]))


def exact_interval(hits: int, num: int) -> tuple[float, float]:
    """The exact binomial interval of a share at CONFIDENCE; 0 to 1 of no case.

    Source: Clopper & Pearson 1934, The use of confidence or fiducial limits, Biometrika 26, 404.
    """
    from scipy.stats import beta  # late: it takes a third of a second to import

    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, num - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, num - hits)) if hits < num else 1.0
    return low, high


def mean_auroc(truth: Array, probabilities: Array) -> float:
    """Mean over findings of the area under the receiver operating characteristic; NaN where none has both truths.

    Source: Hanley & McNeil 1982, The meaning and use of the area under a ROC curve, Radiology 143, 29 (ranks).
    """
    from scipy.stats import rankdata  # late: it takes a third of a second to import

    areas = []
    for known, likely in zip(truth.T, probabilities.T, strict=True):
        seen = np.isfinite(known)
        here, ranks = known[seen] == 1, rankdata(likely[seen])
        num, others = int(here.sum()), int((~here).sum())
        if num and others:
            areas.append((ranks[here].sum() - num * (num + 1) / 2) / (num * others))
    return float(np.mean(areas)) if areas else float("nan")


def dice(truth: Array, predicted: Array, classes: Sequence[int]) -> float:
    """Mean over classes, and over the cases (cases, ...) that have one, of 2 shared / (truth + predicted) voxels.

    NaN where no case has any. Source: Dice 1945, Measures of the amount of ecologic association between species.
    """
    scores = []
    for label in classes:
        here, named = (values == label for values in (truth, predicted))
        sums = [part.reshape(len(truth), -1).sum(1) for part in (here & named, here, named)]
        known = sums[1] > 0
        scores.append(float((2 * sums[0] / np.maximum(sums[1] + sums[2], 1))[known].mean()) if known.any() else np.nan)
    return float(np.mean(scores))


def volume_error_percent(truth: Array, predicted: Array, classes: Sequence[int]) -> float:
    """Mean over classes and cases (cases, ...) of the difference in voxels, in percent of the truth's; NaN of none."""
    errors = []
    for label in classes:
        true, told = ((values == label).reshape(len(truth), -1).sum(1) for values in (truth, predicted))
        errors += (100 * np.abs(told - true)[true > 0] / true[true > 0]).tolist()
    return float(np.mean(errors)) if errors else float("nan")


def interval_score(truth: Array, low: Array, high: Array, level: float) -> float:
    """Mean width, plus 2 / (1 - level) of every miss's distance, in the target's unit; less is better.

    Source: Gneiting & Raftery 2007, Strictly proper scoring rules, section 6.2.
    """
    missed = np.maximum(np.maximum(low - truth, truth - high), 0.0)
    return float(np.mean(high - low + 2 / (1 - level) * missed))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Model minus baseline of one metric, the ends of its interval, and each group's own difference.

    The ends, and the p-value of no difference, are None where one group alone is known: nothing says then how groups
    differ. They are None too where the metric is unknown, which makes the value NaN.
    """

    value: float
    low: float | None
    high: float | None
    by_group: Mapping[str, float]
    p_value: float | None = None

    def verdict(self, *, lower_is_better: bool = True) -> str:
        """Say "better" or "worse" where the interval lies on one side of zero, else "not distinguishable"."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "not distinguishable"
        return "better" if (self.high < 0) == lower_is_better else "worse"

    def to_dict(self, *, lower_is_better: bool = True) -> dict[str, Any]:
        """Return plain JSON types, the number of groups and the verdict in words."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "num_groups": len(self.by_group),
            "p_value": self.p_value,
            "verdict": self.verdict(lower_is_better=lower_is_better),
            "by_group": dict(self.by_group),
        }


def pooled(metric: Metric) -> Callable[[Sequence[Array], Sequence[Array]], float]:
    """Aggregate that scores all groups' cases together."""
    return lambda truths, predictions: metric(np.concatenate(truths), np.concatenate(predictions))


def median_over_groups(metric: Metric) -> Callable[[Sequence[Array], Sequence[Array]], float]:
    """Aggregate that scores each group alone and takes the median, as CY-Bench does over left-out years."""
    return lambda truths, predictions: float(
        np.median([metric(*pair) for pair in zip(truths, predictions, strict=True)])
    )


def mean_over_groups(metric: Metric) -> Callable[[Sequence[Array], Sequence[Array]], float]:
    """Aggregate that scores each group alone and takes the mean: what paired differences by group are told in."""
    return lambda truths, predictions: float(np.mean([metric(*pair) for pair in zip(truths, predictions, strict=True)]))


def paired_difference(
    aggregate: Callable[[Sequence[Array], Sequence[Array]], float],
    truth: Array,
    model: Array,
    baseline: Array,
    groups: Sequence[str],
    *,
    level: float = 0.95,
) -> Difference:
    """Model minus baseline of an aggregate, with a studentised interval over whole groups.

    The interval is Student's t on the jackknife's pseudo-values, a group left out at a time, the same one for model
    and baseline; of a mean over groups these are the groups' own differences. Over 7 groups it covers 94 to 96 %
    where the percentile bootstrap covers 83 to 88 (tests/core/test_evaluation.py). It does not fit a median over
    groups, whose jackknife is not consistent: give `mean_over_groups`.
    Source: Tukey 1958, Annals of Mathematical Statistics 29, 614; Efron & Tibshirani 1993, An Introduction to the
    Bootstrap, chapter 11.

    Args:
        aggregate: of the truth and the predictions of groups.
        truth: (cases,).
        model: (cases,), or (seeds, cases): the aggregate is then averaged over the seeds.
        baseline: like `model`, of as many seeds or one.
        groups: a label a case.
        level: of the interval.
    """
    labels = np.asarray(groups)
    names = np.unique(labels)
    rows = [np.flatnonzero(labels == name) for name in names]

    def score(predicted: Array, chosen: Sequence[NDArray[np.intp]]) -> float:
        truths = [truth[part] for part in chosen]
        return float(np.mean([aggregate(truths, [one[part] for part in chosen]) for one in np.atleast_2d(predicted)]))

    def difference(chosen: Sequence[NDArray[np.intp]]) -> float:
        return score(model, chosen) - score(baseline, chosen)

    value, by_group = difference(rows), {str(name): difference([part]) for name, part in zip(names, rows, strict=True)}
    if len(rows) < 2:
        return Difference(value=value, low=None, high=None, by_group=by_group)
    without = np.array([difference([*rows[:index], *rows[index + 1 :]]) for index in range(len(rows))])
    if not np.isfinite([value, *without]).all():
        return Difference(value=value, low=None, high=None, by_group=by_group)
    error, freedom = jackknife_error(without), len(rows) - 1
    reach = student_quantile((1 + level) / 2, freedom) * error
    return Difference(
        value=value,
        low=value - reach,
        high=value + reach,
        by_group=by_group,
        p_value=student_p_value(value, error, freedom),
    )


def jackknife_error(without: Array) -> float:
    """Standard error of a figure from its values with each group left out (groups,).

    Source: Efron & Tibshirani 1993, equation 11.5.
    """
    count = len(without)
    return float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def student_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t."""
    from scipy.stats import t  # late: it takes a third of a second to import

    return float(t.ppf(share, freedom))


def student_p_value(value: float, error: float, freedom: int) -> float:
    """Two-sided p-value of a figure whose truth is nought, by Student's t."""
    from scipy.stats import t  # late: it takes a third of a second to import

    return float(2 * t.sf(abs(value) / error, freedom)) if error > 0 else float(value == 0)


def compare_all(
    differences: Mapping[str, Mapping[str, Any]], *, lower_is_better: bool = True, level: float = 0.95
) -> dict[str, Any]:
    """Say how many comparisons are made, and which are told apart once their number is reckoned with.

    The differences' intervals hold at the level each by itself. `better_than` and `worse_than` are so all at once with
    at least the probability of the level, by Holm's step-down adjustment, which is never weaker than Bonferroni's.
    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Statistics 6, 65.

    Args:
        differences: what `Difference.to_dict` gave, by name.
        lower_is_better: of the metric.
        level: probability that none is called better or worse which is not.
    """
    known = {name: found["p_value"] for name, found in differences.items() if found["p_value"] is not None}
    told: list[str] = []
    for rank, name in enumerate(sorted(known, key=lambda name: float(known[name]))):
        if known[name] > (1 - level) / (len(known) - rank):
            break
        told.append(name)
    better = [name for name in told if (differences[name]["value"] < 0) == lower_is_better]
    return {
        "count": len(differences),
        "level": level,
        "intervals": "each by itself, not adjusted for the number of comparisons",
        "adjustment": "Holm",
        "better_than": sorted(better),
        "worse_than": sorted(set(told) - set(better)),
    }


def with_unknown(found: Plain) -> Plain:
    """The same figures with None for what is no number: JSON knows neither NaN nor infinity."""
    if isinstance(found, Mapping):
        return {key: with_unknown(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [with_unknown(value) for value in found]
    return None if isinstance(found, float) and not np.isfinite(found) else found


def mean_over_seeds(found: Sequence[Plain]) -> Plain:
    """Join what several seeds say of the same thing: numbers are averaged, mappings key by key, others must agree.

    Where words differ, all are said, joined by " or "; what some do not know is averaged over the others.
    """
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return mean_over_seeds(known) if known else None
    first = found[0]
    if isinstance(first, Mapping):
        return {key: mean_over_seeds([one[key] for one in found]) for key in first}
    if isinstance(first, list) and first and all(isinstance(one, Mapping) for one in first):
        return [mean_over_seeds(each) for each in zip(*found, strict=True)]
    if isinstance(first, (int, float)):
        return first if all(one == first for one in found) else float(np.mean(found))
    return first if all(one == first for one in found) else " or ".join(dict.fromkeys(map(str, found)))
