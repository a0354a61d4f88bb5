"""Cubes that are not what they say: no code run, no other file read, no disk or memory filled, one line."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray
from pyproj import CRS

from mainstem.core.errors import InputError
from mainstem.data.earth import staging
from mainstem.data.earth.eopatch import open_eopatch, open_land_use
from mainstem.data.earth.staging import stage
from mainstem.data.earth.weather import open_weather
from tests.hostile.harness import canary, listener, run_call

HERE = "tests.hostile.test_stores"
SIDE = 8


def cube(path: Path, version: int = 2) -> Path:
    """A right cube of two dates."""
    values = np.random.default_rng(0).uniform(0.1, 0.4, (2, SIDE, SIDE)).astype(np.float32)
    data = xarray.Dataset(
        {name: (("time", "y", "x"), values, {"units": "1"}) for name in ("B04", "B08")},
        coords={
            "time": np.array(["2021-05-01", "2021-05-11"], "datetime64[ns]"),
            "y": 5_000_000 - 10.0 * np.arange(SIDE), "x": 600_000 + 10.0 * np.arange(SIDE),
            "spatial_ref": ((), 0, {"crs_wkt": CRS.from_epsg(32633).to_wkt()}),
        },
    )  # fmt: skip
    if path.suffix == ".zarr":
        data.to_zarr(path, zarr_format=version, consolidated=False)
    else:
        data.to_netcdf(path)
    return path


def staged(path: Path) -> int:
    """How many scenes come of it; what was half-written would stay."""
    try:
        return len(stage([path], Path("staged")))
    except InputError:
        assert not list(Path("staged").glob("**/*.part")), "half-written"
        raise


def refused(path: Path, folder: Path, *words: str) -> str:
    """The one line that an input is refused with, nothing staged."""
    with pytest.raises(InputError) as caught:
        stage([path], folder / "staged")
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word.lower() in message.lower()
    assert not list((folder / "staged").glob("*")), "something stays"
    return message


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    document = json.loads(path.read_text())
    changed = change(document)
    path.write_text(json.dumps(document if changed is None else changed))


class Ran:
    """Pickled, this makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, (str(self.path),))


def test_right_cubes_are_taken(tmp_path):
    for name, version in (("a.zarr", 2), ("b.zarr", 3), ("c.nc", 0)):
        assert len(stage([cube(tmp_path / name, version)], tmp_path / "s" / name)) == 2


@pytest.mark.parametrize("place", [".zarray", ".zmetadata", "zarr.json"])
def test_a_pickle_among_codecs_is_never_run(tmp_path, place):
    import pickle  # noqa: TID251 - what the input holds

    path = cube(tmp_path / "a.zarr", 3 if place == "zarr.json" else 2)
    ran = tmp_path / "ran"
    chunk = pickle.dumps(Ran(ran))
    if place == "zarr.json":
        (path / "B04" / "c" / "0" / "0").mkdir(parents=True, exist_ok=True)
        (path / "B04" / "c" / "0" / "0" / "0").write_bytes(chunk)
        edit(
            path / "B04" / place, lambda held: held["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})
        )
    else:
        (path / "B04" / "0.0.0").write_bytes(chunk)
        entry = json.loads((path / "B04" / ".zarray").read_text())
        entry |= {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}], "compressor": None, "fill_value": None}
        (path / "B04" / ".zarray").write_text(json.dumps(entry))
        if place == ".zmetadata":
            held = {str(p.relative_to(path)): json.loads(p.read_text()) for p in path.rglob(".z*") if p.is_file()}
            (path / place).write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": held}))
            shutil.copy(path / "B08" / ".zarray", path / "B04" / ".zarray")
    run_call(f"{HERE}:staged", path, env={"NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE": "1"}).refused("pickle", "a.zarr")
    assert not ran.exists()


