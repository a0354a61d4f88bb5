"""A dataset to its `Header`: the image module, facts, rescale and windows, and each picture's place; in the worker."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from mainstem.core.errors import InputError
from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_enhanced import frame_pictures
from mainstem.data.medical.dicom_files import NO_SYNTAX, find_pixels, first_fragment, is_directory
from mainstem.data.medical.dicom_header import Header, Picture
from mainstem.data.medical.dicom_jpeg import JPEG, MENDED, has_wrong_scan
from mainstem.data.medical.dicom_mosaic import mosaic_pictures
from mainstem.data.medical.dicom_spacing import spacing_of
from mainstem.data.medical.dicom_windows import read_tables, read_windows

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

MOST_SIDE = 65_535  # rows and columns are of 16 bits, PS3.3 C.7.6.3
MOST_FRAME = 256 << 20  # bytes of one frame, unpacked: 16,000 x 8,000 of 16 bits
MOST_DECLARED = 8 << 30  # bytes of all frames
MOST_FRAMES = 65_536
SIGMOID = "a sigmoid window, which is shown as a line"
LUT_SHOWN = "a VOI LUT, which is one of its windows"
LUT_SKIPPED = "a VOI LUT that cannot be read, or is one of too many, is not applied"
NOT_HU = "no rescale to HU: values of this CT have no unit"
BITS = (1, 8, 16, 32, 64)
LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81")


def read_header(dataset: "FileDataset", stream: BinaryIO) -> Header:
    """What an image says of itself; the stream stands where the pixels begin.

    Raises:
        InputError: if it is no image, or declares what it does not hold or what is too much.
    """
    from pydicom.uid import UID

    if is_directory(dataset):
        raise InputError("a DICOMDIR, which only lists files; name the folder of the images themselves")
    header = _image(dataset)
    _check_size(header)
    pixels = find_pixels(stream, dataset)
    if pixels is None:
        raise InputError(f"{header.sop_class}: no pixels in it")
    if not UID(header.syntax).is_encapsulated:
        if pixels.length is None:
            raise InputError("its pixels are compressed and its transfer syntax says that they are not; it is damaged")
        _check_length(header, pixels.held)
    header, found, flags = _pictures(dataset, header)
    is_hounsfield = all(picture.slope is not None and picture.rescale_type in (None, "HU") for picture in found)
    if header.unit == "HU" and not is_hounsfield:
        header, flags = replace(header, unit="1"), (*flags, NOT_HU)
    if len({picture.slope for picture in found}) > 1 or len({picture.intercept for picture in found}) > 1:
        flags = (*flags, "rescale differs by frame")
    if any(window.function == "SIGMOID" for picture in found for window in picture.windows):
        flags = (*flags, SIGMOID)
    if header.syntax in JPEG and has_wrong_scan(first_fragment(stream, pixels)):
        flags = (*flags, MENDED)
    return replace(header, pictures=tuple(found), flags=(*header.flags, *flags))


def _image(dataset: "FileDataset") -> Header:
    kind = tags.class_name(tags.uid(dataset, "SOPClassUID"))
    if tags.value(dataset, "Rows") is None or tags.value(dataset, "BitsAllocated") is None:
        raise InputError(f"{kind}: no image; only images, segmentations and contours are read")
    photometric = tags.word(dataset, "PhotometricInterpretation", tags.PHOTOMETRIC)
    if photometric is None:
        raise InputError("PhotometricInterpretation is absent or not one of the standard's")
    syntax, flags = _syntax(dataset)
    samples = 3 if photometric == "PALETTE COLOR" else tags.whole(dataset, "SamplesPerPixel", 1)
    has_lut = "ModalityLUTSequence" in dataset
    modality = tags.word(dataset, "Modality", tags.MODALITIES)
    return Header(
        sop_class=kind,
        sop_uid=tags.uid(dataset, "SOPInstanceUID"),
        series_uid=tags.uid(dataset, "SeriesInstanceUID"),
        study_uid=tags.uid(dataset, "StudyInstanceUID"),
        frame_of_reference=tags.uid(dataset, "FrameOfReferenceUID"),
        modality=modality,
        rows=tags.whole(dataset, "Rows"),
        columns=tags.whole(dataset, "Columns"),
        samples=samples,
        photometric=photometric,
        bits_stored=tags.whole(dataset, "BitsStored", tags.whole(dataset, "BitsAllocated")),
        bits_allocated=tags.whole(dataset, "BitsAllocated"),
        is_signed=tags.whole(dataset, "PixelRepresentation", 0) == 1,
        num_frames=tags.whole(dataset, "NumberOfFrames", 1),
        syntax=syntax,
        unit={"CT": "1" if has_lut else "HU", "RTDOSE": "Gy"}.get(modality or "", "1"),
        has_lut=has_lut,
        facts=_facts(dataset),
        flags=(*flags, *_flags(dataset, photometric, syntax, modality)),
    )


def _syntax(dataset: "FileDataset") -> tuple[str, tuple[str, ...]]:
    from pydicom.uid import UID

    named = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    if named:
        if not UID(named).is_transfer_syntax and not UID(named).is_private:
            raise InputError("its transfer syntax is none of the standard's; ask for the file uncompressed")
        return named, ()
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return "1.2.840.10008.1.2", (NO_SYNTAX,)
    return ("1.2.840.10008.1.2.1" if is_little else "1.2.840.10008.1.2.2"), (NO_SYNTAX,)


def _flags(dataset: "Dataset", photometric: str, syntax: str, modality: str | None) -> tuple[str, ...]:
    has_rescale = tags.value(dataset, "RescaleSlope") is not None or tags.value(dataset, "RescaleIntercept") is not None
    num_luts = len(read_tables(dataset))
    is_lossy = syntax in LOSSY or tags.value(dataset, "LossyImageCompression") == "01"
    told = {
        "MONOCHROME1: larger values are darker": photometric == "MONOCHROME1",
        "lossy compression": is_lossy,
        "no modality of the standard's": modality is None,
        "burned-in text is declared": tags.word(dataset, "BurnedInAnnotation", ("YES",)) is not None,
        "a modality LUT and a rescale; the LUT is used": "ModalityLUTSequence" in dataset and has_rescale,
        LUT_SHOWN: num_luts > 0,
        LUT_SKIPPED: num_luts < len(tags.value(dataset, "VOILUTSequence") or ()),
        "a supplemental colour palette is not applied": photometric.startswith("MONO")
        and "RedPaletteColorLookupTableData" in dataset,
        "overlays are not shown": any((group, 0x10) in dataset for group in tags.OVERLAYS),
        "pixel padding": tags.value(dataset, "PixelPaddingValue") is not None,
    }
    return tuple(words for words, holds in told.items() if holds)


def _facts(dataset: "Dataset") -> dict[str, str | float | None]:
    """Facts of the patient and the view; None where a tag lacks, cannot be read or holds no word of the standard's."""
    read: dict[str, Callable[[], str | float | None]] = {
        "age_years": lambda: tags.age_years(dataset),
        "sex": lambda: tags.word(dataset, "PatientSex", tags.SEXES),
        "view": lambda: tags.word(dataset, "ViewPosition", tags.VIEWS),
        "laterality": lambda: (
            tags.word(dataset, "ImageLaterality", tags.LATERALITIES)
            or tags.word(dataset, "Laterality", tags.LATERALITIES)
        ),
        "body_part": lambda: tags.word(dataset, "BodyPartExamined", tags.BODY_PARTS),
        "patient_position": lambda: tags.word(dataset, "PatientPosition", tags.POSITIONS),
        "tilt_tag_deg": lambda: tags.number(dataset, "GantryDetectorTilt"),
    }
    facts: dict[str, str | float | None] = dict.fromkeys(read)
    for name, tell in read.items():
        with suppress(InputError):
            facts[name] = tell()
    return facts


