"""Crops as the hippocampus set has them, made: two bright bodies in noise, one before the other, under uneven light."""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray


def crop(seed: int, sides: tuple[int, int, int]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Values and labels (x, y, z): 1 anterior, 2 posterior."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(sides, np.uint8)
    middle = np.array(sides) / 2 + rng.uniform(-1.5, 1.5, 3)
    place = np.indices(sides)
    for label, ahead in ((2, -6.0), (1, 5.0)):
        centre = middle + np.array([0.0, ahead, 0.0])
        radii = rng.uniform(5, 7, 3)
        labels[(((np.moveaxis(place, 0, -1) - centre) / radii) ** 2).sum(-1) < 1] = label
    light = np.tensordot([0.2, 0.5, 1.0], place / np.reshape(sides, (3, 1, 1, 1)), 1)  # by which they lie one way alone
    values = (
        100 * rng.uniform(0.5, 2) * (1 + light + 2.0 * (labels == 1) + 1.5 * (labels == 2) + rng.normal(0, 0.15, sides))
    )
    return np.abs(values).astype(np.float32), labels


def save_crops(folder: Path, num: int, sides: tuple[int, int, int]) -> Path:
    """Write so many in the set's own layout, and return the folder."""
    for seed in range(num):
        for part, values in zip(("images", "labels"), crop(seed, sides), strict=True):
            (folder / part).mkdir(exist_ok=True)
            image = nib.Nifti1Image(values, np.eye(4))
            image.header.set_xyzt_units("mm")
            nib.save(image, folder / part / f"crop_{seed:03d}.nii.gz")
    return folder
