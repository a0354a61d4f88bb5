"""A DICOM object without who the patient is, made anew from what may be kept; PS3.15 annex E.

Basic Application Level Confidentiality Profile with these options: Retain Longitudinal Temporal Information with
Modified Dates, Retain Patient Characteristics, Retain Safe Private, Clean Structured Content, Clean Graphics. What the
pixels show is not looked at here: see `burned_in`.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from mainstem.core.errors import InputError
from mainstem.data.medical.deidentify_cleaner import Cleaner
from mainstem.data.medical.deidentify_key import Key
from mainstem.data.medical.deidentify_names import identities
from mainstem.data.medical.deidentify_pixels import clean_pixels

IMPLEMENTATION_UID = "2.25.204914376138154216937203561847290118236"  # Mainstem's own, PS3.7 D.3.3.2
IMPLEMENTATION = "MAINSTEM"
METHOD = ["Mainstem: PS3.15 table E.1-1 (2026c), lists of what is kept", "dates moved, UIDs and IDs by keyed hash"]
PATIENT = ("PatientID", "StudyInstanceUID", "SOPInstanceUID")  # the first there is tells patients apart
CODES = {  # CID 7050
    "113100": "Basic Application Confidentiality Profile",
    "113103": "Clean Graphics Option",
    "113104": "Clean Structured Content Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113111": "Retain Safe Private Option",
}


def deidentify(dataset: Dataset, key: Key) -> Dataset:
    """Make a dataset, with file meta, without who the patient is; what is given is not changed.

    The same key gives the same result, and what it once made stays as it is. Who stores pixels asks `burned_in` too.

    Raises:
        InputError: if it is no object of a patient (no SOP class and instance), or cannot be cleaned.
    """
    with quiet():
        if not (_text(dataset, "SOPClassUID") and _text(dataset, "SOPInstanceUID")):
            raise InputError("no SOP class and instance UID; want a DICOM object of a patient")
        patient = next(text for name in PATIENT if (text := _text(dataset, name)))
        try:
            clean = Cleaner(key, key.days(patient), identities(dataset)).cleaned(dataset)
        except RecursionError:
            raise InputError("its sequences are nested too deep; want what a device writes") from None
        _declare(clean, key.patient(patient))
        clean.file_meta = _file_meta(dataset, clean)
        clean.preamble = bytes(128)
        clean_pixels(clean, dataset)
    return clean


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from telling values in warnings and logs while files that may name patients are handled."""
    log = logging.getLogger("pydicom")
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before


def _text(dataset: Dataset, name: str) -> str:
    """A value as text without padding; empty where it is absent or cannot be read."""
    try:
        return str(dataset.get(name) or "").strip(" \0")
    except Exception:  # pydicom converts when asked, and fails in many ways on bad bytes
        return ""


def _declare(clean: Dataset, patient: str) -> None:
    """Say whose it is by pseudonym, and what was done (PS3.15 E.1.1)."""
    clean.PatientID = clean.PatientName = patient
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.LongitudinalTemporalInformationModified = "MODIFIED"
    clean.DeidentificationMethodCodeSequence = Sequence([_code(value, text) for value, text in CODES.items()])


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _file_meta(dataset: Dataset, clean: Dataset) -> FileMetaDataset:
    """File meta information of nothing but what must be there: no titles, no addresses, no private information."""
    old = getattr(dataset, "file_meta", None) or Dataset()
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = UID(_text(old, "TransferSyntaxUID") or ExplicitVRLittleEndian)
    meta.ImplementationClassUID, meta.ImplementationVersionName = UID(IMPLEMENTATION_UID), IMPLEMENTATION
    if not meta.TransferSyntaxUID.is_transfer_syntax or meta.TransferSyntaxUID.is_private:
        raise InputError("its transfer syntax is none of the standard; convert it first")
    return meta
