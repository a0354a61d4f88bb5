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


@pytest.mark.parametrize("kind", ["nothing", "a file", "an empty folder"])
def test_what_is_no_map_is_refused(home, tmp_path, kind):
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("x")
    elif kind == "an empty folder":
        place.mkdir()
    with pytest.raises(InputError, match="holds no map"):
        offer_map(place)
