"""What is done with which samples, said in one place: members are trained, regions are set, figures are told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.folds import group_folds, groups_of
from mainstem.core.stream import Sample
from mainstem.core.told import facts_in, told_in

Rows = NDArray[np.intp]
CALIBRATE, TEST = "calibrate", "test"  # official parts of data, as a sample's source names them
OFFICIAL = "the data's calibrate part"
PLACE = ("x_m", "y_m")  # facts of a sample, for a buffer around what is held out
HELD_OUT = 5  # of so many groups one is held out, where a single member is judged on data of its own


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Rows of samples, by what is done with them; none is in two parts, and what is in none is left out.

    Attributes:
        train: members learn from these.
        calibrate: regions are set, and parts of what members say are weighed, by what they say of these.
        test: what figures are told of; nothing else knows these.
        judged_on: what `calibrate` is, in a manifest's words.
    """

    train: Rows
    calibrate: Rows
    test: Rows
    judged_on: str

    @classmethod
    def official(cls, samples: Sequence[Sample], test_groups: frozenset[str] = frozenset()) -> Self:
        """Split samples as their data do, by the part that each names, and by groups that are meant for testing."""
        named = zip(told_in(samples, "part"), told_in(samples, "group"), strict=True)
        return cls.around(samples, np.array([part == TEST or group in test_groups for part, group in named], bool))

    @classmethod
    def around(cls, samples: Sequence[Sample], is_test: NDArray[np.bool_]) -> Self:
        """Score those samples (samples,); of the others, the data say which are meant for calibration."""
        is_meant = np.array([part == CALIBRATE for part in told_in(samples, "part")], bool) & ~is_test
        return cls(
            train=np.flatnonzero(~(is_meant | is_test)),
            calibrate=np.flatnonzero(is_meant),
            test=np.flatnonzero(is_test),
            judged_on=OFFICIAL,
        )

    @classmethod
    def by_group(cls, samples: Sequence[Sample], num_folds: int) -> tuple[Self, ...]:
        """Deal whole groups to folds, each of which is held out of one split; with one fold one group in HELD_OUT."""
        folds = list(group_folds(groups_of(samples), num_folds if num_folds > 1 else HELD_OUT))
        told = "folds" if num_folds > 1 else "a part of its own"
        nothing = np.empty(0, np.intp)
        return tuple(
            cls(train=kept, calibrate=held, test=nothing, judged_on=told)
            for kept, held in (folds if num_folds > 1 else folds[:1])
        )

    def without_shared(self, groups: Sequence[str]) -> Self:
        """Train on no group (samples,) that calibration holds a case of: groups are held out whole."""
        held = {groups[row] for row in self.calibrate.tolist()}
        return replace(self, train=np.array([row for row in self.train.tolist() if groups[row] not in held], np.intp))

    def beyond(self, buffer_m: float, samples: Sequence[Sample]) -> Self:
        """Train on nothing that lies within `buffer_m` of a case of calibration; `x_m` and `y_m` are facts of samples.

        Near places are alike, so that a fold without a buffer tells of places that were all but seen. Source: Roberts
        et al. 2017, Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic
        structure, Ecography 40, 913.

        Raises:
            InputError: if nothing is left, or a sample has no place.
        """
        from scipy.spatial import cKDTree

        places = np.array([facts_in(samples, name) for name in PLACE], np.float64).T
        for row, column in np.argwhere(~np.isfinite(places))[:1].tolist():
            raise InputError(
                f"a buffer of {buffer_m:g} m needs {' and '.join(PLACE)} of every sample; "
                f"{samples[row].source.item!r} has no {PLACE[column]}; give both as facts"
            )
        is_far = cKDTree(places[self.calibrate]).query(places[self.train])[0] >= buffer_m
        if not is_far.any():
            raise InputError(f"a buffer of {buffer_m:g} m leaves no sample to train on; label groups farther apart")
        return replace(self, train=self.train[is_far])


def member_splits(samples: Sequence[Sample], num_folds: int, buffer_m: float = 0.0) -> tuple[Split, ...]:
    """Return what each member learns from and is judged on; one and the same split where all are judged together.

    Data without a part for calibration are dealt to folds. Where they have one, no member learns from it, nor from
    other samples of its groups: `num_folds` members learn from all the rest, each with a seed of its own, and what they
    say together of that part is judged. Source: Lei et al. 2018, Distribution-free predictive inference for regression,
    section 2.2 (split conformal); Lakshminarayanan et al. 2017, Deep ensembles, section 2.4 (all members on all data).

    Raises:
        InputError: if nothing is left to train on.
    """
    meant = Split.around(samples, np.zeros(len(samples), bool))
    if not len(meant.calibrate):
        splits = Split.by_group(samples, num_folds)
        return tuple(split.beyond(buffer_m, samples) for split in splits) if buffer_m else splits
    alone = meant.without_shared(groups_of(samples))
    if not len(alone.train):
        raise InputError(
            "every group has a sample in the data's calibrate part, so that none is left to train on; part whole groups"
        )
    return (alone.beyond(buffer_m, samples) if buffer_m else alone,) * num_folds


def are_judged_together(splits: Sequence[Split]) -> bool:
    """True where there is one split for all members, so that they are judged by what they say together."""
    return all(split is splits[0] for split in splits)
