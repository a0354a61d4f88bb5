import io
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.data.media.made_media import fine_or_one_line, quarters, save

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.media.bounds import Bounds
from mainstem.data.media.pictures import read_picture


def profile_of(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def test_pixels_are_those_of_the_file(tmp_path):
    picture = read_picture(save(tmp_path / "a.png"))
    assert np.array_equal(picture.pixels, quarters())
    assert (picture.size, picture.format, picture.num_frames, picture.notes) == ((80, 60), "PNG", 1, ())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_shown_upright(tmp_path, orientation):
    back = {
        1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, 1), 7: lambda x: np.rot90(x[:, ::-1], 3),
        8: lambda x: np.rot90(x, 3),
    }  # fmt: skip  # how a camera stores what is upright (Exif 2.32, 4.6.4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(back[orientation](quarters())), exif=exif)
    picture = read_picture(path)
    assert np.array_equal(picture.pixels, quarters())
    assert picture.size == (80, 60)
    assert read_picture(path, 40).pixels.shape == (30, 40, 3)


def test_an_orientation_that_is_none_is_said(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    picture = read_picture(save(tmp_path / "a.png", exif=exif))
    assert np.array_equal(picture.pixels, quarters())
    assert "orientation '77'" in " ".join(picture.notes) or "orientation 77" in " ".join(picture.notes).replace("'", "")


def test_sixteen_bits_become_eight_by_the_nearest(tmp_path):
    values = np.array([[0, 128, 129, 257, 32_768, 65_535]], np.uint16)
    picture = read_picture(save(tmp_path / "a.png", values))
    assert picture.pixels[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert "16 bits" in picture.notes[0]


def test_a_profile_is_applied(tmp_path):
    xyz = save(tmp_path / "plain.png", np.full((2, 2, 3), 128, np.uint8))
    lab = Image.new("LAB", (2, 2), (128, 128, 128))
    lab.save(tmp_path / "lab.tif")
    assert read_picture(xyz).pixels[0, 0].tolist() == [128, 128, 128]
    shown = read_picture(tmp_path / "lab.tif").pixels[0, 0]  # L* 50.2 of grey is 119 in sRGB (IEC 61966-2-1)
    assert np.abs(shown.astype(int) - 119).max() <= 2


def test_a_srgb_profile_changes_at_most_a_step(tmp_path):
    picture = read_picture(save(tmp_path / "a.png", icc_profile=profile_of("sRGB")))
    assert np.abs(picture.pixels.astype(int) - quarters()).max() <= 1
    assert picture.notes == ()


@pytest.mark.parametrize("profile", [b"no profile", b"\0" * 5_000_000, profile_of("LAB")])
def test_a_profile_that_does_not_fit_is_said_and_not_applied(tmp_path, profile):
    picture = read_picture(save(tmp_path / "a.tif", icc_profile=profile))
    assert np.array_equal(picture.pixels, quarters())
    assert "profile" in picture.notes[0]


def test_inks_without_a_profile_are_said_to_be_a_guess(tmp_path):
    Image.fromarray(quarters()).convert("CMYK").save(tmp_path / "a.tif")
    picture = read_picture(tmp_path / "a.tif")
    assert np.abs(picture.pixels.astype(int) - quarters()).max() <= 2
    assert "CMYK" in picture.notes[0]


def test_transparent_places_are_white_and_said(tmp_path):
    values = np.dstack([quarters(), np.full((60, 80), 255, np.uint8)])
    opaque = read_picture(save(tmp_path / "opaque.png", values))
    assert np.array_equal(opaque.pixels, quarters())
    assert opaque.notes == ()
    values[:30, :40] = 0
    picture = read_picture(save(tmp_path / "a.png", values))
    assert (picture.pixels[:30, :40] == 255).all()
    assert np.array_equal(picture.pixels[30:], quarters()[30:])
    assert "transparent" in picture.notes[0]


def test_a_palette_is_looked_up(tmp_path):
    Image.fromarray(quarters()).quantize(4).save(tmp_path / "a.gif")
    assert np.array_equal(read_picture(tmp_path / "a.gif").pixels, quarters())


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_pictures_the_first_is_shown_and_all_are_counted(tmp_path, suffix):
    pictures = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 80, 160)]
    options = {"lossless": True} if suffix == "webp" else {}
    pictures[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:], **options)
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert picture.num_frames == 3
    assert "holds 3 pictures" in picture.notes[0]
    assert (picture.pixels == 0).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_white_are_refused(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="32 bits"):
        read_picture(tmp_path / "a.tif")


def test_a_smaller_picture_is_its_mean(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    picture = read_picture(save(tmp_path / "a.jpg", values, quality=95), 10)
    assert picture.pixels.shape == (8, 10, 3)
    assert picture.size == (800, 600)
    assert np.abs(picture.pixels.astype(int) - 128).max() < 30


def test_a_large_jpeg_is_never_decoded_whole(tmp_path):
    path = save(tmp_path / "a.jpg", np.zeros((4000, 4000, 3), np.uint8))
    small = Bounds(memory=10 << 20)  # whole, it takes 128 MB
    assert read_picture(path, 256, small).pixels.shape == (256, 256, 3)
    with pytest.raises(InputError, match="bytes to decode"):
        read_picture(path, None, small)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    data = bytearray(save(tmp_path / "a.png").read_bytes())
    data[16:24] = struct.pack(">2I", 13_000, 13_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(InputError, match="13000 x 13000 pixels"):
        read_picture(path, 64)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_header_that_lies_of_its_size_is_refused(tmp_path):
    data = bytearray(save(tmp_path / "a.bmp").read_bytes())
    data[18:26] = (2_000_000_000).to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.bmp"):
        read_picture(tmp_path / "a.bmp")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "webp", "avif", "bmp"])
def test_what_is_cut_off_is_refused_in_one_line(tmp_path, suffix):
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = save(tmp_path / f"a.{suffix}", values).read_bytes()
    for share in (0.2, 0.5, 0.9):
        (tmp_path / f"a.{suffix}").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError, match=rf"^a\.{suffix}[^\n]*$"):
            read_picture(tmp_path / f"a.{suffix}")


def test_damaged_bytes_give_a_picture_or_one_line(tmp_path):
    random, path = np.random.default_rng(0), tmp_path / "a"
    buffers = []
    for name in ("JPEG", "PNG", "GIF", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(quarters()).save(buffer, name)
        buffers.append(np.frombuffer(buffer.getvalue(), np.uint8))
    for num in range(150):
        data = buffers[num % len(buffers)].copy()
        data[random.integers(8, len(data), 5)] = random.integers(0, 256, 5)
        path.write_bytes(data.tobytes())
        with fine_or_one_line():
            assert read_picture(path, 32, Bounds(pixels=1 << 22)).pixels.shape[2] == 3


def test_heic_is_read_where_its_plugin_is_installed(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    path = save(tmp_path / "a.heic", quality=100, chroma=444)
    picture = read_picture(path)
    assert picture.format == "HEIF"
    assert np.abs(picture.pixels[10, 10].astype(int) - quarters()[10, 10]).max() < 12


def test_without_its_plugin_heic_names_the_extra(tmp_path, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    path = save(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=r"pillow-heif.*mainstem\[media\]"):
        read_picture(path)
