"""Whatever is in a folder or zip: originals stay, what is doubtful is set apart, what is hostile refused."""

import hashlib
import io
import json
import os
import signal
import struct
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import RLELossless
from tests.data.medical.planted import Marks, ct

from mainstem.apps import cli
from mainstem.core.errors import InputError
from mainstem.data.medical import deidentify_files
from mainstem.data.medical.deidentify_copy import examine
from mainstem.data.medical.deidentify_files import deidentify_tree
from mainstem.data.medical.deidentify_key import Key
from mainstem.data.medical.deidentify_pixels import strip_jpeg, strip_jpeg_2000, strip_rle
from mainstem.data.medical.dicom_process import Limits, worker

KEY = Key(bytes(range(32)))


def _bytes(dataset) -> bytes:
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


@pytest.fixture(scope="module")
def whole() -> bytes:
    return _bytes(ct(Marks()))


def _with_text(whole: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(whole))
    picture = Image.fromarray((dataset.pixel_array & 0x7FF).astype(np.int32).repeat(4, 0).repeat(4, 1), "I")
    ImageDraw.Draw(picture).text((10, 100), "MUELLER ANNA", fill=4000, font=ImageFont.load_default(16))
    dataset.Rows = dataset.Columns = 256
    dataset.PixelData = np.asarray(picture).astype("<u2").tobytes()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    return _bytes(dataset)


def test_doubtful_pixels_go_to_quarantine_and_nowhere_else(whole, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    (source / "a.dcm").write_bytes(whole)
    (source / "b.dcm").write_bytes(whole)
    (source / "deep" / "c.dcm").write_bytes(_with_text(whole))
    (source / "d.txt").write_text("no DICOM")
    (source / "e.dcm").symlink_to("a.dcm")
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in source.rglob("*") if path.is_file()}
    done = deidentify_tree(source, out, KEY)
    counts = {name: done[f"num_{name}"] for name in ("written", "duplicates", "quarantined", "refused")}
    assert counts == {"written": 1, "duplicates": 1, "quarantined": 1, "refused": 2}
    assert [each["reason"] for each in done["quarantined"]] == ["text in the pixels"]
    assert [(each["number"], each["reason"][:8]) for each in done["refused"]] == [(3, "no DICOM"), (5, "it is a ")]
    assert all("dcm" not in each["name"] and len(each["name"]) == 16 for each in done["refused"])
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert [str(path) for path in files if path.parts[0] == "quarantine"] == [done["quarantined"][0]["file"]]
    assert (out / "quarantine").stat().st_mode & 0o077 == 0
    assert before == {path: hashlib.sha256(path.read_bytes()).digest() for path in before}
    again = {path: (out / path).read_bytes() for path in files}
    deidentify_tree(source, out, KEY)
    assert again == {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_zip_is_read_and_a_bomb_in_it_refused(whole, tmp_path):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../slip.dcm", whole)
        archive.writestr("bomb.dcm", bytes(5 << 20))
    done = deidentify_tree(path, tmp_path / "out", KEY)
    assert (done["num_written"], done["num_refused"]) == (1, 1)
    assert done["refused"][0]["reason"] == "it is an entry that would grow more than 100 times"
    assert {each.name for each in tmp_path.iterdir()} == {"study.zip", "out"}


@pytest.mark.parametrize("out", [".", "in", "in/out", "in/../in/out"])
def test_originals_and_copies_lie_apart(out, whole, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(whole)
    with pytest.raises(InputError, match="lie in each other"):
        deidentify_tree(tmp_path / "in", tmp_path / out, KEY)
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.dcm"]


def test_an_instance_that_differs_from_one_of_the_same_uid_is_refused(whole, tmp_path):
    (tmp_path / "in").mkdir()
    dataset = dcmread(io.BytesIO(whole))
    dataset.InstanceNumber = 99
    (tmp_path / "in" / "a.dcm").write_bytes(whole)
    (tmp_path / "in" / "b.dcm").write_bytes(_bytes(dataset))
    done = deidentify_tree(tmp_path / "in", tmp_path / "out", KEY)
    assert (done["num_written"], done["refused"][0]["number"]) == (1, 2)


def _deflated(content: bytes) -> bytes:
    dataset = dcmread(get_testdata_file("image_dfl.dcm"))
    whole = _bytes(dataset)
    start = 144 + struct.unpack("<L", whole[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return whole[:start] + packer.compress(content) + packer.flush()


def _lying(whole: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(whole))
    dataset.Rows = dataset.Columns = 65535
    dataset.NumberOfFrames = "1000"
    return _bytes(dataset)


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (lambda whole: b"MZ" + whole[2:], "executable"),
        (lambda whole: b"\x7fELF" + whole[4:], "executable"),
        (lambda whole: _deflated(bytes(30 << 20)), "inflates to more"),
        (_lying, "declares 8,590 GB"),
        (lambda whole: whole[:100], "no DICOM"),
        (lambda whole: b"", "no DICOM"),
        (lambda whole: Path(get_testdata_file("DICOMDIR")).read_bytes(), "DICOMDIR"),
    ],
)
def test_hostile_files_are_refused_for_what_they_are(hostile, reason, whole):
    answer = examine(hostile(whole), KEY)
    assert (answer.state, answer.data) == ("refused", b"")
    assert reason in answer.reason


def test_the_preamble_of_a_picture_is_no_refusal_but_goes(whole):
    answer = examine(b"II*\0" + whole[4:], KEY)
    assert answer.state == "clean"
    assert answer.data[:132] == bytes(128) + b"DICM"


def _folder(path: Path, *files: bytes) -> Path:
    path.mkdir()
    for index, data in enumerate(files):
        (path / f"{index:02}.dcm").write_bytes(data)
    return path


def test_mutations_end_neither_this_process_nor_the_other(whole, tmp_path):
    rng = np.random.default_rng(0)
    mutated = [bytearray(whole) for _ in range(15)]
    for data in mutated:
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(0, 256)
    folder = _folder(tmp_path / "in", *map(bytes, mutated), _with_text(whole))
    done = deidentify_tree(folder, tmp_path / "out", KEY)
    assert sum(done[f"num_{name}"] for name in ("written", "duplicates", "quarantined", "refused")) == 16
    assert "text in the pixels" in [each["reason"] for each in done["quarantined"]]


def _long(whole: bytes) -> bytes:
    """Forty frames of 2048 x 2048 in few bytes, which take a quarter of a second each to search."""
    dataset = dcmread(io.BytesIO(whole))
    rows = b"".join(bytes((129, row % 256)) * 16 for row in range(2048))  # runs of 128 (PS3.5 annex G)
    dataset.Rows = dataset.Columns = 2048
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.NumberOfFrames = 40
    dataset.PixelData = encapsulate([struct.pack("<16L", 1, 64, *[0] * 14) + rows] * 40)
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.5"
    return _bytes(dataset)


def test_a_process_that_ends_or_hangs_costs_its_file_alone(whole, tmp_path, monkeypatch):
    small, text = _folder(tmp_path / "a", whole), _folder(tmp_path / "b", whole, _with_text(whole))
    assert deidentify_tree(small, tmp_path / "before", KEY)["num_written"] == 1
    process = worker().process
    process.send_signal(signal.SIGSTOP)  # it takes the request, and answers no more
    threading.Timer(0.2, process.kill).start()
    done = deidentify_tree(text, tmp_path / "killed", KEY)
    assert (done["num_quarantined"], [each["number"] for each in done["refused"]]) == (1, [1])
    assert "broke its decoder (signal 9)" in done["refused"][0]["reason"]
    monkeypatch.setattr(deidentify_files, "CLEANING", Limits(seconds=1.0, bytes_s=1e12))
    done = deidentify_tree(_folder(tmp_path / "c", whole, _long(whole)), tmp_path / "hung", KEY)
    assert (done["num_written"], [each["number"] for each in done["refused"]]) == (1, [2])
    assert "took more time or memory than it may" in done["refused"][0]["reason"]
    monkeypatch.undo()
    assert deidentify_tree(small, tmp_path / "after", KEY)["num_written"] == 1


def test_comments_in_jpeg_2000_go_and_pixels_stay():
    dataset = dcmread(get_testdata_file("JPEG2000.dcm"))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    at = frame.index(b"\xff\x52")  # COD, in the main header
    comment = b"\xff\x64" + struct.pack(">HH", 4 + 9, 1) + b"Quex^John"
    stripped = strip_jpeg_2000(frame[:at] + comment + frame[at:] + b"Quex behind")
    assert b"Quex" not in stripped
    assert b"\xff\x64" not in stripped[:200]
    before = dataset.pixel_array
    dataset.PixelData = encapsulate([stripped])
    assert np.array_equal(dataset.pixel_array, before)
    with pytest.raises(ValueError, match="no JPEG 2000"):
        strip_jpeg_2000(b"nothing")


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "SC_rgb_rle_16bit_2frame.dcm", "OBXXXX1A_rle_2frame.dcm"])
def test_what_hides_between_run_lengths_goes_and_pixels_stay(name):
    dataset = dcmread(get_testdata_file(name))
    before, size, num = dataset.pixel_array, dataset.Rows * dataset.Columns, int(dataset.get("NumberOfFrames") or 1)
    frames = [frame + b"Quex" for frame in generate_frames(dataset.PixelData, number_of_frames=num)]
    dataset.PixelData = encapsulate([strip_rle(frame, size) for frame in frames])
    assert b"Quex" not in dataset.PixelData
    assert np.array_equal(dataset.pixel_array, before)
    with pytest.raises((ValueError, IndexError)):
        strip_rle(frames[0][:100], size)


