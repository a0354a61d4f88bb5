"""Whether bulk data other than pixels may tell who somebody is: recordings, and tables of letters, not numbers."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from mainstem.data.medical import deidentify_rules as rules
from mainstem.data.medical.deidentify_names import elements, identities
from mainstem.data.medical.dicom_windows import lut_entries

ECGS = tuple(f"1.2.840.10008.5.1.4.1.1.9.1.{number}" for number in (1, 2, 3, 4))  # PS3.4 table B.5-1
LEADS = {"MDC": r"2:\d{1,3}", "SCPECG": r"5\.6\.3-9-\d{1,3}"}  # PS3.16 CID 3001, as it is and as it was
FASTEST_ECG_HZ = 1000  # PS3.3 A.34.3.4.6; a voice needs more
MEASURED = (1e-6, 1e5)  # sizes of coordinates in mm; letters read as numbers are seldom of them
COORDINATES = {"PointCoordinatesData": "f4", "DoublePointCoordinatesData": "f8", "VectorGridData": "f4"}
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def doubt_about(clean: Dataset, old: Dataset) -> str:
    """Why bulk data that were kept may name somebody; empty where they do not.

    Args:
        clean: de-identified, with file meta.
        old: what it was made of, whose names are looked for.
    """
    if old.get("WaveformSequence") and not _is_ecg(old):
        return "a recording that is no electrocardiogram"
    known, order = identities(old), "<" if clean.file_meta.TransferSyntaxUID.is_little_endian else ">"
    for item, element in _bulk_of(clean):
        if isinstance(element.value, bytes) and known.are_bytes(element.value):
            return "a name in bulk data"
        if element.keyword == "LUTData" and not _is_curve(lut_entries(item, order)):
            return "a lookup table that is no curve"
        if element.keyword in COORDINATES and not _are_sizes(element.value, order + COORDINATES[element.keyword]):
            return "coordinates of no size that is measured"
    return ""


def _bulk_of(dataset: Dataset) -> Iterator[tuple[Dataset, DataElement]]:
    """Bulk data at any depth but pixels, each with the item that holds it."""
    for element in elements(dataset):
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _bulk_of(item)
        elif rules.bulk_parents(int(element.tag)) and element.keyword not in PIXELS and element.value:
            yield dataset, element


def _is_ecg(dataset: Dataset) -> bool:
    """True for an electrocardiogram all of whose channels are leads, sampled too slowly for a voice."""
    groups = dataset.WaveformSequence
    return str(dataset.get("SOPClassUID", "")) in ECGS and all(map(_are_leads, groups))


def _are_leads(group: Dataset) -> bool:
    channels = group.get("ChannelDefinitionSequence") or ()
    sources = [source for channel in channels for source in (channel.get("ChannelSourceSequence") or ())[:1]]
    is_told = len(sources) == len(channels) == int(group.get("NumberOfWaveformChannels") or 0) > 0
    is_slow = 0 < float(group.get("SamplingFrequency") or 0) <= FASTEST_ECG_HZ
    return is_told and is_slow and all(map(_is_lead, sources))


def _is_lead(source: Dataset) -> bool:
    wanted = LEADS.get(str(source.get("CodingSchemeDesignator", "")), "(?!)")
    return re.fullmatch(wanted, str(source.get("CodeValue", ""))) is not None


def _is_curve(entries: NDArray[np.int64]) -> bool:
    """True for values that never fall, or never rise."""
    steps = np.diff(entries)
    return len(entries) > 0 and bool((steps >= 0).all() or (steps <= 0).all())


def _are_sizes(data: bytes, kind: str) -> bool:
    sizes = np.abs(np.frombuffer(data, kind))
    return bool(((sizes == 0) | ((sizes >= MEASURED[0]) & (sizes <= MEASURED[1]))).all())
