"""A region set without a model shows the harvests that are known, and says whose they are."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.apps.region_sets import choices, keep_upload
from mainstem.dashboards.palette import NO_DATA
from mainstem.dashboards.yield_map.harvests import colour_harvests, newest_harvests, read_harvests, stamp_of
from tests.dashboards.test_links import drawn, page

ROWS = [f"NL{region},{2010 + year},{8 + region + year / 10}" for region in range(3) for year in range(9)]
CENTRES = "adm_id,latitude,longitude\nNL0,52.1,5.2\nNL1,52.4,5.9\nNL2,51.9,6.1\n"


def kept(name: str, rows: list[str] = ROWS):
    table = "\n".join(["adm_id,harvest_year,yield", *rows]).encode()
    return keep_upload(name, {"yield_wheat_NL.csv": table, "location_wheat_NL.csv": CENTRES.encode()})


def test_the_newest_season_is_told_without_harvests_that_are_known_to_be_wrong(home):
    source = kept("own", [*ROWS, "NL0,2019,9.5", "NL1,2019,", "NL2,2019,7.5"]).read()
    wrong = next(one.source.item for one in source.samples if one.target == 7.5)
    season, by_region = newest_harvests(replace(source, flagged=frozenset({wrong})))
    assert (season, by_region) == ("2019", {"NL0": pytest.approx(9.5)})
    nothing = replace(source, samples=tuple(replace(one, target=None) for one in source.samples))
    assert newest_harvests(nothing) == ("", {})


def test_regions_are_coloured_by_their_harvest_and_grey_without(home):
    choice = kept("own", [*ROWS, "NL0,2019,9.5", "NL1,2019,"])
    told = read_harvests(choice.name, stamp_of(choice))
    content = colour_harvests(told, told.geometry)
    by_name = dict(zip(told.geometry.ids, content.labels, strict=True))
    assert by_name == {"NL0": "NL0: harvested 9.5 t/ha", "NL1": "NL1: no harvest known", "NL2": "NL2: no harvest known"}
    (layer,) = content.layers
    assert not layer.is_claimed
    assert [tuple(one[:3]) == NO_DATA for one in layer.rgba] == [False, True, True]
    np.testing.assert_allclose(layer.values, [9.5, np.nan, np.nan], rtol=1e-6)


def test_the_page_shows_them_until_there_is_a_model(home):
    choice = kept("own")
    shown = page("yield_map", set=choice.name)
    assert not shown.exception
    assert "No model of these regions yet" in drawn(shown)
    assert "Harvests of 2018, the newest known, in 3 regions, until there is a forecast" in drawn(shown)
    again = stamp_of(choice)
    (choice.folder / "wheat" / "NL" / "yield_wheat_NL.csv").write_text("adm_id,harvest_year,yield\nNL0,2030,1\n")
    assert stamp_of(choice) != again
    simulated = page("yield_map", set=choices()[-1].name)
    assert "Simulated harvests of" in drawn(simulated)
