"""BCCD: microscope pictures of blood smears, with the boxes that people drew around cells, counted by kind."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.split import TEST
from mainstem.core.stream import NO_LICENCE, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.images import IMAGES, RGB, read_image
from mainstem.data.tabular import check_regular, shown

BCCD = "bccd"
NAMES = {"red": "RBC", "white": "WBC", "platelets": "Platelets"}  # of cells, as the boxes are named
PARTS = {"train": "train", "val": TEST, "test": TEST}  # lists of pictures, and what each is for
REDUCED = 4  # pixels a side that are averaged: a red cell is then some 20 wide, a platelet 6
UNSOUND = (
    "its lists deal neighbours in number, which look like one slide, to both parts, so that their test is none of new "
    "slides; leave --protocol out: whole tens of numbers are held out"
)
LARGEST_XML, LARGEST_LIST = 1 << 20, 1 << 20
Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The boxes of one picture: how many there are of each name, and the size of the picture they were drawn on."""

    counts: Counter[str]
    size: tuple[int, int]


def check_cell(cell: str) -> None:
    """Refuse a kind of cell that is not counted.

    Raises:
        InputError: naming those that are.
    """
    if cell not in NAMES:
        raise InputError(f"got the cell {shown(cell)}, want {', '.join(NAMES)}")


def open_cells(data: str, cell: str, mirror: Path | None = None) -> SampleSet:
    """Read smears by name, from a folder in the set's layout, or one picture, of which no count is known.

    Raises:
        InputError: if it is none of them, a kind of cell is unknown, or a picture or its boxes cannot be read.
    """
    check_cell(cell)
    if data == BCCD:
        found = find_data_set(BCCD)
        return in_tens(_read_set(pull(BCCD, mirror), cell, (BCCD, found.licence, found.attribution)))
    path = Path(data)
    if path.suffix.lower() in IMAGES:
        sample = _sample(read_image(path), cell, Provenance(data=own_name(path.name), item=path.stem))
        return SampleSet(name=path.name, samples=(sample,), flagged={}, attribution="")
    if not (path / "JPEGImages").is_dir():
        raise InputError(f"got {shown(data)}; want {BCCD}, a picture, or a folder with JPEGImages and Annotations")
    return _read_set(path, cell, (own_name(path.resolve().name), NO_LICENCE, ""))


def in_tens(source: SampleSet) -> SampleSet:
    """Group pictures by tens of their numbers, and leave the set's own split unused.

    Counts of red cells of neighbours in number correlate by 0.63, as those of one slide or one annotator would.
    """
    sources = [replace(sample.source, group=sample.source.item[:-1], part="") for sample in source.samples]
    samples = tuple(replace(sample, source=own) for sample, own in zip(source.samples, sources, strict=True))
    return replace(source, samples=samples, unsound_split=UNSOUND)


def _read_set(folder: Path, cell: str, told: tuple[str, str, str]) -> SampleSet:
    """Read every picture of a folder; `told` are the set's name, licence and attribution."""
    (name, licence, attribution), parts = told, _parts(folder)
    samples: list[Sample] = []
    faults: dict[str, str] = {}
    seen: dict[str, str] = {}
    pictures = sorted((folder / "JPEGImages").glob("*.jpg"), key=lambda path: (parts.get(path.stem) != TEST, path.stem))
    for path in pictures:
        image = read_image(path)
        count = _count(image, folder / "Annotations" / f"{path.stem}.xml", cell)
        source = Provenance(
            data=name, item=path.stem, licence=licence, attribution=attribution, part=parts.get(path.stem, "")
        )
        samples.append(_sample(image, cell, source, count))
        twin = seen.setdefault(hashlib.sha256(samples[-1].streams["smear"].values.tobytes()).hexdigest(), path.stem)
        if twin != path.stem:  # those to be tested come first, and stay
            faults[path.stem] = f"the same picture is {twin}"
        elif cell == "red" and count == 0:
            faults[path.stem] = "no red cell is boxed, of which every smear is full"
    if not samples:
        raise InputError(f"{folder.name}/JPEGImages holds no .jpg; check the folder")
    return SampleSet(name=name, samples=tuple(samples), flagged=faults, attribution=attribution, licence=licence)


