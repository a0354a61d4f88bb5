"""An adapter to copy, as `mainstem new-adapter` does: learned from a table, with calibrated regions."""

from pathlib import Path

from mainstem.core.preparation import from_the_mean
from mainstem.core.samples import SampleSet
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, FitConfig, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.table import read_samples

NAME = "template"
TARGET = Quantity(units="unstated")  # what new-adapter reads from the table stands here


def read(request: DataRequest) -> SampleSet:
    """Read a table of samples; change this where your data need more than `read_samples` does."""
    return read_samples(Path(request.data), TARGET)


TASK = Task(
    name=NAME,
    task="table",
    version="1",
    target=TARGET,
    config=FitConfig(trunk_size="xs", training=TrainingConfig(epochs=20, batch_size=64, lr_per_step=2e-3)),
    read=read,
    prepare=from_the_mean,  # put domain knowledge (a trend, a climatology) here
)