CHANGES_2: dict[str, tuple[Callable[[Any], Any], str]] = {
    "json2": (lambda held: held.update(filters=[{"id": "json2"}], dtype="|O"), "json2"),
    "vlen-bytes": (lambda held: held.update(filters=[{"id": "vlen-bytes"}], dtype="|O"), "vlen-bytes"),
    "object-without-codec": (lambda held: held.update(dtype="|O", filters=None), "type"),
    "text-codec-on-numbers": (lambda held: held.update(filters=[{"id": "vlen-utf8"}]), "as text"),
    "astype-object": (
        lambda held: held.update(filters=[{"id": "astype", "encode_dtype": "|O", "decode_dtype": "<f4"}]),
        "numbers",
    ),
    "record": (lambda held: held.update(dtype=[["a", "<f4"], ["b", "<i4"]]), "type"),
    "void": (lambda held: held.update(dtype="|V100000"), "type"),
    "unknown-codec": (lambda held: held.update(compressor={"id": "mystery"}), "mystery"),
    "codec-is-a-path": (lambda held: held.update(compressor={"id": "../../x"}), "packed by"),
    "codec-is-a-list": (lambda held: held.update(compressor=["blosc"]), "packed by"),
    "filters-are-text": (lambda held: held.update(filters="pickle"), "no list"),
    "25-gb": (lambda held: held.update(shape=[6250, 1000, 1000], chunks=[1, 100, 100]), "25.0 GB"),
    "one-chunk-of-4-gb": (lambda held: held.update(shape=[2, 8, 8], chunks=[1, 32768, 32768]), "chunks of 4096 MiB"),
    "negative": (lambda held: held.update(shape=[2, -8, 8]), "whole numbers"),
    "text-shape": (lambda held: held.update(shape="888"), "whole numbers"),
    "float-shape": (lambda held: held.update(shape=[2.5, 8, 8]), "whole numbers"),
    "true-shape": (lambda held: held.update(shape=[True, 8, 8]), "whole numbers"),
    "huge-shape": (lambda held: held.update(shape=[10**30, 8, 8]), "whole numbers"),
    "zero-chunk": (lambda held: held.update(chunks=[0, 8, 8]), "whole numbers"),
    "seventeen-dims": (lambda held: held.update(shape=[1] * 100, chunks=[1] * 100), "whole numbers"),
    "metadata-is-a-list": (lambda held: [1, 2], "object"),
    "two-dims": (lambda held: held.update(shape=[8, 8], chunks=[8, 8]), "a.zarr"),
    "complex": (lambda held: held.update(dtype="<c8"), "type"),
    "no-shape": (lambda held: [held.pop("shape"), None][1], "whole numbers"),
}


@pytest.mark.parametrize("name", CHANGES_2)
def test_metadata_of_zarr_2_are_held_to_what_is_safe(tmp_path, name):
    change, words = CHANGES_2[name]
    path = cube(tmp_path / "a.zarr")
    edit(path / "B04" / ".zarray", change)
    refused(path, tmp_path, words)


def sharded(codec: Any) -> Callable[[Any], Any]:
    inner = {"chunk_shape": [1, 8, 8], "codecs": [codec], "index_codecs": [{"name": "bytes"}], "index_location": "end"}
    return lambda held: held.update(codecs=[{"name": "sharding_indexed", "configuration": inner}])


CHANGES_3: dict[str, tuple[Callable[[Any], Any], str]] = {
    "pickle-in-shards": (sharded({"name": "numcodecs.pickle"}), "numcodecs.pickle"),
    "shards-without-end": (sharded({"name": "sharding_indexed", "configuration": {"codecs": []}}), "codecs"),
    "codecs-are-text": (lambda held: held.update(codecs="bytes"), "codecs"),
    "transformer": (lambda held: held.update(storage_transformers=[{"name": "x"}]), "plain array"),
    "object": (lambda held: held.update(data_type="object"), "type"),
    "record": (lambda held: held.update(data_type={"name": "structured", "configuration": {"fields": []}}), "type"),
    "long-text": (
        lambda held: held.update(data_type={"name": "fixed_length_utf32", "configuration": {"length_bytes": 1 << 40}}),
        "type",
    ),
    "grid": (lambda held: held.update(chunk_grid={"name": "rectilinear"}), "regular"),
    "25-gb": (lambda held: held.update(shape=[6250, 1000, 1000]), "25.0 GB"),
    "node": (lambda held: held.update(node_type="link"), "neither array nor group"),
    "consolidated": (
        lambda held: [held.clear(), held.update(
            zarr_format=3, node_type="group", attributes={}, consolidated_metadata={"metadata": {"a": 5}}
        )][1],
        "consolidated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES_3)
def test_metadata_of_zarr_3_are_held_to_what_is_safe(tmp_path, name):
    change, words = CHANGES_3[name]
    path = cube(tmp_path / "a.zarr", 3)
    edit(path / "B04" / "zarr.json", change)
    refused(path, tmp_path, words)


def test_two_kilobytes_that_claim_25_gb_stage_nothing(tmp_path):
    path = cube(tmp_path / "a.zarr")
    edit(path / "B04" / ".zarray", lambda held: held.update(shape=[25, 16_000, 16_000], chunks=[1, 500, 500]))
    outcome = run_call(f"{HERE}:staged", path, limit_s=10).refused("GB in", "no packing")
    assert outcome.peak_mib < 1000


def test_what_the_disk_cannot_hold_is_not_begun(tmp_path, monkeypatch):

    path = cube(tmp_path / "a.zarr")
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 999, 1000))
    refused(path, tmp_path, "free", "fewer dates")


