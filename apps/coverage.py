"""How intervals keep their promise: coverage by group, by claim and by what samples lack, and on training groups."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.calibration import IntervalCalibration
from mainstem.core.evaluation import nrmse_percent
from mainstem.core.gaps import WHOLE
from mainstem.core.out_of_fold import OutOfFold

Array = NDArray[np.float64]
Labels = Sequence[str]


def interval_score(truth: Array, low: Array, high: Array, level: float) -> float:
    """Mean width, plus 2 / (1 - level) of every miss's distance, in the target's unit; less is better.

    Source: Gneiting & Raftery 2007, Strictly proper scoring rules, section 6.2.
    """
    missed = np.maximum(np.maximum(low - truth, truth - high), 0.0)
    return float(np.mean(high - low + 2 / (1 - level) * missed))


def report_coverage(
    truth: Array, ends: tuple[Array, Array], level: float, groups: Labels, claims: Labels, patterns: Labels
) -> dict[str, Any]:
    """Share of cases (cases,) between the ends of their interval: pooled, by group with its commonest claim, where
    claims stand.

    `by_pattern` goes by what samples lack, where some lack anything; `beyond` says how many misses lie above.
    """
    low, high = ends
    inside = (low <= truth) & (truth <= high)
    stated = np.asarray(claims) == "stated"
    found = {
        "level": level,
        "pooled": float(inside.mean()),
        "by_group": {
            group: {
                "coverage": float(inside[rows].mean()),
                "claim": Counter(np.asarray(claims)[rows].tolist()).most_common(1)[0][0],
            }
            for group, rows in _rows(groups).items()
        },
        "mean_width": float((high - low).mean()),
        "interval_score": interval_score(truth, low, high, level),
        "misses_above": float((truth > high)[~inside].mean()) if not inside.all() else None,
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


def judge_training_groups(judged: Mapping[str, OutOfFold], places: Labels, level: float) -> dict[str, Any]:
    """Say how intervals and alarm behave on training groups, each held out of model, calibration and alarm alike.

    `alarm_quiet` is the share of each group's cases whose group alarm stays quiet, those of known and those of rarely
    seen places apart.
    """
    found = next(iter(judged.values()))
    calibration = IntervalCalibration(
        scores=(found.truth - found.mean) / found.scale, groups=found.groups, population="training groups"
    )
    by_group = calibration.coverage_by_group(level)
    rows = _rows(found.groups)
    quiet = {
        group: 1 - _fires_left_out(found, places, rows[group]) for group in by_group if len(rows) > ShiftAlarm.FEWEST
    }
    return {
        "nrmse_percent": nrmse_percent(found.truth, found.mean),
        "coverage_pooled": float(
            np.average(list(by_group.values()), weights=[rows[group].sum() for group in by_group])
        ),
        "coverage_by_group": by_group,
        "alarm_quiet_share": float(np.mean(list(quiet.values()))) if quiet else None,
        "alarm_quiet": quiet,
    }


def _fires_left_out(found: OutOfFold, places: Labels, held: NDArray[np.bool_]) -> float:
    """Share of the held rows on which an alarm fires that never saw their group."""
    labels, named = np.asarray(found.groups), np.asarray(places)
    if not ShiftAlarm.suffices(found.features[~held], labels[~held].tolist()):
        return 0.0
    alarm = ShiftAlarm.fit(found.features[~held], labels[~held].tolist(), named[~held].tolist())
    return float(alarm.fired(found.features[held], named[held].tolist()).mean())
