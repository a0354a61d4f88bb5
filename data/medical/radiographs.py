"""Single radiographs: image files and DICOM on a square grid, with the facts that a table or tags tell."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.data.catalogue import own_name
from mainstem.data.images import GREY, IMAGES, read_image
from mainstem.data.medical.dicom_windows import shares
from mainstem.data.tabular import open_table, shown

if TYPE_CHECKING:
    from mainstem.data.medical.dicom_series import Series

Pixels = NDArray[np.float32]
USE = "research use only, not a medical device"  # a fact of every picture: so it stands in every row that leaves
MODALITY = "radiograph"
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, of colour files
BANDS = ((1, "under 1 year"), (6, "1 to 5 years"), (18, "6 to 17 years"), (40, "18 to 39 years"),
         (65, "40 to 64 years"), (130, "65 years and over"))  # fmt: skip
AGE = re.compile(r"(?P<number>\d{1,3}(\.\d+)?)\s*(?P<unit>[DWMY]?)", re.IGNORECASE)
YEARS = {"d": 1 / 365.25, "w": 7 / 365.25, "m": 1 / 12, "y": 1.0, "": 1.0}  # DICOM PS3.5, table 6.2-1, AS
SEXES = {"f": "female", "female": "female", "m": "male", "male": "male", "o": "other", "other": "other"}
VIEWS = ("AP", "PA", "LL", "RL", "LATERAL")  # DICOM (0018,5101)
MODALITIES = {**dict.fromkeys(("cr", "dx", "rg", "radiograph", "x-ray", "xray"), MODALITY),
              "ct": "CT", "mr": "MR", "us": "ultrasound"}  # fmt: skip
Facts = Mapping[str, str | float]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is told of an image beside its pixels, by image: `facts` say age band, sex, view and modality."""

    facts: Mapping[str, Facts]
    name: str

    @classmethod
    def read(cls, path: Path) -> "Told":
        """Read a table with a column `image`, and any of `age`, `sex`, `view`, `modality`.

        Raises:
            InputError: if it has none of them, names an image twice, or a cell cannot be read.
        """
        table = open_table(path, "name a .csv table with the columns image, age, sex, view, modality")
        table.need("image")
        images = [Path(str(name)).name for name in table.names("image")]
        twice = {name for name in images if images.count(name) > 1}
        if twice:
            raise InputError(f"{table.name} names the image {shown(min(twice))} twice; keep one row")
        columns = {name: table.names(name, is_needed=False) for name in READ if name in table.columns}
        rows = [{name: str(values[row]) for name, values in columns.items()} for row in range(len(images))]
        return cls(facts={image: facts_of(row, image) for image, row in zip(images, rows, strict=True)}, name=path.name)

    def of(self, image: str) -> Facts:
        """Return what is told of an image; nothing where the table has no row of it."""
        return self.facts.get(image, {})


def facts_of(row: Mapping[str, str], image: str) -> dict[str, str | float]:
    """Return the facts of an image from texts by name: `age`, `sex`, `view`, `modality`; empty ones tell nothing.

    Raises:
        InputError: if one is there and cannot be read.
    """
    return {READ[name][0]: READ[name][1](text, image) for name, text in row.items() if name in READ and text.strip()}


def age_band(text: str, image: str) -> str:
    """Return the band of an age: years, or as DICOM writes it (036M)."""
    found = AGE.fullmatch(text.strip())
    years = float(found["number"]) * YEARS[found["unit"].lower()] if found else np.inf
    for below, band in BANDS:
        if years < below:
            return band
    raise InputError(f"{image}: got the age {shown(text)}, want years, or 036M as DICOM writes months; mend the table")


def _sex(text: str, image: str) -> str:
    return _one_of(text.strip().lower(), SEXES, "sex", image)


def _view(text: str, image: str) -> str:
    return _one_of(text.strip().upper(), {view: view for view in VIEWS}, "view", image)


def _modality(text: str, image: str) -> str:
    return _one_of(text.strip().lower(), MODALITIES, "modality", image)


def _one_of(text: str, known: Mapping[str, str], what: str, image: str) -> str:
    if text not in known:
        raise InputError(f"{image}: got the {what} {shown(text)}, want one of {', '.join(known)}; mend the table")
    return known[text]


