"""Files that mean harm or are broken: refused by name, in time, in little memory, without a patient's name."""

import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import data_store
import numpy as np
import pydicom.data as pydicom_data
import pytest
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.sequence import Sequence
from tests.data.medical.dicom_made import made_slice, written

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_process, dicom_worker
from mainstem.data.medical.archives import MOST_ENTRIES, Place
from mainstem.data.medical.dicom_describe import describe, lines_of
from mainstem.data.medical.dicom_process import Worker, worker
from mainstem.data.medical.dicom_series import find_series

FILES = Path(pydicom_data.__file__).parent / "test_files"
STORE = Path(data_store.__file__).parent / "data"
DOZEN = (
    FILES / "CT_small.dcm", FILES / "MR_small_RLE.dcm", FILES / "MR_small_jp2klossless.dcm", FILES / "image_dfl.dcm",
    FILES / "MR_small_jpeg_ls_lossless.dcm", FILES / "JPGExtended.dcm", FILES / "SC_rgb_jpeg_dcmtk.dcm",
    FILES / "SC_rgb_jpeg_gdcm.dcm", FILES / "rtdose.dcm", FILES / "examples_palette.dcm",
    FILES / "SC_rgb_rle_2frame.dcm", STORE / "emri_small_jpeg_2k_lossless.dcm",
)  # fmt: skip
LONGEST_S = 2.0
CANARY = "Zzyzx^Quillon"
FLAT = np.arange(12, dtype=np.int16).reshape(3, 4)
HEADERS = 3000  # bytes at the beginning in which mutations tell most


def reasons(path: Path) -> list[str]:
    found = find_series(path)
    assert not found.series
    return [one.reason for one in found.refused]


def saved(path: Path, dataset: FileDataset) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    "beginning", [b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xca\xfe\xba\xbe"]
)
def test_programs_in_the_preamble_are_refused(tmp_path, beginning):
    path = saved(tmp_path / "a.dcm", made_slice(FLAT))
    data = path.read_bytes()
    path.write_bytes(beginning + data[len(beginning) :])
    assert "begins as a program" in reasons(path)[0]


def test_a_dicomdir_is_refused_and_follows_no_path():
    assert "a DICOMDIR" in reasons(FILES / "dicomdirtests" / "DICOMDIR")[0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("waveform_ecg.dcm", "12-lead ECG Waveform: no image"),
        ("test-SR.dcm", "Comprehensive SR: no image"),
        ("rtplan.dcm", "RT Plan: no image"),
        ("rtstruct.dcm", "RT Structure Set: no image"),
        ("rtplan_truncated.dcm", "RT Plan: no image"),
        ("README.txt", "no DICOM file"),
    ],
)
def test_what_is_no_image_is_refused_by_its_name(name, kind):
    assert kind in reasons(FILES / name)[0]


def test_an_encapsulated_document_is_refused_by_its_name(tmp_path):
    document = made_slice(FLAT, sop_class="1.2.840.10008.5.1.4.1.1.104.1", modality="DOC")
    for keyword in ("Rows", "Columns", "BitsAllocated", "PixelData"):
        delattr(document, keyword)
    document.EncapsulatedDocument = b"%PDF-1.7"
    assert "Encapsulated PDF: no image" in reasons(saved(tmp_path / "a.dcm", document))[0]


def test_a_header_of_65535_squared_is_refused_before_anything_is_decoded(tmp_path):
    image = made_slice(FLAT)
    image.Rows = image.Columns = 65535
    image.NumberOfFrames = 1000
    assert "declares 1000 frames of 65535 x 65535" in reasons(saved(tmp_path / "a.dcm", image))[0]


def test_a_deflate_bomb_is_refused_and_a_deflated_image_is_read(tmp_path):
    image = made_slice(FLAT)
    plain = BytesIO()
    image.PixelData = image.PixelData + bytes(100 << 20)
    image.save_as(plain, enforce_file_format=True)
    inner = plain.getvalue()[128 + 4 :]
    meta = dcmread(BytesIO(plain.getvalue()), stop_before_pixels=True).file_meta
    body = inner[12 + meta.FileMetaInformationGroupLength :]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    out = BytesIO(b"")
    out.write(bytes(128) + b"DICM")
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    write_file_meta_info(out, meta)
    out.write(packer.compress(body) + packer.flush())
    bomb = tmp_path / "a.dcm"
    bomb.write_bytes(out.getvalue())
    assert bomb.stat().st_size < 200_000
    assert "deflated data grow beyond" in reasons(bomb)[0]
    (series,) = find_series(FILES / "image_dfl.dcm").series
    assert series.frame(0).shape == (512, 512)


