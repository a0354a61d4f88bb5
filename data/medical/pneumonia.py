"""PneumoniaMNIST: chest radiographs of children of 28 x 28 pixels, normal or pneumonia, with their official split."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line
from mainstem.core.samples import SampleSet
from mainstem.core.split import CALIBRATE, TEST
from mainstem.core.stream import NO_LICENCE, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.images import GREY
from mainstem.data.medical.radiographs import MODALITY, USE, Told, radiographs_in
from mainstem.data.tabular import check_regular, shown

PNEUMONIA = "pneumoniamnist"
FILE = "pneumoniamnist_28.npz"
SIDE = 28
CLASSES = ("normal", "pneumonia")
PARTS = {"train": "train", "val": CALIBRATE, "test": TEST}
# Kermany et al. 2018, Cell 172, 1122: anterior-posterior, children of one to five years, Guangzhou
FACTS = {"modality": MODALITY, "view": "AP", "age_band": "1 to 5 years", "use": USE}
LARGEST = 64 << 20  # bytes of an array
Bytes = NDArray[np.uint8]


def open_pneumonia(data: str, mirror: Path | None = None, told: Told | None = None) -> SampleSet:
    """Read the set by name, a file or folder in its layout, or images and DICOM, of which no target is known.

    Raises:
        InputError: if it is none of them.
    """
    data_set = find_data_set(PNEUMONIA)
    if data == PNEUMONIA:
        return _read_set(pull(data, mirror) / FILE, PNEUMONIA, data_set.licence, data_set.attribution)
    path = Path(data)
    if (path / FILE).is_file():
        path = path / FILE
    if path.suffix == ".npz":
        return _read_set(path, own_name(path.name), NO_LICENCE, "")
    if not path.exists():
        raise InputError(f"got {shown(data)}; want {PNEUMONIA}, a .npz in its layout, an image (.png, .jpg) or DICOM")
    return image_set(path, SIDE, CLASSES, told)


def image_set(path: Path, side: int, classes: tuple[str, ...], told: Told | None) -> SampleSet:
    """Return an image file, or what DICOM there is at a path, as a set without targets."""
    samples, refused = radiographs_in(path, side, told)
    return SampleSet(
        name=path.name, samples=tuple(samples), flagged={}, attribution="", classes=classes, refused=refused
    )


def _read_set(path: Path, name: str, licence: str, attribution: str) -> SampleSet:
    arrays = _arrays(path)
    samples: list[Sample] = []
    contents: list[bytes] = []
    for part, meant in PARTS.items():
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        for row, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            source = Provenance(
                data=name, item=f"{part} {row}", licence=licence, attribution=attribution, facts=FACTS, part=meant
            )
            values = image[None].astype(np.float32) / np.float32(255)
            stream = Stream(kind="image", values=values, channels=GREY)
            samples.append(Sample(streams={"image": stream}, target=float(label), source=source))
            contents.append(image.tobytes())
    return SampleSet(
        name=name,
        samples=tuple(samples),
        flagged=_twice(samples, contents),
        attribution=attribution,
        licence=licence,
        classes=CLASSES,
    )


def _twice(samples: list[Sample], contents: list[bytes]) -> dict[str, str]:
    """Why images of the training part are left out: the very same one stands in another part, or earlier in it."""
    elsewhere = {
        content: sample.source
        for sample, content in zip(samples, contents, strict=True)
        if sample.source.part != "train"
    }
    seen: Counter[bytes] = Counter()
    found: dict[str, str] = {}
    for sample, content in zip(samples, contents, strict=True):
        if sample.source.part == "train" and content in elsewhere:
            found[sample.source.item] = f"the same image is {elsewhere[content].item}"
        elif sample.source.part == "train" and seen[content]:
            found[sample.source.item] = "the same image stands twice in the training part"
        seen[content] += 1
    return found


def _arrays(path: Path) -> dict[str, Bytes]:
    """Read images (num, SIDE, SIDE) and labels (num,) of each part; nothing in the file is run.

    Raises:
        InputError: if one lacks, or is of another shape or type.
    """
    check_regular(path, f"want {FILE}")
    try:
        with zipfile.ZipFile(path) as archive:
            large = [one.filename for one in archive.infolist() if one.file_size > LARGEST]
        if large:
            raise InputError(f"{path.name} holds {shown(large[0])} of more than {LARGEST >> 20} MiB; take another copy")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for part in PARTS for name in (f"{part}_images", f"{part}_labels")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise InputError(
            f"{path.name} is not in the layout of {FILE} ({one_line(error)}); take another copy"
        ) from error
    for part in PARTS:
        images, labels = found[f"{part}_images"], found[f"{part}_labels"].reshape(-1)
        is_right = images.shape == (len(labels), SIDE, SIDE) and images.dtype == labels.dtype == np.uint8
        if not is_right or not np.isin(labels, (0, 1)).all():
            raise InputError(
                f"{path.name} has images {images.shape} of {images.dtype} as its part {part}, want "
                f"(num, {SIDE}, {SIDE}) of uint8 with labels 0 and 1; take another copy"
            )
        found[f"{part}_labels"] = labels
    return found
