"""What becomes of an attribute: the table of PS3.15 E.1-1, our exceptions to it, and what is kept of all the rest.

Nothing is kept because no rule names it: text, bulk data and private attributes stay only where a list here says so.
"""

import re
from functools import cache

from pydicom.datadict import tag_for_keyword

from mainstem.core.errors import MissingExtraError

REMOVED, EMPTIED, REPLACED = "X", "Z", "D"  # as PS3.15 E.1-1 calls them
# Of a compound action the one that keeps the object valid (X/Z/D: D): no type 1 attribute is lost, no type 2 either.
ACTIONS = {
    "X": REMOVED,
    "Z": EMPTIED,
    "X_Z": EMPTIED,
    "D": REPLACED,
    "Z_D": REPLACED,
    "X_D": REPLACED,
    "X_Z_D": REPLACED,
}


def _tags(keywords: str) -> frozenset[int]:
    return frozenset(int(str(tag_for_keyword(keyword))) for keyword in keywords.split())


# Retain Patient Characteristics (PS3.15 E.3.4): a prediction's scope and subgroups, and uptake values, need them.
CHARACTERISTICS = _tags(
    "PatientSex PatientAge PatientSize PatientWeight SmokingStatus PregnancyStatus PatientSexNeutered"
)
# Sequences whose items are cleaned one by one instead (PS3.15 E.3.2, E.3.3), and those of UIDs, which are mapped.
CLEANED = _tags(
    "ContentSequence GraphicAnnotationSequence VerifyingObserverSequence PersonIdentificationCodeSequence "
    "AcquisitionContextSequence ReferencedStudySequence ReferencedPerformedProcedureStepSequence"
)
SEX = _tags("PatientSex")
BIRTH = _tags("PatientBirthDate PatientBirthTime")  # no option keeps them
TIMEZONE = _tags("TimezoneOffsetFromUTC")
LABELS = _tags("SegmentLabel ROIName ROIObservationLabel")
CLASSES = _tags(  # UIDs of kinds, also of a maker's own; those of other attributes stay where the standard lists them
    "SOPClassUID ReferencedSOPClassUID ReferencedSOPClassUIDInFile RelatedGeneralSOPClassUID "
    "OriginalSpecializedSOPClassUID"
)
SCHEMES = _tags("CodingSchemeUID")
HL7_ROOT = "2.16.840.1.113883."  # of the coding schemes that HL7 registers
TECHNICAL = _tags(  # text that is kept where it looks technical: makers' own words
    "Manufacturer ManufacturerModelName SoftwareVersions SequenceName PulseSequenceName FilterType ConvolutionKernel "
    "ReceiveCoilName TransmitCoilName SegmentAlgorithmName CodingSchemeVersion"
)
WORDED = _tags(  # text that is kept where its words are terms
    "TypeOfFilters ImagedNucleus StackID DimensionDescriptionLabel WindowCenterWidthExplanation RescaleType "
    "LUTExplanation ModalityLUTType"
)
TOP = 0  # what stands in no sequence
# Bulk data by the sequence that its IOD has it in; elsewhere it is removed.
PLACES_OF_BULK = {
    "PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable ExtendedOffsetTableLengths "
    "SpectroscopyData": "TOP",
    "LUTData": "ModalityLUTSequence VOILUTSequence PresentationLUTSequence",
    "RedPaletteColorLookupTableData GreenPaletteColorLookupTableData BluePaletteColorLookupTableData "
    "AlphaPaletteColorLookupTableData SegmentedRedPaletteColorLookupTableData "
    "SegmentedGreenPaletteColorLookupTableData SegmentedBluePaletteColorLookupTableData "
    "SegmentedAlphaPaletteColorLookupTableData": "TOP PaletteColorLookupTableSequence",
    "WaveformData": "WaveformSequence",
    "PointCoordinatesData DoublePointCoordinatesData": "SurfacePointsSequence AnnotationGroupSequence",
    "VectorGridData": "DeformableRegistrationGridSequence",
    "LongPrimitivePointIndexList": "AnnotationGroupSequence TriangleStripSequence TriangleFanSequence LineSequence "
    "FacetSequence",
    "LongEdgePointIndexList LongVertexPointIndexList TrianglePointIndexList LongTrianglePointIndexList": (
        "SurfaceMeshPrimitivesSequence"
    ),
}
PATIENT = _tags("PatientID PatientName")
CODES = _tags("CodeValue LongCodeValue CodeMeaning CodingSchemeDesignator")
# What these say is looked for in all that is kept: of records at any length, of places and devices where it is long.
RECORDS = _tags("PatientID AccessionNumber OtherPatientIDs AdmissionID PatientTelephoneNumbers")
PLACES = _tags("StudyID DeviceSerialNumber InstitutionName StationName PatientBirthDate")
NUMBERING = _tags(  # numbers that somebody gives, and that measure nothing
    "SeriesNumber AcquisitionNumber InstanceNumber ItemNumber OverlayNumber CurveNumber LUTNumber "
    "TemporalPositionIdentifier FrameAcquisitionNumber"
)
COUNTS = _tags("NumberOfFrames ReferencedFrameNumber ROINumber ReferencedROINumber")  # without which others are lost
OFFSET = re.compile(r"[+-]\d{4}")
# The words of structures; a label of others is replaced by its pseudonym.
ANATOMY_TEXT = """
abdomen air airway anterior aorta apex artery axilla bladder blood body bone bones boost bowel brain brainstem
breast bronchus cardiac cavity cerebellum cervical chest chiasm clip clips cochlea colon cord couch csf ctv cyst
duodenum effusion esophagus external eye eyes fat femoral femur fluid gallbladder gland gtv head heart hip
hippocampus hippocampi igtv inferior internal itv kidney kidneys l larynx left lens lesion liver lobe lower lt
lung lungs lymph mandible mass matter mediastinum medulla middle muscle myocardium neck nerve nerves node nodes
nodule oesophagus opacity optic oral organ other outer ovary pancreas parotid pelvis pharynx pituitary plexus
pneumonia posterior prostate ptv r rectum reference rib ribs right roi rt sacrum scar segment seminal sigmoid
skin skull small spinal spine spleen stem sternum stomach superior temporal testis thoracic thorax thyroid
tissue trachea tumor tumour upper uterus vein ventricle vertebra vesicle vessel wall white grey gray headneck
headnecktrunk chestabdomen chestabdpelvis abdomenpelvis wholebody phantom
"""
ANATOMY = frozenset(ANATOMY_TEXT.split())
# Values of an attribute that the standard lists: who is named so is not named by them (PS3.3).
ENUMERATED_TEXT = {
    "Modality": (
        "ANN,AR,ASMT,AU,BDUS,BI,BMD,CFM,CR,CT,CTPROTOCOL,DMS,DG,DOC,DX,ECG,EEG,EMG,EOG,EPS,ES,FID,GM,HC,HD,IO,IOL,IVOCT,"
        "IVUS,KER,KO,LEN,LS,M3D,MG,MR,NM,OAM,OCT,OP,OPM,OPT,OPTBSV,OPTENF,OPV,OSS,OT,PA,PLAN,POS,PR,PT,PX,REG,RESP,RF,"
        "RG,RTDOSE,RTIMAGE,RTINTENT,RTPLAN,RTRAD,RTRECORD,RTSEGANN,RTSTRUCT,RWV,SEG,SM,SMR,SR,SRF,STAIN,TEXTUREMAP,TG,"
        "US,VA,XA,XAPROTOCOL,XC"
    ),
    "PhotometricInterpretation": (
        "MONOCHROME1,MONOCHROME2,PALETTE COLOR,RGB,YBR_FULL,YBR_FULL_422,YBR_PARTIAL_420,YBR_ICT,YBR_RCT,XYB"
    ),
    "SpecificCharacterSet": "ISO_IR 100,ISO_IR 192,ISO_IR 6,GB18030,GBK",
    "ValueType": (
        "TEXT,NUM,CODE,DATETIME,DATE,TIME,UIDREF,PNAME,COMPOSITE,IMAGE,WAVEFORM,SCOORD,SCOORD3D,TCOORD,CONTAINER,TABLE"
    ),
    "RelationshipType": (
        "CONTAINS,HAS PROPERTIES,HAS OBS CONTEXT,HAS ACQ CONTEXT,INFERRED FROM,SELECTED FROM,HAS CONCEPT MOD"
    ),
    "ContinuityOfContent": "SEPARATE,CONTINUOUS",
    "ImageType": "ORIGINAL,DERIVED,PRIMARY,SECONDARY,AXIAL,LOCALIZER,MIXED",
    "FrameType": "ORIGINAL,DERIVED,PRIMARY,SECONDARY,AXIAL,LOCALIZER,MIXED",
    "BodyPartExamined": (  # those that are no surnames, as HEAD, HAND and HEART are
        "ABDOMEN,ABDOMENPELVIS,BLADDER,BREAST,CHESTABDOMEN,CHESTABDPELVIS,CSPINE,ESOPHAGUS,HEADNECK,KIDNEY,LSPINE,NECKCHEST,"
        "PANCREAS,PELVIS,PROSTATE,THORAX,TSPINE,WHOLEBODY"
    ),
    "BurnedInAnnotation": "YES,NO",
    "RecognizableVisualFeatures": "YES,NO",
    "LossyImageCompression": "00,01",
    "RescaleType": "HU,US,OD,MGML,Z_EFF,ED,EDW,HU_MOD,PCT",
    "ScanningSequence": "SE,IR,GR,EP,RM",
    "SequenceVariant": "SK,MTC,SS,TRSS,SP,MP,OSP,NONE",
    "MRAcquisitionType": "2D,3D",
    "PatientPosition": "HFP,HFS,HFDR,HFDL,FFDR,FFDL,FFP,FFS",
    "Laterality": "R,L",
    "ImageLaterality": "R,L,U,B",
    "SegmentAlgorithmType": "AUTOMATIC,SEMIAUTOMATIC,MANUAL",
    "SegmentationType": "BINARY,FRACTIONAL,LABELMAP",
    "ContourGeometricType": "POINT,OPEN_PLANAR,OPEN_NONPLANAR,CLOSED_PLANAR,CLOSEDPLANAR_XOR",
}
# Creator -> (group, VR by the last two digits of the element): numbers of PS3.15 E.3.10, and of Siemens mosaics.
SAFE_PRIVATE: dict[str, tuple[int, dict[int, str]]] = {
    "Philips PET Private Group": (0x7053, {0x00: "DS", 0x09: "DS"}),  # uptake and activity factors
    "Philips Imaging DD 001": (0x2001, {0x03: "FL"}),  # b-value
    "Philips MR Imaging DD 001": (0x2005, {0x0D: "FL", 0x0E: "FL", 0xB0: "FL", 0xB1: "FL", 0xB2: "FL"}),  # scale
    "SIEMENS MR HEADER": (0x0019, {0x0A: "US", 0x0C: "IS", 0x0E: "FD", 0x27: "FD", 0x28: "FD", 0x29: "FD"}),
    "GEMS_ACQU_01": (0x0019, {0xBB: "DS", 0xBC: "DS", 0xBD: "DS"}),  # diffusion direction
    "GEMS_PARM_01": (0x0043, {0x39: "IS"}),  # b-value
    "ELSCINT1": (0x00E1, {0x21: "DS", 0x50: "DS"}),  # dose-length product, duration
}


