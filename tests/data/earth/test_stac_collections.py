"""STAC collections on disk: items by links, as tiles of one grid; what leads elsewhere is refused."""

import json
from pathlib import Path

import pytest

from mainstem.core.errors import InputError
from mainstem.data.earth.stac_collections import is_collection, open_collection

GRID = {"proj:code": "EPSG:32633", "proj:shape": [200, 100], "proj:transform": [10.0, 0, 399960.0, 0, -10.0, 5e6]}


def catalog(path: Path, *hrefs: str, kind: str = "Collection", rel: str = "item", **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    links = [{"rel": rel, "href": href} for href in hrefs]
    path.write_text(json.dumps({"type": kind, "id": path.parent.name, "links": links, **more}))
    return path


def item(path: Path, day: str = "2021-06-01", asset: dict[str, object] | None = None, **said: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assets = {"red": {"href": "./red.tif", **(asset or {})}, "preview": {"href": "./p.png"}}
    plain = {"type": "Feature", "stac_version": "1.0.0", "id": path.stem, "geometry": None, "links": [],
             "properties": {"datetime": f"{day}T10:00:00Z", **said}, "assets": assets}  # fmt: skip
    path.write_text(json.dumps(plain))
    return path


@pytest.mark.parametrize(
    ("said", "asset", "name"),
    [
        ({"grid:code": "MGRS-33UXP"}, None, "33UXP"),
        ({"s2:mgrs_tile": "T05CMK", **GRID}, None, "5CMK"),
        ({"mgrs:utm_zone": 33, "mgrs:latitude_band": "U", "mgrs:grid_square": "XP"}, None, "33UXP"),
        (GRID, None, "EPSG32633_399960_5000000_10_100x200"),
        ({"proj:epsg": 32633}, {**GRID, "proj:code": None}, "EPSG32633_399960_5000000_10_100x200"),
        ({"grid:code": "MGRS-../../x", **GRID}, None, "EPSG32633_399960_5000000_10_100x200"),
    ],
)
def test_a_tile_is_what_an_item_names(tmp_path, said, asset, name):
    item(tmp_path / "a.json", asset=asset, **said)
    assert list(open_collection(catalog(tmp_path / "c.json", "./a.json")).tiles) == [name]


def test_items_of_nested_catalogs_are_found_once_and_come_by_tile_in_order_of_time(tmp_path):
    paths = [item(tmp_path / "in" / f"{day}.json", f"2021-06-0{day}", **GRID) for day in (3, 1, 2)]
    other = item(tmp_path / "b.json", **{"grid:code": "MGRS-33UXP"})
    catalog(tmp_path / "in" / "c.json", "3.json", "1.json", "2.json", "1.json", kind="Catalog")
    root = catalog(tmp_path / "c.json", "in/c.json", "./c.json", rel="child", license="CC-BY-4.0")
    plain = json.loads(root.read_text())
    root.write_text(json.dumps({**plain, "links": [*plain["links"], {"rel": "item", "href": "b.json"}]}))
    found = open_collection(root)
    assert found.licence == "CC-BY-4.0"
    grid = "EPSG32633_399960_5000000_10_100x200"
    assert dict(found.tiles) == {"33UXP": (other,), grid: (paths[1], paths[2], paths[0])}


def test_what_leads_elsewhere_or_says_too_little_is_refused(tmp_path):
    inside, outside = tmp_path / "in", item(tmp_path / "out.json", **GRID)
    item(inside / "a.json")
    item(inside / "b.json", **{**GRID, "proj:transform": [10.0, 0, "x", 0, -10.0, 5e6]})
    (inside / "link.json").symlink_to(outside)
    for hrefs, said in (
        (("../out.json",), "leads out of the collection's folder"),
        (("link.json",), "leads out of the collection's folder"),
        ((str(outside),), "leads out of the collection's folder"),
        (("https://host/a.json",), "leads to the network"),
        (("gone.json",), "is not there"),
        (("a\0.json",), "is no"),
        (("a.json",), "a.json names neither its tile"),
        (("b.json",), "b.json says the grid"),
        (("c.json",), "links to no item"),
        ((), "links to no item"),
    ):
        with pytest.raises(InputError, match=said):
            open_collection(catalog(inside / "c.json", *hrefs))
    with pytest.raises(InputError, match=r"a\.json is no STAC collection or catalog"):
        open_collection(catalog(inside / "c.json", "a.json", rel="child"))


def test_an_item_or_anything_else_is_no_collection(tmp_path):
    assert is_collection(catalog(tmp_path / "c.json", kind="Catalog"))
    assert not is_collection(item(tmp_path / "a.json", **GRID))
    (tmp_path / "list.json").write_text("[1]")
    assert not is_collection(tmp_path / "list.json")
    assert not is_collection(tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        {"proj:transform": [10**400, 0, 0, 0, -10, 0]},
        {"proj:transform": [10.0, 0, 0, 0, -10, True]},
        {"proj:transform": [10.0, 0, 0, 0, -10, None]},
        {"proj:transform": []},
        {"proj:transform": [[10.0], 0, 0, 0, -10, 0]},
        {"proj:shape": [10**400, 100]},
        {"proj:shape": [True, 100]},
        {"proj:shape": [200, -1]},
        {"proj:shape": [200.0, 100]},
    ],
)
def test_a_grid_of_wrong_numbers_is_refused_by_name(tmp_path, said):
    item(tmp_path / "odd.json", **{**GRID, **said})
    with pytest.raises(InputError, match=r"^odd\.json says the grid") as caught:
        open_collection(catalog(tmp_path / "c.json", "odd.json"))
    assert len(str(caught.value)) < 300
