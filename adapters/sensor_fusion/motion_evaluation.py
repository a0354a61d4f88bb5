"""Attitudes scored on trials of kinds that nothing was learned from, beside plain filters on the same samples."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.health_limits import stored_limits
from mainstem.adapters.sensor_fusion.moments import moments_of
from mainstem.adapters.sensor_fusion.motion_track import Attitudes, tell_attitudes
from mainstem.adapters.sensor_fusion.rivals import RIVALS, SMOOTHED_RIVALS
from mainstem.adapters.sensor_fusion.scoring import Trial, angles_between, errors_of
from mainstem.adapters.sensor_fusion.trials import BROAD, read_trials
from mainstem.core.errors import InputError
from mainstem.core.finetuning import fit_and_save, spec_of
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.progress import Progress, part_of
from mainstem.core.stream import Provenance, Sample
from mainstem.core.task import Task, TrackAsk

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
PARTS = ("total", "heading", "inclination")
NUM_DRAWS = 2000  # of the paired bootstrap over trials
LEAST_TRIALS = 2  # for an interval
NO_CLAIM = "none"  # is made of a sensor's doubt before its own log was checked


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """One trial: errors (3,) degrees, in all, where the gyroscope speaks, where it is silent; and who covered what."""

    trial: Trial
    errors: Mapping[str, Array]
    rivals: Mapping[str, Mapping[str, Array]]
    smoothed: Array
    smoothed_rivals: Mapping[str, Array]
    coverage: Mapping[str, float]
    radius_deg: float


def evaluate_attitudes(task: Task, ask: TrackAsk, progress: Progress) -> dict[str, Any]:
    """Return what an evaluation says: of a run on all trials, or of runs that leave each kind of trials out.

    Raises:
        InputError: if a run learned from one of the trials, or none is named for trials of one's own: the filter's
            settings are known without a kind of BROAD's alone.
    """
    trials, facts = read_trials(ask.request.data, ask.request.mirror)
    kinds = sorted({trial.kind for trial in trials})
    if ask.run is not None:
        refuse_learned(load_run(ask.run, task), trials, facts["name"])
    elif ask.request.data != BROAD:
        raise InputError(f"{facts['name']} has no kinds to leave out, as {BROAD} has; score a run on it: --run RUN")
    scored: list[Scored] = []
    for number, kind in enumerate(kinds):
        share = part_of(progress, number / len(kinds), (number + 1) / len(kinds))
        held = [trial for trial in trials if trial.kind == kind]
        if ask.run is not None:
            fitted = load_run(ask.run, task)
        else:
            fitted = fit_without(task, [trial for trial in trials if trial.kind != kind], facts, kind, ask.seed, share)
        scored += [score(trial, fitted, ask) for trial in held]
    return {
        "protocol": "run" if ask.run else "leave-one-trial-type-out",
        "split": "test",
        "n": len(trials),
        "dropout_seed": ask.dropout_seed,
        **report(scored, ask.level),
        "licence": facts["licence"],
        "attribution": facts["attribution"],
    }


def refuse_learned(fitted: Fitted, trials: Sequence[Trial], data: str) -> None:
    """Refuse to score a run on what it learned from.

    Raises:
        InputError: naming the first such trial.
    """
    for trial in trials:
        source = Provenance(data=data, item=trial.name, group=trial.name)
        if fitted.taught.has_seen(Sample(streams={}, target=None, source=source)):
            raise InputError(f"the run learned from {trial.name}, so that it tells nothing of others; leave --run out")


def fit_without(
    task: Task, trials: Sequence[Trial], facts: Mapping[str, str], kind: str, seed: int, progress: Progress
) -> Fitted:
    """Fit on trials of other kinds, with the filter's settings that were learned without this one."""
    source = moments_of(trials, facts, kind)
    with tempfile.TemporaryDirectory() as folder:
        return fit_and_save(
            task, source, source.training(), spec_of(task).seeded(seed), Path(folder), progress=progress
        )[0]


def score(trial: Trial, fitted: Fitted, ask: TrackAsk) -> Scored:
    """Score a trial, whole, or with the silences that a seed draws."""
    present = np.ones((len(trial), 3), bool) if ask.dropout_seed is None else trial.silences(ask.dropout_seed)
    samples = trial.silenced(present)
    limits = stored_limits() if ask.run else stored_limits(trial.kind)
    told = tell_attitudes(samples, trial.steps_s, fitted, ask.level, limits=limits)
    smoothed = tell_attitudes(samples, trial.steps_s, fitted, ask.level, is_smoothed=True, limits=limits)
    places = {"": np.ones(len(trial), bool), "outside": present[:, 0], "inside": ~present[:, 0]}
    if ask.dropout_seed is None:
        del places["outside"], places["inside"]
    return Scored(
        trial=trial,
        errors={name: errors_of(told.quat, trial, among) for name, among in places.items()},
        rivals={name: errors_at(follow, samples, trial, places) for name, follow in RIVALS.items()},
        smoothed=errors_of(smoothed.quat, trial),
        smoothed_rivals={
            name: errors_of(look(samples, trial.rate_hz), trial) for name, look in SMOOTHED_RIVALS.items()
        },
        coverage={
            **{name: coverage_of(told, trial, among) for name, among in places.items()},
            "smoothed": coverage_of(smoothed, trial, places[""]),
        },
        radius_deg=float(np.degrees(told.radius_rad[trial.scored].mean())),
    )


