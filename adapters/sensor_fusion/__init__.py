"""What a robot's sensors tell together, any missing. A package, because filters and plain models need a room."""

from mainstem.adapters.sensor_fusion import contacts, motion, walls
from mainstem.core.task import Task

TASK = motion.TASK
TASKS: dict[str, Task] = {task.task: task for task in (TASK, walls.TASK, contacts.TASK)}  # the first unless told

__all__ = ["TASK", "TASKS"]
