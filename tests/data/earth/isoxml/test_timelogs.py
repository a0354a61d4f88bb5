import datetime
import os
import re
from pathlib import Path

import numpy as np
import pytest
from tests.data.earth.isoxml.made_logs import HEADER, TASKS, record, write_log

from mainstem.core.errors import InputError
from mainstem.data.earth.isoxml.taskdata import read_taskdata
from mainstem.data.earth.isoxml.timelogs import TimeLog, read_timelog, read_timelogs

GOOD = [record(3600, [(0, 800_000), (1, 45)]), record(3601.25, [(0, 900_000)]), record(3602.5, [], east=10.0006)]


def read(folder: Path) -> TimeLog:
    return read_timelog(read_taskdata(folder), "TLG00001")


def test_columns_come_in_their_units_and_are_held_until_the_next_value(tmp_path: Path) -> None:
    log = read(write_log(tmp_path, GOOD))
    start = datetime.datetime(2020, 1, 2, 1, tzinfo=datetime.UTC).timestamp()
    assert (log.time - start).tolist() == [0.0, 1.25, 2.5]
    np.testing.assert_allclose(log.latitude, 50.0005, atol=1e-9)
    np.testing.assert_allclose(log.longitude, [10.0005, 10.0005, 10.0006], atol=1e-9)
    (mass,), (speed,) = log.find(0x54), log.find(0x18D, 0xEA7E)
    assert (mass.quantity.unit, speed.quantity.unit, speed.quantity.source) == ("t/ha", "km/h", "the device")
    np.testing.assert_allclose(mass.values(), [8, 9, 9])
    np.testing.assert_allclose(speed.values(), [5, 5, 5])  # (45 + 5) * 0.1
    np.testing.assert_allclose(mass.values(is_held=False), [8, 9, np.nan])
    assert log.status is not None
    assert set(log.status.tolist()) == {4}
    assert not log.remarks()
    task_data = read_taskdata(tmp_path)
    assert task_data.elements["DET1"].properties[0x44] == pytest.approx(6.0)
    assert task_data.partfields[0].area_ha == 2.0
    assert task_data.partfields[0].rings[0].tolist()[1] == [10.002, 50.0]


def test_a_value_of_the_header_holds_for_every_record_and_a_lost_position_is_none(tmp_path: Path) -> None:
    header = '<TIM A="" D="4"><PTN A="" B="11.5" D="1"/><DLV A="0054" B="" C="DET1"/></TIM>'
    content = [record(1, [(0, 5)])[:10] + b"\1" + record(1, [(0, 5)])[-5:], b"\0" * 6 + b"\xff\xff\xff\x7f" + b"\0"]
    log = read(write_log(tmp_path, content, header))
    np.testing.assert_allclose(log.longitude, [11.5, np.nan])
    np.testing.assert_allclose(log.latitude, [50.0005, np.nan], atol=1e-9)


def test_time_that_runs_backwards_is_named(tmp_path: Path) -> None:
    log = read(write_log(tmp_path, [*GOOD, record(3600.5, [])]))
    assert log.backwards.tolist() == [3]
    assert log.remarks() == ["TLG00001: time runs backwards at 1 of 4 records, first at record 4 by 2 s"]


