"""What users hold becomes scenes: SAFE, STAC, Zarr, NetCDF, EOPatches; offsets applied, and a missed one refused."""

import datetime
import json
import ssl
import subprocess
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray
from pyproj import CRS

from mainstem.core.errors import InputError
from mainstem.data.earth.bands import WAVELENGTHS_NM
from mainstem.data.earth.raster import read_window
from mainstem.data.earth.safe import BAND_IDS, FINEST
from mainstem.data.earth.scenes import open_scenes
from mainstem.data.earth.staging import stage

CORNER = (600_000.0, 5_000_000.0)
SIDE = 60  # pixels of 10 m

MTD = """<?xml version="1.0"?><n1:Level-2A_User_Product xmlns:n1="https://psd/"><General_Info>
<PRODUCT_START_TIME>2022-06-15T10:10:31.024Z</PRODUCT_START_TIME><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>{offsets}</General_Info>
</n1:Level-2A_User_Product>"""


def reflectance(seed: int) -> np.ndarray:
    """True reflectance (band, y, x) of the ten bands at 10 m, those of 20 m in squares of four equal pixels."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.uniform(0.02, 0.5, (len(WAVELENGTHS_NM), SIDE, SIDE)), 3)
    for index, name in enumerate(WAVELENGTHS_NM):
        if name not in FINEST:
            values[index] = values[index, ::2, ::2].repeat(2, 0).repeat(2, 1)
    return values


def write(path: Path, values: np.ndarray, metres: int, driver: str, **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": driver, "width": values.shape[1], "height": values.shape[0], "count": 1, "dtype": values.dtype,
        "crs": "EPSG:32633", "transform": rasterio.Affine(metres, 0, CORNER[0], 0, -metres, CORNER[1]), **more,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)
    return path


def write_safe(folder: Path, truth: np.ndarray, baseline: str = "04.00", cloudy: slice | None = None) -> Path:
    """A level-2A product of `truth`, stored as its baseline stores it."""
    add = 1000 if float(baseline) >= 4 else 0
    lossless = {"QUALITY": 100, "REVERSIBLE": "YES"}
    images = folder / "GRANULE" / "L2A_T33" / "IMG_DATA"
    for index, name in enumerate(WAVELENGTHS_NM):
        stored = np.rint(truth[index] * 10_000 + add).astype(np.uint16)
        label = name if len(name) > 2 else f"B0{name[1]}"
        metres = 10 if name in FINEST else 20
        part = stored if metres == 10 else stored[::2, ::2]
        write(images / f"R{metres}m" / f"T33_{label}_{metres}m.jp2", part, metres, "JP2OpenJPEG", **lossless)
    classes = np.full((SIDE // 2, SIDE // 2), 4, np.uint8)
    if cloudy is not None:
        classes[cloudy] = 9
    write(images / "R20m" / "T33_SCL_20m.jp2", classes, 20, "JP2OpenJPEG", **lossless)
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(len(BAND_IDS)))
    (folder / "MTD_MSIL2A.xml").write_text(MTD.format(baseline=baseline, offsets=offsets if add else ""))
    return folder


def physical(paths: list[Path]) -> np.ndarray:
    """Values (date, band, y, x) as a map's adapter sees them, NaN under cloud."""
    scenes = open_scenes(paths)
    read = [read_window(source, slice(0, source.grid.height), slice(0, source.grid.width)) for source in scenes.sources]
    values = np.stack(read).astype(np.float64)
    for index, source in enumerate(scenes.sources):
        values[index][values[index] == source.nodata] = np.nan
    return values * scenes.scales[:, :, None, None] + scenes.offsets[:, :, None, None]


@pytest.mark.parametrize("baseline", ["03.01", "04.00", "05.10"])
def test_a_product_gives_its_reflectance_whatever_its_baseline_and_nothing_under_clouds(tmp_path, baseline):
    truth = reflectance(0)
    folder = write_safe(tmp_path / "S2A_MSIL2A.SAFE", truth, baseline, cloudy=slice(0, 5))
    paths = stage([folder], tmp_path / "staged")
    found = physical(paths)[0]
    assert np.isnan(found[:, :10]).all()
    assert np.abs(found[:, 10:] - truth[:, 10:]).max() < 1e-4
    scenes = open_scenes(paths)
    assert [channel.name for channel in scenes.channels] == list(WAVELENGTHS_NM)
    assert scenes.times == (datetime.datetime(2022, 6, 15, 10, 10, 31),)
    assert stage([folder], tmp_path / "staged") == paths  # and is not staged twice
    changed = write_safe(tmp_path / "S2A_MSIL2A.SAFE", reflectance(9), baseline)
    again = stage([changed], tmp_path / "staged")
    assert again != paths  # unless it changed
    assert np.abs(physical(again)[0] - reflectance(9)).max() < 1e-4


