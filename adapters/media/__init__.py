"""What sounds and pictures say, any missing. A package, because features and plain models need a room."""

from mainstem.adapters.media import digit_pairs, spoken_digits
from mainstem.core.task import Task

TASK = spoken_digits.TASK
TASKS: dict[str, Task] = {task.task: task for task in (TASK, digit_pairs.TASK)}  # the first unless told

__all__ = ["TASK", "TASKS"]
