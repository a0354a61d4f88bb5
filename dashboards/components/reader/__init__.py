"""A study's slices on a canvas, in 16 bits: the middle one comes first, the rest in chunks as the browser asks."""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.medical.dicom_geometry import letters

FOLDER = Path(__file__).parent
SCRIPTS = ("volumes.js", "drawing.js", "measures.js", "acts.js", "controls.js", "panel.js", "reader.js")
SENT = "reader_sent"  # session key: studies whose first slice the browser was given
TAKEN = "reader_taken"  # session key: number of the act that was handed on last
TURN = "turn"  # act: to another study, so many steps on in the list
MOST_A_CHUNK = 8 << 20  # bytes; the browser asks for half as much
KINDS = {"int16": "i2", "uint16": "u2", "uint8": "u1"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """Pixels of one slice, (y, x) int16, uint16 or uint8, or (y, x, 3) uint8; a value is slope * stored + intercept."""

    stored: NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window to look through, in the picture's unit, and the key that sets it.

    Attributes:
        greys: 0 to 255, of whole values from `level` less half of the width on; none of a straight line.
    """

    name: str
    width: float
    level: float
    key: str
    greys: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """What is laid over the slices: a mask (0 nothing, 1 ... a name each) or a heatmap (0 to 255).

    Attributes:
        key: of its contents.
        planes: (y, x) uint8 by slice; a slice without one holds nothing.
        names: of a mask's labels; none for a heatmap.
        colours: of the names, #rrggbb where a file recommends one; else each has its own.
        is_told: by a model; False of what the study's own files mark.
    """

    key: str
    title: str
    planes: Mapping[int, NDArray[np.uint8]]
    names: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    is_told: bool = True

    @property
    def kind(self) -> str:
        """As which it is shown, put on and off, and noted as seen."""
        return "contours" if not self.is_told else "mask" if self.names else "heatmap"


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What the reader shows of a study.

    Attributes:
        key: of its contents; what the browser holds under it is never sent again.
        read: stored pixels of a slice, decoded as they are asked for.
        unit: of the values, "HU" or "" where it is not known.
        spacing_mm: of rows and columns; None where it is not known, and then nothing is told in mm.
        positions_mm: of the slices along their normal; empty where not known.
        directions: (3, 3), columns x, y, z of the array as unit vectors in patient coordinates (LPS); None if unknown.
        windows: to choose from; the first is shown.
        is_inverted: small values are bright (MONOCHROME1).
        is_exact: values are no whole numbers (the linear function of windows is then the exact one).
    """

    key: str
    rows: int
    columns: int
    num_slices: int
    read: Callable[[int], Slice]
    unit: str = ""
    spacing_mm: tuple[float, float] | None = None
    positions_mm: tuple[float, ...] = ()
    directions: NDArray[np.float64] | None = None
    windows: tuple[Window, ...] = ()
    is_inverted: bool = False
    is_exact: bool = False
    overlays: tuple[Overlay, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Words on the canvas, and what may be done by button or key: (name of the act, its label, its key)."""

    title: str
    lines: tuple[tuple[str, str], ...] = ()  # (state: "", "warn", "good" or "quiet"; text)
    folded: tuple[str, ...] = ()  # of each model that does not apply its name and why, behind one line that counts them
    acts: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Slices and planes of overlays (key, slice) that the browser asks for."""

    slices: tuple[int, ...] = ()
    planes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Act:
    """What was done on the canvas, and what was seen meanwhile.

    Attributes:
        name: of an act of the panel, or TURN.
        key: of the picture that it was done on.
        mask: whether one was shown at any time.
        heatmap: likewise.
        window: level and width.
        seconds: that the study was open.
        num: of the act; one is handed on once, however often the browser sends it.
        steps: of a TURN, backwards below 0.
    """

    name: str
    key: str
    mask: bool
    heatmap: bool
    window: tuple[float, float]
    seconds: float
    num: int = 0
    steps: int = 0


def edges(directions: NDArray[np.float64] | None) -> dict[str, str]:
    """Letters at the four edges of a slice; none where the directions are not known."""
    if directions is None:
        return {}
    along, down = directions[:, 0], directions[:, 1]
    return {"left": letters(-along), "right": letters(along), "top": letters(-down), "bottom": letters(down)}


def pack(picture: Picture, panel: Panel, wanted: Wanted, taken: int = 0) -> bytes:
    """Return the payload that volumes.js reads, whose first lines say how it is laid out; `taken` is the act's number.

    Raises:
        InputError: if a slice does not have the picture's shape.
    """
    slices, arrays = [], []
    for index in wanted.slices:
        one = picture.read(index)
        _check(picture, one.stored, index)
        slices.append({"slice": index, "kind": KINDS[one.stored.dtype.name], "slope": one.slope,
                       "intercept": one.intercept, "colour": one.stored.ndim == 3})  # fmt: skip
        arrays.append(one.stored)
    planes = []
    by_key = {overlay.key: overlay for overlay in picture.overlays}
    for key, index in wanted.planes:
        held = by_key[key].planes.get(index) if key in by_key else None
        if held is not None:
            box, part = _cropped(held)
            planes.append({"overlay": key, "slice": index, "box": box})
            arrays.append(part)
    header = {**_told(picture), "slices": slices, "planes": planes, "panel": vars(panel), "taken": taken}
    text = json.dumps(header, allow_nan=False).encode()
    parts = [struct.pack("<I", len(text)), text, b"\0" * (-(4 + len(text)) % 4)]
    for array in arrays:
        parts += [np.ascontiguousarray(array).tobytes(), b"\0" * (-array.nbytes % 4)]
    return b"".join(parts)


def _told(picture: Picture) -> dict[str, Any]:
    """What the header says of a picture."""
    return {
        "key": picture.key, "rows": picture.rows, "columns": picture.columns, "count": picture.num_slices,
        "unit": picture.unit, "spacing": picture.spacing_mm, "positions": picture.positions_mm,
        "edges": edges(picture.directions), "windows": [vars(window) for window in picture.windows],
        "inverted": picture.is_inverted, "exact": picture.is_exact,
        "overlays": [
            {"key": one.key, "title": one.title, "names": one.names, "colours": one.colours, "kind": one.kind,
             "held": sorted(one.planes)}
            for one in picture.overlays
        ],
    }  # fmt: skip


def _check(picture: Picture, stored: NDArray[Any], index: int) -> None:
    sides, is_known = (picture.rows, picture.columns), stored.dtype.name in KINDS
    if stored.shape[:2] != sides or stored.ndim not in (2, 3) or not is_known:
        raise InputError(
            f"slice {index + 1} is {stored.shape} {stored.dtype}, want {sides} of 8 or 16 bits; the series is damaged"
        )


def _cropped(plane: NDArray[np.uint8]) -> tuple[list[int], NDArray[np.uint8]]:
    """The part that holds anything, and where it lies: left, top, width, height."""
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    if not len(rows):
        return [0, 0, 0, 0], plane[:0, :0]
    part = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return [int(columns[0]), int(rows[0]), part.shape[1], part.shape[0]], part


def read_request(text: str, picture: Picture) -> Wanted:
    """Read what the browser asks for; nothing where it asks for another picture, or more than a chunk."""
    try:
        asked = json.loads(text)
        if asked["key"] != picture.key:
            return Wanted()
        slices = tuple(int(index) for index in asked["slices"] if 0 <= int(index) < picture.num_slices)
        planes = tuple((str(key), int(index)) for key, index in asked["planes"])
    except (ValueError, KeyError, TypeError):
        return Wanted()
    most = max(MOST_A_CHUNK // (picture.rows * picture.columns * 2), 1)
    return Wanted(slices=slices[:most], planes=planes[: 4 * most])


def read_act(text: str) -> Act | None:
    """Read what was done on the canvas; None where nothing was."""
    try:
        told = json.loads(text)
        level, width = (float(end) for end in told["window"])
        return Act(
            name=str(told["act"]), key=str(told["key"]), mask=bool(told["mask"]), heatmap=bool(told["heatmap"]),
            window=(level, width), seconds=float(told["seconds"]), num=int(told["num"]), steps=int(told["steps"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return None


def reader(picture: Picture, panel: Panel, key: str) -> Act | None:
    """Draw a picture, and send what the browser asks for of it; return what was just done on the canvas, once.

    Mount it in a fragment: each chunk is a run of its own. After an act draw it again, whatever became of the act:
    that tells the browser that it was taken, which until then says that it waits and takes no other.
    """
    mount = st.components.v2.component(
        "mainstem_reader",
        html=(FOLDER / "reader.html").read_text(),
        css=(FOLDER / "reader.css").read_text(),
        js="\n".join((FOLDER / name).read_text() for name in SCRIPTS),
    )
    state = st.session_state.get(key) or {}
    sent: set[str] = st.session_state.setdefault(SENT, set())
    wanted = read_request(str(state.get("wanted") or ""), picture)
    if picture.key not in sent:
        wanted = Wanted(slices=(picture.num_slices // 2,))
        sent.add(picture.key)
    result = mount(
        key=key, data=pack(picture, panel, wanted, st.session_state.get(TAKEN, 0)), height="content",
        on_wanted_change=lambda: None, on_act_change=lambda: None,
    )  # fmt: skip
    act = read_act(str(result.act or ""))
    if act is None or act.num == st.session_state.get(TAKEN):
        return None
    st.session_state[TAKEN] = act.num
    return act


def content_key(*parts: bytes | str | Sequence[float]) -> str:
    """Return a key of contents."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"|")
    return digest.hexdigest()[:20]