def zipped(path: Path, entries: dict[str, bytes], compress: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_a_zip_reads_as_its_folder(tmp_path):
    folder = written(tmp_path / "a", [made_slice(FLAT + k, position=(0.0, 0.0, float(k))) for k in range(3)])
    path = zipped(tmp_path / "a.zip", {f"s/{file.name}": file.read_bytes() for file in folder.iterdir()})
    (from_zip,), (from_folder,) = find_series(path).series, find_series(folder).series
    np.testing.assert_array_equal(from_zip.stream().values, from_folder.stream().values)
    assert from_zip.pixel_sha256() == from_folder.pixel_sha256()


def test_zips_that_mean_harm_are_refused_whole(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    cases = {
        tmp_path / "link.zip": "links",
        zipped(tmp_path / "slip.zip", {"../a.dcm": b"x"}): "outside",
        zipped(tmp_path / "root.zip", {"/a.dcm": b"x"}): "outside",
        zipped(tmp_path / "back.zip", {"..\\a.dcm": b"x"}): "outside",
        zipped(tmp_path / "bomb.zip", {"a.dcm": bytes(50 << 20)}): "grow more than 100 times",
        zipped(
            tmp_path / "many.zip", dict.fromkeys(map(str, range(MOST_ENTRIES + 1)), b""), zipfile.ZIP_STORED
        ): "entries",
    }
    for path, reason in cases.items():
        with pytest.raises(InputError, match=reason):
            find_series(path)
    cut = tmp_path / "cut.zip"
    cut.write_bytes((tmp_path / "slip.zip").read_bytes()[:40])
    with pytest.raises(InputError, match="damaged zip"):
        find_series(cut)


def test_links_in_a_folder_are_not_followed(tmp_path):
    folder = written(tmp_path / "a", [made_slice(FLAT)])
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "etc").symlink_to("/etc")
    found = find_series(folder)
    assert len(found.series) == 1
    assert [one.reason for one in found.refused] == ["a link; give the file itself"] * 2


def test_a_file_that_changed_since_it_was_listed_is_not_shown_as_the_old_one(tmp_path):
    path = saved(tmp_path / "a.dcm", made_slice(FLAT))
    (series,) = find_series(path).series
    saved(path, made_slice(FLAT, number=2))
    with pytest.raises(InputError, match="changed since"):
        series.frame(0)


def ended(process: subprocess.Popen[bytes], code: int) -> None:
    for each in (code, signal.SIGCONT):
        process.send_signal(each)


def test_a_decoder_that_aborts_or_hangs_ends_its_process_and_the_next_file_is_read(tmp_path, monkeypatch):
    good = saved(tmp_path / "a.dcm", made_slice(FLAT))
    own = Worker("mainstem.data.medical.dicom_worker", dicom_process.MOST_ANSWER)
    place = Place(path=good, name="a.dcm")
    own.answer("header", place, {"name": "a.dcm"})
    for code, message in ((signal.SIGABRT, "signal 6"), (signal.SIGSEGV, "signal 11"), (None, "out of time")):
        process = own.process
        process.send_signal(signal.SIGSTOP)  # it takes the request, and answers no more
        if code is not None:
            threading.Timer(0.2, ended, (process, code)).start()
        monkeypatch.setattr(dicom_process, "IDLE", 15.0 if code is not None else 0.1)
        with pytest.raises(InputError, match=f"a.dcm: .*{message}"):
            own.answer("header", place, {"name": "a.dcm"})
        monkeypatch.setattr(dicom_process, "IDLE", 15.0)
        head, _ = own.answer("header", place, {"name": "a.dcm"})
        assert head["header"]["rows"] == 3
        assert process.poll() is not None
    own.stop()


def test_the_worker_has_limits_of_its_own():
    code = "from mainstem.data.medical import dicom_worker as w\n"
    ran = subprocess.run([sys.executable, "-c", code + "w._limit_seconds(0.1)\nwhile True: pass"], timeout=60)
    assert ran.returncode == -signal.SIGXCPU
    ran = subprocess.run(
        [sys.executable, "-c", code + "w._limit_memory()\nbytearray(2 * w.MOST_MEMORY)"], capture_output=True, text=True
    )
    assert "MemoryError" in ran.stderr


class PanicException(BaseException):
    """As Rust's, which is no Exception."""


@pytest.mark.parametrize(
    "error", [PanicException(CANARY), ValueError(CANARY), RecursionError(CANARY), MemoryError(CANARY)]
)
def test_whatever_a_decoder_raises_is_one_refusal_without_its_words(monkeypatch, error):
    def fail(request: object) -> None:
        raise error

    monkeypatch.setattr(dicom_worker, "DO", {"fail": fail})
    head, array = dicom_worker._answer({"do": "fail"})
    assert array is None
    assert "Zzyzx" not in json.dumps(head)
    assert type(error).__name__ in head["refused"] or "memory" in head["refused"]


TEXTS = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
KEPT = {"PhotometricInterpretation", "TransferSyntaxUID", "SpecificCharacterSet"}


def planted() -> FileDataset:
    """A slice with the canary in every tag of text that DICOM knows, and nested."""
    image = made_slice(FLAT)
    nested = Dataset()
    for tag, (kind, *_) in DicomDictionary.items():
        keyword = keyword_for_tag(tag)
        if kind in TEXTS and keyword and keyword not in KEPT and tag >> 16 not in (0, 2, 4) and tag < 0x60000000:
            for dataset in (image, nested):
                dataset.add_new(tag, kind, CANARY[:16] if kind in ("AE", "CS", "SH", "AS") else CANARY)
    image.WindowCenter, image.WindowWidth, image.WindowCenterWidthExplanation = 40, 80, CANARY
    image.OtherPatientIDsSequence = Sequence([nested])
    return image


def test_a_canary_in_every_text_tag_is_said_nowhere(tmp_path, capfd, caplog):
    image = planted()
    assert sum(CANARY[:12] in str(element.value) for element in image) > 1000
    folder = tmp_path / "a"
    folder.mkdir()
    saved(folder / "zzyzx_head.dcm", image)
    for keyword, value in (("NumberOfFrames", "9"), ("BitsAllocated", 12), ("RescaleSlope", 0), ("Rows", 7)):
        broken = planted()
        setattr(broken, keyword, value)
        broken.SOPInstanceUID = f"1.2.3.{len(keyword)}"
        saved(folder / f"quillon_{keyword}.dcm", broken)
    broken = saved(tmp_path / "b.dcm", planted()).read_bytes().replace(b"RescaleSlope", b"").replace(b"2.0 ", b"Zzyz")
    (folder / "c.dcm").write_bytes(broken)
    capfd.readouterr()
    caplog.clear()  # pydicom says in words of its own what was planted, in this process alone
    found = describe(folder)
    said = json.dumps(found) + "\n".join(lines_of(found))
    (series,) = find_series(folder).series
    said += repr(series) + repr(series.window_presets()) + repr(find_series(folder).refused)
    with pytest.raises(InputError) as raised:
        series.frame(7)
    captured = capfd.readouterr()
    said += str(raised.value) + captured.out + captured.err + caplog.text
    assert len(found["refused"]) == 5
    assert "zzyz" not in said.lower()
    assert "quillon" not in said.lower()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes cut, changed, taken out, put in or set to what lengths fear."""
    found = bytearray(data)
    most = min(len(found), HEADERS) if rng.random() < 0.6 else len(found)
    how = rng.randrange(5)
    if how == 0:
        return bytes(found[: rng.randrange(len(found))])
    for _ in range(rng.randrange(1, 12) if how in (1, 4) else 1):
        at = rng.randrange(132, most - 4)
        if how == 1:
            found[at] = rng.randrange(256)
        elif how == 2:
            found[at : at + rng.randrange(1, 64)] = b""
        elif how == 3:
            found[at:at] = rng.randbytes(rng.randrange(1, 64))
        else:
            found[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\0\0", b"\x7f\xff\xff\xff"))
    return bytes(found)


def survive(folder: Path, seeds: range) -> dict[str, float]:
    """Read mutations; count what came of them, raising whatever is no refusal."""
    path = folder / "m.dcm"
    counts = {"read": 0.0, "refused": 0.0, "ended": 0.0, "longest_s": 0.0}
    worker().answer("header", Place(path=DOZEN[0], name="CT_small.dcm"), {"name": ""})
    for seed in seeds:
        path.write_bytes(mutated(DOZEN[seed % len(DOZEN)].read_bytes(), random.Random(seed)))
        process, begin = worker().process, time.monotonic()
        try:
            found = find_series(path)
            for series in found.series:
                for index in range(min(len(series), 3)):
                    series.frame(index)
            counts["refused" if found.refused else "read"] += 1
        except InputError:
            counts["refused"] += 1
        counts["ended"] += worker().process is not process
        counts["longest_s"] = max(counts["longest_s"], time.monotonic() - begin)
    return counts


def test_mutations_of_a_dozen_files_are_read_or_refused(tmp_path):
    counts = survive(tmp_path, range(300))
    assert counts["read"] + counts["refused"] == 300
    assert counts["read"] > 30
    assert counts["longest_s"] <= LONGEST_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of this process, which decodes nothing
    assert peak < 4 << 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutations_end_no_process_of_ours(tmp_path):
    counts = survive(tmp_path, range(1000, 11000))
    assert counts["read"] + counts["refused"] == 10_000
    assert counts["longest_s"] <= LONGEST_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
