"""What ridge, boosting and extremely randomised trees make of the trunk's own inputs, and what their mean is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.regression import fit_gate, group_folds
from mainstem.core.trees import Trees

Array = NDArray[np.float64]
# chosen by leaving years 2000-2011 of us-maize out: docs/benchmarks.md
PENALTY = 1000 / 7000  # of the ridge, times the number of samples; inputs are standardised
BOOSTING = {"n_estimators": 100, "learning_rate": 0.06, "max_depth": 4, "min_samples_leaf": 20, "subsample": 0.5,
            "max_features": 0.2}  # fmt: skip
TREES = {"n_estimators": 40, "min_samples_leaf": 10, "max_features": 0.4}
JUDGED_FOLDS = 2  # of whole groups, on which the weight of the rivals is found
SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Rivals:
    """Departures from the anchor, t/ha, by three plain models of a table of features, and their weight 0-1.

    The weight is what their mean is worth on groups that it was not fitted on, 0 where that is nothing for sure.
    Equal shares: Clemen 1989, Combining forecasts, International Journal of Forecasting 5, 559.
    """

    centre: Array
    spread: Array
    slopes: Array
    average: float
    boosting: Trees
    trees: Trees
    weight: float

    @classmethod
    def fit(cls, features: Array, departures: Array, groups: Sequence[str]) -> "Rivals":
        """Fit on features (samples, columns) and departures (samples,) of the targets, in groups."""
        fitted = _fitted(features, departures)
        if len(set(groups)) <= JUDGED_FOLDS:
            return replace(fitted, weight=0.0)
        judged = np.zeros(len(departures))
        for kept, held in group_folds(groups, JUDGED_FOLDS):
            part = _fitted(features[kept], departures[kept])
            judged[held] = part.mean(features[held])
        return replace(fitted, weight=fit_gate(departures, judged, groups))

    def each(self, features: Array) -> dict[str, Array]:
        """Return each rival's departures (samples,)."""
        scaled = (features - self.centre) / self.spread
        return {
            "ridge": self.average + scaled @ self.slopes,
            "boosting": self.boosting(scaled),
            "extra_trees": self.trees(scaled),
        }

    def mean(self, features: Array) -> Array:
        """Return the mean of the rivals' departures (samples,), in equal shares."""
        averaged: Array = np.mean(list(self.each(features).values()), axis=0)
        return averaged

    def __call__(self, features: Array) -> Array:
        """Return the mean of the rivals' departures by its weight (samples,)."""
        return self.weight * self.mean(features) if self.weight else np.zeros(len(features))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        plain: dict[str, Any] = {"weight": self.weight, "average": self.average}
        arrays: dict[str, NDArray[Any]] = {"centre": self.centre, "spread": self.spread, "slopes": self.slopes}
        for name in ("boosting", "trees"):
            plain[name], found = getattr(self, name).state()
            arrays |= {f"{name}.{key}": values for key, values in found.items()}
        return plain, arrays

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Rivals":
        """Read what `state` gave.

        Raises:
            ValueError: if trees or weight cannot be.
        """
        width, weight = len(arrays["slopes"]), float(plain["weight"])
        if not 0 <= weight <= 1:
            raise ValueError(f"a weight of the rivals of {weight}")
        found = {
            name: Trees.restore(
                plain[name],
                {key.split(".", 1)[1]: values for key, values in arrays.items() if key.startswith(f"{name}.")},
                width,
            )
            for name in ("boosting", "trees")
        }
        return cls(
            centre=arrays["centre"],
            spread=arrays["spread"],
            slopes=arrays["slopes"],
            average=float(plain["average"]),
            boosting=found["boosting"],
            trees=found["trees"],
            weight=weight,
        )


def _fitted(features: Array, departures: Array) -> Rivals:
    from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor

    centre, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    scaled = (features - centre) / spread
    average = float(departures.mean())
    square = scaled.T @ scaled + PENALTY * len(scaled) * np.eye(scaled.shape[1])
    slopes = np.linalg.solve(square, scaled.T @ (departures - average))
    boosting = GradientBoostingRegressor(**BOOSTING, init="zero", random_state=SEED).fit(scaled, departures - average)
    extra = ExtraTreesRegressor(**TREES, random_state=SEED).fit(scaled, departures)
    rate, count = BOOSTING["learning_rate"], TREES["n_estimators"]
    return Rivals(
        centre=centre,
        spread=spread,
        slopes=slopes,
        average=average,
        boosting=Trees.read([tree.tree_ for tree in boosting.estimators_[:, 0]], average, rate),
        trees=Trees.read([tree.tree_ for tree in extra.estimators_], 0.0, 1 / count),
        weight=1.0,
    )
