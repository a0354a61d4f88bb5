"""GeoTIFFs that lie, bomb or break, and images and arrays like them: refused in one line, or read rightly."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from mainstem.data.earth.raster import read_window
from mainstem.data.earth.scenes import in_units, open_scenes, pixel_samples
from tests.hostile.harness import canary, listener, run_call, run_cli

HERE = "tests.hostile.test_rasters"
SIDE = 32
BANDS = ("B2", "B4", "B8")
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
SCALE, OFFSET = 1e-4, -0.1


def read_scenes(paths: list[Path]) -> dict[str, object]:
    """What a map reads of scenes: every pixel in its units."""
    scenes = open_scenes(paths)
    whole = (slice(0, scenes.grid.height), slice(0, scenes.grid.width))
    stored = np.stack([read_window(source, *whole).astype(np.float32) for source in scenes.sources])
    for index, source in enumerate(scenes.sources):
        if source.nodata is not None:
            stored[index][stored[index] == np.float32(source.nodata)] = np.nan
    at = np.arange(min(SIDE, *stored.shape[2:]))
    pixel_samples(scenes, np.moveaxis(stored[:, :, at, at], -1, 0), at, at, "x")
    values = in_units(scenes, np.moveaxis(stored, (0, 1), (-2, -1)))
    return {
        "mean": round(float(np.nanmean(values)), 4),
        "missing": int(np.isnan(values).sum()),
        "date": str(scenes.dates[0]),
        "corner": [scenes.grid.transform[2], scenes.grid.transform[5]],
    }


def reflectance() -> np.ndarray:
    """Stored numbers (band, y, x) of soil and crop."""
    rng = np.random.default_rng(0)
    level = np.array([0.06, 0.1, 0.35])[:, None, None]
    return np.rint((level * rng.uniform(0.8, 1.2, (3, SIDE, SIDE)) - OFFSET) / SCALE).astype(np.uint16)


def scene(path: Path, values: np.ndarray | None = None, **changes: object) -> Path:
    """A scene as it should be, but for what is changed of profile, names, units, scales, offsets and tags."""
    values = reflectance() if values is None else values
    count = len(values)
    names, units = changes.pop("names", BANDS), changes.pop("units", ("1",) * count)
    scales, offsets = changes.pop("scales", (SCALE,) * count), changes.pop("offsets", (OFFSET,) * count)
    tags = changes.pop("tags", {"TIFFTAG_DATETIME": "2021:06:15 10:10:31"})
    profile = {
        "driver": "GTiff", "width": values.shape[2], "height": values.shape[1], "count": count, "dtype": values.dtype,
        "crs": "EPSG:32633", "transform": PLACE, "nodata": 0, **changes,
    }  # fmt: skip
    with rasterio.open(path, "w", **{name: value for name, value in profile.items() if value is not None}) as target:
        target.write(values)
        target.descriptions, target.units = names, units
        target.scales, target.offsets = scales, offsets
        target.update_tags(**tags)
    return path


def one(values: tuple[float, ...]) -> tuple[float, ...]:
    return values * len(BANDS)


def as_float(values: float, at: tuple[int, int, int]) -> np.ndarray:
    found = (reflectance() * SCALE + OFFSET).astype(np.float32)
    found[at] = values
    return found


PLAIN = {"scales": one((1.0,)), "offsets": one((0.0,)), "nodata": None}
HEADERS: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "origin NaN": ({"transform": Affine(10, 0, np.nan, 0, -10, 5e6)}, ("no number",)),
    "origin infinite": ({"transform": Affine(10, 0, np.inf, 0, -10, 5e6)}, ("no number",)),
    "pixel NaN": ({"transform": Affine(np.nan, 0, 5e5, 0, -10, 5e6)}, ("no number",)),
    "pixel infinite": ({"transform": Affine(np.inf, 0, 5e5, 0, -10, 5e6)}, ("no number",)),
    "pixel 1e300": ({"transform": Affine(1e300, 0, 5e5, 0, -10, 5e6)}, ("pixels of 1e+300",)),
    "pixel 1e-300": ({"transform": Affine(1e-300, 0, 5e5, 0, -1e-300, 5e6)}, ("pixels of 1e-300",)),
    "far from everything": ({"transform": Affine(10, 0, 1e12, 0, -10, 5e6)}, ("nowhere",)),
    "beyond the pole": (
        {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 15, 0, -1e-4, 120)}, ("nowhere",)
    ),
    "rotated": ({"transform": Affine.rotation(20) @ PLACE}, ("rotated",)),
    "sheared": ({"transform": Affine(10, 3, 5e5, 0, -10, 5e6)}, ("rotated",)),
    "south-up": ({"transform": Affine(10, 0, 5e5, 0, 10, 5e6)}, ("north-up",)),
    "no transform": ({"transform": None}, ("north-up",)),
    "no CRS": ({"crs": None}, ("no CRS",)),
    "local CRS": (
        {"crs": 'LOCAL_CS["field",UNIT["metre",1]]'}, ("neither geographic nor projected",)
    ),
    "scale NaN": ({"scales": one((np.nan,))}, ("scale nan",)),
    "scale infinite": ({"scales": one((np.inf,))}, ("scale inf",)),
    "scale 0": ({"scales": one((0.0,))}, ("scale 0",)),
    "scale below 0": ({"scales": one((-1e-4,))}, ("above 0",)),
    "scale 1e300": ({"scales": one((1e300,))}, ("B2", "scale")),
    "scale 0.01": ({"scales": one((0.01,)), "offsets": one((0.0,))}, ("B2", "scale")),
    "scale 0.001": ({"scales": one((0.001,)), "offsets": one((0.0,))}, ("want", "scale")),
    "scale 1e-9": ({"scales": one((1e-9,)), "offsets": one((0.0,))}, ("reaches", "scale")),
    "no scale": ({"scales": one((1.0,)), "offsets": one((0.0,))}, ("without a scale",)),
    "offset NaN": ({"offsets": one((np.nan,))}, ("offset nan",)),
    "offset 1e9": ({"offsets": one((1e9,))}, ("offset",)),
    "one band's offset is 3": ({"offsets": (OFFSET, OFFSET, 3.0)}, ("B8", "offset")),
    "furlongs": ({"units": one(("furlong",))}, ("'furlong'", "want '1'")),
    "percent": ({"units": one(("%",))}, ("'%'", "want '1'")),
    "no unit": ({"units": one(("",))}, ("no unit",)),
    "B4 twice": ({"names": ("B4", "B4", "B8")}, ("two bands called B4",)),
    "unnamed": ({"names": ("B4", None, "B8")}, ("band 2",)),
    "a name of 5,000 letters": ({"names": ("B4", "x" * 5000, "B8")}, ("band 2",)),
    "31 February": ({"tags": {"TIFFTAG_DATETIME": "2021:02:31 10:00:00"}}, ("2021:02:31", "no date")),
    "a stamp of letters": ({"tags": {"TIFFTAG_DATETIME": "yesterday"}}, ("yesterday",)),
    "year 0": ({"tags": {"TIFFTAG_DATETIME": "0000:01:01 00:00:00"}}, ("no date",)),
    "year 1970": ({"tags": {"TIFFTAG_DATETIME": "1970:01:01 00:00:00"}}, ("before the first satellite",)),
    "year 2999": ({"tags": {"TIFFTAG_DATETIME": "2999:01:01 00:00:00"}}, ("to come",)),
    "no date": ({"tags": {}}, ("no date",)),
    "simulated perhaps": (
        {"tags": {"TIFFTAG_DATETIME": "2021:06:15 10:10:31", "SIMULATED": "perhaps"}}, ("SIMULATED",)
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("changes", "words"), HEADERS.values(), ids=HEADERS)
def test_a_header_that_cannot_be_is_refused(tmp_path, changes, words):
    path = scene(tmp_path / "scene.tif", **changes)
    run_call(f"{HERE}:read_scenes", [path]).refused("scene.tif", *words)


def missing_strip(path: Path) -> Path:
    """A file of which half was never written."""
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint16", "crs": "EPSG:32633",
               "transform": PLACE, "SPARSE_OK": True, "blockysize": 16, "compress": "deflate"}  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.full((1, 16, 64), 3000, np.uint16), window=rasterio.windows.Window(0, 0, 64, 16))
        target.descriptions, target.units, target.scales, target.offsets = ("B4",), ("1",), (SCALE,), (OFFSET,)
        target.update_tags(TIFFTAG_DATETIME="2021:06:15 10:10:31")
    return path


def with_mask(path: Path) -> Path:
    scene(path, nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
        target.write_mask(np.tri(SIDE, dtype=bool))
    return path


def with_alpha(path: Path) -> Path:
    values = np.full((4, SIDE, SIDE), 100, np.uint8)
    return scene(path, values, names=(*BANDS, None), scales=(0.005,) * 4, offsets=(0.0,) * 4, nodata=None,
                 photometric="RGB", ALPHA="YES")  # fmt: skip


def damaged(changed: Callable[[bytearray], None], **how: object) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        content = bytearray(scene(path, **how).read_bytes())
        changed(content)
        path.write_bytes(content)
        return path

    return make


def entry(content: bytearray, tag: int) -> int:
    """Where the value (a single number) of a tag's entry stands in a classic little-endian TIFF."""
    start = struct.unpack_from("<I", content, 4)[0]
    (count,) = struct.unpack_from("<H", content, start)
    places = {struct.unpack_from("<H", content, start + 2 + 12 * row)[0]: start + 2 + 12 * row for row in range(count)}
    return places[tag] + 8


