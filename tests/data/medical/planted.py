"""DICOM objects of a patient who never was, with an identifier of its own in every place that may hold one."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID

CT, CR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1"
SR, SEG, RTSTRUCT = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
ROOT = "1.2.826.0.1.3680043.9.7777."
TEXTS_TEXT = """
PatientName PatientID OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress
PatientTelephoneNumbers IssuerOfPatientID MilitaryRank BranchOfService CountryOfResidence RegionOfResidence
PatientReligiousPreference PatientComments AdditionalPatientHistory Occupation EthnicGroup Allergies
MedicalAlerts SpecialNeeds PatientState AdmissionID AdmittingDiagnosesDescription ServiceEpisodeID
CurrentPatientLocation PatientInsurancePlanCodeSequence AccessionNumber StudyID StudyDescription
SeriesDescription ReferringPhysicianName ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers
PhysiciansOfRecord NameOfPhysiciansReadingStudy PerformingPhysicianName OperatorsName RequestingPhysician
InstitutionName InstitutionAddress InstitutionalDepartmentName StationName DeviceSerialNumber DetectorID PlateID
CassetteID GantryID GeneratorID ProtocolName RequestedProcedureDescription PerformedProcedureStepDescription
PerformedProcedureStepID RequestedProcedureID ScheduledProcedureStepID ImageComments FrameComments
DerivationDescription StudyComments ReasonForStudy AcquisitionComments RequestingService ResponsiblePerson
ResponsibleOrganization TextComments ContrastBolusAgent AcquisitionDeviceProcessingDescription
ScheduledStationAETitle RetrieveAETitle BodyPartExamined PatientBirthDateInAlternativeCalendar
TimezoneOffsetFromUTC Manufacturer ClinicalTrialSubjectID ImageType
"""
TEXTS = TEXTS_TEXT.split()
DATES_TEXT = """
StudyDate SeriesDate AcquisitionDate ContentDate InstanceCreationDate AdmittingDate LastMenstrualDate
DateOfLastCalibration PatientBirthDate PerformedProcedureStepStartDate
"""
DATES = DATES_TEXT.split()
DATE_TIMES = ["AcquisitionDateTime", "FrameAcquisitionDateTime"]
UIDS_TEXT = """
StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID DeviceUID IrradiationEventUID TransactionUID
"""
UIDS = UIDS_TEXT.split()
FIRST = date(2019, 2, 3)  # moved by a year at least, all lie before it


@dataclass
class Marks:
    """Identifiers by where they were planted."""

    planted: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(100))
    days: Iterator[int] = field(default_factory=count)

    def text(self, where: str, kind: str = "LO") -> str:
        """One of its own, as its VR writes it."""
        number = next(self.numbers)
        text = {"PN": f"Quüx{number:03d}bert^Vörn{number:03d}ame", "CS": f"QUEX{number:03d}IAN"}.get(
            kind, f"Quex{number:03d}ian"
        )
        self.planted[where] = text
        return text

    def day(self, where: str) -> str:
        """A date of its own."""
        self.planted[where] = (FIRST + timedelta(next(self.days))).strftime("%Y%m%d")
        return self.planted[where]

    def uid(self, where: str) -> str:
        """A UID of its own."""
        self.planted[where] = f"{ROOT}{next(self.numbers)}.20190203.1"
        return self.planted[where]

    def left_in(self, data: bytes) -> list[str]:
        """Where those came from that are anywhere in a file, in any spelling, or in what its parts inflate to."""
        whole = (data + _inflated(data)).lower()
        return [where for where, text in self.planted.items() if any(form in whole for form in _forms(text))]


def _forms(text: str) -> set[bytes]:
    words = [word for word in text.lower().split("^") if word]
    codings = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
    return {word.encode(coding) for word in words for coding in codings}


def _inflated(data: bytes) -> bytes:
    if DEFLATED.encode() not in data[:2048]:
        return b""
    start = 144 + struct.unpack("<L", data[140:144])[0]
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:])


def base(marks: Marks, kind: str, modality: str, syntax: str) -> Dataset:
    """An object with an identifier in every attribute of the lists."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.SOPClassUID, made.Modality = kind, modality
    made.SOPInstanceUID = marks.uid(f"{modality} SOPInstanceUID")
    for name in TEXTS:
        kind_of = dictionary_VR(tag_for_keyword(name))
        where = f"{modality} {name}"
        if kind_of == "SQ":
            setattr(made, name, Sequence([coded(marks.text(f"{where} value", "SH"), "99HOSP", marks.text(where))]))
        elif name == "ImageType":
            made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", marks.text(where, "CS")]
        elif name != "Manufacturer":
            setattr(made, name, marks.text(where, kind_of))
    made.Manufacturer, made.PatientSex, made.PatientAge, made.PatientWeight = "GE MEDICAL SYSTEMS", "F", "093Y", "61.5"
    for name in DATES:
        setattr(made, name, marks.day(f"{modality} {name}"))
    for name in DATE_TIMES:
        setattr(made, name, marks.day(f"{modality} {name}") + "101112.5+0100")
    made.StudyTime, made.PatientBirthTime = "101112", "031415.926535"
    for name in UIDS:
        setattr(made, name, marks.uid(f"{modality} {name}"))
    _nest(made, marks, modality)
    _hide(made, marks, modality)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(marks.uid(f"{modality} ImplementationClassUID"))
    meta.ImplementationVersionName = marks.text(f"{modality} ImplementationVersionName", "SH")
    for name in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle"):
        setattr(meta, name, marks.text(f"{modality} {name}", "AE"))
    made.file_meta = meta
    made.preamble = marks.text(f"{modality} preamble").encode().ljust(128, b"\0")
    return made


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    """A coded entry."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _nest(made: Dataset, marks: Marks, modality: str) -> None:
    """Names in sequences of sequences, and a meaning of a standard's code that somebody typed."""
    inner, outer, code = Dataset(), Dataset(), coded("113100", "DCM", marks.text(f"{modality} CodeMeaning"))
    inner.PatientName = marks.text(f"{modality} nested PatientName", "PN")
    inner.StudyDate = marks.day(f"{modality} nested StudyDate")
    inner.TextValue = marks.text(f"{modality} nested TextValue", "UT")
    outer.ReferencedStudySequence = Sequence([inner])
    outer.ScheduledProcedureStepDescription = marks.text(f"{modality} nested step")
    made.RequestAttributesSequence = Sequence([outer])
    made.ReferencedImageSequence = Sequence([inner])
    made.ProcedureCodeSequence = Sequence([code])


