"""Streaming maps: exact for an identity, the same bit for bit however they are made, and nothing half-written."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rio_cogeo
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstem.apps.map import MapLabels, MapSize, map_raster, merge, parts_folder
from mainstem.apps.map_blocks import InputReader, make_plan
from mainstem.core.errors import InputError
from mainstem.data.earth.raster import describe, same_grid

PROFILE = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}


def write(path: Path, values: np.ndarray, **more: object) -> Path:
    """Write (band, y, x) as a GeoTIFF."""
    count, height, width = values.shape
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256} if min(height, width) >= 256 else {}
    profile = {**PROFILE, **blocks, "count": count, "height": height, "width": width, "dtype": values.dtype, **more}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
    return path


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read()


def image(height: int, width: int, seed: int = 0, bands: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10_000, (bands, height, width), dtype=np.uint16)


def identity(tiles: np.ndarray) -> np.ndarray:
    return tiles[:, 0]


def convolution() -> object:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 3, padding=1)
    )

    def predict(tiles: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            scaled = torch.from_numpy(tiles).nan_to_num().flatten(1, 2) / 1e4
            return layers(scaled).numpy()

    return predict


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 1200), width=st.integers(1, 1200), tile=st.integers(1, 400), share=st.floats(0, 0.95),
    batch_size=st.integers(1, 9), workers=st.integers(1, 4), seed=st.integers(0, 99),
)  # fmt: skip
def test_an_identity_comes_out_exact_whatever_the_sizes(
    tmp_path, height, width, tile, share, batch_size, workers, seed
):
    tile = max(tile, (max(height, width) // 25) + 1)  # bounds the number of tiles, and with it the time
    values = image(height, width, seed, bands=1)
    source, out = write(tmp_path / "in.tif", values), tmp_path / "out.tif"
    overlap = int(share * tile) if share < 0.8 else min(tile - 1, int(0.5 * tile))
    map_raster(identity, [source], out, MapSize(tile=tile, overlap=overlap, batch_size=batch_size, workers=workers))
    np.testing.assert_array_equal(read(out), values.astype(np.float32))


def two_dates(tmp_path: Path, height: int = 700, width: int = 900) -> list[Path]:
    return [write(tmp_path / f"date{seed}.tif", image(height, width, seed)) for seed in (1, 2)]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few hundred pixels, so that there are many."""
    monkeypatch.setattr("mainstem.apps.map_blocks.MEMORY_BYTES", 1 << 20)


@pytest.mark.long
@pytest.mark.usefixtures("small_blocks")
def test_workers_shards_and_blocks_made_before_change_no_bit(tmp_path):
    inputs, model = two_dates(tmp_path), convolution()
    sizes = {"tile": 128, "overlap": 24, "batch_size": 5}
    plan = make_plan(same_grid(inputs), **sizes)
    assert len(plan.tiling.blocks()) > 8
    whole = map_raster(model, inputs, tmp_path / "whole.tif", MapSize(workers=1, **sizes))
    wanted = whole.read_bytes()
    assert map_raster(model, inputs, tmp_path / "four.tif", MapSize(workers=4, **sizes)).read_bytes() == wanted
    for index in reversed(range(8)):
        assert map_raster(model, inputs, tmp_path / "sharded.tif", MapSize(shard=(index, 8), **sizes)) is None
    assert not (tmp_path / "sharded.tif").exists()
    assert merge(tmp_path / "sharded.tif").read_bytes() == wanted
    calls = 0

    def stops(tiles: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return model(tiles)

    with pytest.raises(KeyboardInterrupt):
        map_raster(stops, inputs, tmp_path / "stopped.tif", MapSize(**sizes))
    made = len(list(parts_folder(tmp_path / "stopped.tif").glob("block-*.npy")))
    assert 0 < made < len(plan.tiling.blocks())
    seen = []
    size = MapSize(**sizes)
    map_raster(model, inputs, tmp_path / "stopped.tif", size, progress=lambda stage, share: seen.append(stage))
    assert (tmp_path / "stopped.tif").read_bytes() == wanted
    assert len(seen) == len(plan.tiling.blocks()) - made
    assert not parts_folder(tmp_path / "stopped.tif").exists()


@pytest.mark.usefixtures("small_blocks")
def test_batch_sizes_agree_to_rounding_and_another_model_begins_anew(tmp_path):
    inputs, model = two_dates(tmp_path, 300, 400), convolution()
    one = read(map_raster(model, inputs, tmp_path / "one.tif", MapSize(tile=96, overlap=16, batch_size=1)))
    many = read(map_raster(model, inputs, tmp_path / "many.tif", MapSize(tile=96, overlap=16, batch_size=7)))
    np.testing.assert_allclose(one, many, atol=1e-5, rtol=0)
    half, first = MapSize(tile=96, shard=(0, 2)), MapLabels(token="first")
    map_raster(lambda tiles: tiles[:, 0] * 0, inputs, tmp_path / "a.tif", half, first)
    map_raster(identity, inputs, tmp_path / "a.tif", MapSize(tile=96), MapLabels(token="second"))
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(inputs[0]).astype(np.float32))


