"""Vector files that are not what they say: one line, no other file read, no host asked, little memory."""

import contextlib
import json
import math
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import Polygon, box

from mainstem.core.errors import InputError
from mainstem.data.earth.fields import check_fields, open_fields, overlays, sowing_days
from mainstem.data.earth.gdal import DRIVERS, load_pyogrio
from mainstem.data.earth.raster import Grid, load_rasterio
from tests.hostile.harness import canary, listener, run_call, run_cli
from tests.hostile.test_stores import eopatch

HERE = "tests.hostile.test_vectors"
METRIC = "EPSG:32633"
SQUARES = [box(500_020, 5_000_020, 500_120, 5_000_140), box(500_150, 5_000_050, 500_260, 5_000_200)]
RING = [[15.0, 45.0], [15.001, 45.0], [15.001, 45.001], [15.0, 45.0]]
BORDER = {"type": "Polygon", "coordinates": [RING]}


def read(path: Path) -> str:
    """All that comes out of a fields file."""
    return str(open_fields(path).table.to_json())


def refused(path: Path, *words: str) -> str:
    """The one line that a file is refused with; read here, where a child with limits is not needed."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    for word in words:
        assert word.lower() in message.lower()
    return message


def fields(**columns: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": ["north", "south"], **columns}, geometry=SQUARES, crs=METRIC)


def geojson(path: Path, **changes: object) -> Path:
    feature = {"type": "Feature", "properties": {"name": "a"}, "geometry": {"type": "Polygon", "coordinates": [RING]}}
    document = {"type": "FeatureCollection", "features": [feature], **changes}
    path.write_text(json.dumps(document))
    return path


def geopackage(path: Path, *statements: str) -> Path:
    """A right GeoPackage, then changed by SQL."""
    fields().to_file(path, driver="GPKG", layer="fields")
    connection = sqlite3.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')  # of the index by place, which only GDAL's functions keep
    connection.execute("PRAGMA writable_schema=ON")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def shapefile(folder: Path) -> Path:
    folder.mkdir()
    fields().to_file(folder / "fields.shp")
    return folder / "fields.shp"


def pack(path: Path, shape: Path, names: Callable[[str], str] = str, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(shape.parent.glob("fields.*")):
            archive.write(part, names(part.name))
        for name, content in more.items():
            archive.writestr(name, content)
    return path


def kml(path: Path, inside: str = "", head: str = "") -> Path:
    corners = " ".join(f"{x},{y}" for x, y in RING)
    place = (
        f"<Placemark><name>a</name><Polygon><outerBoundaryIs><LinearRing><coordinates>{corners}</coordinates>"
        "</LinearRing></outerBoundaryIs></Polygon></Placemark>"
    )
    path.write_text(
        f'<?xml version="1.0"?>{head}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{place}{inside}'
        "</Document></kml>"
    )
    return path


def virtual(source: str) -> str:
    return (
        f'<OGRVRTDataSource><!-- <kml --><OGRVRTLayer name="a"><SrcDataSource>{source}</SrcDataSource>'
        "<SrcLayer>canary</SrcLayer></OGRVRTLayer></OGRVRTDataSource>"
    )


def pipeline(source: str) -> str:
    line = f"gdal vector pipeline ! read {source} ! reproject --dst-crs EPSG:4326"
    return json.dumps({"type": "gdal_streamed_alg", "command_line": line})


LOOKS = {
    "a.kml": virtual, "a.geojson": pipeline, "a.json": pipeline, "a.gdalg.json": pipeline, "b.geojson": virtual,
    "a.gpkg": virtual, "b.kml": pipeline, "a.shp": virtual, "a.zip": virtual,
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", LOOKS)
def test_a_virtual_format_under_another_name_reads_no_file_and_asks_no_host(tmp_path, name):
    path, secret = canary(tmp_path, "canary.csv")
    with listener() as port:
        for source in (str(path), f"/vsicurl/{port.url}/a.geojson"):
            given = tmp_path / name
            given.write_text(LOOKS[name](source))
            assert secret not in run_call(f"{HERE}:read", given).refused(name, "not what its name says").text


@pytest.mark.parametrize("content", [virtual, pipeline], ids=["vrt", "gdalg"])
def test_a_virtual_format_within_a_zip_reads_no_file_and_asks_no_host(tmp_path, content):
    path, secret = canary(tmp_path, "canary.csv")
    with listener() as port:
        for source in (str(path), f"/vsicurl/{port.url}/a.csv"):
            with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
                for suffix in ("shp", "shx", "dbf", "prj"):
                    archive.writestr(f"a.{suffix}", content(source))
            assert secret not in refused(tmp_path / "a.zip", "a.zip")


CRS_MEMBERS = {
    "link": lambda url: {"type": "link", "properties": {"href": url, "type": "ogcwkt"}},
    "url": lambda url: {"type": "url", "properties": {"url": url}},
    "name-of-a-host": lambda url: {"type": "name", "properties": {"name": url}},
    "proj": lambda url: {"type": "name", "properties": {"name": f"+proj=longlat +nadgrids={url}"}},
    "init": lambda url: {"type": "name", "properties": {"name": f"+init={url}:4326"}},
    "null": lambda url: None,
    "number": lambda url: 4326,
}


@pytest.mark.parametrize("member", CRS_MEMBERS)
def test_a_crs_that_geojson_links_to_is_never_followed(tmp_path, member):
    path, secret = canary(tmp_path)
    with listener() as port:
        for place in (port.url, str(path)):
            given = geojson(tmp_path / "a.geojson", crs=CRS_MEMBERS[member](place))
            assert secret not in refused(given, "crs", "a.geojson")


def test_geojson_with_the_names_of_old_is_read_in_that_crs(tmp_path):
    assert open_fields(geojson(tmp_path / "a.geojson")).table.crs.is_geographic
    ring = [[500_000, 5_000_000], [500_100, 5_000_000], [500_100, 5_000_100], [500_000, 5_000_000]]
    feature = {"type": "Feature", "properties": None, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    for name in ("urn:ogc:def:crs:EPSG::32633", "EPSG:32633"):
        named = {"type": "name", "properties": {"name": name}}
        found = open_fields(geojson(tmp_path / "b.geojson", crs=named, features=[feature]))
        assert found.table.crs.to_epsg() == 32633
        assert found.table["field"].tolist() == ["1"]


def polygon(*ring: list[float]) -> dict[str, object]:
    return {
        "type": "Feature",
        "properties": {"name": "a"},
        "geometry": {"type": "Polygon", "coordinates": [list(ring)]},
    }


def with_geometry(geometry: object) -> list[dict[str, object]]:
    return [{"type": "Feature", "properties": {"name": "a"}, "geometry": geometry}]


DOCUMENTS = {
    "swapped": ({"features": [polygon([45.0, 100.0], [45.1, 100.0], [45.1, 100.1], [45.0, 100.0])]}, "swapped"),
    "metres-as-degrees": ({"features": [polygon([5e5, 5e6], [5.1e5, 5e6], [5.1e5, 5.1e6], [5e5, 5e6])]}, "longitude"),
    "infinite": ({"features": [polygon([math.inf, 45], [15, 45], [15, 46], [15, 45])]}, "no number"),
    "nan": ({"features": [polygon([math.nan, 45], [15, 45], [15, 46], [15, 45])]}, "no number"),
    "1e400": ({"features": [polygon([15, 45], [15.1, 45], [15.1, 1e300], [15, 45])]}, "latitude"),
    "text-coordinates": ({"features": [polygon(["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"])]}, "feature 1"),
    "null-coordinates": ({"features": [polygon([None, 45], [15, 45], [15, 46], [None, 45])]}, "a.geojson"),
    "bow-tie": ({"features": [polygon([15, 45], [15.1, 45.1], [15.1, 45], [15, 45.1], [15, 45])]}, "crosses itself"),
    "two-corners": ({"features": [polygon([15, 45], [15.1, 45.1])]}, "feature 1"),
    "point": ({"features": with_geometry({"type": "Point", "coordinates": [15, 45]})}, "want a polygon"),
    "no-geometry": ({"features": with_geometry(None)}, "no border"),
    "empty": ({"features": with_geometry({"type": "Polygon", "coordinates": []})}, "no border"),
    "geometry-is-a-list": ({"features": with_geometry([1, 2])}, "no geometry"),
    "unknown-geometry": ({"features": with_geometry({"type": "Circle", "coordinates": [0, 0]})}, "feature 1"),
    "no-feature": ({"features": []}, "holds no field"),
    "features-a-number": ({"features": 5}, "holds no field"),
    "feature-a-number": ({"features": [5]}, "feature 1"),
    "properties-a-list": ({"features": [{"type": "Feature", "properties": [1], "geometry": None}]}, "feature 1"),
    "nul-in-name": ({"features": [{**polygon(*RING), "properties": {"name": "a\0b"}}]}, "row 1"),
    "long-name": ({"features": [{**polygon(*RING), "properties": {"name": "a" * 5000}}]}, "row 1"),
    "half-named": ({"features": [polygon(*RING), {**polygon(*RING), "properties": {}}]}, "row 2"),
    "topology": ({"type": "Topology", "objects": {}}, "not what its name says"),
    "esri": ({"type": None, "geometryType": "esriGeometryPolygon"}, "not what its name says"),
    "many-columns": (
        {"features": [{**polygon(*RING), "properties": {str(i): i for i in range(5000)}}]},
        "5001 columns",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_faulty_geojson_is_refused_by_feature(tmp_path, name):
    changes, words = DOCUMENTS[name]
    refused(geojson(tmp_path / "a.geojson", **changes), words, "a.geojson")


TEXTS = {
    "cut": b'{"type": "FeatureCollection", "features": [', "empty": b"", "nul": b"\0" * 4096, "list": b"[1, 2]",
    "deep": b'{"type": ' + b"[" * 100_000, "latin1": '{"type": "Stra\u00dfe"}'.encode("latin1"),
    "digits": b'{"type": "Polygon", "coordinates": [[[' + b"9" * 10_000 + b", 1]]]}",
    "twice": b'{"type": "FeatureCollection", "type": "Feature", "features": []}',
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_no_geojson_is_refused(tmp_path, name):
    (tmp_path / "a.geojson").write_bytes(TEXTS[name])
    refused(tmp_path / "a.geojson", "a.geojson")


def test_much_text_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_bytes(b'{"type":"FeatureCollection","features":[')
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    run_call(f"{HERE}:read", path, limit_s=5).refused("1024 MiB", "at most")


def test_empty_lists_that_swell_in_memory_are_refused(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_bytes(b'{"type":"FeatureCollection","features":[' + b"[]," * (4 << 20) + b"[]]}")
    assert run_call(f"{HERE}:read", path, limit_s=20).refused("a.geojson").peak_mib < 2000


HEADS = {
    "external-entity": '<!DOCTYPE kml [<!ENTITY x SYSTEM "file://{path}">]>',
    "external-dtd": '<!DOCTYPE kml SYSTEM "{url}/a.dtd">',
    "parameter-entity": '<!DOCTYPE kml [<!ENTITY % x SYSTEM "{url}/a"> %x;]>',
    "laughs": "<!DOCTYPE kml [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY a{i} '{'&a' + (str(i - 1) if i else '') + ';'}{'&a' + (str(i - 1) if i else '') + ';'}'>"
        for i in range(30)
    )
    + "]>",
}


@pytest.mark.parametrize("head", HEADS)
def test_entities_of_kml_are_refused(tmp_path, head):
    path, secret = canary(tmp_path)
    with listener() as port:
        text = HEADS[head].replace("{path}", str(path)).replace("{url}", port.url)
        given = kml(tmp_path / "a.kml", "<name>&x;&a29;</name>", text)
        assert secret not in run_call(f"{HERE}:read", given, limit_s=10).refused("a.kml", "document type").text
        far = "<!--" + "x" * 5000 + "-->" + text
        refused(kml(tmp_path / "b.kml", "", far), "b.kml", "document type")


LINKS = {
    "network-link": "<NetworkLink><Link><href>{place}</href></Link></NetworkLink>",
    "deep": "<Folder>" * 5000 + "</Folder>" * 5000,
}


@pytest.mark.parametrize("link", LINKS)
def test_links_of_kml_are_refused(tmp_path, link):
    path, secret = canary(tmp_path, "canary.kml")
    with listener() as port:
        for place in (port.url, str(path)):
            given = kml(tmp_path / "a.kml", LINKS[link].replace("{place}", place))
            assert secret not in refused(given, "a.kml", "not followed")


def test_pictures_and_styles_of_kml_are_not_fetched(tmp_path):
    with listener() as port:
        icon = f"<Style id='s'><IconStyle><Icon><href>{port.url}/i.png</href></Icon></IconStyle></Style>"
        overlay = f"<GroundOverlay><Icon><href>{port.url}/o.png</href></Icon></GroundOverlay>"
        style = f"<styleUrl>{port.url}/s.kml#a</styleUrl><Region><Lod/></Region>"
        given = kml(tmp_path / "a.kml", icon + style)
        run_call(f"{HERE}:read", given).taken()
        run_call(f"{HERE}:read", kml(tmp_path / "b.kml", overlay)).sound()


def test_fields_in_several_folders_of_kml_are_all_read(tmp_path):
    corners = " ".join(f"{x + 1},{y}" for x, y in RING)
    place = (
        f"<Placemark><name>b</name><Polygon><outerBoundaryIs><LinearRing><coordinates>{corners}</coordinates>"
        "</LinearRing></outerBoundaryIs></Polygon></Placemark>"
    )
    given = kml(tmp_path / "a.kml", f"<Folder><name>more</name>{place}</Folder>")
    assert sorted(open_fields(given).table["field"]) == ["a", "b"]


def test_kml_of_another_root_encoding_or_end_is_refused(tmp_path):
    for name, content in {
        "gpx": b"<gpx><kml/></gpx>", "cut": b"<kml><Document><Placemark>", "none": b"<kml/>", "nul": b"<kml>\0</kml>",
        "encoding": b'<?xml version="1.0" encoding="x-odd"?><kml/>', "html": b"<html><body><kml></body></html>",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.kml").write_bytes(content)
        refused(tmp_path / f"{name}.kml", f"{name}.kml")


CHANGES = {
    "view": ("ALTER TABLE fields RENAME TO held", "CREATE VIEW fields AS SELECT * FROM held"),
    "virtual-table": ("CREATE VIRTUAL TABLE extra USING fts5(content)",),
    "virtual-ogr": (
        "INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql) VALUES ('table', 'extra', 'extra', 0, "
        "'CREATE VIRTUAL TABLE extra USING VirtualOGR(''{path}'')')",
    ),
    "virtual-ogr-quoted": (
        "INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql) VALUES ('table', 'extra', 'extra', 0, "
        "'CREATE VIRTUAL/**/TABLE \"a USING rtree(\" USING VirtualOGR(''{path}'')')",
    ),
    "view-of-a-billion": (
        "ALTER TABLE fields RENAME TO held",
        "CREATE VIEW fields AS WITH RECURSIVE n(fid) AS (SELECT 1 UNION ALL SELECT fid + 1 FROM n) SELECT n.fid, "
        "held.geom FROM n, held",
    ),
    "computed-column": ("ALTER TABLE fields ADD COLUMN bomb AS (zeroblob(900000000))",),
    "several-layers": (
        "CREATE TABLE more AS SELECT * FROM fields",
        "INSERT INTO gpkg_contents SELECT 'more', data_type, 'more', '', last_change, 0, 0, 1, 1, srs_id "
        "FROM gpkg_contents",
    ),
    "no-layer": ("DELETE FROM gpkg_contents",),
    "layer-is-missing": ("UPDATE gpkg_contents SET table_name = 'gone'",),
    "layer-is-a-blob": ("UPDATE gpkg_contents SET table_name = x'00ff'",),
    "no-crs": ("UPDATE gpkg_geometry_columns SET srs_id = -1",),
    "crs-of-a-grid": (
        "UPDATE gpkg_spatial_ref_sys SET organization = 'NONE', definition = 'BOUNDCRS[SOURCECRS[GEOGCRS[\"a\"]],"
        'PARAMETERFILE["f","{path}"]]\' WHERE srs_id = 32633',
    ),
    "crs-is-a-path": (
        "UPDATE gpkg_spatial_ref_sys SET organization = 'NONE', definition = '{path}' WHERE srs_id = 32633",
    ),
    "crs-is-a-host": (
        "UPDATE gpkg_spatial_ref_sys SET organization = 'NONE', definition = '{url}' WHERE srs_id = 32633",
    ),
    "crs-is-init": (
        "UPDATE gpkg_spatial_ref_sys SET organization = 'NONE', definition = '+init={path}:x' WHERE srs_id = 32633",
    ),
    "geometry-is-text": ("UPDATE fields SET geom = 'POLYGON'",),
    "geometry-is-cut": ("UPDATE fields SET geom = substr(geom, 1, 30)",),
    "geometry-is-null": ("UPDATE fields SET geom = NULL",),
    "geometry-claims-much": ("UPDATE fields SET geom = substr(geom, 1, 45) || x'ffffff7f' || substr(geom, 50)",),
    "geometry-of-nan": ("UPDATE fields SET geom = substr(geom, 1, 53) || x'000000000000f87f' || substr(geom, 62)",),
    "no-contents": ("DROP TABLE gpkg_contents",),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_geopackage_is_refused(tmp_path, name):
    path, secret = canary(tmp_path)
    with listener() as port:
        told = [text.replace("{path}", str(path)).replace("{url}", port.url) for text in CHANGES[name]]
        given = geopackage(tmp_path / "a.gpkg", *told)
        assert secret not in run_call(f"{HERE}:read", given, limit_s=20).refused("a.gpkg").text


def test_a_right_geopackage_with_triggers_views_and_styles_beside_its_layer_is_taken(tmp_path):
    given = geopackage(
        tmp_path / "a.gpkg",
        "CREATE VIEW st_geometry_columns AS SELECT table_name FROM gpkg_geometry_columns",
        "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, styleQML TEXT)",
        "INSERT INTO gpkg_contents SELECT 'layer_styles', 'attributes', 'styles', '', last_change, 0, 0, 1, 1, NULL "
        "FROM gpkg_contents",
        "CREATE TRIGGER t AFTER INSERT ON fields BEGIN SELECT load_extension('/none'); END",
    )
    run_call(f"{HERE}:read", given).taken()


def test_a_geopackage_that_is_cut_plain_or_open_elsewhere_is_refused(tmp_path):
    whole = geopackage(tmp_path / "a.gpkg").read_bytes()
    (tmp_path / "cut.gpkg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "plain.gpkg").write_bytes(whole[:68] + b"\0\0\0\0" + whole[72:])
    (tmp_path / "noise.gpkg").write_bytes(whole[:100] + bytes(len(whole) - 100))
    (tmp_path / "a.gpkg-wal").write_bytes(b"7" * 100)
    for name in ("cut", "plain", "noise", "a"):
        refused(tmp_path / f"{name}.gpkg", f"{name}.gpkg")


def patched(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def test_headers_of_shapefiles_are_held_against_their_sizes(tmp_path):
    whole = shapefile(tmp_path / "whole")
    for number, (suffix, at, new) in enumerate([
        (".shp", 24, struct.pack(">i", 1 << 30)), (".shp", 32, struct.pack("<i", 1)), (".shp", 0, b"\0\0\0\0"),
        (".dbf", 4, struct.pack("<I", 4_000_000_000)), (".dbf", 10, b"\xff\xff"), (".dbf", 10, b"\0\0"),
        (".shx", 104, struct.pack(">i", 1 << 30)), (".shx", 100, struct.pack(">i", 1 << 30)),
        (".shp", 148, struct.pack("<i", 1 << 30)), (".shp", 144, struct.pack("<i", -5)),
        (".shp", 160, struct.pack("<d", math.nan)), (".shp", 160, struct.pack("<d", 1e300)),
    ]):  # fmt: skip
        folder = tmp_path / f"{number}{suffix}{at}"
        shutil.copytree(whole.parent, folder)
        part = folder / f"fields{suffix}"
        part.write_bytes(patched(part.read_bytes(), at, new))
        refused(folder / "fields.shp", "fields.shp")


PRJ = {
    "grid": '+proj=longlat +nadgrids={path}', "init": "+init={path}:a", "path": "{path}", "host": "{url}",
    "wkt-grid": 'GEOGCS["a",DATUM["b",SPHEROID["c",6378137,298.2],EXTENSION["PROJ4_GRIDS","{path}"]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]',
    "wkt-extension": 'PROJCS["a",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Mercator_1SP"],UNIT["metre",1],'
    'EXTENSION["PROJ4","+proj=merc +nadgrids={path}"]]',
    "long": 'GEOGCS["' + "a" * 100_000 + '"]', "deep": "GEOGCS[" * 3000, "empty": "", "nul": "\0" * 50,
    "vertical": 'VERT_CS["a",VERT_DATUM["b",2005],UNIT["metre",1]]',
}  # fmt: skip


@pytest.mark.parametrize("name", PRJ)
def test_a_prj_that_names_a_file_or_nothing_is_refused(tmp_path, name):
    path, secret = canary(tmp_path)
    given = shapefile(tmp_path / "a")
    with listener() as port:
        given.with_suffix(".prj").write_text(PRJ[name].replace("{path}", str(path)).replace("{url}", port.url))
        assert secret not in refused(given, "fields.shp")


def test_companions_of_a_shapefile_must_be_there_and_lie_beside_it(tmp_path):
    path, secret = canary(tmp_path)
    for suffix in (".shx", ".dbf", ".prj"):
        given = shapefile(tmp_path / suffix[1:])
        given.with_suffix(suffix).unlink()
        refused(given, "fields.shp")
        given.with_suffix(suffix).symlink_to(path)
        assert secret not in refused(given, "beside")
    given = shapefile(tmp_path / "page")
    given.with_suffix(".cpg").write_text("../../" * 50)
    refused(given, "code page")


def test_zips_are_refused_by_what_they_hold(tmp_path):
    shape = shapefile(tmp_path / "a")
    assert read(pack(tmp_path / "right.zip", shape))
    assert read(pack(tmp_path / "mac.zip", shape, **{"__MACOSX/._fields.shp": b"x"}))
    refused(pack(tmp_path / "up.zip", shape, lambda name: f"../{name}"), "outside")
    refused(pack(tmp_path / "root.zip", shape, lambda name: f"a\\..\\{name}"), "outside")
    refused(pack(tmp_path / "two.zip", shape, **{"b.shp": b"x"}), "2 Shapefiles")
    inner = pack(tmp_path / "inner.zip", shape).read_bytes()
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as archive:
        archive.writestr("inner.zip", inner)
    refused(tmp_path / "nested.zip", "0 Shapefiles")
    (tmp_path / "cut.zip").write_bytes(inner[:-50])
    refused(tmp_path / "cut.zip", "cut.zip")
    (tmp_path / "flipped.zip").write_bytes(patched(inner, len(inner) // 2, b"\xff\xff\xff\xff"))
    refused(tmp_path / "flipped.zip", "flipped.zip")


def test_a_link_in_a_zip_is_not_followed(tmp_path):
    path, secret = canary(tmp_path)
    shape = shapefile(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for suffix in (".shp", ".shx", ".prj"):
            archive.write(shape.with_suffix(suffix), f"fields{suffix}")
        link = zipfile.ZipInfo("fields.dbf")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(path))
    assert secret not in refused(tmp_path / "a.zip", "link")


def test_a_zip_that_swells_is_refused_before_it_is_unpacked(tmp_path):
    shape = shapefile(tmp_path / "a")
    given = tmp_path / "a.zip"
    with zipfile.ZipFile(given, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix in (".shx", ".prj", ".shp"):
            archive.write(shape.with_suffix(suffix), f"fields{suffix}")
        with archive.open("fields.dbf", "w", force_zip64=True) as target:
            for _ in range(300):
                target.write(bytes(1 << 20))
    run_call(f"{HERE}:read", given, limit_s=10).refused("unpacks to 300 MiB")
    content = given.read_bytes()
    lied = content.replace(struct.pack("<Q", 300 << 20), struct.pack("<Q", 1000)).replace(
        struct.pack("<I", 300 << 20), struct.pack("<I", 1000)
    )
    given.write_bytes(lied)
    run_call(f"{HERE}:read", given, limit_s=10).refused("a.zip")


def test_names_given_twice_or_by_two_columns_are_refused(tmp_path):
    fields(name=["x", "x"]).to_file(tmp_path / "a.gpkg")
    refused(tmp_path / "a.gpkg", "has the name of row 1")
    shape = shapefile(tmp_path / "b")
    part = shape.with_suffix(".dbf")
    fields(crop=["wheat", "wheat"]).to_file(shape)
    part.write_bytes(part.read_bytes().replace(b"crop\0", b"name\0"))
    run_call(f"{HERE}:read", shape).sound()


def sown(path: Path) -> list[float]:
    """Days of sowing in a fields file, of 2021."""
    return [float(day) for day in sowing_days(open_fields(path), 2021)]


ODD_COLUMNS: dict[str, tuple[dict[str, object], list[str]]] = {
    "a number for a crop": ({"crop": 204}, ["'a'", "crop 204", "name"]),
    "a number in text for a crop": ({"crop": "204"}, ["'a'", "'204'", "name"]),
    "a truth for a crop": ({"crop": True}, ["'a'", "crop True"]),
    "a list of crops": ({"crop": ["wheat"]}, ["'a'", "crop ['wheat']"]),
    "a crop of its own": ({"crop": {"name": "wheat"}}, ["'a'", "crop {"]),
    "a crop that cannot be seen": ({"crop": "wh\u202eeat"}, ["'a'", "crop"]),
    "two crops by case": ({"crop": "maize", "Crop": "wheat"}, ["'crop'", "'Crop'", "case"]),
    "two crops by a blank": ({"crop": "maize", "crop ": "wheat"}, ["'crop'", "'crop '", "case"]),
    "two sowings by case": ({"sowing": "2021-05-01", "SOWING": "2021-06-01"}, ["'sowing'", "'SOWING'", "case"]),
    "two harvests by case": ({"yield_t_ha": 8.0, "Yield_t_ha": 9.0}, ["'yield_t_ha'", "'Yield_t_ha'", "case"]),
    "two names by case": ({"Name": "b"}, ["'name'", "'Name'", "case"]),
    "a year for a sowing": ({"sowing": "2021"}, ["'a'", "'2021'", "whole", "YYYY-MM-DD"]),
    "a month for a sowing": ({"sowing": "2021-05"}, ["'a'", "'2021-05'", "YYYY-MM-DD"]),
    "a month's digits for a sowing": ({"sowing": "202105"}, ["'202105'", "YYYY-MM-DD"]),
    "a number for a sowing": ({"sowing": 2021}, ["'2021'", "YYYY-MM-DD"]),
    "a day of the year for a sowing": ({"sowing": 121.5}, ["121.5", "YYYY-MM-DD"]),
    "a truth for a sowing": ({"sowing": True}, ["True", "YYYY-MM-DD"]),
    "a sowing on 31 June": ({"SOWING": "2021-06-31"}, ["'2021-06-31'", "YYYY-MM-DD"]),
    "a sowing on a day or month": ({"sowing": "03/04/2021"}, ["'03/04/2021'", "YYYY-MM-DD"]),
    "a Sowing of another year": ({"Sowing": "2020-05-01"}, ["2020-05-01", "2021"]),
}


@pytest.mark.long
@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_what_a_field_s_columns_say_is_read_or_refused(tmp_path, name):
    said, words = ODD_COLUMNS[name]
    feature = {"type": "Feature", "properties": {"name": "a", **said}, "geometry": BORDER}
    run_call(f"{HERE}:sown", geojson(tmp_path / "a.geojson", features=[feature])).refused(*words)


def test_columns_are_read_in_any_case_and_empty_twins_are_nothing(tmp_path):
    said = {"FIELD": "a", "CROP": " Winter  Wheat", "Sowing": "2021-05-01", "Yield_T_ha": 8.0, "crop": None, "id": 3}
    features = [
        {"type": "Feature", "properties": {**said, **more}, "geometry": BORDER}
        for more in ({}, {"FIELD": "b", "CROP": " ", "Sowing": 20210502}, {"FIELD": "c", "CROP": None, "Sowing": ""})
    ]
    path = geojson(tmp_path / "a.geojson", features=features)
    table = open_fields(path).table
    assert table["field"].tolist() == ["a", "b", "c"]
    assert table["crop"].tolist()[0] == "winter wheat"
    assert table["crop"].isna().tolist() == [False, True, True]
    assert table["yield_t_ha"].tolist() == [8.0] * 3
    assert str(sown(path)) == "[120.0, 121.0, nan]"


def test_fields_beside_the_raster_are_outside_it_by_however_little():
    grid = Grid(width=40, height=30, transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_300.0), crs=METRIC)
    edge = gpd.GeoDataFrame({"name": ["in"]}, geometry=[box(500_300, 5_000_000, 500_404, 5_000_100)], crs=METRIC)
    assert len(check_fields(edge, "edge").on(grid)) == 1  # drawn over the border by less than half a pixel
    for corners in ((500_401, 5_000_000, 500_404, 5_000_100), (500_400, 5_000_000, 500_403, 5_000_100)):
        beside = gpd.GeoDataFrame({"name": ["out"]}, geometry=[box(*corners)], crs=METRIC)
        with pytest.raises(InputError, match="1 of 1 fields lie outside the raster, first 'out'"):
            check_fields(beside, "beside").on(grid)


def test_heights_are_left_out_and_a_million_vertices_read_in_time(tmp_path):
    angles = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    many = Polygon(np.column_stack([500_000 + 900 * np.cos(angles), 5_000_000 + 900 * np.sin(angles)]))
    gpd.GeoDataFrame({"name": ["many"]}, geometry=[many], crs=METRIC).to_file(tmp_path / "many.gpkg")
    run_call(f"{HERE}:summary", tmp_path / "many.gpkg", limit_s=20).taken()
    high = fields()
    high.geometry = shapely.force_3d(high.geometry, 7.0)
    high.to_file(tmp_path / "high.gpkg")
    assert not open_fields(tmp_path / "high.gpkg").table.has_z.any()


def summary(path: Path) -> float:
    return float(open_fields(path).table.area.sum())


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, kind):
    import os

    path = tmp_path / "a.geojson"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    run_call(f"{HERE}:read", path, limit_s=5).refused("a.geojson")


def asks(url: str) -> list[str]:
    """What a process that has opened one of our doors can still reach through the libraries."""
    pyogrio, rasterio = load_pyogrio(), load_rasterio()
    from pyproj import network

    reached = [str(network.is_network_enabled())] if network.is_network_enabled() else []
    for name, ask in {
        "raster": lambda: rasterio.open(f"/vsicurl/{url}/a.tif"),
        "streamed": lambda: rasterio.open(f"/vsicurl_streaming/{url}/a.tif"),
        "address": lambda: rasterio.open(f"{url}/a.tif"),
        "vector": lambda: pyogrio.read_info(f"/vsicurl/{url}/a.gpkg"),
        "crs": lambda: rasterio.crs.CRS.from_user_input(f"{url}/a"),
    }.items():
        with contextlib.suppress(rasterio.errors.RasterioError, pyogrio.errors.DataSourceError, ValueError):
            ask()
            reached.append(name)
    return reached


def test_the_libraries_of_a_process_reach_no_host_and_open_no_virtual_format(tmp_path):
    with listener() as port:
        assert run_call(f"{HERE}:asks", port.url).taken().out == "[]\n"
        linked = geojson(tmp_path / "a.geojson", crs={"type": "link", "properties": {"href": port.url}})
        with contextlib.suppress(Exception):  # GDAL's own reader, which ours are not, follows the link no more
            load_pyogrio().read_dataframe(linked)
    assert set(load_pyogrio().list_drivers()) <= set(DRIVERS)


def test_a_command_refuses_labels_of_a_virtual_format(tmp_path):
    path, secret = canary(tmp_path, "canary.csv")
    folder = eopatch(tmp_path / "patch")
    (folder / "vector_timeless").mkdir()
    with listener() as port:
        for source in (str(path), f"/vsicurl/{port.url}/a.csv"):
            (folder / "vector_timeless" / "LULC.gpkg").write_text(virtual(source))
            done = run_cli("evaluate", "crop-yield", "--task", "land-cover", "--data", folder).refused(
                "LULC.gpkg", "not what its name says"
            )
            assert secret not in done.text


def share_of_a_large_field(side: int) -> float:
    """Pixels in a field that covers almost all of a map."""
    grid = Grid(width=side, height=side, transform=(10.0, 0.0, 0.0, 0.0, -10.0, side * 10.0), crs=METRIC)
    ring = Polygon([(15, 15), (side * 10 - 15, 25), (side * 10 - 35, side * 10 - 15), (45, side * 10 - 25)])
    return sum(float(laid.share.sum()) for laid in overlays(grid, ring)) * 100 / ring.area


@pytest.mark.long
def test_a_field_that_covers_a_large_map_takes_the_memory_of_a_window():
    small = run_call(f"{HERE}:share_of_a_large_field", 100).taken()
    large = run_call(f"{HERE}:share_of_a_large_field", 20_000).taken()
    assert abs(float(large.out) - 1) < 1e-4
    assert large.peak_mib < 600
    assert large.peak_mib - small.peak_mib < 200
