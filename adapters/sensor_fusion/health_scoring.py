"""How well health is judged: delays, wrong names and false namings, of faults put into trials left out of learning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.corruptions import CORRUPTIONS, NUM_SEVERITIES, Corrupted, Corruption, corrupt
from mainstem.adapters.sensor_fusion.health import judge_health
from mainstem.adapters.sensor_fusion.health_learning import MAGNETS
from mainstem.adapters.sensor_fusion.health_limits import HealthLimits
from mainstem.adapters.sensor_fusion.health_state import ABSENT, BIASED, NOISY, SATURATED, SKEWED, STUCK, Codes
from mainstem.adapters.sensor_fusion.names import SENSORS
from mainstem.adapters.sensor_fusion.scoring import Trial

Array = NDArray[np.float64]
WORDS: Mapping[Corruption, int] = {
    "dropout": ABSENT, "stuck": STUCK, "bias": BIASED, "noise": NOISY, "skew": SKEWED, "saturation": SATURATED,
}  # fmt: skip
WITHIN_S: Mapping[Corruption, float] = {
    "dropout": 0.1, "stuck": 1.0, "bias": 1.0, "noise": 1.0, "skew": 1.0, "saturation": 1.0,
}  # fmt: skip
MAGNETOMETER = 2


@dataclass
class Tally:
    """What was said of one fault of one sensor; delays in s, infinite where the sensor was never named in the span.

    A span in which the sensor was still named for something else, from before, tells nothing: it is counted apart.
    """

    delays_s: list[float] = field(default_factory=list)
    already_named: int = 0
    right_words: int = 0
    wrong_sensors: int = 0

    def told(self, within_s: float) -> dict[str, float | None]:
        """Return figures; of no span, none."""
        delays = np.array(self.delays_s)
        if not len(delays):
            return {"spans": 0, "already_named": self.already_named}
        named = delays[np.isfinite(delays)]
        return {
            "spans": len(delays),
            "already_named": self.already_named,
            "within_s": within_s,
            "share_within": float((delays <= within_s).mean()),
            "median_delay_s": float(np.median(delays)) if len(named) * 2 > len(delays) else None,
            "worst_delay_s": float(named.max()) if len(named) else None,
            "never_named": len(delays) - len(named),
            "right_word_share": self.right_words / len(delays),
            "another_sensor_first_share": self.wrong_sensors / len(delays),
        }


def evaluate_health(
    trials: Sequence[Trial],
    limits: Mapping[str, HealthLimits],
    seed: int,
    severities: Sequence[int] = tuple(range(1, NUM_SEVERITIES + 1)),
) -> dict[str, object]:
    """Return how well health is judged, with the limits that were learned without the kind of each trial.

    Trials with magnets tell nothing of the magnetometer, of which what is named there is told apart.
    """
    faults: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for kind in CORRUPTIONS:
        for sensor, name in enumerate(SENSORS):
            for severity in severities:
                tally = Tally()
                for trial in trials:
                    if sensor != MAGNETOMETER or trial.kind not in MAGNETS:
                        add_spans(tally, corrupt(trial, kind, sensor, severity, seed), trial, limits, WORDS[kind])
                faults.setdefault(kind, {}).setdefault(name, {})[str(severity)] = tally.told(WITHIN_S[kind])
    return {"seed": seed, "faults": faults, "healthy": false_namings(trials, limits)}


def add_spans(tally: Tally, corrupted: Corrupted, trial: Trial, limits: Mapping[str, HealthLimits], word: int) -> None:
    """Count what was said in each span of a fault, but for those just before which the sensor was named already."""
    codes = judge_health(corrupted.samples, trial.steps_s, limits[trial.kind])
    edges = np.diff(corrupted.when.astype(int), prepend=0, append=0)
    for first, last in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        if codes[first - 1, corrupted.sensor]:
            tally.already_named += 1
            continue
        said = codes[first:last]
        own = np.flatnonzero(said[:, corrupted.sensor])
        judged = range(MAGNETOMETER if trial.kind in MAGNETS else 3)
        others = [sensor for sensor in judged if sensor != corrupted.sensor]
        other = np.flatnonzero((said[:, others] != 0).any(1))
        tally.delays_s.append(float(trial.steps_s[first : first + own[0] + 1].sum()) if len(own) else np.inf)
        tally.right_words += int((said[:, corrupted.sensor] == word).any())
        tally.wrong_sensors += int(len(other) > 0 and (len(own) == 0 or other[0] < own[0]))


def num_namings(codes: Codes) -> int:
    """How often a sensor's code (samples,) leaves healthy."""
    odd = codes != 0
    return int((odd & ~np.concatenate([[False], odd[:-1]])).sum())


def false_namings(trials: Sequence[Trial], limits: Mapping[str, HealthLimits]) -> dict[str, object]:
    """Count what is named in trials as they are, with an exact 95 % Poisson interval of the rate, an hour."""
    counts, among_magnets, hours, magnet_hours = np.zeros(3, int), 0, np.zeros(3), 0.0
    for trial in trials:
        codes, length = (
            judge_health(trial.samples, trial.steps_s, limits[trial.kind]),
            float(trial.steps_s.sum()) / 3600,
        )
        for sensor in range(3):
            if sensor == MAGNETOMETER and trial.kind in MAGNETS:
                among_magnets += num_namings(codes[:, sensor])
                magnet_hours += length
            else:
                counts[sensor] += num_namings(codes[:, sensor])
                hours[sensor] += length
    return {
        **{
            name: {
                "namings": int(counts[sensor]),
                "hours": float(hours[sensor]),
                "an_hour": poisson_interval(int(counts[sensor]), float(hours[sensor])),
            }
            for sensor, name in enumerate(SENSORS)
        },
        "magnetometer_among_magnets": {"namings": among_magnets, "hours": magnet_hours},
    }


def poisson_interval(count: int, hours: float) -> tuple[float, float]:
    """Return the 95 % interval of a rate from a count in some hours; 0 hours tell nothing.

    Source: Garwood 1936, Fiducial limits for the Poisson distribution.
    """
    from scipy.stats import chi2

    if hours <= 0:
        return 0.0, float("inf")
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low / hours), float(chi2.ppf(0.975, 2 * count + 2) / 2 / hours)
