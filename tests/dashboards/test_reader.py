"""The reader: what is sent and what never again, and in Chromium windows, keys, measures, letters and overlays."""

import json
import struct

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Geometry, Stream
from mainstem.dashboards.clinic.pictures import picture_of_volume
from mainstem.dashboards.components.reader import (
    Overlay,
    Panel,
    Picture,
    Slice,
    Wanted,
    Window,
    edges,
    pack,
    read_act,
    read_request,
)
from tests.benchmarks.reader import reader_served
from tests.dashboards.browser import opened

VALUES = np.arange(3 * 5 * 7, dtype=np.int16).reshape(3, 5, 7) - 50
PLANE = np.zeros((5, 7), np.uint8)
PLANE[1:3, 2:6] = 2


def picture(**more) -> Picture:
    overlay = Overlay(key="o", title="Mask", planes={1: PLANE}, names=("a", "b"))
    known = {"read": lambda index: Slice(stored=VALUES[index], slope=2.0, intercept=-3.0), "overlays": (overlay,)}
    windows = (Window(name="w", width=10, level=5, key="0"),)
    return Picture(**{"key": "k", "rows": 5, "columns": 7, "num_slices": 3, "windows": windows, **known, **more})


def unpacked(payload: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<I", payload[:4])
    return json.loads(payload[4 : 4 + length]), payload[-(-(4 + length) // 4) * 4 :]


def test_stored_pixels_arrive_as_they_are_and_masks_cropped():
    header, body = unpacked(
        pack(picture(), Panel(title="t"), Wanted(slices=(2, 0), planes=(("o", 1), ("o", 0), ("x", 1))))
    )
    assert [(one["slice"], one["kind"], one["slope"], one["intercept"]) for one in header["slices"]] == [
        (2, "i2", 2.0, -3.0), (0, "i2", 2.0, -3.0),
    ]  # fmt: skip
    assert header["planes"] == [{"overlay": "o", "slice": 1, "box": [2, 1, 4, 2]}]
    assert np.array_equal(np.frombuffer(body[:70], np.int16).reshape(5, 7), VALUES[2])
    assert np.array_equal(np.frombuffer(body[72:142], np.int16).reshape(5, 7), VALUES[0])
    assert body[144:] == b"\2" * 8


def test_a_rerun_without_a_request_sends_no_pixel():
    header, body = unpacked(pack(picture(), Panel(title="t"), Wanted()))
    assert (header["slices"], header["planes"], body) == ([], [], b"")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"key": "other", "slices": [1], "planes": []}', '{"key": "k", "slices": "x", "planes": []}'],
)
def test_odd_requests_ask_for_nothing(text):
    assert read_request(text, picture()) == Wanted()


def test_a_request_is_held_to_one_chunk_and_to_slices_that_are_there():
    large = picture(rows=2048, columns=2048, num_slices=300)
    asked = read_request(json.dumps({"key": "k", "slices": [-1, *range(400)], "planes": []}), large)
    assert asked.slices == (0,)  # of 8 MiB each
    assert read_request(json.dumps({"key": "k", "slices": [1, 7], "planes": [["o", 1]]}), picture()) == Wanted(
        slices=(1,), planes=(("o", 1),)
    )


def test_a_slice_of_another_shape_is_refused():
    with pytest.raises(InputError, match="the series is damaged"):
        pack(picture(rows=6), Panel(title="t"), Wanted(slices=(0,)))


def test_an_act_is_read_or_nothing():
    told = {"act": "accept", "key": "k", "mask": True, "heatmap": False, "window": [40, 80], "seconds": 3.5}
    told |= {"num": 7, "steps": -2}
    act = read_act(json.dumps(told))
    assert (act.name, act.mask, act.heatmap, act.window, act.seconds) == ("accept", True, False, (40.0, 80.0), 3.5)
    assert (act.num, act.steps) == (7, -2)
    for text in ("", "{}", json.dumps({**told, "window": [1]}), json.dumps({**told, "seconds": "x"})):
        assert read_act(text) is None


def test_letters_come_from_directions_and_none_where_unknown():
    assert edges(np.eye(3)) == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    sagittal = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])
    assert edges(sagittal) == {"left": "A", "right": "P", "top": "S", "bottom": "I"}
    assert edges(None) == {}


