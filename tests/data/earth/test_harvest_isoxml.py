"""Harvests out of task data: units of the standard, fields by their number, files that disagree refused."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests import reading
from mainstem.data.earth.harvests.cleaning import clean
from mainstem.data.earth.harvests.columns import Reading
from mainstem.data.earth.harvests.reading import read_harvest, read_parts

LOG = """<TIM A="" D="4"><PTN A="" B="" D=""/><DLV A="0054" B="" C="DET-1"/><DLV A="0057" B="" C="DET-1"/>
<DLV A="0043" B="" C="DET-1"/><DLV A="0063" B="" C="DET-1"/><DLV A="008D" B="" C="DET-1"/></TIM>"""
TASKS = """<?xml version="1.0" encoding="UTF-8"?>
<ISO11783_TaskData VersionMajor="4" VersionMinor="1" DataTransferOrigin="2" ManagementSoftwareManufacturer="made">
<PFD A="PFD-1" C="home" D="10000"/><DVC A="DVC-1"><DET A="DET-1" B="1" C="1" E="0" F="0"/></DVC>
<TSK A="TSK-1" B="cut" E="{field}" G="4"><TLG A="TLG00001" C="1"/></TSK></ISO11783_TaskData>"""


def record(second: int, state: int = 1) -> bytes:
    """8 t/ha (800,000 mg/m2), 5 kg/s (5,000,000 mg/s), 9 m (9,000 mm), 14 % (140,000 ppm)."""
    place = struct.pack("<IHiiB", 1000 * second, 14_610, round((54.5 + 2e-5 * second) * 1e7), 101_000_000, 4)
    values = (800_000, 5_000_000, 9_000, 140_000, state)
    return place + bytes([5]) + b"".join(struct.pack("<Bi", number, value) for number, value in enumerate(values))


def write(folder: Path, records: list[bytes], field: str = "PFD-1") -> Path:
    folder.mkdir()
    (folder / "TASKDATA.XML").write_text(TASKS.format(field=field))
    (folder / "TLG00001.xml").write_text(LOG)
    (folder / "TLG00001.bin").write_bytes(b"".join(records))
    return folder


def test_a_timelog_comes_in_our_units_by_its_field(tmp_path):
    found = read_parts([write(tmp_path / "TASKDATA", [record(second, second > 1) for second in range(9)])])
    points = found["PFD-1"]
    assert points.yield_t_ha == pytest.approx(np.full(9, 8.0))
    assert points.flow_kg_s == pytest.approx(np.full(9, 5.0))
    assert points.moisture_pct == pytest.approx(np.full(9, 14.0))
    assert points.swath_m.tolist() == [0.0, 0.0, *[9.0] * 7]  # a header that does not work cuts nothing
    assert points.latitude[4] == pytest.approx(54.50008)
    assert clean(points).counts()["header up"] == 2


@pytest.mark.parametrize("hostile", ["../../etc", "PFD-9", "", "a/b"])
def test_a_field_that_the_file_does_not_describe_names_no_folder(tmp_path, hostile):
    found = read_parts([write(tmp_path / "TASKDATA", [record(second) for second in range(5)], hostile)])
    assert list(found) == ["TSK-1"]


def test_a_binary_that_disagrees_with_its_xml_is_refused_in_one_line(tmp_path):
    records = [record(second) for second in range(5)]
    with pytest.raises(InputError, match=r"record 5 of TLG00001\.bin says 5 values, which end after the file"):
        read_parts([write(tmp_path / "cut", [*records[:4], records[4][:-3]])])
    with pytest.raises(InputError, match=r"record 2 of TLG00001\.bin says 32 values, its XML lists 5"):
        read_parts([write(tmp_path / "shifted", [b"\x09", *records])])


def test_a_timelog_whose_time_runs_backwards_is_read_and_that_is_said(tmp_path):
    seconds = [0, 1, 2, 1, 3, 4]
    points = read_harvest([write(tmp_path / "TASKDATA", [record(second) for second in seconds])])
    assert len(points) == 6
    assert any("time runs backwards" in note for note in points.notes)
    assert clean(points).counts()["read"] == 6


def test_task_data_without_a_harvest_say_so(tmp_path):
    folder = write(tmp_path / "TASKDATA", [record(0)])
    (folder / "TLG00001.xml").write_text(LOG.replace('"0054"', '"0074"'))
    with pytest.raises(InputError, match="none of 1 timelogs holds a yield"):
        read_parts([folder])


@pytest.mark.mirror
def test_the_staged_logs_are_read_and_mostly_kept():
    earth = Path(os.environ["MAINSTEM_MIRROR"]) / "earth"
    field = read_parts([earth / "isoxml_forage_harvester"])["PFD-6"]
    assert len(field) == 1785
    assert 0.35 < clean(field).kept.mean() < 0.7  # a third was logged with the header up
    said = Reading(units={"yield": "bu/ac", "swath": "in", "flow": "lb/s"}, crop="winter wheat")
    wheat = clean(read_harvest([earth / "ofpe_msu" / "raw" / "FarmerI_YE_YLD_2016_henrys.zip"], said))
    assert wheat.counts()["read"] == 21_551
    assert 0.8 < wheat.kept.mean() < 0.95
    assert wheat.yield_t_ha[wheat.kept].mean() == pytest.approx(2.38, abs=0.05)


def altered(at: int, kind: str, value: int, count: int = 200) -> list[bytes]:
    """Records of which one number is another; 15 bytes of time and place come first, then a byte, then 5 a value."""
    found = [bytearray(record(second)) for second in range(count)]
    for one in found:
        struct.pack_into(kind, one, at, value)
    return [bytes(one) for one in found]


YIELD_AT, WIDTH_AT, STATUS_AT, DAY_AT = 17, 27, 14, 4


@pytest.mark.parametrize(
    ("records", "crop", "told"),
    [
        (altered(YIELD_AT, "<i", 70_000_000), "wheat", r"its yield is 700 t/ha at its median, want 0\.05 to 25"),
        (altered(YIELD_AT, "<i", 30_000_000), None, r"its yield is 300 t/ha at its median, want 0\.05 to 250"),
        (altered(WIDTH_AT, "<i", 164_000), None, r"its swath is 164 m at its median, want 0\.3 to 25"),
    ],
)
def test_what_no_combine_logs_is_refused_of_task_data_too(tmp_path, records, crop, told):
    with pytest.raises(InputError, match=rf"TASKDATA, PFD-1: {told}.*export it again"):
        read_parts([write(tmp_path / "TASKDATA", records)], Reading(crop=crop))


def test_a_yield_that_contradicts_its_flow_is_refused_of_task_data_too(tmp_path):
    folder = write(tmp_path / "TASKDATA", altered(STATUS_AT, "<B", 4))
    (folder / "TLG00001.xml").write_text(LOG.replace('"0063"', '"018D"'))  # 140 m/s stand where moisture did
    with pytest.raises(InputError, match="its speed is 140 m/s"):
        read_parts([folder])
    (folder / "TLG00001.bin").write_bytes(b"".join(altered(32, "<i", 2_000)))  # 5 kg/s over 2 m/s and 9 m: 2.8 t/ha
    with pytest.raises(InputError, match=r"its yield is 2\.88 times its flow over speed and swath"):
        read_parts([folder])
    (folder / "TLG00001.xml").write_text(LOG.replace('"0063"', '"018D"').replace('"0054"', '"00B5"'))
    assert len(read_parts([folder])["PFD-1"]) == 200  # a dry yield is less than what flowed, with its water


def test_records_without_a_fix_have_no_place_and_are_counted(tmp_path):
    records = [record(second) for second in range(9)]
    lost = [one[:STATUS_AT] + b"\0" + one[STATUS_AT + 1 :] for one in records]
    points = read_parts([write(tmp_path / "some", [*lost[:3], *records[3:]])])["PFD-1"]
    assert np.isnan(points.longitude).tolist() == [True] * 3 + [False] * 6
    assert "TLG00001: 3 records without a fix are taken out" in points.notes
    assert clean(points).counts()["no value"] == 3
    with pytest.raises(InputError, match="TLG00001 is left out: none of its 9 records has a fix"):
        read_parts([write(tmp_path / "none", lost)])


def test_a_log_that_is_named_twice_is_taken_once(tmp_path):
    folder = write(tmp_path / "TASKDATA", [record(second) for second in range(9)])
    named = '<TLG A="TLG00001" C="1"/>'
    for again in (2 * named, f'{named}</TSK><TSK A="TSK-2" B="again" E="PFD-1" G="4">{named}'):
        (folder / "TASKDATA.XML").write_text(TASKS.format(field="PFD-1").replace(named, again))
        points = read_parts([folder])["PFD-1"]
        assert len(points) == 9
        assert "TLG00001 is named 2 times: it is taken once" in points.notes


def test_a_timelog_whose_clock_runs_backwards_throughout_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"TLG00001: time runs backwards at 8 of 9 records.*export it again"):
        read_parts([write(tmp_path / "TASKDATA", [record(9 - second) for second in range(9)])])


def test_dates_that_leap_over_years_are_refused_and_a_few_have_no_time(tmp_path):
    records = [record(second) for second in range(200)]
    leaping = [one[:DAY_AT] + struct.pack("<H", 300 * row) + one[DAY_AT + 2 :] for row, one in enumerate(records)]
    with pytest.raises(InputError, match="TLG00001: dates of 198 of 200 records lie more than 366 days from"):
        read_parts([write(tmp_path / "leaping", leaping)])
    points = read_parts([write(tmp_path / "first", [leaping[0], *records[1:]])])["PFD-1"]
    assert np.isnan(points.time_s).sum() == 1
    assert points.days == ("2020-01-01",)


def test_more_records_than_are_cleaned_at_once_are_refused_whatever_number_of_logs_holds_them(tmp_path, monkeypatch):
    folder = write(tmp_path / "TASKDATA", [record(second) for second in range(9)])
    named = '<TLG A="TLG00001" C="1"/>'
    (folder / "TASKDATA.XML").write_text(TASKS.format(field="PFD-1").replace(named, f'{named}<TLG A="TLG00002"/>'))
    for kind in ("xml", "bin"):
        (folder / f"TLG00002.{kind}").write_bytes((folder / f"TLG00001.{kind}").read_bytes())
    assert len(read_parts([folder])["PFD-1"]) == 18
    monkeypatch.setattr(reading, "MOST_RECORDS", 17)
    with pytest.raises(InputError, match="TASKDATA: more than 17 records up to TLG00002; give fewer tasks, or split"):
        read_parts([folder])