def _hide(made: Dataset, marks: Marks, modality: str) -> None:
    """Private attributes, one in a safe place with an unsafe kind; labels of overlays and curves; padding."""
    block = made.private_block(0x0009, "ACME 1.0", create=True)
    block.add_new(0x01, "LO", marks.text(f"{modality} private LO"))
    block.add_new(0x02, "UN", marks.text(f"{modality} private UN").encode())
    block.add_new(0x03, "OB", marks.text(f"{modality} private OB").encode("utf-16-le"))
    siemens = made.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    siemens.add_new(0x0C, "IS", "1000")
    siemens.add_new(0x0E, "LO", marks.text(f"{modality} private in a safe place").ljust(16))  # FD where implicit
    siemens.add_new(0x08, "CS", marks.text(f"{modality} private CS", "CS"))
    made.add_new(0x60000022, "LO", marks.text(f"{modality} OverlayDescription"))
    made.add_new(0x60001500, "LO", marks.text(f"{modality} OverlayLabel"))
    made.add_new(0x50000022, "LO", marks.text(f"{modality} CurveDescription"))
    made.add_new(0x50002500, "LO", marks.text(f"{modality} CurveLabel"))
    made.add_new(0xFFFCFFFC, "OB", marks.text(f"{modality} DataSetTrailingPadding").encode().ljust(64, b"\0"))


