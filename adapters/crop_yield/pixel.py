"""Yield of pixels, and of fields as their means: growth under the observed canopy, corrected by the trunk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield.growth import DAILY, FEATURES, LEADS, NUM_STEPS, SAID, SUMS, derive, leads_in
from mainstem.adapters.crop_yield.leads import CARRIED, VIEWS, days_of, derive_all, known_at, lead_of, sums_at, views
from mainstem.core.blocks import Block
from mainstem.core.cases import blocks_in, names_in, with_streams
from mainstem.core.folds import targets_of
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, Dated, FitConfig, Grouping, Mapped, Order, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.earth.farm_sets import open_farms

Array = NDArray[np.float64]
PENALTY = 1e-3  # of the ridge, times the number of samples: the sums are standardised
NUM_TREES, SMALLEST_LEAF = 200, 5
SIMULATING = 0.95  # of the time of reading goes to the farms, the rest to the growth model


@dataclass(frozen=True, kw_only=True, eq=False)
class GrowthPreparation:
    """A ridge regression a lead on the season sums of the growth model; the trunk sees its ten-day states besides.

    A sample without sums (no clear scene, or no weather) is offset by the mean of training.
    """

    centre: Array  # (LEADS, FEATURES)
    spread: Array
    weights: Array
    mean: Array  # (LEADS,)

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "GrowthPreparation":
        """Fit on training samples, whole and as they were known earlier."""
        targets = targets_of(samples)
        found = [_ridge(sums_at(samples, lead), targets) for lead in range(LEADS)]
        centre, spread, weights, mean = (np.array(part) for part in zip(*found, strict=True))
        return cls(centre=centre, spread=spread, weights=weights, mean=mean)

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return the samples with standardised sums, and the ridge's yields."""
        scaled, leads = self.features(samples), leads_in(samples)
        known = np.isfinite(scaled).all(1)
        sums = Block(kind="scalar", values=scaled, channels=SUMS)
        away = (np.nan_to_num(scaled) * self.weights[leads]).sum(1)
        yields = self.mean[leads] + np.where(known, away, 0.0)
        return with_streams(samples, set(names_in(samples)) - {*SAID, *CARRIED, "sums"}, {"sums": sums}), yields

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the offset: the trunk learns what is left of it."""
        return offset

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return the season sums, standardised by what others were at the same lead, NaN where unknown."""
        leads = leads_in(samples)
        return (_sums(samples) - self.centre[leads]) / self.spread[leads]

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types (none) and arrays."""
        return {}, {"centre": self.centre, "spread": self.spread, "weights": self.weights, "mean": self.mean}


def _ridge(sums: Array, targets: Array) -> tuple[Array, Array, Array, float]:
    """Centre, spread and weights (FEATURES,) of season sums (samples, FEATURES), and the mean of targets (samples,)."""
    known = np.isfinite(sums).all(1)
    if known.sum() < 2 * FEATURES:
        return np.zeros(FEATURES), np.ones(FEATURES), np.zeros(FEATURES), float(targets.mean())
    sums, targets = sums[known], targets[known]
    centre, spread = sums.mean(0), np.maximum(sums.std(0), 1e-6)
    scaled = (sums - centre) / spread
    penalty = PENALTY * len(scaled) * np.eye(FEATURES)
    weights = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ (targets - targets.mean()))
    return centre, spread, weights, float(targets.mean())


def _sums(samples: Sequence[Sample]) -> Array:
    """Season sums (samples, FEATURES), NaN where unknown."""
    found = np.full((len(samples), FEATURES), np.nan)
    for rows, block in blocks_in(samples, "sums"):
        found[rows] = block.values
    return found


def restore(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> GrowthPreparation:
    """Read what `GrowthPreparation.state` gave."""
    return GrowthPreparation(**dict(arrays))


def read(request: DataRequest, progress: Progress = silent) -> SampleSet:
    """Read the farms that a user asks for, each pixel's season summed by the growth model at each lead."""
    source = open_farms(request.data, request.mirror, part_of(progress, 0.0, SIMULATING))
    progress("growth of pixels", SIMULATING)
    return replace(source, samples=derive_all(source.samples))


def scope_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Return what a prediction may be asked for: the crop of training."""
    return {"crop": sorted({str(sample.source.facts["crop"]) for sample in samples})}


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """The mean, the growth model's ridge alone, and trees on season sums and ten-day states."""
    from sklearn.ensemble import ExtraTreesRegressor

    targets = targets_of(train)
    growth = GrowthPreparation.fit(train, "any")
    seen, asked = _table(train), _table(test)
    trees = ExtraTreesRegressor(
        NUM_TREES, min_samples_leaf=SMALLEST_LEAF, max_features=0.4, n_jobs=-1, random_state=seed
    ).fit(seen, targets)
    return {
        "average": np.full(len(test), targets.mean()),
        "growth_model_ridge": growth(test)[1],
        "extra_trees": trees.predict(asked),
    }


def _table(samples: Sequence[Sample]) -> Array:
    """Season sums and the ten-day states in one row a sample, -1 where unknown."""
    series = np.full((len(samples), NUM_STEPS, len(DAILY)), np.nan)
    for rows, block in blocks_in(samples, "growth"):
        series[rows, : block.values.shape[1]] = block.values
    table: Array = np.nan_to_num(np.hstack([_sums(samples), series.reshape(len(series), -1)]), nan=-1.0)
    return table


TASK = Task(
    name="crop-yield",
    task="pixel",
    version="4",  # 2: farms differ by biology; 3: a token holds a month; 4: seasons known in part
    target=Quantity(units="t/ha", lowest=0.0, metric="rmse"),
    config=FitConfig(
        steps_per_token=3,  # ten-day steps to a month: under half the tokens, no worse out of fold on training farms
        trunk_size="xs",
        training=TrainingConfig(epochs=10, batch_size=256, lr_per_step=2e-3, input_noise=0.1, dropout=0.1),
        num_folds=4,
    ),
    read=read,
    prepare=GrowthPreparation.fit,
    restore=restore,
    scope_of=scope_of,
    views=views(),
    view_of=lambda sample: VIEWS[lead_of(sample)],
    mapped=Mapped(window=1, needs=("weather",), derive=derive, dated=Dated(derive=known_at, days=days_of)),
    grouping=Grouping(name="farm", season_of="year", mean_of="field"),
    optional=(),
    baselines=baselines,
    known_failures=(
        "trained on simulated farms alone: real imagery shows relative vigour until 20 harvested fields calibrate it",
        "scenes tell fields and seasons apart, not how efficient a hybrid is or what was lost: intervals carry that "
        "for farms within the ranges of data/earth/biology.py, and fall short where all yields lie far below them, or "
        "losses come in patches",
        "on 100 simulated farms never trained on, fewer than 90 % of fields' means and pixels fell inside their 90 % "
        "intervals, some 82 to 86 % (docs/benchmarks.md)",
        "a season is taken to lie within one calendar year: maize of the northern hemisphere",
    ),
)
