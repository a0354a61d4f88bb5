"""A region set without a model shows the harvests that are known, and says whose they are."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mainstem.apps.region_sets import choices, keep_upload
from mainstem.core.errors import InputError
from mainstem.dashboards.palette import NO_DATA
from mainstem.dashboards.yield_map.harvests import colour_harvests, newest_harvests, read_harvests
from mainstem.dashboards.yield_map.reads import is_trained, stamp_of, tables_of
from tests.dashboards.test_links import drawn, page

ROWS = [f"NL{region},{2010 + year},{8 + region + year / 10}" for region in range(3) for year in range(9)]
CENTRES = "adm_id,latitude,longitude\nNL0,52.1,5.2\nNL1,52.4,5.9\nNL2,51.9,6.1\n"


def kept(name: str, rows: list[str] = ROWS):
    table = "\n".join(["adm_id,harvest_year,yield", *rows]).encode()
    return keep_upload(name, {"yield_wheat_NL.csv": table, "location_wheat_NL.csv": CENTRES.encode()})


def test_the_newest_season_is_told_without_harvests_that_are_known_to_be_wrong(home):
    source = kept("own", [*ROWS, "NL0,2019,9.5", "NL1,2019,9.6", "NL2,2019,7.5"]).read()
    wrong = next(one.source.item for one in source.samples if one.target == 7.5)
    season, by_region = newest_harvests(replace(source, flagged=frozenset({wrong})))
    assert (season, by_region) == ("2019", {"NL0": pytest.approx(9.5), "NL1": pytest.approx(9.6)})
    nothing = replace(source, samples=tuple(replace(one, target=None) for one in source.samples))
    assert newest_harvests(nothing) == ("", {})


def test_a_season_that_one_region_knows_is_not_shown_before_one_that_half_of_them_know(home):
    assert newest_harvests(kept("own", [*ROWS, "NL0,2031,9.5"]).read())[0] == "2018"
    scattered = [f"NL{region},{2010 + region},8" for region in range(3)]
    assert newest_harvests(kept("two", scattered).read()) == ("2012", {"NL2": 8.0})


def test_regions_are_coloured_by_their_harvest_and_grey_without(home):
    choice = kept("own", [*ROWS, "NL0,2019,9.5", "NL1,2019,9.1", "NL2,2019,"])
    told = read_harvests(choice.name, "a stamp")
    content = colour_harvests(told, told.geometry)
    by_name = dict(zip(told.geometry.ids, content.labels, strict=True))
    assert by_name == {
        "NL0": "NL0: harvested 9.5 t/ha", "NL1": "NL1: harvested 9.1 t/ha", "NL2": "NL2: no harvest known"
    }  # fmt: skip
    (layer,) = content.layers
    assert not layer.is_claimed
    assert [tuple(one[:3]) == NO_DATA for one in layer.rgba] == [False, False, True]
    np.testing.assert_allclose(layer.values, [9.5, 9.1, np.nan], rtol=1e-6)


def test_the_page_shows_them_until_there_is_a_model(home):
    choice = kept("own")
    shown = page("yield_map", set=choice.name)
    assert not shown.exception
    assert "No model of these regions yet" in drawn(shown)
    assert "# Wheat harvests 2018" in drawn(shown)
    assert "the newest known, in 3 of 3 regions" in drawn(shown)
    assert "not for trading or insurance" in drawn(shown)
    (table,) = (path for path in tables_of(choice) if path.name.startswith("yield"))
    before, times = stamp_of(table), table.stat()
    table.write_text("\n".join(["adm_id,harvest_year,yield", *(row.replace("2018", "2019") for row in ROWS)]))
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stamp_of(table) != before, "a copy that keeps its time is told by its change"
    assert "# Wheat harvests 2019" in drawn(page("yield_map", set=choice.name))
    simulated = page("yield_map", set=choices()[-1].name)
    assert "simulated" in drawn(simulated)
    assert "# Maize harvests" in drawn(simulated)


def test_a_run_that_could_not_be_read_once_is_asked_again(home, monkeypatch):
    choice = choices()[-1]
    path = choice.run() / "adapter.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"whatever")
    known = []
    monkeypatch.setattr("mainstem.apps.region_sets.is_fitted", lambda task, run: bool(known))
    assert not is_trained(choice)
    known.append("mended, as by a copy that keeps its time and size")
    assert is_trained(choice)


def test_a_set_brought_anew_under_its_name_has_no_model_of_the_tables_before(home):
    choice = kept("own")
    choice.run().mkdir(parents=True)
    (choice.run() / "adapter.safetensors").write_bytes(b"of these tables")
    with pytest.raises(InputError, match="exists already"):
        kept("own")
    assert choice.run().exists()
    shutil.rmtree(choice.folder)
    kept("own", [row.replace(",8", ",7") for row in ROWS])
    assert not choice.run().exists()
    (aside,) = choice.run().parent.glob("*.old-1")
    assert (aside / "adapter.safetensors").read_bytes() == b"of these tables"
