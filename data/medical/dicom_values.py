"""Values of DICOM tags as numbers, UIDs and words of the standard; never a text that may name a person.

A file may hold a person's name in any tag of text, so that nothing but numbers, well-formed UIDs and words that the
standard itself defines leaves this module; `patient` alone says who it is, to those who make pseudonyms of it.
"""

import hashlib
import math
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODALITIES = _named(  # PS3.3 C.7.3.1.1.1, and those retired that old files hold
    "ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FA FID FS GM HC HD IO IOL "
    "IVOCT IVUS KER KO LEN LP LS MA MG MR MS M3D NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT "
    "PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST "
    "STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC CD CF DD DF DM DS EC"
)
VIEWS = _named("AP PA LL RL RLD LLD RLO LLO CC MLO ML LM LMO XCCL XCCM FB SIO ISO")  # PS3.3 C.8.1.3.1, CID 4014
POSITIONS = _named("HFP HFS HFDR HFDL FFDR FFDL FFP FFS")  # PS3.3 C.7.3.1.1.2
SEXES = _named("M F O")
LATERALITIES = _named("L R U B")
BODY_PARTS = _named(  # PS3.16 annex L, those that are common
    "ABDOMEN BRAIN BREAST CHEST HEAD HEART LUNG NECK PELVIS SKULL SPINE CSPINE TSPINE LSPINE WHOLEBODY LIVER PROSTATE "
    "EXTREMITY HAND FOOT KNEE HIP SHOULDER ELBOW WRIST ANKLE"
)
SEGMENTATIONS: Mapping[str, str] = {  # PS3.4 B.5, without " Storage"; pydicom 3.0 has no name for the second
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation",
}
MASKS: Mapping[str, str] = {**SEGMENTATIONS, "1.2.840.10008.5.1.4.1.1.481.3": "RT Structure Set"}
PHOTOMETRIC = _named(
    "MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_PARTIAL_422 YBR_PARTIAL_420 YBR_ICT YBR_RCT"
) | {"PALETTE COLOR"}
RESCALE_TYPES = _named("HU HU_MOD OD US MGML Z_EFF ED EDW PCT")  # PS3.3 C.11.1.1.2
WINDOW_WORDS = _named(
    "BRAIN BONE LUNG ABDOMEN MEDIASTINUM SOFT TISSUE LIVER HEAD SPINE CHEST ANGIO NORMAL HARDER SOFTER STANDARD "
    "WINDOW WINDOW1 WINDOW2 WINDOW3 USER ALGO1 ALGO2"
)
OVERLAYS = range(0x6000, 0x6020, 2)  # groups of overlays, PS3.5 section 7.6
UID_FORM = re.compile(r"[0-9]+(\.[0-9]+)+")  # PS3.5 section 9.1; leading zeros are met and harm nothing
MOST_STRUCTURES = 1000  # of one file; atlases of the whole body and of the brain name some 200
YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}  # PS3.5 table 6.2-1, AS


