"""`mainstem finetune`: fit an adapter, calibrate it on groups that its members never saw, and write a run folder."""

import dataclasses
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mainstem.apps.ending import tell
from mainstem.apps.pretrained import SEEN, SEEN_FILE, Pretrained, read_pretrained
from mainstem.apps.runs import STATE_FOLDER, beside, note_asked
from mainstem.core.distributed import World, join
from mainstem.core.errors import ArtifactError, InputError, MainstemError
from mainstem.core.finetuning import FitSpec, fit_and_save, labelled, num_trainings
from mainstem.core.fit import OutOfFold
from mainstem.core.fitted import Fitted
from mainstem.core.fitted_file import read_manifest
from mainstem.core.metrics_log import read_lines
from mainstem.core.openmodels.fetching import pinned
from mainstem.core.progress import Progress, silent
from mainstem.core.records import new_run, write_card, write_record
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.task import DataRequest, Task
from mainstem.core.training import HOW
from mainstem.core.watch import LOG_FILE, Watch


def figures_of(fitted: Fitted, judged: OutOfFold, view: str, level: float = 0.9) -> dict[str, float]:
    """Return figures of a view on what was held out: what the target says of its predictions, and their coverage."""
    coverage = fitted.calibration[view].coverage_by_group(level)
    told = fitted.target.figures(judged.nested, judged.raw, judged.truth, judged.blend)
    return {
        **{name: value for name, value in told.items() if np.isfinite(value)},  # none where all truths are alike
        **({"held_out_coverage_at_90": float(np.mean(list(coverage.values())))} if len(coverage) > 2 else {}),
    }


def finetune(
    task: Task,
    source: SampleSet,
    spec: FitSpec,
    out: Path,
    progress: Progress = silent,
    request: DataRequest | None = None,
) -> dict[str, Any]:
    """Fit on the training part of `source`, write the run folder `out` and return its record.

    With the `request` that `source` was read by, the run can be repeated from its record, which names the revision of
    a trunk from the hub.

    Until the run is written, `OUT.state` beside it keeps what the trainings have come to, from which the same command
    goes on after a kill. Of several processes the first writes and speaks, and returns a record; the others an empty
    one.

    Raises:
        Interrupted: if it was asked to end, by a signal or the time limit; Slurm is asked to queue the job again.
    """
    start = time.perf_counter()
    spec = spec if spec.trunk is None else dataclasses.replace(spec, trunk=pinned(spec.trunk))
    train = labelled(task, source)
    trunk = read_pretrained(spec.trunk)
    if trunk is not None:
        trunk.refuse_seen([source.samples[row] for row in source.split().test], source.name)
    training = spec.config.training
    world = join(training.compute.place(), training.backend)
    rows: list[dict[str, Any]] = []

    def report(stage: str, share: float) -> None:
        rows.append({"stage": stage, "share": share, "seconds": round(time.perf_counter() - start, 3)})
        if world.is_first:
            progress(stage, share)

    state = state_of(out)
    with run_folder(out, world) as folder, kept_until_written(state, world):
        if world.is_first:
            asked = {"adapter": task.name, "task": task.task, "data": source.name}
            note_asked(state, command="finetune", trainings=num_trainings(task, train, spec), **asked)
        watch = Watch(state, spec.checkpoint, identity_of(task, source, spec), world, say=say)
        with watch.requeued():
            fitted, judged = fit_and_save(task, source, train, spec, folder, progress=report, watch=watch)
        if not world.is_first:
            return {}
        figures = figures_of(fitted, judged[task.first_view], task.first_view)
        steps = read_lines(state / LOG_FILE)
        num_seen = note_seen(trunk, train, folder)
        done = Done(rows=[*steps, *rows], seconds=time.perf_counter() - start, trunk=trunk, num_seen=num_seen)
        return write_run(folder, spec, fitted, figures, done, request)


def state_of(out: Path) -> Path:
    """Return the folder that keeps what trainings have come to until the run `out` is written."""
    return beside(out, STATE_FOLDER)


def identity_of(task: Task, source: SampleSet, spec: FitSpec) -> dict[str, str]:
    """Return the hash of all settings that change what is learned, beyond rounding."""
    told = dataclasses.asdict(spec.config)
    told["training"] = {name: value for name, value in told["training"].items() if name not in HOW}
    text = json.dumps([task.name, task.task, task.version, source.name, spec.order, spec.trunk, told], default=str)
    return {"config": hashlib.sha256(text.encode()).hexdigest()}


def say(text: str) -> None:
    """Say in a line on standard error what goes on all the same."""
    tell(f"note: {text}", to=sys.stderr)


