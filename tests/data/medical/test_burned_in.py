"""Drawn text is found on most real pictures and in few that show none; what a header tells is believed."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.dataset import Dataset

from mainstem.data.medical.burned_in import text_in, told_by_header

MEDICAL = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "medical"
NAMES = ("SMITH^JOHN 1952", "MUELLER ANNA", "Dr. Taylor 12:30", "MRN 4711-0815", "1957-03-02")


def _drawn(picture: np.ndarray, draw: random.Random, soft: bool) -> np.ndarray:
    """A picture with a name drawn at its brightest, with sharp or soft edges."""
    size = draw.choice((12, 14, 16, 20, 28))
    mask = Image.new("L", picture.shape[::-1])
    pen = ImageDraw.Draw(mask)
    pen.fontmode = "L" if soft else "1"
    at = (draw.randint(1, picture.shape[1] // 3), draw.randint(1, picture.shape[0] - size - 3))
    pen.text(at, draw.choice(NAMES), fill=255, font=ImageFont.load_default(size))
    share = np.asarray(mask) / 255
    return np.round(picture * (1 - share) + picture.max() * share).astype(picture.dtype)


def _radiographs() -> list[np.ndarray]:
    """64 x 64 pixels made 512 x 512, as letters of this size cannot be written in fewer."""
    paths = sorted((MEDICAL / "nih_cxr64").rglob("*.png"))
    chosen = random.Random(1).sample(paths, 24)
    return [np.asarray(Image.open(path).convert("L").resize((512, 512), Image.Resampling.BICUBIC)) for path in chosen]


def _slices() -> list[np.ndarray]:
    return [dcmread(path).pixel_array for path in sorted((MEDICAL / "dicom/ct_head_ge").rglob("*.dcm"))][::2]


@pytest.mark.mirror
@pytest.mark.parametrize("pictures", [_radiographs, _slices])
def test_drawn_text_is_found_and_little_else(pictures):
    real = pictures()
    assert not sum(map(text_in, real))
    for soft, least in ((False, 0.95), (True, 0.75)):
        draw = random.Random(5)
        found = sum(text_in(_drawn(picture, draw, soft)) for picture in real)
        assert found >= least * len(real), (soft, found, len(real))


@pytest.mark.parametrize("level", [0, 255])
def test_letters_at_either_extreme_and_in_colour_are_found(level):
    noise = np.random.default_rng(0).normal(128, 20, (200, 300)).clip(1, 254).astype(np.uint8)
    picture = Image.fromarray(noise)
    ImageDraw.Draw(picture).text((20, 30), "MUELLER ANNA", fill=level, font=ImageFont.load_default(18))
    assert text_in(np.asarray(picture))
    assert text_in(np.stack([noise, np.asarray(picture), noise], axis=-1))
    assert not text_in(noise)
    assert not text_in(np.full((20, 20), 7))
    dots = noise.copy()
    dots[50:60:2, 10:200:9] = 255
    assert not text_in(dots)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("BurnedInAnnotation", "YES", "burned-in annotation"),
        ("BurnedInAnnotation", "NO", ""),
        ("RecognizableVisualFeatures", "YES", "recognizable visual features"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "secondary capture"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7.4", "secondary capture"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.6.1", "ultrasound"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.104.1", "an encapsulated document"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.77.1.4", "a photograph or video"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2", ""),
        ("Modality", "US", "ultrasound"),
        ("ConversionType", "WSD", "secondary capture"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"], "screenshot"),
        ("ImageType", ["DERIVED", "SECONDARY", "MPR"], ""),
    ],
)
def test_headers_tell(name, value, wanted):
    dataset = Dataset()
    setattr(dataset, name, value)
    assert told_by_header(dataset) == wanted
