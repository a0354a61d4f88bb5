"""Pages drawn as PDF: A4, one page each, its fonts inside it."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.fields.report_pages import NOT_FOR, Page, Picture, in_words
from mainstem.core.errors import MissingExtraError
from mainstem.core.plain import plain

WIDE, HIGH, MARGIN = 595.28, 841.89, 42.0  # points of A4 (ISO 216)
TITLE, BIG, TEXT, SMALL, LEAST = 20.0, 26.0, 10.0, 9.0, 8.0  # points; nothing is smaller than LEAST
LINE = 1.35  # of a font's size
INK, FADED, RULE, NOTHING = (0.10, 0.13, 0.11), (0.29, 0.33, 0.30), (0.80, 0.83, 0.80), (0.94, 0.94, 0.94)
VIRIDIS = (  # nine even stops of matplotlib's table (van der Walt & Smith 2015): even and safe for colour-blind eyes
    "440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725",
)  # fmt: skip
FONTS = (  # the widest alphabet that is at hand; reportlab brings Vera
    ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"),
    ("Vera.ttf", "VeraBd.ttf"),
)
PLAIN, BOLD = "MainstemPlain", "MainstemBold"
MAP_WIDE, MAP_HIGH = 300.0, 300.0
MOST_ROWS = 14
GAP = 14.0  # points between columns
DRAWN_TO = 1 / 1500  # of a map's width: borders are drawn no finer
LONGEST_LINE_M = 0.35  # share of a map's width that the scale bar may take
FINE = 600  # pixels a side that a raster is enlarged to, so that no viewer blurs its cells


def pdf_bytes(pages: Sequence[Page], made: str) -> bytes:
    """Pages as one PDF; `made` is the date that is printed on each.

    Raises:
        MissingExtraError: if reportlab is not installed.
    """
    try:
        from reportlab.pdfgen.canvas import Canvas
    except ImportError as error:
        raise MissingExtraError("reportlab", "maps") from error
    _register()
    content = io.BytesIO()
    canvas = Canvas(content, pagesize=(WIDE, HIGH), invariant=1, pageCompression=1)
    canvas.setTitle(_known(pages[0].title if len(pages) == 1 else f"{len(pages)} reports"))
    canvas.setAuthor("Mainstem")
    for page in pages:
        _draw(canvas, page, made)
        canvas.showPage()
    canvas.save()
    return content.getvalue()


def _register() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    if PLAIN in pdfmetrics.getRegisteredFontNames():
        return
    for plain_path, bold_path in FONTS:
        if not plain_path.startswith("/") or Path(plain_path).is_file():
            try:
                fonts = TTFont(PLAIN, plain_path), TTFont(BOLD, bold_path)
            except TTFError:
                continue
            for font in fonts:
                pdfmetrics.registerFont(font)
            return


def _known(text: str) -> str:
    """A text in letters that the font has; others stand by their code, so that no name is an empty box."""
    from reportlab.pdfbase import pdfmetrics

    glyphs = pdfmetrics.getFont(PLAIN).face.charToGlyph
    return "".join(letter if ord(letter) in glyphs else f"U+{ord(letter):04X} " for letter in plain(text))


def _draw(canvas: Any, page: Page, made: str) -> None:  # noqa: ANN401 - reportlab's
    canvas.setFillColorRGB(*INK)
    top = HIGH - MARGIN
    mark = _known(page.mark)
    canvas.setFont(BOLD, SMALL)
    mark_wide = canvas.stringWidth(mark, BOLD, SMALL)
    canvas.drawRightString(WIDE - MARGIN, top - TITLE * 0.8, mark)
    canvas.setFont(BOLD, TITLE)
    canvas.drawString(
        MARGIN, top - TITLE * 0.8, _cut(canvas, page.title, BOLD, TITLE, WIDE - 2 * MARGIN - mark_wide - 12)
    )
    top -= TITLE * LINE
    top = _text(canvas, page.subtitle, (MARGIN, top, WIDE - 2 * MARGIN), (PLAIN, SMALL), FADED, 2)
    top = _rule(canvas, top - 4)
    canvas.setFillColorRGB(*INK)
    canvas.setFont(BOLD, BIG)
    canvas.drawString(MARGIN, top - BIG, _cut(canvas, page.value, BOLD, BIG, WIDE - 2 * MARGIN))
    top -= BIG * LINE
    if page.interval:
        top = _text(canvas, page.interval, (MARGIN, top, WIDE - 2 * MARGIN), (PLAIN, TEXT + 2), INK, 2)
    top = _text(canvas, page.claim, (MARGIN, top - 2, WIDE - 2 * MARGIN), (PLAIN, TEXT), FADED, 3) - 10
    top = _middle(canvas, page, top)
    foot = _foot(canvas, page, made)
    _table(canvas, page, top - 8, foot + 8)


def _middle(canvas: Any, page: Page, top: float) -> float:  # noqa: ANN401 - reportlab's
    """Maps and facts side by side; where there are two maps the facts stand below them."""
    beside = (MARGIN + MAP_WIDE + 24, top, WIDE - 2 * MARGIN - MAP_WIDE - 24)
    if not page.pictures:
        return _facts(canvas, page, (MARGIN, top, WIDE - 2 * MARGIN))
    if len(page.pictures) == 1:
        low = _picture(canvas, page.pictures[0], (MARGIN, top, MAP_WIDE, MAP_HIGH))
        return min(low, _facts(canvas, page, beside))
    half = (WIDE - 2 * MARGIN - 20) / 2
    lows = [
        _picture(canvas, picture, (MARGIN + number * (half + 20), top, half, half))
        for number, picture in enumerate(page.pictures[:2])
    ]
    return _facts(canvas, page, (MARGIN, min(lows) - 6, WIDE - 2 * MARGIN))


def _facts(canvas: Any, page: Page, place: tuple[float, float, float]) -> float:  # noqa: ANN401 - reportlab's
    """Names and values in columns as wide as there is room for."""
    left, top, width = place
    num = 2 if width > 400 else 1
    column, lows = width / num, [top] * num
    for number, (name, value) in enumerate(page.facts):
        at = number % num
        canvas.setFillColorRGB(*FADED)
        canvas.setFont(PLAIN, LEAST)
        canvas.drawString(left + at * column, lows[at] - LEAST, _cut(canvas, name, PLAIN, LEAST, column - 8))
        begin = lows[at] - LEAST * LINE
        lows[at] = _text(canvas, value, (left + at * column, begin, column - 8), (PLAIN, SMALL), INK, 3) - 5
    return min(lows)


def _table(canvas: Any, page: Page, top: float, low: float) -> None:  # noqa: ANN401 - reportlab's
    """As many rows as there is room for; how many more there are is said."""
    if not page.rows:
        return
    step = SMALL * 1.6
    canvas.setFillColorRGB(*INK)
    canvas.setFont(BOLD, TEXT)
    canvas.drawString(MARGIN, top - TEXT, _cut(canvas, page.table_title, BOLD, TEXT, WIDE - 2 * MARGIN))
    top -= TEXT * LINE + 4
    room = max(int((top - low) / step) - 2, 1)
    shown = page.rows[: min(room, MOST_ROWS)]
    ends = _columns(canvas, page, shown)
    for number, row in enumerate([page.header, *shown]):
        base = top - step * (number + 1) + 4
        canvas.setFillColorRGB(*(FADED if number == 0 else INK))
        for index, (cell, (begin, end)) in enumerate(zip(row, ends, strict=True)):
            font, size = PLAIN, LEAST if number == 0 else SMALL
            canvas.setFont(font, size)
            text = _cut(canvas, cell, font, size, end - begin - GAP)
            if index and _is_number(page.rows, index):
                canvas.drawRightString(end - GAP, base, text)
            else:
                canvas.drawString(begin, base, text)
        _rule(canvas, base - 4, thin=True)
    if len(page.rows) > len(shown):
        canvas.setFillColorRGB(*FADED)
        canvas.setFont(PLAIN, LEAST)
        more = f"and {len(page.rows) - len(shown)} more in the table that this report was made from"
        canvas.drawString(MARGIN, top - step * (len(shown) + 2) + 4, more)


def _is_number(rows: Sequence[Sequence[str]], index: int) -> bool:
    return all(" " not in row[index] and row[index][:1].isdigit() for row in rows if row[index])


def _columns(canvas: Any, page: Page, rows: Sequence[Sequence[str]]) -> list[tuple[float, float]]:  # noqa: ANN401
    """Where columns begin and end: by their widest cell, all of the page's width in the end."""
    widths = [
        max(canvas.stringWidth(_known(row[index]), PLAIN, SMALL) for row in [page.header, *rows]) + GAP + 4
        for index in range(len(page.header))
    ]
    room = WIDE - 2 * MARGIN
    longest = max(room / len(widths), room - sum(sorted(widths)[:-1]))
    widths = [min(width, longest) for width in widths]
    scale = room / sum(widths)
    ends = MARGIN + np.concatenate([[0.0], np.cumsum(widths)]) * scale
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


