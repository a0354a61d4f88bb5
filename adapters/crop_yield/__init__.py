"""Crop yields of regions and of pixels. A package, because anchors, seasons and growth need a room."""

from mainstem.adapters.crop_yield import pixel
from mainstem.adapters.crop_yield.regional import TASK
from mainstem.core.task import Task

TASKS: dict[str, Task] = {task.task: task for task in (TASK, pixel.TASK)}  # the first unless told

__all__ = ["TASK", "TASKS"]
