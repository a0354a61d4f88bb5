"""Recordings evaluated and predicted, as a task says by its `Tracked`: an estimate at every instant, no samples."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainstem.apps.finetune import seeds_of
from mainstem.apps.protocols import EvaluationSpec
from mainstem.apps.sources import check_request
from mainstem.core.errors import InputError
from mainstem.core.evaluation import mean_over_seeds, with_unknown
from mainstem.core.outputs import check_output
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.records import read_record
from mainstem.core.task import DataRequest, Task, TrackAsk
from mainstem.data.catalogue import read_catalogue
from mainstem.data.rights import stated_rights
from mainstem.data.shards import is_baked

SAID = ("metrics", "baselines", "difference", "coverage")
HASHES = ("trunk_sha256", "adapter_sha256")


def is_tracked(task: Task, data: str) -> bool:
    """True where a task evaluates recordings by its own rules, and these are none that were baked into samples."""
    return task.tracked is not None and not is_baked(data)


def evaluate_tracks(
    task: Task, request: DataRequest, spec: EvaluationSpec, run: Path | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Return the evaluation of recordings as the command line's JSON; figures are means over the seeds.

    Raises:
        InputError: if the recordings cannot be used.
    """
    assert task.tracked is not None
    start = time.perf_counter()
    check_request(task, request)
    ask = TrackAsk(request=request, run=run, level=spec.level, dropout_seed=spec.dropout_seed)
    seeds = seeds_of(spec.fit, spec.seeds)
    bodies = [
        task.tracked.evaluate(
            task, replace(ask, seed=seed), part_of(progress, index / len(seeds), (index + 1) / len(seeds))
        )
        for index, seed in enumerate(seeds)
    ]
    body = bodies[0] if len(bodies) == 1 else mean_over_seeds(bodies)
    assert body.keys() >= {*SAID}, f"{task.task} says nothing of {', '.join({*SAID} - body.keys())}"
    told: dict[str, Any] = with_unknown(
        {
            "adapter": task.name,
            "task": task.task,
            "data": request.data,
            "seeds": spec.seeds,
            "dropout_seed": spec.dropout_seed,
            "simulated": False,
            "split": "all",
            "n": None,
            "by_group": {},
            **_hashes(run),
            **body,
            **_rights(request),
            "seconds": time.perf_counter() - start,
        }
    )
    return told


def _hashes(run: Path | None) -> dict[str, str | None]:
    """The hashes of the run that was scored; unknown of the many models of a protocol."""
    return dict.fromkeys(HASHES) if run is None else {name: read_record(run)[name] for name in HASHES}


def _rights(request: DataRequest) -> dict[str, Any]:
    found = read_catalogue().get(request.data)
    return {
        "licence": stated_rights(request.data, request.data).licence,
        "i_have_the_rights": [request.data] if request.i_have_the_rights else [],
        "attribution": "" if found is None else found.attribution,
    }


def predict_track(task: Task, ask: TrackAsk, out: Path) -> tuple[str, ...]:
    """Write what is told of a recording, and return sentences for the user; the recording is never written over.

    Raises:
        InputError: if the recording cannot be read, or `out` not be written.
    """
    assert task.tracked is not None
    check_request(task, ask.request)
    read = (value for option in task.options for value in ask.request.values(option.name))
    check_output(out, [ask.request.data, *filter(None, [ask.run]), *read])
    return task.tracked.predict(task, ask, out)


def refuse_idle(task: Task, given: Mapping[str, object]) -> None:
    """Refuse options that mean nothing of recordings.

    Raises:
        InputError: naming those that were given.
    """
    if idle := [name for name, value in given.items() if value]:
        raise InputError(
            f"{' and '.join(idle)} {'mean' if len(idle) > 1 else 'means'} nothing to recordings, which {task.name}'s "
            f"task {task.task} takes whole; leave {'them' if len(idle) > 1 else 'it'} out"
        )
