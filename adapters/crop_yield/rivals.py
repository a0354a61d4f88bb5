"""What ridge, boosting and extremely randomised trees make of the trunk's own inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.trees import Trees

Array = NDArray[np.float64]
# chosen by leaving years 2000-2011 of us-maize out: docs/benchmarks.md
PENALTY = 1000 / 7000  # of the ridge, times the number of samples; inputs are standardised
BOOSTING = {"n_estimators": 100, "learning_rate": 0.06, "max_depth": 4, "min_samples_leaf": 20, "subsample": 0.5,
            "max_features": 0.2}  # fmt: skip
TREES = {"n_estimators": 40, "min_samples_leaf": 10, "max_features": 0.4}
SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Rivals:
    """Departures from the anchor, t/ha, by three plain models of a table of features.

    They are trusted in equal shares: Clemen 1989, Combining forecasts, International Journal of Forecasting 5, 559.
    """

    centre: Array
    spread: Array
    slopes: Array
    average: float
    boosting: Trees
    trees: Trees

    @classmethod
    def fit(cls, features: Array, departures: Array) -> "Rivals":
        """Fit on features (samples, columns) and departures (samples,) of the targets."""
        from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor

        centre, spread = features.mean(0), features.std(0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        scaled = (features - centre) / spread
        average = float(departures.mean())
        square = scaled.T @ scaled + PENALTY * len(scaled) * np.eye(scaled.shape[1])
        slopes = np.linalg.solve(square, scaled.T @ (departures - average))
        boosting = GradientBoostingRegressor(**BOOSTING, init="zero", random_state=SEED).fit(
            scaled, departures - average
        )
        extra = ExtraTreesRegressor(**TREES, random_state=SEED).fit(scaled, departures)
        rate, count = BOOSTING["learning_rate"], TREES["n_estimators"]
        return cls(
            centre=centre,
            spread=spread,
            slopes=slopes,
            average=average,
            boosting=Trees.read([tree.tree_ for tree in boosting.estimators_[:, 0]], average, rate),
            trees=Trees.read([tree.tree_ for tree in extra.estimators_], 0.0, 1 / count),
        )

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

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        plain: dict[str, Any] = {"average": self.average}
        arrays: dict[str, NDArray[Any]] = {"centre": self.centre, "spread": self.spread, "slopes": self.slopes}
        for name in ("boosting", "trees"):
            plain[name], found = getattr(self, name).state()
            arrays |= {f"{name}.{key}": values for key, values in found.items()}
        return plain, arrays

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Rivals":
        """Read what `state` gave.

        Raises:
            ValueError: if trees cannot be.
        """
        width = len(arrays["slopes"])
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
        )