PROGRAM = """
import sys, time, numpy as np
import mainstem.apps.map as streaming
import mainstem.apps.map_blocks
mainstem.apps.map_blocks.MEMORY_BYTES = 1 << 17
def predict(tiles):
    time.sleep(0.005)
    return tiles.sum((1, 2))[:, None] + np.cos(tiles[:, 0, :1])
streaming.map_raster(predict, sys.argv[2:], sys.argv[1], streaming.MapSize(tile=64, overlap=16, batch_size=4))
"""


@pytest.mark.long
def test_twenty_kills_at_random_change_no_bit(tmp_path):
    inputs = two_dates(tmp_path, 600, 700)
    command = [sys.executable, "-c", PROGRAM]
    subprocess.run([*command, str(tmp_path / "whole.tif"), *map(str, inputs)], check=True)
    rng, out = np.random.default_rng(0), tmp_path / "killed.tif"

    def made() -> int:
        return len(list(parts_folder(out).glob("block-*.npy")))

    for _ in range(20):
        wanted, child = made() + rng.integers(1, 6), subprocess.Popen([*command, str(out), *map(str, inputs)])
        while made() < wanted and child.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.01))
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert not out.exists()
    assert 20 <= made() < 195
    subprocess.run([*command, str(out), *map(str, inputs)], check=True)
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_nodata_stays_missing_and_empty_tiles_never_reach_the_model(tmp_path):
    values = image(600, 600, 3, bands=1)
    values[:, :300] = 0
    source = write(tmp_path / "in.tif", values, nodata=0)
    shown = []

    def predict(tiles: np.ndarray) -> np.ndarray:
        shown.append(np.isnan(tiles).mean(axis=(1, 2, 3, 4)))
        return tiles[:, 0]

    found = read(map_raster(predict, [source], tmp_path / "out.tif", MapSize(tile=100, overlap=20)))
    assert np.isnan(found[:, :300]).all()
    below = values[:, 300:].astype(np.float32)
    np.testing.assert_array_equal(found[:, 300:], np.where(below == 0, np.nan, below))
    assert np.concatenate(shown).max() < 1


def test_a_map_without_a_single_pixel_is_all_missing(tmp_path):
    source = write(tmp_path / "in.tif", np.zeros((1, 80, 80), np.uint16), nodata=0)
    assert np.isnan(
        read(map_raster(lambda t: np.zeros((len(t), 3, 64, 64)), [source], tmp_path / "o.tif", MapSize(tile=64)))
    ).all()


def test_the_cog_carries_grid_names_and_tags_and_is_valid(tmp_path):
    source = write(tmp_path / "in.tif", image(1100, 1300))
    names, tags = ("mean", "lower"), {"UNITS": "t/ha", "ATTRIBUTION": "made for a test"}
    out = map_raster(identity, [source], tmp_path / "out.tif", labels=MapLabels(names=names, tags=tags))
    with rasterio.open(out) as found, rasterio.open(source) as given:
        assert (found.crs, found.transform, found.shape) == (given.crs, given.transform, given.shape)
        assert found.descriptions == names
        assert found.tags()["UNITS"] == "t/ha"
        assert np.isnan(found.nodata)
        assert found.overviews(1)
        assert found.block_shapes[0] == (512, 512)
    assert rio_cogeo.cog_validate(str(out), strict=True)[0]
    assert not list(tmp_path.glob(".*"))


VRT = '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'