def test_a_chunk_that_swells_is_stopped(tmp_path):
    path = cube(tmp_path / "a.zarr")
    edit(path / "B04" / ".zarray", lambda held: held.update(compressor={"id": "gzip", "level": 1}))
    (path / "B04" / "0.0.0").write_bytes(gzip.compress(bytes(64 << 20), 1) * 48)
    outcome = run_call(f"{HERE}:staged", path, limit_s=30).refused("a.zarr")
    assert outcome.peak_mib < 2000


def test_damaged_chunks_are_named(tmp_path):
    for name, content in {"empty": b"", "noise": os.urandom(300), "zeros": bytes(300), "short": b"\2\1\x21\1"}.items():
        path = cube(tmp_path / f"{name}.zarr")
        (path / "B04" / "0.0.0").write_bytes(content)
        refused(path, tmp_path, f"{name}.zarr")


@pytest.mark.parametrize("kind", ["chunk", "folder", "metadata", "fifo", "loop"])
def test_links_out_of_a_store_are_refused(tmp_path, kind):
    secret_file, secret = canary(tmp_path)
    path = cube(tmp_path / "a.zarr")
    target = {"chunk": path / "B04" / "0.0.0", "metadata": path / "B04" / ".zattrs"}.get(kind, path / "B04")
    if kind in ("fifo", "loop"):
        target = path / "B04" / "0.0.0"
        target.unlink()
        os.mkfifo(target) if kind == "fifo" else target.symlink_to(target.name)
    else:
        shutil.move(target, tmp_path / "kept")
        target.symlink_to(secret_file if kind == "metadata" else tmp_path / "kept")
    assert secret not in refused(path, tmp_path, "a.zarr")


CUBES: dict[str, tuple[Callable[[xarray.Dataset], xarray.Dataset], str]] = {
    "nan-coordinate": (lambda data: data.assign_coords(x=[np.nan] * SIDE), "finite"),
    "infinite-step": (lambda data: data.assign_coords(y=[np.inf, *range(SIDE - 1)]), "finite"),
    "text-coordinate": (lambda data: data.assign_coords(x=[str(i) for i in range(SIDE)]), "finite"),
    "same-band-twice": (lambda data: data.assign(B4=data["B04"]), "B4 twice"),
    "scale-zero": (lambda data: packed(data, scale_factor=0.0), "scale_factor"),
    "scale-nan": (lambda data: packed(data, scale_factor=np.nan), "scale_factor"),
    "offset-infinite": (lambda data: packed(data, add_offset=np.inf), "add_offset"),
    "text-scale": (lambda data: packed(data, scale_factor="much"), "a.nc"),
    "extra-dimension": (lambda data: data.assign(B04=data["B04"].expand_dims(level=2)), "dims"),
    "year-1": (lambda data: data.assign_coords(time=("time", [0, 1], {"units": "days since 0001-01-01"})), "a.nc"),
    "scalar-time": (lambda data: data.isel(time=0), "coordinates"),
    "nadgrids": (lambda data: with_crs(data, "+proj=longlat +nadgrids=/etc/passwd"), "CRS"),
    "init": (lambda data: with_crs(data, "+init=/etc/passwd:x"), "CRS"),
    "pipeline": (lambda data: with_crs(data, "+proj=pipeline +step +proj=unitconvert"), "CRS"),
    "crs-is-a-path": (lambda data: with_crs(data, "/etc/passwd"), "CRS"),
    "crs-is-a-host": (lambda data: with_crs(data, "http://127.0.0.1:9/crs"), "CRS"),
    "crs-is-a-number": (lambda data: with_crs(data, 4326), "CRS"),
}


def packed(data: xarray.Dataset, **attributes: Any) -> xarray.Dataset:
    data["B04"].attrs.update(attributes)
    return data


def with_crs(data: xarray.Dataset, text: Any) -> xarray.Dataset:
    data["spatial_ref"].attrs["crs_wkt"] = text
    return data


@pytest.mark.parametrize("name", CUBES)
def test_faulty_cubes_are_refused_by_what_is_wrong(tmp_path, name):
    change, words = CUBES[name]
    with xarray.open_dataset(cube(tmp_path / "right.nc")) as data:
        changed = change(data.load())
    changed.to_netcdf(tmp_path / "a.nc")
    refused(tmp_path / "a.nc", tmp_path, words, "a.nc")


