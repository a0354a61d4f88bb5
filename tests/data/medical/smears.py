"""Drawn smears of blood with the boxes of their cells, in the layout of BCCD."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE, CELL = 320, 80  # pixels: the picture, and a place for one cell in it
GLASS, RED, PALE, VIOLET = (215, 220, 210), (190, 140, 135), (205, 180, 175), (95, 70, 170)
RADIUS = {"RBC": 35, "WBC": 38, "Platelets": 9}
Cell = tuple[str, int, int]  # name, and the middle in pixels from the left and the top


def places(names: Sequence[str], rng: np.random.Generator) -> list[Cell]:
    """Put each named cell on a place of its own."""
    chosen = rng.permutation((SIDE // CELL) ** 2)[: len(names)]
    middles = [(CELL * (place % 4) + CELL // 2, CELL * (place // 4) + CELL // 2) for place in chosen.tolist()]
    return [(name, x, y) for name, (x, y) in zip(names, middles, strict=True)]


def write_smear(folder: Path, item: str, cells: Sequence[Cell], boxed: Sequence[Cell] | None = None) -> None:
    """Draw cells on glass, and write the boxes of those that are boxed, all unless told."""
    picture = Image.new("RGB", (SIDE, SIDE), GLASS)
    brush = ImageDraw.Draw(picture)
    for name, x, y in cells:
        reach = RADIUS[name]
        brush.ellipse((x - reach, y - reach, x + reach, y + reach), fill=RED if name == "RBC" else VIOLET)
        if name == "RBC":
            brush.ellipse((x - 12, y - 12, x + 12, y + 12), fill=PALE)
    for part in ("JPEGImages", "Annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    picture.save(folder / "JPEGImages" / f"{item}.jpg", quality=95)
    objects = "".join(box(name, x - RADIUS[name], y - RADIUS[name], 2 * RADIUS[name]) for name, x, y in boxed or cells)
    (folder / "Annotations" / f"{item}.xml").write_text(annotation(objects))


def annotation(objects: str, width: int = SIDE) -> str:
    """Return the text of a file of boxes."""
    return f"<annotation><size><width>{width}</width><height>{SIDE}</height></size>{objects}</annotation>"


def box(name: str, left: int, top: int, side: int) -> str:
    """Return the entry of one box."""
    ends = {"xmin": left, "ymin": top, "xmax": left + side, "ymax": top + side}
    corners = "".join(f"<{key}>{value}</{key}>" for key, value in ends.items())
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


def write_smears(folder: Path, num: int, seed: int = 0) -> Path:
    """Write so many smears of one white cell, some red ones and up to four platelets each."""
    rng = np.random.default_rng(seed)
    for number in range(num):
        names = ["WBC", *["RBC"] * rng.integers(1, 9), *["Platelets"] * rng.integers(0, 5)]
        write_smear(folder, f"Smear_{number:05d}", places(names, rng))
    return folder


def write_list(folder: Path, name: str, items: Sequence[str]) -> None:
    """Write a list of pictures."""
    path = folder / "ImageSets" / "Main" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{item}\n" for item in items))
