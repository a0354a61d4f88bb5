"""Maps that lie elsewhere, opened on the page where they are."""

import pytest
from streamlit.testing.v1 import AppTest
from tests.dashboards.made import small_map

from mainstem import dashboards
from mainstem.apps.field_maps import DEMO, known_maps, maps_folder, offer_map
from mainstem.core.errors import InputError
from mainstem.dashboards.field_map.board import load_field_board


def test_a_map_made_elsewhere_is_opened_under_its_own_name_and_stays_there(home, tmp_path):
    made = small_map(home, "north", ["a", "b"])
    first = made.rename(tmp_path / "=north farm (2026)")
    second = small_map(home, "north", ["c"]).rename(tmp_path / "north farm 2026")
    assert [offer_map(first), offer_map(first), offer_map(second)] == ["north farm 2026"] * 2 + ["north farm 2026 2"]
    assert sorted(known_maps()) == ["north farm 2026", "north farm 2026 2"]
    assert load_field_board("north farm 2026").table["field"].tolist() == ["a", "b"]
    page = AppTest.from_file(f"{dashboards.__path__[0]}/field_map/page.py", default_timeout=60)
    page.query_params["map"] = "north farm 2026 2"
    assert "Field c" in [part.value for part in page.run().subheader]
    assert (first / "map.tif").is_file()
    assert maps_folder().resolve() not in first.resolve().parents


def test_a_map_with_fields_is_shown_before_those_without_and_the_demonstration_last_of_them(home):
    small_map(home, DEMO, ["a"])
    small_map(home, "farm", ["a"])
    small_map(home, "bare")
    assert known_maps() == ["farm", DEMO, "bare"]


def test_a_map_of_the_page_keeps_its_name(home):
    assert offer_map(small_map(home, "farm", ["a"])) == "farm"
    assert not [path for path in maps_folder().iterdir() if path.is_symlink()]


def test_a_folder_of_maps_offers_all_of_them(home, tmp_path):
    for name, field in (("PFD-2", "a"), ("PFD-10", "b")):
        (tmp_path / "silage").mkdir(exist_ok=True)
        small_map(home, "north", [field]).rename(tmp_path / "silage" / name)
    assert offer_map(tmp_path / "silage") == "silage PFD-10"
    assert sorted(known_maps()) == ["silage PFD-10", "silage PFD-2"]
    (tmp_path / "silage" / "PFD-2" / "notes.json").unlink()
    with pytest.raises(InputError, match=r"silage/PFD-2 has no notes\.json"):
        offer_map(tmp_path / "silage")


@pytest.mark.parametrize("kind", ["nothing", "a file", "an empty folder"])
def test_what_is_no_map_is_refused(home, tmp_path, kind):
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("x")
    elif kind == "an empty folder":
        place.mkdir()
    with pytest.raises(InputError, match=r"/place holds no map\.tif"):
        offer_map(place)
