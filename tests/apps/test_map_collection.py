"""`mainstem map` over a STAC collection: tiles as maps, whatever is killed, shared out or done twice."""

import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
from tests.apps.stac_farms import EVERY, write_collection
from tests.hostile.harness import run_cli

from mainstem.adapters import shipped_runs
from mainstem.adapters.crop_yield.pixel import TASK
from mainstem.apps import map as streaming
from mainstem.apps.launch_checks import check_names
from mainstem.apps.map_collections import map_collection
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_index import merge_collection
from mainstem.apps.map_models import MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.apps.run_spec import RunSpec
from mainstem.core.errors import InputError
from mainstem.core.files import content
from mainstem.data.earth.stac_collections import open_collection

RUN = shipped_runs("crop-yield")["pixel"]
BLOCKS = 4  # of two tiles of 96 x 48 pixels, where a block is 64 a side


@pytest.fixture(scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mainstem.apps.map_blocks.MEMORY_BYTES", 1 << 17)
        yield


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    """A collection, what to ask of it, and the names of its tiles."""
    collection, weather, names = write_collection(tmp_path_factory.mktemp("farm"))
    return collection, MapSpec(context=ContextSpec(weather=(weather,))), names


@pytest.fixture(scope="module")
def whole(farm, small_blocks, tmp_path_factory) -> Path:
    """The maps of one run that nothing interrupts."""
    collection, spec, _ = farm
    out = tmp_path_factory.mktemp("whole") / "maps"
    map_collection(TASK, RUN, collection, out, spec)
    return out


@pytest.fixture
def saved(monkeypatch) -> list[tuple[str, int]]:
    """Blocks as they are saved, by tile and number."""
    found, save = [], streaming.save_block

    def counted(folder: Path, plan: object, number: int, values: np.ndarray) -> None:
        save(folder, plan, number, values)
        found.append((folder.parent.name, number))

    monkeypatch.setattr(streaming, "save_block", counted)
    return found


def files(out: Path) -> dict[str, str]:
    """All files of a folder by sha256."""
    return {str(path.relative_to(out)): content(path).sha256 for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.long
def test_each_tile_is_a_map_and_an_item_of_a_valid_collection_with_an_index(farm, whole, tmp_path):
    source, spec, names = farm
    found = pystac.Collection.from_file(str(whole / "collection.json"))
    found.validate()
    assert (found.license, [provider.name for provider in found.providers]) == ("CC0-1.0", ["a test"])
    assert found.extra_fields["mainstem:source_licence"] == "CC-BY-4.0"
    items = list(found.get_items())
    assert [item.id for item in items] == names
    assert all(item.collection_id == found.id and item.get_parent().id == found.id for item in items)
    west, _, east, _ = found.extent.spatial.bboxes[0]
    assert all(west <= item.bbox[0] + 1e-3 and item.bbox[2] - 1e-3 <= east for item in items)
    start, end = found.extent.temporal.intervals[0]
    assert start == min(item.common_metadata.start_datetime for item in items) < end
    index = gpd.read_parquet(whole / "index.parquet")
    assert index["tile"].tolist() == names
    assert index["sha256"].tolist() == [content(whole / path).sha256 for path in index["path"]]
    assert index.crs.to_epsg() == 4326
    assert index.to_crs(index["crs"][0]).area.to_numpy() == pytest.approx([96 * 48 * 100] * 2, rel=1e-4)
    assert index.union_all().geom_type == "Polygon"  # the tiles share a border
    assert not [name for name in files(whole) if name.endswith(".vrt")]
    alone = map_scenes(TASK, RUN, open_collection(source).tiles[names[0]], tmp_path / "alone", spec)
    assert Path(alone["map"]).read_bytes() == (whole / names[0] / "map.tif").read_bytes()
    with rasterio.open(whole / names[1] / "map.tif") as dataset:
        assert np.isfinite(dataset.read(1)[::EVERY]).mean() > 0.5


@pytest.mark.long
def test_a_kill_costs_the_blocks_it_held_and_nothing_done_twice_changes_a_bit(
    farm, whole, saved, tmp_path, monkeypatch
):
    (source, spec, names), out = farm, tmp_path / "maps"
    counted = streaming.save_block

    def killed(*given: object) -> None:
        if len(saved) == 3:
            raise KeyboardInterrupt
        counted(*given)

    monkeypatch.setattr(streaming, "save_block", killed)
    with pytest.raises(KeyboardInterrupt):
        map_collection(TASK, RUN, source, out, spec)
    assert not (out / "collection.json").exists()
    with pytest.raises(InputError, match=f"1 of 2 tiles .* are not made, first {names[1]}"):
        merge_collection(out)
    before = (out / names[0] / "map.tif").stat().st_mtime_ns
    monkeypatch.setattr(streaming, "save_block", counted)
    assert map_collection(TASK, RUN, source, out, spec)["made"] == [names[1]]
    assert len(saved) == len(set(saved)) == BLOCKS  # the block that was in the making, and no other, is made again
    assert files(out) == files(whole)
    assert map_collection(TASK, RUN, source, out, spec)["made"] == []
    assert (out / names[0] / "map.tif").stat().st_mtime_ns == before
    flipped = bytearray((out / names[0] / "map.tif").read_bytes())
    flipped[1000] ^= 1
    (out / names[0] / "map.tif").write_bytes(flipped)
    with pytest.raises(InputError, match=f"tile {names[0]} .* is damaged"):
        merge_collection(out)
    assert map_collection(TASK, RUN, source, out, spec)["made"] == [names[0]]
    assert files(out) == files(whole)


@pytest.mark.long
def test_shards_take_tiles_by_turns_and_the_last_writes_the_collection(farm, whole, tmp_path):
    (source, spec, names), out = farm, tmp_path / "maps"
    done = map_collection(TASK, RUN, source, out, replace(spec, shard=(1, 3)))
    assert (done["collection"], done["made"]) == (None, [names[1]])
    assert map_collection(TASK, RUN, source, out, replace(spec, shard=(2, 3)))["tiles"] == []
    done = map_collection(TASK, RUN, source, out, replace(spec, shard=(0, 3)))
    assert (done["collection"], done["made"]) == (str(out / "collection.json"), [names[0]])
    assert files(out) == files(whole)
    run_cli("map-merge", out).taken()
    assert files(out) == files(whole)


def test_a_tile_that_cannot_be_mapped_keeps_no_other_from_it(farm, tmp_path, monkeypatch):
    source, spec, names = farm
    mapped = []

    def fails(task: object, run: object, items: object, out: Path, *more: object) -> None:
        if out.name == names[0]:
            raise InputError("scl.tif is no TIFF")
        mapped.append(out.name)

    monkeypatch.setattr("mainstem.apps.map_collections.map_scenes", fails)
    with pytest.raises(InputError, match=f"1 of 2 tiles cannot be mapped; tile {names[0]}: scl.tif is no TIFF"):
        map_collection(TASK, RUN, source, tmp_path / "maps", spec)
    assert mapped == [names[1]]


def test_what_is_of_one_grid_and_what_is_anothers_is_refused(farm, tmp_path):
    source, spec, _ = farm
    soil = replace(spec, context=replace(spec.context, soil=source.parents[1] / "farm" / "soil.tif"))
    with pytest.raises(InputError, match=r"--soil is of one grid, c\.json has 2 tiles"):
        map_collection(TASK, RUN, source, tmp_path / "a", soil)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "collection.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds collection\.json, but no maps that it is of"):
        map_collection(TASK, RUN, source, tmp_path / "b", spec)
    asked = {"command": "map", "adapter": "crop-yield", "scenes": str(source), "out": "maps", "time": "00:10:00"}
    check_names(RunSpec.model_validate({**asked, "shards": 2}), is_there=True)
    with pytest.raises(InputError, match=r"got 3 shards, c\.json has 2 tiles"):
        check_names(RunSpec.model_validate({**asked, "shards": 3}), is_there=True)
    (tmp_path / "c.json").write_text(json.dumps({"type": "Collection", "links": [], "id": "a"}))
    refused = ("map", "crop-yield", tmp_path / "c.json", "--out", tmp_path / "c")
    run_cli(*refused).refused("c.json links to no item")