@pytest.mark.parametrize("content", [VRT.encode(), b"http://127.0.0.1/a.tif", b"", b"GIF89a"])
def test_what_is_no_tiff_is_never_opened_as_anything_else(tmp_path, content):
    fake = tmp_path / "fake.tif"
    fake.write_bytes(content)
    with pytest.raises(InputError, match="no TIFF"):
        map_raster(identity, [fake], tmp_path / "out.tif")
    for name in ("/vsicurl/http://127.0.0.1/a.tif", "http://127.0.0.1/a.tif"):
        with pytest.raises(InputError, match="no file"):
            map_raster(identity, [name], tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()


def test_a_tiff_that_claims_more_than_it_can_hold_is_refused(tmp_path):
    profile = {**PROFILE, "count": 1, "height": 200_000, "width": 200_000, "dtype": "uint8", "SPARSE_OK": True}
    with rasterio.open(tmp_path / "bomb.tif", "w", tiled=True, BIGTIFF="YES", **profile):
        pass
    assert (tmp_path / "bomb.tif").stat().st_size < 20e6
    with pytest.raises(InputError, match=r"claims 40\.0 GB"):
        describe(tmp_path / "bomb.tif")


def test_grids_crs_and_kinds_that_differ_are_named(tmp_path):
    first = write(tmp_path / "a.tif", image(64, 64))
    moved = PROFILE["transform"] * rasterio.Affine.translation(1, 0)
    for name, message, values, more in (
        ("b.tif", "CRS", image(64, 64), {"crs": "EPSG:32634"}),
        ("c.tif", "warp one", image(64, 64), {"transform": moved}),
        ("d.tif", "warp one", image(64, 65), {}),
        ("e.tif", "3 bands", image(64, 64, bands=3), {}),
        ("f.tif", "float32", image(64, 64).astype(np.float32), {}),
    ):
        with pytest.raises(InputError, match=message):
            same_grid([first, write(tmp_path / name, values, **more)])
    with pytest.raises(InputError, match="no CRS"):
        describe(write(tmp_path / "g.tif", image(64, 64), crs=None))
    with pytest.raises(InputError, match="north-up"):
        describe(
            write(tmp_path / "h.tif", image(64, 64), transform=rasterio.Affine.rotation(20) * PROFILE["transform"])
        )


def test_a_truncated_raster_is_one_line_and_leaves_nothing(tmp_path):
    source = write(tmp_path / "in.tif", image(600, 600))
    source.write_bytes(source.read_bytes()[:300_000])
    with pytest.raises(InputError, match=r"in\.tif"):
        map_raster(identity, [source], tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()


def test_a_full_disk_says_so_and_the_next_run_goes_on(tmp_path):
    source = write(tmp_path / "in.tif", image(900, 900, bands=1).astype(np.float32))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(InputError, match="free space"):
            map_raster(identity, [source], tmp_path / "out.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (tmp_path / "out.tif").exists()
    np.testing.assert_array_equal(read(map_raster(identity, [source], tmp_path / "out.tif")), read(source))


def test_a_model_of_the_wrong_shape_and_sizes_that_cannot_be_are_refused(tmp_path):
    source = write(tmp_path / "in.tif", image(64, 64))
    with pytest.raises(InputError, match="want"):
        map_raster(lambda tiles: tiles[:, 0, :, :-1], [source], tmp_path / "out.tif")
    for wrong in ({"tile": 0}, {"tile": 8, "overlap": 8}, {"batch_size": 0}, {"shard": (2, 2)}):
        with pytest.raises(InputError, match="want"):
            map_raster(identity, [source], tmp_path / "out.tif", MapSize(**wrong))
    with pytest.raises(InputError, match="in the making"):
        merge(tmp_path / "never.tif")


def test_neighbours_read_and_predict_what_they_share_once(tmp_path, monkeypatch):
    source = write(tmp_path / "in.tif", image(512, 1024, bands=1))
    monkeypatch.setattr("mainstem.apps.map_blocks.MEMORY_BYTES", 1 << 20)
    read, shown = [], []
    whole = InputReader._read

    def counted(reader: InputReader, chunk: tuple[int, ...]) -> list:
        read.append(chunk)
        return whole(reader, chunk)

    def predict(tiles: np.ndarray) -> np.ndarray:
        shown.append(len(tiles))
        return tiles[:, 0]

    monkeypatch.setattr(InputReader, "_read", counted)
    size = {"tile": 128, "overlap": 32, "batch_size": 4}
    plan = make_plan(same_grid([source]), **size)
    map_raster(predict, [source], tmp_path / "out.tif", MapSize(**size))
    assert len(plan.tiling.blocks()) > 4
    rows = {block[0].start for block in plan.tiling.blocks()}
    assert len(read) == len(set(read)) == 2 * len(rows)  # of 512 columns
    assert sum(shown) == 11 * sum(
        len({tile[0] for tile in plan.tiling.lines(block)[0]}) for block in plan.tiling.blocks() if block[1].start == 0
    )


@pytest.mark.slow
def test_memory_is_flat_from_6000_to_20000_pixels_a_side(tmp_path):
    program = (
        "import sys; from pathlib import Path; from mainstem.apps.map import map_raster\n"
        "map_raster(lambda t: t[:, 0, :3], [Path(sys.argv[1])], Path(sys.argv[2]))\n"
        "print(next(int(x.split()[1]) for x in open('/proc/self/status') if x.startswith('VmHWM')) / 1024)"
    )
    peaks = {}
    for side in (2_000, 6_000, 20_000):
        path = tmp_path / f"{side}.tif"
        profile = {**PROFILE, "count": 6, "height": side, "width": side, "dtype": "uint16", "tiled": True,
                   "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1,
                   "BIGTIFF": "YES"}  # fmt: skip
        rng = np.random.default_rng(0)
        with rasterio.open(path, "w", **profile) as target:
            strip = rng.integers(0, 3000, (6, 500, side), dtype=np.uint16)
            for top in range(0, side, 500):
                target.write(strip, window=rasterio.windows.Window(0, top, side, 500))
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), str(tmp_path / "out.tif")],
            check=True, capture_output=True, text=True, env=dict(os.environ),
        )  # fmt: skip
        peaks[side] = float(done.stdout)
        print(side, f"{peaks[side]:.0f} MiB, {time.perf_counter() - begin:.0f} s")
        path.unlink()
    assert peaks[20_000] <= 512
    assert peaks[20_000] <= 1.15 * peaks[6_000]  # eleven times the pixels; 2,000 are less than a block