@pytest.mark.parametrize(
    ("records", "header", "told"),
    [
        ([*GOOD, record(1, [(0, 1)])[:-2]], HEADER, "record 4 of TLG00001.BIN says 1 values, which end after"),
        ([*GOOD, b"\0\1\2"], HEADER, "record 4 of TLG00001.BIN is cut at byte"),
        ([*GOOD, record(1, [(0, 1)] * 3)], HEADER, "record 4 of TLG00001.BIN says 3 values, its XML lists 2"),
        ([GOOD[0], record(1, [(2, 1)])], HEADER, "record 2 of TLG00001.BIN has a value numbered 2"),
        ([GOOD[0], record(1, [(1, 1), (1, 1)])], HEADER, "record 2 of TLG00001.BIN gives one value twice"),
        ([GOOD[0], record(90_000, [])], HEADER, "record 2 of TLG00001.BIN is at 90000000 ms"),
        ([GOOD[0], record(1, [], north=91)], HEADER, "record 2 of TLG00001.BIN lies at 91 degrees north"),
        (
            GOOD,
            HEADER.replace(' G=""', ""),
            "record 1 of TLG00001.BIN says 9 values",
        ),  # the header lacks a byte that each record has
        (GOOD, HEADER.replace('A="0054"', 'A="zz"'), "DDI 'zz'"),
        (GOOD, HEADER.replace("DET1", "../x"), "'../x'"),
        (GOOD, HEADER.replace('TIM A=""', 'TIM A="2020"'), "no start of each record"),
        (GOOD, '<!DOCTYPE a [<!ENTITY b "c">]>' + HEADER, "no XML of ISO 11783-10"),
        (GOOD, "<TIM", "no XML of ISO 11783-10"),
    ],
)
def test_a_binary_that_disagrees_with_its_xml_is_refused(
    tmp_path: Path, records: list[bytes], header: str, told: str
) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        read(write_log(tmp_path, records, header))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('VersionMajor="4"', 'VersionMajor="9"', "version 9"),
        ('A="TLG00001"', 'A="../../etc"', "timelog '../../etc'"),
        ('C="50.0" D="10.0"', 'C="95.0" D="10.0"', "point 1 of TASKDATA.XML lies at latitude 95"),
        ('C="50.0" D="10.0"', 'C="nan" D="10.0"', "is 'nan', want a number"),
        ('<PFD A="PFD1"', '<PFD A="PFD9999999999999"', "identity"),
        ("<DVC", '<PFD A="PFD1"/><DVC', "PFD1 stands twice"),
        ("<DVC", "<X>" * 30 + "</X>" * 30 + "<DVC", "nests elements"),
        ("<DVC", '<XFR A="../../PFD"/><DVC', "names a part"),
    ],
)
def test_a_task_file_with_faults_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    tasks = TASKS.replace("{major}", "4").replace(old, new)
    with pytest.raises(InputError, match=told):
        read_taskdata(write_log(tmp_path, GOOD, tasks=tasks))


def test_a_missing_binary_is_named(tmp_path: Path) -> None:
    write_log(tmp_path, GOOD)
    (tmp_path / "TLG00001.BIN").unlink()
    with pytest.raises(InputError, match=r"TLG00001\.bin of a timelog is not beside"):
        read(tmp_path)


@pytest.mark.mirror
def test_the_forage_harvesters_logs_are_read_whole() -> None:
    folder = Path(os.environ["MAINSTEM_MIRROR"], "earth", "isoxml_forage_harvester")
    task_data = read_taskdata(folder)
    logs = read_timelogs(task_data)
    assert task_data.version == (4, 1)
    assert (len(logs), sum(map(len, logs.values())), len(task_data.partfields)) == (21, 61_314, 21)
    log = logs["TLG00001"]
    assert log.find(0x57)[0].values()[0] == pytest.approx(0x00C65D0C * 3.6e-6)  # mg/s, bytes 0x2A-0x2D of the file
    assert log.find(0xEA7E)[0].quantity.unit == "km/h"
    assert not any(log.remarks() for log in logs.values())


@pytest.mark.parametrize(
    ("position", "told"),
    [
        ('A="400" B="10"', "the position's A in TLG00001.XML is 400, want -90 to 90"),
        ('A="50" B="-180.1"', "the position's B in TLG00001.XML is -180.1, want -180 to 180"),
        ('A="1e300" B="10"', "the position's A in TLG00001.XML"),
        ('A="nan" B="10"', "the position's A in TLG00001.XML"),
        ('A="50" B="10" D="256"', "the position's D in TLG00001.XML is 256, want 0 to 255"),
    ],
)
def test_a_position_of_the_header_beyond_the_globe_is_refused(tmp_path: Path, position: str, told: str) -> None:
    header = f'<TIM A="" D="4"><PTN {position}/><DLV A="0054" B="" C="DET1"/></TIM>'
    with pytest.raises(InputError, match=re.escape(told)):
        read(write_log(tmp_path, [], header))


def test_a_status_of_the_header_holds_for_every_record(tmp_path: Path) -> None:
    header = '<TIM A="" D="4"><PTN A="50" B="11.5" D="0"/><DLV A="0054" B="" C="DET1"/></TIM>'
    log = read(write_log(tmp_path, [b"\0" * 6 + b"\0"] * 3, header))
    assert log.status is not None
    assert log.status.tolist() == [0, 0, 0]