READ = {
    "age": ("age_band", age_band),
    "sex": ("sex", _sex),
    "view": ("view", _view),
    "modality": ("modality", _modality),
}


def is_image(path: Path) -> bool:
    """True where a path is named like an image file that is read."""
    return path.suffix.lower() in IMAGES


def read_radiograph(path: Path, side: int, told: Told | None) -> Sample:
    """Read an image file onto a grid of `side` x `side` pixels, with what a table tells of it.

    Raises:
        InputError: if it is no image.
    """
    facts = dict(told.of(path.name)) if told is not None else {}
    values = grey(read_image(path).values)
    height, width = values.shape
    return Sample(
        streams={"image": on_grid(values, side)},
        target=None,
        source=Provenance(
            data=own_name(path.name), item=path.stem, facts={**facts, "pixels": f"{width} x {height}", "use": USE}
        ),
    )


def radiographs_in(path: Path, side: int, told: Told | None) -> tuple[list[Sample], dict[str, str]]:
    """Read an image file, or the pictures of a DICOM file, folder or zip, each as a sample; name what was refused.

    Raises:
        InputError: if nothing in it can be read; it says what was refused first.
    """
    if is_image(path):
        return [read_radiograph(path, side, told)], {}
    from mainstem.data.medical.holdings import held_by, why_none

    found = held_by(path)
    samples = [of_series(series, index, side, told) for series in found.images for index in range(len(series))]
    if not samples:
        why = "a volume of NIfTI, and no radiograph" if found.volumes else why_none(found)
        raise InputError(f"{path.name} holds no radiograph that can be read ({why})")
    return samples, {one.name: one.reason for one in found.refused}


def of_series(series: "Series", index: int, side: int, told: Told | None = None) -> Sample:
    """Return a picture of a DICOM series as a sample; its tags tell its facts, and a table those that they do not.

    Its greys are those that the reader shows first: of the file's first window, else of its first lookup table; of a
    file that has neither they run over all that its bits hold.
    """
    one = series.slices[index]
    tags = {"age": series.facts.get("age_years"), "sex": series.facts.get("sex"), "view": series.facts.get("view")}
    texts = {name: str(value) for name, value in tags.items() if value is not None}
    name = Path(one.place.name).name
    facts = {**(told.of(name) if told is not None else {}), **facts_of(texts, name)}
    known = MODALITIES.get((series.modality or "").lower(), series.modality)
    facts |= {"modality": known} if known else {}
    item = Path(name).stem if len(series) == 1 else f"{Path(name).stem} {one.index + 1}"
    source = Provenance(
        data=own_name(name), item=item, facts={**facts, "pixels": f"{series.columns} x {series.rows}", "use": USE}
    )
    return Sample(streams={"image": on_grid(_greys(series, index), side)}, target=None, source=source)


def _greys(series: "Series", index: int) -> Pixels:
    """A picture (y, x), 0 to 1, black where it is padded, larger values brighter."""
    one = series.slices[index]
    values = grey(np.moveaxis(np.atleast_3d(series.frame(index)), -1, 0))
    own = one.picture.windows or series.own_windows(index)
    if own:
        shown = shares(values, own[0])
    else:
        ends = (-(1 << one.header.bits_stored - 1), (1 << one.header.bits_stored - 1) - 1)
        first, last = ends if one.header.is_signed else (0, (1 << one.header.bits_stored) - 1)
        low, high = sorted(end * series.slope(index) + series.intercept(index) for end in (first, last))
        shown = np.clip((values - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return np.where(np.isnan(values), np.float32(0), 1 - shown if series.is_inverted else shown)


def grey(values: NDArray[np.float32]) -> Pixels:
    """Return (y, x) of (channel, y, x), colours by their luminance."""
    weights = np.ones(1) if len(values) == 1 else np.array(LUMINANCE)
    return np.tensordot(weights, values, 1).astype(np.float32)


def on_grid(values: Pixels, side: int) -> Stream:
    """Return the largest square in the middle of (y, x), brought to `side` pixels; one of that size stays as it is.

    Source: Yang et al. 2023, MedMNIST v2, section on PneumoniaMNIST (centre-cropped by the short edge, cubic).
    """
    height, width = values.shape
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = values[top : top + short, left : left + short]
    if short != side:
        from PIL import Image

        square = np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))
    return Stream(kind="image", values=np.clip(square, 0, 1)[None], channels=GREY)
