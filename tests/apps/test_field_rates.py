"""Rate maps: every file opened by another reader, every mean as the rule gives it, bad zones refused."""

import csv
import json
import os
import struct
import subprocess
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Point, Polygon, box
from tests.data.earth.isoxml.schema import breaches, read_strictly

from mainstem.apps.fields.rates import FORMS, make_rates
from mainstem.core.errors import InputError
from mainstem.data.earth.isoxml.rate_reading import read_rates
from mainstem.data.earth.isoxml.taskdata import read_taskdata
from mainstem.data.earth.rate_rules import sign

CRS = "EPSG:32633"
X, Y = 500_000, 5_400_000
HOSTILE = '=HYPERLINK("x") <b>&\x07 ümläut'
RULE = """product: seed & <wheat>
min: 0 kg/ha
max: 200 kg/ha
zone 1: 80 kg/ha; zone 2: 160 kg/ha; zone 3: 120 kg/ha
headland 12 m: 0
"""


def zones_file(folder: Path, **changes: object) -> Path:
    hole = Polygon(box(X, Y, X + 300, Y + 400).exterior, [Point(X + 150, Y + 200).buffer(30).exterior])
    shapes = [
        hole.intersection(box(X, Y, X + 300, Y + 133)),
        hole.intersection(box(X, Y + 133, X + 300, Y + 400)),
        MultiPolygon([box(X + 500, Y, X + 620, Y + 200), box(X + 700, Y, X + 800, Y + 90)]),
    ]
    table = gpd.GeoDataFrame(
        {"field": ["a", "a", HOSTILE], "zone": [1, 2, 3], "claim": ["none"] * 3, **changes}, geometry=shapes, crs=CRS
    )
    path = folder / "zones.gpkg"
    table.to_file(path, driver="GPKG")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rates")
    (folder / "rule.txt").write_text(RULE)
    make_rates(zones_file(folder), folder / "rule.txt", sign("A. Farmer"), folder / "out")
    return folder / "out"


def expected_means() -> list[float]:
    """By the planar areas: 12 m of headland along outer and inner borders, and around each part."""
    hole = Polygon(box(X, Y, X + 300, Y + 400).exterior, [Point(X + 150, Y + 200).buffer(30).exterior])
    inner = hole.buffer(-12)
    low, high = (inner.intersection(box(X, Y + a, X + 300, Y + b)).area for a, b in ((0, 133), (133, 400)))
    parts = MultiPolygon([box(X + 500, Y, X + 620, Y + 200), box(X + 700, Y, X + 800, Y + 90)])
    return [(80 * low + 160 * high) / hole.area, 120 * parts.buffer(-12).area / parts.area]


def test_means_survive_in_every_format_within_a_thousandth(made: Path) -> None:
    facts = json.loads((made / "rates.json").read_text())
    for field, wanted in zip(facts["fields"], expected_means(), strict=True):
        assert field["mean"] == pytest.approx(wanted, rel=2e-4)
        assert set(field["means"]) == {*FORMS, "geotiff", "shapefile"}
        assert list(field["means"].values()) == pytest.approx([wanted] * 6, rel=1.2e-3)
        assert field["zones_claim"] == "none"