@contextmanager
def run_folder(out: Path, world: World) -> Iterator[Path]:
    """Give the first process the new run's folder, and each of the others one that is thrown away.

    Raises:
        MainstemError: in all of them, if the first one cannot have it.
    """
    with ExitStack() as stack:
        refused = ""
        if world.is_first:
            try:
                folder = stack.enter_context(new_run(out))
            except MainstemError as error:
                if world.size == 1:
                    raise
                refused = str(error)
        else:
            folder = Path(stack.enter_context(TemporaryDirectory()))
        if refused := world.told(refused):
            raise InputError(refused)
        yield folder


@contextmanager
def kept_until_written(state: Path, world: World) -> Iterator[None]:
    """Delete the state once all went well, or where no training has come to anything."""
    try:
        yield
    except BaseException:
        if world.is_first and not any(state.glob("training-*")):
            shutil.rmtree(state, ignore_errors=True)
        raise
    if world.is_first:
        shutil.rmtree(state, ignore_errors=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Done:
    """What was reported meanwhile, the seconds that all took, and what is known of the trunk that was adapted."""

    rows: list[dict[str, Any]]
    seconds: float
    trunk: Pretrained | None
    num_seen: int


def note_seen(trunk: Pretrained | None, train: Sequence[Sample], folder: Path) -> int:
    """Keep what the trunk saw with the run, and say how many of the samples adapted on were among it."""
    if trunk is None:
        return 0
    shutil.copyfile(trunk.folder / SEEN_FILE, folder / SEEN_FILE)
    if num_seen := trunk.count(train):
        say(f"the trunk {trunk.folder}: {SEEN.format(num_seen)}")
    return num_seen


def write_run(
    folder: Path,
    spec: FitSpec,
    fitted: Fitted,
    figures: dict[str, float],
    done: Done,
    request: DataRequest | None = None,
) -> dict[str, Any]:
    """Write record, metrics and card of a fitted adapter to its run folder, and return the record."""
    manifest, trunk = fitted.manifest, done.trunk
    labels = manifest.training.get("labels_sha256", "")
    record = {
        "adapter": manifest.adapter,
        "task": manifest.task,
        "data": manifest.training["data"],
        "simulated": manifest.simulated,
        "licence": manifest.licence,
        "spec": dataclasses.asdict(spec),
        "trained": [member.trained for member in manifest.members],
        "tokenizer": manifest.training.get("tokenizer", ""),
        "seed": spec.config.training.seed,
        "request": None if request is None else {"data": request.data, "options": dict(request.options)},
        "i_have_the_rights": [request.data] if request is not None and request.i_have_the_rights else [],
        "data_sha256": hashlib.sha256(f"{fitted.taught.sha256()}{labels}".encode()).hexdigest(),
        "adapter_sha256": fitted.adapter_sha256,
        "trained_sha256": fitted.adapter_sha256,
        "trunk_sha256": manifest.trunk_sha256,
        "trunk": None if trunk is None else trunk.facts(done.num_seen),
        "held_out": figures,
        "seconds": done.seconds,
    }
    write_record(folder, record, [*done.rows, figures])
    write_card(folder, manifest, figures, "" if trunk is None else trunk.words(done.num_seen))
    return record


def fit_where_none(task: Task, folder: Path, read: Callable[[], SampleSet], progress: Progress = silent) -> Path:
    """Return a run folder of this version of a task; fit one where there is none, setting one of another aside."""
    if is_fitted(task, folder):
        return folder
    progress("reading the data", 0.0)
    source = read()  # before anything is moved: it may be refused
    if folder.exists():
        folder.rename(aside_of(folder))
    progress("training", 0.0)
    finetune(task, source, FitSpec(config=task.config), folder, progress)
    return folder


def is_fitted(task: Task, folder: Path) -> bool:
    """True where a folder holds a run of this version of a task that can be read."""
    try:
        return read_manifest(folder)[0].version == task.version
    except ArtifactError:
        return False


def aside_of(folder: Path) -> Path:
    """Return the free name under which a run of another version is kept; nothing is deleted."""
    number = 1
    while folder.with_name(f"{folder.name}.old-{number}").exists():
        number += 1
    return folder.with_name(f"{folder.name}.old-{number}")


def seeded_runs(spec: FitSpec, out: Path, seeds: int) -> list[tuple[FitSpec, Path]]:
    """One run in `out`, or, with several seeds, one a seed in out/seed-5, out/seed-6 ..., from the spec's own on."""
    if seeds == 1:
        return [(spec, out)]
    return [(spec.seeded(seed), out / f"seed-{seed}") for seed in seeds_of(spec, seeds)]


def seeds_of(spec: FitSpec, seeds: int) -> range:
    """Return the seeds to train, from the spec's own on."""
    first = spec.config.training.seed
    return range(first, first + seeds)