def test_application_data_in_jpeg_go_and_pixels_stay():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 48, 3)).astype(np.uint8))
    for progressive in (False, True):
        stream = io.BytesIO()
        picture.save(stream, "jpeg", comment=b"Quex", exif=b"Exif\0\0Quex", progressive=progressive)
        stripped = strip_jpeg(stream.getvalue() + b"Quex")
        assert b"Quex" not in stripped
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(stripped))), np.asarray(Image.open(stream)))


def _run(arguments: list[str], capsys, monkeypatch) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["mainstem", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_the_command_makes_a_key_reports_and_refuses(whole, tmp_path, capsys, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Quex^John.dcm").write_bytes(whole)
    (tmp_path / "in" / "Quex.txt").write_text("Quex")
    key, out = tmp_path / "key", tmp_path / "out"
    command = ["dicom", "deidentify", str(tmp_path / "in"), str(out), "--key", str(key)]
    status, said, complained = _run(command, capsys, monkeypatch)
    assert (status, said) == (2, "")
    assert "--new-key" in complained
    assert not out.exists()
    status, said, complained = _run([*command, "--new-key", "--json"], capsys, monkeypatch)
    done = json.loads(said)
    assert (status, done["num_written"], done["num_refused"], complained) == (0, 1, 1, "")
    status, said, _ = _run(command, capsys, monkeypatch)
    assert status == 0
    assert "refused file 1" in said
    assert "Quex" not in said
    os.chmod(key, 0o644)
    status, said, complained = _run(command, capsys, monkeypatch)
    assert (status, said) == (2, "")
    assert "chmod 600" in complained
