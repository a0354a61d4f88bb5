"""How often the shift alarm fires on ordinary and on shifted years: us-maize, each training year left out in turn."""

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield import TASK
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.folds import group_folds, groups_of
from mainstem.core.judging import places_of
from mainstem.core.regression import DataRequest
from mainstem.core.stream import Sample

Array = NDArray[np.float64]
SHIFTS = (0.0, 0.5, 1.0, 2.0)  # standard deviations of calibration's cases, added to every feature
DRAWS = {1: 60, 10: 30, 100: 20}  # counties asked for, how often from each year
FEWEST_OF_A_STATE = 10  # counties


def out_of_fold(samples: list[Sample]) -> Array:
    """What the alarm compares (samples, features), each from a preparation that never saw the sample's year."""
    groups = groups_of(samples)
    found: dict[int, Array] = {}
    for kept, held in group_folds(groups, TASK.config.num_folds):
        known = TASK.forget([samples[row] for row in kept], frozenset(groups[row] for row in held))
        features = TASK.prepare(known, "later").features([samples[row] for row in held])
        found |= dict(zip(held.tolist(), features, strict=True))
    return np.array([found[row] for row in range(len(samples))])


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
    features, years = out_of_fold(samples), np.array(groups_of(samples))
    places = np.array(places_of(TASK, samples))
    fired: dict[str, list[float]] = {}
    for number, year in enumerate(np.unique(years).tolist()):
        own, rest = years == year, years != year
        alarm = ShiftAlarm.fit(features[rest], years[rest].tolist(), places[rest].tolist(), TASK.place_of)
        spread = np.nanstd(features[rest], axis=0)
        parts = parts_of(places[own], np.random.default_rng(number))
        for shift in SHIFTS:
            moved, named = features[own] + shift * spread, places[own]
            for part, asked in parts.items():
                share = np.mean([alarm.fired(moved[rows], named[rows].tolist()).mean() for rows in asked])
                fired.setdefault(f"group_{part}_shift_{shift:g}", []).append(float(share))
            strange = alarm.strange_samples(moved, named.tolist())
            fired.setdefault(f"sample_shift_{shift:g}", []).append(float(strange.mean()))
    quiet = fired["sample_shift_0"]
    return {
        "num_years": float(len(quiet)),
        "years_fired": float(np.sum(fired["group_all_shift_0"])),
        **{name: float(np.mean(values)) for name, values in fired.items()},
        "sample_shift_0_median_year": float(np.median(quiet)),
        "sample_shift_0_worst_year": max(quiet),
    }
