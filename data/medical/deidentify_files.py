"""De-identifies a file, a folder or a zip into a folder whose names are made of the new UIDs alone."""

import hashlib
import importlib.util
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.files import write_atomically
from mainstem.core.outputs import check_parent
from mainstem.core.progress import Progress, silent
from mainstem.data.medical.archives import Place
from mainstem.data.medical.deidentify_copy import CLEAN, REFUSED, Answer
from mainstem.data.medical.deidentify_key import Key
from mainstem.data.medical.dicom_process import Limits, list_places, worker

QUARANTINE = "quarantine"
CLEANING = Limits(60.0, 0.5e6)  # a frame of 512 x 512 takes 0.2 s to search
NOTE = "research use only; faces, handwriting and lettering in the pixels are not removed"


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
    places = list_places(source)
    if not places:
        raise InputError(f"no files in {source}; name DICOM files, a folder of them or a zip")
    report, written = _Report(), dict[str, bytes]()
    for number, place in enumerate(places, 1):
        progress(f"file {number} of {len(places)}", number / len(places))
        answer = _answer(place, key)
        if answer.state != REFUSED:
            answer = _written(answer, out, written, report)
        if answer.state == REFUSED:
            name = key.file_name(place.name)
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


def _answer(place: Place, key: Key) -> Answer:
    if place.refusal:
        return Answer(REFUSED, f"it is {place.refusal}")
    try:
        told, data = worker().answer("deidentify", place, {"key": key.secret.hex()}, limits=CLEANING)
    except InputError as error:
        return Answer(REFUSED, str(error).removeprefix(f"{place.name}: "))
    return Answer(told["state"], told["reason"], tuple(told["uids"]), b"" if data is None else data.tobytes())


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
