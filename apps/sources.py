"""What `--data` names: a baked folder, or whatever a task reads; and its way into a baked folder."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from mainstem.core.errors import InputError
from mainstem.core.progress import Progress, silent
from mainstem.core.samples import SampleSet
from mainstem.core.schema import printable
from mainstem.core.stream import Sample
from mainstem.core.task import DataRequest, Task
from mainstem.data.rights import rights_of, with_rights
from mainstem.data.shard_writing import ReadBy, bake
from mainstem.data.shards import ShardsRecord, is_baked, open_shards, read_record


def read_source(task: Task, request: DataRequest) -> SampleSet:
    """Read what a user names: shards that were baked for this task, or data that it reads itself.

    Raises:
        InputError: if it cannot be used as it is.
    """
    check_request(task, request)
    return open_shards(Path(request.data)) if is_baked(request.data) else task.read(request)


def check_request(task: Task, request: DataRequest) -> None:
    """Refuse what can be told to be wrong before any data are read.

    Raises:
        InputError: if the task has no such option, cannot take its value, or shards were baked for another one.
    """
    own = [option.name for option in task.options]
    if odd := [name for name in request.options if name not in own]:
        near = difflib.get_close_matches(odd[0], own, n=1)
        told = f"did you mean {near[0]}?" if near else f"it has {', '.join(own) or 'none'}"
        raise InputError(f"{task.name}'s task {task.task} has no option {printable(odd[0])}; {told}")
    if not is_baked(request.data):
        task.check(request)
        return
    folder = Path(request.data)
    record = read_record(folder)
    if (record.adapter, record.task) != (task.name, task.task):
        raise InputError(
            f"{folder} was baked by {record.adapter or 'no adapter'}'s task {record.task or 'none'}, want "
            f"{task.name}'s {task.task}; bake the data again with --adapter {task.name} --task {task.task}"
        )
    if request.options:
        told = ", ".join(f"--{name} {printable(value)}" for name, value in sorted(record.options.items())) or "none"
        raise InputError(f"{folder} is baked, with options {told}; leave --{next(iter(request.options))} out")


def read_each(task: Task, requests: Sequence[DataRequest]) -> tuple[list[Sample], dict[str, str]]:
    """Read the samples of all that a user names; name what could not be read, and why.

    Raises:
        InputError: if nothing can be read.
    """
    samples: list[Sample] = []
    refused: dict[str, str] = {}
    first: InputError | None = None
    for request in requests:
        try:
            found = read_source(task, request)
        except InputError as error:
            first = first or error
            refused[Path(request.data).name] = str(error)
        else:
            samples += found.samples
            refused |= found.refused
    if first is not None and not samples:
        raise first
    return samples, refused


def read_licensed(task: Task, request: DataRequest) -> SampleSet:
    """Read what is to be learned from; where no licence is stated, that is said, and kept in the record."""
    return with_rights(read_source(task, request), request.data)


def bake_source(task: Task, request: DataRequest, out: Path, progress: Progress = silent) -> ShardsRecord:
    """Bake what a task reads into the new folder `out`."""
    by = ReadBy(adapter=task.name, task=task.task, options=request.options)
    return bake(read_licensed(task, request), rights_of(request.data), out, by, progress)
