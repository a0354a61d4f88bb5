"""The map's canvas by itself, without a server: US counties, and 20,000 fields over a raster, in Chromium."""

import shutil
import sys
import time
from collections.abc import Mapping
from statistics import median

import numpy as np

from mainstem.dashboards.components.fieldmap import HATCHED, Geometry, Layer, MapContent, Raster, pack_geometry
from mainstem.dashboards.palette import colours, ramp
from tests.benchmarks.fields import DRAGS, NOTE_FRAMES, STEPS
from tests.dashboards.browser import recolour_ms

NUM_FIELDS, A_ROW, CELL_M, PIXELS = 20_000, 142, 140.0, 2000
LEFT, TOP, UTM, US = 400_000.0, 5_000_000.0, "EPSG:32631", "EPSG:5070"
TURNS, PAUSE_S = 6, 0.016


def counties() -> Geometry:
    """Outlines of the contiguous United States' counties."""
    from mainstem.data.catalogue import pull
    from mainstem.data.earth.vectors import read_vectors

    frame = read_vectors(pull("us-counties") / "gz_2010_us_050_00_20m.shp")
    return pack_geometry(frame[~frame["STATE"].isin(["02", "15", "72"])][["geometry"]], None, US)


def fields() -> Geometry:
    """Octagons of 1.2 ha in rows."""
    import geopandas as gpd
    from shapely.geometry import Polygon

    angles = 2 * np.pi * (np.arange(8) + 0.5) / 8
    octagon = np.column_stack([np.cos(angles), np.sin(angles)]) * 0.45 * CELL_M
    at = [divmod(index, A_ROW) for index in range(NUM_FIELDS)]
    middles = np.array([(LEFT + CELL_M * (column + 0.5), TOP - CELL_M * (row + 0.5)) for row, column in at])
    shapes = [Polygon(octagon + middle) for middle in middles]
    return pack_geometry(gpd.GeoDataFrame(geometry=shapes, crs=UTM), None, UTM)


def content(geometry: Geometry, raster: Raster | None) -> MapContent:
    """Drawn values in two layers and a raster, a third of the claims withheld."""
    num, rng, layers = len(geometry.ids), np.random.default_rng(0), []
    for title, palette, pixels in (
        ("level", "viridis", None),
        ("doubt", "plasma", None),
        ("pixels", "viridis", raster),
    ):
        rgba = colours(rng.normal(8, 1.5, num), 4, 12, palette)
        layers.append(Layer(rgba=rgba, title=title, low="4", high="12", ramp=ramp(palette), raster=pixels))
    flags = np.where(np.arange(num) % 3 == 0, HATCHED, 0).astype(np.uint8)
    labels = [f"{name}: 8.0 t/ha, 90 % between 6.5 and 9.5" for name in geometry.ids]
    return MapContent(name="m", layers=layers[: 3 if raster else 2], flags=flags, labels=labels)


def bench_canvas() -> dict[str, float]:
    """Milliseconds of the first drawing, from a click to new colours, and between the frames of a drag and a zoom."""
    from tests.dashboards.map_page import chromium_of

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the canvas's benchmark needs Chromium: apt-get install chromium")
    codes = (1 + np.random.default_rng(0).random((PIXELS, PIXELS)) * 254).astype(np.uint8)
    side = CELL_M * A_ROW
    raster = Raster(pixels=codes, bounds=(LEFT, TOP - side, LEFT + side, TOP))
    found: dict[str, float] = {}
    with chromium_of(chromium) as browser:
        for name, geometry, pixels in (("counties", counties(), None), ("fields", fields(), raster)):
            figures = _figures(browser, geometry, content(geometry, pixels))
            found |= {f"{name}_{key}": value for key, value in figures.items()}
    return found


def _figures(browser, geometry: Geometry, shown: MapContent) -> Mapping[str, float]:  # type: ignore[no-untyped-def]
    from tests.dashboards.map_page import map_page

    titles = [layer.title for layer in shown.layers[1:]] + [shown.layers[0].title]
    with map_page(browser, size=(1280, 1000)) as one:
        one.page.evaluate(NOTE_FRAMES)
        one.send(geometry, shown)
        first = float(one.page.locator("canvas[data-stamp]").get_attribute("data-draw-ms") or "nan")
        recoloured = [recolour_ms(one.page, title) for _ in range(TURNS) for title in titles]
        frames = {what: _frames(one.page, what) for what in ("drag", "zoom")}
        outside = len(one.outside)
    return {
        "polygons": float(len(geometry.ids)), "first_draw_ms": first, "recolour_ms": median(recoloured),
        "recolour_worst_ms": max(recoloured), "drag_p95_ms": float(np.percentile(frames["drag"], 95)),
        "zoom_p95_ms": float(np.percentile(frames["zoom"], 95)), "outside_requests": float(outside),
    }  # fmt: skip


def _frames(page, what: str) -> list[float]:  # type: ignore[no-untyped-def]
    """Milliseconds between the frames of a few drags, or of turns of the wheel."""
    page.evaluate("window.frames_ms = []; window.noteFrames()")
    for turn in range(DRAGS):
        page.mouse.move(640, 420)
        if what == "drag":
            page.mouse.down()
        for step in range(STEPS):
            if what == "drag":
                page.mouse.move(640 + 2 * step, 420 + step)
            else:
                page.mouse.wheel(0, 30 if turn % 2 else -30)
            time.sleep(PAUSE_S)
        if what == "drag":
            page.mouse.up()
    page.evaluate("window.noting = false")
    return [float(value) for value in page.evaluate("window.frames_ms")]
