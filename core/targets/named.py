"""What classes and findings share: names that the data say, and that an artefact keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from mainstem.core.errors import ArtifactError
from mainstem.core.schema import is_name
from mainstem.core.stream import SampleSet
from mainstem.core.targets.base import Target

MOST_NAMES = 10_000


@dataclass(frozen=True, kw_only=True)
class Named(Target):
    """A target whose values stand for `names`, one output of the head each."""

    names: tuple[str, ...] = ()

    def told(self, source: SampleSet) -> Self:
        """Return the target with the names that the set says."""
        return replace(self, names=source.classes)

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

    @property
    def num_values(self) -> int:
        """One a name."""
        return len(self.names)


__all__ = ["Named"]
