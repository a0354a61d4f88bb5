"""Log-odds of findings: what trunk and plain model are worth, and the line on which they become probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mainstem.core.detecting import best_threshold
from mainstem.core.targets.parts import Array, Blend, Outputs

SHARES = np.linspace(0, 1, 11)
FARTHEST = 100.0
# least and most of what is learned of each finding, and of all; what has no skill keeps its order, and hardly moves
OF_EACH = {"threshold": (0.0, 1.0), "slope": (0.01, 10.0), "offset": (-FARTHEST, FARTHEST)}
OF_ALL = {"plain": (0.0, 1.0)}
Line = tuple[float, float]  # slope and offset


def learned(outputs: Outputs, truth: Array, names: Sequence[str]) -> Blend:
    """Return the plain model's share, and each finding's line and threshold, by outputs and truth out of fold."""
    share, lines = weigh(outputs, truth)
    found = {"plain": share}
    for name, line, known, odds in zip(names, lines, truth.T, mixed(outputs, share).T, strict=True):
        told = {"slope": line[0], "offset": line[1], "threshold": best_threshold(known, likely_of(odds, *line))}
        found |= {f"{part} {name}": value for part, value in told.items()}
    return found


def ranges_of(names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return least and most of all that `learned` gives."""
    return OF_ALL | {f"{part} {name}": ends for part, ends in OF_EACH.items() for name in names}


def told_by(members: Sequence[Outputs], blend: Blend, names: Sequence[str]) -> Outputs:
    """Return the mean of members' probabilities (cases, findings), those of both parts, and the thresholds."""
    slope, offset, least = (
        np.array([blend[f"{part} {name}"] for name in names]) for part in ("slope", "offset", "threshold")
    )

    def told(share: float) -> Array:
        averaged: Array = np.mean([likely_of(mixed(one, share), slope, offset) for one in members], axis=0)
        return averaged

    likely, parts = told(blend["plain"]), {"trunk": told(0.0), "plain": told(1.0)}
    return {"probabilities": likely, "thresholds": np.tile(least, (len(likely), 1)), **parts}


def mixed(outputs: Outputs, share: float) -> Array:
    """Log-odds (cases, findings) of both parts, the plain model's by its share."""
    return np.asarray((1 - share) * outputs["trunk"] + share * outputs["plain"])


def likely_of(odds: Array, slope: Array | float, offset: Array | float) -> Array:
    """Probabilities (cases, ...) of log-odds on a line."""
    return np.asarray(1 / (1 + np.exp(-np.clip(slope * odds + offset, -FARTHEST, FARTHEST))))


def weigh(outputs: Outputs, truth: Array) -> tuple[float, list[Line]]:
    """Return the plain model's share of least loss over all findings, and each finding's line there.

    Log-odds and truth are (cases, findings), NaN where nobody read it. One share serves all findings: rare ones would
    choose theirs by a few cases. It is 0 where there is no plain model.
    """
    tried: list[tuple[float, float, list[Line]]] = []
    for share in SHARES if outputs["plain"].any() else SHARES[:1]:
        odds = mixed(outputs, float(share))
        lines, losses = zip(*map(fit_line, odds.T, truth.T), strict=True)
        tried.append((float(np.sum(losses)), float(share), list(lines)))
    best = min(tried, key=lambda one: one[:2])
    return best[1:]


def fit_line(odds: Array, truth: Array) -> tuple[Line, float]:
    """Return the line of least negative log-likelihood of what is known (cases,), and that loss, summed.

    Aims are drawn in from 0 and 1 as by one case more on either side.
    Source: Platt 1999, Probabilistic outputs for support vector machines, section 2.2.
    """
    from scipy.optimize import minimize  # late: it takes a third of a second to import

    seen: NDArray[np.bool_] = np.isfinite(truth)
    here, shown = truth[seen] == 1, odds[seen]
    num, others = int(here.sum()), int((~here).sum())
    aims = np.where(here, (num + 1) / (num + 2), 1 / (others + 2))

    def loss(line: Array) -> tuple[float, Array]:
        told = line[0] * shown + line[1]
        away = likely_of(told, 1, 0) - aims
        return float((np.logaddexp(0, told) - aims * told).sum()), np.array([away @ shown, away.sum()])

    ends = (OF_EACH["slope"], OF_EACH["offset"])
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=ends, method="L-BFGS-B")
    slope, offset = found.x.tolist()
    return (slope, offset), float(found.fun)
