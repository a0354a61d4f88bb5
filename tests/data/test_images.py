"""Image files as streams: values of the file's own full range, upright, and what is refused in one line."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mainstem.core.errors import InputError
from mainstem.data.images import MOST_PIXELS, read_image
from mainstem.data.table import files_named, read_samples

GREYS = np.array([[0, 51, 255], [102, 153, 204]], np.uint8)
COLOURS = np.stack([GREYS, GREYS // 3, 255 - GREYS], -1)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def names(stream):
    return [(channel.name, channel.unit) for channel in stream.channels]


def test_grey_and_colour_are_of_the_file_s_own_full_range(tmp_path):
    grey = read_image(saved(tmp_path / "a.png", Image.fromarray(GREYS)))
    assert (grey.kind, grey.geometry, names(grey)) == ("image", None, [("grey", "1")])
    np.testing.assert_allclose(grey.values[0], GREYS / 255, atol=1e-6)
    deep = read_image(saved(tmp_path / "b.PNG", Image.fromarray(GREYS.astype(np.uint16) * 257)))
    np.testing.assert_allclose(deep.values, grey.values, atol=1e-6)
    for name in ("c.png", "c.tif"):
        colour = read_image(saved(tmp_path / name, Image.fromarray(COLOURS)))
        assert names(colour) == [("red", "1"), ("green", "1"), ("blue", "1")]
        np.testing.assert_allclose(colour.values, np.moveaxis(COLOURS, -1, 0) / 255, atol=1e-6)
    bits = read_image(saved(tmp_path / "d.png", Image.fromarray(GREYS).convert("1", dither=Image.Dither.NONE)))
    assert bits.values[0].tolist() == [[0, 0, 1], [0, 1, 1]]


def test_a_palette_is_looked_up_and_alpha_that_hides_nothing_dropped(tmp_path):
    picture = Image.fromarray(COLOURS)
    plain = read_image(saved(tmp_path / "plain.png", picture)).values
    picture.putalpha(255)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "opaque.png", picture)).values, plain)
    found = read_image(saved(tmp_path / "palette.png", Image.fromarray(COLOURS).quantize(6)))
    np.testing.assert_allclose(found.values, plain, atol=0.02)


def test_a_camera_s_turn_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    turned = read_image(saved(tmp_path / "a.jpg", Image.fromarray(np.repeat(GREYS[:, :1], 16, 1)), exif=exif))
    assert turned.values.shape == (1, 16, 2)
    upright = read_image(saved(tmp_path / "b.png", Image.fromarray(GREYS), exif=exif))
    np.testing.assert_allclose(upright.values[0], np.rot90(GREYS, -1) / 255, atol=1e-6)


def hidden():
    picture = Image.fromarray(COLOURS)
    picture.putalpha(Image.fromarray(GREYS))
    return picture


@pytest.mark.parametrize(
    ("name", "image", "options", "words"),
    [
        ("a.png", hidden(), {}, "has transparent pixels"),
        ("a.jpg", Image.fromarray(COLOURS).convert("CMYK"), {}, "is CMYK, want grey of 8 or 16 bits, or RGB"),
        ("a.tif", Image.fromarray(GREYS.astype(np.float32)), {}, "is F, want"),
        ("a.tif", Image.fromarray(GREYS.astype(np.int32)), {}, "is I, want"),
        ("a.png", Image.fromarray(GREYS), {"transparency": 51}, "has transparent pixels"),
        ("a.tif", Image.fromarray(GREYS), {"save_all": True, "append_images": [Image.fromarray(GREYS)]}, "2 frames"),
        (
            "a.png",
            Image.fromarray(GREYS),
            {"save_all": True, "append_images": [Image.fromarray(255 - GREYS)]},
            "2 frame",
        ),
        ("a.png", Image.new("1", (MOST_PIXELS // 4096 + 1, 4096)), {}, "4096 pixels, want at most"),
    ],
    ids=["alpha", "CMYK", "float", "32 bits", "one clear grey", "pages", "animated", "too large"],
)
def test_what_would_be_guessed_is_refused_in_one_line(tmp_path, name, image, options, words):
    with pytest.raises(InputError, match=words) as caught:
        read_image(saved(tmp_path / name, image, **options))
    assert "\n" not in str(caught.value)


def test_other_files_and_damaged_ones_are_refused_in_one_line(tmp_path):
    saved(tmp_path / "gif.gif", Image.fromarray(GREYS)).rename(tmp_path / "gif.png")
    whole = saved(tmp_path / "a.png", Image.fromarray(COLOURS)).read_bytes()
    (tmp_path / "short.png").write_bytes(whole[:-30])
    (tmp_path / "text.jpg").write_text("no image")
    for name in ("gif.png", "short.png", "text.jpg"):
        with pytest.raises(InputError, match="cannot be read as an image") as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no file"):
        read_image(tmp_path / "nowhere.png")


def test_a_column_of_images_is_a_stream_read_from_below_the_table_alone(tmp_path):
    (tmp_path / "in" / "pictures").mkdir(parents=True)
    saved(tmp_path / "in" / "pictures" / "a.JPG", Image.fromarray(COLOURS))
    saved(tmp_path / "out.png", Image.fromarray(GREYS))
    frame = pd.DataFrame({"sample": ["a", "b"], "target": [1.0, 2.0], "licence": "CC0-1.0"})
    path = tmp_path / "in" / "t.csv"
    frame.assign(photo=["pictures/a.JPG", None]).to_csv(path, index=False)
    first, second = read_samples(path).samples
    assert first.streams["photo"].values.shape == (3, 2, 3)
    assert not second.streams
    assert list(files_named([str(path)]))[-1] == tmp_path / "in" / "pictures" / "a.JPG"
    frame.assign(photo=["pictures/a.JPG", "../out.png"]).to_csv(path, index=False)
    with pytest.raises(InputError, match="below the table's own folder"):
        read_samples(path)
    frame.assign(photo=["pictures/a.JPG", "more.csv"]).to_csv(path, index=False)  # two kinds of files
    with pytest.raises(InputError, match="want numbers"):
        read_samples(path)
