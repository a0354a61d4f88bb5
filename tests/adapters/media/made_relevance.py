"""Pairs of a query and a file, judged: words of made texts, and pictures of squares with brighter copies."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance


def blocks(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)


def write_judged(folder: Path, num: int = 16) -> Path:
    """Write a CSV of judged pairs, of words and of pictures, with the files that they name."""
    folder.mkdir()
    lines = ["query,path,relevant"]
    for index in range(num):
        (folder / f"t{index}.txt").write_text(f"a harbour at dawn, ship{index} and crew{index}", encoding="utf-8")
        Image.fromarray(blocks(index)).save(folder / f"p{index}.png")
        with Image.open(folder / f"p{index}.png") as image:
            ImageEnhance.Brightness(image).enhance(1.1).save(folder / f"asked{index}.jpg")
        for step in range(4):
            other, is_own = (index + step) % num, "no" if step else "yes"
            lines += [f"harbour ship{index},t{other}.txt,{is_own}", f"asked{index}.jpg,p{other}.png,{is_own}"]
    (folder / "PAIRS.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "PAIRS.csv"
