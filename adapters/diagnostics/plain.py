"""Plain models on principal components, beside the trunk: a support-vector machine, and a line a finding."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.adapters.diagnostics.radiographs import STREAM, Radiographs, halved, moved_images, pixels_of, standardised
from mainstem.core.stream import Sample

Array = NDArray[np.float64]
COPIES, SEED = 2, 0  # of each training image, moved a little
COMPONENTS = 60
STIFFNESS = 0.01  # inverse strength of the regressions' penalty, on whitened components
BEFORE = "rival"
SLOPE = 3.0  # log-odds of the margin: about one in twenty beyond it errs (Platt 1999 finds 1 to 4)


@dataclass(frozen=True, kw_only=True, eq=False)
class SupportVectors:
    """A Gaussian kernel's decision on components of standardised images, as arrays.

    It learns from each image as it is and moved a little, so that it knows what does not matter; both classes count
    alike, as for the trunk. Source: Cortes & Vapnik 1995, Support-vector networks; Schoelkopf, Burges & Vapnik 1996,
    Incorporating invariances in support vector learning machines (virtual examples).
    """

    centre: Array  # (pixels,)
    components: Array  # (components, pixels)
    support: Array  # (vectors, components)
    weights: Array  # (vectors,)
    gamma: float
    bias: float

    @classmethod
    def fit(cls, samples: Sequence[Sample], labels: NDArray[np.int64]) -> "SupportVectors":
        """Fit on training samples and their classes, 0 or 1."""
        from sklearn.decomposition import PCA
        from sklearn.svm import SVC

        images = standardised(pixels_of(samples))
        found = PCA(min(COMPONENTS, len(images) - 1), random_state=0).fit(images)
        seen = np.vstack([found.transform(images), *(found.transform(one) for one in copies_of(images, samples))])
        labels = np.tile(labels, 1 + COPIES)
        gamma = float(1 / (seen.shape[1] * seen.var()))
        machine = SVC(gamma=gamma, class_weight="balanced").fit(seen, labels)
        return cls(
            centre=found.mean_,
            components=found.components_,
            support=machine.support_vectors_,
            weights=machine.dual_coef_[0],
            gamma=gamma,
            bias=float(machine.intercept_[0]),
        )

    def log_odds(self, samples: Sequence[Sample]) -> Array:
        """Return log-odds (samples,) of the second class."""
        seen = (standardised(pixels_of(samples)) - self.centre) @ self.components.T
        squares = (seen**2).sum(1)[:, None] + (self.support**2).sum(1) - 2 * seen @ self.support.T
        decision: Array = np.exp(-self.gamma * np.maximum(squares, 0)) @ self.weights + self.bias
        return SLOPE * decision

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays."""
        arrays = {name: getattr(self, name) for name in ("centre", "components", "support", "weights")}
        return {"gamma": self.gamma, "bias": self.bias}, {name: halved(own) for name, own in arrays.items()}

    @classmethod
    def restore(cls, state: Mapping[str, Any], arrays: Mapping[str, Array]) -> "SupportVectors":
        """Read what `state` gave."""
        known = {name: own.astype(np.float64) for name, own in arrays.items()}
        return cls(gamma=float(state["gamma"]), bias=float(state["bias"]), **known)


