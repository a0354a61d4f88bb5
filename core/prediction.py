"""What leaves an adapter: a value with its region of doubt, the claim made for it, and its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mainstem.core.stream import Provenance


@dataclass(frozen=True, kw_only=True)
class Interval:
    """All values from `low` to `high`, in the prediction's units."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class ClassSet:
    """The classes that cannot be ruled out at the level, most probable first."""

    classes: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name in self.classes


Region = Interval | ClassSet


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


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A value that is never bare.

    Attributes:
        value: the central estimate in `units`, or the most probable class.
        region: the interval or class set at `level`; None where the adapter abstains.
        level: nominal coverage, 0-1.
        units: unit of `value` and of an interval's ends; "class" for class sets.
        claim: what is said of the region's coverage.
        abstained: True where the input lies outside the manifest's scope; then `value` and `region` are None.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain JSON types."""
        region: dict[str, Any] | None = None
        if isinstance(self.region, Interval):
            region = {"low": self.region.low, "high": self.region.high}
        elif isinstance(self.region, ClassSet):
            region = {"classes": list(self.region.classes)}
        return {
            "value": self.value,
            "region": region,
            "level": self.level,
            "units": self.units,
            "claim": vars(self.claim) | {},
            "model": vars(self.model) | {},
            "source": {**vars(self.source), "facts": dict(self.source.facts)},
            "abstained": self.abstained,
            "reasons": list(self.reasons),
            "probabilities": dict(self.probabilities),
        }
