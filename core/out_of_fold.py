"""What the parts of a member say of groups that it never saw, and what each is worth there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.folds import fit_gate

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What a member says of samples (samples,), in the target's unit, before its parts are weighed.

    Attributes:
        past: the preparation's offset.
        plain: what the preparation's fallback adds to it.
        trunk: what the trunk adds to it.
        scale: of the member's errors.
    """

    past: Array
    plain: Array
    trunk: Array
    scale: Array

    def rest(self, share: float) -> Array:
        """Return what is predicted without the trunk, the fallback being trusted by `share`."""
        return self.past + share * self.plain

    def mean(self, share: float, gate: float) -> Array:
        """Return the mean: the trunk weighed by `gate` against the rest."""
        rest = self.rest(share)
        return rest + gate * (self.past + self.trunk - rest)

    def rows(self, chosen: NDArray[np.intp]) -> "Parts":
        """Return the chosen samples."""
        return Parts(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """Predictions of samples by the member that never saw their group, and the features of the shift alarm.

    `offset` is what is predicted without the trunk, `past` what is without any of the samples' own season; `parts` is
    what `share` and `gate` weigh.
    """

    truth: Array
    mean: Array
    offset: Array
    past: Array
    scale: Array
    features: Array
    own_features: Array
    groups: tuple[str, ...]
    gate: float
    share: float
    parts: Parts

    def weights_on(self, rows: NDArray[np.intp]) -> tuple[float, float]:
        """Return share and gate as some of the samples alone would have them."""
        return weigh(self.parts.rows(rows), self.truth[rows], [self.groups[row] for row in rows.tolist()])


def join(
    folds: Sequence[tuple[Parts, Array, Array]], back: NDArray[np.intp], truth: Array, groups: tuple[str, ...]
) -> OutOfFold:
    """Put the folds' judgements back in the order of the samples, and weigh the fallback, then the trunk."""
    joined = {
        name: np.concatenate([getattr(parts, name) for parts, *_ in folds])[back]
        for name in ("past", "plain", "trunk", "scale")
    }
    parts = Parts(**joined)
    share, gate = weigh(parts, truth, groups)
    return OutOfFold(
        truth=truth,
        mean=parts.mean(share, gate),
        offset=parts.rest(share),
        past=parts.past,
        scale=parts.scale,
        features=np.concatenate([features for _, features, _ in folds])[back],
        own_features=np.concatenate([own for *_, own in folds])[back],
        groups=groups,
        gate=gate,
        share=share,
        parts=parts,
    )


def weigh(parts: Parts, truth: Array, groups: Sequence[str]) -> tuple[float, float]:
    """Return the fallback's share against the past, and the trunk's gate against both, of out-of-fold parts."""
    share = fit_gate(truth - parts.past, parts.plain, groups)
    rest = parts.rest(share)
    return share, fit_gate(truth - rest, parts.past + parts.trunk - rest, groups)
