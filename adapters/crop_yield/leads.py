"""Leads of pixels: what was known of a season one to four months before its end, derived when the sample was read.

A view takes derived samples, whose cover of August leans on a scene of September. So a reading derives each sample at
every lead, from scenes and weather cut there; the sample carries what was known earlier, and a view takes its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield.growth import FEATURES, LEADS, days_known, derive, leads_in
from mainstem.core.cases import blocks_in
from mainstem.core.errors import InputError
from mainstem.core.stream import Sample, Stream

DERIVED = ("growth", "sums")
VIEWS = tuple(f"lead{lead}" for lead in range(LEADS))


def carried(name: str, lead: int) -> str:
    """The name under which a sample that knows more carries a derived stream as it was known at a lead."""
    return f"{name} at {VIEWS[lead]}"


CARRIED = frozenset(carried(name, lead) for name in DERIVED for lead in range(LEADS))


def derive_all(samples: Sequence[Sample]) -> list[Sample]:
    """Return samples derived as they are, which carry what was known of them at each later lead."""
    known = [derive(samples, lead) for lead in range(LEADS)]
    own = leads_in(known[0]).tolist()
    return [_carrying(each, lead) for each, lead in zip(zip(*known, strict=True), own, strict=True)]


def _carrying(known: Sequence[Sample], own: int) -> Sample:
    """The first of a sample's derivations, by lead, with the streams of those that know less than its own lead."""
    earlier = {
        carried(name, lead): known[lead].streams[name]
        for lead in range(own + 1, LEADS)
        for name in DERIVED
    }  # fmt: skip
    return replace(known[0], streams={**known[0].streams, **earlier})


def known_at(samples: Sequence[Sample], view: str) -> Sequence[Sample]:
    """Return raw samples derived as they were known at a view's lead, or their own where they know less."""
    return derive(samples, VIEWS.index(view))


def days_of(view: str) -> int:
    """How many days of the year are known at a view's lead."""
    return days_known(VIEWS.index(view))


def as_known(sample: Sample, lead: int) -> Sample:
    """Return a sample as it was known at a lead, or its own where it knows less, without what it carries.

    Raises:
        InputError: if it does not carry that.
    """
    streams: dict[str, Stream] = {name: each for name, each in sample.streams.items() if name not in CARRIED}
    if lead > lead_of(sample):
        if carried("growth", lead) not in sample.streams:
            raise InputError(f"{sample.source.item} was derived once, for all that is known; derive it at each lead")
        streams |= {name: sample.streams[carried(name, lead)] for name in DERIVED}
    return replace(sample, streams=streams)


def views() -> dict[str, Callable[[Sample], Sample]]:
    """Return the views that a model is trained and judged on, by name: "lead0" (the whole season) to "lead4"."""
    return {view: partial(as_known, lead=lead) for lead, view in enumerate(VIEWS)}


def lead_of(sample: Sample) -> int:
    """Return the lead at which a derived sample is known."""
    return int(leads_in([sample])[0])


def sums_at(samples: Sequence[Sample], lead: int) -> NDArray[np.float64]:
    """Season sums as they were known at a lead (samples, FEATURES), NaN where they are unknown, or end earlier."""
    found = np.full((len(samples), FEATURES), np.nan)
    for rows, block in blocks_in(samples, "sums"):
        found[rows] = np.where((leads_in(samples)[rows] == lead)[:, None], block.values, np.nan)
    for rows, block in blocks_in(samples, carried("sums", lead)):
        found[rows] = block.values
    return found
