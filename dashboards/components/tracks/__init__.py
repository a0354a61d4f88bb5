"""Sensors of a robot over one clock, on a canvas: streams, attitude, path and health; arrays are sent once each."""

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
SCRIPTS = ("data.js", "theme.js", "lanes.js", "body.js", "places.js", "panel.js", "controls.js", "tracks.js")
SENT = "tracks_sent"  # session key: arrays that the browser was given
MOST_SENT = 160  # that it keeps beside those shown
Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Style = Literal["estimate", "classical", "reference", "readings"]


def key_of(values: Floats) -> str:
    """Return a key of an array's contents."""
    return hashlib.sha256(values.tobytes()).hexdigest()[:20]


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """An array as it is sent, under a key of its contents."""

    values: Floats
    key: str

    @classmethod
    def of(cls, values: Array) -> "Packed":
        """Round values (...) to float32, in one row; what it cannot hold is no value."""
        with np.errstate(over="ignore"):
            flat = np.ascontiguousarray(values, np.float32).ravel()
        flat[np.isinf(flat)] = np.nan
        return cls(values=flat, key=key_of(flat))


@dataclass(frozen=True, kw_only=True)
class Injected:
    """A fault as it is drawn over its lane."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Lane:
    """One sensor's readings: times (n,) s, never backwards, and values (n, channels)."""

    title: str
    unit: str
    channels: tuple[str, ...]
    rate_hz: float
    times: Packed
    values: Packed
    fault: Injected | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """An attitude over time: quaternions (n, 4), earth from body, NaN where it is not known.

    `radius_deg` (n,) holds 90 % of rotations, `halves_deg` (n, 3) are half widths of roll, pitch and yaw at 90 %,
    `error_deg` (n,) is the angle to the reference; None where there is none.
    """

    name: str
    style: Style
    times: Packed
    quat: Packed
    radius_deg: Packed | None = None
    halves_deg: Packed | None = None
    error_deg: Packed | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Way:
    """A path: east and north (n, 2) m; `ellipses` (n, 3) are semi-axes m and the first one's angle rad, at 90 %."""

    name: str
    style: Style
    times: Packed
    xy: Packed
    ellipses: Packed | None = None


@dataclass(frozen=True, kw_only=True)
class HealthLane:
    """What is said of one sensor: spans (from, to, word) without a hole."""

    title: str
    spans: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What the canvas shows.

    Attributes:
        recording: key of the recording: the window and the cursor stay while it does.
        span: first and last time, s.
        up: where the path's axes point, in words.
        says: what stands behind the status line at any time.
        jump: changes where the page moves the cursor.
    """

    recording: str
    span: tuple[float, float]
    lanes: tuple[Lane, ...]
    tracks: tuple[Track, ...] = ()
    ways: tuple[Way, ...] = ()
    up: str = "north up"
    health: tuple[HealthLane, ...] = ()
    says: str = ""
    cursor: float = 0.0
    jump: int = 0

    def arrays(self) -> dict[str, Packed]:
        """Every array that is shown, by its key."""
        found: list[Packed | None] = []
        for lane in self.lanes:
            found += [lane.times, lane.values]
        for track in self.tracks:
            found += [track.times, track.quat, track.radius_deg, track.halves_deg, track.error_deg]
        for way in self.ways:
            found += [way.times, way.xy, way.ellipses]
        return {one.key: one for one in found if one is not None}


@dataclass(kw_only=True)
class Sent:
    """What a session's browser was given, and the last of its requests that was answered."""

    keys: dict[str, None] = field(default_factory=dict)  # in the order of sending
    request: str = ""


def pack(scene: Scene, sent: Iterable[str]) -> bytes:
    """Return the payload that data.js reads, without the arrays that were sent already."""
    known, arrays = set(sent), scene.arrays()
    new = [one for key, one in arrays.items() if key not in known]
    told = _told(scene)
    digest = hashlib.sha256(json.dumps([told, sorted(arrays)], allow_nan=False).encode()).hexdigest()[:16]
    header = {
        **told, "key": digest, "needs": list(arrays), "cursor": scene.cursor, "jump": scene.jump,
        "arrays": [{"key": one.key, "num": one.values.size} for one in new],
    }  # fmt: skip
    text = json.dumps(header, allow_nan=False).encode()
    parts = [struct.pack("<I", len(text)), text, b"\0" * (-(4 + len(text)) % 4)]
    return b"".join([*parts, *(one.values.tobytes() for one in new)])


def _told(scene: Scene) -> dict[str, Any]:
    """What the header says but for the cursor."""
    return {
        "recording": scene.recording, "span": list(scene.span), "says": scene.says, "up": scene.up,
        "lanes": [
            {"title": lane.title, "unit": lane.unit, "channels": lane.channels, "times": lane.times.key,
             "rate": lane.rate_hz if math.isfinite(lane.rate_hz) else 0.0, "values": lane.values.key,
             "fault": _fault(lane.fault)}
            for lane in scene.lanes
        ],
        "tracks": [
            {"name": one.name, "style": one.style, "times": one.times.key, "quat": one.quat.key,
             "radius": _key(one.radius_deg), "halves": _key(one.halves_deg), "error": _key(one.error_deg)}
            for one in scene.tracks
        ],
        "paths": [
            {"name": one.name, "style": one.style, "times": one.times.key, "xy": one.xy.key,
             "ellipses": _key(one.ellipses)}
            for one in scene.ways
        ],
        "health": [{"title": one.title, "spans": one.spans} for one in scene.health],
        "aria": f"{len(scene.lanes)} sensors over {scene.span[1] - scene.span[0]:.0f} s. Left and right move the "
        "cursor, with shift ten times as far; plus and minus zoom, 0 shows all, Home and End go to the ends; the panel "
        "of values says the same of the cursor.",
    }  # fmt: skip


def _key(one: Packed | None) -> str | None:
    return None if one is None else one.key


def _fault(fault: Injected | None) -> Mapping[str, Any] | None:
    return None if fault is None else {"word": fault.word, "from": fault.start_s, "to": fault.end_s}


def tracks(scene: Scene, key: str, on_cursor: Callable[[float], None]) -> None:
    """Draw a scene; call `on_cursor` with the time that the cursor was moved to, s, once it rests."""
    mount = st.components.v2.component(
        "mainstem_tracks",
        html=(FOLDER / "tracks.html").read_text(),
        css=(FOLDER / "tracks.css").read_text(),
        js="\n".join((FOLDER / name).read_text() for name in SCRIPTS),
    )
    sent: Sent = st.session_state.setdefault(SENT, Sent())
    request = str((st.session_state.get(key) or {}).get("wanted") or "")
    if request and request != sent.request:  # the browser lacks what it was given, as after the page was loaded again
        sent.keys, sent.request = {}, request
    payload = pack(scene, sent.keys)
    sent.keys |= dict.fromkeys(scene.arrays())
    while len(sent.keys) > MOST_SENT:
        del sent.keys[next(iter(sent.keys))]

    def note() -> None:
        told = (st.session_state.get(key) or {}).get("cursor")
        if isinstance(told, int | float) and math.isfinite(told):
            on_cursor(float(told))

    mount(key=key, data=payload, height="content", on_cursor_change=note, on_wanted_change=lambda: None)
