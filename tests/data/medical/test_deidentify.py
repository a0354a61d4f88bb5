"""No planted identifier is left, what belongs together still does, and rivals are counted on the same files."""

import collections
import contextlib
import io
import os
import re
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from tests.data.medical.planted import IMPLICIT, ROOT, Marks, base, coded, ct, study

from mainstem.core.errors import InputError
from mainstem.data.medical import deidentify_rules as rules
from mainstem.data.medical.burned_in import frames_of
from mainstem.data.medical.deidentify import CODES, deidentify
from mainstem.data.medical.deidentify_copy import examine
from mainstem.data.medical.deidentify_dates import capped_age, kept_time, moved_date, moved_date_time
from mainstem.data.medical.deidentify_files import deidentify_tree
from mainstem.data.medical.deidentify_key import Key, make_key, read_key

KEY, OTHER = Key(bytes(range(32))), Key(bytes(range(1, 33)))
MEDICAL = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "medical"


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[Marks, list[Path]]:
    return study(tmp_path_factory.mktemp("planted") / "in")


@pytest.fixture(scope="module")
def cleaned(planted, tmp_path_factory) -> dict[str, Dataset]:
    out = tmp_path_factory.mktemp("cleaned") / "out"
    done = deidentify_tree(planted[1][0].parent, out, KEY)
    assert (done["num_written"], done["quarantined"], done["refused"]) == (5, [], [])
    found = [dcmread(path) for path in sorted(out.rglob("*.dcm"))]
    return {each.Modality: each for each in found}


def _left(marks: Marks, paths: list[Path]) -> set[str]:
    return {where for path in paths for where in marks.left_in(path.read_bytes())}


def test_no_planted_identifier_is_left_and_rivals_leave_some(planted, cleaned, tmp_path, capsys):
    marks, paths = planted
    assert _left(marks, paths) == set(marks.planted)  # the search finds what is there, each of them
    assert len(marks.planted) > 80
    ours = [Path(each.filename) for each in cleaned.values()]
    assert _left(marks, ours) == set()
    rivals = {name: len(_left(marks, write(paths, tmp_path / name))) for name, write in RIVALS.items()}
    with capsys.disabled():
        print(f"\n{len(marks.planted)} planted; left: ours 0, {rivals}")
    assert all(rivals.values())


def _dicognito(paths: list[Path], out: Path) -> list[Path]:
    from dicognito.anonymizer import Anonymizer

    out.mkdir()
    anonymizer = Anonymizer(seed="fixed")
    for path in paths:
        with dcmread(path) as dataset:
            anonymizer.anonymize(dataset)
            dataset.save_as(out / path.name)
    return sorted(out.iterdir())


def _deid(paths: list[Path], out: Path) -> list[Path]:
    from deid.dicom import get_identifiers, replace_identifiers

    out.mkdir()
    files = [str(path) for path in paths]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        replace_identifiers(files, ids=get_identifiers(files), save=True, output_folder=str(out), remove_private=True)
    return sorted(path for path in out.rglob("*.dcm"))


def _dicom_anonymizer(paths: list[Path], out: Path) -> list[Path]:
    from dicomanonymizer import anonymize_dicom_file

    out.mkdir()
    for path in paths:
        anonymize_dicom_file(str(path), str(out / path.name))
    return sorted(out.iterdir())


RIVALS = {"dicognito": _dicognito, "deid": _deid, "dicom-anonymizer": _dicom_anonymizer}


def test_dates_keep_their_intervals_and_oldest_ages_are_one(planted, cleaned):
    before = dcmread(planted[1][0])
    after = cleaned[before.Modality]
    moves = {
        _day(getattr(after, name)) - _day(getattr(before, name))
        for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "LastMenstrualDate", "AcquisitionDateTime")
    }
    assert len(moves) == 1
    assert timedelta(-3653) < moves.pop() < timedelta(-365)
    assert after.StudyTime == before.StudyTime
    assert after.AcquisitionDateTime.endswith("101112.5+0100")
    assert not after.PatientBirthDate
    assert not after.PatientBirthTime
    assert (after.PatientAge, after.PatientSex, str(after.PatientWeight)) == ("090Y", "F", "61.5")
    others = {_day(each.StudyDate) - _day(dcmread(path).StudyDate) for path, each in _pairs(planted[1], cleaned)}
    assert len(others) == 2  # of the CT's patient and study, and of the radiograph's


