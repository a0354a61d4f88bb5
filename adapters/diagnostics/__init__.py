"""Diagnoses from images, for research: each task a module. A package, because readers and rivals need a room."""

from mainstem.adapters.diagnostics import cells, findings, hippocampus
from mainstem.adapters.diagnostics.pneumonia import TASK
from mainstem.core.task import Task

TASKS: dict[str, Task] = {  # the first unless told
    task.task: task for task in (TASK, findings.TASK, hippocampus.TASK, cells.TASK)
}

__all__ = ["TASK", "TASKS"]
