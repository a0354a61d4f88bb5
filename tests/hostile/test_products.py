"""SAFE products and STAC items that lie, lead elsewhere or never end: refused in one line, with nothing left behind."""

import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio

from mainstem.core import transport
from mainstem.data.earth.bands import WAVELENGTHS_NM
from mainstem.data.earth.staging import stage
from tests.hostile.harness import canary, listener, run_call

HERE = "tests.hostile.test_products"
SIDE, CORNER = 40, (600_000.0, 5_000_000.0)
MTD = """<?xml version="1.0"?><n1:Level-2A_User_Product xmlns:n1="https://psd/"><General_Info>
<PRODUCT_START_TIME>2022-06-15T10:10:31.024Z</PRODUCT_START_TIME><PROCESSING_BASELINE>04.00</PROCESSING_BASELINE>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>{offsets}</General_Info>
</n1:Level-2A_User_Product>"""
OFFSETS = "".join(f'<BOA_ADD_OFFSET band_id="{index}">-1000</BOA_ADD_OFFSET>' for index in range(13))
NAME = "T33UVP_20220615T101031"


def staged(path: Path, folder: Path, hosts: list[str], patience_s: float = 15.0) -> list[str]:
    """Stage one product and say what came of it."""
    transport.PATIENCE_S = patience_s
    return [str(found) for found in stage([path], folder, hosts)]


def band(path: Path, metres: int, driver: str, values: np.ndarray | None = None, **changes: object) -> Path:
    side = SIDE * 10 // metres
    if values is None:
        values = np.random.default_rng(0).integers(1500, 4000, (side, side), dtype=np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": driver, "width": values.shape[1], "height": values.shape[0], "count": 1, "dtype": values.dtype,
        "crs": "EPSG:32633", "transform": rasterio.Affine(metres, 0, CORNER[0], 0, -metres, CORNER[1]), **changes,
    }  # fmt: skip
    if driver == "JP2OpenJPEG":
        profile |= {"QUALITY": 100, "REVERSIBLE": "YES"}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)
    path.with_name(f"{path.name}.aux.xml").unlink(missing_ok=True)
    return path