def _pairs(paths: list[Path], cleaned: dict[str, Dataset]) -> list[tuple[Path, Dataset]]:
    return [(path, cleaned[path.stem.split("-")[1]]) for path in paths]


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def test_references_hold(cleaned):
    source = cleaned["CT"]
    frame = cleaned["SEG"].PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    contour = cleaned["RTSTRUCT"].ROIContourSequence[0].ContourSequence[0].ContourImageSequence[0]
    image = cleaned["SR"].ContentSequence[-1].ReferencedSOPSequence[0]
    for item in (frame, contour, image):
        assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID == source.file_meta.MediaStorageSOPInstanceUID
        assert item.ReferencedSOPClassUID == source.SOPClassUID
    for name in ("SEG", "SR", "RTSTRUCT"):
        assert cleaned[name].StudyInstanceUID == source.StudyInstanceUID
        assert cleaned[name].PatientID == source.PatientID == source.PatientName
    rois = cleaned["RTSTRUCT"].StructureSetROISequence
    assert {roi.ReferencedFrameOfReferenceUID for roi in rois} == {source.FrameOfReferenceUID}


def test_what_is_of_use_is_kept(planted, cleaned):
    before, after = dcmread(planted[1][0]), cleaned["CT"]
    assert after.Manufacturer == "GE MEDICAL SYSTEMS"
    assert after.ConvolutionKernel == "STANDARD"
    assert after.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL", "REMOVED"]
    assert np.array_equal(after.pixel_array, before.pixel_array & 0x7FFF)  # the overlay's bit is gone
    assert np.array_equal(cleaned["CR"].pixel_array, dcmread(planted[1][1]).pixel_array)
    assert np.array_equal(cleaned["SEG"].pixel_array, dcmread(planted[1][2]).pixel_array)
    assert cleaned["SEG"].SegmentSequence[1].SegmentLabel == "Left lung 2"
    assert cleaned["RTSTRUCT"].StructureSetROISequence[1].ROIName == "Lt Lung"
    assert cleaned["RTSTRUCT"].ROIContourSequence[0].ContourSequence[0].ContourData[3] == 1.5
    assert cleaned["SR"].ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert after.get_private_item(0x0019, 0x0C, "SIEMENS MR HEADER").value == 1000
    assert [element.tag.element & 0xFF for element in after.group_dataset(0x0019)] == [0x10, 0x0C]
    assert not after.group_dataset(0x0009)


def test_it_says_what_was_done(cleaned):
    for each in cleaned.values():
        assert each.PatientIdentityRemoved == "YES"
        assert each.LongitudinalTemporalInformationModified == "MODIFIED"
        found = {(item.CodeValue, item.CodingSchemeDesignator) for item in each.DeidentificationMethodCodeSequence}
        assert found == {(code, "DCM") for code in CODES}
        assert {"113100", "113107", "113111"} < set(CODES)
        assert Path(each.filename).read_bytes()[:128] == bytes(128)
        assert Path(each.filename).stem == each.SOPInstanceUID
        names = {element.keyword for element in each.file_meta}
        assert not names & {"SourceApplicationEntityTitle", "SendingApplicationEntityTitle"}
        assert each.file_meta.ImplementationVersionName == "MAINSTEM"


def test_the_same_key_gives_the_same_and_what_it_made_stays(planted, cleaned):
    for path, each in _pairs(planted[1], cleaned):
        done = Path(each.filename).read_bytes()
        assert examine(path.read_bytes(), KEY).data == done
        assert examine(done, KEY).data == done
        another = dcmread(io.BytesIO(examine(path.read_bytes(), OTHER).data))
        for name in ("SOPInstanceUID", "StudyInstanceUID", "PatientID", "StudyDate"):
            assert another[name].value != each[name].value, name


def test_a_dataset_in_memory_is_not_changed(planted):
    dataset = dcmread(planted[1][0])
    before = dataset.to_json()
    first = deidentify(dataset, KEY)
    assert dataset.to_json() == before
    assert first.SOPInstanceUID != dataset.SOPInstanceUID
    with pytest.raises(InputError, match="no SOP class"):
        deidentify(Dataset(), KEY)


