"""The field page with 20,000 fields over a raster: drawn, recoloured, dragged, in Chromium without WebGL."""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

NUM_SIDE, CELL, SIDE = 142, 14, 2000  # 142 x 142 fields of 14 pixels a cell on 2,000 x 2,000 pixels
NUM_FIELDS = 20_000
DRAGS, STEPS = 4, 40
NOTE_FRAMES = """
window.frames_ms = [];
window.noteFrames = () => { let last = performance.now(); const step = (now) => {
  if (!window.noting) return; window.frames_ms.push(now - last); last = now; requestAnimationFrame(step); };
  window.noting = true; requestAnimationFrame((now) => { last = now; requestAnimationFrame(step); }); };
"""


def write_large_map(folder: Path, num_fields: int = NUM_FIELDS) -> None:
    """A map folder as `mainstem map` leaves it, of many octagonal fields; values are drawn."""
    import geopandas as gpd
    from pyproj import CRS
    from shapely.geometry import Polygon

    from mainstem.apps.field_exports import write_fields
    from mainstem.data.earth.cog import write_cog
    from mainstem.data.earth.raster import Grid

    rng = np.random.default_rng(0)
    grid = Grid(
        width=SIDE,
        height=SIDE,
        transform=(10.0, 0, 400_000.0, 0, -10.0, 5_000_000.0),
        crs=CRS.from_epsg(32631).to_wkt(),
    )
    mean = 8 + np.cumsum(np.cumsum(rng.normal(0, 0.004, (SIDE, SIDE)), 0), 1).clip(-4, 4)
    bands = np.stack([mean, mean - 1, mean + 1]).astype(np.float32)
    names = ["mean", "lower", "upper"]
    tags = {
        "UNITS": "t/ha", "LEVEL": "0.9", "CLAIM": "stated", "CLAIM_REASON": "", "ADAPTER": "crop-yield pixel 1",
        "TRAINING": "simulated", "INPUTS": "simulated", "ATTRIBUTION": "drawn for a benchmark", "DATES": "2021-06-01",
    }  # fmt: skip
    folder.mkdir(parents=True)
    write_cog(iter([(0, 0, bands)]), folder / "map.tif", grid, names, tags)
    corners = 2 * np.pi * (np.arange(8) + 0.5) / 8
    octagon = np.column_stack([np.cos(corners), np.sin(corners)]) * 10 * (CELL / 2 - 0.7)
    shapes = []
    for index in range(num_fields):
        row, column = divmod(index, NUM_SIDE)
        middle = (400_000 + 10 * CELL * (column + 0.5), 5_000_000 - 10 * CELL * (row + 0.5))
        shapes.append(Polygon(octagon + middle))
    values = rng.normal(8, 1.5, num_fields)
    table = gpd.GeoDataFrame(
        {
            "field": [f"f{index}" for index in range(num_fields)], "area_ha": 1.7, "seen_share": 1.0, "mean": values,
            "lower": values - 1, "upper": values + 1, "units": "t/ha", "level": 0.9, "claim": "stated", "reason": "",
            "training": "simulated", "attribution": "drawn for a benchmark",
        },
        geometry=shapes, crs="EPSG:32631",
    )  # fmt: skip
    write_fields(table, folder)
    notes = {"names": names, "tags": tags, "dates": [], "layers": {}, "fields": None, "mean_factor": 1.0}
    (folder / "notes.json").write_text(json.dumps(notes))


def bench_fields(num_fields: int = NUM_FIELDS) -> dict[str, float]:
    """Times of the page itself: drawn after the script's end, recoloured, and the frames of a drag."""
    from tests.benchmarks.__main__ import NOTE_STATES
    from tests.dashboards.browser import opened, recolour_ms, served

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the field page's benchmark needs Chromium: apt-get install chromium")
    drawn: list[float] = []
    recoloured: list[float] = []
    frames: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["MAINSTEM_HOME"] = home
        from mainstem.apps.field_maps import maps_folder

        write_large_map(maps_folder() / "large", num_fields)
        with served(Path(home)) as address:
            for _ in range(4):
                with opened(chromium) as (page, outside):
                    page.add_init_script(NOTE_STATES + NOTE_FRAMES)
                    page.goto(f"{address}/field_map")
                    canvas = page.locator("canvas[data-stamp]")
                    canvas.wait_for(timeout=120_000)
                    page.wait_for_function("window.states.at(-1)[1] === 'notRunning'", timeout=60_000)
                    painted = float(canvas.get_attribute("data-painted-ms") or "nan")
                    drawn.append(max(painted - float(page.evaluate("window.states.at(-1)[0]")), 0.0))
                    for layer in ("interval by field", "yield by pixel", "interval by pixel", "yield by field"):
                        recoloured.append(recolour_ms(page, layer))
                    frames += _drag(page, canvas)
                    assert outside == [], outside
    return {
        "fields": float(num_fields),
        "drawn_after_script_ms": median(drawn[1:]),
        "recolour_ms": median(recoloured),
        "recolour_worst_ms": max(recoloured),
        "drag_p50_ms": float(np.percentile(frames, 50)),
        "drag_p95_ms": float(np.percentile(frames, 95)),
        "outside_requests": 0.0,
    }


def _drag(page, canvas) -> list[float]:  # type: ignore[no-untyped-def]
    """Milliseconds between the frames of a few drags."""
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate("window.frames_ms = []; window.noteFrames()")
    for _ in range(DRAGS):
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(STEPS):
            page.mouse.move(x + 2 * step, y + step)
            time.sleep(0.016)
        page.mouse.up()
    page.evaluate("window.noting = false")
    return [float(value) for value in page.evaluate("window.frames_ms")]
