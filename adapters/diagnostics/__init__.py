"""Diagnoses from images, for research: each task a module. A package, because readers and rivals need a room."""

from mainstem.adapters.diagnostics import hippocampus
from mainstem.core.task import Task

TASKS: dict[str, Task] = {task.task: task for task in (hippocampus.TASK,)}  # the first unless told
TASK = next(iter(TASKS.values()))

__all__ = ["TASK", "TASKS"]
