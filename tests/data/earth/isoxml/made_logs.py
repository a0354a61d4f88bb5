"""Timelogs made in a test: a task file, a header and a binary of known records."""

import struct
from collections.abc import Sequence
from pathlib import Path

TASKS = """<?xml version="1.0" encoding="UTF-8"?>
<ISO11783_TaskData VersionMajor="{major}" VersionMinor="0" DataTransferOrigin="2" TaskControllerManufacturer="t"
    TaskControllerVersion="1" ManagementSoftwareManufacturer="m" ManagementSoftwareVersion="1">
  <PFD A="PFD1" C="north &lt;b&gt;" D="20000"><PLN A="1"><LSG A="1">
    <PNT A="2" C="50.0" D="10.0"/><PNT A="2" C="50.0" D="10.002"/><PNT A="2" C="50.001" D="10.002"/>
  </LSG></PLN></PFD>
  <DVC A="DVC1" B="combine" D="A000" F="00" G="00">
    <DET A="DET1" B="1" C="1" D="machine" E="0" F="0"><DOR A="10"/><DOR A="11"/><DOR A="12"/></DET>
    <DPD A="10" B="0054" C="1" D="1" E="yield"/>
    <DPD A="11" B="EA7E" C="1" D="1" E="speed" F="20"/>
    <DPT A="12" B="0044" C="6000" D="width"/>
    <DVP A="20" B="5" C="0.1" D="1" E="km/h"/>
  </DVC>
  <TSK A="TSK1" B="harvest" E="PFD1" G="4"><TLG A="TLG00001"/></TSK>
</ISO11783_TaskData>"""
HEADER = """<TIM A="" D="4"><PTN A="" B="" D="" G=""/>
<DLV A="0054" B="" C="DET1"/><DLV A="EA7E" B="" C="DET1"/></TIM>"""
DAYS = 14_611  # 2020-01-02


def record(
    second: float, values: Sequence[tuple[int, int]], north: float = 50.0005, east: float = 10.0005, days: int = DAYS
) -> bytes:
    fixed = struct.pack("<IHiiBB", round(second * 1000), days, round(north * 1e7), round(east * 1e7), 4, 9)
    return fixed + bytes([len(values)]) + b"".join(struct.pack("<Bi", *value) for value in values)


def write_log(folder: Path, records: Sequence[bytes], header: str = HEADER, tasks: str = TASKS) -> Path:
    (folder / "TASKDATA.XML").write_text(tasks.replace("{major}", "4"))
    (folder / "TLG00001.XML").write_text(header)
    (folder / "TLG00001.BIN").write_bytes(b"".join(records))
    return folder
