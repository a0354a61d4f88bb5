"""Pneumonia on chest radiographs of children of one to five years: trunk and support-vector machine together."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.diagnostics.plain import SupportVectors, WithPlain, machine_on_components, restored
from mainstem.adapters.diagnostics.radiographs import META, Radiographs, moved, pixels_of, scope_of, told_of
from mainstem.core.folds import targets_of
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Detection
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Order, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.medical.pneumonia import open_pneumonia

Array = NDArray[np.float64]


def prepare(samples: Sequence[Sample], order: Order) -> WithPlain:
    """Fit on training samples."""
    labels = targets_of(samples).astype(np.int64)
    return WithPlain(images=Radiographs.fit(samples), plain=SupportVectors.fit(samples, labels))


def read(request: DataRequest) -> SampleSet:
    """Read the radiographs that a user asks for."""
    return open_pneumonia(request.data, request.mirror, told_of(request))


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Return the probabilities of a support-vector machine on principal components of the pixels as they are."""
    labels = targets_of(train).astype(np.int64)
    return {"svm_on_components": machine_on_components(pixels_of(train), labels, pixels_of(test), seed)}


TASK = Task(
    name="diagnostics",
    task="pneumonia",
    version="1",
    target=Detection(),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=20, batch_size=128, lr_per_step=2e-3, dropout=0.1),
        num_folds=1,
        patch_size=4,
    ),
    read=read,
    prepare=prepare,
    restore=partial(restored, SupportVectors.restore),
    holding=Holding(only_same_data=True),
    options=(META,),
    scope_of=scope_of,
    optional=(),
    augment=moved,
    baselines=baselines,
    grouping=Grouping(are_persons=True),
    known_failures=(
        "research use only, not a medical device",
        "children of one to five years of one hospital, anterior-posterior, seen at 28 x 28 pixels",
        "at another site fewer sets hold the truth, until 100 labels a class of its own calibrate it: of the official "
        "test images 61 % of the normal ones at 90 %, 94 % of those with pneumonia",
    ),
)
