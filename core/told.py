"""What is told of samples, however they are held: targets, groups, facts, and which samples differ in them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Index
from mainstem.core.cases import Cases, Columns
from mainstem.core.stream import Sample


def targets_in(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Targets (cases,), NaN where unknown."""
    if isinstance(samples, Columns):
        return np.asarray(samples.truth(), np.float64)
    return np.array([np.nan if sample.target is None else float(sample.target) for sample in samples])


def told_in(samples: Sequence[Sample], name: str) -> list[Any]:
    """What is told of every sample under the name of an attribute of Provenance, as "group" or "item"."""
    if isinstance(samples, Columns):
        found: list[Any] = samples.column(name).tolist()
        return found
    return [getattr(sample.source, name) for sample in samples]


def facts_in(samples: Sequence[Sample], name: str) -> list[str | float | None]:
    """The fact of every sample, None where it has none."""
    if isinstance(samples, Cases):
        found: list[str | float | None] = samples.fact(name).tolist()
        return found
    return [sample.source.facts.get(name) for sample in samples]


def distinct(samples: Sequence[Sample], told: Sequence[str], facts: Sequence[str] = ()) -> tuple[list[int], Index]:
    """Rows of samples that differ in what is told of them, and for every sample the place among these of its like."""
    columns = [told_in(samples, name) for name in told] + [facts_in(samples, name) for name in facts]
    places: dict[tuple[Any, ...], int] = {}
    first: list[int] = []
    like = np.zeros(len(samples), np.intp)
    for row, key in enumerate(zip(*columns, strict=True) if columns else [()] * len(samples)):
        place = places.setdefault(key, len(places))
        if place == len(first):
            first.append(row)
        like[row] = place
    return first, like
