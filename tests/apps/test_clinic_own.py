"""A user's own studies: each opened as it was listed, under an id of its contents, with its own layers and patient."""

import io
import json
import os
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from tests.dashboards.clinic_made import REFUSED

from mainstem.apps import clinic_jobs, clinic_predictions
from mainstem.apps.clinic import Study, keep_files, read_layer
from mainstem.apps.clinic_demo import write_phantom, write_radiograph
from mainstem.apps.clinic_predictions import Said
from mainstem.apps.clinic_reading import open_study, studies_in
from mainstem.apps.review_pseudonyms import Pseudonyms
from mainstem.core.errors import InputError
from mainstem.dashboards.clinic.reads import laid_over, marked_in
from mainstem.dashboards.clinic.reviews import pseudonym, review_store
from mainstem.data.medical.studies import is_nothing, radiograph_of, volume_of

UIDS = ("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID")


def radiograph(tmp_path: Path, level: int, side: int = 16, **tags: str | None) -> bytes:
    """A DICOM file of one grey level, with some tags set, or without them where None."""
    write_radiograph(tmp_path / "made.dcm", np.full((side, side), level, np.uint8))
    dataset: Dataset = dcmread(tmp_path / "made.dcm")
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    kept = io.BytesIO()
    dataset.save_as(kept)
    return kept.getvalue()


def volume(tmp_path: Path, shape: tuple[int, int, int], level: int = 1) -> bytes:
    """A NIfTI volume (x, y, z) of one level."""
    image = nibabel.Nifti1Image(np.full(shape, level, np.int16), np.eye(4))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "made.nii.gz")
    return (tmp_path / "made.nii.gz").read_bytes()


def opened(
    tmp_path: Path, name: str, *contents: bytes, ending: str = ".dcm", known=()
) -> tuple[list[Study], list[str]]:
    keep_files(tmp_path / name, {f"{number}{ending}": one for number, one in enumerate(contents)})
    return studies_in(tmp_path / name, known)


def level_of(study: Study) -> float:
    series = open_study(study).series
    assert series is not None
    return float(series.frame(0).max())


ANYTHING = SimpleNamespace(manifest=SimpleNamespace(scope={}))  # is in its scope


@pytest.fixture
def unasked(monkeypatch):
    monkeypatch.setattr(clinic_predictions, "models", dict)


@pytest.fixture
def masked(monkeypatch):
    """A model whose mask holds the brightest value of its volume."""

    def ask_all(studies):
        made = [one["made"].streams["image"].values[0] for one in studies]
        return [[Said(told=REFUSED, title="mask", names=("a",), mask=one.astype(np.uint8))] for one in made]

    model = SimpleNamespace(fitted=ANYTHING, sample_of=volume_of)
    monkeypatch.setattr(clinic_predictions, "models", lambda: {"made": model})
    monkeypatch.setattr(clinic_predictions, "ask_all", ask_all)


def test_each_volume_of_one_upload_has_its_own_mask(tmp_path, masked):
    found, _ = opened(tmp_path, "own", volume(tmp_path, (4, 5, 6), 1), volume(tmp_path, (4, 5, 7), 2), ending=".nii.gz")
    masks = [laid_over(study, open_study(study))[0][2] for study in found]
    assert [(mask.shape, int(mask.max())) for mask in masks] == [((6, 5, 4), 1), ((7, 5, 4), 2)]


def test_a_layer_of_another_study_or_of_another_shape_is_refused(tmp_path, masked):
    contents = [volume(tmp_path, (4, 5, 6), level) for level in (1, 2)]
    (first, second), _ = opened(tmp_path, "own", *contents, ending=".nii.gz")
    assert read_layer(first, first.layers[0], (6, 5, 4)).max() == 1
    with pytest.raises(InputError, match="is not of this study"):
        read_layer(first, second.layers[0], (6, 5, 4))
    with pytest.raises(InputError, match="is not of this study"):
        read_layer(first, first.layers[0], (6, 5, 5))
    np.save(first.folder / "old.npy", np.zeros((6, 5, 4), np.uint8))
    with pytest.raises(InputError, match="cannot be read"):
        read_layer(first, replace(first.layers[0], file="old.npy"), (6, 5, 4))


@pytest.mark.parametrize(
    "differing",
    [
        ({"SeriesInstanceUID": None}, {"SeriesInstanceUID": None}),
        ({"SeriesInstanceUID": "1.2.7"}, {"SeriesInstanceUID": "1.2.7", "side": 8}),
        (dict.fromkeys(UIDS[:2]), dict.fromkeys(UIDS[:2]) | {"side": 8}),
    ],
    ids=["no series UID", "one series UID of two sizes", "no UID"],
)
def test_what_is_opened_is_what_was_listed(tmp_path, unasked, differing):
    contents = [radiograph(tmp_path, level, **tags) for level, tags in zip((100, 200), differing, strict=True)]
    found, refused = opened(tmp_path, "own", *contents)
    assert refused == []
    assert len({study.id for study in found}) == 2
    assert sorted(map(level_of, found)) == [100, 200]


