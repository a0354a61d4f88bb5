"""What classes and findings share: names that the data say, and that an artefact keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.samples import SampleSet
from mainstem.core.schema import is_name, printable
from mainstem.core.targets.base import Target
from mainstem.core.targets.parts import Array, Outputs

if TYPE_CHECKING:
    from mainstem.core.conformal import Calibration

MOST_NAMES = 10_000
SEPARATOR = ";"  # of names that stand in one cell of a table


@dataclass(frozen=True, kw_only=True)
class Named(Target):
    """A target whose values stand for `names`, one output of the head each."""

    names: tuple[str, ...] = ()

    def told(self, source: SampleSet) -> Self:
        """Return the target with the names that the set says.

        Raises:
            InputError: if it says none.
        """
        if not source.classes:
            raise InputError(f"{source.name} names no {self.kind}; give samples that have some")
        for name in source.classes:
            if not is_name(name) or SEPARATOR in name:
                raise InputError(
                    f"got {printable(name)!r} among the {self.kind}, want names of one line, at most 200 letters and "
                    f"without {SEPARATOR!r}, which stands between them; rename it"
                )
        alike = [
            name for name in source.classes if sum(name.casefold() == one.casefold() for one in source.classes) > 1
        ]
        if alike:
            raise InputError(f"{self.kind} {', '.join(alike[:2])} differ in case alone; write them one way")
        return replace(self, names=source.classes)

    def learnable(self, truth: Array) -> Array:
        """Return the truth, of every finding of which somebody said whether it is there.

        Raises:
            InputError: naming the first of which nobody did: it would be trained on nothing, and told all the same.
        """
        unread = np.isnan(truth).all(0) if truth.ndim > 1 else np.empty(0, bool)
        if unread.any():
            name = self.names[int(unread.argmax())]
            raise InputError(f"no sample to train on says anything of {name!r}; drop its column, or give some")
        return truth

    @property
    def told_names(self) -> tuple[str, ...]:
        """The names."""
        return self.names

    def facts(self) -> dict[str, Any]:
        """Return the names too."""
        return {**super().facts(), "names": list(self.names)}

    def restored(self, facts: Mapping[str, Any]) -> Self:
        """Return the target with the names that a file says.

        Raises:
            ArtifactError: if it is of another kind, or its names are no names.
        """
        names = facts.get("names")
        if facts.get("kind") != self.kind:
            raise ArtifactError(f"it predicts {facts.get('units')!s:.40}, the task names {self.kind}; train it again")
        if not isinstance(names, list) or not names or len(names) > MOST_NAMES or not all(map(is_name, names)):
            raise ArtifactError(f"its {self.kind} are no names; train it again")
        if len(set(names)) < len(names):
            raise ArtifactError(f"one of its {self.kind} is named twice; train it again")
        return replace(self, names=tuple(names))

    def probabilities(
        self, told: Outputs, calibration: "Calibration | None", patterns: Sequence[str], marks: Sequence[float]
    ) -> dict[str, Array]:
        """Return the probability of each name (cases,)."""
        self.refuse_marks(marks)
        return {name: told["probabilities"][:, index] for index, name in enumerate(self.names)}

    def reasons(self, calibration: "Calibration", level: float) -> tuple[str, ...]:
        """Name the strata of truth that too few groups show to be ruled out."""
        names = self.strata_names()
        quantiles = calibration.stratum_quantiles(names, level)
        rare = [name for name, most in zip(names, quantiles.tolist(), strict=True) if most == np.inf]
        return tuple(f"too few groups show {name} for it to be ruled out" for name in rare)

    @property
    def num_values(self) -> int:
        """One a name."""
        return len(self.names)


__all__ = ["Named"]
