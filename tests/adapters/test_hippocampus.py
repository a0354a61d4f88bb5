"""Hippocampus masks: the shared contract, scale and scope, what is written, and the run that comes with the package."""

import json
import re
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from pydicom import dcmread
from tests.data.medical.dicom_made import made_slice, written
from tests.data.medical.made_volumes import crop, save_crops

from mainstem.adapters import find_task, shipped_runs
from mainstem.adapters.diagnostics import hippocampus
from mainstem.adapters.diagnostics.hippocampus import TASK, USE, Contrast, standardised
from mainstem.adapters.diagnostics.volumes import BOX, Marked, turned, unet
from mainstem.apps.cli import app
from mainstem.apps.clinic_predictions import Model, ask
from mainstem.apps.finetune import is_fitted
from mainstem.core.errors import InputError
from mainstem.core.evaluation import dice
from mainstem.core.fitted import load_run
from mainstem.core.samples import SampleSet
from mainstem.core.tokens import Patches
from mainstem.data.medical.axes import STORED
from mainstem.data.medical.dicom_series import find_series
from mainstem.data.medical.hippocampus import open_hippocampus
from mainstem.data.medical.studies import Opened, volume_of

SIDES = (28, 40, 24)
MR = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> SampleSet:
    return open_hippocampus(str(save_crops(tmp_path_factory.mktemp("crops"), 20, SIDES)))


@pytest.fixture(scope="module")
def shipped() -> Path:
    return shipped_runs("diagnostics")["hippocampus"]


