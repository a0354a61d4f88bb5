"""What sounds and pictures say, any missing, and what archives are asked. A package: plain models need a room."""

from mainstem.adapters.media import digit_pairs, relevance, spoken_digits
from mainstem.core.task import Task

TASK = spoken_digits.TASK
ALL = (TASK, digit_pairs.TASK, relevance.TASK, relevance.LIKENESS)
TASKS: dict[str, Task] = {task.task: task for task in ALL}  # the first unless told

__all__ = ["TASK", "TASKS"]
