"""What leaves an adapter: a value with its region of doubt, the claim made for it, and its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mainstem.core.plain import plain
from mainstem.core.stream import Provenance
from mainstem.core.targets.parts import Region, RegionWords, figure


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Whether the region's coverage is stated, withdrawn (inputs have shifted) or was never earned (none).

    `population` says for which population and groups the coverage holds; `reason` why it is not stated.
    """

    state: Literal["stated", "withdrawn", "none"]
    population: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """Which adapter and which trunk made a prediction."""

    adapter: str
    task: str
    version: str
    adapter_sha256: str
    trunk_sha256: str

    @property
    def name(self) -> str:
        """Adapter, task and version, as tables say them."""
        return f"{self.adapter} {self.task} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A value that is never bare.

    Attributes:
        value: what is told: the central estimate in `units`, or the most probable class.
        region: what cannot be ruled out at `level`; None where the adapter abstains, or never was calibrated.
        level: nominal coverage, 0-1.
        units: unit of `value` and of a region's ends.
        claim: what is said of the region's coverage.
        abstained: True where no value is told: the input lies outside the manifest's scope, or is unlike all that was
            trained on, and then there is no region; or the region decides nothing.
        reasons: sentences for the user: why it abstained, why the claim was withdrawn, what is missing.
        probabilities: named probabilities, e.g. of each class, or "below 8 t/ha".
    """

    value: float | str | None
    region: Region | None
    level: float
    units: str
    claim: Claim
    model: ModelRef
    source: Provenance
    abstained: bool = False
    reasons: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def words(self) -> RegionWords:
        """Say to a person what is told, and what cannot be ruled out."""
        told = f"{figure(self.value)} {self.units}" if isinstance(self.value, float | int) else str(self.value)
        if self.region is None:
            return RegionWords(text=f"{told}: never calibrated, so that nothing can be ruled out", is_decided=False)
        return self.region.words(told, self.units, self.level)

    def line(self) -> str:
        """Say in one line of which input what is told, and whether it is claimed that this holds so often."""
        if self.abstained and (self.region is None or self.value is None):
            return plain(f"{self.source.item}: nothing is predicted: {'; '.join(self.reasons)}")
        share = self.probabilities.get(str(self.value))
        likely = "" if share is None else f"; most likely {self.value} ({share:.0%})"
        is_stated = self.claim.state == "stated"
        why = self.claim.population if is_stated else self.claim.reason
        held = f"the {self.level:.0%} is {'' if is_stated else 'not '}claimed{f': {why}' if why else ''}"
        return plain(f"{self.source.item}: {self.words().text}{likely}; {held}")

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain JSON types."""
        return {
            **vars(self),
            "line": self.line(),
            "region": None if self.region is None else self.region.to_dict(),
            "words": vars(self.words()) | {},
            "claim": vars(self.claim) | {},
            "model": vars(self.model) | {},
            "source": {**vars(self.source), "facts": dict(self.source.facts)},
            "reasons": list(self.reasons),
            "probabilities": dict(self.probabilities),
        }
