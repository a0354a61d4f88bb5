"""Targets and groups of samples, folds of whole groups, and what a part is worth on groups held out."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Sample
from mainstem.core.told import targets_in, told_in

Array = NDArray[np.float64]


def targets_of(samples: Sequence[Sample]) -> Array:
    """Targets (samples,).

    Raises:
        InputError: if one is unknown.
    """
    values = targets_in(samples)
    if not len(values) or not np.isfinite(values).all():
        raise InputError(f"got {np.isnan(values).sum()} of {len(values)} samples without a target, want all; drop them")
    return values


def has_groups(samples: Sequence[Sample]) -> bool:
    """True where any sample names a group; False where the data know none."""
    return any(group is not None for group in told_in(samples, "group"))


def groups_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Group labels of samples; where the data name no groups, each sample is one of its own.

    Raises:
        InputError: if some samples name none, or all name one.
    """
    groups = told_in(samples, "group")
    if has_groups(samples) and (None in groups or len(set(groups)) < 2):
        raise InputError(
            "calibration needs samples of at least two named groups, or of data that name none; name the group column"
        )
    return _labels(groups)


def _labels(groups: Sequence[str | None]) -> tuple[str, ...]:
    """Groups by name; a sample that names none is one of its own."""
    return tuple(f"case {row}" if group is None else str(group) for row, group in enumerate(groups))


def is_number(group: str) -> bool:
    """True where a group is named by a number, as a year is."""
    return re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", group) is not None


def one_writing(group: str) -> str:
    """A group's name, a number always written alike: 2011.0 and 02011 are 2011."""
    return repr(float(group)).removesuffix(".0") if is_number(group) else group


def season_in(sample: Sample, fact: str) -> str:
    """A sample's season by the fact that names it, a year as "2021"; "" where it names none."""
    value = sample.source.facts.get(fact)
    return "" if value is None else one_writing(str(value))


def group_folds(groups: Sequence[str], num_folds: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Give (train, held-out) row indices in turn; each held-out part is whole groups, dealt in turn."""
    distinct = sorted(set(groups))
    fold_of = {group: index % min(num_folds, len(distinct)) for index, group in enumerate(distinct)}
    folds = np.array([fold_of[group] for group in groups])
    for fold in range(folds.max() + 1):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)


def drawn(samples: Sequence[Sample], largest_group: int | None, seed: int) -> Sequence[Sample]:
    """The samples, of each group `largest_group` at most, drawn by the seed and in their order."""
    if largest_group is None:
        return samples
    rng = np.random.default_rng([seed, 43])
    groups = np.array(_labels(told_in(samples, "group")))
    kept: list[int] = []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        kept += (rows if len(rows) <= largest_group else rng.choice(rows, largest_group, replace=False)).tolist()
    return [samples[row] for row in sorted(kept)]


def fit_gate(wanted: Array, residual: Array, groups: Sequence[str]) -> float:
    """Least-squares weight 0-1 of out-of-fold residuals (samples,), or 0 unless they pay by a standard error.

    Groups count once each: the gain is the fall in a group's mean squared error, and its mean over groups has to
    exceed its standard error, which one group alone has not. Source: Breiman et al. 1984, CART, section 3.4.3 (the
    one-standard-error rule); Breiman 1996, Stacked regressions, section 2.
    """
    labels = np.asarray(groups)
    if len(np.unique(labels)) < 2:
        return 0.0
    power = float(np.dot(residual, residual))
    gate = float(np.clip(np.dot(wanted, residual) / power, 0, 1)) if power > 0 else 0.0
    gain = np.array(
        [
            np.mean(wanted[labels == group] ** 2 - (wanted - gate * residual)[labels == group] ** 2)
            for group in np.unique(labels)
        ]
    )
    return gate if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) else 0.0