@pytest.fixture(scope="module")
def product(tmp_path_factory) -> Path:
    """A level-2A product as it should be."""
    folder = tmp_path_factory.mktemp("product") / "S2A_MSIL2A_20220615T101031.SAFE"
    images = folder / "GRANULE" / "L2A_T33UVP" / "IMG_DATA"
    for name in WAVELENGTHS_NM:
        metres = 10 if name in ("B2", "B3", "B4", "B8") else 20
        label = name if len(name) > 2 else f"B0{name[1]}"
        band(images / f"R{metres}m" / f"{NAME}_{label}_{metres}m.jp2", metres, "JP2OpenJPEG")
    classes = np.full((SIDE // 2, SIDE // 2), 4, np.uint8)
    band(images / "R20m" / f"{NAME}_SCL_20m.jp2", 20, "JP2OpenJPEG", classes)
    (folder / "MTD_MSIL2A.xml").write_text(MTD.format(offsets=OFFSETS))
    return folder


@pytest.fixture
def safe(product, tmp_path) -> Path:
    """A copy of the product to spoil."""
    subprocess.run(["cp", "-r", str(product), str(tmp_path)], check=True)
    return tmp_path / product.name


def refused(path: Path, folder: Path, *words: str, hosts: tuple[str, ...] = ()) -> None:
    run_call(f"{HERE}:staged", path, folder / "staged", list(hosts), limit_s=20).refused(*words)
    assert [found for found in (folder / "staged").rglob("*") if found.is_file()] == [], "something is left behind"


def test_the_product_is_taken_as_it_is(safe, tmp_path):
    run_call(f"{HERE}:staged", safe, tmp_path / "staged", []).taken()


def laughs() -> bytes:
    names = [f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">' for i in range(10)]
    return f'<?xml version="1.0"?><!DOCTYPE a [{"".join(names)}]><a>&l9;</a>'.encode()


METADATA: dict[str, tuple[Callable[[str], str | bytes], tuple[str, ...]]] = {
    "quantification of letters": (lambda text: text.replace(">10000<", ">ten thousand<"), ("ten thousand",)),
    "quantification NaN": (lambda text: text.replace(">10000<", ">NaN<"), ("'NaN'", "number")),
    "quantification 0": (lambda text: text.replace(">10000<", ">0<"), ("above 0",)),
    "quantification infinite": (lambda text: text.replace(">10000<", ">inf<"), ("'inf'",)),
    "quantification 1e300": (lambda text: text.replace(">10000<", ">1e300<"), ("at most",)),
    "quantification twice": (
        lambda text: text.replace("<BOA_Q", "<BOA_QUANTIFICATION_VALUE>1</BOA_QUANTIFICATION_VALUE><BOA_Q", 1),
        ("BOA_QUANTIFICATION_VALUE", "want one"),
    ),
    "offset of letters": (lambda text: text.replace(">-1000<", ">minus<", 1), ("'minus'",)),
    "offset NaN": (lambda text: text.replace(">-1000<", ">nan<"), ("'nan'",)),
    "offset of one band 0": (
        lambda text: text.replace('"3">-1000', '"3">0'), ("several offsets",)
    ),
    "offset of one band lacks": (
        lambda text: text.replace('<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET>', ""), ("B4",)
    ),
    "offsets of no band": (lambda text: re.sub(r'band_id="\d+"', "", text), ("none of",)),
    "offsets lack": (lambda text: text.replace(OFFSETS, ""), ("names no BOA_ADD_OFFSET",)),
    "offsets before their time": (lambda text: text.replace("04.00", "02.14"), ("knows no offset",)),
    "baseline lacks": (
        lambda text: text.replace("<PROCESSING_BASELINE>04.00</PROCESSING_BASELINE>", ""), ("lacks",)
    ),
    "baseline NaN": (lambda text: text.replace("04.00", "NaN"), ("PROCESSING_BASELINE", "'NaN'")),
    "date lacks": (lambda text: text.replace("2022-06-15T10:10:31.024Z", ""), ("lacks PRODUCT_START_TIME",)),
    "31 February": (lambda text: text.replace("2022-06-15", "2022-02-31"), ("2022-02-31",)),
    "to come": (lambda text: text.replace("2022-06-15", "2922-06-15"), ("to come",)),
    "of another date than its files": (lambda text: text.replace("2022-06-15", "2021-06-15"), ("2021-06-15",)),
    "an entity": (lambda text: '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + text, ("entities",)),
    "a billion laughs": (lambda text: laughs(), ("entities",)),
    "laughs in UTF-16": (lambda text: laughs().decode().encode("utf-16"), ("UTF-8",)),
    "depth of 100,000": (lambda text: "<a>" * 100_000 + "</a>" * 100_000, ("lacks",)),
    "cut short": (lambda text: text[:200], ("damaged",)),
    "empty": (lambda text: "", ("damaged",)),
    "an encoding that is none": (lambda text: text.replace('"1.0"', '"1.0" encoding="klingon"'), ("damaged",)),
    "10 MB": (lambda text: text + " " * (10 << 20), ("too large",)),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), METADATA.values(), ids=METADATA)
def test_metadata_that_cannot_be_is_refused(safe, tmp_path, spoil, words):
    path = safe / "MTD_MSIL2A.xml"
    content = spoil(path.read_text())
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(safe, tmp_path, *words)


def red(safe: Path) -> Path:
    return next(safe.rglob("*_B04_10m.jp2"))


def elsewhere(**changes: object) -> Callable[[Path], None]:
    return lambda safe: band(red(safe), 10, "JP2OpenJPEG", **changes) and None


def linked(safe: Path) -> None:
    path = red(safe)
    path.rename(safe.parent / "elsewhere.jp2")
    path.symlink_to(safe.parent / "elsewhere.jp2")


def renamed(name: str) -> Callable[[Path], None]:
    return lambda safe: red(safe).rename(red(safe).with_name(name)) and None


def replaced(content: bytes) -> Callable[[Path], None]:
    return lambda safe: red(safe).write_bytes(content) and None


def link_of_metadata(safe: Path) -> None:
    path = safe / "MTD_MSIL2A.xml"
    path.rename(safe.parent / "elsewhere.xml")
    path.symlink_to(safe.parent / "elsewhere.xml")


def circle(safe: Path) -> None:
    path = red(safe)
    path.unlink()
    path.symlink_to(path.name)


MOVED = rasterio.Affine(10, 0, CORNER[0] + 10, 0, -10, CORNER[1])
VALUES = np.full((SIDE, SIDE), 2000, np.uint16)
BANDS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "a link that leads out": (linked, ("leads out",)),
    "a link in a circle": (circle, ("B04",)),
    "metadata by a link": (link_of_metadata, ("leads out",)),
    "of another zone": (elsewhere(crs="EPSG:32634"), ("10 m grid",)),
    "of another corner": (elsewhere(transform=MOVED), ("10 m grid",)),
    "of another size": (elsewhere(values=VALUES[1:]), ("10 m grid",)),
    "without a CRS": (elsewhere(crs=None), ("10 m grid",)),
    "of another type": (elsewhere(values=VALUES.astype(np.uint8)), ("uint8",)),
    "of another tile": (renamed("T32UVP_20220615T101031_B04_10m.jp2"), ("another tile or date",)),
    "of another date": (renamed("T33UVP_20220620T101031_B04_10m.jp2"), ("another tile or date",)),
    "twice": (
        lambda safe: red(safe).with_name(f"{NAME}x_B04_10m.jp2").write_bytes(red(safe).read_bytes()) and None,
        ("2 files of B04",),
    ),
    "a TIFF": (replaced(b"II*\0" + bytes(100)), ("B04",)),
    "an address": (replaced(b"http://127.0.0.1/"), ("B04",)),
    "empty": (replaced(b""), ("B04",)),
    "cut short": (
        lambda safe: red(safe).write_bytes(red(safe).read_bytes()[:900]) and None, ("B04", "damaged")
    ),
    "no classification": (lambda safe: next(safe.rglob("*_SCL_20m.jp2")).unlink(), ("SCL",)),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), BANDS.values(), ids=BANDS)
def test_a_band_of_elsewhere_is_refused(safe, tmp_path, spoil, words):
    spoil(safe)
    refused(safe, tmp_path, *words)


RASTER = [{"scale": 0.0001, "offset": -0.1}]


@pytest.fixture
def item(tmp_path) -> dict[str, object]:
    """An item as it should be, its assets beside it."""
    folder = tmp_path / "item"
    assets = {}
    for key in ("red", "nir"):
        band(folder / f"{key}.tif", 10, "GTiff", nodata=0)
        assets[key] = {"href": f"./{key}.tif", "raster:bands": [dict(RASTER[0])]}
    band(folder / "scl.tif", 20, "GTiff", np.full((SIDE // 2, SIDE // 2), 4, np.uint8))
    assets["scl"] = {"href": "./scl.tif"}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "S2B_33", "geometry": None, "links": [], "assets": assets,
        "bbox": [15.0, 44.0, 17.0, 46.0],
        "properties": {"datetime": "2022-06-15T10:10:31Z", "s2:processing_baseline": "04.00"},
    }  # fmt: skip


def written(item: object, tmp_path: Path) -> Path:
    path = tmp_path / "item" / "item.json"
    path.write_text(item if isinstance(item, str) else json.dumps(item))
    return path


def given(where: str, value: object) -> Callable[[dict], object]:
    """Set what stands at assets/red/href or the like."""

    def change(item: dict) -> object:
        *path, last = where.split("/")
        found = item
        for part in path:
            found = found[int(part) if part.isdigit() else part]
        found[last] = value
        return item

    return change


SCALE, HREF = "assets/red/raster:bands/0/scale", "assets/red/href"
BAND = "assets/red/raster:bands"
ITEMS: dict[str, tuple[Callable[[dict], object], tuple[str, ...]]] = {
    "scale of letters": (given(SCALE, "small"), ("scale", "'small'")),
    "scale as text": (given(SCALE, "0.0001"), ("scale", "want a number")),
    "scale 0": (given(SCALE, 0), ("above 0",)),
    "scale true": (given(SCALE, True), ("scale",)),
    "scale a list": (given(SCALE, [1]), ("scale",)),
    "scale NaN": (lambda item: json.dumps(item).replace("0.0001", "NaN"), ("NaN",)),
    "offset of letters": (given(f"{BAND}/0/offset", "x"), ("offset",)),
    "offset lacks": (given(BAND, [{"scale": 0.0001}]), ("names neither an offset",)),
    "two bands": (given(BAND, RASTER * 2), ("one band",)),
    "bands a text": (given(BAND, "red"), ("one band",)),
    "bands of numbers": (given(BAND, [1]), ("one band",)),
    "applied perhaps": (given("properties/earthsearch:boa_offset_applied", "true"), ("true or false",)),
    "31 February": (given("properties/datetime", "2022-02-31T00:00:00Z"), ("no STAC item",)),
    "no date": (given("properties/datetime", None), ("datetime",)),
    "year 2922": (given("properties/datetime", "2922-01-01T00:00:00Z"), ("to come",)),
    "id with NUL": (given("id", "a\0b"), ("printable",)),
    "id of 5,000 letters": (given("id", "x" * 5000), ("printable",)),
    "id a number": (given("id", 7), ("id",)),
    "id empty": (given("id", ""), ("id",)),
    "properties a list": (given("properties", []), ("no STAC item",)),
    "assets a list": (given("assets", []), ("no STAC item",)),
    "an asset a text": (given("assets/red", "red.tif"), ("no STAC item",)),
    "assets lack": (given("assets", {}), ("lacks",)),
    "no classification": (lambda item: {**item, "assets": {"red": item["assets"]["red"]}}, ("classification",)),
    "red twice": (
        lambda item: {**item, "assets": {**item["assets"], "B04": {"href": "./nir.tif", "raster:bands": RASTER}}},
        ("two assets of B4",),
    ),
    "a name twice": (
        lambda item: json.dumps(item).replace('"id": "S2B_33"', '"id": "S2B_33", "id": "other"'), ("stands twice",)
    ),
    "depth of 100,000": (lambda item: "[" * 100_000, ("no STAC item",)),
    "a list": (lambda item: "[]", ("no STAC item",)),
    "not JSON": (lambda item: "{", ("no STAC item",)),
    "a number of 10,000 digits": (
        lambda item: json.dumps(item).replace("-0.1", "1" * 10_000), ("no STAC item",)
    ),
    "href file:///": (given(HREF, "file:///etc/passwd"), ("not allowed",)),
    "href /etc/passwd": (given(HREF, "/etc/passwd"), ("outside",)),
    "href ../": (given(HREF, "../other.tif"), ("outside",)),
    "href //host": (given(HREF, "//example.org/a.tif"), ("outside",)),
    "href data:": (given(HREF, "data:image/tiff;base64,AAAA"), ("not allowed",)),
    "href http": (given(HREF, "http://127.0.0.1/a.tif"), ("not allowed",)),
    "href ftp": (given(HREF, "ftp://127.0.0.1/a.tif"), ("not allowed",)),
    "href with NUL": (given(HREF, "./red\0.tif"), ("red",)),
    "href of 5,000 letters": (given(HREF, "x" * 5000), ("no file name",)),
    "href a number": (given(HREF, 5), ("no STAC item",)),
    "href of no port": (given(HREF, "https://host:port/a"), ("no address",)),
    "href of no host": (given(HREF, "https:///a.tif"), ("not allowed",)),
    "href missing": (given(HREF, "./none.tif"), ("not there",)),
    "of another place": (given("bbox", [-60.0, -30.0, -58.0, -28.0]), ("not in the box",)),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("spoil", "words"), ITEMS.values(), ids=ITEMS)
def test_an_item_that_cannot_be_is_refused(item, tmp_path, spoil, words):
    refused(written(spoil(item), tmp_path), tmp_path, *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crs": "EPSG:32634"}, ("red.tif",)),
        ({"transform": MOVED}, ("grid",)),
        ({"values": VALUES[1:]}, ("grid",)),
        ({"values": VALUES.astype(np.float32)}, ("float32",)),
        ({"crs": None}, ("no CRS",)),
    ],
)
def test_an_asset_of_elsewhere_is_refused(item, tmp_path, changes, words):
    band(tmp_path / "item" / "red.tif", 10, "GTiff", **{"nodata": 0, **changes})
    refused(written(item, tmp_path), tmp_path, *words)


def test_a_linked_asset_outside_is_refused_and_a_baseline_without_offset(item, tmp_path):
    item["assets"]["red"]["raster:bands"] = item["assets"]["nir"]["raster:bands"] = [{"scale": 0.0001}]
    refused(written(item, tmp_path), tmp_path, "baseline 04.00")
    item["properties"]["earthsearch:boa_offset_applied"] = True
    assert run_call(f"{HERE}:staged", written(item, tmp_path), tmp_path / "taken", []).taken()
    path = tmp_path / "item" / "red.tif"
    path.rename(tmp_path / "red.tif")
    path.symlink_to(tmp_path / "red.tif")
    refused(written(item, tmp_path), tmp_path, "outside")


@pytest.mark.parametrize("name", ["../../up", "a/b", "..", "/abs", "C:\\x", "..\u2044x"])
def test_an_id_names_no_folder(item, tmp_path, name):
    item["id"] = name
    outcome = run_call(f"{HERE}:staged", written(item, tmp_path), tmp_path / "staged", []).taken()
    assert len(list((tmp_path / "staged").glob("*.tif"))) == 1, outcome.out


def test_an_asset_s_change_is_noticed_and_its_fill_value_is_missing(item, tmp_path):
    path = written(item, tmp_path)
    before = run_call(f"{HERE}:staged", path, tmp_path / "staged", []).taken().out
    values = VALUES.copy()
    values[:5] = 65_535
    for key in ("red", "nir"):
        band(tmp_path / "item" / f"{key}.tif", 10, "GTiff", values, nodata=65_535)
    after = run_call(f"{HERE}:staged", path, tmp_path / "staged", []).taken().out
    assert after != before
    with rasterio.open(re.search(r"'(.*)'", after)[1]) as found:
        assert (found.read()[:, :5] == 0).all()
        assert (found.read()[:, 5:] == 2000).all()


class Odd(BaseHTTPRequestHandler):
    """A server that keeps to no promise; what it does is the first part of the path."""

    root: Path
    elsewhere = ""
    is_hasty = False

    def do_GET(self) -> None:
        how, name = self.path.split("?")[0].strip("/").split("/")
        content = (self.root / name).read_bytes()
        if "?" in self.path:  # another file for another query
            content = (self.root / f"{self.path.split('?')[1]}.tif").read_bytes()
        if how == "redirect":
            self._begin(302, {"Location": self.elsewhere})
            return
        if how == "unsized":
            self._begin(200, {})
            self.wfile.write(content[:-100])
            return
        size = {"longer": 10**6, "huge": 1 << 50, "letters": "many", "raised": "\u00b2"}.get(how, len(content))
        self._begin(200, {"Content-Length": str(size)})
        if how == "slow" and not self.is_hasty:
            for index in range(60):
                self.wfile.write(content[index : index + 1])
                time.sleep(0.5)
        self.wfile.write(content[:-100] if how == "half" else content)

    def _begin(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
               str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost", "-addext",
               "subjectAltName=DNS:localhost"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def server(certificate, tmp_path) -> Iterator[tuple[str, type[Odd]]]:
    """An https server of odd behaviour: its address, and what may be changed of it."""
    handler = type("Handler", (Odd,), {"root": tmp_path / "item"})
    odd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    odd.daemon_threads, odd.handle_error = True, lambda *_: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    odd.socket = context.wrap_socket(odd.socket, server_side=True)
    threading.Thread(target=odd.serve_forever, daemon=True).start()
    yield f"https://localhost:{odd.server_port}", handler
    odd.shutdown()


def from_network(item: dict, address: str, how: str) -> dict:
    for key, asset in item["assets"].items():
        asset["href"] = f"{address}/{how}/{key}.tif"
    return item


SERVED = {
    "half": "stopped after", "longer": "stopped after", "huge": "larger than", "letters": "whole number",
    "raised": "whole number",
    "unsized": "does not say its size",
}  # fmt: skip


def fetched(path: Path, folder: Path, certificate: tuple[Path, Path], patience_s: float = 15.0):
    trusted = {"SSL_CERT_FILE": str(certificate[0])}
    return run_call(f"{HERE}:staged", path, folder, ["localhost"], patience_s, env=trusted, limit_s=20)


@pytest.mark.long
@pytest.mark.parametrize(("how", "words"), SERVED.items(), ids=SERVED)
def test_half_a_download_is_refused_and_not_kept(item, tmp_path, server, certificate, how, words):
    path = written(from_network(item, server[0], how), tmp_path)
    fetched(path, tmp_path / "staged", certificate).refused(words, "localhost")
    assert not [found for found in (tmp_path / "staged").rglob("*") if found.is_file()]


@pytest.mark.parametrize("place", ["r\u00e9d.tif", "red.tif?\u00b2", "\U0001f33d.tif"])
def test_an_address_beyond_ascii_is_refused(item, tmp_path, server, certificate, place):
    item["assets"]["red"]["href"] = f"{server[0]}/whole/{place}"
    fetched(written(item, tmp_path), tmp_path / "staged", certificate).refused("percent-encode")


@pytest.mark.long
def test_what_a_killed_download_left_is_swept_by_the_next(item, tmp_path, server, certificate):
    slow = written(from_network(item, server[0], "slow"), tmp_path)
    trusted = {"SSL_CERT_FILE": str(certificate[0])}
    killed = run_call(f"{HERE}:staged", slow, tmp_path / "staged", ["localhost"], 100.0, env=trusted, limit_s=3)
    assert killed.is_hung
    assert list((tmp_path / "staged").rglob("*.part"))
    server[1].is_hasty = True  # the same addresses, now without delay
    fetched(slow, tmp_path / "staged", certificate).taken()
    assert not list((tmp_path / "staged").rglob("*.part"))


def test_a_server_of_two_bytes_a_second_is_given_up(item, tmp_path, server, certificate):
    path = written(from_network(item, server[0], "slow"), tmp_path)
    outcome = fetched(path, tmp_path / "staged", certificate, 0.5).refused("bytes a second")
    assert outcome.seconds < 10


def test_a_server_that_never_answers_is_given_up(item, tmp_path, certificate):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://localhost:{silent.getsockname()[1]}"
        path = written(from_network(item, address, "x"), tmp_path)
        assert fetched(path, tmp_path / "staged", certificate, 0.5).refused("bytes a second").seconds < 10


@pytest.mark.parametrize("target", ["http", "loopback", "file"])
def test_a_redirect_leads_nowhere_that_was_not_allowed(item, tmp_path, server, certificate, target):
    secret, words = canary(tmp_path)
    with listener() as port:
        to = {"http": port.url, "loopback": f"https://127.0.0.1:{port.port}/a.tif", "file": f"file://{secret}"}
        server[1].elsewhere = to[target]
        path = written(from_network(item, server[0], "redirect"), tmp_path)
        outcome = fetched(path, tmp_path / "staged", certificate).refused()
        assert words not in outcome.text


def test_assets_that_differ_by_query_alone_are_two(item, tmp_path, server, certificate):
    for key, asset in item["assets"].items():
        asset["href"] = f"{server[0]}/whole/red.tif?{key}"
    path = written(item, tmp_path)
    fetched(path, tmp_path / "staged", certificate).taken()
    assert len(list((tmp_path / "staged" / "assets").rglob("*.tif"))) == 3


@pytest.mark.parametrize("wrong", [{"file:size": 17}, {"file:size": "many"}, {"file:checksum": "1220" + "ab" * 32}])
def test_an_asset_that_is_not_the_one_named_is_refused(item, tmp_path, server, certificate, wrong):
    from_network(item, server[0], "whole")["assets"]["red"].update(wrong)
    fetched(written(item, tmp_path), tmp_path / "staged", certificate).refused()
