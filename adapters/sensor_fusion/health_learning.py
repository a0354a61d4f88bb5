"""Learning what is healthy: limits of sensors' health from trials in which nothing is broken.

Of each score the largest value in every ten seconds is taken. A limit that those values pass in a share p of ten
seconds is estimated from the largest of them, whose logarithms' excesses fall off exponentially: so a limit can be put
beyond all that was seen. Source: Weissman 1978, Estimation of parameters and large quantiles based on the k largest
observations; Hill's estimate of the tail. Of a score that never stirs, the limit is its floor.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.health import score_health
from mainstem.adapters.sensor_fusion.health_limits import STORED, HealthLimits, Three
from mainstem.adapters.sensor_fusion.health_state import NOISE_SCORE, NUM_SCORES
from mainstem.adapters.sensor_fusion.scoring import Trial
from mainstem.adapters.sensor_fusion.settings import ALL
from mainstem.adapters.sensor_fusion.trials import BROAD, read_trials

Array = NDArray[np.float64]
FALSE_AN_HOUR = 1.0  # namings of healthy sensors, all three of them and all words together
TEN_S = 10.0
LARGEST = 12  # of the largest values, from which the tail is told
FLOORS = (0.1, 0.05, 3.0, 100.0, 100.0)  # s, s, times, and twice a likelihood ratio's logarithm, beneath which none is
# kinds with magnets, in the last a phone's, among which the field tells nothing of health
MAGNETS = frozenset({"stationary_magnet", "attached_magnet", "vibration"})
NOISE = slice(NOISE_SCORE * 3, NOISE_SCORE * 3 + 3)
LED_ASTRAY = np.isin(np.arange(NUM_SCORES), [2, 5, 8, 9, 11, 12, 14])  # scores by the field, among magnets


class Heard(NamedTuple):
    """What the scores of a trial are, before it is known what roughness is usual.

    Attributes:
        kind: of the trial.
        tens: largest value of each score in every ten seconds (tens, 15); of noise, none yet.
        rough, vigour: at the ends of blocks (blocks, 3).
        ten: which ten seconds each block is of (blocks,).
    """

    kind: str
    tens: Array
    rough: Array
    vigour: Array
    ten: NDArray[np.intp]


def hear_trial(trial: Trial) -> Heard:
    """Score a trial with no limits: once so that noise is roughness itself, and once its ratio to vigour."""
    plain, length = HealthLimits(), round(TEN_S * trial.rate_hz)
    scores = score_health(trial.samples, trial.steps_s, plain)
    by_vigour = replace(plain, rough_rest=(0.0,) * 3, rough_share=(1.0,) * 3)
    ratio = score_health(trial.samples, trial.steps_s, by_vigour)[:, NOISE]
    at = np.flatnonzero((ratio > 0).all(1) & np.isfinite(ratio).all(1))
    starts = range(0, max(len(scores) - length, 0) + 1, length)
    tens = np.array([scores[start : start + length].max(0) for start in starts])
    if trial.kind in MAGNETS:
        tens[:, LED_ASTRAY] = np.nan
    rough = scores[at, NOISE]
    return Heard(trial.kind, tens, rough, rough / ratio[at], np.minimum(at // length, len(tens) - 1))


def usual_roughness(trials: Sequence[Heard]) -> tuple[Three, Three]:
    """Return the roughness that is usual at rest, and more of it by vigour: medians of the calmest, the liveliest."""
    rough, vigour = np.concatenate([own.rough for own in trials]), np.concatenate([own.vigour for own in trials])
    calm, lively = np.quantile(vigour, [0.2, 0.8], axis=0)
    rest = [float(np.median(rough[vigour[:, i] <= calm[i], i])) for i in range(3)]
    share = [float(np.median((rough / vigour)[vigour[:, i] >= lively[i], i])) for i in range(3)]
    return (rest[0], rest[1], rest[2]), (share[0], share[1], share[2])


def maxima(trial: Heard, limits: HealthLimits) -> Array:
    """Return the largest value of each score in every ten seconds (tens, 15); NaN of the field's among magnets."""
    found = trial.tens.copy()
    noise = trial.rough / (np.array(limits.rough_rest) + np.array(limits.rough_share) * trial.vigour)
    for ten in range(len(found)):
        own = noise[trial.ten == ten]
        found[ten, NOISE] = np.where(np.isnan(found[ten, NOISE]), np.nan, own.max(0) if len(own) else 0.0)
    return found


def tail_limit(values: Array, share: float, floor: float) -> float:
    """Return the value that a share of ten seconds passes: never below a floor, nor below any of them."""
    known = np.sort(values[np.isfinite(values)])[::-1]
    largest = np.maximum(known[: LARGEST + 1], floor)
    excess = float(np.log(largest[:-1] / largest[-1]).mean())
    beyond = max((len(largest) - 1) / (len(known) * share), 1.0)
    return float(max(largest[0], largest[-1] * beyond**excess))


def limits_of(trials: Sequence[Heard]) -> HealthLimits:
    """Return limits of healthy trials; each score may err as often."""
    rest, rough_share = usual_roughness(trials)
    usual = HealthLimits(rough_rest=rest, rough_share=rough_share)
    tens, share = (
        np.concatenate([maxima(trial, usual) for trial in trials]),
        FALSE_AN_HOUR / NUM_SCORES / (3600 / TEN_S),
    )
    told = [tail_limit(tens[:, column], share, FLOORS[column // 3]) for column in range(NUM_SCORES)]
    rows: list[Three] = [(told[row], told[row + 1], told[row + 2]) for row in range(0, NUM_SCORES, 3)]
    return replace(usual, stuck_s=rows[0], saturated_s=rows[1], noisy=rows[2], biased=rows[3], skewed=rows[4])


def learn_limits(trials: Sequence[Trial]) -> dict[str, HealthLimits]:
    """Return limits learned from all trials, and from all but those of each kind."""
    heard = [hear_trial(trial) for trial in trials]
    kinds = sorted({trial.kind for trial in trials})
    return {without: limits_of([own for own in heard if own.kind != without]) for without in (ALL, *kinds)}


def main() -> None:
    """Learn the limits that come with the package."""
    found = learn_limits(read_trials(BROAD, None)[0])
    STORED.write_text(json.dumps({name: own.to_json() for name, own in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
