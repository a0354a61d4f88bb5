"""The user's own columns of fields: kept in every export and back, whatever they are called."""

import zipfile
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dashboards.made import TAGS, small_map, squares

from mainstem.apps.field_exports import field_bytes, field_table
from mainstem.core.bounds import Bounds
from mainstem.data.earth.field_columns import own_columns, short_names

OWN = {
    "owner": ["=cmd()", "b", None],
    "variety sown": ["x" * 300, "y", "z"],
    "variety tried": [1, 2, 3],
    "Mean": [99.0, 98.0, 97.0],
    "mean": [1.0, 2.0, 3.0],
    "fid": [7, 7, 7],
    "sown": pd.to_datetime(["2021-04-01", "2021-04-02", None]),
    "seen at": pd.to_datetime(["2021-04-01 10:30", "2021-04-02 11:00", None]),
    "sorte, größe": ["ä", "ö", "ü"],
    "irrigated": [True, False, True],
}
NAMES = {"Mean": "own_Mean", "mean": "own_mean_2", "fid": "own_fid"}


@pytest.fixture
def exported(home, tmp_path) -> gpd.GeoDataFrame:
    folder = small_map(home, "farm")
    given = squares(["a", "b", "c"]).assign(**{name: OWN[name] for name in OWN if name not in ("mean", "fid")})
    given.to_file(tmp_path / "given.gpkg", driver="GPKG")
    return field_table(folder / "map.tif", tmp_path / "given.gpkg", TAGS, 0.8, Bounds())


def read_back(table: gpd.GeoDataFrame, kind: str, folder: Path) -> pd.DataFrame:
    path = folder / f"fields.{kind}"
    path.write_bytes(field_bytes(table, kind))
    return pd.read_csv(path) if kind == "csv" else gpd.read_file(path)


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "csv", "shp.zip"])
def test_own_columns_survive_every_export(exported, tmp_path, kind):
    table = read_back(exported, kind, tmp_path)
    names = {name: NAMES.get(name, name) for name in OWN if name not in ("mean", "fid")}
    if kind == "shp.zip":
        names = {name: short_names(list(exported.columns.drop("geometry")))[long] for name, long in names.items()}
        with zipfile.ZipFile(tmp_path / "fields.shp.zip") as archive:
            told = archive.read("fields.columns.txt").decode()
        for short in (names["variety sown"], names["variety tried"]):
            assert len(short) <= 10
            assert f"{short} = variety" in told
    assert table[names["Mean"]].tolist() == [99, 98, 97]
    assert (table["mean"] < 20).all()
    assert table[names["variety tried"]].tolist() == [1, 2, 3]
    assert table[names["sorte, größe"]].tolist() == ["ä", "ö", "ü"]
    assert table[names["variety sown"]].iloc[0].startswith("x" * 250)
    assert [str(cell)[:10] for cell in table[names["sown"]][:2]] == ["2021-04-01", "2021-04-02"]
    assert "10:30" in str(table[names["seen at"]].iloc[0])
    assert [str(cell) in ("True", "1", "1.0") for cell in table[names["irrigated"]]] == [True, False, True]
    assert table["owner"].iloc[0] == ("'=cmd()" if kind == "csv" else "=cmd()")


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "shp.zip"])
def test_an_export_that_comes_back_brings_the_user_s_columns_and_none_of_the_map_s(exported, tmp_path, kind):
    back = own_columns(read_back(exported, kind, tmp_path))
    assert len(back.columns) == len(own_columns(exported).columns)
    if kind != "shp.zip":
        assert sorted(back.columns) == sorted(own_columns(exported).columns)


def test_columns_that_formats_take_for_their_own_or_for_one_another_get_names_of_their_own():
    table = pd.DataFrame(OWN).assign(field=["a", "b", "c"])
    assert dict(zip(OWN, own_columns(table).columns, strict=True)) == {name: NAMES.get(name, name) for name in OWN}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), unique=True, max_size=12))
def test_short_names_are_unique_and_fit(names):
    short = short_names([*names, "adapter_sha256", "mean"])
    assert short["adapter_sha256"] == "adapter_sh"
    assert len({name.casefold() for name in short.values()}) == len(short)
    assert all(len(name.encode()) <= 10 for name in short.values())