def test_what_is_refused_is_told_by_its_number_and_says_what_is_wanted(tmp_path, unasked):
    found, refused = opened(tmp_path, "own", radiograph(tmp_path, 100), b"\x89PNG no DICOM at all")
    assert len(found) == 1
    assert refused[0].startswith("file 2: no DICOM file, nor NIfTI: give one of these")
    alone = Path(str(get_testdata_file("rtstruct.dcm"))).read_bytes()
    assert opened(tmp_path, "rt", alone)[1][0].endswith("Open the images that it was drawn on with it")


def test_two_patients_under_one_series_uid_are_never_one_study(tmp_path, unasked):
    made = [radiograph(tmp_path, level, SeriesInstanceUID="1.2.7", PatientID=f"P{level}") for level in (100, 200)]
    found, refused = opened(tmp_path, "own", *made)
    assert len(found) == 2 or (not found and "2 patients" in refused[0])
    assert "P100" not in str(refused)


def test_the_same_file_twice_is_one_study(tmp_path, unasked):
    nameless = radiograph(tmp_path, 100, SeriesInstanceUID=None, SOPInstanceUID=None)
    found, refused = opened(tmp_path, "own", nameless, nameless)
    assert (len(found), refused) == (1, ["a copy of another file here"])
    volumes, refused = opened(tmp_path, "volumes", *[volume(tmp_path, (4, 5, 6))] * 2, ending=".nii.gz")
    assert (len(volumes), refused) == (1, ["a copy of another file here"])


def test_an_id_is_of_contents_alone_so_that_history_is_found_again(tmp_path, unasked):
    head = tmp_path / "head"
    head.mkdir()
    write_phantom(head)
    slices = [path.read_bytes() for path in sorted(head.iterdir())]
    (first,), _ = opened(tmp_path, "one", *slices)
    second, _ = opened(tmp_path, "two", radiograph(tmp_path, 7), *reversed(slices))
    assert first.id in {study.id for study in second}
    (fewer,), _ = opened(tmp_path, "three", *slices[1:])
    assert fewer.id != first.id
    (third, _), _ = opened(tmp_path, "four", radiograph(tmp_path, 8), *slices, known=[first])
    assert third is first  # open already


def test_files_that_were_changed_are_not_opened(tmp_path, unasked):
    (study,), _ = opened(tmp_path, "own", radiograph(tmp_path, 7))
    with pytest.raises(InputError, match="gone, or others"):
        open_study(replace(study, series="0" * 64))


def test_no_error_says_what_a_file_of_a_zip_is_called(tmp_path, unasked):
    def zipped(level: int) -> bytes:
        kept = io.BytesIO()
        with zipfile.ZipFile(kept, "w") as packed:
            packed.writestr("DOE_JOHN.dcm", radiograph(tmp_path, level))
        return kept.getvalue()

    (study,), _ = opened(tmp_path, "own", zipped(1), ending=".zip")
    series = open_study(study).series
    (study.files / "00000.zip").write_bytes(zipped(2))
    with pytest.raises(InputError, match="a file: changed since it was listed"):
        series.frame(0)


def test_a_patient_s_records_are_forgotten_by_the_number_in_their_files(tmp_path, home, unasked):
    made = [
        radiograph(tmp_path, 1, PatientID="4711 "),
        radiograph(tmp_path, 2, PatientID="4711", IssuerOfPatientID="Clinic B"),
        radiograph(tmp_path, 3),
    ]
    found, _ = opened(tmp_path, "own", *made)
    assert "4711" not in repr(found)
    names = {int(level_of(study)): pseudonym(study) for study in found}
    assert len(set(names.values())) == 3
    keys: Pseudonyms = review_store().pseudonyms
    for patient, level in (("4711", 1), ("4711^^^Clinic B", 2)):
        assert keys.forget(patient)
        after = {int(level_of(study)): pseudonym(study) for study in found}
        assert [one for one in names if names[one] != after[one]] == [level]
        names = after
    (nameless,) = [study for study in found if level_of(study) == 3]
    assert keys.forget(nameless.id)


def test_an_adapter_is_asked_once_it_says_what_it_reads(monkeypatch):
    module = SimpleNamespace(SAMPLE_OF={"shipped": volume_of, "not shipped": volume_of})
    monkeypatch.setattr(clinic_predictions, "own_adapters", lambda: {"made": "", "blind": ""})
    monkeypatch.setattr(clinic_predictions, "shipped_runs", lambda name: {"shipped": Path(name), "other": Path()})
    monkeypatch.setattr(clinic_predictions, "load_adapter_module", {"made": module, "blind": object()}.get)
    monkeypatch.setattr(clinic_predictions, "find_task", lambda adapter, name: (adapter, name))
    monkeypatch.setattr(clinic_predictions, "load_run", lambda run, task: run)
    ((name, model),) = clinic_predictions.models.__wrapped__().items()
    assert (name, model.task, model.fitted) == ("made shipped", ("made", "shipped"), Path("made"))