def _count(image: Stream, path: Path, cell: str) -> float | None:
    """How many cells are boxed on a picture; None where nobody drew any box."""
    if not path.exists():
        return None
    drawn, size = read_boxes(path), image.values.shape[:0:-1]
    if drawn.size != size:
        raise InputError(
            f"{path.stem} has {size[0]} x {size[1]} pixels, and its boxes were drawn on {drawn.size[0]} x "
            f"{drawn.size[1]}; take another copy"
        )
    return float(drawn.counts[NAMES[cell]])


def _sample(image: Stream, cell: str, source: Provenance, count: float | None = None) -> Sample:
    """A picture, reduced, and its size as a fact, as a cell is so many pixels wide."""
    if image.channels != RGB:
        raise InputError(f"{source.item} is grey, want red, green and blue: cells are told apart by their stain")
    tall, wide = image.values.shape[1:]
    if min(tall, wide) < 16 * REDUCED:
        raise InputError(f"{source.item} has {wide} x {tall} pixels, want {16 * REDUCED} a side at least")
    stream = Stream(kind="image", values=reduced(image.values), channels=RGB)
    facts = {"cell": cell, "size": f"{wide} x {tall}"}
    return Sample(streams={"smear": stream}, target=count, source=replace(source, facts=facts))


def reduced(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average squares of REDUCED pixels of (channel, y, x); rows and columns that fill none are left out."""
    channels, tall, wide = values.shape[0], values.shape[1] // REDUCED, values.shape[2] // REDUCED
    whole = values[:, : tall * REDUCED, : wide * REDUCED]
    means: NDArray[np.float32] = whole.reshape(channels, tall, REDUCED, wide, REDUCED).mean((2, 4))
    return means


def _parts(folder: Path) -> dict[str, str]:
    """Return the part of each picture that a list names; lists may name pictures that are not there.

    Raises:
        InputError: if two lists name one picture.
    """
    found: dict[str, str] = {}
    for name, part in PARTS.items():
        path = folder / "ImageSets" / "Main" / f"{name}.txt"
        if not path.exists():
            continue
        if check_regular(path, "a list of pictures").st_size > LARGEST_LIST:
            raise InputError(f"{path.name} is larger than {LARGEST_LIST >> 20} MiB, as no list of pictures is")
        for item in path.read_text("utf-8", errors="replace").split():
            if item in found:
                raise InputError(f"{path.name} names {shown(item)}, as another list does; a picture has one part")
            found[item] = part
    return found


def read_boxes(path: Path) -> Drawn:
    """Read the boxes of a picture in the layout of Pascal VOC; of no width or height they are slips, and not counted.

    Raises:
        InputError: if there is no such file, it declares entities, or a box is of no known cell or beyond the picture.
    """
    if check_regular(path, "every picture needs its boxes").st_size > LARGEST_XML:
        raise InputError(f"{path.name} is larger than {LARGEST_XML >> 20} MiB; take another copy")
    content = path.read_bytes()
    # NUL: UTF-16, in which a declaration would go unseen
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content:
        raise InputError(f"{path.name} declares entities or is not in UTF-8, as no list of boxes is; take another copy")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - no entity can be declared
        wide, tall = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        boxes = list(_boxes(root))
    except (ElementTree.ParseError, LookupError, ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is damaged ({error!s:.100}); take another copy") from error
    for name, (left, top, right, bottom) in boxes:
        if name not in NAMES.values():
            raise InputError(f"{path.name} has a box of {shown(name)}, want {', '.join(NAMES.values())}; rename it")
        if not (0 <= left <= right <= wide and 0 <= top <= bottom <= tall):
            raise InputError(f"{path.name} has a box from {left}, {top} to {right}, {bottom} of {wide} x {tall} pixels")
    counts = Counter(name for name, (left, top, right, bottom) in boxes if left < right and top < bottom)
    return Drawn(counts=counts, size=(wide, tall))


def _boxes(root: ElementTree.Element) -> Iterator[tuple[str, Box]]:
    """Yield name and box of each object."""
    for cell in root.iter("object"):
        left, top, right, bottom = (
            int(cell.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        yield cell.findtext("name", "").strip(), (left, top, right, bottom)