def _foot(canvas: Any, page: Page, made: str) -> float:  # noqa: ANN401 - reportlab's
    """Origin, licence and dates, from the bottom up; return where it begins."""
    lines = [*page.origin, f"{NOT_FOR} Made {made} by Mainstem."]
    wrapped = [part for line in lines for part in _lines(canvas, line, PLAIN, LEAST, WIDE - 2 * MARGIN)[:4]]
    base = MARGIN - 10
    canvas.setFillColorRGB(*FADED)
    canvas.setFont(PLAIN, LEAST)
    for number, line in enumerate(reversed(wrapped)):
        canvas.drawString(MARGIN, base + number * LEAST * LINE, line)
    return _rule(canvas, base + len(wrapped) * LEAST * LINE + 2)


def _rule(canvas: Any, at: float, thin: bool = False) -> float:  # noqa: ANN401 - reportlab's
    canvas.setStrokeColorRGB(*RULE)
    canvas.setLineWidth(0.4 if thin else 0.8)
    canvas.line(MARGIN, at, WIDE - MARGIN, at)
    return at - 6


def _text(
    canvas: Any,  # noqa: ANN401 - reportlab's
    text: str,
    place: tuple[float, float, float],
    font: tuple[str, float],
    ink: tuple[float, float, float],
    most: int,
) -> float:
    """Write a text into (left, top, width) in `most` lines at most; return where it ends."""
    left, top, width = place
    name, size = font
    canvas.setFillColorRGB(*ink)
    canvas.setFont(name, size)
    lines = _lines(canvas, text, name, size, width)
    if len(lines) > most:
        lines = [*lines[: most - 1], _cut(canvas, " ".join(lines[most - 1 :]), name, size, width)]
    for line in lines:
        canvas.drawString(left, top - size, line)
        top -= size * LINE
    return top


