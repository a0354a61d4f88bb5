"""Fingerprints of pictures: every turn is named as Pillow makes it, parts are found, a shared logo is no copy."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from tests.data.media.scenes import chart, printed, scene

from mainstem.data.media.prints_parts import _pairs
from mainstem.data.media.prints_picture_index import PictureIndex
from mainstem.data.media.prints_pictures import compare_parts, compare_pictures, is_plain

TURNS = {
    Image.Transpose.ROTATE_270: "rotated by 90 degrees clockwise",  # Pillow turns the other way
    Image.Transpose.ROTATE_180: "rotated by 180 degrees",
    Image.Transpose.ROTATE_90: "rotated by 270 degrees clockwise",
    Image.Transpose.FLIP_LEFT_RIGHT: "mirrored left to right",
    Image.Transpose.FLIP_TOP_BOTTOM: "mirrored top to bottom",
    Image.Transpose.TRANSPOSE: "mirrored over its falling diagonal",
    Image.Transpose.TRANSVERSE: "mirrored over its rising diagonal",
}
LOGO = (0, 0, 90, 60)


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_turns_and_flips_are_named(turn):
    match = compare_pictures(printed(scene(1)), printed(scene(1).transpose(turn)))
    assert match is not None
    assert match.transform == TURNS[turn]
    assert match.distance <= match.threshold == 31


def test_an_edited_whole_picture_is_found():
    edited = ImageEnhance.Contrast(scene(1).resize((300, 300))).enhance(1.5)
    match = compare_pictures(printed(scene(1)), printed(edited))
    assert match is not None
    assert match.transform == "not turned"


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_crop_is_found_and_its_place_is_told(is_mirrored):
    crop = scene(1).crop((120, 80, 360, 240))  # a quarter of the area
    match = compare_pictures(printed(scene(1)), printed(ImageOps.mirror(crop) if is_mirrored else crop))
    assert match is not None
    assert "features" in match.unit
    share = int(match.transform.split("shows ")[1].split("%")[0])
    assert share == pytest.approx(25, abs=2)
    assert ("mirrored" in match.transform) == is_mirrored


def test_a_picture_turned_by_any_angle_is_found():
    match = compare_pictures(printed(scene(1)), printed(scene(1).rotate(-30, Image.Resampling.BICUBIC)))
    assert match is not None
    assert "rotated by 30 degrees clockwise" in match.transform


def test_a_picture_within_a_page_is_found():
    page = Image.new("RGB", (960, 800), (235, 235, 235))
    page.paste(scene(1), (200, 300))
    match = compare_pictures(printed(scene(1)), printed(page))
    assert match is not None
    assert "of its own area" in match.transform


def test_others_are_no_copies():
    prints = [printed(scene(seed)) for seed in range(6)]
    assert not [1 for a in range(6) for b in range(a) if compare_pictures(prints[a], prints[b])]


def test_one_logo_on_two_pictures_makes_no_copies():
    under = [scene(seed) for seed in (1, 2)]
    for image in under:
        image.paste(scene(9).resize((90, 60)), LOGO)
        ImageDraw.Draw(image).rectangle(LOGO, outline=(255, 255, 255))
    assert compare_parts(*(printed(image).parts for image in under)) is None


def test_charts_of_other_data_on_the_same_axes_are_no_copies():
    charts = [printed(chart(seed)) for seed in range(5)]
    assert not [1 for a in range(5) for b in range(a) if compare_pictures(charts[a], charts[b])]
    again = chart(0).resize((400, 300))
    assert compare_pictures(charts[0], printed(again)) is not None


def test_an_index_finds_what_comparing_pairs_finds():
    index, crop = PictureIndex(), scene(3).crop((100, 60, 400, 260))
    for seed in range(8):
        assert index.look_up(printed(scene(seed))) == {}
    assert set(index.look_up(printed(scene(5).transpose(Image.Transpose.ROTATE_90)))) == {5}
    found = index.look_up(printed(crop))
    assert found[3] == compare_pictures(printed(scene(3)), printed(crop))
    assert set(found) == {3}


def test_plain_pictures_are_said_to_be_plain_and_match_nothing():
    plain = printed(Image.fromarray(np.full((200, 300, 3), 90, np.uint8)))
    assert is_plain(plain)
    assert compare_pictures(plain, plain) is None


def test_pairs_of_features_are_each_other_s_nearest():
    random = np.random.default_rng(3)
    first = random.integers(0, 256, (40, 16), np.uint8)
    second = np.concatenate([first[::-1][:30], random.integers(0, 256, (20, 16), np.uint8)])
    second[:30, 0] ^= 0b111  # three of 128
    second[29] = 255 - first[10]  # the opposite: 128 bits apart
    rows, columns = _pairs(first, second)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (39 - place, place) for place in range(28, -1, -1)
    ]
