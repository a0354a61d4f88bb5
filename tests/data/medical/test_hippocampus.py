"""The hippocampus set: a folder in its layout, faults that are said, facts that a scope is read from."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.catalogue import find_data_set
from mainstem.data.medical.hippocampus import HIPPOCAMPUS, facts_of, open_hippocampus
from mainstem.data.medical.nifti import read_nifti

SHAPE = (30, 40, 25)
RAS = np.eye(4)


def save(path: Path, values: np.ndarray, affine: np.ndarray = RAS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def made(folder: Path, *items: str) -> Path:
    """Images with labels: a box in front, a box behind."""
    for seed, item in enumerate(items):
        labels = np.zeros(SHAPE, np.uint8)
        labels[10:20, 22:30, 8:16], labels[10:20, 12:22, 8:16] = 1, 2
        values = np.random.default_rng(seed).uniform(0, 100, SHAPE) + 200 * labels
        save(folder / "images" / f"{item}.nii.gz", values.astype(np.float32))
        save(folder / "labels" / f"{item}.nii.gz", labels)
    return folder


def test_a_folder_in_the_set_s_layout_gives_images_with_labels(tmp_path):
    found = open_hippocampus(str(made(tmp_path / "mine", "a", "b")))
    assert [sample.source.item for sample in found.samples] == ["a", "b"]
    assert (found.name, found.classes, dict(found.flagged)) == ("mine", ("anterior", "posterior"), {})
    sample = found.samples[0]
    assert sample.streams["image"].values.shape[1:] == sample.target.shape == SHAPE[::-1]
    assert [(sample.target == label).sum() for label in (1, 2)] == [640, 800]
    assert [one.source.group for one in found.samples] == ["a", "b"]
    assert sample.source.facts["file"] == "a.nii.gz"


def test_a_user_s_own_crops_never_go_by_the_set_s_name(tmp_path):
    folder = made(tmp_path / "msd-hippocampus", "a")
    crop = (folder / "images" / "a.nii.gz").rename(folder / "b.nii.gz")
    (alone,) = open_hippocampus(str(crop)).samples
    crop.rename(folder / "images" / "a.nii.gz")
    (whole,) = open_hippocampus(str(folder)).samples
    assert [one.source.data for one in (alone, whole)] == ["own msd-hippocampus"] * 2


def test_both_sides_of_a_person_are_held_out_together(tmp_path):
    found = open_hippocampus(str(made(tmp_path / "mine", "hippocampus_017", "hippocampus_018", "hippocampus_019")))
    assert [sample.source.group for sample in found.samples] == ["person 9", "person 9", "person 10"]


def test_faults_are_said_and_left_out(tmp_path):
    folder = made(tmp_path / "mine", "a", "b", "c", "d", "e", "f")
    (folder / "labels" / "a.nii.gz").unlink()
    (folder / "images" / "b.nii.gz").unlink()
    save(folder / "labels" / "c.nii.gz", np.zeros((30, 40, 24), np.uint8))
    save(folder / "labels" / "d.nii.gz", np.full(SHAPE, 7, np.uint8))
    save(folder / "labels" / "e.nii.gz", np.ones(SHAPE, np.uint8), np.diag([1.0, 1.0, 2.0, 1.0]))
    (folder / "images" / "._f.nii.gz").write_bytes(b"what a finder leaves")
    found = open_hippocampus(str(folder))
    assert {item: words.split(" ")[0] for item, words in found.flagged.items()} == {
        "a": "an", "b": "labels", "c": "labels", "d": "labels", "e": "labels",
    }  # fmt: skip
    assert "without labels" in found.flagged["a"]
    assert "without an image" in found.flagged["b"]
    assert "up to 7" in found.flagged["d"]
    assert [sample.source.item for sample in found.training()] == ["f"]


def test_one_image_is_a_sample_whose_structures_are_unknown(tmp_path):
    made(tmp_path, "a")
    (sample,) = open_hippocampus(str(tmp_path / "images" / "a.nii.gz")).samples
    assert sample.target is None
    (tmp_path / "empty").mkdir()
    for wrong in ("nothing", str(tmp_path / "empty"), str(tmp_path / "images" / "b.nii")):
        with pytest.raises(InputError):
            open_hippocampus(wrong)


@pytest.mark.parametrize(
    ("affine", "shape", "least", "wanted"),
    [
        (RAS, SHAPE, 0, {"spacing": "1 mm", "axes": "RAS", "values": "not negative"}),
        (np.diag([1.004, 1.0, 1.0, 1.0]), SHAPE, 0, {"spacing": "1 mm"}),
        (np.diag([0.5, 1.0, 1.0, 1.0]), SHAPE, 0, {"spacing": "0.5 x 1 x 1 mm"}),
        (np.diag([-1.0, 1.0, 1.0, 1.0]), SHAPE, 0, {"axes": "LAS"}),
        (np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]), SHAPE, 0, {"axes": "ASR"}),
        (RAS, (64, 40, 25), -1000, {"sides": "64 x 40 x 25 voxels", "values": "negative"}),
    ],
)
def test_facts_say_what_a_volume_is_like(tmp_path, affine, shape, least, wanted):
    values = np.full(shape, 5, np.int16)
    values[0] = least
    facts = facts_of(read_nifti(save(tmp_path / "a.nii", values, affine)))
    assert facts | wanted == facts


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_said_and_not_trained_on(tmp_path, value):
    for values in (np.full(SHAPE, value, np.float32), np.ones(SHAPE, np.float32)):
        values[3, 4, 5] = value
        assert facts_of(read_nifti(save(tmp_path / "a.nii", values)))["values"] == "not finite"
    folder = made(tmp_path / "mine", "a", "b")
    save(folder / "images" / "a.nii.gz", values)
    found = open_hippocampus(str(folder))
    assert "not finite" in found.flagged["a"]
    assert [sample.source.item for sample in found.training()] == ["b"]


@pytest.mark.parametrize("part", ["images", "labels"])
def test_two_files_of_one_name_are_refused(tmp_path, part):
    folder = made(tmp_path / "mine", "a", "b")
    save(folder / part / "a.nii", np.ones(SHAPE, np.uint8))
    with pytest.raises(InputError, match=r"a\.nii and a\.nii\.gz"):
        open_hippocampus(str(folder))


def test_every_image_of_the_catalogue_has_its_labels():
    names = [file.name for file in find_data_set(HIPPOCAMPUS).files]
    images, labels = ({name.split("/")[1] for name in names if name.startswith(part)} for part in ("images", "labels"))
    assert images == labels
    assert len(names) == 416


@pytest.mark.mirror
def test_the_real_set_is_sound(home):
    found = open_hippocampus(HIPPOCAMPUS, Path(os.environ["MAINSTEM_MIRROR"]))
    assert len(found.training()) == 208
    assert not found.flagged
    assert {sample.source.facts["axes"] for sample in found.samples} == {"RAS"}
    assert {sample.source.facts["sides"] for sample in found.samples} == {"27-48 x 36-64 x 21-48 voxels"}
    volumes = np.array([[(sample.target == label).sum() for label in (1, 2)] for sample in found.samples])
    assert volumes.mean(0).round().tolist() == [1721, 1581]
