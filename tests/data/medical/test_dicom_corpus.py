"""The 162 files with pixels of pydicom and of its data wheel: right pixels, or a refusal that says why."""

import json
import subprocess
import sys
from pathlib import Path

import data_store
import numpy as np
import pydicom
import pydicom.data as pydicom_data
import pytest
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from tests.data.medical.jpeg_oracle import decode_sequential

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_jpeg import MENDED
from mainstem.data.medical.dicom_series import find_series

FILES = Path(pydicom_data.__file__).parent / "test_files"
STORE = Path(data_store.__file__).parent / "data"
NUM = 162
MOST_FRAMES = 2  # of one file that are compared
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "its JPEG 2000 is",
    "MR_truncated.dcm": "cut: 8130 of 8192 bytes",
    "badVR.dcm": "NumberOfFrames is no whole number",
    "liver_1frame.dcm": "3 functional groups for 1 frames",
    "liver_expb_1frame.dcm": "3 functional groups for 1 frames",
    "meta_missing_tsyntax.dcm": "no image",
    "nested_priv_SQ.dcm": "no image",
}
LOSSLESS = {  # compressed without loss: the same pixels, uncompressed
    "693_J2KR.dcm": "693_UNCR.dcm",
    "MR2_J2KR.dcm": "MR2_UNCR.dcm",
    "RG1_J2KR.dcm": "RG1_UNCR.dcm",
    "RG3_J2KR.dcm": "RG3_UNCR.dcm",
    "US1_J2KR.dcm": "US1_UNCR.dcm",
    "MR_small_RLE.dcm": "MR_small.dcm",
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
    "MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm",
    "MR_small_bigendian.dcm": "MR_small.dcm",
    "MR_small_implicit.dcm": "MR_small.dcm",
    "MR_small_padded.dcm": "MR_small.dcm",
    "OBXXXX1A_rle.dcm": "OBXXXX1A.dcm",
    "OBXXXX1A_expb.dcm": "OBXXXX1A.dcm",  # the order of bytes of whose colours pydicom gets wrong
    "OBXXXX1A_expb_2frame.dcm": "OBXXXX1A_2frame.dcm",
    "OBXXXX1A_rle_2frame.dcm": "OBXXXX1A_2frame.dcm",
    "SC_rgb_rle.dcm": "SC_rgb.dcm",
    "SC_rgb_rle_2frame.dcm": "SC_rgb_2frame.dcm",
    "SC_rgb_rle_16bit.dcm": "SC_rgb_16bit.dcm",
    "SC_rgb_rle_16bit_2frame.dcm": "SC_rgb_16bit_2frame.dcm",
    "SC_rgb_rle_32bit.dcm": "SC_rgb_32bit.dcm",
    "SC_rgb_expb.dcm": "SC_rgb.dcm",
    "SC_rgb_jpeg_gdcm.dcm": "SC_rgb.dcm",
    "emri_small_RLE.dcm": "emri_small.dcm",
    "emri_small_big_endian.dcm": "emri_small.dcm",
    "emri_small_jpeg_2k_lossless.dcm": "emri_small.dcm",
    "emri_small_jpeg_ls_lossless.dcm": "emri_small.dcm",
    "rtdose_rle.dcm": "rtdose.dcm",
    "rtdose_expb.dcm": "rtdose.dcm",
    "gdcm-US-ALOKA-16_big.dcm": "gdcm-US-ALOKA-16.dcm",
    "liver_expb.dcm": "liver.dcm",
}
TWELVE = ("JPGExtended.dcm", "JPEG-lossy.dcm")  # no decoder that pydicom asks here knows them


def corpus() -> list[Path]:
    """Files that hold an element of pixels."""
    found = []
    for path in (*sorted(FILES.rglob("*")), *sorted(STORE.rglob("*"))):
        if path.is_file():
            dataset = pydicom.dcmread(path, force=True)
            if any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
                found.append(path)
    return found


