"""Learning the filter's settings from trials with an optical reference, with and without sensors that fall silent.

Random search (Bergstra, Bengio 2012): candidates are drawn in fixed ranges, without a look at any trial, and tried on
every trial once. The settings without a kind of trials are the mean of those that are best on all others, so that one
search serves every kind that is left out.
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
CANDIDATES, BEST = 96, 4  # draws, and those that are averaged
RANGES = {  # of what errors depend on most; drawn evenly in logarithms. What is not named keeps its ordinary value
    "gyr_scale": (0.002, 0.015), "mag": (1.0, 5.0), "mag_odd": (0.3, 4.0), "disturbance": (0.7, 4.0),
    "disturbance_s": (0.1, 3.0), "iron": (0.3, 5.0), "doubt_share": (0.05, 1.0), "speed": (0.03, 0.3),
    "speed_share": (0.02, 0.12), "turn_share": (0.5, 2.0),
}  # fmt: skip
EXCERPT_S = 90.0
USUAL = np.array([2.2, 0.7, 4.0, 1.2, 20.0, 8.0])  # degrees: what each error is told in, so that all count alike
MOST = 10.0  # of what is usual, that an error counts: of a trial that is lost
FIRST_SEED = 10_000  # of silences in training; evaluations draw from seeds below it


def draw_candidates(seed: int = 0) -> list[Settings]:
    """Return ordinary settings, and draws in RANGES."""
    rng, ordinary = np.random.default_rng(seed), Settings()
    lows, highs = np.log(np.array(list(RANGES.values()))).T
    draws = np.exp(lows + (highs - lows) * rng.random((CANDIDATES - 1, len(RANGES)))).tolist()
    return [ordinary, *(ordinary._replace(**dict(zip(RANGES, draw, strict=True))) for draw in draws)]


def judge_candidates(candidates: Sequence[Settings], trials: Sequence[Trial], progress: Progress = silent) -> Array:
    """Return how bad each candidate is on each trial (candidates, trials), in what is usual."""
    excerpts = [trial.excerpt(EXCERPT_S) for trial in trials]
    rows = []
    with ThreadPoolExecutor() as pool:  # compiled code lets others run
        for index, settings in enumerate(candidates):
            jobs = [pool.submit(badness, trial, settings, FIRST_SEED + n) for n, trial in enumerate(excerpts)]
            rows.append([job.result() for job in jobs])
            progress(f"candidate {index + 1} of {len(candidates)}", (index + 1) / len(candidates))
    return np.array(rows)


def badness(trial: Trial, settings: Settings, seed: int) -> float:
    """The errors of a trial, each in what is usual, on average.

    Of total and inclination: clean; between the gyroscope's silences; and in them.
    """
    present = trial.silences(seed)
    heard = present[:, 0]
    clean = errors_of(follow(trial.samples, trial.steps_s, settings).quat, trial)
    gaps = follow(trial.silenced(present), trial.steps_s, settings).quat
    outside, inside = errors_of(gaps, trial, heard), errors_of(gaps, trial, ~heard)
    found = np.array([clean[0], clean[2], outside[0], outside[2], inside[0], inside[2]])
    return float(np.nanmean(np.minimum(found / USUAL, MOST)))


def best_of(candidates: Sequence[Settings], bad: Array) -> Settings:
    """Return the geometric mean of the candidates that are least bad (candidates, trials) on average."""
    chosen = np.argsort(bad.mean(1))[:BEST].tolist()
    logs = np.log(np.array([list(candidates[index]) for index in chosen]))
    return Settings(*np.exp(logs.mean(0)).tolist())


def learn_settings(trials: Sequence[Trial], progress: Progress = silent) -> dict[str, Settings]:
    """Return the settings learned from all trials, and from all but those of each kind."""
    candidates, kinds = draw_candidates(), np.array([trial.kind for trial in trials])
    bad = judge_candidates(candidates, trials, progress)
    left_out = (ALL, *sorted(np.unique(kinds).tolist()))
    return {without: best_of(candidates, bad[:, kinds != without]) for without in left_out}


def main() -> None:
    """Learn the settings that come with the package."""
    found = learn_settings(read_trials(BROAD, None)[0])
    STORED.write_text(json.dumps({name: own.to_json() for name, own in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
