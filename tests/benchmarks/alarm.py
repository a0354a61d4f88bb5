"""How often the shift alarm fires on ordinary and on shifted years: us-maize, each training year left out in turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.seasons import PAST
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.folds import group_folds, groups_of
from mainstem.core.judging import places_of
from mainstem.core.preparation import own_features
from mainstem.core.stream import Sample
from mainstem.core.task import DataRequest

Array = NDArray[np.float64]
SHIFTS = (0.0, 0.5, 1.0, 2.0)  # standard deviations of calibration's cases, added to every feature
PASTS = {"x0.5": 0.5, "x0.8": 0.8, "x1.3": 1.3}  # what past yields are multiplied by
DRAWS = {1: 60, 10: 30, 100: 20}  # counties asked for, how often from each year
FEWEST_OF_A_STATE = 10  # counties


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """What the alarm compares (samples, features), each from a preparation that never saw the sample's year.

    `own` are the own features by what was done to the past yields, "" where nothing was.
    """

    features: Array
    own: Mapping[str, Array]


def out_of_fold(samples: list[Sample]) -> Compared:
    """Compute features, and own features with past yields as they are and spoiled."""
    groups = groups_of(samples)
    shown = {name: change(samples) for name, change in spoils().items()}
    features = np.empty((len(samples), 0))
    own: dict[str, Array] = {}
    for kept, held in group_folds(groups, TASK.config.num_folds):
        known = TASK.forget([samples[row] for row in kept], frozenset(groups[row] for row in held))
        preparation = TASK.prepare(known, "later")
        found = preparation.features([samples[row] for row in held])
        features = features if features.size else np.full((len(samples), found.shape[1]), np.nan)
        features[held] = found
        for name, changed in shown.items():
            told = own_features(preparation, [changed[row] for row in held])
            own.setdefault(name, np.full((len(samples), told.shape[1]), np.nan))[held] = told
    return Compared(features=features, own=own)


def spoils() -> dict[str, Callable[[list[Sample]], list[Sample]]]:
    """Ways of spoiling past yields by name; "" leaves them as they are."""
    scaled = {name: partial(times, factor=factor) for name, factor in PASTS.items()}
    return {"": list, **scaled, "of_another_county": swapped}


def times(samples: list[Sample], factor: float) -> list[Sample]:
    """Return samples with past yields, and where they lead, multiplied."""
    return [
        replace(
            sample,
            streams={
                name: replace(stream, values=stream.values * factor) if name in PAST else stream
                for name, stream in sample.streams.items()
            },
        )
        for sample in samples
    ]


def swapped(samples: list[Sample]) -> list[Sample]:
    """Return samples with the past yields of another one of the same year, drawn at random."""
    rng, groups, donor = np.random.default_rng(0), np.array(groups_of(samples)), np.arange(len(samples))
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == group)
        order = rng.permutation(rows)
        donor[order] = np.roll(order, 1)
    return [
        replace(
            sample,
            streams={name: stream for name, stream in sample.streams.items() if name not in PAST}
            | {name: stream for name, stream in samples[row].streams.items() if name in PAST},
        )
        for sample, row in zip(samples, donor.tolist(), strict=True)
    ]


def parts_of(places: NDArray[np.str_], rng: np.random.Generator) -> dict[str, list[NDArray[np.intp]]]:
    """Rows of one year's cases to ask for: counties drawn, the counties of each state, all."""
    everything = np.arange(len(places))
    states = np.array([place.split("_")[0] for place in places.tolist()])
    found = {
        f"{count}_counties": [rng.choice(everything, min(count, len(places)), replace=False) for _ in range(draws)]
        for count, draws in DRAWS.items()
    }
    by_state = [np.flatnonzero(states == state) for state in np.unique(states)]
    return {**found, "one_state": [rows for rows in by_state if len(rows) >= FEWEST_OF_A_STATE], "all": [everything]}


def bench_alarm() -> dict[str, float]:
    """Share of the questions on which the alarm of a group fires, mean over years, and of samples called strange.

    A year has some 600 counties, so that "all" stands for a thousand.
    """
    samples = TASK.read(DataRequest(data="us-maize")).training()
    compared, years = out_of_fold(samples), np.array(groups_of(samples))
    features, ordinary = compared.features, compared.own[""]
    places = np.array(places_of(TASK, samples))
    fired: dict[str, list[float]] = {}
    for number, year in enumerate(np.unique(years).tolist()):
        own, rest = years == year, years != year
        others = features[rest], years[rest].tolist(), places[rest].tolist()
        alarm = ShiftAlarm.fit(*others, TASK.grouping.place_of, ordinary[rest])
        rare = np.array([not alarm.knows(place) for place in places[own].tolist()], bool)
        if rare.any():
            fires = alarm.fires(features[own][rare], places[own][rare].tolist())
            fired.setdefault("group_rarely_seen_counties", []).append(float(fires))
        for name, told in compared.own.items():
            spoiled = alarm.strange_samples(features[own], places[own].tolist(), told[own])
            fired.setdefault(f"sample_past_yields_{name or 'as_they_are'}", []).append(float(spoiled.mean()))
        spread = np.nanstd(features[rest], axis=0)
        parts = parts_of(places[own], np.random.default_rng(number))
        for shift in SHIFTS:
            moved, named = features[own] + shift * spread, places[own]
            for part, asked in parts.items():
                share = np.mean([alarm.fired(moved[rows], named[rows].tolist()).mean() for rows in asked])
                fired.setdefault(f"group_{part}_shift_{shift:g}", []).append(float(share))
            strange = alarm.strange_samples(moved, named.tolist(), ordinary[own])
            fired.setdefault(f"sample_shift_{shift:g}", []).append(float(strange.mean()))
    quiet = fired["sample_shift_0"]
    return {
        "num_years": float(len(quiet)),
        "years_fired": float(np.sum(fired["group_all_shift_0"])),
        **{name: float(np.mean(values)) for name, values in fired.items()},
        "sample_shift_0_median_year": float(np.median(quiet)),
        "sample_shift_0_worst_year": max(quiet),
    }