def external_link(file: h5py.File, other: Path) -> None:
    del file["B04"]
    file["B04"] = h5py.ExternalLink(str(other), "/B04")


def soft_link(file: h5py.File, other: Path) -> None:
    file["B99"] = h5py.SoftLink("/B04")


def linked_group(file: h5py.File, other: Path) -> None:
    file.create_group("deep/deeper")["B04"] = h5py.ExternalLink(str(other), "/")


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("B05", (2, SIDE, SIDE), "f4", external=[(str(other), 0, 2 * SIDE * SIDE * 4)])


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((2, SIDE, SIDE), "f4")
    layout[:] = h5py.VirtualSource(str(other), "B04", (2, SIDE, SIDE))
    file.create_virtual_dataset("B05", layout)


def filtered(file: h5py.File, other: Path) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((1, SIDE, SIDE))
    plan.set_filter(32_000, h5py.h5z.FLAG_OPTIONAL, (1,))  # LZF, which only h5py brings
    space = h5py.h5s.create_simple((2, SIDE, SIDE))
    h5py.h5d.create(file.id, b"B05", h5py.h5t.IEEE_F32LE, space, plan)


def large(file: h5py.File, other: Path) -> None:
    file.create_dataset("B05", (6250, 1000, 1000), "f4", chunks=(1, 100, 100), compression="gzip")


def large_chunk(file: h5py.File, other: Path) -> None:
    file.create_dataset("B05", (2, 30_000, 30_000), "u1", chunks=(1, 30_000, 30_000), compression="gzip")


def long_axis(file: h5py.File, other: Path) -> None:
    file.create_dataset("far", (10**9,), "f8", chunks=(1000,))


def compound(file: h5py.File, other: Path) -> None:
    file.create_dataset("B05", (2,), np.dtype([("a", "f4"), ("b", "i4")]))


def references(file: h5py.File, other: Path) -> None:
    file.create_dataset("B05", (2,), h5py.ref_dtype)


