"""Files of one SOP instance UID: a copy, or another picture that came by the same UID."""

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_process import worker
from mainstem.data.medical.dicom_slices import Slice


def said_of_twin(one: Slice, first: Slice) -> str:
    """Why a file is refused whose SOP instance UID another has: a copy is the same in all that is read of it."""
    if (one.patient, one.header) == (first.patient, first.header) and _digest(one) == _digest(first):
        return f"a copy of {first.place.name}"
    return (
        f"another picture with the same SOP instance UID as {first.place.name}, or the same one written otherwise; "
        "ask for both again"
    )


def _digest(one: Slice) -> str:
    """Hash of the bytes of a file's pixels; of one that cannot be read again, the hash of none."""
    pixels = one.header.rows * one.header.columns * one.header.num_frames
    try:
        told, _ = worker().answer("digest", one.place, {}, pixels)
    except InputError:
        return one.place.name
    return str(told["sha256"])
