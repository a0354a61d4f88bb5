"""Cards are Croissant as mlcroissant reads it, say licence, source and sha256, and are read without the network."""

import copy
import hashlib
import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from tests.core.lazy_images import images

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.data.catalogue import find_data_set
from mainstem.data.croissant import GEO, VERSION, as_json, card_of, place_of, read_card
from mainstem.data.rights import Rights, rights_of
from mainstem.data.shard_writing import ReadBy, bake
from mainstem.data.verifying import Verified, verify, verify_card

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
    assert verify(str(folder)) == Verified(num=2, wrong=())
    (folder / "a.csv").write_bytes(b"a.csw")
    (folder / "deep er" / "ü b.nii.gz").unlink()
    found = verify(str(folder))
    assert found == Verified(num=2, wrong=("a.csv differs", "deep er/ü b.nii.gz is absent"))
    assert not found.is_whole
    card["distribution"][0]["contentUrl"] = "../outside.csv"
    (folder / "croissant.json").write_text(json.dumps(card))
    assert verify(str(folder)).wrong[0] == "../outside.csv lies outside the folder"


def changed(folder, card, **entry):
    """Verify a folder whose card says otherwise of its first file; None leaves an entry out."""
    first, *rest = card["distribution"]
    first = {name: value for name, value in {**first, **entry}.items() if value is not None}
    (folder / "croissant.json").write_text(json.dumps({**card, "distribution": [first, *rest]}))
    return verify(str(folder))


def test_what_a_card_lets_nobody_check_is_not_whole(tmp_path):
    folder = own(tmp_path)
    card = write(folder)
    bare = {name: value for name, value in card.items() if name != "distribution"}
    (folder / "croissant.json").write_text(json.dumps(bare))
    found = verify(str(folder))
    assert (found.is_whole, str(found)) == (False, "nothing was checked")
    listed = {**card, "distribution": card["distribution"][:1]}
    for entry, why in (
        ({"sha256": None, "md5": "0" * 32}, "a.csv (the card gives no sha256 of it)"),
        ({"contentUrl": "file://a.csv", "sha256": "0" * 64}, "file://a.csv (an address)"),
    ):
        found = changed(folder, listed, **entry)
        assert (found.is_whole, str(found)) == (False, f"nothing was checked; not checked: {why}")
        found = changed(folder, card, **entry)
        assert (found.is_whole, str(found)) == (True, f"1 of 1 files whole; not checked: {why}")


def test_a_sha256_in_capitals_is_the_same(tmp_path):
    folder = own(tmp_path)
    card = write(folder)
    capitals = card["distribution"][0]["sha256"].upper()
    assert changed(folder, card, sha256=capitals) == Verified(num=2, wrong=())
    assert changed(folder, card, sha256=capitals[1:] + capitals[0]).wrong == ("a.csv differs",)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "loop", "deep er", "."])
def test_names_that_are_no_files_are_wrong(tmp_path, name):
    folder = own(tmp_path)
    card = write(folder)
    (folder / "loop").symlink_to(folder / "loop")
    assert len(changed(folder, card, contentUrl=name).wrong) == 1


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


def test_rasters_that_lie_nowhere_are_files_all_the_same(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    (tmp_path / "scenes").mkdir()
    at = rasterio.Affine
    for name, crs, place in (
        ("none", None, at(10, 0, 0, 0, -10, 0)),
        ("nan", "EPSG:32631", at(np.nan, 0, 0, 0, -10, 0)),
        ("far", "EPSG:32631", at(1e9, 0, 1e12, 0, -1e9, 1e12)),
        ("pole", "EPSG:4326", at(1, 0, 0, 0, -1, 5000)),
    ):
        with rasterio.open(
            tmp_path / "scenes" / f"{name}.tif", "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8",
            crs=crs, transform=place,
        ) as file:  # fmt: skip
            file.write(np.ones((1, 4, 4), np.uint8))
    card = write(tmp_path / "scenes")
    assert len(card["distribution"]) == 4
    assert "spatialCoverage" not in card
    assert verify(str(tmp_path / "scenes")).is_whole


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="holds 0 files"):
        card_of(str(tmp_path / "pipe"), "MIT", "us")


def test_what_is_simulated_has_no_files_to_card():
    with pytest.raises(InputError, match="bake it, and card the shards"):
        card_of("simulated-maize")


@pytest.mark.parametrize(
    "breach",
    [
        {"@context": "https://schema.org/"},
        {"@context": ["https://schema.org/", {"a": "b"}]},
        {"publisher": {"@context": "http://127.0.0.1:9/c.json", "name": "x"}},
        {"@context": {"@import": "http://127.0.0.1:9/c.json"}},
        {"publisher": {"@context": [["http://127.0.0.1:9/c.json"]]}},
        {"isBasedOn": [[{"a": [{"@context": [{"b": "c"}, [["http://127.0.0.1:9/c.json"]]]}]}]]},
        {"@context": {"x": {"@id": "sc:x", "@context": [["http://127.0.0.1:9/c.json"]]}}},
        {"@context": {"@context": [["http://127.0.0.1:9/c.json"]]}},
    ],
)
def test_a_card_that_would_fetch_is_refused(tmp_path, breach):
    folder = own(tmp_path)
    (folder / "croissant.json").write_text(json.dumps({**write(folder), **breach}))
    with pytest.raises(InputError, match="which is not fetched"):
        read_card(folder / "croissant.json")


@pytest.fixture
def listener(monkeypatch):
    """An address of this machine, and what asked it for anything."""
    monkeypatch.undo()  # it may be asked
    asked = []

    class Heard(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    with ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/node", asked
        server.shutdown()


@pytest.mark.parametrize("depth", range(5))
def test_no_card_makes_this_machine_ask_for_anything(tmp_path, listener, depth):
    address, asked = listener
    context = address
    for _ in range(depth):
        context = [context]
    folder = own(tmp_path)
    card = write(folder)
    based = {**card, "isBasedOn": {"@context": context, "name": "x"}}
    listed = {**card, "distribution": [{**card["distribution"][0], "@context": context}]}
    term = {**card, "@context": {**card["@context"], "isBasedOn": {"@id": "sc:isBasedOn", "@context": context}}}
    for breach in (based, listed, {**term, "isBasedOn": {"name": "x"}}):
        (folder / "croissant.json").write_text(json.dumps(breach))
        with pytest.raises(InputError, match="which is not fetched"):
            verify_card(folder / "croissant.json")
    assert asked == []


@pytest.mark.parametrize("facts", [{}, {"@type": "sc:Dataset"}, {"distribution": 7}])
def test_what_is_no_card_is_said_in_one_line(tmp_path, facts):
    (tmp_path / "croissant.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="is no Croissant") as caught:
        read_card(tmp_path / "croissant.json")
    assert "\n" not in str(caught.value)
