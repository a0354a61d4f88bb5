"""How radiographs are prepared: standardised, compared with those of training, and moved a little while one trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mainstem.core.stream import Channel, Sample, Stream
from mainstem.core.task import DataRequest, Option, Order
from mainstem.core.tokens import Patches
from mainstem.data.medical.radiographs import Told

Array = NDArray[np.float64]
STREAM, PIXELS = "image", "image.values"
COMPONENTS = 20  # of few the strangeness is best told, as held-out radiographs turned and inverted show
ORDINARY = 0.99  # of training lies within a strangeness of 1
FLATTEST = 0.5  # of the least contrast in training; what has less shows nothing
SHIFT, TURN_RAD, ZOOM, BEND = 0.05, 0.1, 0.1, 0.15  # shares of a side, radians, shares, of the grey curve
OF_TRUNK = 0.7  # of these: further, 20 epochs teach a small trunk less of the held-out images as they are
META = Option(name="meta", help="A CSV of the images: image, age, sex, view, modality.")
SCOPE = ("modality", "view", "age_band")


def told_of(request: DataRequest) -> Told | None:
    """Read the table that a user gives of the images, if any."""
    path = request.option(META.name)
    return None if path is None else Told.read(Path(path))


def scope_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Return which radiographs are predicted: of modality, view and age as in training, and as some table tells."""
    return {name: sorted({str(sample.source.facts.get(name)) for sample in samples}) for name in SCOPE}


def pixels_of(samples: Sequence[Sample]) -> Array:
    """Grey values (samples, pixels), 0 to 1, of images of one size."""
    return np.stack([sample.streams[STREAM].values.reshape(-1) for sample in samples]).astype(np.float64)


def standardised(pixels: Array) -> Array:
    """Images (samples, pixels) less their mean, over their spread: exposure is no finding; one of no contrast is 0."""
    away = pixels - pixels.mean(1, keepdims=True)
    scaled: Array = away / np.maximum(away.std(1, keepdims=True), 1e-6)
    return scaled


def halved(values: Array) -> Array:
    """Values at half the size that they have in memory, as a file keeps them."""
    found: Array = np.asarray(values, np.float32)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Radiographs:
    """Principal components of standardised training images, and how far these lie within them and beside them.

    Strangeness is the larger of two distances, in logarithms and standard deviations of training's: to the mean within
    the components, each in its spread (Mahalanobis), and of what the components leave.
    """

    centre: Array  # (pixels,)
    components: Array  # (components, pixels)
    spread: Array  # (components,)
    usual: Array  # (2, 2): mean and standard deviation of both logarithms
    limit: float
    contrast: float  # the least
    shows_components: bool = (
        False  # to the trunk too, as a token beside the patches: of few images it learns these first
    )

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order = "any") -> "Radiographs":
        """Fit on training samples; what is usual is told by images of one half beside components of the other."""
        pixels = pixels_of(samples)
        images, middle = standardised(pixels), len(samples) // 2
        halves = ((images[:middle], images[middle:]), (images[middle:], images[:middle]))
        away = np.vstack([cls._plain(seen).distances(held) for seen, held in halves])
        usual = np.stack([away.mean(0), np.maximum(away.std(0), 1e-6)])
        limit = float(np.quantile(((away - usual[0]) / usual[1]).max(1), ORDINARY))
        contrast = FLATTEST * float(pixels.std(1).min())
        return replace(cls._plain(images), usual=usual, limit=limit, contrast=contrast)

    @classmethod
    def _plain(cls, images: Array) -> "Radiographs":
        """Fit the components alone."""
        from sklearn.decomposition import PCA

        found = PCA(min(COMPONENTS, len(images) - 1), random_state=0).fit(images)
        return cls(
            centre=found.mean_,
            components=found.components_,
            spread=np.maximum(np.sqrt(found.explained_variance_), 1e-6),
            usual=np.array([[0.0, 0.0], [1.0, 1.0]]),
            limit=0.0,
            contrast=0.0,
        )

    def distances(self, images: Array) -> Array:
        """Logarithms (samples, 2) of both squared distances of standardised images."""
        away = images - self.centre
        within = away @ self.components.T
        beside = np.maximum((away**2).sum(1) - (within**2).sum(1), 1e-12)
        found: Array = np.log(np.stack([np.maximum(((within / self.spread) ** 2).sum(1), 1e-12), beside], 1))
        return found

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return the samples with standardised images, and no offset."""
        shown = []
        for sample in samples:
            stream = sample.streams[STREAM]
            values = standardised(stream.values.reshape(1, -1).astype(np.float64)).reshape(stream.values.shape)
            streams = {STREAM: replace(stream, values=values.astype(np.float32))}
            if self.shows_components:
                within = (values.reshape(-1) - self.centre) @ self.components.T / self.spread
                channels = tuple(Channel(name=f"component {index + 1}", unit="1") for index in range(len(within)))
                streams["components"] = Stream(kind="scalar", values=within, channels=channels)
            shown.append(replace(sample, streams=streams))
        return shown, np.zeros(len(samples))

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the offset."""
        return offset

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return mean and spread of each image's grey, its standardised components, and both its distances."""
        pixels = pixels_of(samples)
        images = standardised(pixels)
        within = (images - self.centre) @ self.components.T / self.spread
        return np.column_stack([pixels.mean(1), pixels.std(1), within, self.distances(images)])

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return how unlike all of training each image is: 1 where so much as ORDINARY of it; infinite where flat."""
        pixels = pixels_of(samples)
        away = (self.distances(standardised(pixels)) - self.usual[0]) / self.usual[1]
        score: Array = np.exp(np.minimum(away.max(1) - self.limit, 50.0))
        return np.where(pixels.std(1) < self.contrast, np.inf, score)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays."""
        arrays = {name: getattr(self, name) for name in ("centre", "components", "spread", "usual")}
        plain = {"limit": self.limit, "contrast": self.contrast, "shows_components": self.shows_components}
        return plain, {name: halved(values) for name, values in arrays.items()}

    @classmethod
    def restore(cls, state: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Radiographs":
        """Read what `state` gave."""
        known = {name: values.astype(np.float64) for name, values in arrays.items()}
        shows = bool(state.get("shows_components", False))
        return cls(limit=float(state["limit"]), contrast=float(state["contrast"]), shows_components=shows, **known)


def moved(patches: Patches, aims: Tensor, generator: torch.Generator) -> tuple[Patches, Tensor]:
    """Move each image of a batch a little; what is to be told stays."""
    return Patches(
        parts={**patches.parts, PIXELS: moved_images(patches[PIXELS][:, :, 0], generator, OF_TRUNK)[:, :, None]}
    ), aims


def moved_images(images: Tensor, generator: torch.Generator, reach: float = 1.0) -> Tensor:
    """Shift, turn, zoom and stretch standardised images (batch, channel, y, x) a little, and bend their grey curves.

    A patient stands a little otherwise, and a machine shows grey otherwise, from site to site.
    """
    num = len(images)

    def drawn(most: float) -> Tensor:
        return (torch.rand(num, generator=generator) * 2 - 1) * most * reach

    size, angle = 1 + drawn(ZOOM), drawn(TURN_RAD)
    wide = size * (1 + drawn(ZOOM / 2))
    rows = [
        torch.stack([size * angle.cos(), wide * angle.sin(), drawn(2 * SHIFT)], 1),
        torch.stack([-size * angle.sin(), wide * angle.cos(), drawn(2 * SHIFT)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    shown = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return shown + drawn(BEND)[:, None, None, None] * (shown**2 - 1)
