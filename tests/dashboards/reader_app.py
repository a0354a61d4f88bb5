"""The reader on a phantom of known values, served by itself for tests and the benchmark: `streamlit run`.

READER_SHAPE is slices, rows, columns; READER_PLAIN leaves out what is not known of many files, and
READER_SLOW_S has each act take so long; READER_MARKED marks so many structures, as a study's own files do.
"""

import os
import time

import numpy as np
import streamlit as st

from mainstem.dashboards.components.reader import Overlay, Panel, Picture, Slice, Window, content_key, reader

SLICES, ROWS, COLUMNS = (int(size) for size in os.environ.get("READER_SHAPE", "28,512,512").split(","))
IS_PLAIN = bool(os.environ.get("READER_PLAIN"))
MARKED = int(os.environ.get("READER_MARKED", "0"))
SLOW_S = float(os.environ.get("READER_SLOW_S", "0"))  # that an act is at work


@st.cache_resource
def phantom() -> np.ndarray:
    """A ball of 60 HU in air on a ramp along x, a step of 10 HU a slice, noise of 20 HU: (z, y, x) int16."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    noise = rng.normal(0, 20, (ROWS, COLUMNS))
    volume = np.empty((SLICES, ROWS, COLUMNS), np.int16)
    for index in range(SLICES):
        radius = 0.3 + 0.5 * np.sin(np.pi * (index + 0.5) / SLICES)
        volume[index] = np.where(x**2 + y**2 < radius**2, 60 + 20 * x + noise, -1000 + 10 * index)
    return volume


@st.cache_resource
def picture(name: str) -> Picture:
    volume = phantom()
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    heat = (255 * np.exp(-8 * ((x - 0.2) ** 2 + y**2))).astype(np.uint8)
    mask = np.where((x + 0.2) ** 2 + y**2 < 0.02, 1, np.where((x + 0.4) ** 2 + y**2 < 0.02, 2, 0)).astype(np.uint8)
    key = content_key(name, volume.tobytes()[:4096])
    overlays = (
        Overlay(key=f"{key} mask", title="Mask", names=("one", "other"), planes=dict.fromkeys(range(SLICES), mask)),
        Overlay(key=f"{key} heat", title="Heatmap", planes=dict.fromkeys(range(SLICES), heat)),
    )
    for first in range(0, MARKED, 8):
        plane = np.zeros((ROWS, COLUMNS), np.uint8)
        for label in range(1, min(MARKED - first, 8) + 1):
            at = 6 * (first + label)
            plane[at : at + 5, 6:30] = label
        names = tuple(f"marked {first + label}" for label in range(1, min(MARKED - first, 8) + 1))
        planes = dict.fromkeys(range(SLICES), plane)
        overlays += (Overlay(key=f"{key} {first}", title="By the file", names=names, planes=planes, is_told=False),)
    known = {} if IS_PLAIN else {
        "unit": "HU", "spacing_mm": (0.5, 0.25), "positions_mm": tuple(2.5 * index for index in range(SLICES)),
        "directions": np.eye(3),
    }  # fmt: skip
    windows = (
        Window(name="the file's own", width=400, level=40, key="0"),
        Window(name="brain", width=80, level=40, key="1"),
        Window(name="wide", width=435200, level=-12346.2, key="3"),
        Window(name="table", width=2, level=-989, key="2", greys=(77, 200)),  # of -990 and -989
    )
    return Picture(
        key=key, rows=ROWS, columns=COLUMNS, num_slices=SLICES, read=lambda index: Slice(stored=volume[index]),
        windows=windows, is_inverted=IS_PLAIN, overlays=overlays, **known,
    )  # fmt: skip


@st.fragment
def show(name: str) -> None:
    panel = Panel(
        title="What the model says", lines=(("warn", "unsure: one or other"), ("quiet", "<b>as text</b>")),
        acts=(("accept", "Accept", "a"), ("defer", "Defer", "d")),
    )  # fmt: skip
    done = reader(picture(name), panel, "reader")
    if done is not None:
        time.sleep(SLOW_S)
        st.session_state["done"] = [*st.session_state.get("done", []), done]
        st.rerun(scope="fragment")
    for done in st.session_state.get("done", []):
        st.write(f"Done: {done.name}, {done.mask}, {done.heatmap}, level {done.window[0]:g}, steps {done.steps}.")


st.set_page_config(layout="wide", page_icon=None)
study = st.radio("Study", ["", "first", "second"], horizontal=True)
if study:
    show(study)
