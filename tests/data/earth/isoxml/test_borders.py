import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.earth.isoxml.made_logs import TASKS, record, write_log

from mainstem.core.errors import InputError
from mainstem.data.earth.fields import open_fields
from mainstem.data.earth.isoxml.taskdata import read_taskdata
from mainstem.data.earth.isoxml.timelogs import read_timelog


def pnt(*places: tuple[float, float]) -> str:
    return "".join(f'<PNT A="2" C="{50 + y / 1000}" D="{10 + x / 1000}"/>' for x, y in places)


SQUARE, HOLE = pnt((0, 0), (9, 0), (9, 9), (0, 9)), pnt((2, 2), (4, 2), (4, 4), (2, 4))


def test_borders_have_holes_and_are_named_by_number(tmp_path: Path) -> None:
    polygon = f'<PLN A="1"><LSG A="1">{SQUARE}</LSG><LSG A="2">{HOLE}</LSG><LSG A="5">{HOLE}</LSG></PLN>'
    tasks = TASKS.replace("<DVC", f'<PFD A="PFD-7" C="x" D="1">{polygon}</PFD><DVC', 1)
    found = open_fields(write_log(tmp_path, [record(1, [])], tasks=tasks) / "TASKDATA.XML").table
    assert found["field"].tolist() == ["PFD1", "PFD-7"]
    assert found.geometry.iloc[1].area == pytest.approx((81 - 4) * 1e-6)
    assert found.crs.to_epsg() == 4326


def test_a_border_that_crosses_itself_is_refused_by_number(tmp_path: Path) -> None:
    bow = f'<PLN A="1"><LSG A="1">{pnt((0, 0), (9, 9), (9, 0), (0, 9))}</LSG></PLN>'
    tasks = TASKS.replace("<DVC", f'<PFD A="PFD7" C="x" D="1">{bow}</PFD><DVC', 1)
    write_log(tmp_path, [record(1, [])], tasks=tasks)
    with pytest.raises(InputError, match=r"'PFD7' of TASKDATA\.XML crosses itself"):
        open_fields(tmp_path / "TASKDATA.XML")


def test_a_border_of_a_hundred_thousand_points_is_read(tmp_path: Path) -> None:
    many = pnt(*((k / 1e4, (k % 2) / 1e6) for k in range(100_000)), (5, 9))
    tasks = TASKS.replace("<DVC", f'<PFD A="PFD7" C="x" D="1"><PLN A="1"><LSG A="1">{many}</LSG></PLN></PFD><DVC', 1)
    assert len(read_taskdata(write_log(tmp_path, [], tasks=tasks)).partfields[1].rings[0]) == 100_001


@given(st.binary(max_size=200), st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_timelog_or_one_line(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    folder = tmp_path_factory.mktemp("log")
    write_log(folder, [record(1, [(0, 5), (1, 6)]), record(2, [(1, 7)])])
    path = folder / "TLG00001.BIN"
    content = path.read_bytes()
    path.write_bytes(content[:at] + noise + content[at:])
    told = ""
    try:
        log = read_timelog(read_taskdata(folder), "TLG00001")
    except InputError as error:
        told = str(error)
    if told:
        assert "TLG00001" in told
        assert "\n" not in told
    else:
        assert sum(len(column.record) for column in log.columns) <= len(path.read_bytes()) / 5


@pytest.mark.mirror
def test_the_forage_harvesters_fields_have_the_areas_that_it_says() -> None:
    path = Path(os.environ["MAINSTEM_MIRROR"], "earth", "isoxml_forage_harvester", "TASKDATA.XML")
    table = open_fields(path).table
    said = {field.id: field.area_ha for field in read_taskdata(path).partfields}
    areas = table.to_crs(table.estimate_utm_crs()).geometry.area / 1e4
    assert len(table) == 21
    assert [round(area / said[name], 2) for name, area in zip(table["field"], areas, strict=True)] == pytest.approx(
        [1.0] * 21,
        abs=0.07,  # its makers moved the places to another latitude, where a degree is narrower
    )
