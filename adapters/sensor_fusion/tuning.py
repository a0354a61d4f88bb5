"""Learning the filter's settings from trials with an optical reference, with and without sensors that fall silent.

The cross-entropy method (Rubinstein 1999): candidates are drawn about a centre, in logarithms, and the centre moves to
the mean of the best. Trials that are held out are not looked at.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.scoring import Trial, errors_of
from mainstem.adapters.sensor_fusion.settings import ALL, STORED, Settings
from mainstem.adapters.sensor_fusion.track import follow
from mainstem.adapters.sensor_fusion.trials import BROAD, read_trials
from mainstem.core.progress import Progress, silent

Array = NDArray[np.float64]
CANDIDATES, ELITE, ROUNDS = 12, 5, 6
WIDTH, NARROWING = 0.5, 0.85  # spread of logarithms of the first round, and how it shrinks a round
KNOWN = frozenset({"acc_bias", "acc_bias_walk", "gyr_late", "lag"})  # of the sensors' documents: see decisions.md
EXCERPT_S = 90.0
USUAL = np.array([2.2, 0.7, 4.0, 1.2, 20.0, 8.0])  # degrees: what each error is told in, so that all count alike
FIRST_SEED = 10_000  # of silences in training; evaluations draw from seeds below it


def learn_settings(trials: Sequence[Trial], start: Settings, seed: int = 0, progress: Progress = silent) -> Settings:
    """Return the settings under which trials come out best.

    Args:
        trials: to learn from.
        start: where the search begins.
        seed: of the candidates and the silences.
        progress: told of.
    """
    rng = np.random.default_rng(seed)
    names = [name for name in Settings._fields if name not in KNOWN]
    excerpts = [trial.excerpt(EXCERPT_S) for trial in trials]
    centre, width = np.log([getattr(start, name) for name in names]), WIDTH
    tried: list[tuple[float, Array]] = []
    for number in range(ROUNDS):
        draws = centre + width * rng.normal(size=(CANDIDATES, len(names)))
        if number == 0:
            draws[0] = centre
        for index, draw in enumerate(draws):
            settings = start._replace(**dict(zip(names, np.exp(draw).tolist(), strict=True)))
            silence_seed = FIRST_SEED + 1000 * seed + number
            tried.append((_badness(excerpts, settings, silence_seed), draw))
            progress(f"round {number + 1} of {ROUNDS}", (number + (index + 1) / CANDIDATES) / ROUNDS)
        tried.sort(key=lambda found: found[0])
        centre, width = np.mean([draw for _, draw in tried[:ELITE]], 0), width * NARROWING
    return start._replace(**dict(zip(names, np.exp(centre).tolist(), strict=True)))


def _badness(trials: Sequence[Trial], settings: Settings, seed: int) -> float:
    """The errors of all trials, each in what is usual, on average; a lost one counts as ten times that at most."""
    with ThreadPoolExecutor() as pool:  # compiled code lets others run
        found = list(pool.map(lambda item: _errors(item[1], settings, seed + item[0]), enumerate(trials)))
    return float(np.minimum(np.array(found) / USUAL, 10.0).mean())


def _errors(trial: Trial, settings: Settings, seed: int) -> Array:
    """Total and inclination, degrees: clean; between the gyroscope's silences; and in them."""
    present = trial.silences(seed)
    heard = present[:, 0]
    clean = errors_of(follow(trial.samples, trial.steps_s, settings).quat, trial)
    gaps = follow(trial.silenced(present), trial.steps_s, settings).quat
    outside, inside = errors_of(gaps, trial, heard), errors_of(gaps, trial, ~heard)
    return np.array([clean[0], clean[2], outside[0], outside[2], inside[0], inside[2]])


def main() -> None:
    """Learn the settings that come with the package: from all trials, and from all but those of each kind."""
    trials, _ = read_trials(BROAD, None)
    learned = json.loads(STORED.read_text()) if STORED.is_file() else {}
    for without in (ALL, *sorted({trial.kind for trial in trials})):
        known = [trial for trial in trials if trial.kind != without]
        learned[without] = learn_settings(known, Settings()).to_json()
        STORED.write_text(json.dumps(learned, indent=1) + "\n")


if __name__ == "__main__":
    main()
