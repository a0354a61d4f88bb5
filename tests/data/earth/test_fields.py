"""Fields: every format read alike, odd ones refused by name, areas and means by share of pixels."""

import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.affinity import rotate, translate
from shapely.geometry import Polygon, box

from mainstem.core.errors import InputError
from mainstem.data.earth.fields import numbered, open_fields, overlay, sowing_days, usable_fields
from mainstem.data.earth.raster import Grid

WKT = CRS.from_epsg(32633).to_wkt()
GRID = Grid(width=40, height=30, transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_300.0), crs=WKT)


def table(**columns: object) -> gpd.GeoDataFrame:
    shapes = [box(500_020, 5_000_020, 500_120, 5_000_140), box(500_150, 5_000_050, 500_260, 5_000_200)]
    return gpd.GeoDataFrame({"name": ["north", "south"], **columns}, geometry=shapes, crs=WKT)


def write(path: Path, frame: gpd.GeoDataFrame) -> Path:
    if path.suffix == ".zip":
        frame.to_file(path.with_suffix(".shp"))
        with zipfile.ZipFile(path, "w") as archive:
            for part in path.parent.glob(f"{path.stem}.*"):
                if part != path:
                    archive.write(part, part.name)
    elif path.suffix == ".kml":
        frame.to_crs("EPSG:4326").rename(columns={"name": "Name"}).to_file(path, driver="LIBKML")
    elif path.suffix == ".geojson":
        frame.to_crs("EPSG:4326").to_file(path, driver="GeoJSON", COORDINATE_PRECISION=9)
    else:
        frame.to_file(path)
    return path


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.zip", "a.kml"])
def test_every_format_gives_the_same_fields(tmp_path, name):
    found = open_fields(write(tmp_path / name, table())).on(GRID)
    assert found.table["field"].tolist() == ["north", "south"]
    assert found.table.geometry.area.to_numpy() == pytest.approx([12_000, 16_500], rel=1e-4)


def test_crossing_outside_nameless_and_odd_fields_are_refused(tmp_path):
    bow = gpd.GeoDataFrame({"name": ["bow tie"]}, geometry=[Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])], crs=WKT)
    with pytest.raises(InputError, match=r"field 'bow tie' of bow\.gpkg crosses itself"):
        open_fields(write(tmp_path / "bow.gpkg", bow))
    away = table()
    away.geometry = away.geometry.translate(350, 0)
    with pytest.raises(InputError, match=r"2 of 2 fields lie outside the raster, first 'north'|1 of 2 fields"):
        open_fields(write(tmp_path / "away.gpkg", away)).on(GRID)
    points = gpd.GeoDataFrame({"name": ["well"]}, geometry=[box(0, 0, 1, 1).centroid], crs=WKT)
    with pytest.raises(InputError, match=r"field 'well' of points\.gpkg is a Point, want a polygon"):
        open_fields(write(tmp_path / "points.gpkg", points))
    with pytest.raises(InputError, match=r"field 'x' of .* has the name of row 1"):
        open_fields(write(tmp_path / "twice.gpkg", table(field=["x", "x"])))
    with pytest.raises(InputError, match=r"field 'x' of .* has the name of row 1"):
        open_fields(write(tmp_path / "blank.gpkg", table(field=["x", " x "])))
    with pytest.raises(InputError, match=r"field 'é' of .* has the name of row 1"):
        open_fields(write(tmp_path / "form.gpkg", table(field=["\u00e9", "e\u0301"])))
    bare = gpd.GeoDataFrame(table().drop(columns="geometry"), geometry=table().geometry.to_list())
    with pytest.raises(InputError, match="has no CRS"):
        open_fields(write(tmp_path / "bare.shp", bare))
    with pytest.raises(InputError, match="want fields as"):
        open_fields(tmp_path / "fields.xlsx")
    with pytest.raises(InputError, match="holds no field"):
        open_fields(write(tmp_path / "none.gpkg", table().iloc[:0]))