@pytest.mark.parametrize(
    "change",
    [external_link, soft_link, linked_group, external_storage, virtual, filtered, large, large_chunk, long_axis,
     compound, references],
)  # fmt: skip
def test_what_leads_hdf5_elsewhere_or_beyond_is_refused(tmp_path, change):
    other = cube(tmp_path / "other.nc")
    path = cube(tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        change(file, other)
    refused(path, tmp_path, "a.nc")
    with pytest.raises(InputError, match=r"a\.nc"):
        open_weather([path], (45.0, 15.0), 2021)


def test_storage_of_another_file_never_comes_out(tmp_path):
    secret_file, secret = canary(tmp_path)
    path = cube(tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        file.create_dataset("B05", (1, 1, 8), "u1", external=[(str(secret_file), 0, 8)])
    outcome = run_call(f"{HERE}:staged", path).refused("other files")
    assert secret not in outcome.text


def test_netcdf_that_is_none_cut_or_short_is_refused(tmp_path):
    whole = cube(tmp_path / "right.nc").read_bytes()
    classic = tmp_path / "classic.nc"
    with netCDF4.Dataset(classic, "w", format="NETCDF3_64BIT_OFFSET") as data:
        data.set_fill_off()
        for name in ("time", "y", "x"):
            data.createDimension(name, 2000)
        data.createVariable("B04", "f4", ("time", "y", "x"))
    os.truncate(classic, 2048)
    for name, content in {"cut": whole[:3000], "noise": os.urandom(5000), "empty": b"", "head": whole[:8]}.items():
        (tmp_path / f"{name}.nc").write_bytes(content)
    (tmp_path / "flipped.nc").write_bytes(whole[:200] + bytes(b ^ 255 for b in whole[200:1200]) + whole[1200:])
    for name in ("cut", "noise", "empty", "head", "flipped", "classic"):
        run_call(f"{HERE}:staged", tmp_path / f"{name}.nc", limit_s=10).refused(f"{name}.nc")
    os.mkfifo(tmp_path / "pipe.nc")
    (tmp_path / "folder.nc").mkdir()
    for name in ("pipe", "folder"):
        run_call(f"{HERE}:staged", tmp_path / f"{name}.nc", limit_s=10).refused(f"{name}.nc")
    (tmp_path / "file.zarr").write_bytes(b"PK\3\4")
    refused(tmp_path / "file.zarr", tmp_path, "no folder")


def eopatch(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "mask").mkdir()
    np.save(folder / "data" / "NDVI.npy", np.full((2, SIDE, SIDE, 1), 0.5, np.float32))
    np.save(folder / "mask" / "IS_VALID.npy", np.ones((2, SIDE, SIDE, 1), bool))
    (folder / "timestamps.json").write_text(json.dumps(["2021-05-01T10:00:00", "2021-05-11T10:00:00"]))
    ring = [[0, 0], [80, 0], [80, 80], [0, 80], [0, 0]]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    (folder / "bbox.geojson").write_text(json.dumps({"type": "Polygon", "crs": crs, "coordinates": [ring]}))
    return folder


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def told(descr: str, shape: str) -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n")


ARRAYS = {
    "terabytes": told("'<f4'", "(1000000, 1000, 1000, 1)") + bytes(100),
    "pickle": told("'|O'", "(2, 8, 8, 1)") + b"cos\nmkdir\n(S'/tmp/never'\ntR.",
    "negative": told("'<f4'", "(2, -8, 8, 1)"),
    "overflow": told("'<f4'", "(4294967296, 4294967296, 4, 1)"),
    "text": told("'<U4'", "(2, 8, 8, 1)") + bytes(2048),
    "record": told("[('a', '<f4'), ('b', '<f4')]", "(2, 8, 8, 1)") + bytes(1024),
    "complex": told("'<c8'", "(2, 8, 8, 1)") + bytes(1024),
    "call": header("__import__('os').system('true')".ljust(117) + "\n"),
    "long-header": b"\x93NUMPY\x02\x00" + (1 << 30).to_bytes(4, "little") + b"{" * 100,
    "flat": told("'<f4'", "(128,)") + bytes(512),
    "none": told("'<f4'", "(0, 8, 8, 1)"),
    "zip": b"PK\3\4" + bytes(100),
    "gzip": gzip.compress(bytes(1000)),
    "empty": b"",
    "other-shape": told("'<f4'", "(3, 8, 8, 1)") + bytes(768),
    "another-unit": told("'<f4'", "(2, 8, 8, 1)") + np.full(128, 5000, "<f4").tobytes(),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_an_eopatch_are_checked_before_they_are_read(tmp_path, name):
    folder = eopatch(tmp_path / "patch")
    (folder / "data" / "NDVI.npy").write_bytes(ARRAYS[name])
    refused(folder, tmp_path)
    assert not Path("/tmp/never").exists()


TEXTS = {
    "timestamps.json": ["{", "[]", "5", '["May"]', "[1, 2]", '["0001-01-01", "9999-12-31"]', "[" * 100_000, '{"a": 1}',
                        '["2021-05-01T10:00:00", "2021-05-11T10:00:00Z", "x"]'],
    "bbox.geojson": ["{", "[]", '{"coordinates": [[[0, 0]]], "crs": {"properties": {"name": "EPSG:32633"}}}',
                     '{"coordinates": [[[0, 0], [NaN, 1]]], "crs": {"properties": {"name": "EPSG:32633"}}}',
                     '{"coordinates": [[[0, 0], [9, 9]]], "crs": {"properties": {"name": "+init=/etc/passwd:a"}}}',
                     '{"coordinates": [[[0, 0], [9, 9]]], "crs": {"properties": {"name": "/etc/passwd"}}}',
                     '{"coordinates": [[[0, 0], [9, 9]]], "crs": {"type": "link", "properties": {"href": "http://x"}}}',
                     '{"coordinates": "text", "crs": 5}'],
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_texts_of_an_eopatch_are_checked(tmp_path, name, text):
    folder = eopatch(tmp_path / "patch")
    (folder / name).write_text(text)
    refused(folder, tmp_path)


def test_land_use_that_is_another_format_or_another_file_is_refused(tmp_path):
    secret_file, secret = canary(tmp_path, "canary.csv")
    folder = eopatch(tmp_path / "patch")
    grid = open_eopatch(folder).grid
    labels = folder / "vector_timeless" / "LULC.gpkg"
    labels.parent.mkdir()
    with listener() as port:
        for source in (str(secret_file), f"/vsicurl/{port.url}/a.csv"):
            labels.write_text(
                f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{source}</SrcDataSource></OGRVRTLayer>'
                "</OGRVRTDataSource>"
            )
            with pytest.raises(InputError, match="not what its name says") as caught:
                open_land_use(folder, grid)
            assert secret not in str(caught.value)
    labels.unlink()
    labels.symlink_to(secret_file)
    with pytest.raises(InputError, match="leads outside"):
        open_eopatch(folder)
