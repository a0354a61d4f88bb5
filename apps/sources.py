"""What `--data` names, read as a task reads it."""

from mainstem.core.samples import SampleSet
from mainstem.core.task import DataRequest, Task
from mainstem.data.rights import with_rights


def read_source(task: Task, request: DataRequest) -> SampleSet:
    """Read what a user names.

    Raises:
        InputError: if it cannot be used as it is.
    """
    return task.read(request)


def read_licensed(task: Task, request: DataRequest) -> SampleSet:
    """Read what is to be learned from; where no licence is stated, that is said, and kept in the record."""
    return with_rights(read_source(task, request), request.data)