@pytest.mark.parametrize("form", FORMS)
def test_taskdata_comes_back_equal_and_keeps_to_the_schema(made: Path, form: str) -> None:
    found = read_taskdata(made / form / "TASKDATA")
    assert found.version == (FORMS[form][0], 3)
    assert found.products == {"PDT1": "seed & <wheat>"}
    assert [field.name for field in found.partfields] == ["a", '=HYPERLINK("x") <b>&  ümläut']
    assert found.partfields[0].is_hole == (False, True)
    assert found.partfields[0].area_ha == pytest.approx(11.71, abs=0.05)
    rates = read_rates(found, found.tasks[0])
    assert rates.outside == 0
    assert sorted(np.unique(rates.rates)) == [0, 80, 160]
    south, north = rates.rates[len(rates.rates) // 4], rates.rates[3 * len(rates.rates) // 4]
    assert (south.max(), north.max()) == (80, 160)  # rows run from the south
    if rates.codes is not None:
        names = {zone.name: (zone.rate, zone.unit) for zone in rates.zones.values()}
        assert names["zone 2"] == (160, "kg/ha")
        assert names["headland 12 m"] == (0, "kg/ha")
    pytest.importorskip("isoxml")
    assert list(breaches(read_strictly(made / form / "TASKDATA" / "TASKDATA.XML"))) == []


def test_a_grid_read_by_isoxml_is_the_same(made: Path) -> None:
    reader = pytest.importorskip("isoxml.util.isoxml_io")
    from isoxml.converter.np_grid import to_numpy_array

    for form in FORMS:
        task_data, binaries = reader.isoxml_from_path(made / form / "TASKDATA")
        ours = read_taskdata(made / form / "TASKDATA")
        for theirs, task in zip(task_data.tasks, ours.tasks, strict=True):
            cells, found = to_numpy_array(binaries[theirs.grids[0].filename], theirs.grids[0]), read_rates(ours, task)
            assert np.array_equal(cells, found.rates * 100 if found.codes is None else found.codes)


def test_a_broken_file_breaks_the_schema(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("isoxml")
    text = (made / "isoxml-v3-zones" / "TASKDATA" / "TASKDATA.XML").read_text()
    (tmp_path / "TASKDATA.XML").write_text(
        text.replace('<TZN A="1"', '<TZN A="255"').replace('B="zone 2"', f'B="{"z" * 40}"')
    )
    told = list(breaches(read_strictly(tmp_path / "TASKDATA.XML")))
    assert any("TreatmentZone.code is 255" in one for one in told)
    assert any("designator has 40 letters" in one for one in told)


def test_shapefiles_are_polygons_with_numbers_alone(made: Path) -> None:
    path = made / "shapefile" / "field_001.shp"
    header = path.read_bytes()[:36]
    assert struct.unpack("<ii", header[28:36]) == (1000, 5)  # version, polygons
    table = gpd.read_file(path)
    assert table.crs.to_epsg() == 4326
    assert sorted(table["RATE"]) == [0, 80, 160]
    assert all(kind.kind in "if" for kind in table.drop(columns="geometry").dtypes)
    told = subprocess.run(["ogrinfo", "-so", "-al", path], capture_output=True, text=True, check=False).stdout
    assert "Feature Count: 3" in told or not told


def test_geotiff_and_table_say_what_they_hold(made: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(made / "geotiff" / "field_002.tif") as found:
        assert found.tags()["PRODUCT"] == "seed & <wheat>"
        assert found.tags()["SIGNED"] == "A. Farmer"
        assert found.units[0] == "kg/ha"
        values = found.read(1)
        assert sorted(np.unique(values[np.isfinite(values)])) == [0, 120]
    with (made / "rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["field"].startswith("'=HYPERLINK")
    assert {row["signed"] for row in rows} == {"A. Farmer"}
    assert (made / "rule.txt").read_text().startswith(RULE)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"zone": [1, 2, 9]}, "no rate for zone 9"),
        ({"zone": [1.5, 2, 3]}, "row 1 of zones.gpkg has the zone '1.5'"),
        ({"zone": ["x", "2", "3"]}, "row 1 of zones.gpkg has the zone 'x'"),
        ({"field": ["a", "", "b"]}, "row 2 of zones.gpkg has no name"),
    ],
)
def test_zones_that_the_rule_or_no_one_knows_are_refused(tmp_path: Path, changes: dict, told: str) -> None:
    (tmp_path / "rule.txt").write_text(RULE)
    with pytest.raises(InputError, match=told):
        make_rates(zones_file(tmp_path, **changes), tmp_path / "rule.txt", sign("A. Farmer"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shape", "crs", "told"),
    [
        (Polygon([(0, 0), (100, 100), (100, 0), (0, 100)]), CRS, "row 1 of zones.gpkg crosses itself"),
        (Polygon([(-179.99, 50), (179.99, 50), (179.99, 50.01), (-179.99, 50.01)]), "EPSG:4326", "antimeridian"),
        (Point(X, Y), CRS, "row 1 of zones.gpkg is no polygon"),
    ],
)
def test_borders_that_are_none_are_refused(tmp_path: Path, shape: object, crs: str, told: str) -> None:
    gpd.GeoDataFrame({"zone": [1]}, geometry=[shape], crs=crs).to_file(tmp_path / "zones.gpkg")
    (tmp_path / "rule.txt").write_text(RULE)
    with pytest.raises(InputError, match=told):
        make_rates(tmp_path / "zones.gpkg", tmp_path / "rule.txt", sign("A. Farmer"), tmp_path / "out")


def test_overlapping_zones_and_a_field_that_no_one_has_are_refused(tmp_path: Path) -> None:
    shapes = [box(X, Y, X + 200, Y + 200), translate(box(X, Y, X + 200, Y + 200), 50, 0)]
    gpd.GeoDataFrame({"zone": [1, 2]}, geometry=shapes, crs=CRS).to_file(tmp_path / "zones.gpkg")
    (tmp_path / "rule.txt").write_text(RULE)
    with pytest.raises(InputError, match=r"overlap by 3\.00 ha"):
        make_rates(tmp_path / "zones.gpkg", tmp_path / "rule.txt", sign("A. Farmer"), tmp_path / "out")
    (tmp_path / "rule.txt").write_text(RULE + 'field "z" zone 1: 90 kg/ha\n')
    with pytest.raises(InputError, match="names field 'z'"):
        make_rates(zones_file(tmp_path), tmp_path / "rule.txt", sign("A. Farmer"), tmp_path / "out2")


@pytest.mark.parametrize("unit", ["t/ha", "l/ha", "m3/ha", "seeds/ha"])
def test_rates_of_every_unit_come_back(tmp_path: Path, unit: str) -> None:
    rate = 80_000 if unit == "seeds/ha" else 30
    (tmp_path / "rule.txt").write_text(f"product: p\nmin: 0 {unit}\nmax: 90000 {unit}\nzone 1: {rate} {unit}\n")
    gpd.GeoDataFrame({"zone": [1]}, geometry=[box(X, Y, X + 90, Y + 50)], crs=CRS).to_file(tmp_path / "zones.gpkg")
    make_rates(tmp_path / "zones.gpkg", tmp_path / "rule.txt", sign("A. Farmer"), tmp_path / "out")
    found = read_taskdata(tmp_path / "out" / "isoxml-v3-zones" / "TASKDATA")
    rates, shown = read_rates(found, found.tasks[0]), found.presentations["VPN1"]
    per_ours = {"t/ha": 1000, "m3/ha": 1000}.get(unit, 1)
    assert rates.rates.max() == pytest.approx(rate * per_ours)
    raw = rates.rates.max() / {"kg": 0.01, "t/": 0.01, "l/": 1e-4, "m3": 1e-4, "se": 10.0}[unit[:2]]
    assert raw * shown.scale == pytest.approx(rate)  # what a terminal shows


def test_taskdata_whose_binary_disagrees_is_refused(made: Path, tmp_path: Path) -> None:
    for path in (made / "isoxml-v4-zones" / "TASKDATA").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    binary = tmp_path / "GRD00001.bin"
    whole = binary.read_bytes()
    found = read_taskdata(tmp_path)
    binary.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"GRD00001\.bin has .* bytes, its XML says"):
        read_rates(found, found.tasks[0])
    binary.write_bytes(b"\x63" + whole[1:])
    with pytest.raises(InputError, match="row 1, column 1 of GRD00001 is of zone 99"):
        read_rates(found, found.tasks[0])
    binary.unlink()
    os.symlink("/etc/hostname", binary)
    with pytest.raises(InputError, match="does not lie beside"):
        read_rates(found, found.tasks[0])