@cache
def table() -> dict[int, str]:
    """What PS3.15 E.1-1 (2026c) does to an attribute by tag, without the options that we take."""
    try:
        from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as fields
    except ImportError as error:
        raise MissingExtraError("dicom-anonymizer", "medical") from error
    listed = {
        (tag[0] << 16) + tag[1]: action
        for name, action in ACTIONS.items()
        for tag in getattr(fields, f"{name}_TAGS")
        if len(tag) == 2
    }
    kept = CHARACTERISTICS | CLEANED | TIMEZONE | LABELS
    return {tag: action for tag, action in listed.items() if tag not in kept}


def is_enumerated(tag: int, text: str) -> bool:
    """True for a value that the standard lists for an attribute."""
    return text in _enumerated().get(tag, ())


@cache
def _enumerated() -> dict[int, frozenset[str]]:
    return {int(str(tag_for_keyword(name))): frozenset(text.split(",")) for name, text in ENUMERATED_TEXT.items()}


def bulk_parents(tag: int) -> frozenset[int]:
    """The sequences that bulk data may stand in; `TOP` for none, nothing for what is never kept."""
    return _bulk().get(tag, frozenset())


@cache
def _bulk() -> dict[int, frozenset[int]]:
    return {
        tag: _tags(parents.replace("TOP", "")) | ({TOP} if "TOP" in parents else set())
        for names, parents in PLACES_OF_BULK.items()
        for tag in _tags(names)
    }


def has_no_place(group: int, element: int) -> bool:
    """True for commands, file meta, group lengths, curves (50xx) and overlays (60xx), which draw and label."""
    return element == 0 or group < 8 or group & 0xFF00 in (0x5000, 0x6000)


def is_anatomical(text: str) -> bool:
    """True where every word names a structure; digits of at most two places may number it."""
    words = re.findall(r"[^\W\d_]+|\d+", text.lower())
    plain = re.fullmatch(r"[A-Za-z0-9 _.,()+-]*", text) is not None
    return plain and bool(words) and all(word in ANATOMY or (word.isdigit() and len(word) < 3) for word in words)
