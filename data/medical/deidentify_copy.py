"""The de-identified copy of a file's bytes, and where it may go; runs in the worker of `dicom_worker`."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mainstem.core.errors import InputError, MainstemError
from mainstem.data.medical.deidentify_key import Key

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_DECLARED = 4 << 30  # bytes of pixels
CLEAN, QUARANTINED, REFUSED = "clean", "quarantined", "refused"


@dataclass(frozen=True)
class Answer:
    """What became of a file: the bytes of its de-identified copy, where they may go, and why not."""

    state: str
    reason: str = ""
    uids: tuple[str, ...] = ()  # of study, series and instance, new
    data: bytes = b""


def examine(data: bytes, key: Key) -> Answer:
    """De-identify the bytes of a file; nothing that it holds is told in the reason."""
    try:
        return _examined(data, key)
    except MainstemError as error:
        return Answer(REFUSED, str(error))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decoders written in Rust raise what is no Exception
        return Answer(REFUSED, f"it is damaged ({type(error).__name__})")


def _examined(data: bytes, key: Key) -> Answer:
    from pydicom.uid import UID

    from mainstem.data.medical.burned_in import told_by_header
    from mainstem.data.medical.deidentify import deidentify, quiet
    from mainstem.data.medical.deidentify_bulk import doubt_about
    from mainstem.data.medical.dicom_files import is_directory, read_dataset

    with quiet():
        dataset, _ = read_dataset(io.BytesIO(data), with_pixels=True, needs_preamble=True)
        if is_directory(dataset):
            raise InputError("it is a directory of files (DICOMDIR), not an object")
        clean = deidentify(dataset, key)
        _check_size(clean)
        reason = told_by_header(dataset) or doubt_about(clean, dataset) or _seen(clean)
        written = io.BytesIO()
        clean.save_as(written, enforce_file_format=True)
    uids = [str(clean.get(name) or "none") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    if not all(UID(uid).is_valid or uid == "none" for uid in uids):
        raise InputError("its UIDs are none")
    return Answer(QUARANTINED if reason else CLEAN, reason, tuple(uids), written.getvalue())


def _check_size(dataset: "Dataset") -> None:
    """Refuse pixels that no memory holds before they are decoded."""
    numbers = [int(dataset.get(name) or 1) for name in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
    declared = int(dataset.get("BitsAllocated") or 8) // 8
    for number in numbers:
        declared *= number
    if "Rows" in dataset and declared > MAX_DECLARED:
        raise InputError(f"it declares {declared / 1e9:,.0f} GB of pixels")


def _seen(dataset: "Dataset") -> str:
    """Why what its pixels show may name somebody; empty where they do not."""
    from mainstem.data.medical.burned_in import VIDEO, frames_of, text_in

    if str(dataset.file_meta.TransferSyntaxUID).startswith(VIDEO):
        return "video"
    try:
        return "text in the pixels" if any(text_in(frame) for frame in frames_of(dataset)) else ""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # of many kinds, and some no Exception
        return "pixels that cannot be decoded, and so not searched for text"
