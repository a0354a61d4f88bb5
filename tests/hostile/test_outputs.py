"""What is written never takes the place of what is read; images, arrays and texts that lie; mirrors that do."""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from mainstem.adapters.crop_yield.pixel import TASK
from mainstem.apps.map_models import MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.core.errors import InputError
from mainstem.core.targets import below_name
from mainstem.data.catalogue import data_home, find_data_set
from tests.hostile.harness import run_call, run_cli

TABLE = "sample,target,group,licence,time,B4 [1],series\na,1,g,CC0,2020-01-01,0.1,s.csv\n"


@pytest.fixture
def table(tmp_path) -> Path:
    """A table, and a run folder to name beside it."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "s.csv").write_text("time,a\n0,1\n")
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path / "table.csv"


def itself(table: Path) -> Path:
    return table


def roundabout(table: Path) -> Path:
    return table.parent / "run" / ".." / table.name


def symlink(table: Path) -> Path:
    path = table.with_name("link.csv")
    path.symlink_to(table)
    return path


def hard_link(table: Path) -> Path:
    path = table.with_name("hard.csv")
    os.link(table, path)
    return path


def named_in_it(table: Path) -> Path:
    return table.with_name("s.csv")


def of_the_run(table: Path) -> Path:
    return table.parent / "run" / "metrics.jsonl"


def folder(table: Path) -> Path:
    path = table.with_name("out.csv")
    path.mkdir()
    return path


def in_a_file(table: Path) -> Path:
    return table / "out.csv"


def pipe(table: Path) -> Path:
    path = table.with_name("pipe.csv")
    os.mkfifo(path)
    return path


def other_kind(table: Path) -> Path:
    return table.with_name("out.xlsx")


def long_name(table: Path) -> Path:
    return table.with_name("x" * 5000 + ".csv")


OUTS = (itself, roundabout, symlink, hard_link, named_in_it, folder, in_a_file, pipe, other_kind, long_name)


@pytest.mark.parametrize("out", [*OUTS, of_the_run], ids=lambda made: made.__name__)
def test_predict_writes_over_nothing_that_is_read(table, out):
    path, run = out(table), table.parent / "run"
    run_cli("predict", "fuel-moisture", str(table), "--run", str(run), "--out", str(path)).refused()
    assert table.read_text() == TABLE
    assert (run / "metrics.jsonl").read_text() == "{}\n"
    assert table.with_name("s.csv").read_text() == "time,a\n0,1\n"


@pytest.mark.parametrize("out", OUTS, ids=lambda made: made.__name__)
def test_embed_writes_over_nothing_that_is_read(table, out):
    run_cli("embed", "ti", "--input", str(table), "--out", str(out(table))).refused()
    assert table.read_text() == TABLE
    assert table.with_name("s.csv").read_text() == "time,a\n0,1\n"


@pytest.mark.parametrize("name", ["fields.gpkg", "scene_2021-06-01.tif", "weather.csv"])
def test_a_real_farm_is_never_simulated_over(tmp_path, name):
    (tmp_path / "farm").mkdir()
    (tmp_path / "farm" / name).write_text("mine")
    run_cli("data", "simulate-farm", "3", "--to", str(tmp_path / "farm")).refused("farm")
    assert (tmp_path / "farm" / name).read_text() == "mine"
    assert [path.name for path in (tmp_path / "farm").iterdir()] == [name]


def test_a_farm_is_not_simulated_into_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    run_cli("data", "simulate-farm", "3", "--to", str(tmp_path / "file")).refused("file")
    run_cli("data", "simulate-farm", "3", "--to", str(tmp_path / "file" / "farm")).refused("file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small image encoder."""
    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(folder)
    return folder


