"""Harvests out of task data: units of the standard, fields by their number, files that disagree refused."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from mainstem.core.errors import InputError
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