def volume(affine, values) -> Stream:
    channels = (Channel(name="intensity", unit="1"),)
    return Stream(kind="volume", values=values[None], channels=channels, geometry=Geometry(affine=affine, unit="mm"))


def test_a_volume_is_turned_to_how_radiologists_look_at_it_with_its_masks():
    values = VALUES.astype(np.float32)
    ras = np.diag([-2.0, -3.0, 4.0, 1.0])  # x to the right of the patient, y to the front, as NIfTI files often run
    mask = np.zeros(values.shape, np.uint8)
    mask[0, 0, 0] = 1
    found = picture_of_volume(volume(ras, values), "s", [("Mask", ("a",), mask)])
    assert edges(found.directions) == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert (found.spacing_mm, found.positions_mm) == ((3.0, 2.0), (0.0, 4.0, 8.0))
    assert np.array_equal(found.read(0).stored, VALUES[0, ::-1, ::-1])
    assert found.overlays[0].planes[0][-1, -1] == 1
    assert not found.is_exact


def test_values_that_are_no_whole_numbers_are_shown_within_a_step():
    values = np.random.default_rng(0).uniform(-1e6, 2e6, (2, 3, 4)).astype(np.float32)
    values[0, 0, 0] = np.nan
    found = picture_of_volume(volume(np.eye(4), values), "s", [])
    one = found.read(1)
    assert found.is_exact
    assert one.slope * one.stored + one.intercept == pytest.approx(values[1], abs=one.slope)


INSIDE = """canvas => { const root = canvas.getRootNode(), text = (name) => root.querySelector(name).textContent;
return {
  status: text('.reader-status'), table: text('.reader-twin tbody'), panel: text('.reader-panel'),
  html: root.querySelector('.reader-panel').querySelectorAll('b').length,
}; }"""


def shown(page) -> dict:
    page.wait_for_timeout(700)  # the table follows when the hand rests
    return page.locator("canvas[data-drawn]").evaluate(INSIDE)


def enlarged(said: dict) -> float:
    return float(said["status"].split("enlarged ")[1].split(" times")[0])


def choose(page, name: str):
    page.get_by_text(name, exact=True).click()
    canvas = page.locator("canvas[data-seen='1']")
    canvas.wait_for(timeout=60_000)
    return canvas


@pytest.mark.long
@pytest.mark.browser
def test_slices_windows_and_measures_by_keys_and_nothing_is_sent_twice(chromium):
    with reader_served((40, 256, 256)) as (address, _), opened(chromium) as (page, outside):
        sizes: list[int] = []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
        page.goto(address)
        canvas = choose(page, "first")
        page.wait_for_function("() => true")
        page.locator("canvas[data-held='40']").wait_for(timeout=60_000)
        assert max(sizes) < 6 << 20
        assert sum(sizes) < 1.2 * 40 * (256 * 256 * 2 + 2 * 256 * 256) + 4e6  # each slice and plane once
        said = shown(page)
        assert said["status"].startswith(
            "Slice 21 of 40 at 50.0 mm · window 400, level 40 HU (the file's own) · enlarged "
        )
        before = enlarged(said)
        held = canvas.evaluate("canvas => [canvas.width, canvas.height]")
        fits = min((held[0] - 334) / 256, held[1] / (256 * 2))  # beside the panel; rows are twice as far apart
        assert before == pytest.approx(fits, rel=0.05)
        assert "<b>as text</b>" in said["panel"]
        assert said["html"] == 0
        for key in ("ArrowDown", "PageUp", "1"):
            canvas.press(key)
        assert shown(page)["status"].startswith("Slice 12 of 40 at 27.5 mm · window 80, level 40 HU (brain)")
        for key in ("Shift+ArrowRight", "+", "x", "h", "m", "Space", *["Shift+ArrowRight"] * 5, "Space"):
            canvas.press(key)
        said = shown(page)
        assert "by hand" in said["status"]
        assert enlarged(said) == pytest.approx(1.25 * before, rel=0.08)
        assert "Heatmap, 45 %" in said["table"]
        assert "Mask" not in said["table"]
        length = float(said["status"].split(" mm")[-2].split()[-1])
        assert 5 < length < 40
        canvas.press("Backspace")
        assert "Measurednothing" in shown(page)["table"]
        canvas.press("a")
        page.get_by_text("Done: accept, True, True").wait_for()
        sizes.clear()
        choose(page, "second")
        page.wait_for_timeout(2500)
        assert max(sizes) > 256 * 256
        sizes.clear()
        choose(page, "first")
        page.wait_for_timeout(1500)
        assert max(sizes) < 60_000  # the browser holds it
        assert shown(page)["status"].startswith("Slice 12 of 40")  # as it was left
        assert outside == []


