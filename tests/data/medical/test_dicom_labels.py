"""Masks of files as label volumes: each structure under its name, at its place, and none over another."""

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tests.data.medical.dicom_made import made_slice, written

from mainstem.apps.cli import app
from mainstem.core.errors import ArtifactError, InputError
from mainstem.data.medical.dicom_fill import Plane
from mainstem.data.medical.dicom_labels import ORIGIN, layered, write_masks
from mainstem.data.medical.dicom_masks import Structure, read_masks
from mainstem.data.medical.dicom_series import find_series

SEGMENTATIONS = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "medical" / "dicom" / "dcmqi" / "segmentations"
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def structure(number: int, name: str, *voxels: int) -> Structure:
    values = np.zeros((2, 4), bool)
    values.flat[list(voxels)] = True
    return Structure(number=number, name=name, shape=(1, 2, 4), planes={0: Plane(0, 0, values)}, outside=number)


def test_structures_that_overlap_lie_in_volumes_of_their_own():
    found = layered([structure(3, "a", 0, 1), structure(4, "b", 1, 2), structure(5, "c", 4), structure(6, "d", 0)])
    assert [one.names for one in found] == [("a", "c"), ("b", "d")]
    assert [one.values.ravel().tolist() for one in found] == [[1, 1, 0, 0, 2, 0, 0, 0], [2, 1, 1, 0, 0, 0, 0, 0]]
    assert [one.outside for one in found[0].structures] == [3, 5]


def test_a_folder_without_masks_or_a_full_one_is_refused(tmp_path):
    images = written(tmp_path / "ct", [made_slice(np.zeros((4, 4), np.int16))])
    with pytest.raises(InputError, match="holds no structure set or segmentation"):
        write_masks(images, tmp_path / "out")
    with pytest.raises(ArtifactError, match="exists already"):
        write_masks(images, images)


@pytest.mark.mirror
def test_real_segmentations_are_written_where_they_lie_with_their_names(tmp_path, capsys):
    given, out = tmp_path / "given", tmp_path / "out"
    shutil.copytree(SEGMENTATIONS / "ct-3slice", given)
    for name in ("liver.dcm", "partial_overlaps.dcm"):
        shutil.copy(SEGMENTATIONS / name, given / f"z-{name}")
    app(["dicom", "masks", str(given), "--out", str(out)], standalone_mode=False)
    assert f"6 structures in {out}: {ORIGIN}" in capsys.readouterr().out
    table = pd.read_csv(out / "names.csv")
    assert len(table) == 6
    (series,) = find_series(SEGMENTATIONS / "ct-3slice").series
    (liver,) = read_masks(SEGMENTATIONS / "liver.dcm", series)
    (row,) = table[table["name"] == "Liver"].to_dict("records")
    image = nib.load(out / row["file"])
    labels = np.asarray(image.dataobj).T
    np.testing.assert_array_equal(labels == row["label"], liver.values > 0.5)
    corner = image.affine @ [0, 0, 0, 1]
    np.testing.assert_allclose((LPS @ corner)[:3], series.positions[0], atol=1e-3)
    assert row["volume_ml"] == pytest.approx(
        row["voxels"] * np.prod(series.spacing_mm) * series.gaps_mm[0] / 1000, rel=1e-3
    )
    assert sorted(table["voxels"].drop(table.index[table["name"] == "Liver"])) == [4713, 6693, 9602, 10743, 11888]
    assert table["file"].nunique() > 2  # one file's segments overlap
    assert set(table["use"]) == {"research use only, not a medical device"}
    assert not (table["outside"] != 0).any()