def test_a_name_known_from_one_place_is_found_in_what_is_kept():
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = ct(Marks()).SOPClassUID, f"{ROOT}1", "4711"
    dataset.PatientName, dataset.Manufacturer, dataset.BodyPartExamined = "Brown^Mary", "made for Brown", "BROWN"
    dataset.PatientBirthDate, dataset.AcquisitionNumber, dataset.SeriesNumber = "19520317", "19520317", "7"
    dataset.AnatomicRegionSequence = [coded("123456", "SCT", "Brown"), coded("39607008", "SCT", "Mary's lung")]
    clean = deidentify(dataset, KEY)
    assert clean.BodyPartExamined == "REMOVED"
    assert clean.SeriesNumber == 7
    assert str(clean.AcquisitionNumber) == KEY.number("19520317")
    assert "Brown" not in str(clean)
    assert clean.AnatomicRegionSequence[1].CodeMeaning == "Lung"  # the standard's, for "Mary's lung"


def test_no_technical_text_is_in_the_table_and_every_keyword_is_known():
    kept = rules.TECHNICAL | rules.WORDED | rules.NUMBERING | rules.COUNTS
    assert not {tag for tag in kept if tag in rules.table() or rules.bulk_parents(tag)}
    assert not {tag for tag in rules.table() if rules.bulk_parents(tag)}
    assert rules.is_enumerated(0x00080060, "CT")
    assert len(rules.table()) > 550


