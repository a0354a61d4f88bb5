"""Pneumonia on chest radiographs of children of one to five years: trunk and support-vector machine together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.diagnostics.radiographs import META, Radiographs, moved, pixels_of, scope_of, told_of
from mainstem.adapters.diagnostics.rival import Rival, machine_on_components
from mainstem.core.folds import targets_of
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Detection
from mainstem.core.task import DataRequest, FitConfig, Holding, Order, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.medical.pneumonia import open_pneumonia

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class WithRival:
    """Radiographs prepared as all are, and the machine's log-odds beside them."""

    images: Radiographs
    rival: Rival

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "WithRival":
        """Fit both on training samples."""
        labels = targets_of(samples).astype(np.int64)
        return cls(images=Radiographs.fit(samples), rival=Rival.fit(samples, labels))

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return the samples with standardised images, and no offset."""
        return self.images(samples)

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the machine's log-odds."""
        return offset + self.rival.log_odds(samples)

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return what the shift alarm compares: images, and the machine's log-odds and their size.

        Where a classifier's answers move, its inputs have: Lipton et al. 2018, Detecting and Correcting for Label Shift
        with Black Box Predictors; Rabanser et al. 2019, Failing Loudly, section 5.
        """
        odds = self.rival.log_odds(samples)
        return np.column_stack([self.images.features(samples), odds, np.abs(odds)])

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return how unlike all of training each image is."""
        return self.images.strangeness(samples)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays of both."""
        plain: dict[str, Any] = {}
        arrays: dict[str, Array] = {}
        for name in ("images", "rival"):
            plain[name], found = getattr(self, name).state()
            arrays |= {f"{name}.{key}": values for key, values in found.items()}
        return plain, arrays


def restore(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> WithRival:
    """Read what `WithRival.state` gave."""

    def of(name: str) -> dict[str, Array]:
        return {key.partition(".")[2]: own for key, own in arrays.items() if key.startswith(f"{name}.")}

    return WithRival(
        images=Radiographs.restore(state["images"], of("images")), rival=Rival.restore(state["rival"], of("rival"))
    )


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
    prepare=WithRival.fit,
    restore=restore,
    holding=Holding(only_same_data=True),
    options=(META,),
    scope_of=scope_of,
    optional=(),
    augment=moved,
    baselines=baselines,
    is_private=True,
    known_failures=(
        "research use only, not a medical device",
        "children of one to five years of one hospital, anterior-posterior, seen at 28 x 28 pixels",
        "at another site fewer sets hold the truth, until 100 labels a class of its own calibrate it: of the official "
        "test images 61 % of the normal ones at 90 %, 94 % of those with pneumonia",
    ),
)
