"""Land cover of pixels from NDVI on irregular, cloudy dates: classes with probabilities and the sets they stay in."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Classes
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Mapped, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.earth.land_cover import WINDOW, open_land_cover

Array = NDArray[np.float64]
NUM_TREES = 300
DAY_S = 86_400.0
BUFFER_M = 30.0  # windows of two pixels, 3 pixels of 10 m wide, then share none
LARGEST_POLYGON = 1000  # pixels, beyond which training draws so many
MAP_OVERLAP = 8  # pixels that tiles of a map share
STEP_DAYS = 16  # of the regular series that a random forest needs, as eo-learn's land-cover example makes it


def read(request: DataRequest) -> SampleSet:
    """Read the labelled pixels that a user asks for."""
    return open_land_cover(request.data, request.mirror)


def regular(samples: Sequence[Sample]) -> Array:
    """The centre pixel's NDVI every STEP_DAYS (samples, steps): linear between clear dates, level beyond them."""
    last = max(float(np.asarray(sample.streams["cube"].times)[-1]) for sample in samples)
    steps = np.arange(0, last / DAY_S + 1, STEP_DAYS)
    rows = np.full((len(samples), len(steps)), -1.0)
    for row, sample in zip(rows, samples, strict=True):
        stream = sample.streams["cube"]
        assert stream.times is not None
        middle = stream.values.shape[2] // 2
        centre = np.where(stream.observed(), stream.values, np.nan)[:, 0, middle, middle]
        seen = np.isfinite(centre)
        if seen.any():
            row[:] = np.interp(steps, stream.times[seen] / DAY_S, centre[seen])
    return rows


def forests(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """The commonest class, and random forests on the pixel's regular series, weighed by class or not."""
    from sklearn.ensemble import RandomForestClassifier

    labels = np.array([int(np.asarray(sample.target)) for sample in train])
    series = regular([*train, *test])
    seen, asked = series[: len(train)], series[len(train) :]
    settings = {"n_estimators": NUM_TREES, "n_jobs": -1, "random_state": seed}
    commonest = np.full(len(test), float(np.bincount(labels).argmax()))
    found = {"commonest": commonest}
    for name, weights in (("random_forest", None), ("random_forest_balanced", "balanced")):
        forest = RandomForestClassifier(class_weight=weights, **settings).fit(seen, labels)
        found[name] = forest.predict(asked).astype(np.float64)
    return found


TASK = Task(
    name="land-cover",
    task="land-cover",
    version="1",
    target=Classes(),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=8, batch_size=128, lr_per_step=1e-3, input_noise=0.0, dropout=0.1),
        num_folds=5,
    ),
    read=read,
    baselines=forests,
    holding=Holding(buffer_m=BUFFER_M, largest_group=LARGEST_POLYGON, protocol="grouped-folds", only_same_data=True),
    grouping=Grouping(name="polygon"),
    optional=(),
    mapped=Mapped(window=WINDOW, overlap=MAP_OVERLAP),
    known_failures=(
        "learned from one square kilometre of Slovenia: elsewhere the classes and seasons differ",
        "classes of few polygons are hardly ever right: see their support",
    ),
)