COLOURS_SEEN = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Map(); for (let i = 0; i < data.length; i += 4) {
    const name = `rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`; seen.set(name, (seen.get(name) || 0) + 1); }
    return Object.fromEntries(seen); }"""


@pytest.mark.long
@pytest.mark.browser
def test_structures_of_the_file_are_outlines_of_their_own_colours_each_with_a_tick(chromium, monkeypatch):
    monkeypatch.setenv("READER_MARKED", "12")
    with reader_served((3, 128, 128)) as (address, _), opened(chromium) as (page, _):
        page.goto(address)
        page.get_by_text("first").click()
        canvas = page.locator("canvas[data-seen='1']")
        canvas.wait_for(timeout=60_000)
        swatches = page.locator(".reader-swatch")
        colours = swatches.evaluate_all("all => all.map((one) => getComputedStyle(one).backgroundColor)")
        assert len(colours) == len(set(colours)) == 14  # two of the model's mask
        page.wait_for_timeout(1000)
        seen = canvas.evaluate(COLOURS_SEEN)
        filled = 5 * 24 * canvas.evaluate("(one) => (one.height / 128) ** 2")  # pixels on the screen of a structure
        for colour in colours[2:]:
            assert 0 < seen[colour] < 0.5 * filled
        page.get_by_label("marked 9").uncheck()
        page.wait_for_timeout(500)
        seen = canvas.evaluate(COLOURS_SEEN)
        assert colours[10] not in seen
        assert colours[11] in seen
        canvas.press("3")
        page.wait_for_timeout(500)
        assert "window 435\u202f200, level -12\u202f346 HU (wide)" in page.locator(".reader-status").text_content()


@pytest.mark.long
@pytest.mark.browser
def test_what_is_not_known_is_not_made_up_and_monochrome1_is_turned(chromium):
    with reader_served((3, 64, 64), plain=True) as (address, _), opened(chromium, 400) as (page, _):
        page.goto(address)
        canvas = choose(page, "first")
        for key in ("m", "Space", "Shift+ArrowRight", "Space"):
            canvas.press(key)
        said = shown(page)
        assert "pixels (spacing not known)" in said["status"]
        assert " mm" not in said["status"] + said["table"]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        top = "canvas.height / 2 - canvas.width / 2 + 4"
        corner = f"canvas => [...canvas.getContext('2d').getImageData(canvas.width / 2, {top}, 1, 1).data]"
        assert canvas.evaluate(corner)[0] == 255  # air, which is bright where small values are
        canvas.press("2")
        assert "(table)" in shown(page)["status"]
        assert canvas.evaluate(corner)[0] == 255 - 77  # -990 by a table, turned over


@pytest.mark.long
@pytest.mark.browser
def test_what_is_pressed_while_a_study_opens_is_kept_or_said_and_lands_on_no_other(chromium):
    with reader_served((3, 64, 64), slow_s=2.0) as (address, _), opened(chromium) as (page, _):
        page.goto(address)
        canvas = choose(page, "first")
        page.locator("canvas[data-held='3']").wait_for(timeout=60_000)
        for key in ("n", "n", "n", "p", "a"):  # one goes, the others wait together, the decision does not
            canvas.press(key)
        said = page.locator(".reader-busy")
        said.filter(has_text="Another study is opening").filter(has_text="Accept was not taken").wait_for()
        page.get_by_text("Done: turn, True, False, level 40, steps 1.").nth(1).wait_for(timeout=30_000)
        page.locator("canvas[data-waiting='']").wait_for(timeout=30_000)
        assert page.get_by_text("Done:").count() == 2
        canvas.press("d")
        canvas.press("a")
        said.filter(has_text="Accept was not taken: defer comes first").wait_for()
        page.get_by_text("Done: defer").wait_for(timeout=30_000)
        page.wait_for_timeout(2500)
        assert page.get_by_text("Done:").count() == 3
        canvas.press("ArrowDown")
        assert not said.is_visible()
