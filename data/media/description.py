"""A picture told by its edges and colours, where no encoder's weights are at hand: what it looks like, not what it is.

Edges are histograms of gradients by direction over a grid of cells, at two scales (Oliva & Torralba 2001, Modeling the
Shape of the Scene: the gist; Dalal & Triggs 2005, Histograms of Oriented Gradients, section 6); colours are means and
spreads of opponent colours over the same cells, and a histogram of hues. It finds a picture again after re-encoding,
scaling, blur and changed contrast; it knows no object, no face and no word, and neither turns nor mirrors.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

BUILT_IN = "built-in"  # in the place of a model's name
SIDE, CELLS, DIRECTIONS, HUES = 64, 4, 8, 32
DIM = 2 * CELLS**2 * DIRECTIONS + 6 * CELLS**2 + HUES
WEIGHTS = (0.45, 0.25, 0.2, 0.1)  # of fine edges, coarse edges, cells' colours, hues, in a likeness
VERSION = "edges and colours 1"  # any change of what follows is another: vectors of two are not compared
Floats = NDArray[np.float32]


def describe(pixels: NDArray[np.uint8]) -> Floats:
    """Return a picture (y, x, 3), sRGB, as a vector (DIM,) of length 1; a cosine of two is their likeness."""
    rgb = _small(pixels, SIDE)
    grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    coarse = grey.reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3))
    parts = (_edges(grey), _edges(coarse), _colours(rgb), _hues(rgb))
    whole: Floats = np.concatenate(
        [np.float32(weight**0.5) * _unit(part) for weight, part in zip(WEIGHTS, parts, strict=True)]
    )
    return _unit(whole)


def _small(pixels: NDArray[np.uint8], side: int) -> Floats:
    """The picture at `side` x `side`, 0-1, by means over areas."""
    from PIL import Image

    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / np.float32(255)


def _edges(grey: Floats) -> Floats:
    """Strength of edges by cell and direction, its square root, so that few strong ones do not hide the others."""
    y, x = np.gradient(grey)
    strength, angle = np.hypot(x, y), np.arctan2(y, x) % np.pi
    place = angle / np.pi * DIRECTIONS
    low = place.astype(int) % DIRECTIONS
    share = place - np.floor(place)
    side = len(grey) // CELLS
    cell = np.arange(len(grey)) // side
    cells = (cell[:, None] * CELLS + cell[None]) * DIRECTIONS
    found = np.zeros(CELLS**2 * DIRECTIONS)
    for direction, weight in ((low, 1 - share), ((low + 1) % DIRECTIONS, share)):
        found += np.bincount((cells + direction).ravel(), (strength * weight).ravel(), len(found))
    return np.sqrt(found).astype(np.float32)


def _colours(rgb: Floats) -> Floats:
    """Mean and spread of opponent colours by cell, without the picture's mean brightness, which edits change most."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    opponent = np.stack([(red + green + blue) / 3, (red - green) / 2, (2 * blue - red - green) / 4], -1)
    side = SIDE // CELLS
    cells = opponent.reshape(CELLS, side, CELLS, side, 3)
    mean = cells.mean((1, 3))
    mean[..., 0] -= mean[..., 0].mean()
    return np.concatenate([mean.ravel(), cells.std((1, 3)).ravel()]).astype(np.float32)


def _hues(rgb: Floats) -> Floats:
    """Histogram of hues, each pixel by its saturation."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) % (2 * np.pi)
    weight = rgb.max(-1) - rgb.min(-1)
    place = np.minimum((hue / (2 * np.pi) * HUES).astype(int), HUES - 1)
    return np.sqrt(np.bincount(place.ravel(), weight.ravel(), HUES)).astype(np.float32)


def _unit(values: Floats) -> Floats:
    length = float(np.linalg.norm(values))
    return values / np.float32(length) if length > 0 else values


def own_sha256() -> str:
    """A hash in the place of that of weights, of which there are none."""
    return hashlib.sha256(VERSION.encode()).hexdigest()
