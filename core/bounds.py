"""What values a quantity can take at all: a mass below nothing is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.schema import printable

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The least and the largest value that physics allows, in the quantity's unit; infinite where it sets none."""

    lowest: float = -np.inf
    highest: float = np.inf

    @classmethod
    def of(cls, lowest: float | None, highest: float | None) -> "Bounds":
        """Read bounds where None is no bound."""
        return cls(lowest=-np.inf if lowest is None else lowest, highest=np.inf if highest is None else highest)

    @classmethod
    def checked(cls, lowest: object, highest: object, owner: str) -> "Bounds":
        """Read bounds that somebody wrote into an adapter; None is no bound.

        Raises:
            InputError: if one is no finite number, or they leave nothing between them.
        """
        bounds = cls.of(_number("lowest", lowest, owner), _number("highest", highest, owner))
        if bounds.lowest >= bounds.highest:
            raise InputError(
                f"{owner} has lowest {bounds.lowest:g} and highest {bounds.highest:g}, want lowest below highest"
            )
        return bounds

    def interval(self, value: Array, half: Array) -> tuple[Array, Array, Array]:
        """Return mean, lower and upper end of `value` plus and minus `half`, as far as they are possible.

        What is cut off no truth can lie in, so that coverage of possible truths stays as it is.
        """
        return self.clip(value), self.clip(value - half), self.clip(value + half)

    def clip(self, values: Array) -> Array:
        """Return the nearest possible values."""
        clipped: Array = np.clip(values, self.lowest, self.highest)
        return clipped

    def chance_below(self, mark: float, chances: Array) -> Array:
        """Chances of lying below a mark: 0 where nothing can, 1 where nothing else can, else what was found."""
        if mark <= self.lowest:
            return np.zeros_like(chances)
        return np.ones_like(chances) if mark > self.highest else chances

    def scaled(self, factor: float) -> "Bounds":
        """Return the bounds of values times a positive factor."""
        return Bounds(lowest=self.lowest * factor, highest=self.highest * factor)

    def told(self) -> tuple[float | None, float | None]:
        """The bounds as files keep them: None where there is none."""
        return (
            float(self.lowest) if np.isfinite(self.lowest) else None,
            float(self.highest) if np.isfinite(self.highest) else None,
        )

    def words(self) -> str:
        """The bounds in words, e.g. "at least 0"."""
        told = {"at least": self.lowest, "at most": self.highest}
        return ", ".join(f"{name} {bound:g}" for name, bound in told.items() if np.isfinite(bound)) or "any number"


def never_narrower(halves: Sequence[Array]) -> list[Array]:
    """Half widths (cases,), least known first, each made no less than all that follow; NaN where none is known."""
    widened = np.fmax.accumulate(np.array(halves)[::-1], axis=0)[::-1]
    return list(widened)


def _number(name: str, value: object, owner: str) -> float | None:
    """A bound as a float."""
    try:
        found = float(value) if isinstance(value, Real) and not isinstance(value, bool) else np.nan
    except OverflowError:
        value = found = np.inf  # which has fewer digits to show
    if value is not None and not np.isfinite(found):
        raise InputError(f"{owner} has {name} {printable(value)}, want a finite number, or None for no bound")
    return None if value is None else found
