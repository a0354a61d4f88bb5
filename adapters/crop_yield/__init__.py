"""Crops: regional yield, and live-fuel moisture of pixels. A package, because anchors and seasons need a room."""

from mainstem.adapters.crop_yield import moisture
from mainstem.adapters.crop_yield.regional import TASK

TASKS = {TASK.task: TASK, moisture.TASK.task: moisture.TASK}  # the first is what an adapter does unless told

__all__ = ["TASK", "TASKS"]