PIXELS = np.random.default_rng(0).integers(0, 256, (28, 42, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size, and holds a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def transparent() -> bytes:
    alpha = np.full((28, 42, 1), 255, np.uint8)
    alpha[3, 4] = 0
    return encoded(Image.fromarray(np.concatenate([PIXELS, alpha], 2)))


def packed(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def claiming(header: dict[str, object]) -> bytes:
    """An .npz whose one array claims what its header says."""
    member, buffer = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(member, header)
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("image.npy", member.getvalue() + bytes(100))
    return buffer.getvalue()


def zip_bomb() -> bytes:
    """An archive that says that it unpacks to 2 GB."""
    content = bytearray(packed(image=np.zeros((1, 28, 28, 3), np.uint8)))
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 24, 2_000_000_000)
    return bytes(content)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/mainstem-was-here",)


PHOTO = Image.fromarray(PIXELS)
FLOATS = PIXELS[None].astype(np.float32) / 255
INPUTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a bomb of 4e9 pixels": ("a.png", lambda: png_of(65_000, 65_000)),
    "a bomb of 1e8 pixels": ("a.png", lambda: png_of(10_000, 10_000)),
    "fewer pixels than said": ("a.png", lambda: png_of(280, 280)),
    "PNG cut short": ("a.png", lambda: encoded(PHOTO)[:900]),
    "JPEG cut short": ("a.jpg", lambda: encoded(PHOTO, "JPEG")[:400]),
    "TIFF cut short": ("a.tif", lambda: encoded(PHOTO, "TIFF")[:400]),
    "16 bits": ("a.png", lambda: encoded(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200))),
    "CMYK": ("a.jpg", lambda: encoded(PHOTO.convert("CMYK"), "JPEG")),
    "transparent": ("a.png", transparent),
    "two images": ("a.tif", lambda: encoded(PHOTO, "TIFF", save_all=True, append_images=[PHOTO])),
    "an EPS": ("a.png", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"),
    "a GIF": ("a.png", lambda: encoded(PHOTO, "GIF")),
    "text": ("a.png", lambda: b"no image"),
    "an empty image": ("a.png", lambda: b""),
    "floats beyond 1 in an image": ("a.tif", lambda: encoded(Image.fromarray(FLOATS[0, ..., 0] * 9000), "TIFF")),
    "NaN in an array": ("a.npz", lambda: packed(image=np.where(FLOATS > 0.5, np.nan, FLOATS))),
    "NaN alone": ("a.npz", lambda: packed(image=FLOATS * np.nan)),
    "objects": ("a.npz", lambda: packed(image=np.array([Evil()], object))),
    "complex numbers": ("a.npz", lambda: packed(image=FLOATS.astype(np.complex64))),
    "dates": ("a.npz", lambda: packed(image=np.zeros((1, 28, 28, 3), "M8[s]"))),
    "no array": ("a.npz", packed),
    "an array of nothing": ("a.npz", lambda: packed(image=np.zeros((0, 28, 28, 3), np.uint8))),
    "another name": ("a.npz", lambda: packed(picture=FLOATS)),
    "a size of 1e15": ("a.npz", lambda: claiming({"descr": "<f4", "fortran_order": False, "shape": (10**15,)})),
    "a size below 0": ("a.npz", lambda: claiming({"descr": "<f4", "fortran_order": False, "shape": (-4, 2)})),
    "a zip bomb": ("a.npz", zip_bomb),
    "a pickle": ("a.npz", lambda: b"cos\nsystem\n(S'touch /tmp/mainstem-was-here'\ntR."),
    "an .npy": ("a.npz", lambda: b"\x93NUMPY\x01\x00" + bytes(100)),
    "a zip cut short": ("a.npz", lambda: packed(image=FLOATS)[:2000]),
    "an empty archive": ("a.npz", lambda: b""),
    "text for images": ("a.txt", lambda: b"a leaf\n"),
    "text of nothing": ("a.txt", lambda: b"\n \n"),
    "text in UTF-16": ("a.txt", lambda: "ein Blatt\n".encode("utf-16")),
    "text with NUL": ("a.txt", lambda: b"a\0b\n"),
    "text of 20 MB": ("a.txt", lambda: b"leaf\n" * 4_000_000),
    "of no kind": ("a.bmp", lambda: encoded(PHOTO, "BMP")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "make"), INPUTS.values(), ids=INPUTS)
def test_an_input_of_embed_that_cannot_be_is_refused(model, tmp_path, name, make):
    (tmp_path / name).write_bytes(make())
    outcome = run_cli("embed", str(model), "--input", str(tmp_path / name), "--out", str(tmp_path / "out.npy"))
    outcome.refused()
    assert not (tmp_path / "out.npy").exists()
    assert not Path("/tmp/mainstem-was-here").exists()


def embedded(model: Path, tmp_path: Path, name: str, content: bytes) -> np.ndarray:
    (tmp_path / name).write_bytes(content)
    out = tmp_path / f"{name}.npy"
    run_cli("embed", str(model), "--input", str(tmp_path / name), "--out", str(out)).taken()
    return np.load(out)


def test_turned_opaque_and_palette_images_are_read_as_they_are_seen(model, tmp_path):
    wanted = embedded(model, tmp_path, "plain.png", encoded(PHOTO))
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    turned = encoded(PHOTO.rotate(90, expand=True), exif=exif)
    np.testing.assert_array_equal(embedded(model, tmp_path, "turned.png", turned), wanted)
    opaque = encoded(PHOTO.convert("RGBA"))
    np.testing.assert_array_equal(embedded(model, tmp_path, "opaque.png", opaque), wanted)
    palette = PHOTO.quantize(16)
    same = embedded(model, tmp_path, "rgb.png", encoded(palette.convert("RGB")))
    np.testing.assert_array_equal(embedded(model, tmp_path, "palette.png", encoded(palette)), same)


SET, FIRST = "us-counties", 0


@pytest.fixture
def mirror(tmp_path) -> Path:
    """Where the mirror's first file of a set would lie."""
    found = find_data_set(SET)
    path = tmp_path / "mirror" / found.folder / found.files[FIRST].name
    path.parent.mkdir(parents=True)
    return path


def pulled(mirror: Path, home: Path):
    root = mirror.parents[len(Path(find_data_set(SET).folder).parts) + len(Path(mirror.name).parts) - 1]
    return run_cli("data", "pull", SET, "--mirror", str(root), env={"MAINSTEM_HOME": str(home)}, limit_s=20)


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.mkdir()


def as_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_secret(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def as_circle(path: Path) -> None:
    path.symlink_to(path.name)


def as_other(path: Path) -> None:
    path.write_bytes(bytes(find_data_set(SET).files[FIRST].size))


def as_more(path: Path) -> None:
    path.write_bytes(bytes(find_data_set(SET).files[FIRST].size + 1))


def as_nothing(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    "make", [as_pipe, as_folder, as_endless, as_secret, as_circle, as_other, as_more, as_nothing],
    ids=lambda made: made.__name__,
)  # fmt: skip
def test_a_hostile_mirror_leaves_nothing(mirror, tmp_path, make):
    make(mirror)
    pulled(mirror, tmp_path / "home").refused()
    assert [path for path in (tmp_path / "home").rglob("*") if not path.is_dir()] == []


def test_links_folders_and_leftovers_at_home_are_pruned_or_named(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    found = find_data_set(SET)
    path = data_home() / found.folder / found.files[FIRST].name
    path.parent.mkdir(parents=True)
    (tmp_path / "mine").write_text("mine")
    path.symlink_to(tmp_path / "mine")
    home = {"MAINSTEM_HOME": str(tmp_path / "home")}
    run_cli("data", "prune", SET, env=home).taken()
    assert (tmp_path / "mine").read_text() == "mine"
    assert not os.path.lexists(path)
    path.symlink_to(tmp_path / "gone")
    run_cli("data", "prune", SET, env=home).taken()
    assert not os.path.lexists(path)
    path.mkdir()
    run_cli("data", "prune", SET, env=home).refused("cannot delete")
    pulled(mirror, tmp_path / "home").refused()


def test_map_writes_over_nothing_that_is_read(tmp_path):
    for name in ("map.tif", "fields.gpkg", "item.json"):
        (tmp_path / name).write_text("mine")
    given = {"map.tif": [], "fields.gpkg": ["--fields", str(tmp_path / "fields.gpkg")]}
    for name, more in given.items():
        scene = tmp_path / "map.tif" if name == "map.tif" else tmp_path / "other.tif"
        outcome = run_cli("map", "crop-yield", str(scene), *more, "--run", str(tmp_path), "--out", str(tmp_path))
        outcome.refused()
    assert [(tmp_path / name).read_text() for name in ("map.tif", "fields.gpkg", "item.json")] == ["mine"] * 3


OF_MAPS = ("map.tif", "notes.json", "item.json", "valid.tif", "classes.tif", "fields.gpkg", "fields.csv")
NOTES = {"none": None, "text": "buy seed", "object": "{}", "list": "[]", "other": '{"names": ["mean"], "tags": {}}'}


@pytest.mark.parametrize("notes", NOTES)
@pytest.mark.parametrize("name", OF_MAPS)
def test_files_of_the_user_are_no_map_and_stay(tmp_path, name, notes):
    if NOTES[notes] is not None:
        (tmp_path / "notes.json").write_text(NOTES[notes])
    (tmp_path / name).write_text("mine")
    scene = tmp_path / "scene_2021-06-01.tif"
    scene.write_bytes(b"II*\0")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="but no map that it is of"):
        map_scenes(TASK, tmp_path / "run", [scene], tmp_path, MapSpec())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("href", ["./map.tif", "map.tif", "../here/map.tif", "link.tif"])
def test_an_asset_of_an_item_is_never_mapped_over(tmp_path, href):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "map.tif").write_text("mine")
    (folder / "link.tif").symlink_to("map.tif")
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None, "links": [],
        "properties": {"datetime": "2021-06-01T00:00:00Z"}, "assets": {"B04": {"href": href}},
    }  # fmt: skip
    (folder / "scene.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match="is what is read"):
        map_scenes(TASK, tmp_path / "run", [folder / "scene.json"], folder, MapSpec())
    assert (folder / "map.tif").read_text() == "mine"


SHARDS = ("", "1", "/", "0/", "/8", "²/8", "0/²", "\u0660/8", "-1/8", "+0/8", " 0/8", "0/8\n", "0/8/8", "0x0/8",
          "0/" + "9" * 5000, "9" * 5000 + "/1", "0/99999999999", "0/1e3")  # fmt: skip


@pytest.mark.parametrize("shard", SHARDS, ids=lambda shard: repr(shard[:14]))
def test_a_shard_that_is_none_is_one_line(tmp_path, shard):
    out = tmp_path / "out"
    run_cli("map", "crop-yield", "a.tif", "--run", tmp_path, "--out", out, "--shard", shard).refused("INDEX/COUNT")


@pytest.mark.parametrize("shard", [(0, 0), (8, 8), (9, 8), (-1, 8), (0, 999_999)])
def test_a_shard_beyond_those_there_are_is_refused(tmp_path, shard):
    with pytest.raises(InputError, match="shard"):
        map_scenes(TASK, tmp_path / "run", [], tmp_path / "out", MapSpec(shard=shard))
    assert not (tmp_path / "out").exists()


BELOW = {
    "nan": ["nan"], "inf": ["inf"], "-inf": ["-inf"], "1e999": ["1e999"], "twice": ["5", "5.0"], "zeros": ["0", "-0.0"],
    "many": [str(number) for number in range(2000)],
}  # fmt: skip


@pytest.mark.parametrize("marks", BELOW.values(), ids=BELOW)
def test_a_threshold_that_is_none_is_one_line(table, marks):
    asked = [part for mark in marks for part in ("--below", mark)]
    out = table.with_name("out.csv")
    run_cli("predict", "fuel-moisture", table, "--run", table.parent / "run", "--out", out, *asked).refused("--below")
    with pytest.raises(InputError, match="--below"):
        map_scenes(TASK, table, [], table.with_name("map"), MapSpec(below=tuple(map(float, marks))))
    assert not out.exists()


@pytest.mark.parametrize("command", ["predict", "map", "calibrate"])
def test_a_level_that_is_no_number_is_one_line(table, command):
    more = {"predict": ["--out", table.with_name("out.csv")], "map": ["--out", table.with_name("map")]}
    named = ["calibrate", table.parent / "run", "--data", table] if command == "calibrate" else [
        command, "fuel-moisture", table, "--run", table.parent / "run", *more[command]]  # fmt: skip
    run_cli(*named, "--level", "nan").refused("level")


def test_thresholds_that_differ_have_names_that_differ():
    marks = [5.0, 5.0000001, 8.5, 1e-7, 123456.7, 1234567.0, -3.0]
    names = [below_name(mark) for mark in marks]
    assert len(set(names)) == len(marks)
    assert [float(name.removeprefix("below ")) for name in names] == marks
    assert below_name(8.0) == "below 8"


def test_checks_of_outputs_are_for_inputs_alone(tmp_path):
    (tmp_path / "in.csv").write_text("in")
    (tmp_path / "out.csv").write_text("an earlier one")
    call = "mainstem.core.outputs:check_output"
    run_call(call, tmp_path / "out.csv", [tmp_path / "in.csv", "us-maize"], [".csv"]).taken()
    run_call(call, tmp_path / "new" / "deep" / "out.csv", [tmp_path / "in.csv"], [".csv"]).taken()
    run_call(call, tmp_path / "out.csv", [tmp_path], [".csv"]).refused("is what is read")
    assert json.dumps((tmp_path / "out.csv").read_text()) == '"an earlier one"'
