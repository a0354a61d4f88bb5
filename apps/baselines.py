"""The baselines that an evaluation fits in the same call: the task's own, or plain ones of any samples."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mainstem.core.baselines import Lesson
from mainstem.core.stream import Sample
from mainstem.core.targets import Target
from mainstem.core.task import Baselines, Task

Array = NDArray[np.float64]


def baselines_of(task: Task, target: Target) -> Baselines:
    """Return the task's own baselines, or the fitted target's, and the rivals with the trunk's own inputs."""
    plain, rivals = task.baselines or partial(_of_any, target), task.rivals
    if rivals is None:
        return plain
    return lambda train, test, seed: {**plain(train, test, seed), **rivals(train, test, seed)}


def baselines_at_views(
    task: Task, target: Target, train: Sequence[Sample], test: Sequence[Sample], seed: int
) -> dict[str, dict[str, Array]]:
    """Return points of baselines by view and name, fitted once; of the first view alone where the task asks no more."""
    views = task.views if task.drop is not None else {task.first_view: lambda sample: sample}
    shown = [view(sample) for view in views.values() for sample in test]
    found = baselines_of(task, target)(train, shown if task.drop is not None else test, seed)
    return {
        view: {name: values[index * len(test) : (index + 1) * len(test)] for name, values in found.items()}
        for index, view in enumerate(views)
    }


def _of_any(target: Target, train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    return target.baselines(Lesson.of(train, test, target.truth(train), seed))
