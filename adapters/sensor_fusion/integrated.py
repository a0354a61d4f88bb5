"""The preparation of moments: the filter's attitude is what the trunk corrects, in the filter's own doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.sensor_fusion.names import FILTER, INTEGRATOR
from mainstem.adapters.sensor_fusion.settings import ALL, Settings, stored_settings
from mainstem.core.errors import InputError
from mainstem.core.preparation import Preparation
from mainstem.core.stream import Sample
from mainstem.core.task import Order

Array = NDArray[np.float64]
NUM_STANDING = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Integrated:
    """The preparation: the filter's attitude is what the trunk corrects; its settings travel in the artefact."""

    settings: Settings

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "Integrated":
        """Take the settings that the samples' filter ran with.

        Raises:
            InputError: if they ran with several.
        """
        used = {str(sample.source.facts.get("settings", ALL)) for sample in samples}
        if len(used) != 1:
            raise InputError(f"the samples come of filters of {len(used)} settings, want one; read them together")
        return cls(settings=stored_settings(used.pop()))

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return samples without the integrator's attitude, and that with its doubt, rad: the offset (samples, 5)."""
        offsets = np.array([np.asarray(sample.streams[INTEGRATOR].values, np.float64) for sample in samples])
        kept = [
            replace(sample, streams={name: own for name, own in sample.streams.items() if name != INTEGRATOR})
            for sample in samples
        ]
        return kept, offsets.reshape(len(samples), 5)

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the integrator's attitude and doubt."""
        return offset

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return how the filter stands (samples, 10), by which the alarm knows motions unlike those of training."""
        return np.array([np.asarray(s.streams[FILTER].values, np.float64) for s in samples]).reshape(-1, NUM_STANDING)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the settings."""
        return {"settings": self.settings.to_json()}, {}


def restore(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Preparation:
    """Read what `Integrated.state` gave."""
    return Integrated(settings=Settings.from_json(state["settings"]))
