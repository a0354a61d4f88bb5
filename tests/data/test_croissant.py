"""Cards are Croissant as mlcroissant reads it, say licence, source and sha256, and are read without the network."""

import copy
import hashlib
import json
import socket

import numpy as np
import pytest
from tests.core.lazy_images import images

from mainstem.apps.sources import faults_of
from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.data.catalogue import find_data_set
from mainstem.data.croissant import GEO, VERSION, as_json, card_of, place_of, read_card
from mainstem.data.rights import Rights, rights_of
from mainstem.data.shard_writing import ReadBy, bake

mlc = pytest.importorskip("mlcroissant")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Nothing below may ask the network anything."""

    def refuse(*arguments, **options):
        raise AssertionError(f"the network was asked: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def write(folder, licence="MIT", source="https://example.org/set"):
    card = as_json(card_of(str(folder), licence, source))
    place_of(str(folder)).write_text(json.dumps(card))
    return card


def own(tmp_path):
    (tmp_path / "own" / "deep er").mkdir(parents=True)
    for name in ("a.csv", "deep er/ü b.nii.gz", ".hidden"):
        (tmp_path / "own" / name).write_bytes(name.encode())
    return tmp_path / "own"


def test_a_set_of_the_catalogue_has_a_card_that_mlcroissant_accepts():
    for name in ("us-maize", "nl-maize"):
        known, card = find_data_set(name), as_json(card_of(name))
        metadata = mlc.Dataset(jsonld=copy.deepcopy(card)).metadata
        assert metadata.ctx.conforms_to.value == VERSION
        assert metadata.license == [known.licence]
        assert metadata.cite_as == known.attribution
        assert [file.sha256 for file in metadata.distribution] == [file.sha256 for file in known.files]


def test_files_of_one_s_own_get_a_card_that_is_their_record(tmp_path):
    folder = own(tmp_path)
    with pytest.raises(InputError, match="add --licence LICENCE --source ADDRESS"):
        card_of(str(folder))
    card = write(folder)
    assert "@base" not in card["@context"]
    found = read_card(folder / "croissant.json")
    assert [file.name for file in found.files] == ["a.csv", "deep er/ü b.nii.gz"]
    assert found.files[0].sha256 == hashlib.sha256(b"a.csv").hexdigest()
    assert found.files[0].size == 5
    assert rights_of(folder) == found.rights == Rights("MIT", "https://example.org/set", is_stated=True)
    assert write(folder, "", "") == card  # again, by what it says already


def test_a_source_may_be_a_sentence(tmp_path):
    write(own(tmp_path), source="measured by ourselves in 2025")
    assert rights_of(tmp_path / "own").source == "measured by ourselves in 2025"


def test_a_single_file_s_card_lies_beside_it(tmp_path):
    folder = own(tmp_path)
    write(folder / "a.csv")
    assert (folder / "a.csv.croissant.json").is_file()
    assert rights_of(folder / "a.csv").is_stated
    assert not rights_of(folder).is_stated


def test_verify_finds_what_a_card_s_files_are_no_more(tmp_path):
    folder = own(tmp_path)
    card = write(folder)
    assert faults_of(str(folder)) == []
    (folder / "a.csv").write_bytes(b"a.csw")
    (folder / "deep er" / "ü b.nii.gz").unlink()
    assert faults_of(str(folder)) == ["a.csv differs", "deep er/ü b.nii.gz is absent"]
    card["distribution"][0]["contentUrl"] = "../outside.csv"
    (folder / "croissant.json").write_text(json.dumps(card))
    assert faults_of(str(folder))[0] == "../outside.csv lies outside the folder"


def test_a_baked_set_s_card_lists_its_shards(tmp_path):
    source = SampleSet(name="drawn", samples=images(20, 8), flagged={}, attribution="us", licence="CC0-1.0")
    bake(source, Rights("CC0-1.0", "drawn here", is_stated=True), tmp_path / "set", ReadBy())
    write(tmp_path / "set", "", "")
    found = read_card(tmp_path / "set" / "croissant.json")
    assert {file.name for file in found.files} == {"shards.json", "index.arrow", "batches.npy", "shard-00000.arrow"}
    assert (found.rights.licence, found.attribution) == ("CC0-1.0", "us")
    for file in found.files:
        assert hashlib.sha256((tmp_path / "set" / file.name).read_bytes()).hexdigest() == file.sha256


def raster(path, left, epsg=32631):
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.transform.from_origin(left, 5_000_000, 10, 10)
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=50, count=1, dtype="uint8", crs=f"EPSG:{epsg}", transform=transform
    ) as file:
        file.write(np.ones((1, 50, 100), np.uint8))


def test_rasters_say_where_they_lie(tmp_path):
    (tmp_path / "scenes").mkdir()
    raster(tmp_path / "scenes" / "one.tif", 500_000)
    raster(tmp_path / "scenes" / "two.tif", 510_000)
    card = write(tmp_path / "scenes")
    assert card["conformsTo"] == [VERSION, f"{GEO}1.0"]
    assert card["geocr:coordinateReferenceSystem"] == "EPSG:32631"
    assert card["geocr:spatialResolution"] == {"@type": "QuantitativeValue", "value": 10.0, "unitText": "metre"}
    south, west, north, east = map(float, card["spatialCoverage"]["geo"]["box"].split())
    assert west == pytest.approx(3.0, abs=1e-3)  # the zone's own meridian
    assert north == pytest.approx(45.153, abs=2e-3)
    assert 0 < north - south < 0.01
    assert east - west == pytest.approx(11_000 / 78_700, rel=0.02)
    assert read_card(tmp_path / "scenes" / "croissant.json").extra["spatialCoverage"] == card["spatialCoverage"]
    raster(tmp_path / "scenes" / "three.tif", 500_000, epsg=32632)
    card = write(tmp_path / "scenes")
    assert "geocr:coordinateReferenceSystem" not in card
    assert float(card["spatialCoverage"]["geo"]["box"].split()[3]) > 8.9


@pytest.mark.parametrize(
    "breach",
    [
        {"@context": "https://schema.org/"},
        {"@context": ["https://schema.org/", {"a": "b"}]},
        {"publisher": {"@context": "http://127.0.0.1:9/c.json", "name": "x"}},
        {"@context": {"@import": "http://127.0.0.1:9/c.json"}},
    ],
)
def test_a_card_that_would_fetch_is_refused(tmp_path, breach):
    folder = own(tmp_path)
    (folder / "croissant.json").write_text(json.dumps({**write(folder), **breach}))
    with pytest.raises(InputError, match="which is not fetched"):
        read_card(folder / "croissant.json")


@pytest.mark.parametrize("facts", [{}, {"@type": "sc:Dataset"}, {"distribution": 7}])
def test_what_is_no_card_is_said_in_one_line(tmp_path, facts):
    (tmp_path / "croissant.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="is no Croissant") as caught:
        read_card(tmp_path / "croissant.json")
    assert "\n" not in str(caught.value)
