"""Crops: regional yield, and live-fuel moisture of pixels. A package, because anchors and seasons need a room."""

from mainstem.adapters.crop_yield import moisture
from mainstem.adapters.crop_yield.regional import TASK

TASKS = {task.task: task for task in (TASK, moisture.TASK)}  # the first unless told

__all__ = ["TASK", "TASKS"]
