"""The map by itself on shapes of known places, served for tests and the benchmark: `streamlit run`.

MAP_KIND is "squares" (MAP_SIDE squared), "counties" (the mirror's), "fields" (MAP_SIDE squared octagons
over a raster) or "places" (points with names); MAP_PAIR shows two maps that are linked.
"""

import os

import geopandas as gpd
import numpy as np
import streamlit as st
from shapely.geometry import Point, Polygon, box

from mainstem.dashboards.components.fieldmap import (
    HATCHED,
    Geometry,
    Layer,
    MapContent,
    Raster,
    fieldmap,
    pack_geometry,
)
from mainstem.dashboards.palette import colours, ramp

KIND, SIDE = os.environ.get("MAP_KIND", "squares"), int(os.environ.get("MAP_SIDE", "10"))
US, UTM = "EPSG:5070", "EPSG:32631"
LEFT, TOP, CELL_M, PIXELS = 400_000.0, 5_000_000.0, 140.0, 512


def squares() -> gpd.GeoDataFrame:
    """Squares of 60 km around Iowa, a state's line among them."""
    shapes = [box(60e3 * c, 60e3 * r, 60e3 * (c + 1), 60e3 * (r + 1)) for r in range(SIDE) for c in range(SIDE)]
    frame = gpd.GeoDataFrame(geometry=shapes, crs=US)
    frame.geometry = frame.geometry.translate(-30e3 * SIDE + 200e3, 2.0e6 - 30e3 * SIDE)
    return frame


def fields() -> gpd.GeoDataFrame:
    """Octagons of 1.7 ha in rows."""
    angles = 2 * np.pi * (np.arange(8) + 0.5) / 8
    octagon = np.column_stack([np.cos(angles), np.sin(angles)]) * 0.45 * CELL_M
    middles = [(LEFT + CELL_M * (c + 0.5), TOP - CELL_M * (r + 0.5)) for r in range(SIDE) for c in range(SIDE)]
    return gpd.GeoDataFrame(geometry=[Polygon(octagon + middle) for middle in middles], crs=UTM)


def counties() -> gpd.GeoDataFrame:
    """Counties of the contiguous United States."""
    from mainstem.data.catalogue import pull
    from mainstem.data.earth.vectors import read_vectors

    frame = read_vectors(pull("us-counties") / "gz_2010_us_050_00_20m.shp")
    return frame[~frame["STATE"].isin(["02", "15", "72"])].reset_index(drop=True)[["geometry"]]


def places() -> gpd.GeoDataFrame:
    """Six places in the Netherlands."""
    at = [(5.1, 52.1), (4.9, 52.4), (6.6, 53.2), (5.7, 50.9), (4.5, 51.9), (5.8, 53.2)]
    return gpd.GeoDataFrame(geometry=[Point(*one) for one in at], crs="EPSG:4326")


@st.cache_resource
def geometry() -> Geometry:
    frame, crs = {"fields": (fields, UTM), "counties": (counties, US), "places": (places, UTM)}.get(KIND, (squares, US))
    outlines = frame()
    outlines.index = [f"r{n}" for n in range(len(outlines))]
    return pack_geometry(outlines, None, crs)


def content(packed: Geometry, link: str) -> MapContent:
    """Values 0, 1, 2 ... a region, in a layer whose colours of all seasons run twice as far; a raster along x."""
    num = len(packed.ids)
    values = np.arange(num, dtype=np.float32) * 10 / max(num - 1, 1)
    noise = np.random.default_rng(0).random(num)
    layers = [
        Layer(rgba=colours(values.astype(float), 0, 10, "viridis"), title="yield", low="0.0", high="10.0 t/ha",
              ramp=ramp("viridis"), values=values, ends=(0, 10), fixed=(0, 20), unit="t/ha"),
        Layer(rgba=colours(noise, 0, 1, "plasma"), title="doubt", low="0", high="1", ramp=ramp("plasma")),
    ]  # fmt: skip
    if KIND == "fields":
        codes = np.tile(np.linspace(1, 255, PIXELS).astype(np.uint8), (PIXELS, 1))
        bounds = (LEFT, TOP - SIDE * CELL_M, LEFT + SIDE * CELL_M, TOP)
        raster = Raster(pixels=codes, bounds=bounds, interval=(codes // 2 + 1, codes), level=0.9)
        layers.append(
            Layer(rgba=np.zeros((num, 4), np.uint8), title="by pixel", low="0.0", high="10.0 t/ha",
                  ramp=ramp("viridis"), raster=raster, ends=(0, 10), unit="t/ha")
        )  # fmt: skip
    hatched = os.environ.get("MAP_HATCHED", "3")
    flags = np.where(np.arange(num) % int(hatched) == 0, HATCHED, 0).astype(np.uint8)
    names = [f"Place {n}" for n in range(num)] if KIND == "places" else []
    labels = [f"{one}: {value:.1f} t/ha, 90% between {value - 1:.1f} and {value + 1:.1f}" for one, value in
              zip(packed.ids, values.tolist(), strict=True)]  # fmt: skip
    return MapContent(
        name=KIND, layers=layers, flags=flags, labels=labels, selected=st.session_state.get("chosen", ""), names=names,
        is_drawable=KIND == "fields", link=link, view=os.environ.get("MAP_VIEW", ""),
        found=(("r7",), 1) if st.session_state.get("finding") else None,
    )  # fmt: skip


def choose(region: str) -> None:
    st.session_state["chosen"] = region


st.set_page_config(page_title="Map", layout="wide")
packed = geometry()
st.button("Find", key="finding")
if os.environ.get("MAP_PAIR"):
    for column, key in zip(st.columns(2), ("left", "right"), strict=True):
        with column:
            fieldmap(packed, content(packed, "pair"), key, choose)
else:
    drawn = fieldmap(packed, content(packed, ""), "map", choose, None, lambda view: st.session_state.update(view=view))
    st.text(f"chosen {st.session_state.get('chosen', '')} view {st.session_state.get('view', '')} drawn {drawn}")
