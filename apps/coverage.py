"""How intervals keep their promise: coverage by group, by claim and by what samples lack, and on training groups."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.batch_alarm import is_strange
from mainstem.core.fit import OutOfFold
from mainstem.core.fitted import Fitted
from mainstem.core.folds import has_groups
from mainstem.core.gaps import WHOLE
from mainstem.core.held_out import HeldOut
from mainstem.core.judging import Evidence
from mainstem.core.predict import Told
from mainstem.core.stream import Sample
from mainstem.core.targets import Outputs, Target

Array = NDArray[np.float64]
SPLITS = 200  # random ones, and draws of the alarm
LOCAL_LABELS, FEWEST_LEFT = 100, 20  # of a class: to calibrate on, and to judge
AT_ONCE = 100  # cases that the alarm is shown without their labels
Labels = Sequence[str]


def report_coverage(
    regions: tuple[NDArray[np.bool_] | Array, Array], level: float, groups: Labels, claims: Labels, patterns: Labels
) -> dict[str, Any]:
    """Share of cases (cases,) in their regions: pooled, by group with its commonest claim, and where claims stand.

    `regions` says of each case if it lies in its region, and the region's size. `by_pattern` goes by what samples lack,
    where some lack anything.
    """
    inside, size = regions
    stated = np.asarray(claims) == "stated"
    found: dict[str, Any] = {
        "level": level,
        "pooled": float(inside.mean()),
        "by_group": {
            group: {
                "coverage": float(inside[rows].mean()),
                "claim": Counter(np.asarray(claims)[rows].tolist()).most_common(1)[0][0],
            }
            for group, rows in _rows(groups).items()
        },
        "mean_width": float(size.mean()),
        "stated": _where(inside, stated, groups),
    }
    if any(pattern != WHOLE for pattern in patterns):
        found["by_pattern"] = {
            pattern or "whole": {"n": int(rows.sum()), **_where(inside[rows], stated[rows])}
            for pattern, rows in _rows(patterns).items()
        }
    return found


def _rows(labels: Labels) -> Mapping[str, NDArray[np.bool_]]:
    named = np.asarray(labels)
    return {str(label): named == label for label in np.unique(named)}


def _where(
    inside: NDArray[np.bool_] | Array, stated: NDArray[np.bool_], groups: Labels | None = None
) -> dict[str, Any]:
    """Coverage of the cases whose claim stands, their share, and the lowest of a group."""
    found: dict[str, Any] = {
        "share": float(stated.mean()),
        "coverage": float(inside[stated].mean()) if stated.any() else None,
    }
    if groups is not None:
        own = [inside[rows & stated].mean() for rows in _rows(groups).values() if (rows & stated).any()]
        found["lowest_group"] = float(min(own)) if own else None
    return found


def report_alone(fitted: Fitted, told: Told, test: Sequence[Sample], view: str, level: float) -> dict[str, Any]:
    """Say of cases that name no group how often the alarm is raised, and what local labels would restore.

    `alarm`: over SPLITS draws, of AT_ONCE cases at most of these, and of as many of calibration's held against the
    others. `recalibrated`: see there. Nothing is said where data name groups.
    """
    calibration, alarm = fitted.calibration.get(view), fitted.alarm.get(view)
    if calibration is None or calibration.has_groups or has_groups(test):
        return {}
    found: dict[str, Any] = recalibrated(fitted.target, told.outputs, fitted.target.truth(test), level)
    if alarm is not None and alarm.is_of_cases:
        found["alarm"] = report_alarm(alarm.features, fitted.ensemble.features(test))
    return found


def report_alarm(known: Array, features: Array) -> dict[str, Any]:
    """Return how often a draw of these cases, and one of calibration's own, is called strange."""
    rng = np.random.default_rng(0)
    num = min(AT_ONCE, len(features), len(known) // 2)
    power, false = [], []
    for _ in range(SPLITS):
        power.append(is_strange(known, features[rng.choice(len(features), num, replace=False)]))
        order = rng.permutation(len(known))
        false.append(is_strange(known[order[num:]], known[order[:num]]))
    return {"draws": SPLITS, "cases": num, "power": float(np.mean(power)), "false_alarms": float(np.mean(false))}


def recalibrated(target: Target, told: Outputs, truth: Array, level: float) -> dict[str, Any]:
    """Return coverage and size of sets once LOCAL_LABELS cases a class calibrate them, over SPLITS random splits.

    The rest of the cases are judged; each case of a class calibrates about as often, which steadies the mean. Nothing
    is said where a class has too few, the target no classes, or a case several.
    """
    strata, names = target.strata(truth), target.strata_names()
    if strata is None or len(strata) != len(truth):
        return {}
    rows_of = {name: np.flatnonzero(np.asarray(strata) == name) for name in names}
    if min(map(len, rows_of.values())) < LOCAL_LABELS + FEWEST_LEFT:
        return {}
    scores, rng, cases = target.scores(told, truth), np.random.default_rng(0), np.arange(len(truth))
    parts = [_parts(rows, rng) for rows in rows_of.values()]
    mean, size, by_class = [], [], {name: list[float]() for name in names}
    for _ in range(SPLITS):
        local = np.concatenate([next(part) for part in parts])
        own = np.asarray(strata)[local].tolist()
        known = HeldOut(scores=scores[local], groups=tuple(map(str, local.tolist())), patterns=None, strata=tuple(own))
        rest = np.setdiff1d(cases, local)
        quantile = np.tile(known.stratum_quantiles(names, level), (len(rest), 1))
        shown = {name: values[rest] for name, values in told.items()}
        inside = target.covered(shown, truth[rest], quantile)
        mean.append(inside.mean())
        size.append(target.size(shown, quantile).mean())
        for name, rows in rows_of.items():
            by_class[name].append(inside[np.isin(rest, rows)].mean())
    figures = {"mean": float(np.mean(mean)), "by_class": {name: float(np.mean(own)) for name, own in by_class.items()}}
    counts = {"local_labels_a_class": LOCAL_LABELS, "splits": SPLITS}
    return {"recalibrated": {**figures, "mean_set_size": float(np.mean(size)), **counts}}


def _parts(rows: NDArray[np.intp], rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Give LOCAL_LABELS of the rows time and again, each once before any is given again."""
    while True:
        yield from rng.permutation(rows)[: len(rows) // LOCAL_LABELS * LOCAL_LABELS].reshape(-1, LOCAL_LABELS)


def judge_training_groups(found: OutOfFold, places: Labels, level: float, *, names_them: bool) -> dict[str, Any]:
    """Say how regions and alarm behave on training groups, each held out of model, calibration and alarm alike.

    `alarm_quiet_share` is that of a group's cases whose group alarm stays quiet, those of known and those of rarely
    seen places apart. What is said group by group is left out where groups are not to be named.
    """
    target = found.target
    evidence = Evidence.of(target, found.told, found.truth, found.groups, [WHOLE] * len(found.truth))
    by_group = evidence.calibration((), "training groups", ()).coverage_by_group(level)
    rows = _rows(found.groups)
    quiet = {
        group: 1 - _fires_left_out(found, places, rows[group]) for group in by_group if len(rows) > ShiftAlarm.FEWEST
    }
    headline, measure = next(iter(target.measures.items()))
    told = {
        headline: measure.metric(found.truth, target.point(found.told)),
        "coverage_pooled": float(
            np.average(list(by_group.values()), weights=[rows[group].sum() for group in by_group])
        ),
        "alarm_quiet_share": float(np.mean(list(quiet.values()))) if quiet else None,
    }
    return {**told, "coverage_by_group": by_group, "alarm_quiet": quiet} if names_them else told


def _fires_left_out(found: OutOfFold, places: Labels, held: NDArray[np.bool_]) -> float:
    """Share of the held rows on which an alarm fires that never saw their group."""
    labels, named = np.asarray(found.groups), np.asarray(places)
    if not ShiftAlarm.suffices(found.features[~held], labels[~held].tolist()):
        return 0.0
    alarm = ShiftAlarm.fit(found.features[~held], labels[~held].tolist(), named[~held].tolist())
    return float(alarm.fired(found.features[held], named[held].tolist()).mean())