def _lines(canvas: Any, text: str, font: str, size: float, width: float) -> list[str]:  # noqa: ANN401 - reportlab's
    """A text in lines that fit; a word that is longer than a line is broken."""
    lines = [""]
    for word in _known(text)[:2000].split():
        while word:
            trial = f"{lines[-1]} {word}".strip()
            if canvas.stringWidth(trial, font, size) <= width:
                lines[-1], word = trial, ""
            elif lines[-1]:
                lines.append("")
            else:
                fits = next(
                    n for n in range(len(word), 0, -1) if n == 1 or canvas.stringWidth(word[:n], font, size) <= width
                )
                lines[-1], word = word[:fits], word[fits:]
                lines.append("")
    return [line for line in lines if line]


def _cut(canvas: Any, text: str, font: str, size: float, width: float) -> str:  # noqa: ANN401 - reportlab's
    """A text on one line, with dots where it does not fit."""
    text = _known(text)[:300]
    if canvas.stringWidth(text, font, size) <= width:
        return text
    while text and canvas.stringWidth(text + "\u2026", font, size) > width:
        text = text[:-1]
    return text + "\u2026"


def _picture(canvas: Any, picture: Picture, frame: tuple[float, float, float, float]) -> float:  # noqa: ANN401
    """Draw a map into (left, top, width, height): title, cells or areas, border, scale bar, legend; return its end."""
    left, top, width, height = frame
    top = _text(canvas, picture.title, (left, top, width), (PLAIN, LEAST), FADED, 2) - 2
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

    rgb = np.array([[_colour(value, ends) for value in row] for row in values])
    times = max(FINE // max(values.shape), 1)
    pixels = np.round(255 * rgb).astype(np.uint8).repeat(times, 0).repeat(times, 1)
    return Image.fromarray(pixels)


def _colour(value: float, ends: tuple[float, float]) -> tuple[float, float, float]:
    if not np.isfinite(value):
        return NOTHING
    stops = np.array([[int(stop[at : at + 2], 16) / 255 for at in (0, 2, 4)] for stop in VIRIDIS])
    share = np.clip((value - ends[0]) / max(ends[1] - ends[0], 1e-12), 0, 1) * (len(stops) - 1)
    red, green, blue = (float(np.interp(share, np.arange(len(stops)), stops[:, channel])) for channel in range(3))
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
    canvas.drawCentredString(place[0], place[1] - SMALL * 0.35, _cut(canvas, label, BOLD, SMALL, 14))


def _scale_bar(canvas: Any, place: tuple[float, float], scale: float, wide: float) -> None:  # noqa: ANN401
    """A bar of 1, 2 or 5 times a power of ten metres."""
    most = LONGEST_LINE_M * wide / scale
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
