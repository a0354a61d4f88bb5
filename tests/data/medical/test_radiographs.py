"""Radiographs: what tables tell of them, the squares they are brought to, and the two sets with their known faults."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mainstem.core.errors import InputError
from mainstem.data.catalogue import names, own_name
from mainstem.data.medical.chest import FINDINGS, SIDE, open_chest
from mainstem.data.medical.pneumonia import FILE, open_pneumonia
from mainstem.data.medical.radiographs import Told, age_band, on_grid, read_radiograph


@pytest.mark.parametrize(
    ("text", "band"),
    [("3", "1 to 5 years"), ("003Y", "1 to 5 years"), ("018M", "1 to 5 years"), ("5.9", "1 to 5 years"),
     ("11 m", "under 1 year"), ("6", "6 to 17 years"), ("64", "40 to 64 years"), ("90", "65 years and over")],
)  # fmt: skip
def test_an_age_is_read_in_years_or_as_dicom_writes_it(text, band):
    assert age_band(text, "a.png") == band


def test_a_table_tells_of_images_and_what_it_leaves_empty_is_not_told(tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("image,age,sex,view,modality,note\na.png,4,F,ap,DX,x\nsub/b.png,,m,,,\n")
    told = Told.read(table)
    assert told.of("a.png") == {
        "age_band": "1 to 5 years", "sex": "female", "view": "AP", "modality": "radiograph",
    }  # fmt: skip
    assert told.of("b.png") == {"sex": "male"}
    assert told.of("c.png") == {}
    for cell, wanted in (("abc,F,AP", "age 'abc'"), ("200,F,AP", "age '200'"), ("4,x,AP", "sex 'x'")):
        table.write_text(f"image,age,sex,view\na.png,{cell}\n")
        with pytest.raises(InputError, match=wanted):
            Told.read(table)
    table.write_text("image,age\na.png,1\nx/a.png,2\n")
    with pytest.raises(InputError, match="twice"):
        Told.read(table)


def test_the_middle_square_is_taken_and_one_of_the_size_stays_as_it_is(tmp_path):
    values = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    np.testing.assert_array_equal(on_grid(values, 8).values[0], values)
    wide = np.zeros((10, 30), np.float32)
    wide[:, 10:20] = 0.5
    np.testing.assert_allclose(on_grid(wide, 5).values, 0.5, atol=1e-6)
    Image.fromarray(np.full((20, 30, 3), (255, 0, 0), np.uint8)).save(tmp_path / "red.png")
    sample = read_radiograph(tmp_path / "red.png", 4, None)
    np.testing.assert_allclose(sample.streams["image"].values, 0.299, atol=1e-6)
    assert sample.source.facts == {"pixels": "30 x 20", "use": "research use only, not a medical device"}


def arrays(**changed: np.ndarray) -> bytes:
    rng = np.random.default_rng(0)
    made = {f"{part}_images": rng.integers(0, 256, (num, 28, 28), np.uint8) for part, num in PARTS.items()}
    made |= {f"{part}_labels": np.arange(num, dtype=np.uint8)[:, None] % 2 for part, num in PARTS.items()}
    made["train_images"][1] = made["val_images"][2]
    made["train_images"][4] = made["train_images"][3]
    made["test_images"][1] = made["test_images"][0]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{**made, **changed})
    return buffer.getvalue()


PARTS = {"train": 8, "val": 4, "test": 4}


def test_images_that_stand_in_two_parts_or_twice_are_left_out_of_training_alone(tmp_path):
    (tmp_path / FILE).write_bytes(arrays())
    found = open_pneumonia(str(tmp_path))
    assert found.flagged == {
        "train 1": "the same image is val 2", "train 4": "the same image stands twice in the training part",
    }  # fmt: skip
    split = found.split()
    assert [len(rows) for rows in (split.train, split.calibrate, split.test)] == [8, 4, 4]
    assert len(found.training()) == 8 - 2 + 4
    assert len(found.unflagged()) == 14
    assert found.samples[0].source.facts["age_band"] == "1 to 5 years"


@pytest.mark.parametrize(
    "changed",
    [{"val_images": np.zeros((4, 28, 27), np.uint8)}, {"test_labels": np.full((4, 1), 2, np.uint8)},
     {"train_images": np.zeros((8, 28, 28))}, {"train_labels": np.array([None] * 8)}],
    ids=["shape", "labels", "type", "pickle"],
)  # fmt: skip
def test_another_layout_is_refused_and_nothing_is_unpickled(changed, tmp_path):
    (tmp_path / "x.npz").write_bytes(arrays(**changed))
    with pytest.raises(InputError, match=r"layout|images"):
        open_pneumonia(str(tmp_path / "x.npz"))
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match="layout"):
        open_pneumonia(str(tmp_path / "x.npz"))


def chest_folder(folder: Path, split: str) -> Path:
    folder.mkdir()
    rows = ["file,split,folder_label,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position"]
    for number, (label, part) in enumerate([("No Finding", "train"), ("Effusion|Nodule", "test"), ("Hernia", split)]):
        Image.fromarray(np.full((SIDE, SIDE), 40 * number, np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{part},1_abnormal,{label},{number % 2},50,F,PA")
    (folder / "meta.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_folder_s_findings_persons_and_faults_are_read_and_a_leaking_split_is_named(tmp_path):
    found = open_chest(str(chest_folder(tmp_path / "leaks", "test")))
    assert [FINDINGS[i] for i in np.flatnonzero(found.samples[1].target)] == ["Effusion", "Nodule"]
    assert found.samples[2].target.sum() == 0  # read, and none of those looked for
    assert [one.source.group for one in found.samples] == ["0", "1", "0"]
    assert found.flagged == {"0": "its folder says 1_abnormal, the table No Finding"}
    assert "1 patients are in test and train" in found.unsound_split
    assert "1 of 2 test images" in found.unsound_split
    assert open_chest(str(chest_folder(tmp_path / "sound", "train"))).unsound_split == ""
    with pytest.raises(InputError, match="want nih-cxr64"):
        open_chest(str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no radiograph that can be read"):
        open_chest(str(tmp_path / "empty"))


def test_words_that_are_no_finding_are_refused_and_an_empty_mark_is_no_absence(tmp_path):
    table = chest_folder(tmp_path / "a", "train") / "meta.csv"
    text = table.read_text()
    for wrong in ("effusion", "Efusion|Cardiomegally", "Effusion;Nodule", "unknown", "No Finding|Effusion"):
        table.write_text(text.replace("Effusion|Nodule", wrong))
        with pytest.raises(
            InputError, match=r"1\.png: got the finding .*want 'No Finding', or any of Atelectasis, .*Hernia"
        ):
            open_chest(str(table.parent))
    table.write_text(text.replace("Effusion|Nodule", ""))
    found = open_chest(str(table.parent))
    assert found.samples[1].target is None
    assert [one.source.item for one in found.unflagged()] == ["2"]


def test_a_user_s_own_files_never_go_by_a_set_s_name(tmp_path):
    own = chest_folder(tmp_path / "nih-cxr64", "train")
    assert open_chest(str(own)).samples[0].source.data == "own nih-cxr64"
    assert {own_name(name) for name in names()}.isdisjoint(names())
    assert own_name("clinic a") == "clinic a"


def test_a_dicom_radiograph_tells_its_facts_and_is_as_bright_as_its_image(tmp_path):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid(entropy_srcs=["a"])
    made.SeriesInstanceUID, made.StudyInstanceUID = (generate_uid(entropy_srcs=[name]) for name in "bc")
    made.Modality, made.PatientAge, made.PatientSex, made.ViewPosition = "DX", "003Y", "F", "AP"
    made.Rows = made.Columns = 28
    made.SamplesPerPixel, made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 1, 8, 8, 7, 0
    for photometric, shown in (("MONOCHROME2", pixels), ("MONOCHROME1", 255 - pixels)):
        made.PhotometricInterpretation, made.PixelData = photometric, shown.tobytes()
        made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        (sample,) = open_pneumonia(str(tmp_path / "a.dcm")).samples
        assert sample.source.facts == {
            "age_band": "1 to 5 years", "sex": "female", "view": "AP", "modality": "radiograph", "pixels": "28 x 28",
            "use": "research use only, not a medical device",
        }  # fmt: skip
        np.testing.assert_allclose(sample.streams["image"].values[0], pixels / 255, atol=1e-6)
    del made.PatientAge
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert "age_band" not in open_pneumonia(str(tmp_path / "a.dcm")).samples[0].source.facts
    (tmp_path / "a.dcm").rename(tmp_path / "pneumoniamnist")
    assert open_pneumonia(str(tmp_path / "pneumoniamnist")).samples[0].source.data == "own pneumoniamnist"


def test_a_table_that_leads_outside_the_folder_is_refused(tmp_path):
    folder = chest_folder(tmp_path / "a", "train")
    text = (folder / "meta.csv").read_text()
    (folder / "meta.csv").write_text(text.replace("\n1.png", "\n../1.png"))
    with pytest.raises(InputError, match="outside"):
        open_chest(str(folder))


@pytest.mark.mirror
def test_the_real_sets_have_the_faults_that_are_said_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    mirror = Path(os.environ["MAINSTEM_MIRROR"])
    children = open_pneumonia("pneumoniamnist", mirror)
    assert [len(rows) for rows in vars(children.split()).values() if not isinstance(rows, str)] == [4708, 524, 624]
    assert len({why for why in children.flagged.values() if "is val" in why}) == 8
    assert len(children.flagged) == 26  # copies of these in train, and images that stand there twice
    adults = open_chest("nih-cxr64", mirror)
    assert (len(adults.samples), len({one.source.group for one in adults.samples})) == (825, 198)
    assert set(adults.flagged) == {"00000193_019"}
    assert "91 of 174 test images" in adults.unsound_split
    for index, name in enumerate(FINDINGS):
        assert len({one.source.group for one in adults.samples if one.target[index]}) >= 20, name
