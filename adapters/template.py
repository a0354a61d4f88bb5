"""An adapter to copy, as `mainstem new-adapter` does: a quantity learned from a table, with calibrated intervals."""

from collections.abc import Sequence
from pathlib import Path

from mainstem.core.preparation import MeanOffset, restore_mean_offset
from mainstem.core.regression import DataRequest, Order, RegressionConfig, RegressionTask
from mainstem.core.stream import Sample, SampleSet
from mainstem.core.training import TrainingConfig
from mainstem.data.table import read_samples

NAME = "template"
UNITS = "unstated"


def read(request: DataRequest) -> SampleSet:
    """Read a table of samples; change this where your data need more than `read_samples` does."""
    return read_samples(Path(request.without_crop("a table").data))


def prepare(samples: Sequence[Sample], order: Order) -> MeanOffset:
    """Start from the training mean; put domain knowledge (a trend, a climatology) here."""
    del order  # the mean is the same whichever groups are asked for
    return MeanOffset.fit(samples)


TASK = RegressionTask(
    name=NAME,
    task="table",
    version="1",
    units=UNITS,
    config=RegressionConfig(trunk_size="xs", training=TrainingConfig(epochs=20, batch_size=64, lr_per_step=2e-3)),
    read=read,
    prepare=prepare,
    restore=restore_mean_offset,
)