def test_studies_opened_together_are_judged_together(tmp_path, monkeypatch):
    model = SimpleNamespace(
        task=SimpleNamespace(view_of=None), fitted=ANYTHING, sample_of=partial(radiograph_of, side=28)
    )
    asked = []

    def predict(fitted, samples, *rest):
        asked.append(len(samples))
        raise InputError("enough")

    monkeypatch.setattr(clinic_predictions, "models", lambda: {"made": model})
    monkeypatch.setattr(clinic_predictions, "predict", predict)
    with pytest.raises(InputError, match="enough"):
        opened(tmp_path, "own", *(radiograph(tmp_path, level) for level in range(1, 24)))
    assert asked == [23]


def test_a_review_s_pixels_are_those_of_every_slice_read_by_a_model_or_not(tmp_path, unasked):
    hashes = []
    for name, first in (("a", 10), ("b", 11)):  # slices of one series; the middle one is the same
        slices = [
            radiograph(
                tmp_path,
                level,
                Modality="CT",
                SOPInstanceUID=f"2.25.{number + 1}",
                SeriesInstanceUID="2.25.7",
                StudyInstanceUID="2.25.8",
                ImagePositionPatient=[0, 0, number],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                PixelSpacing=[1, 1],
                FrameOfReferenceUID="2.25.9",
            )
            for number, level in enumerate((first, 20, 30))
        ]
        (study,), refused = opened(tmp_path, name, *slices)
        assert not refused
        hashes.append(study.pixel_sha256)
    assert len(set(hashes)) == 2


@pytest.mark.mirror
def test_a_study_s_own_segmentation_lies_over_it_and_is_no_model_s(tmp_path, unasked):
    folder = Path(os.environ["MAINSTEM_MIRROR"]) / "medical" / "dicom" / "dcmqi" / "segmentations"
    images = [path.read_bytes() for path in sorted((folder / "ct-3slice").iterdir())]
    masks = [(folder / name).read_bytes() for name in ("liver.dcm", "24x38x3/seg/label.seg")]
    (study,), refused = opened(tmp_path, "own", *images, *masks)
    assert (study.kind, refused) == ("CT, 3 images", [])
    (liver,), faults = marked_in(study)
    assert (liver.title, liver.names, liver.kind) == ("Contours in the file, not by a model", ("Liver",), "contours")
    assert liver.colours == ("#d98265",)  # L* 63.6, a* 32.2, b* 30.7, as the file recommends
    assert sorted(liver.planes) == [0, 1, 2]
    assert faults == ()  # the other one is of another series
    assert study.layers == ()


@pytest.mark.parametrize("name", ["Normal", "No Finding", "no finding", "NONE", " healthy "])
def test_a_class_that_says_that_nothing_was_found_is_no_finding_however_it_is_written(name):
    assert is_nothing(name)
    found = SimpleNamespace(probabilities={name: 0.9, "Mass": 0.2})
    assert clinic_predictions._chance(found, name) < clinic_predictions._chance(found, "Mass") == 0.2


def read_beside(folder: Path, *contents: bytes, known=()) -> None:
    """What a job does with files that the page has kept, here."""
    keep_files(folder, {f"{number}.dcm": one for number, one in enumerate(contents)})
    (folder / clinic_jobs.KNOWN).write_text(json.dumps([study.id for study in known]))
    clinic_jobs.read_own(folder, lambda stage, share: None)


@pytest.mark.usefixtures("unasked")
def test_what_is_read_beside_the_page_is_what_is_read_here_and_no_patient_is_written(tmp_path):
    content = radiograph(tmp_path, 7, PatientID="CANARY")
    (there,), _ = opened(tmp_path, "here", content)
    folder = tmp_path / "beside"
    assert clinic_jobs.said_of_own(folder, ()) is None
    read_beside(folder, content)
    assert "CANARY" not in (folder / clinic_jobs.SAID).read_text()
    (here,), refused = clinic_jobs.said_of_own(folder, ())
    assert refused == []
    assert here == replace(there, folder=folder)
    assert "CANARY" in here.patient
    again = tmp_path / "again"
    read_beside(again, content, radiograph(tmp_path, 9), known=[here])
    found, _ = clinic_jobs.said_of_own(again, [here])
    assert [study.folder for study in found].count(again) == 1
    assert here in found
    assert {study.title for study in found} == {"Own study 1", "Own study 2"}


@pytest.mark.usefixtures("unasked")
def test_files_that_cannot_be_read_beside_the_page_are_said_and_an_ended_session_is_no_fault(tmp_path):
    folder = tmp_path / "bad"
    read_beside(folder, b"no image")
    assert clinic_jobs.said_of_own(folder, ())[0] == []
    assert clinic_jobs.said_of_own(folder, ())[1]
    clinic_jobs.read_own(tmp_path / "gone", lambda stage, share: None)
    assert not (tmp_path / "gone").exists()