def errors_at(
    follow: Callable[[Array, float], Array], samples: Array, trial: Trial, places: Mapping[str, Mask]
) -> dict[str, Array]:
    """Errors of a plain filter; before it tells anything, it tells the identity."""
    quat = follow(samples, trial.rate_hz)
    quat = np.where(np.isfinite(quat).all(1, keepdims=True), quat, np.array([1.0, 0.0, 0.0, 0.0]))
    return {name: errors_of(quat, trial, among) for name, among in places.items()}


def coverage_of(told: Attitudes, trial: Trial, among: Mask) -> float:
    """Share of the samples that count whose true attitude lies in the ball; NaN of none."""
    use = trial.scored & np.isfinite(trial.quat).all(1) & among
    if not use.any():
        return float("nan")
    return float((angles_between(told.quat[use], trial.quat[use])[:, 0] <= told.radius_rad[use]).mean())


def report(scored: Sequence[Scored], level: float) -> dict[str, Any]:
    """Return metrics, those of plain filters, differences with paired intervals, coverage, all by kind and trial."""
    ours = {place: np.array([one.errors[place] for one in scored]) for place in scored[0].errors}
    theirs = {name: {place: np.array([one.rivals[name][place] for one in scored]) for place in ours} for name in RIVALS}
    smoothed = np.array([one.smoothed for one in scored])
    looking_back = {name: np.array([one.smoothed_rivals[name] for one in scored]) for name in SMOOTHED_RIVALS}
    return {
        "metrics": named(ours) | named({"smoothed": smoothed}),
        "baselines": {
            **{name: named(found) for name, found in theirs.items()},
            **{name: named({"": found}) for name, found in looking_back.items()},
        },
        "difference": {
            **{name: paired(ours[""][:, 0] - found[""][:, 0]) for name, found in theirs.items()},
            **{name: paired(smoothed[:, 0] - found[:, 0]) for name, found in looking_back.items()},
        },
        "difference_inclination": {
            **{name: paired(ours[""][:, 2] - found[""][:, 2]) for name, found in theirs.items()},
            **{name: paired(smoothed[:, 2] - found[:, 2]) for name, found in looking_back.items()},
        },
        "coverage": coverage(scored, level),
        "by_group": by_kind(scored),
        "trials": [by_trial(one) for one in scored],
    }


def named(found: Mapping[str, Array]) -> dict[str, float]:
    """Return means over trials of errors (trials, 3) by place, each under a name of its own."""
    return {
        "_".join([*([place] if place else []), part, "deg"]): float(np.nanmean(errors[:, column]))
        for place, errors in found.items()
        for column, part in enumerate(PARTS)
    }


def paired(differences: Array) -> dict[str, float | None]:
    """Return the mean of differences (trials,) and its 95 % interval by a bootstrap over trials; none of one."""
    if len(differences) < LEAST_TRIALS:
        return {"value": float(differences.mean()), "low": None, "high": None}
    rng = np.random.default_rng(0)
    means = differences[rng.integers(len(differences), size=(NUM_DRAWS, len(differences)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return {"value": float(differences.mean()), "low": low, "high": high}


def coverage(scored: Sequence[Scored], level: float) -> dict[str, Any]:
    """Return the mean coverage of trials, in all and by place, and each kind's."""
    kinds = sorted({one.trial.kind for one in scored})
    pooled = {
        place or "pooled": float(np.nanmean([one.coverage[place] for one in scored])) for place in scored[0].coverage
    }
    return {
        "level": level,
        **pooled,
        "by_group": {
            kind: {"coverage": float(np.mean([one.coverage[""] for one in scored if one.trial.kind == kind])),
                   "claim": NO_CLAIM}
            for kind in kinds
        },
        "mean_width": float(np.mean([one.radius_deg for one in scored])),
    }  # fmt: skip


def by_kind(scored: Sequence[Scored]) -> dict[str, Any]:
    """Return each kind's number of trials, errors, and difference to VQF with its interval where there are several."""
    found = {}
    for kind in sorted({one.trial.kind for one in scored}):
        own = [one for one in scored if one.trial.kind == kind]
        errors = np.array([one.errors[""] for one in own])
        against = np.array([one.errors[""][0] - one.rivals["vqf"][""][0] for one in own])
        found[kind] = {"n": len(own), **named({"": errors}), "difference_to_vqf": paired(against)}
    return found


def by_trial(one: Scored) -> dict[str, Any]:
    """Return what is said of one trial."""
    errors = {place: np.array([found]) for place, found in one.errors.items()}
    return {"trial": one.trial.name, "kind": one.trial.kind, **named(errors), "coverage": dict(one.coverage)}
