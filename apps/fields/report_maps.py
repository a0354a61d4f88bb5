"""Maps of a report drawn on a page: cells or areas in even colours, border, labels, scale bar and legend."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.fields.report_canvas import BOLD, FADED, INK, LEAST, LINE, PLAIN, SMALL, cut, text_block
from mainstem.apps.fields.report_pages import Picture, in_words

NOTHING = (0.94, 0.94, 0.94)
VIRIDIS = (  # nine even stops of matplotlib's table (van der Walt & Smith 2015): even and safe for colour-blind eyes
    "440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725",
)  # fmt: skip
DRAWN_TO = 1 / 1500  # of a map's width: borders are drawn no finer
LONGEST_LINE = 0.35  # share of a map's width that the scale bar may take
FINE = 600  # pixels a side that a raster is enlarged to, so that no viewer blurs its cells


def draw_picture(canvas: Any, picture: Picture, frame: tuple[float, float, float, float]) -> float:  # noqa: ANN401
    """Draw a map into (left, top, width, height): title, cells or areas, border, scale bar, legend; return its end."""
    left, top, width, height = frame
    top = text_block(canvas, picture.title, (left, top, width), (PLAIN, LEAST), FADED, 2) - 2
    west, south, east, north = picture.bounds
    scale = min(width / (east - west), height / (north - south))
    wide, high = (east - west) * scale, (north - south) * scale
    low = top - high

    def at(places: NDArray[np.float64]) -> NDArray[np.float64]:
        moved: NDArray[np.float64] = (places - (west, south)) * scale + (left, low)
        return moved

    if picture.raster is not None:
        from reportlab.lib.utils import ImageReader

        canvas.drawImage(ImageReader(_image(picture.raster, picture.ends)), left, low, wide, high)
    border = picture.border.simplify((east - west) * DRAWN_TO)
    for polygon, value, _ in picture.areas:
        polygon = polygon.simplify((east - west) * DRAWN_TO)
        canvas.setFillColorRGB(*_colour(value, picture.ends))
        _outline(canvas, polygon, at, fill=True)
    if picture.is_doubtful:
        _hatch(canvas, border, at, (left, low, wide, high))
    canvas.setLineWidth(1.2)
    _outline(canvas, border, at, fill=False)
    for polygon, _, label in picture.areas:
        if label:
            _label(canvas, label, at(np.array([polygon.representative_point().coords[0]]))[0])
    _scale_bar(canvas, (left, low - 12), scale, width)
    return _legend(canvas, picture, (left + width * 0.5, low - 12, width * 0.5)) - 4


def _image(values: NDArray[np.float64], ends: tuple[float, float]) -> Any:  # noqa: ANN401 - Pillow's
    """Cells as a picture, each enlarged to whole pixels."""
    from PIL import Image

    rgb = _colours(values, ends)
    times = max(FINE // max(values.shape), 1)
    pixels = np.round(255 * rgb).astype(np.uint8).repeat(times, 0).repeat(times, 1)
    return Image.fromarray(pixels)


def _colours(values: NDArray[np.float64], ends: tuple[float, float]) -> NDArray[np.float64]:
    """Red, green and blue, 0-1, of values of any shape; NOTHING where there is none."""
    stops = np.array([[int(stop[at : at + 2], 16) / 255 for at in (0, 2, 4)] for stop in VIRIDIS])
    share = np.clip((values - ends[0]) / max(ends[1] - ends[0], 1e-12), 0, 1) * (len(stops) - 1)
    found = np.stack([np.interp(share, np.arange(len(stops)), stops[:, channel]) for channel in range(3)], axis=-1)
    return np.where(np.isfinite(values)[..., None], found, NOTHING)


def _colour(value: float, ends: tuple[float, float]) -> tuple[float, float, float]:
    red, green, blue = _colours(np.array(value), ends).tolist()
    return red, green, blue


def _path(canvas: Any, polygon: Any, at: Any) -> Any:  # noqa: ANN401 - reportlab's and shapely's
    path = canvas.beginPath()
    for part in getattr(polygon, "geoms", [polygon]):
        for ring in (part.exterior, *part.interiors):
            places = at(np.asarray(ring.coords)[:, :2])
            path.moveTo(*places[0])
            for place in places[1:]:
                path.lineTo(*place)
            path.close()
    return path


def _outline(canvas: Any, polygon: Any, at: Any, fill: bool) -> None:  # noqa: ANN401 - reportlab's and shapely's
    canvas.setStrokeColorRGB(*((0.45, 0.48, 0.45) if fill else INK))
    if fill:
        canvas.setLineWidth(0.4)
    canvas.drawPath(_path(canvas, polygon, at), stroke=1, fill=int(fill), fillMode=0)  # holes stay open: even-odd


def _hatch(canvas: Any, border: Any, at: Any, frame: tuple[float, float, float, float]) -> None:  # noqa: ANN401
    """Lines over what nothing is claimed of."""
    left, low, wide, high = frame
    canvas.saveState()
    canvas.clipPath(_path(canvas, border, at), stroke=0, fill=0, fillMode=0)
    for ink, width in (((1, 1, 1), 1.6), (INK, 0.5)):  # one of the two stands out from every colour
        canvas.setStrokeColorRGB(*ink)
        canvas.setLineWidth(width)
        for start in np.arange(left - high, left + wide, 7.0):
            canvas.line(start, low, start + high, low + high)
    canvas.restoreState()


def _label(canvas: Any, label: str, place: NDArray[np.float64]) -> None:  # noqa: ANN401 - reportlab's
    """A number on an area, on a white disc that stands out from every colour."""
    canvas.setFillColorRGB(1, 1, 1)
    canvas.setStrokeColorRGB(*INK)
    canvas.setLineWidth(0.6)
    canvas.circle(place[0], place[1], 7, stroke=1, fill=1)
    canvas.setFillColorRGB(*INK)
    canvas.setFont(BOLD, SMALL)
    canvas.drawCentredString(place[0], place[1] - SMALL * 0.35, cut(canvas, label, BOLD, SMALL, 14))


def _scale_bar(canvas: Any, place: tuple[float, float], scale: float, wide: float) -> None:  # noqa: ANN401
    """A bar of 1, 2 or 5 times a power of ten metres."""
    most = LONGEST_LINE * wide / scale
    power = 10.0 ** np.floor(np.log10(most))
    length = power * max(step for step in (1, 2, 5) if step * power <= most)
    canvas.setStrokeColorRGB(*INK)
    canvas.setFillColorRGB(*INK)
    canvas.setLineWidth(1.2)
    canvas.line(place[0], place[1], place[0] + length * scale, place[1])
    canvas.setFont(PLAIN, LEAST)
    told = f"{length:.0f} m" if length < 1000 else f"{length / 1000:.0f} km"
    canvas.drawString(place[0], place[1] - LEAST - 2, f"{told}, north is up")


def _legend(canvas: Any, picture: Picture, place: tuple[float, float, float]) -> float:  # noqa: ANN401
    """The ramp with its ends; of hatched maps what the lines mean."""
    left, top, width = place
    steps = np.linspace(*picture.ends, 60)
    for number, value in enumerate(steps):
        canvas.setFillColorRGB(*_colour(float(value), picture.ends))
        canvas.rect(left + number * width / 60, top - 2, width / 60 + 0.3, 7, stroke=0, fill=1)
    canvas.setFillColorRGB(*INK)
    canvas.setFont(PLAIN, LEAST)
    first, last = (f"{end:.0f}" if picture.is_whole else in_words(end) for end in picture.ends)
    canvas.drawString(left, top - LEAST - 2, first)
    canvas.drawRightString(left + width, top - LEAST - 2, last)
    top -= LEAST * LINE + 4
    if picture.is_doubtful:
        canvas.drawString(left, top - LEAST, "hatched: no claim")
        top -= LEAST * LINE
    return top
