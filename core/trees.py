"""Regression trees as plain arrays: fitted by scikit-learn, saved as tensors, predicted by indexing alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROWS = 512  # predicted at a time: each takes a node number a tree, and all of them fit a core's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Trees:
    """`base` plus `scale` times the sum of trees, all their nodes one after another.

    Attributes:
        feature: (nodes,) the column that a node asks for.
        threshold: (nodes,) it goes left where the value, as float32, is not above.
        left, right: (nodes,) where to; a leaf leads to itself.
        value: (nodes,) what a leaf says.
        roots: (trees,) where each begins.
        depth: steps from a root to the deepest leaf.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float32]
    roots: NDArray[np.int32]
    depth: int
    base: float
    scale: float

    @classmethod
    def read(cls, fitted: Sequence[Any], base: float, scale: float) -> "Trees":
        """Read the trees (scikit-learn's `tree_`) of a fitted ensemble."""
        counts = np.array([tree.node_count for tree in fitted])
        roots = np.concatenate([[0], np.cumsum(counts)[:-1]])
        parts: dict[str, list[NDArray[Any]]] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}
        for tree, root in zip(fitted, roots.tolist(), strict=True):
            is_leaf, own = tree.children_left < 0, root + np.arange(tree.node_count)
            parts["feature"].append(np.where(is_leaf, 0, tree.feature))
            parts["threshold"].append(_at_most(np.where(is_leaf, 0.0, tree.threshold)))
            parts["left"].append(np.where(is_leaf, own, root + tree.children_left))
            parts["right"].append(np.where(is_leaf, own, root + tree.children_right))
            parts["value"].append(tree.value[:, 0, 0].astype(np.float32))
        found = {name: np.concatenate(values) for name, values in parts.items()}
        return cls(
            feature=found["feature"].astype(np.int32),
            threshold=found["threshold"],
            left=found["left"].astype(np.int32),
            right=found["right"].astype(np.int32),
            value=found["value"],
            roots=roots.astype(np.int32),
            depth=max(tree.max_depth for tree in fitted),
            base=base,
            scale=scale,
        )

    def __call__(self, features: Array) -> Array:
        """Return predictions (samples,) of features (samples, columns), finite."""
        seen = features.astype(np.float32)
        parts = [self._sum(seen[start : start + ROWS]) for start in range(0, len(seen), ROWS)]
        return self.base + self.scale * np.concatenate([np.zeros(0), *parts])

    def _sum(self, features: NDArray[np.float32]) -> Array:
        node = np.tile(self.roots, (len(features), 1)).astype(np.intp)
        start = np.arange(len(features))[:, None] * features.shape[1]
        children = np.stack([self.left, self.right], 1).ravel()
        for _ in range(self.depth):
            goes_left = features.take(start + self.feature.take(node)) <= self.threshold.take(node)
            node = children.take(2 * node + ~goes_left)
        total: Array = self.value.take(node).astype(np.float64).sum(1)
        return total

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        arrays = {name: getattr(self, name) for name in ("feature", "threshold", "left", "right", "value", "roots")}
        return {"depth": self.depth, "base": self.base, "scale": self.scale}, arrays

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], num_features: int) -> "Trees":
        """Read what `state` gave.

        Raises:
            ValueError: if a node leads outside the trees or asks for a column that there is not.
        """
        found = cls(**arrays, depth=int(plain["depth"]), base=float(plain["base"]), scale=float(plain["scale"]))
        nodes = len(found.value)
        if {len(values) for values in (found.feature, found.threshold, found.left, found.right)} != {nodes}:
            raise ValueError("trees whose arrays differ in length")
        for places in (found.left, found.right, found.roots):
            if places.dtype != np.int32 or not len(places) or places.min() < 0 or places.max() >= nodes:
                raise ValueError("trees whose nodes lead nowhere")
        if found.feature.dtype != np.int32 or found.feature.min() < 0 or found.feature.max() >= num_features:
            raise ValueError(f"trees that ask for other columns than the {num_features} there are")
        if not 0 <= found.depth <= nodes or not np.isfinite(found.value).all():
            raise ValueError("trees without end, or with values that are no numbers")
        return found


def _at_most(threshold: Array) -> NDArray[np.float32]:
    """The largest float32 not above: a float32 value lies below it exactly where it lies below the threshold."""
    rounded = threshold.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    found: NDArray[np.float32] = np.where(rounded.astype(np.float64) > threshold, below, rounded)
    return found