def test_nothing_of_a_patient_is_said(planted, tmp_path, caplog):
    marks = Marks()
    bad = base(marks, "1.2.3.4", "CT", IMPLICIT)
    bad.Rows = bad.Columns = bad.BitsAllocated = 8
    bad.PixelData = b"1"
    folder = tmp_path / "Quex^Patient"
    folder.mkdir()
    bad.save_as(folder / "Quex123ian.dcm", enforce_file_format=True)
    (folder / "Quex124ian.txt").write_text("Quex125ian")
    whole = (folder / "Quex123ian.dcm").read_bytes()
    (folder / "Quex126ian.dcm").write_bytes(whole[: len(whole) // 2])
    report = deidentify_tree(folder, tmp_path / "out", KEY)
    assert "quex" not in f"{report} {caplog.text}".lower()
    assert "quex" not in " ".join(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*")).lower()
    assert report["num_refused"] + report["num_quarantined"] + report["num_written"] == 3


@settings(max_examples=60, deadline=None)
@given(st.dates(date(1850, 1, 1)), st.dates(date(1850, 1, 1)), st.text(min_size=1, max_size=30))
def test_moved_dates_keep_every_interval(first, second, patient):
    days = KEY.days(patient)
    moved = [_day(moved_date(each.strftime("%Y%m%d"), days)) for each in (first, second)]
    assert moved[1] - moved[0] == second - first
    assert moved[0] < first
    assert moved_date_time(f"{first:%Y%m%d}235959.123456-0330", days) == f"{moved[0]:%Y%m%d}235959.123456-0330"
    assert moved_date(first.strftime("%Y.%m.%d"), days) == f"{moved[0]:%Y%m%d}"
    assert KEY.days(KEY.patient(patient)) == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("2020", "2018"), ("202003", "201901"), ("20200301", "20190126"), ("2020-03", ""), ("SMITH", "")],
)
def test_a_date_time_stays_as_precise_as_it_was(text, wanted):
    assert moved_date_time(text, -400) == wanted


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_what_is_no_date_time_or_age_never_stays(text):
    digits = set("0123456789.:+-DWMY ")
    for kept in (moved_date(text, -500), kept_time(text), moved_date_time(text, -500), capped_age(text)):
        assert set(kept) <= digits


@pytest.mark.parametrize(
    ("age", "wanted"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("101Y", "090Y"), ("999M", "999M"), ("1Y", ""), ("012W", "012W")],
)
def test_ages_are_capped(age, wanted):
    assert capped_age(age) == wanted


@settings(max_examples=60, deadline=None)
@given(
    st.from_regex(r"[12](\.(0|[1-9][0-9]{0,8})){1,6}", fullmatch=True), st.from_regex(r"1\.[1-9]{1,20}", fullmatch=True)
)
def test_uids_are_valid_one_to_one_and_stable(first, second):
    mapped = KEY.uid(first)
    assert UID(mapped).is_valid
    assert mapped.startswith("2.25.")
    assert KEY.uid(first) == mapped == KEY.uid(mapped)
    assert OTHER.uid(first) != mapped
    assert OTHER.uid(mapped) != mapped
    assert (KEY.uid(second) == mapped) == (first == second)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_pseudonyms_fit_and_stay(text):
    patient, label = KEY.patient(text), KEY.label(text)
    assert re.fullmatch("P[A-Z2-7]{20}", patient)
    assert re.fullmatch("X[A-Z2-7]{14}", label)
    assert (KEY.patient(patient), KEY.label(label)) == (patient, label)
    assert OTHER.patient(patient) != patient


def test_a_key_is_made_once_and_read_by_its_owner_alone(tmp_path):
    path = tmp_path / "project.key"
    with pytest.raises(InputError, match="make one with --new-key"):
        read_key(path)
    key = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == key
    assert key.secret.hex() not in f"{key} {key!r}"
    with pytest.raises(InputError, match="exists already"):
        make_key(path)
    for mode in (0o644, 0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(InputError, match="chmod 600"):
            read_key(path)
    path.chmod(0o600)
    for content in ("", "00" * 32, "ab" * 31, "secret", "0123456789abcdef"):
        path.write_text(content)
        with pytest.raises(InputError) as refused:
            read_key(path)
        assert not content or content not in str(refused.value)
    path.write_bytes(bytes(range(200, 240)))
    assert read_key(path) == Key(bytes(range(200, 240)))


@pytest.fixture(scope="session")
def dciodvfy() -> str:
    program = shutil.which("dciodvfy")
    if program is None:
        missing = "dciodvfy is not installed (apt-get install dicom3tools)"
        pytest.fail(missing) if os.environ.get("MAINSTEM_REQUIRE_ALL") else pytest.skip(missing)
    return str(program)


def _errors(program: str, path: Path) -> collections.Counter[str]:
    told = subprocess.run([program, path], capture_output=True, timeout=60)
    lines = (told.stdout + told.stderr).decode("latin-1").splitlines()
    return collections.Counter(re.sub(r"[0-9.]{9,}", "UID", line) for line in lines if line.startswith("Error"))


@pytest.mark.long
@pytest.mark.mirror
def test_real_objects_have_no_new_error_and_the_same_pixels(dciodvfy, tmp_path):
    folders = ("dicom/dcmqi", "dicom/enhanced_mr", "rt_breast_boost", "dicom/pydicom_data")
    listed = [path for folder in folders for path in sorted((MEDICAL / folder).rglob("*")) if path.is_file()]
    paths = [path for path in listed if 132 < path.stat().st_size < 300_000]
    compared = 0
    for path in paths:
        answer = examine(path.read_bytes(), KEY)
        if answer.state == "refused":
            continue
        copy = tmp_path / "copy.dcm"
        copy.write_bytes(answer.data)
        new = _errors(dciodvfy, copy) - _errors(dciodvfy, path)
        assert not new, (path.name, new)
        before, after = dcmread(path), dcmread(copy)
        with contextlib.suppress(RuntimeError, AttributeError, NotImplementedError):
            frames = list(frames_of(before))
            assert all(np.array_equal(a, b) for a, b in zip(frames, frames_of(after), strict=True))
        compared += 1
    assert compared >= 20


def test_planted_objects_have_no_new_error(dciodvfy, planted, cleaned):
    for path, each in _pairs(planted[1], cleaned):
        new = _errors(dciodvfy, Path(each.filename)) - _errors(dciodvfy, path)
        assert not new, (path.name, new)


@pytest.mark.mirror
def test_the_name_in_a_donors_file_is_gone(tmp_path):
    done = deidentify_tree(MEDICAL / "dicom/enhanced_mr", tmp_path / "out", KEY)
    assert done["num_written"] + done["num_quarantined"] >= 5
    assert not [path for path in tmp_path.rglob("*.dcm") if b"rogers" in path.read_bytes().lower()]
