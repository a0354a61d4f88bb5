"""Learning the filter's settings from trials with an optical reference, with and without sensors that fall silent.

Candidates are drawn about ordinary values, in logarithms, without a look at any trial (random search: Bergstra, Bengio
2012), and tried on every trial once. For each kind of trials that is left out, those that are best on all others begin
a search by cross-entropy (Rubinstein 1999) on these others alone.
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
CANDIDATES, BEST, WIDTH = 64, 5, 0.5  # first draws; those that are averaged; and the spread of their logarithms
DRAWN, ROUNDS, NARROWING = 12, 5, 0.85  # draws a round, rounds, and how the spread shrinks
KNOWN = frozenset({"acc_bias", "acc_bias_walk", "gyr_late", "lag"})  # are not learned here: docs/decisions.md
EXCERPT_S = 90.0
USUAL = np.array([2.2, 0.7, 4.0, 1.2, 20.0, 8.0])  # degrees: what each error is told in, so that all count alike
MOST = 10.0  # of what is usual, that an error counts: of a trial that is lost
FIRST_SEED = 10_000  # of silences in training; evaluations draw from seeds below it


def draw_candidates(seed: int = 0) -> list[Settings]:
    """Return settings about ordinary values, these first."""
    rng, ordinary = np.random.default_rng(seed), Settings()
    return [ordinary, *(drawn_about(ordinary, WIDTH, rng) for _ in range(CANDIDATES - 1))]


def drawn_about(centre: Settings, width: float, rng: np.random.Generator) -> Settings:
    """Return settings drawn about others, in logarithms; what is known stays."""
    factors = np.exp(width * rng.normal(size=len(Settings._fields))).tolist()
    named = zip(Settings._fields, centre, factors, strict=True)
    return Settings(*(value if name in KNOWN else value * factor for name, value, factor in named))


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


def search(tried: Sequence[tuple[float, Settings]], trials: Sequence[Trial], progress: Progress) -> Settings:
    """Return settings by cross-entropy, from candidates that were tried on the same trials: how bad, and which."""
    rng, width, ranked = np.random.default_rng(0), WIDTH, sorted(tried, key=lambda found: found[0])
    for number in range(ROUNDS):
        centre = centre_of(ranked)
        width *= NARROWING
        drawn = [drawn_about(centre, width, rng) for _ in range(DRAWN)]
        bad = judge_candidates(drawn, trials).mean(1).tolist()
        ranked = sorted([*ranked, *zip(bad, drawn, strict=True)], key=lambda found: found[0])
        progress(f"round {number + 1} of {ROUNDS}, {ranked[0][0]:.3f}", (number + 1) / ROUNDS)
    return centre_of(ranked)


def centre_of(ranked: Sequence[tuple[float, Settings]]) -> Settings:
    """Return the geometric mean of the best."""
    logs = np.log(np.array([list(settings) for _, settings in ranked[:BEST]]))
    return Settings(*np.exp(logs.mean(0)).tolist())


def learn_settings(trials: Sequence[Trial], progress: Progress = silent) -> dict[str, Settings]:
    """Return the settings learned from all trials, and from all but those of each kind."""
    candidates = draw_candidates()
    bad, kinds = judge_candidates(candidates, trials, progress), np.array([trial.kind for trial in trials])
    found = {}
    for without in (ALL, *sorted(np.unique(kinds).tolist())):
        known = np.flatnonzero(kinds != without).tolist()
        tried = list(zip(bad[:, known].mean(1).tolist(), candidates, strict=True))
        found[without] = search(tried, [trials[index] for index in known], progress)
    return found


def main() -> None:
    """Learn the settings that come with the package."""
    found = learn_settings(read_trials(BROAD, None)[0])
    STORED.write_text(json.dumps({name: own.to_json() for name, own in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