BAD = {
    "crosses itself": Polygon([(500_020, 5_000_020), (500_120, 5_000_140), (500_120, 5_000_020), (500_020, 5_000_140)]),
    "lies outside the raster": box(500_350, 5_000_020, 500_450, 5_000_140),
    "has no border": Polygon(),
}


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp"])
@pytest.mark.parametrize("why", [*BAD, "null", "has no name", "has the name of row 1"])
def test_one_bad_field_is_told_and_the_others_are_taken(tmp_path, name, why):
    names = {"has no name": None, "has the name of row 1": "north"}
    shape = BAD.get(why, None if why == "null" else box(500_020, 5_000_160, 500_120, 5_000_200))
    bad = gpd.GeoDataFrame({"name": [names.get(why, "bad")]}, geometry=[shape], crs=WKT)
    sound = table()
    frame = gpd.GeoDataFrame(
        {"name": [sound["name"][0], *bad["name"], sound["name"][1]]},
        geometry=[sound.geometry[0], *bad.geometry, sound.geometry[1]], crs=WKT,
    )  # fmt: skip
    path = write(tmp_path / name, frame)
    fields, (left_out,) = usable_fields(path, GRID)
    assert fields.table["field"].tolist() == ["north", "south"]
    assert fields.table.geometry.area.to_numpy() == pytest.approx([12_000, 16_500], rel=1e-4)
    assert left_out.row == 2
    assert left_out.field == ("" if why == "has no name" else names.get(why, "bad"))
    assert ("has no border" if why == "null" else why) in str(left_out)
    with pytest.raises(InputError):
        open_fields(path).on(GRID)
    alone = write(tmp_path / f"alone{path.suffix}", bad)
    if why in (*BAD, "null"):
        with pytest.raises(InputError):
            usable_fields(alone, GRID)


def test_a_file_of_another_kind_is_never_followed(tmp_path):
    virtual = '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer>'
    for name in ("a.kml", "a.geojson", "a.gpkg", "a.shp", "a.zip"):
        path = tmp_path / name
        path.write_text(virtual)
        with pytest.raises(InputError, match="is not what its name says"):
            open_fields(path)
    doctype = '<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/passwd">]><kml>&x;</kml>'
    (tmp_path / "b.kml").write_text(doctype)
    with pytest.raises(InputError, match="is not what its name says"):
        open_fields(tmp_path / "b.kml")


@settings(max_examples=40, deadline=None)
@given(
    st.floats(5, 150), st.floats(5, 150), st.floats(25, 200), st.floats(25, 120), st.floats(0, 90)
)  # fmt: skip
def test_shares_of_pixels_add_up_to_the_area_and_to_the_mean_of_a_slope(left, bottom, width, height, turn):
    shape = rotate(box(0, 0, width, height), turn)
    low = np.array([500_000 + left, 5_000_000 + bottom]) - np.array(shape.bounds[:2])
    shape = translate(shape, *low)
    if not shape.within(box(500_000, 5_000_000, 500_400, 5_000_300)):
        return
    laid = overlay(GRID, shape)
    perimeter_pixels = shape.length / 10
    assert abs(laid.share.sum() * 100 - shape.area) <= 100 * 0.055 * perimeter_pixels  # half a part along the border
    y, x = np.mgrid[laid.rows, laid.columns]
    slope = 3 * (x + 0.5) - 2 * (y + 0.5)
    middle = shape.centroid
    wanted = 3 * (middle.x - 500_000) / 10 - 2 * (5_000_300 - middle.y) / 10
    aside = (
        0.125 / 2.5 + 0.05
    )  # pixels: one that is cut counts as its middle (of 2.5 at least); half a part of a border
    assert abs(float((slope * laid.share).sum() / laid.share.sum()) - wanted) <= (3 + 2) * aside


def test_pixels_are_numbered_by_the_field_of_their_centre_in_any_window(tmp_path):
    fields = open_fields(write(tmp_path / "a.gpkg", table())).on(GRID)
    whole = numbered(fields, GRID, slice(0, 30), slice(0, 40))
    assert [(whole == row).sum() for row in (0, 1)] == [120, 165]
    assert np.array_equal(numbered(fields, GRID, slice(7, 25), slice(3, 20)), whole[7:25, 3:20])
    assert (numbered(fields, GRID, slice(0, 5), slice(30, 40)) == -1).all()


def test_sowing_days_count_from_new_year(tmp_path):
    fields = open_fields(write(tmp_path / "a.gpkg", table(sowing=["2021-05-01", None])))
    days = sowing_days(fields, 2021)
    assert days[0] == 120
    assert np.isnan(days[1])
    with pytest.raises(InputError, match="sown 2021-05-01, the scenes are of 2020"):
        sowing_days(fields, 2020)
    with pytest.raises(InputError, match="cannot be read"):
        sowing_days(open_fields(write(tmp_path / "b.gpkg", table(sowing=["May", "June"]))), 2021)