def value(dataset: "Dataset", keyword: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """A tag's value; None where it is absent or empty.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        found = dataset.get(keyword)
    except Exception as error:  # of damaged values pydicom raises what its conversion met
        raise InputError(f"{keyword} cannot be read ({type(error).__name__}); the file is damaged") from error
    return None if found is None or (hasattr(found, "__len__") and len(found) == 0) else found


def item(dataset: "Dataset", keyword: str, index: int = 0) -> "Dataset | None":
    """An item of a sequence; None where it is not there."""
    from pydicom.sequence import Sequence

    found = value(dataset, keyword)
    return found[index] if isinstance(found, Sequence) and len(found) > index else None


def numbers(dataset: "Dataset | None", keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """Finite numbers of a tag; None where it is absent, or holds another count or none.

    Raises:
        InputError: if it cannot be read.
    """
    found = None if dataset is None else value(dataset, keyword)
    if found is None:
        return None
    many = found if hasattr(found, "__iter__") and not isinstance(found, str | bytes) else [found]
    try:
        read = tuple(float(one) for one in many)
    except (TypeError, ValueError) as error:
        raise InputError(f"{keyword} is no number; the file is damaged") from error
    return read if all(map(math.isfinite, read)) and count in (None, len(read)) else None


def number(dataset: "Dataset | None", keyword: str) -> float | None:
    """The first finite number of a tag; None where there is none."""
    read = numbers(dataset, keyword)
    return read[0] if read else None


def whole(dataset: "Dataset", keyword: str, default: int | None = None) -> int:
    """A whole number that an image must have.

    Raises:
        InputError: if it is absent and has no default, or is no whole number.
    """
    found = value(dataset, keyword)
    if found is None:
        if default is None:
            raise InputError(f"{keyword} is absent; an image has it")
        return default
    try:
        read = int(found)
    except (TypeError, ValueError) as error:
        raise InputError(f"{keyword} is no whole number; the file is damaged") from error
    return read


def word(dataset: "Dataset", keyword: str, known: Collection[str]) -> str | None:
    """A tag's word where it is one of those known; None else."""
    found = value(dataset, keyword)
    text = str(found).strip().upper() if found is not None else ""
    return text if text in known else None


def words(dataset: "Dataset", keyword: str) -> tuple[str, ...]:
    """A tag's words, to be compared and never shown."""
    found = value(dataset, keyword)
    return () if found is None else (str(found),) if isinstance(found, str) else tuple(str(one) for one in found)


def uid(dataset: "Dataset", keyword: str) -> str:
    """A UID; where it is malformed, a name made from it that shows nothing of it; "" where absent."""
    text = str(value(dataset, keyword) or "").strip().strip("\0")
    if not text or (len(text) <= 64 and UID_FORM.fullmatch(text)):
        return text
    return f"malformed-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


def age_years(dataset: "Dataset") -> float | None:
    """PatientAge in years; None where it is absent or malformed."""
    text = str(value(dataset, "PatientAge") or "").strip().upper()
    found = re.fullmatch(r"([0-9]{1,3})([YMWD])", text)
    return round(int(found[1]) * YEARS[found[2]], 3) if found else None


def patient(dataset: "Dataset") -> str:
    """PatientID, and behind ^^^ who issued it where the file says so, as HL7 writes both (v2.9, CX); "" where absent.

    It is an identifier: for pseudonyms to be made of, never to be shown, logged or written.
    """
    number, issuer = _identifier(dataset, "PatientID"), _identifier(dataset, "IssuerOfPatientID")
    return f"{number}^^^{issuer}" if number and issuer else number


def _identifier(dataset: "Dataset", keyword: str) -> str:
    with suppress(InputError):
        return str(value(dataset, keyword) or "").strip(" \0").encode("utf-8", "replace").decode()
    return ""


def is_named(dataset: "Dataset", name: str) -> bool:
    """True where a file or structure is called by a part of the patient's name or number as its tags say them."""
    told = []
    for keyword in ("PatientName", "PatientID", "OtherPatientIDs"):
        with suppress(InputError):
            told.append(str(value(dataset, keyword) or "").lower())
    parts = re.findall(r"[^\W_]{3,}", " ".join(told))
    return any(part in name.lower() for part in parts)


def by_number(dataset: "Dataset", sequence: str, number: str) -> "dict[int, Dataset]":
    """Items of a sequence by the number that each has.

    Raises:
        InputError: if there are too many, or two have one number.
    """
    items = value(dataset, sequence) or ()
    if len(items) > MOST_STRUCTURES:
        raise InputError(f"{len(items)} structures, want at most {MOST_STRUCTURES}; split the file")
    found: dict[int, Dataset] = {}
    for one in items:
        if (own := whole(one, number)) in found:
            raise InputError(f"two structures of number {own}, so that their names are not known; the file is damaged")
        found[own] = one
    return found


def names_by_number(dataset: "Dataset", sequence: str, number: str, name: str) -> dict[int, str]:
    """What structures are called; those whose names hold the patient's own, or nothing, by their number.

    Raises:
        InputError: as `by_number`.
    """
    told = {own: str(value(one, name) or "").strip() for own, one in by_number(dataset, sequence, number).items()}
    return {own: said if said and not is_named(dataset, said) else numbered(own) for own, said in told.items()}


def numbered(number: int) -> str:
    """A name for what has none that may be shown."""
    return f"structure {number}"


def patient_sha256(dataset: "Dataset") -> str:
    """Hash of who the patient is (number, name, date of birth), to be compared within one reading and never shown."""
    told = []
    for keyword in ("PatientID", "PatientName", "PatientBirthDate"):
        try:
            told.append(str(value(dataset, keyword) or "").rstrip("^ \0").strip())
        except InputError as error:
            told.append(f"\0{error}")
    return hashlib.sha256("\1".join(told).encode("utf-8", "replace")).hexdigest()


def class_name(sop_class: str) -> str:
    """The standard's name of a kind of object, without " Storage"; of one that it does not know, no name."""
    from pydicom._uid_dict import UID_dictionary

    named: str = UID_dictionary[sop_class][0] if sop_class in UID_dictionary else "unknown object"
    return MASKS.get(sop_class, named.removesuffix(" Storage"))