def _check_size(header: Header) -> None:
    if not (0 < header.rows <= MOST_SIDE and 0 < header.columns <= MOST_SIDE and 0 < header.num_frames <= MOST_FRAMES):
        raise InputError(f"{header.num_frames} frames of {header.rows} x {header.columns}; that is no image")
    if header.bits_allocated not in BITS or not 0 < header.bits_stored <= header.bits_allocated:
        raise InputError(f"{header.bits_stored} of {header.bits_allocated} bits, want 1, 8, 16 or 32; convert it")
    if header.samples not in (1, 3):
        raise InputError(f"{header.samples} samples a pixel, want grey or three colours; convert it")
    frame = header.rows * header.columns * header.samples * -(-header.bits_allocated // 8)
    if frame > MOST_FRAME or frame * header.num_frames > MOST_DECLARED:
        raise InputError(
            f"declares {header.num_frames} frames of {header.rows} x {header.columns}, {frame * header.num_frames} "
            f"bytes, want at most {MOST_FRAME} a frame and {MOST_DECLARED}; it is refused"
        )


def _check_length(header: Header, held: int) -> None:
    samples = 1 if header.photometric == "PALETTE COLOR" else header.samples
    bits = header.rows * header.columns * samples * header.bits_allocated * header.num_frames
    if header.photometric == "YBR_FULL_422":
        bits = bits * 2 // 3  # two pixels share their colour, PS3.3 C.7.6.3.1.2
    if held < -(-bits // 8):
        raise InputError(f"cut: {held} of {-(-bits // 8)} bytes of pixels; ask for the file again")


def _pictures(dataset: "Dataset", header: Header) -> tuple[Header, list[Picture], tuple[str, ...]]:
    """The header, of a mosaic with its tiles, the pictures, and what is to be said of them."""
    spacing, flags = spacing_of(dataset, header.modality, header.sop_class)
    slope, intercept = _rescale(dataset, header)
    whole = Picture(
        frame=0,
        position=tags.numbers(dataset, "ImagePositionPatient", 3),
        orientation=tags.numbers(dataset, "ImageOrientationPatient", 6),
        spacing_mm=spacing,
        thickness_mm=tags.number(dataset, "SliceThickness"),
        rescale_type=tags.word(dataset, "RescaleType", tags.RESCALE_TYPES),
        windows=read_windows(dataset),
        num_tables=len(read_tables(dataset)),
        part=_part(dataset),
        slope=slope,
        intercept=intercept,
    )
    if "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset:
        return header, *frame_pictures(dataset, header, whole)
    if "MOSAIC" in tags.words(dataset, "ImageType") and header.num_frames == 1:
        tiles, found, said = mosaic_pictures(dataset, header, whole)
        return replace(header, tiles=tiles), found, (*flags, *said)
    return header, _framed(dataset, header, whole), flags


def _framed(dataset: "Dataset", header: Header, whole: Picture) -> list[Picture]:
    """Pictures of a file without functional groups; those of a dose lie at offsets (3004,000C) along the normal."""
    if header.num_frames == 1:
        return [whole]
    offsets = tags.numbers(dataset, "GridFrameOffsetVector", header.num_frames)
    if offsets is None or offsets[0] != 0 or whole.position is None or whole.orientation is None:
        return [replace(whole, frame=index, position=None) for index in range(header.num_frames)]
    (a, b, c), (d, e, f) = whole.orientation[:3], whole.orientation[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    places = [tuple(p + offset * n for p, n in zip(whole.position, normal, strict=True)) for offset in offsets]
    return [replace(whole, frame=index, position=place) for index, place in enumerate(places)]


def _rescale(dataset: "Dataset", header: Header) -> tuple[float | None, float | None]:
    """Slope and intercept; None where the file names neither, or a modality LUT does the work."""
    scaling = tags.number(dataset, "DoseGridScaling") if header.modality == "RTDOSE" else None
    slope, intercept = tags.number(dataset, "RescaleSlope"), tags.number(dataset, "RescaleIntercept")
    if header.has_lut or (slope is None and intercept is None and scaling is None):
        return None, None
    if scaling is not None:
        return scaling, 0.0
    if slope is None or intercept is None or slope == 0:
        raise InputError("a rescale slope or intercept alone, or a slope of 0; the values cannot be known")
    return slope, intercept


def _part(dataset: "Dataset") -> tuple[str, ...]:
    """What tells apart single pictures of the same place: kind, echo, time point, acquisition."""
    kind = tags.words(dataset, "ImageType")[2:3]
    names = ("EchoTime", "EchoNumbers", "TemporalPositionIdentifier", "AcquisitionNumber", "DiffusionBValue")
    return (*kind, *(str(tags.number(dataset, name)) for name in names))
