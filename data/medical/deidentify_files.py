"""De-identifies a file, a folder or a zip into a folder whose names are made of the new UIDs alone."""

import hashlib
import importlib.util
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.files import write_atomically
from mainstem.core.outputs import check_parent
from mainstem.core.progress import Progress, silent
from mainstem.data.medical.deidentify_key import Key
from mainstem.data.medical.deidentify_worker import CLEAN, REFUSED, Answer, Worker, running

QUARANTINE = "quarantine"
MAX_BYTES = 1 << 30  # of one file
MAX_FILES = 100_000
MAX_ZIP_BYTES, MAX_ZIP_RATIO = 8 << 30, 100
NOTE = "research use only; faces, handwriting and lettering in the pixels are not removed"


@dataclass(frozen=True)
class _Entry:
    """A file that is asked for: its path below what was given, and its bytes, or why they are not read."""

    path: str
    read: Callable[[], bytes]
    reason: str = ""


@dataclass
class _Report:
    """What became of which file; of names there are only hashes."""

    num_written: int = 0
    num_duplicates: int = 0
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """The report as JSON."""
        counts = {"num_quarantined": len(self.quarantined), "num_refused": len(self.refused)}
        return {**vars(self), **counts, "reasons": dict(Counter(each["reason"] for each in self.refused)), "note": NOTE}


def deidentify_tree(source: Path, out: Path, key: Key, progress: Progress = silent) -> dict[str, Any]:
    """De-identify every DICOM file; what may show text goes to OUT/quarantine, and what is none is refused.

    Files are OUT/study/series/instance.dcm by their new UIDs, each written whole or not at all.

    Returns:
        Counts, and for each file quarantined or refused its number in the order of names, a keyed hash of its name
        and the reason.

    Raises:
        InputError: if there is nothing to read, or one of the two lies in the other.
        MissingExtraError: if pydicom or dicom-anonymizer is absent.
    """
    _check_libraries()
    _check_apart(source, out)
    entries = list(_zip_entries(source) if zipfile.is_zipfile(source) else _entries(source))
    if not entries:
        raise InputError(f"no files in {source}; name DICOM files, a folder of them or a zip")
    report, written = _Report(), dict[str, bytes]()
    with running(key) as worker:
        for number, entry in enumerate(entries, 1):
            progress(f"file {number} of {len(entries)}", number / len(entries))
            answer = _answer(entry, worker)
            if answer.state != REFUSED:
                answer = _written(answer, out, written, report)
            if answer.state == REFUSED:
                name = key.file_name(entry.path)
                report.refused.append({"number": number, "name": name, "reason": answer.reason})
    return report.told()


def _written(answer: Answer, out: Path, written: dict[str, bytes], report: _Report) -> Answer:
    """Write a copy where it belongs; one of an instance that was written before is refused unless it is the same."""
    name, digest = "/".join(answer.uids) + ".dcm", hashlib.sha256(answer.data).digest()
    if name in written:
        report.num_duplicates += written[name] == digest
        return answer if written[name] == digest else Answer(REFUSED, "another file of its SOP instance UID differs")
    written[name] = digest
    if answer.state == CLEAN:
        write_atomically(out / name, answer.data)
        report.num_written += 1
    else:
        (out / QUARANTINE).mkdir(0o700, parents=True, exist_ok=True)
        write_atomically(out / QUARANTINE / name, answer.data)
        report.quarantined.append({"file": f"{QUARANTINE}/{name}", "reason": answer.reason})
    return answer


def _answer(entry: _Entry, worker: Worker) -> Answer:
    if entry.reason:
        return Answer(REFUSED, entry.reason)
    try:
        return worker.ask(entry.read())
    except (OSError, RuntimeError, zipfile.BadZipFile, NotImplementedError, EOFError):
        return Answer(REFUSED, "it cannot be read")


def _check_libraries() -> None:
    """Look for what the worker imports, or every file would be refused for the lack of it."""
    for module, library in (("pydicom", "pydicom"), ("dicomanonymizer", "dicom-anonymizer")):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(library, "medical")


def _check_apart(source: Path, out: Path) -> None:
    if not source.exists():
        raise InputError(f"no {source}; name DICOM files, a folder of them or a zip")
    inside, around = out.resolve(), source.resolve()
    if inside == around or around in inside.parents or (around.is_dir() and inside in around.parents):
        raise InputError(
            f"{out} and {source} lie in each other; name a folder elsewhere, so that no original is touched"
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder")
    check_parent(out)


def _entries(source: Path) -> Iterator[_Entry]:
    """Files of a folder, or one; links are not followed."""
    paths = sorted(path for path in source.rglob("*") if not path.is_dir()) if source.is_dir() else [source]
    if len(paths) > MAX_FILES:
        raise InputError(f"{len(paths)} files in {source}, want at most {MAX_FILES}; take folders of it one by one")
    for path in paths:
        name = path.relative_to(source).as_posix() if path != source else path.name
        yield _Entry(name, path.read_bytes, _why_not(path, is_given=path == source))


def _why_not(path: Path, is_given: bool) -> str:
    if path.is_symlink() and not is_given:
        return "it is a link"
    if not path.is_file():
        return "it is no plain file"
    return "it is larger than a GiB" if path.stat().st_size > MAX_BYTES else ""


def _zip_entries(source: Path) -> Iterator[_Entry]:
    """Files of a zip; nothing is unpacked to the disk."""
    with zipfile.ZipFile(source) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    total = sum(info.file_size for info in infos)
    if len(infos) > MAX_FILES or total > MAX_ZIP_BYTES:
        raise InputError(f"{source} holds {len(infos)} files of {total / 1e9:.1f} GB; want at most {MAX_FILES} of 8 GB")
    for info in sorted(infos, key=lambda info: info.filename):
        is_bomb = info.file_size > max(1 << 20, MAX_ZIP_RATIO * info.compress_size) or info.file_size > MAX_BYTES
        yield _Entry(info.filename, _reader(source, info), "it unpacks to too much" if is_bomb else "")


def _reader(source: Path, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        with zipfile.ZipFile(source) as archive, archive.open(info) as file:
            return file.read(info.file_size)

    return read
