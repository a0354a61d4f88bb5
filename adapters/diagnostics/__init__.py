"""Diagnoses from images, for research: each task a module. A package, because readers and plain models need a room."""

from collections.abc import Mapping
from functools import partial

from mainstem.adapters.diagnostics import cells, findings, hippocampus
from mainstem.adapters.diagnostics.pneumonia import TASK
from mainstem.core.task import Task
from mainstem.data.medical.chest import SIDE as SIDE_OF_ADULTS
from mainstem.data.medical.pneumonia import SIDE as SIDE_OF_CHILDREN
from mainstem.data.medical.studies import SampleOf, radiograph_of, volume_of

TASKS: dict[str, Task] = {  # the first unless told
    task.task: task for task in (TASK, findings.TASK, hippocampus.TASK, cells.TASK)
}
SAMPLE_OF: Mapping[str, SampleOf] = {  # tasks that the clinician's page asks of a study, and what each is given of it
    TASK.task: partial(radiograph_of, side=SIDE_OF_CHILDREN),
    findings.TASK.task: partial(radiograph_of, side=SIDE_OF_ADULTS),
    hippocampus.TASK.task: volume_of,
}

__all__ = ["SAMPLE_OF", "TASK", "TASKS"]