def test_a_product_s_faults_are_named(tmp_path):
    truth = reflectance(0)
    folder = write_safe(tmp_path / "a.SAFE", truth)
    metadata = folder / "MTD_MSIL2A.xml"
    metadata.write_text(MTD.format(baseline="04.00", offsets=""))
    with pytest.raises(InputError, match=r"baseline 04\.00 but names no BOA_ADD_OFFSET"):
        stage([folder], tmp_path / "s")
    metadata.write_text('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    with pytest.raises(InputError, match="declares entities"):
        stage([folder], tmp_path / "s")
    metadata.unlink()
    with pytest.raises(InputError, match=r"no MTD_MSIL2A.xml; want a level-2A product"):
        stage([folder], tmp_path / "s")
    whole = write_safe(tmp_path / "b.SAFE", truth)
    next(whole.glob("GRANULE/*/IMG_DATA/R20m/*SCL*")).unlink()
    with pytest.raises(InputError, match="0 files of SCL at 20 m"):
        stage([whole], tmp_path / "s")
    cut = write_safe(tmp_path / "c.SAFE", truth)
    band = next(cut.glob("GRANULE/*/IMG_DATA/R10m/*B04*"))
    band.write_bytes(band.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"T33_B04_10m\.jp2|cannot stage"):
        stage([cut], tmp_path / "s")
    assert not list((tmp_path / "s").glob("*")), "nothing half-written stays"


def series(tmp_path: Path, shift: float, bands: slice = slice(None)) -> list[Path]:
    """Four dates of one place; the third lies `shift` above the truth in the bands given."""
    truth, paths = reflectance(1), []
    for index in range(4):
        values = truth * (1 + 0.03 * index)
        if index == 2:
            values[bands] += shift
        folder = write_safe(tmp_path / f"{index}.SAFE", values, "03.01")
        text = (folder / "MTD_MSIL2A.xml").read_text().replace("2022-06-15", f"2021-06-{10 + index}")
        (folder / "MTD_MSIL2A.xml").write_text(text)
        paths += stage([folder], tmp_path / "staged")
    return paths


def test_a_missed_offset_is_refused_and_a_change_of_some_bands_is_not(tmp_path):
    with pytest.raises(InputError, match=r"2021-06-12.* lies \+0\.1 from the other dates in every band"):
        open_scenes(series(tmp_path / "a", 0.1))
    open_scenes(series(tmp_path / "b", 0.1, slice(6, 8)))  # near infrared alone: plants
    open_scenes(series(tmp_path / "c", 0.03))  # haze


def write_item(folder: Path, truth: np.ndarray, href: str = "", **properties: object) -> Path:
    """A STAC item with COG-like assets beside it, as Earth Search names them."""
    common = {"blue": 0, "green": 1, "red": 2, "nir": 6, "swir16": 8}
    raster = [{"scale": 0.0001, "offset": -0.1}]
    assets = {}
    for key, index in common.items():
        metres = 20 if key == "swir16" else 10
        stored = np.rint(truth[index] * 10_000 + 1000).astype(np.uint16)
        write(folder / f"{key}.tif", stored[::2, ::2] if metres == 20 else stored, metres, "GTiff", nodata=0)
        assets[key] = {"href": f"{href or './'}{key}.tif", "raster:bands": raster}
    classes = np.full((SIDE // 2, SIDE // 2), 5, np.uint8)
    classes[:3] = 8
    write(folder / "scl.tif", classes, 20, "GTiff")
    assets["scl"] = {"href": f"{href or './'}scl.tif"}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "S2B_33", "geometry": None, "links": [], "assets": assets,
        "properties": {"datetime": "2022-06-15T10:10:31Z", **properties},
    }  # fmt: skip
    (folder / "item.json").write_text(json.dumps(item))
    return folder / "item.json"


def test_an_item_s_own_scale_and_offset_are_applied_unless_it_says_they_were(tmp_path):
    truth = reflectance(2)
    path = write_item(tmp_path / "a", truth)
    found = physical(stage([path], tmp_path / "staged"))[0]
    assert np.isnan(found[:, :6]).all()
    assert np.abs(found[:, 6:] - truth[[0, 1, 2, 6, 8], 6:]).max() < 1e-4
    applied = write_item(tmp_path / "b", truth, **{"earthsearch:boa_offset_applied": True})
    shifted = physical(stage([applied], tmp_path / "other"))[0]
    assert np.abs(shifted[:, 6:] - truth[[0, 1, 2, 6, 8], 6:] - 0.1).max() < 1e-4


def test_an_item_may_not_reach_outside_its_folder_or_to_a_host_that_was_not_allowed(tmp_path):
    path = write_item(tmp_path / "a", reflectance(2), href="../")
    with pytest.raises(InputError, match="outside the item's folder"):
        stage([path], tmp_path / "s")
    for address in ("https://example.org/", "http://127.0.0.1/", "file:///etc/", "/vsicurl/https://example.org/"):
        path = write_item(tmp_path / "b", reflectance(2), href=address)
        with pytest.raises(InputError, match=r"not allowed|outside the item's folder"):
            stage([path], tmp_path / "s")
    text = path.read_text().replace("raster:bands", "nothing")
    path.write_text(text.replace("/vsicurl/https://example.org/", "./"))
    with pytest.raises(InputError, match="names no scale"):
        stage([path], tmp_path / "s")
    path.write_text("{}")
    with pytest.raises(InputError, match="no STAC item"):
        stage([path], tmp_path / "s")


@pytest.fixture
def https(tmp_path, monkeypatch):
    """A real https server with a certificate that this process trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out",
               str(certificate), "-days", "2", "-subj", "/CN=localhost", "-addext",
               "subjectAltName=DNS:localhost"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    root = tmp_path / "served"
    root.mkdir()
    server = HTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(root)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield root, f"https://localhost:{server.server_port}/"
    server.shutdown()


def test_assets_come_over_https_from_allowed_hosts_alone(tmp_path, https):
    root, address = https
    truth = reflectance(3)
    path = write_item(root, truth, href=address)
    with pytest.raises(InputError, match="add --allow-host localhost"):
        stage([path], tmp_path / "s")
    found = physical(stage([path], tmp_path / "s", ["localhost"]))[0]
    assert np.abs(found[:, 6:] - truth[[0, 1, 2, 6, 8], 6:]).max() < 1e-4


def write_cube(path: Path, **attributes: object) -> Path:
    values = reflectance(4)[[2, 6]].astype(np.float32)
    times = np.array(["2021-05-01T10:00", "2021-05-11T10:00"], "datetime64[ns]")
    cube = np.stack([values, values * 1.1])
    cube[1, :, :7] = np.nan
    names = {"B04": cube[:, 0], "B08": cube[:, 1]}
    data = xarray.Dataset(
        {name: (("time", "y", "x"), array, {"units": "1"}) for name, array in names.items()},
        coords={
            "time": times, "y": CORNER[1] - 10 * (np.arange(SIDE) + 0.5), "x": CORNER[0] + 10 * (np.arange(SIDE) + 0.5),
            "spatial_ref": ((), 0, {"crs_wkt": CRS.from_epsg(32633).to_wkt()}),
        },
    )  # fmt: skip
    for name, value in attributes.items():
        data["B04"].attrs[name] = value
    if path.suffix == ".zarr":
        data.to_zarr(path)
    else:
        packed = {name: {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -9999} for name in names}
        data.to_netcdf(path, encoding=packed)
    return path


@pytest.mark.parametrize("name", ["cube.zarr", "cube.nc"])
def test_a_cube_gives_its_dates_bands_and_grid(tmp_path, name):
    paths = stage([write_cube(tmp_path / name)], tmp_path / "staged")
    scenes = open_scenes(paths)
    assert [channel.name for channel in scenes.channels] == ["B4", "B8"]
    assert scenes.grid.transform == pytest.approx((10, 0, CORNER[0], 0, -10, CORNER[1]))
    found, truth = physical(paths), reflectance(4)[[2, 6]]
    assert np.abs(found[0] - truth).max() < 1e-4
    assert np.isnan(found[1, :, :7]).all()
    assert np.abs(found[1, :, 7:] - 1.1 * truth[:, 7:]).max() < 1e-4


def test_a_cube_s_faults_are_named(tmp_path):
    with pytest.raises(InputError, match="comes in 'percent', want '1'"):
        stage([write_cube(tmp_path / "a.nc", units="percent")], tmp_path / "s")
    with xarray.open_dataset(write_cube(tmp_path / "b.nc")) as data:
        bare = data.load()
    for change, message in (
        (lambda cube: cube.drop_vars("spatial_ref"), "no CRS"),
        (lambda cube: cube.isel(y=slice(None, None, -1)), "not north-up"),
        (lambda cube: cube.isel(x=[0, 1, 5, 6]), "uneven coordinates"),
        (lambda cube: cube.rename(B04="a", B08="b"), "holds a, b, want"),
    ):
        path = tmp_path / f"{message[:4]}.nc"
        changed = change(bare)
        for name in changed.data_vars:
            changed[name].attrs["units"] = "1"
        changed.to_netcdf(path)
        with pytest.raises(InputError, match=message):
            stage([path], tmp_path / "s")
    with pytest.raises(InputError, match=r"is no scene; want \.tif"):
        stage([tmp_path / "a.txt"], tmp_path / "s")