def beyond(content: bytearray) -> None:
    """Strips that begin beyond the file's end."""
    struct.pack_into("<I", content, entry(content, 273), 0x7FFFFFF0)


def flipped(content: bytearray) -> None:
    """Some bits of what is packed."""
    content[struct.unpack_from("<I", content, entry(content, 273))[0] + 900] ^= 0x55


def cut(content: bytearray) -> None:
    del content[-300:]


def loop(content: bytearray) -> None:
    """A directory that names itself as the next one."""
    start = struct.unpack_from("<I", content, 4)[0]
    (count,) = struct.unpack_from("<H", content, start)
    struct.pack_into("<I", content, start + 2 + 12 * count, start)


def bomb(path: Path) -> Path:
    """One strip that unpacks to 1.9 GiB, in 2 MB."""
    packer = zlib.compressobj(1)
    return raw_tiff(path, packer.compress(bytes(2 << 30 >> 6)) * 64, 31_990, 31_990, 16)


def raw_tiff(path: Path, packed: bytes, width: int, height: int, bits: int) -> Path:
    """A TIFF of one deflated strip."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 8), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 4, height), (279, 4, len(packed))]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory)
    return path


def sparse(path: Path) -> Path:
    profile = {"driver": "GTiff", "width": 200_000, "height": 200_000, "count": 1, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", **profile, SPARSE_OK=True, BIGTIFF="YES", crs="EPSG:32633", transform=PLACE):
        return path


def many_bands(path: Path) -> Path:
    with rasterio.open(path, "w", driver="GTiff", width=1, height=1, count=2000, dtype="uint8", crs="EPSG:32633",
                       transform=PLACE):  # fmt: skip
        return path


def text(content: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return make


def of_type(dtype: str, value: float = 1.0) -> Callable[[Path], Path]:
    return lambda path: scene(path, np.full((3, SIDE, SIDE), value, dtype), nodata=None)


VRT = b'<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "a strip never written": (missing_strip, ("never written",)),
    "a mask band": (with_mask, ("mask band",)),
    "an alpha band": (with_alpha, ("alpha band",)),
    "strips beyond the end": (damaged(beyond), ("damaged or cut short",)),
    "a flipped byte in deflate": (damaged(flipped, compress="deflate"), ("damaged",)),
    "cut short": (damaged(cut, compress="deflate"), ("scene.tif",)),
    "a deflate bomb of one strip": (bomb, ("blocks of",)),
    "a sparse bomb": (sparse, ("claims",)),
    "2,000 bands": (many_bands, ("2000 bands",)),
    "complex numbers": (of_type("complex64"), ("complex64",)),
    "complex integers": (
        lambda path: scene(path, np.ones((3, SIDE, SIDE), np.complex64), dtype="complex_int16", nodata=None),
        ("complex_int16",),
    ),
    "-9999 undeclared": (lambda path: scene(path, as_float(-9999, (1, 3, 4)), **PLAIN), ("-9999", "nodata")),
    "1e30 undeclared": (lambda path: scene(path, as_float(1e30, (0, 3, 4)), **PLAIN), ("1e+30", "nodata")),
    "percent as fractions": (lambda path: scene(path, 100 * as_float(0.1, (0, 0, 0)), **PLAIN), ("scale",)),
    "bytes of a picture": (of_type("uint8", 120), ("scene.tif",)),
    "a VRT": (text(VRT), ("no TIFF",)),
    "an address": (text(b"/vsicurl/http://127.0.0.1/a.tif"), ("no TIFF",)),
    "empty": (text(b""), ("no TIFF",)),
    "a header alone": (text(b"II*\0"), ("scene.tif",)),
    "a directory beyond the end": (text(b"II*\0\xff\xff\xff\x7f"), ("scene.tif",)),
    "zeros": (text(b"II*\0" + bytes(4096)), ("scene.tif",)),
}


@pytest.mark.parametrize(("make", "words"), FILES.values(), ids=FILES)
def test_a_file_that_is_damaged_or_a_bomb_is_refused(tmp_path, make, words):
    run_call(f"{HERE}:read_scenes", [make(tmp_path / "scene.tif")], limit_s=20).refused(*words)


def nodata_of(told: str) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        where = struct.unpack_from("<I", content, entry(content, 42113))[0]
        content[where : where + len(told)] = told.encode()

    return change


@pytest.mark.parametrize("told", ["-9999", "nan\0\0", "1e300", "0.500"])
def test_nodata_that_the_type_cannot_hold_is_refused_or_means_nothing(tmp_path, told):
    path = damaged(nodata_of(told), nodata=12345)(tmp_path / "scene.tif")
    outcome = run_call(f"{HERE}:read_scenes", [path]).sound()
    if outcome.code:
        outcome.refused("missing", "uint16")
    else:
        assert "'missing': 0" in outcome.out


RIGHT: dict[str, Callable[[Path], Path]] = {
    "as it should be": scene,
    "tiles, lzw and a predictor": lambda path: scene(
        path,
        np.tile(reflectance(), (1, 16, 16)),
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="lzw",
        predictor=2,
    ),
    "band by band": lambda path: scene(path, interleave="band", compress="deflate"),
    "BigTIFF": lambda path: scene(path, BIGTIFF="YES"),
    "big-endian": lambda path: scene(path, ENDIANNESS="BIG"),
    "int64": lambda path: scene(path, reflectance().astype(np.int64)),
    "float64": lambda path: scene(path, (reflectance() * SCALE + OFFSET).astype(np.float64), **PLAIN),
    "a directory that loops": damaged(loop),
    "geographic": lambda path: scene(path, crs="EPSG:4326", transform=Affine(1e-4, 0, 15, 0, -1e-4, 48)),
    "web map": lambda path: scene(path, crs="EPSG:3857", transform=Affine(10, 0, 1_669_000, 0, -10, 6_100_000)),
    "north of the equator": lambda path: scene(path, crs="EPSG:32631"),
    "feet": lambda path: scene(path, crs="EPSG:2263", transform=Affine(30, 0, 1e6, 0, -30, 2e5)),
}


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT)
def test_what_is_odd_but_right_is_read_rightly(tmp_path, make):
    outcome = run_call(f"{HERE}:read_scenes", [make(tmp_path / "scene.tif")]).taken()
    wanted = reflectance() * SCALE + OFFSET
    assert f"'mean': {wanted.mean():.4f}"[:13] in outcome.out
    assert "'missing': 0" in outcome.out


def test_infinity_and_nan_are_missing(tmp_path):
    values = as_float(np.inf, (0, 1, 1))
    values[1, 2, 2], values[2, 3, 3] = -np.inf, np.nan
    assert "'missing': 3" in run_call(f"{HERE}:read_scenes", [scene(tmp_path / "a.tif", values, **PLAIN)]).taken().out


def test_sidecars_change_nothing(tmp_path):
    path = scene(tmp_path / "scene.tif")
    wanted = run_call(f"{HERE}:read_scenes", [path]).taken().out
    band = '<PAMRasterBand band="1"><Scale>9</Scale><Offset>9</Offset><NoDataValue>1600</NoDataValue></PAMRasterBand>'
    (tmp_path / "scene.tif.aux.xml").write_text(
        f"<PAMDataset><GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform><SRS>EPSG:4326</SRS>{band}</PAMDataset>"
    )
    (tmp_path / "scene.tfw").write_text("1\n0\n0\n-1\n7\n7\n")
    scene(tmp_path / "scene.tif.ovr", np.full((3, 8, 8), 60_000, np.uint16))
    scene(tmp_path / "scene.tif.msk", np.zeros((1, SIDE, SIDE), np.uint8), names=(None,))
    assert run_call(f"{HERE}:read_scenes", [path]).taken().out == wanted


def test_a_name_that_means_a_place_in_another_file_is_a_name(tmp_path):
    other = scene(tmp_path / "other.tif", np.full((3, SIDE, SIDE), 2222, np.uint16))
    folder = tmp_path / "GTIFF_DIR:1:"
    folder.mkdir()
    run_call(f"{HERE}:read_scenes", [Path(f"GTIFF_DIR:1:{other}")], cwd=tmp_path).refused("no file")
    run_call(f"{HERE}:read_scenes", [Path("x" * 5000)]).refused("too long")


def test_a_crs_that_names_a_file_opens_none(tmp_path):
    secret, words = canary(tmp_path)
    wkt = CRS.from_epsg(32633).to_wkt("WKT1_GDAL")
    extension = f'EXTENSION["PROJ4","+proj=utm +zone=33 +nadgrids={secret} +type=crs"]'
    evil = f"{wkt[: wkt.rindex(',AUTHORITY')]},{extension}]"
    path = scene(tmp_path / "scene.tif", crs=None)
    with rasterio.open(path, "r+") as target:
        target.crs = rasterio.crs.CRS.from_wkt(evil)
    outcome = run_call(f"{HERE}:read_scenes", [path]).sound()
    assert words not in outcome.text


def with_remark(text: str) -> str:
    return f'{CRS.from_epsg(4326).to_wkt()[:-1]},REMARK["PROJ CRS string: {text}"]]'


def rotated(method: str = "ob_tran o_proj=longlat") -> str:
    """A rotated pole as climate models have it, or another method in its place."""
    pole = CRS.from_proj4("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +type=crs").to_wkt()
    assert 'METHOD["PROJ ob_tran o_proj=longlat"' in pole
    return pole.replace("ob_tran o_proj=longlat", method)


def shifted(method: str) -> str:
    """WGS 84 bound to itself by a transformation."""
    wgs84 = CRS.from_epsg(4326).to_wkt()
    return f'BOUNDCRS[SOURCECRS[{wgs84}],TARGETCRS[{wgs84}],ABRIDGEDTRANSFORMATION["x",{method}]]'


OF_FILES = {
    "a bound pipeline": lambda path: shifted(
        f'METHOD["PROJ-based operation method: +proj=pipeline +step +proj=hgridshift +grids={path}"]'
    ),
    "a bound grid": lambda path: shifted(
        f'METHOD["NTv2",ID["EPSG",9615]],PARAMETERFILE["Latitude and longitude difference file","{path}"]'
    ),
    "a remark's grid": lambda path: with_remark(f"+proj=longlat +ellps=airy +nadgrids={path} +type=crs"),
    "a remark's second grid": lambda path: with_remark(f"+proj=longlat +ellps=airy +nadgrids=@null,{path} +type=crs"),
    "a remark's model": lambda path: with_remark(f"+proj=defmodel +model={path} +type=crs"),
    "a method's triangles": lambda path: rotated(f"tinshift file={path}"),
    "a method's model": lambda path: rotated(f"defmodel model={path}"),
    "a method within a method": lambda path: rotated(f"ob_tran o_proj=tinshift file={path}"),
}


@pytest.mark.parametrize("make", OF_FILES.values(), ids=OF_FILES)
def test_a_definition_that_leads_to_a_file_is_refused(tmp_path, make):
    secret, words = canary(tmp_path)
    assert (
        words not in run_call("mainstem.data.earth.crs:to_wgs84", make(secret), "a.tif").refused("a.tif", "EPSG:n").text
    )


@pytest.mark.parametrize("wkt", [rotated(), CRS.from_epsg(3857).to_wkt("WKT1_GDAL"), CRS.from_epsg(32631).to_wkt()])
def test_a_definition_without_files_is_taken(wkt):
    run_call("mainstem.data.earth.crs:to_wgs84", wkt, "a.tif").taken()


def test_scenes_of_two_kinds_are_refused(tmp_path):
    first = scene(tmp_path / "a.tif")
    later = {"TIFFTAG_DATETIME": "2021:06:25 10:10:31"}
    second = scene(tmp_path / "b.tif", names=("B2", "B8", "B4"), tags=later)
    run_call(f"{HERE}:read_scenes", [first, second]).refused("b.tif", "other bands")
    run_call(f"{HERE}:read_scenes", [first, first]).refused("two scenes")
    half = scene(tmp_path / "c.tif", tags={**later, "SIMULATED": "YES"})
    run_call(f"{HERE}:read_scenes", [first, half]).refused("a.tif", "simulated")
    named = scene(tmp_path / "S2_2021-02-31.tif", tags={})
    run_call(f"{HERE}:read_scenes", [named]).refused("2021-02-31", "no date")


def test_no_address_is_followed(tmp_path):
    with listener() as port:
        for name in (f"/vsicurl/{port.url}/a.tif", f"{port.url}/a.tif"):
            run_call(f"{HERE}:read_scenes", [Path(name)]).refused("no file")
            run_cli("map", "crop-yield", name, "--run", str(tmp_path), "--out", str(tmp_path / "m")).refused()