@pytest.fixture(scope="module")
def usual(shipped) -> np.ndarray:
    """A crop (x, y, z) that looks as the shipped run's training does on average."""
    mean = load_run(shipped, TASK).ensemble.members[0].preparation.facing.mean.T
    rows = [np.arange(side) * len(mean) // side for side in SIDES]
    return (100 + 1000 * mean[np.ix_(*rows)]).clip(0).astype(np.float32)


def run(*words: str) -> None:
    app(list(words), standalone_mode=False)


def test_no_scale_of_intensities_changes_what_is_seen(source):
    plain = source.samples[0].streams["image"]
    for times in (1e-3, 1e4):
        seen = standardised(replace(plain, values=plain.values * np.float32(times)))
        np.testing.assert_allclose(seen.values, standardised(plain).values, atol=1e-3)
    flat = standardised(replace(plain, values=np.full_like(plain.values, 7.0)))
    assert not flat.values.any()


def test_inverted_and_noisy_volumes_look_otherwise(source):
    samples = list(source.samples[:8])

    def changed(change) -> np.ndarray:
        streams = [replace(one.streams["image"], values=change(one.streams["image"].values)) for one in samples]
        made = [replace(one, streams={"image": two}) for one, two in zip(samples, streams, strict=True)]
        return Contrast().features(made)

    plain = changed(lambda values: values)
    spread = plain.std(0) + 1e-9
    for change in (
        lambda values: values.max() - values,
        lambda values: np.random.default_rng(0).normal(size=values.shape),
    ):
        assert (np.abs(changed(change).mean(0) - plain.mean(0)) / spread).max() > 5


def test_what_lies_otherwise_than_its_header_says_is_told(source):
    known = hippocampus.prepare(source.samples[:14], "any")
    state, arrays = known.state()
    json.dumps(state)

    def told(change) -> np.ndarray:
        streams = [one.streams["image"] for one in source.samples[14:]]
        shown = [replace(one, values=np.ascontiguousarray(change(one.values))) for one in streams]
        made = [replace(one, streams={"image": two}) for one, two in zip(source.samples[14:], shown, strict=True)]
        found = known.strangeness(made)
        np.testing.assert_array_equal(hippocampus.restore(state, arrays).strangeness(made), found)
        return found

    assert (told(lambda values: values) <= 1).all()
    assert (told(lambda values: 3 * values) <= 1).all()
    for axes in ((1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)):
        assert (told(lambda values, axes=axes: np.flip(values, axes)) > 1).all()
    for axes in ((0, 2, 1, 3), (0, 3, 2, 1), (0, 2, 3, 1)):
        assert (told(lambda values, axes=axes: values.transpose(axes)) > 1).all()
    assert (told(np.zeros_like) <= 1).all(), "no way fits better: left to the alarm"
    assert not Contrast().strangeness(source.samples).any()


def test_training_that_lies_either_way_refuses_neither(source):
    both = [replace(one.streams["image"], values=one.streams["image"].values[..., ::-1]) for one in source.samples[::2]]
    made = [replace(one, streams={"image": two}) for one, two in zip(source.samples[::2], both, strict=True)]
    known = hippocampus.prepare([*source.samples[1::2], *made], "any")
    assert (known.strangeness(made) <= 1).mean() >= 0.8


@pytest.mark.long
def test_batches_are_turned_alike_with_their_labels_and_by_their_seed_alone(source):
    shown, _ = Contrast()(list(source.samples[:2]))
    truth = torch.from_numpy(TASK.target.told(source).truth(shown))
    values = torch.full((2, 1, 48, 64, 48), float("nan"))
    for row, sample in zip(values, shown, strict=True):
        row[:, : SIDES[2], : SIDES[1], : SIDES[0]] = torch.from_numpy(sample.streams["image"].values)

    def once(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        patches, labels = turned(Patches(parts={"image.values": values}), truth, torch.Generator().manual_seed(seed))
        return patches["image.values"], labels

    images, labels = once(0)
    assert images.shape == (2, 1, *BOX)
    assert images.isfinite().all()
    assert set(labels.unique().tolist()) <= {0, 1, 2}
    for label in (1, 2):  # labelled voxels stay brighter than the others, so that both were turned alike
        assert images[:, 0][labels == label].mean() > images[:, 0][labels == 0].mean() + 0.5
    again, other = once(0), once(1)
    assert torch.equal(images, again[0])
    assert torch.equal(labels, again[1])
    assert not torch.equal(images, other[0])


@pytest.mark.long
def test_monai_s_u_net_learns_in_the_time_it_is_given(source, monkeypatch):
    ticks = count()  # a second a step, however busy the machine is
    monkeypatch.setattr("mainstem.adapters.diagnostics.volumes.time", SimpleNamespace(process_time=lambda: next(ticks)))
    monkeypatch.setattr("mainstem.adapters.diagnostics.volumes.SECONDS", 40.0)
    shown, _ = Contrast()(list(source.samples))
    truth = TASK.target.told(source).truth(shown)
    told = unet(Marked(samples=shown[:16], labels=truth[:16]), shown[16:], hippocampus.GRID, 0)
    assert next(ticks) == 41
    assert told.shape == truth[16:].shape
    assert dice(truth[16:], told, (1, 2)) > 0.3


def test_the_shipped_run_predicts_at_once(shipped, usual, tmp_path):
    assert is_fitted(TASK, shipped)
    assert USE in load_run(shipped, TASK).manifest.known_failures
    assert str(Path.home()) not in (shipped / "record.json").read_text()
    assert sum(file.stat().st_size for file in shipped.iterdir()) < 12e6
    image, wide, down = tmp_path / "one.nii.gz", tmp_path / "wide.nii", tmp_path / "down.nii"
    for path, values, affine in (
        (image, usual, np.eye(4)),
        (wide, usual, np.diag([2.0, 1.0, 1.0, 1.0])),
        (down, usual[:, :, ::-1], np.eye(4)),
    ):
        made = nib.Nifti1Image(values, affine)
        made.header.set_xyzt_units("mm")
        nib.save(made, path)
    out = tmp_path / "out"
    run("predict", "diagnostics", "--task", "hippocampus", str(image), str(wide), str(down), "--out", str(out))
    labels = nib.load(out / "one.nii.gz")
    assert labels.shape == SIDES
    np.testing.assert_allclose(labels.affine, nib.load(image).affine)
    assert set(np.unique(np.asarray(labels.dataobj))) <= {0, 1, 2}
    assert not (out / "wide.nii").exists()
    assert not (out / "down.nii").exists()
    still = np.asarray(nib.load(out / "open" / "one.nii.gz").dataobj)
    assert 0 < (still > 0).mean() < 0.5
    table = pd.read_csv(out / "volumes.csv", keep_default_na=False, na_values=[""])
    assert list(table.columns[:6]) == ["item", "structure", "volume_ml", "lower", "upper", "claim"]
    assert table["structure"].tolist() == ["anterior", "posterior"] * 3
    assert set(table["use"]) == {USE}
    assert set(table["licence"]) == {"not stated"}
    assert set(table["adapter"]) == {f"diagnostics hippocampus {TASK.version}"}
    for cell in re.findall(r"\d+\.\d{4,}", (out / "volumes.csv").read_text()):
        raise AssertionError(f"{cell} says more than a voxel of 1 mm can")
    told, refused = table[table["item"] == "one"], table[table["item"] == "wide"]
    counts = [(np.asarray(labels.dataobj) == label).sum() / 1000 for label in (1, 2)]
    assert told["volume_ml"].tolist() == pytest.approx(counts)
    assert (told["lower"] <= told["volume_ml"]).all()
    assert (told["volume_ml"] <= told["upper"]).all()
    assert refused["volume_ml"].isna().all()
    assert set(refused["claim"]) == {"none"}
    assert all("spacing is 2 x 1 x 1 mm" in words for words in refused["reasons"])
    upside_down = table[table["item"] == "down"]
    assert upside_down["volume_ml"].isna().all()
    assert all("unlike all that was trained on" in words for words in upside_down["reasons"])


def as_dicom(folder: Path, values: np.ndarray, modality: str = "MR", gap: float = 1.0) -> Path:
    """A crop (x, y, z) from (0, 0, 0) to right, anterior, superior, as axial slices, as scanners lay them."""
    slices = []
    for index, plane in enumerate(np.moveaxis(values, 2, 0)):
        pixels = plane.T[::-1, ::-1].astype(np.int16)  # rows to the back, columns to the left
        corner = (1.0 - values.shape[0], 1.0 - values.shape[1], gap * index)
        made = made_slice(
            np.ascontiguousarray(pixels), position=corner, modality=modality, sop_class=MR, number=index + 1
        )
        made.PixelSpacing, made.RescaleSlope, made.RescaleIntercept = [1.0, 1.0], 1.0, 0.0
        slices.append(made)
    return written(folder, slices)


def test_a_dicom_series_is_predicted_as_the_same_crop_in_nifti_and_placed_alike(shipped, usual, tmp_path):
    whole = np.round(usual)
    made = nib.Nifti1Image(whole, np.eye(4))
    made.header.set_xyzt_units("mm")
    nib.save(made, tmp_path / "plain.nii.gz")
    folder = as_dicom(tmp_path / "crop", whole)
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    given = [str(tmp_path / name) for name in ("plain.nii.gz", "crop", "packed.zip")]
    nib.save(nib.load(given[0]).as_reoriented([[2, -1], [0, 1], [1, -1]]), tmp_path / "turned.nii.gz")
    out = tmp_path / "out"
    run("predict", "diagnostics", "--task", "hippocampus", *given, str(tmp_path / "turned.nii.gz"), "--out", str(out))
    plain = nib.load(out / "plain.nii.gz")
    assert np.asarray(plain.dataobj).any()
    for name, axes in (("crop", "LPS"), ("packed", "LPS"), ("turned", "AIL")):
        for folder_of in (out, out / "open"):
            found = nib.load(folder_of / f"{name}.nii.gz")
            assert "".join(nib.aff2axcodes(found.affine)) == axes  # the study's own grid
            again, wanted = nib.as_closest_canonical(found), nib.load(folder_of / "plain.nii.gz")
            np.testing.assert_allclose(again.affine, wanted.affine, atol=1e-6)
            np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(wanted.dataobj))
    table = pd.read_csv(out / "volumes.csv").groupby("structure")["volume_ml"]
    assert (table.nunique() == 1).all()


def test_the_page_gives_models_what_the_command_line_does_and_lays_masks_on_the_study_s_own_grid(
    shipped, usual, tmp_path
):
    whole = np.round(usual)
    (series,) = find_series(as_dicom(tmp_path / "crop", whole)).series
    (asked,) = open_hippocampus(str(tmp_path / "crop")).samples
    given = volume_of(Opened(series=series))
    np.testing.assert_array_equal(given.streams["image"].values, asked.streams["image"].values)
    assert given.source.facts["axes"] == asked.source.facts["axes"] == "RAS"
    model = Model(task=TASK, fitted=load_run(shipped, TASK), sample_of=volume_of)
    (said,) = ask(model, [given])
    brightest = np.moveaxis(whole, 2, 0).transpose(0, 2, 1)[:, ::-1, ::-1]  # as the slices lie
    np.testing.assert_array_equal(series.stream().values[0], brightest)
    facts = {name: value for name, value in asked.source.facts.items() if name != STORED}
    plain = replace(asked, source=replace(asked.source, facts=facts))
    (unturned,) = ask(model, [plain])
    assert unturned.mask is not None
    assert unturned.mask.any()
    np.testing.assert_array_equal(said.mask, unturned.mask[:, ::-1, ::-1])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda folder: as_dicom(folder, np.ones(SIDES), "CT"), "modality is CT, the adapter was trained on MR alone"),
        (lambda folder: as_dicom(folder, np.ones((8, 8, 1))), "a single picture, and no volume"),
        (lambda folder: written(folder, []), "holds no series of DICOM images"),
    ],
)
def test_a_series_that_is_no_mr_volume_is_refused_in_one_line(shipped, tmp_path, made, said):
    with pytest.raises(InputError, match=said) as refused:
        run(
            "predict", "diagnostics", "--task", "hippocampus", str(made(tmp_path / "s")), "--out", str(tmp_path / "out")
        )
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_labels_never_take_the_place_of_images(shipped, tmp_path):
    values, _ = crop(0, SIDES)
    made = nib.Nifti1Image(values, np.eye(4))
    made.header.set_xyzt_units("mm")
    nib.save(made, tmp_path / "one.nii.gz")
    before = (tmp_path / "one.nii.gz").read_bytes()
    words = ("predict", "diagnostics", "--task", "hippocampus", str(tmp_path / "one.nii.gz"), "--out")
    with pytest.raises(Exception, match="holds what is read"):
        run(*words, str(tmp_path))
    (tmp_path / "twin").mkdir()
    for name in ("one.nii.gz", "one.nii"):  # the table names them without their endings
        nib.save(made, tmp_path / "twin" / name)
        with pytest.raises(Exception, match="two images are named"):
            run(*words, str(tmp_path / "out"), str(tmp_path / "twin" / name))
    assert (tmp_path / "one.nii.gz").read_bytes() == before


@pytest.mark.long
@pytest.mark.mirror
@pytest.mark.usefixtures("home")
def test_the_shipped_run_marks_what_experts_marked(shipped):
    """On images that most of its members were trained on: it is the run that is tested, not its generality."""
    fitted, samples = load_run(shipped, TASK), list(open_hippocampus("msd-hippocampus").training()[:6])
    told = fitted.outputs(samples, TASK.first_view)
    assert dice(fitted.target.truth(samples), fitted.target.point(told), (1, 2)) > 0.8


def test_the_task_is_found_by_its_name():
    assert find_task("diagnostics", "hippocampus") is TASK
    json.dumps(TASK.facts())


def test_a_series_whose_slices_are_shifted_is_no_volume_at_right_angles(tmp_path):
    folder = as_dicom(tmp_path / "sheared", np.ones((32, 40, 30)))
    for path in sorted(folder.iterdir()):
        made = dcmread(path)
        place = [float(value) for value in made.ImagePositionPatient]
        made.ImagePositionPatient = [place[0], place[1] + 0.3 * place[2], place[2]]
        made.save_as(path)
    with pytest.raises(InputError, match="sheared: axes"):
        open_hippocampus(str(folder))
