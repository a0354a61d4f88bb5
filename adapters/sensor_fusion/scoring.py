"""Trials with an optical reference, silences of their sensors, and the errors of attitudes, as BROAD tells them.

Source: Laidig, Caruso, Cereatti, Seel 2021, BROAD: a benchmark for robust inertial orientation estimation, section 4.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstem.core import rotations
from mainstem.core.errors import InputError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
EVERY_S, SILENT_S = 5, 1  # of the silences: every so often one sensor is silent for so long
BEFORE_S = 10.0  # of rest, that an excerpt keeps before the first movement


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One trial.

    Attributes:
        name: of the trial.
        kind: what was done in it; trials of a kind are held out together.
        samples: (samples, 9) rad/s, m/s2, uT; NaN where absent.
        steps_s: how long each sample stands for (samples,), s.
        quat: optical reference (samples, 4), earth from sensor; NaN where unseen.
        scored: whether a sample counts (samples,): it is of a movement.
    """

    name: str
    kind: str
    samples: Array
    steps_s: Array
    quat: Array
    scored: Mask

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def rate_hz(self) -> float:
        """Samples a second, by the median step."""
        return float(1 / np.median(self.steps_s))

    def silences(self, seed: int) -> Mask:
        """Presence of each sensor (samples, 3): every 5 s one that is drawn by the seed is absent for 1 s."""
        rng, second = np.random.default_rng(seed), round(self.rate_hz)
        present = np.ones((len(self), 3), bool)
        for start in range(EVERY_S * second, len(self) - SILENT_S * second, EVERY_S * second):
            present[start : start + SILENT_S * second, rng.integers(3)] = False
        return present

    def silenced(self, present: Mask) -> Array:
        """Return the samples, NaN where a sensor is absent."""
        return np.where(np.repeat(present, 3, axis=1), self.samples, np.nan)

    def excerpt(self, seconds: float) -> "Trial":
        """Return so many seconds about the first movement, with some rest before it."""
        first = int(np.argmax(self.scored)) if self.scored.any() else 0
        start = max(0, first - round(BEFORE_S * self.rate_hz))
        part = slice(start, start + round(seconds * self.rate_hz))
        return replace(
            self,
            samples=self.samples[part].copy(),
            steps_s=self.steps_s[part],
            quat=self.quat[part],
            scored=self.scored[part],
        )


def angles_between(estimate: Array, reference: Array) -> Array:
    """Total, heading and inclination angles (samples, 3), rad, of what turns one attitude into the other."""
    return np.stack(list(rotations.residual_angles(estimate, reference).values()), axis=1)


def errors_of(estimate: Array, trial: Trial, among: Mask | None = None) -> Array:
    """Root mean squares (3,) of total, heading and inclination, degrees, over samples that count; NaN of none.

    Raises:
        InputError: if the estimate has gaps there.
    """
    use = trial.scored & np.isfinite(trial.quat).all(1)
    use = use if among is None else use & among
    if not np.isfinite(estimate[use]).all():
        raise InputError(f"the estimate of {trial.name} has gaps where it is scored; tell something everywhere")
    if not use.any():
        return np.full(3, np.nan)
    errors: Array = np.degrees(np.sqrt((angles_between(estimate[use], trial.quat[use]) ** 2).mean(0)))
    return errors
