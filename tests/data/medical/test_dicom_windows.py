"""Lookup tables that files ask to be shown with: as windows, of the greys that pydicom's own function gives."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels import apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence
from tests.data.medical.dicom_made import made_slice, written

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_describe import describe
from mainstem.data.medical.dicom_reading import LUT_SHOWN, LUT_SKIPPED, SIGMOID
from mainstem.data.medical.dicom_series import Series, find_series
from mainstem.data.medical.radiographs import of_series

CURVE = (np.linspace(0, 1, 300) ** 2 * 4095).astype(np.uint16)  # of 12 bits
VALUES = np.arange(-200, 280, 2, dtype=np.int16).reshape(16, 15)  # below the table, in it and beyond


def table(first: int, entries: np.ndarray, bits: int, explanation: str = "") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.LUTExplanation = explanation
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes() if bits > 8 else entries.astype("u1").tobytes())
    return item


def image(*tables: Dataset) -> FileDataset:
    made = made_slice(VALUES)
    made.RescaleSlope, made.RescaleIntercept = 1.0, 0.0
    made.VOILUTSequence = Sequence(tables)
    return made


def shown(series: Series, which: int) -> np.ndarray:
    """A picture's greys by one of its tables, as whoever draws it looks them up."""
    window = series.own_windows()[which]
    at = np.floor(series.frame(0) - (window.center - window.width / 2)).astype(int)
    return np.asarray(window.greys)[np.clip(at, 0, len(window.greys) - 1)]


def test_a_table_gives_the_greys_that_pydicom_gives(tmp_path):
    made = image(table(-100, CURVE, 12, "BONE"), table(-50, 255 - np.arange(200), 8, "DOE^JANE"))
    (series,) = find_series(written(tmp_path / "a", [made])).series
    assert [(one.name, one.function) for one in series.own_windows()] == [
        ("bone", "TABLE"),
        ("lookup table 2", "TABLE"),
    ]
    oracle = apply_voi_lut(VALUES, made, index=0)
    np.testing.assert_array_equal(shown(series, 0), np.rint(oracle * (255 / 4095)))
    falling = 255 - np.clip(VALUES.astype(int) + 50, 0, 199)  # pydicom reads no tables of bytes
    np.testing.assert_array_equal(shown(series, 1), falling)
    assert series.window_presets()[:2] == series.own_windows()
    assert LUT_SHOWN in series.flags


def test_the_table_of_a_real_file_comes_after_its_windows_and_is_described():
    path = Path(get_testdata_file("vlut_04.dcm"))
    dataset = dcmread(path)
    (series,) = find_series(path).series
    oracle = apply_voi_lut(dataset.pixel_array, dataset)
    np.testing.assert_array_equal(shown(series, 0), np.rint(oracle.astype(float) * (255 / 65535)))
    (told,) = describe(path)["series"]
    assert told["window"] == [{"name": "lookup table 1", "center": 128.0, "width": 256.0, "function": "TABLE"}]


@pytest.mark.parametrize("broken", [table(0, CURVE[:100], 12), table(0, CURVE, 3), Dataset()])
def test_a_table_that_is_none_is_said_and_the_picture_is_read(tmp_path, broken):
    if "LUTData" in broken and broken.LUTDescriptor[2] == 12:
        broken.LUTDescriptor = [300, 0, 12]
    (series,) = find_series(written(tmp_path / "a", [image(broken)])).series
    assert series.own_windows() == ()
    assert LUT_SKIPPED in series.flags
    assert series.frame(0)[0, 0] == -200


def test_of_many_large_tables_the_first_are_shown_and_the_others_said(tmp_path):
    one = table(0, np.arange(65535, dtype=np.uint16), 16)
    folder = written(tmp_path / "a", [image(*[one] * 40)])
    (series,) = find_series(folder).series
    assert len(series.own_windows()) == 4
    assert LUT_SKIPPED in series.flags
    (told,) = describe(folder)["series"]
    assert (len(told["window"]), told["num_slices"], told["num_refused"]) == (4, 1, 0)


def test_a_series_that_cannot_be_described_is_refused_by_name(tmp_path, monkeypatch):
    def broken(series: Series) -> None:
        raise InputError(f"{series.slices[0].place.name}: gone since it was listed; list it again")

    monkeypatch.setattr(Series, "own_windows", broken)
    assert describe(written(tmp_path / "a", [image()]))["refused"] == [
        {"name": "I03.dcm", "reason": "gone since it was listed; list it again"}
    ]


def windowed(function: str) -> FileDataset:
    made = image()
    made.WindowCenter, made.WindowWidth, made.VOILUTFunction = [40, -90], [100, 80], function
    return made


@pytest.mark.parametrize("is_inverted", [False, True])
@pytest.mark.parametrize("kind", ["table", "LINEAR", "LINEAR_EXACT"])
def test_models_see_the_greys_that_a_file_asks_for_first(tmp_path, kind, is_inverted):
    made = image(table(-100, CURVE, 12)) if kind == "table" else windowed(kind)
    made.PhotometricInterpretation = "MONOCHROME1" if is_inverted else "MONOCHROME2"
    (series,) = find_series(written(tmp_path / "a", [made])).series
    if kind == "table":
        oracle = np.rint(apply_voi_lut(VALUES, made) * (255 / 4095)) / 255
    else:
        oracle = (apply_windowing(VALUES, made) + 2**15) / (2**16 - 1)
    middle = oracle[:15]
    seen = of_series(series, 0, 15).streams["image"].values[0]
    np.testing.assert_allclose(seen, 1 - middle if is_inverted else middle, atol=1e-6)


def test_a_sigmoid_that_is_shown_as_a_line_is_said(tmp_path):
    (series,) = find_series(written(tmp_path / "a", [windowed("SIGMOID")])).series
    assert SIGMOID in series.flags
    (series,) = find_series(written(tmp_path / "b", [windowed("LINEAR")])).series
    assert SIGMOID not in series.flags
