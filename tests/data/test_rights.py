"""Data say by which right they are used, or are refused where a corpus must."""

import json
import re

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.data.catalogue import parts_of, read_catalogue
from mainstem.data.earth import farm_sets
from mainstem.data.earth.biology import worlds_of
from mainstem.data.earth.open_regions import open_regions
from mainstem.data.hearing import hearing
from mainstem.data.rights import NOT_STATED, Rights, check_rights, is_licence, rights_of, with_rights

STATED = {"license": "CC-BY-4.0", "url": "https://example.org/set"}


def write(path, facts):
    path.write_text(json.dumps(facts))


def test_every_set_of_the_catalogue_states_its_licence():
    known = read_catalogue()
    assert all(is_licence(data_set.licence) for data_set in known.values())
    assert rights_of("us-maize").licence == known["us-maize"].licence
    assert known["us-maize"].commit in rights_of("us-maize").source
    check_rights(["us-maize", "bccd"])


@pytest.mark.long
def test_every_simulation_is_by_the_right_that_its_maker_states():
    made = {
        "simulated-maize": open_regions("simulated-maize"),
        "simulated-maize-7": open_regions("simulated-maize-7"),
        farm_sets.SIMULATED: farm_sets.simulated_farms((0,), ()),
        f"{farm_sets.SIMULATED}:rue-15": farm_sets.simulated_farms((), (1,), worlds_of("rue-15")),
    }
    for name, source in made.items():
        assert source.simulated
        assert (source.name, rights_of(name)) == (name, Rights(source.licence, "simulated by Mainstem", is_stated=True))
    check_rights([*made, farm_sets.FEW_SIMULATED])


def test_what_is_made_of_sets_is_used_by_the_rights_of_all_its_parts():
    pairs, spoken = rights_of("digit-pairs"), rights_of("spoken-digits")
    assert pairs == Rights(
        f"{spoken.licence} and CC BY 4.0", f"{spoken.source}; https://archive.ics.uci.edu/dataset/80", is_stated=True
    )
    archive = rights_of("archive-pairs")
    for part in parts_of("archive-pairs"):
        assert part.licence in archive.licence
        assert part.commit in archive.source
    assert [part.name for part in parts_of("digit-pairs")] == ["spoken-digits"]
    assert [part.name for part in parts_of("us-maize")] == ["us-maize"]
    assert parts_of("simulated-maize") == ()
    check_rights(["digit-pairs", "archive-pairs"])


@pytest.mark.parametrize("name", ["simulated-maize-x", "few-simulated-farms:all", "my-simulated-farms"])
def test_other_names_of_simulations_are_nobody_s(name):
    with pytest.raises(InputError, match="neither a data set's name nor a path"):
        rights_of(name)


def test_a_folder_without_a_record_is_refused_but_where_its_user_has_the_rights(tmp_path):
    (tmp_path / "own").mkdir()
    assert not rights_of(tmp_path / "own").is_stated
    with pytest.raises(InputError, match=r"own without licence and record; .*i_have_the_rights"):
        check_rights(["us-maize", str(tmp_path / "own")])
    check_rights(["us-maize", str(tmp_path / "own")], {str(tmp_path / "own")})
    write(tmp_path / "own" / "croissant.json", STATED)
    check_rights([str(tmp_path / "own")])
    assert rights_of(tmp_path / "own").source == "https://example.org/set"


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("CC0-1.0", "CC0-1.0"),
        (["CC-BY-4.0", "MIT"], "CC-BY-4.0, MIT"),
        (
            {"@type": "CreativeWork", "name": "MIT", "url": "https://spdx.org/licenses/MIT"},
            "https://spdx.org/licenses/MIT",
        ),
        ({"name": "MIT"}, "MIT"),
        ([[["MIT"]]], "MIT"),
        ("unknown", NOT_STATED),
        ("", NOT_STATED),
        (7, NOT_STATED),
        ([], NOT_STATED),
    ],
)
@pytest.mark.parametrize("key", ["license", "sc:license", "https://schema.org/license"])
def test_licences_are_read_however_json_ld_writes_them(tmp_path, licence, told, key):
    write(tmp_path / "croissant.json", {key: licence, "url": "https://example.org"})
    assert rights_of(tmp_path).licence == told
    assert rights_of(tmp_path).is_stated == (told != NOT_STATED)


@pytest.mark.parametrize("depth", [400, 900])
def test_a_licence_that_lies_too_deep_is_none(tmp_path, depth):
    text = f'{{"license": {"[" * depth}"MIT"{"]" * depth}, "url": "https://example.org"}}'
    (tmp_path / "croissant.json").write_text(text)
    assert not rights_of(tmp_path).is_stated


def test_a_licence_without_a_source_is_no_record(tmp_path):
    write(tmp_path / "croissant.json", {"license": "MIT"})
    assert not rights_of(tmp_path).is_stated


def test_a_file_is_covered_by_its_own_record_or_by_its_folder_s_where_that_lists_it(tmp_path):
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text("x")
    write(tmp_path / "croissant.json", {**STATED, "distribution": [{"contentUrl": "a.csv"}]})
    write(tmp_path / "b.csv.croissant.json", {**STATED, "license": "MIT"})
    assert [rights_of(tmp_path / f"{name}.csv").licence for name in "abc"] == ["CC-BY-4.0", "MIT", NOT_STATED]


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\xff"])
def test_a_broken_record_is_said_and_is_no_licence(tmp_path, text):
    (tmp_path / "croissant.json").write_text(text)
    with pytest.raises(InputError, match=re.escape("croissant.json")):
        check_rights([str(tmp_path)])


def test_a_name_that_is_nothing_is_refused():
    with pytest.raises(InputError, match="neither a data set's name nor a path"):
        check_rights(["us-mais"])


def test_training_on_one_s_own_says_once_that_no_licence_is_stated(tmp_path):
    source = SampleSet(name="own", samples=(), flagged={}, attribution="")
    with hearing() as notes:
        assert with_rights(source, str(tmp_path)).licence == NOT_STATED
    assert notes == ["own: licence not stated; mainstem data card writes it down"]
    write(tmp_path / "croissant.json", STATED)
    with hearing() as notes:
        assert with_rights(source, str(tmp_path)).licence == "CC-BY-4.0"
    assert not notes


def test_a_set_with_a_licence_is_left_as_it_is():
    source = SampleSet(name="own", samples=np.zeros(0), flagged={}, attribution="", licence="MIT")
    assert with_rights(source, "anywhere") is source
