"""Crops and land: yields, fuel moisture, land cover. A package, because anchors, seasons and growth need a room."""

from mainstem.adapters.crop_yield import land_cover, moisture, pixel
from mainstem.adapters.crop_yield.regional import TASK
from mainstem.core.classification import Task

TASKS: dict[str, Task] = {
    task.task: task for task in (TASK, pixel.TASK, land_cover.TASK, moisture.TASK)
}  # the first unless told

__all__ = ["TASK", "TASKS"]
