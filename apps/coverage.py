"""How intervals keep their promise: coverage by group, by claim and by what samples lack, and on training groups."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.fit import OutOfFold
from mainstem.core.gaps import WHOLE
from mainstem.core.judging import Evidence

Array = NDArray[np.float64]
Labels = Sequence[str]


def report_coverage(
    regions: tuple[NDArray[np.bool_], Array], level: float, groups: Labels, claims: Labels, patterns: Labels
) -> dict[str, Any]:
    """Share of cases (cases,) that lie in their region: pooled, by group with its commonest claim, where claims stand.

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


def _where(inside: NDArray[np.bool_], stated: NDArray[np.bool_], groups: Labels | None = None) -> dict[str, Any]:
    """Coverage of the cases whose claim stands, their share, and the lowest of a group."""
    found: dict[str, Any] = {
        "share": float(stated.mean()),
        "coverage": float(inside[stated].mean()) if stated.any() else None,
    }
    if groups is not None:
        own = [inside[rows & stated].mean() for rows in _rows(groups).values() if (rows & stated).any()]
        found["lowest_group"] = float(min(own)) if own else None
    return found


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