def _add_pixels(made: Dataset, pixels: np.ndarray, behind: bytes = b"") -> None:
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelData = pixels.tobytes() + behind
    made["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"


def ct(marks: Marks) -> Dataset:
    """A CT slice with bytes behind its pixels and an overlay in a spare bit of them."""
    made = base(marks, CT, "CT", EXPLICIT)
    _add_pixels(
        made, np.arange(4096, dtype="<u2").reshape(64, 64) // 2, marks.text("CT behind pixels").encode().ljust(64)
    )
    made.BitsStored, made.HighBit = 12, 11
    cells = np.frombuffer(made.PixelData, "<u2").copy()
    cells[:4096:3] |= 1 << 15
    made.PixelData = cells.tobytes()
    made.add_new(0x60000010, "US", 64)
    made.add_new(0x60000102, "US", 15)
    made.ConvolutionKernel, made.RescaleSlope, made.RescaleIntercept = "STANDARD", "1", "-1024"
    return made


def cr(marks: Marks) -> Dataset:
    """A radiograph as JPEG, with a comment, an EXIF block and bytes behind its end."""
    made = base(marks, CR, "CR", JPEG)
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    _add_pixels(made, smooth)
    stream = io.BytesIO()
    comment = marks.text("CR JPEG comment").encode()
    Image.fromarray(smooth).save(stream, "jpeg", comment=comment, exif=b"Exif\0\0" + marks.text("CR EXIF").encode())
    made.PixelData = encapsulate([stream.getvalue() + marks.text("CR behind JPEG").encode()])
    made["PixelData"].is_undefined_length = True
    return made


def seg(marks: Marks, source: Dataset) -> Dataset:
    """A segmentation of the CT."""
    made = base(marks, SEG, "SEG", EXPLICIT)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 1
    _add_pixels(made, np.packbits(mask.reshape(64, 64), axis=-1, bitorder="little"))
    made.Rows = made.Columns = 64
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = 0
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentAlgorithmType = 1, "MANUAL"
    segment.SegmentLabel = marks.text("SEG SegmentLabel")
    segment.SegmentDescription = marks.text("SEG SegmentDescription", "ST")
    liver = Dataset()
    liver.SegmentNumber, liver.SegmentLabel, liver.SegmentAlgorithmType = 2, "Left lung 2", "MANUAL"
    made.SegmentSequence = Sequence([segment, liver])
    _same_study(made, source, marks)
    frame = Dataset()
    frame.DerivationImageSequence = Sequence([Dataset()])
    frame.DerivationImageSequence[0].SourceImageSequence = Sequence([reference(source)])
    made.PerFrameFunctionalGroupsSequence = Sequence([frame])
    return made


def sr(marks: Marks, source: Dataset) -> Dataset:
    """A report, deflated: text, names, dates, UIDs, codes of a hospital and a measurement."""
    made = base(marks, SR, "SR", DEFLATED)
    _same_study(made, source, marks)
    items = []
    for kind, name, value in (
        ("TEXT", "TextValue", marks.text("SR TextValue", "UT")),
        ("PNAME", "PersonName", marks.text("SR PersonName", "PN")),
        ("DATE", "Date", marks.day("SR Date")),
        ("DATETIME", "DateTime", marks.day("SR DateTime") + "1200"),
        ("UIDREF", "UID", marks.uid("SR UID")),
    ):
        item = Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", kind
        item.ConceptNameCodeSequence = Sequence([coded("121071", "DCM", "Finding")])
        setattr(item, name, value)
        items.append(item)
    local = Dataset()
    local.RelationshipType, local.ValueType = "CONTAINS", "CODE"
    local.ConceptCodeSequence = Sequence(
        [coded(marks.text("SR local code", "SH"), "99HOSP", marks.text("SR local meaning"))]
    )
    image = Dataset()
    image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
    image.ReferencedSOPSequence = Sequence([reference(source)])
    made.ContentSequence = Sequence([*items, local, image])
    observer = Dataset()
    observer.VerifyingObserverName = marks.text("SR VerifyingObserverName", "PN")
    observer.VerifyingOrganization = marks.text("SR VerifyingOrganization")
    made.VerifyingObserverSequence = Sequence([observer])
    return made


def rtstruct(marks: Marks, source: Dataset) -> Dataset:
    """Contours on the CT, implicit VR."""
    made = base(marks, RTSTRUCT, "RTSTRUCT", IMPLICIT)
    _same_study(made, source, marks)
    made.StructureSetLabel = marks.text("RTSTRUCT StructureSetLabel", "SH")
    made.StructureSetName = marks.text("RTSTRUCT StructureSetName")
    rois = []
    for number, name in enumerate((marks.text("RTSTRUCT ROIName"), "Lt Lung"), 1):
        roi = Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, source.FrameOfReferenceUID
        roi.ROIDescription = marks.text(f"RTSTRUCT ROIDescription {number}", "ST")
        rois.append(roi)
    made.StructureSetROISequence = Sequence(rois)
    contour, outline = Dataset(), Dataset()
    contour.ContourImageSequence = Sequence([reference(source)])
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 3
    contour.ContourData = [0.0, 0.0, 0.0, 1.5, 0.0, 0.0, 1.5, 1.5, 0.0]
    outline.ReferencedROINumber, outline.ContourSequence = 1, Sequence([contour])
    made.ROIContourSequence = Sequence([outline])
    return made


def reference(source: Dataset) -> Dataset:
    """A reference to an object."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item


def _same_study(made: Dataset, source: Dataset, marks: Marks) -> None:
    for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        del marks.planted[f"{made.Modality} {name}"]
        setattr(made, name, getattr(source, name))


def study(folder: Path) -> tuple[Marks, list[Path]]:
    """Write one object of each kind, of one patient."""
    marks = Marks()
    first = ct(marks)
    made = [first, cr(marks), seg(marks, first), sr(marks, first), rtstruct(marks, first)]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"Quex-{each.Modality}.dcm" for each in made]
    for path, each in zip(paths, made, strict=True):
        each.save_as(path, enforce_file_format=True)
    return marks, paths
