"""A support-vector machine a finding, to be held against: its form chosen on training patients alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.diagnostics.plain import COMPONENTS, copies_of
from mainstem.adapters.diagnostics.radiographs import pixels_of, standardised
from mainstem.core.evaluation import mean_auroc
from mainstem.core.stream import Sample
from mainstem.core.targets.odds import fit_line, likely_of

Array = NDArray[np.float64]
INNER = 3  # folds of training patients, in which the form is chosen
FORMS = tuple(product((0.0, 1.0), (0.1, 1.0, 10.0)))  # how far components are whitened, and C


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shown:
    """Components of standardised images, as they are and moved, to learn from; those of others, as they are, to tell.

    `learned` is (copies of images, components): all once, then all again as each copy has them; `spread` (components,)
    is that of the images as they are.
    """

    learned: Array
    told: Array
    spread: Array

    @classmethod
    def of(cls, samples: Sequence[Sample], asked: Sequence[Sample], seed: int) -> "_Shown":
        from sklearn.decomposition import PCA

        images, others = standardised(pixels_of(samples)), standardised(pixels_of(asked))
        found = PCA(min(COMPONENTS, len(images) - 1), random_state=seed).fit(images)
        every = np.vstack([images, *copies_of(images, samples)])
        return cls(
            learned=found.transform(every),
            told=found.transform(others),
            spread=np.maximum(np.sqrt(found.explained_variance_), 1e-6),
        )

    def decisions(self, truth: Array, form: tuple[float, float]) -> Array:
        """Decisions (asked, findings) of machines of one form; truth is (samples, findings), NaN where unread."""
        from sklearn.svm import SVC

        power, stiffness = form
        seen, asked = self.learned / self.spread**power, self.told / self.spread**power
        aims, found = np.tile(truth, (len(seen) // len(truth), 1)), np.zeros((len(asked), truth.shape[1]))
        for index, known in enumerate(aims.T):
            is_read = np.isfinite(known)
            if len(np.unique(known[is_read])) == 2:
                machine = SVC(C=stiffness, class_weight="balanced").fit(seen[is_read], known[is_read])
                found[:, index] = machine.decision_function(asked)
        return found


def machines(train: Sequence[Sample], truth: Array, asked: Sequence[Sample], seed: int) -> Array:
    """Return probabilities (asked, findings) by machines of the form that tells unseen training patients best.

    They learn of images as they are and moved a little, as the plain model does; decisions become probabilities on a
    line that the inner folds teach (Platt 1999, Probabilistic outputs for support vector machines, section 2.2).
    """
    inner = _inner(train)
    shown = [_Shown.of([train[row] for row in known], [train[row] for row in held], seed) for known, held in inner]
    areas, told = [], []
    for form in FORMS:
        parts = [one.decisions(truth[known], form) for one, (known, _) in zip(shown, inner, strict=True)]
        own = [mean_auroc(truth[held], part) for part, (_, held) in zip(parts, inner, strict=True)]
        areas.append(np.nan_to_num(own).sum())  # a fold that shows no finding, or nothing else, chooses nothing
        told.append(np.concatenate(parts))
    best = int(np.argmax(areas))
    aims = np.concatenate([truth[held] for _, held in inner])
    lines = np.array([fit_line(odds, known)[0] for odds, known in zip(told[best].T, aims.T, strict=True)])
    return likely_of(_Shown.of(train, asked, seed).decisions(truth, FORMS[best]), lines[:, 0], lines[:, 1])


def _inner(samples: Sequence[Sample]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows that are learned from and told, by fold; patients stay whole."""
    from sklearn.model_selection import GroupKFold

    groups = [str(sample.source.group) for sample in samples]
    return list(GroupKFold(min(INNER, len(set(groups)))).split(groups, groups=groups))
