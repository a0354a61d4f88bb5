"""Radiographs made for tests: smooth grounds as a thorax has, one side brighter where something is there."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mainstem.data.medical.chest import SIDE
from mainstem.data.medical.pneumonia import FILE

FINDINGS = ("Effusion", "Nodule", "Cardiomegaly", "Atelectasis", "Infiltration")


def grounds(num: int, side: int, bright: NDArray[np.bool_], seed: int = 0) -> NDArray[np.uint8]:
    """Images (num, side, side): dark above and bright below, brighter to the left where `bright`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    base = 60 + 100 * y + 40 * np.cos(6 * x)
    spot = 50 * np.exp(-((x - 0.25) ** 2 + (y - 0.6) ** 2) / 0.02)
    made = base + bright[:, None, None] * spot + rng.normal(0, 6, (num, side, side)) + rng.normal(0, 8, (num, 1, 1))
    return np.clip(made, 0, 255).astype(np.uint8)


def write_children(folder: Path, num: int = 40) -> Path:
    """Write a file in the layout of PneumoniaMNIST, each part of `num` images."""
    arrays = {}
    for seed, part in enumerate(("train", "val", "test")):
        labels = np.arange(num, dtype=np.uint8) % 2
        arrays |= {f"{part}_images": grounds(num, 28, labels == 1, seed), f"{part}_labels": labels[:, None]}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / FILE, **arrays)
    return folder / FILE


def write_adults(folder: Path, num: int = 60, num_patients: int = 20) -> Path:
    """Write a folder in the layout of the NIH set, several images a patient."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position"]
    there = np.arange(num) % 2 == 1
    for row, image in enumerate(grounds(num, SIDE, there)):
        Image.fromarray(image).save(folder / f"{row}.png")
        found = "|".join(FINDINGS[: 1 + row % 5]) if there[row] else "No Finding"
        person = row % num_patients
        rows.append(f"{row}.png,{found},{person},{30 + person},{'FM'[person % 2]},{'PA' if row % 3 else 'AP'}")
    (folder / "meta.csv").write_text("\n".join(rows) + "\n")
    return folder