def expected(path: Path, num: int) -> list[np.ndarray]:
    """The first frames as pydicom gives them, in rescaled units or red, green and blue."""
    dataset = pydicom.dcmread(path, force=True)
    syntax = dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2")  # what OT-PAL-8-face is written in
    found = [get_decoder(syntax).as_array(dataset, index=index)[0] for index in range(num)]
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return [apply_color_lut(values, dataset) for values in found]
    if dataset.SamplesPerPixel == 3:
        return found
    if "SharedFunctionalGroupsSequence" in dataset:
        return [
            values * slope + intercept for values, (slope, intercept) in zip(found, by_frame(dataset), strict=False)
        ]
    scale = float(dataset.get("DoseGridScaling", 1))
    return [apply_modality_lut(values, dataset).astype(np.float64) * scale for values in found]


def by_frame(dataset: pydicom.Dataset) -> list[tuple[float, float]]:
    """Slope and intercept of every frame; pydicom reads the top of the file alone (its issue 2353)."""
    (shared,) = dataset.SharedFunctionalGroupsSequence
    found = []
    for own in dataset.PerFrameFunctionalGroupsSequence:
        groups = [group for group in (own, shared) if "PixelValueTransformationSequence" in group]
        (one,) = groups[0].PixelValueTransformationSequence if groups else [pydicom.Dataset()]
        found.append((float(one.get("RescaleSlope", 1)), float(one.get("RescaleIntercept", 0))))
    return found


def frames(path: Path) -> list[np.ndarray]:
    """The first frames of a file, in its own order, by the reader."""
    found = find_series(path)
    if found.refused:
        raise InputError(found.refused[0].reason)
    (series,) = found.series
    order = sorted(range(len(series)), key=lambda index: series.slices[index].picture.frame)
    return [series.frame(index) for index in order[:MOST_FRAMES]]


def known(name: str) -> Path:
    return FILES / name if (FILES / name).exists() else STORE / name


@pytest.fixture(scope="module")
def read() -> dict[Path, list[np.ndarray] | str]:
    """What the reader makes of every file."""
    found: dict[Path, list[np.ndarray] | str] = {}
    for path in corpus():
        try:
            found[path] = frames(path)
        except InputError as error:
            found[path] = str(error)
    return found


@pytest.mark.long
def test_every_file_gives_right_pixels_or_a_refusal_that_says_why(read):
    refused = {path.name: told for path, told in read.items() if isinstance(told, str)}
    assert set(refused) == set(REFUSED)
    for name, reason in REFUSED.items():
        assert reason in refused[name]
    right, wrong = len(LOSSLESS) + len(TWELVE), {}  # held to other files below
    for path, told in read.items():
        if path.name not in {*REFUSED, *LOSSLESS, *TWELVE}:
            pairs = zip(told, expected(path, len(told)), strict=True)
            off = max(float(np.nanmax(np.abs(one - other.astype(np.float32)))) for one, other in pairs)
            right += off == 0
            wrong |= {path.name: off} if off else {}
    assert not wrong
    assert len(read) == NUM
    assert right == NUM - len(REFUSED)


@pytest.mark.parametrize(("packed", "plain"), LOSSLESS.items())
def test_lossless_files_are_bit_exact(read, packed, plain):
    for one, other in zip(read[known(packed)], read[known(plain)], strict=True):
        np.testing.assert_array_equal(one, other)


def test_twelve_bit_jpeg_is_decoded_whatever_its_scan_header_says(read):
    values = {}
    for name in TWELVE:
        path = known(name)
        stream = next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
        (values[name],) = read[path]
        assert np.abs(values[name] - decode_sequential(stream)).max() <= 1
    np.testing.assert_array_equal(values["JPGExtended.dcm"], values["JPEG-lossy.dcm"])
    assert MENDED in find_series(known("JPEG-lossy.dcm")).series[0].flags
    assert MENDED not in find_series(known("JPGExtended.dcm")).series[0].flags


def test_describe_says_what_lies_where():
    command = "from mainstem.apps.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", command, "dicom", "describe", str(FILES / "JPEG-lossy.dcm"), "--json"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    (series,) = json.loads(ran.stdout)["series"]
    assert (series["modality"], series["num_slices"], series["num_refused"]) == ("NM", 1, 0)
    assert series["spacing_mm"] == [2.26, 2.26]
    assert MENDED in series["flags"]
