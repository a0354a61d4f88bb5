"""Names and numbers are found in what is kept, however short; what cannot be searched is set apart."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mainstem.data.medical.burned_in import text_in
from mainstem.data.medical.deidentify import deidentify
from mainstem.data.medical.deidentify_copy import Answer, examine
from mainstem.data.medical.deidentify_key import Key
from mainstem.data.medical.deidentify_terms import is_technical, is_term

KEY = Key(bytes(range(32)))
CT, SEG, PARAMETRIC = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.30"
SECRET = b"SECRETKIMLEE4711"
MAKERS = (
    "GE MEDICAL SYSTEMS|SIEMENS|Philips Medical Systems|LightSpeed VCT|SOMATOM Definition AS+|TrioTim|syngo MR B17|"
    "07MW18.4|B30f|STANDARD|*tfl3d1_ns|ep_b1000#4|3.2.1.0|TOSHIBA|Aquilion ONE"
)


def _ct(name: str = "Kim^Lee", number: str = "4711") -> Dataset:
    made = Dataset()
    made.file_meta = dcmread(get_testdata_file("CT_small.dcm")).file_meta
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = CT, made.file_meta.MediaStorageSOPInstanceUID, "CT"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.4"
    made.PatientName, made.PatientID, made.PatientBirthDate = name, number, "19580312"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    _draw(made, np.arange(256, dtype="<u2").reshape(16, 16))
    return made


def _draw(made: Dataset, pixels: np.ndarray) -> None:
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.itemsize
    made.HighBit = made.BitsStored - 1
    made.add_new(0x7FE00010, "OW", pixels.tobytes())


def _answer(made: Dataset) -> Answer:
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    written = io.BytesIO()
    made.save_as(written, enforce_file_format=True)
    return examine(written.getvalue(), KEY)


@pytest.mark.parametrize(
    ("name", "attribute", "text"),
    [
        ("Kim^Lee", "Manufacturer", "Praxis Kim Lee"),
        ("Kim^Lee", "Manufacturer", "LeeKim"),
        ("Kim^Lee", "BodyPartExamined", "KIM LEE"),
        ("Kim^Lee", "SequenceName", "Lee Kim"),
        ("Kim^Lee", "SequenceName", "k_lee2"),
        ("Ng^Xu", "SoftwareVersions", "NG"),
        ("Ng^Xu", "SoftwareVersions", "xung"),
        ("Head^Anna", "BodyPartExamined", "HEAD"),
        ("Wang^Xiu", "Manufacturer", "WangXiu"),
        ("Wang^Xiu", "ManufacturerModelName", "Station of wang_x"),
        ("Müller^Ann", "ManufacturerModelName", "MUELLER"),
        ("Müller^Ann", "ManufacturerModelName", "muller 1"),
        ("Lee^Kim", "FilterType", "12.03.1958"),
        ("Lee^Kim", "FilterType", "12.3.58"),
        ("Lee^Kim", "FilterType", "58/3/12"),
        ("Lee^Kim", "FilterType", "MAR 1958"),
        ("Lee^Kim", "SoftwareVersions", "040-55 12 33"),
        ("Lee^Kim", "SoftwareVersions", "(040) 55/12.33"),
        ("Lee^Kim", "ManufacturerModelName", "CT 4711"),
        ("Lee^Kim", "ManufacturerModelName", "CT4711"),
        ("X^Y", "Manufacturer", "Praxis Kim Lee"),  # whom nothing else tells: the words are no terms
        ("X^Y", "SequenceName", "KIM"),
    ],
)
def test_names_dates_and_numbers_in_kept_text_go(name, attribute, text):
    made = _ct(name)
    setattr(made, attribute, text)
    clean = deidentify(made, KEY)
    assert clean[attribute].value == ("REMOVED" if attribute == "BodyPartExamined" else KEY.label(text))
    assert deidentify(clean, KEY)[attribute].value == clean[attribute].value


def test_a_short_name_in_a_list_of_terms_goes_alone():
    made = _ct()
    made.ImageType = ["ORIGINAL", "PRIMARY", "LEE KIM"]
    assert deidentify(made, KEY).ImageType == ["ORIGINAL", "PRIMARY", "REMOVED"]


def test_who_is_named_as_a_term_of_an_attribute_does_not_lose_it():
    made = _ct("Hu^Ct^Mary^Mr^Yes")
    made.RescaleType, made.BurnedInAnnotation, made.ScanOptions = "HU", "NO", "HELICAL MODE"
    clean = deidentify(made, KEY)
    assert (clean.Modality, clean.RescaleType, clean.BurnedInAnnotation) == ("CT", "HU", "NO")
    assert clean.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert clean.ScanOptions == "HELICAL MODE"


@pytest.mark.parametrize("text", MAKERS.split("|"))
def test_makers_words_stay(text):
    assert is_technical(text)
    assert deidentify(_with(_ct("Meyer^Anna"), "Manufacturer", text), KEY).Manufacturer == text


def _with(made: Dataset, attribute: str, value: object) -> Dataset:
    setattr(made, attribute, value)
    return made


@pytest.mark.parametrize("text", ["CT 12.03.1958", "1-2-3-4-5-6", "Kim", "MR Obi", "Tel 1"])
def test_text_of_other_words_and_long_numbers_is_not_technical(text):
    assert not is_technical(text)


def test_code_strings_of_short_words_are_terms_where_they_are_listed():
    assert all(map(is_term, ["MPR", "YBR_FULL_422", "ISO_IR 100", "ISO 2022 IR 87", "HFS", "REMOVED", "TOF", "T2 FSE"]))
    assert not any(map(is_term, ["KIM", "LEE KIM", "OBI", "2 12 03 1958"]))


@pytest.mark.parametrize("number", ["7", "471", "4711", "47112", "471123", "0047112", "4711-2"])
def test_a_number_that_is_the_patients_or_the_examinations_goes(number):
    for attribute in ("PatientID", "AccessionNumber"):
        made = _with(_ct(number="A"), attribute, number)
        digits = number.replace("-", "")
        made.AcquisitionNumber, made.InstanceNumber, made.SeriesNumber = digits, str(int(digits)), "3"
        made.RescaleSlope, made.NumberOfFrames = "1", "1"
        clean = deidentify(made, KEY)
        numbers = [str(clean[name].value) for name in ("AcquisitionNumber", "InstanceNumber", "SeriesNumber")]
        assert numbers == [KEY.number(digits), KEY.number(str(int(digits))), "3"]
        assert deidentify(clean, KEY).AcquisitionNumber == clean.AcquisitionNumber
        assert (clean.RescaleSlope, clean.NumberOfFrames) == (1, 1)


@pytest.mark.parametrize("text", ["47112", "47112.0", "4.7112E4", "+047112"])
def test_a_measured_number_that_is_a_records_goes_however_it_is_written(text):
    made = _ct(number="47112")
    made.add_new("Exposure", "DS", text)
    made.EchoTime = "90"
    clean = deidentify(made, KEY)
    assert clean.Exposure is None
    assert clean.EchoTime == 90


def _voice() -> Dataset:
    made = _ct()
    for name in ("PixelData", "Rows", "Columns"):
        del made[name]
    group = Dataset()
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples, group.SamplingFrequency = 1, 16, 8000
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 8, "UB"
    group.add_new(0x54001010, "OB", b"SPOKENKIMLEEXXXX")
    made.WaveformSequence = Sequence([group])
    made.SOPClassUID, made.Modality = "1.2.840.10008.5.1.4.1.1.9.4.1", "AU"
    return made


def test_a_recording_is_set_apart_unless_it_is_an_electrocardiogram_of_known_leads():
    voice = _voice()
    assert (_answer(voice).state, _answer(voice).reason) == ("quarantined", "a recording that is no electrocardiogram")
    voice.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"  # as another kind, it still has no leads
    assert _answer(voice).state == "quarantined"
    with open(get_testdata_file("waveform_ecg.dcm"), "rb") as file:
        whole = file.read()
    assert examine(whole, KEY).state == "clean"
    ecg = dcmread(io.BytesIO(whole))
    ecg.WaveformSequence[0].SamplingFrequency = 8000
    assert _answer(ecg).state == "quarantined"


def _item(**values: object) -> Sequence:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return Sequence([item])


@pytest.mark.parametrize(
    ("sequence", "attribute"),
    [
        ("ReferencedImageSequence", "PixelData"),
        ("ReferencedImageSequence", "WaveformData"),
        ("ReferencedImageSequence", "LUTData"),
        ("VOILUTSequence", "PixelData"),
        ("ModalityLUTSequence", "RedPaletteColorLookupTableData"),
    ],
)
def test_bulk_data_stay_only_where_an_object_has_them(sequence, attribute):
    made = _ct()
    setattr(made, sequence, _item())
    made[sequence].value[0].add_new(attribute, "OW", SECRET)
    assert SECRET not in _answer(made).data
    assert attribute not in deidentify(made, KEY)[sequence].value[0]
    top = _ct()
    top.add_new("LUTData", "US", [1, 2, 3])
    assert "LUTData" not in deidentify(top, KEY)


def _curve(table: bytes, kind: str = "OW") -> Dataset:
    made = _ct()
    made.ModalityLUTSequence = _item(LUTDescriptor=[8, 0, 16], ModalityLUTType="HU")
    made.ModalityLUTSequence[0].add_new("LUTData", kind, table if kind == "OW" else list(table))
    return made


def test_a_lookup_table_stays_where_it_is_a_curve():
    rising = np.arange(8, dtype="<u2").tobytes()
    for table, state in ((rising, "clean"), (rising[::-1], "clean"), (SECRET, "quarantined")):
        assert _answer(_curve(table)).state == state
    assert _answer(_curve(b"DOCTOR ABDULLAH ")).reason == "a lookup table that is no curve"
    assert _answer(_curve(rising + b"Quex")).state == "quarantined"
    assert _answer(_curve(b"SECRETKI", "US")).state == "quarantined"


def test_a_name_in_a_palette_is_found():
    made = _ct()
    made.PhotometricInterpretation = "PALETTE COLOR"
    made.add_new("RedPaletteColorLookupTableData", "OW", bytes(100) + "Möller".encode("utf-16-le") + bytes(400))
    assert _answer(made).state == "clean"
    made.PatientName = "Möller^Ann"
    assert _answer(made).reason == "a name in bulk data"


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    picture = Image.new("L", (256, 256), 0)
    ImageDraw.Draw(picture).text((20, 20), "KIM LEE 4711 12.03.1958", fill=255, font=ImageFont.load_default(14))
    return np.asarray(picture)


def _floats(kind: str, size: int) -> Callable[[np.ndarray], Dataset]:
    def made_of(picture: np.ndarray) -> Dataset:
        made = _ct()
        del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
        made.Rows, made.Columns, made.BitsAllocated, made.SOPClassUID = *picture.shape, 8 * size, PARAMETRIC
        made.add_new(kind, "OF" if size == 4 else "OD", picture.astype(f"<f{size}").tobytes())
        return made

    return made_of


def _segments(picture: np.ndarray) -> Dataset:
    made = _ct()
    _draw(made, picture.astype("<u2"))
    made.SOPClassUID = SEG
    return made


@pytest.mark.parametrize("made_of", [_floats("FloatPixelData", 4), _floats("DoubleFloatPixelData", 8), _segments])
def test_text_is_found_in_floats_and_in_segmentations_of_more_than_a_bit(made_of, drawn):
    assert _answer(made_of(drawn)).reason == "text in the pixels"
    assert _answer(made_of(np.zeros_like(drawn))).state == "clean"


def test_text_of_what_is_no_number_is_found_and_bytes_behind_floats_go(drawn):
    picture = np.where(drawn > 100, np.nan, drawn.astype(np.float32))
    assert text_in(picture)
    assert text_in(np.where(drawn > 100, 1e300, np.random.default_rng(0).normal(size=drawn.shape)))
    assert not text_in(np.full((9, 9), np.nan))
    made = _floats("FloatPixelData", 4)(np.zeros((16, 16)))
    made["FloatPixelData"].value += SECRET
    assert SECRET not in _answer(made).data
    made["FloatPixelData"].value = made["FloatPixelData"].value[:100]
    assert _answer(made).state == "refused"