@dataclass(frozen=True, kw_only=True, eq=False)
class Regressions:
    """A logistic regression a finding on components of standardised images, as a weight a pixel.

    Each learns of the images whose finding was read, as they are and moved a little; both answers count alike. Of few
    images with a rare finding a kernel learns no more than a line does.
    """

    weights: Array  # (pixels, findings)
    bias: Array  # (findings,)

    @classmethod
    def fit(cls, samples: Sequence[Sample], truth: Array) -> "Regressions":
        """Fit on training samples and what they show (samples, findings), 0 or 1, NaN where unread."""
        from sklearn.decomposition import PCA

        images = standardised(pixels_of(samples))
        found = PCA(min(COMPONENTS, len(images) - 1), whiten=True, random_state=0).fit(images)
        seen = np.vstack([found.transform(images), *(found.transform(one) for one in copies_of(images, samples))])
        lines = np.stack([_line(seen, np.tile(known, 1 + COPIES)) for known in truth.T], 1)
        weights = found.components_.T @ (lines[:-1] / np.sqrt(found.explained_variance_)[:, None])
        return cls(weights=weights, bias=lines[-1] - found.mean_ @ weights)

    def log_odds(self, samples: Sequence[Sample]) -> Array:
        """Return log-odds (samples, findings)."""
        found: Array = standardised(pixels_of(samples)) @ self.weights + self.bias
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return arrays; there are no plain types."""
        return {}, {"weights": halved(self.weights), "bias": halved(self.bias)}

    @classmethod
    def restore(cls, state: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Regressions":
        """Read what `state` gave."""
        return cls(**{name: own.astype(np.float64) for name, own in arrays.items()})


def _line(seen: Array, known: Array) -> Array:
    """Weights of components (cases, components), and last the bias; zeros where not both answers are known."""
    from sklearn.linear_model import LogisticRegression

    told = np.isfinite(known)
    if len(np.unique(known[told])) < 2:
        return np.zeros(seen.shape[1] + 1)
    found = LogisticRegression(C=STIFFNESS, class_weight="balanced", max_iter=1000).fit(seen[told], known[told])
    return np.append(found.coef_[0], found.intercept_)


@dataclass(frozen=True, kw_only=True, eq=False)
class WithPlain:
    """Radiographs prepared as all are, and a plain model's log-odds beside them."""

    images: Radiographs
    plain: SupportVectors | Regressions

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return the samples with standardised images, and no offset."""
        return self.images(samples)

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the plain model's log-odds (samples,), or (samples, findings)."""
        found: Array = (offset + self.plain.log_odds(samples).T).T
        return found

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return what the shift alarm compares: images, and the plain model's log-odds and their size.

        Where a classifier's answers move, its inputs have: Lipton et al. 2018, Detecting and Correcting for Label Shift
        with Black Box Predictors; Rabanser et al. 2019, Failing Loudly, section 5.
        """
        odds = self.plain.log_odds(samples)
        return np.column_stack([self.images.features(samples), odds, np.abs(odds)])

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return how unlike all of training each image is."""
        return self.images.strangeness(samples)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays of both."""
        plain: dict[str, Any] = {}
        arrays: dict[str, Array] = {}
        for name in ("images", "plain"):
            plain[name], found = getattr(self, name).state()
            arrays |= {f"{name}.{key}": values for key, values in found.items()}
        return plain, arrays


def restored(
    read: Callable[[Mapping[str, Any], Mapping[str, Array]], SupportVectors | Regressions],
    state: Mapping[str, Any],
    arrays: Mapping[str, Array],
) -> WithPlain:
    """Read what `WithPlain.state` gave, the plain model as `read` does; runs of before call it a rival."""
    name = BEFORE if BEFORE in state else "plain"

    def of(name: str) -> dict[str, Array]:
        return {key.partition(".")[2]: own for key, own in arrays.items() if key.startswith(f"{name}.")}

    return WithPlain(images=Radiographs.restore(state["images"], of("images")), plain=read(state[name], of(name)))


def copies_of(images: Array, samples: Sequence[Sample]) -> list[Array]:
    """Standardised images (images, pixels), moved: COPIES of each."""
    shape = samples[0].streams[STREAM].values.shape
    shown, generator = torch.from_numpy(images).float().view(-1, *shape), torch.Generator().manual_seed(SEED)
    every = (moved_images(shown, generator).flatten(1).double().numpy() for _ in range(COPIES))
    return [standardised(one) for one in every]


def machine_on_components(seen: Array, labels: NDArray[np.int64], asked: Array, seed: int) -> Array:
    """Return probabilities (asked,) of class 1 by an SVM on COMPONENTS of pixels (images, pixels), whitened.

    Whitening and C are those best on the official validation part of PneumoniaMNIST (AUC .995, accuracy .968).
    Where one class alone is known, its share.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC

    least = int(np.bincount(labels, minlength=2).min())
    if least < 2:
        return np.full(len(asked), float(labels.mean()))
    parts = PCA(min(COMPONENTS, len(seen) - 1), whiten=True, random_state=seed).fit(seen)
    machine = CalibratedClassifierCV(SVC(), ensemble=False, cv=min(5, least))
    found: Array = machine.fit(parts.transform(seen), labels).predict_proba(parts.transform(asked))[:, 1]
    return found
