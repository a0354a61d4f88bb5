"""Pages drawn as PDF: A4, one page each, its fonts inside it."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from mainstem.apps.fields.report_canvas import (
    BIG,
    BOLD,
    FADED,
    HIGH,
    INK,
    LEAST,
    LINE,
    MARGIN,
    PLAIN,
    SMALL,
    TEXT,
    TITLE,
    WIDE,
    cut,
    known_letters,
    lines_of,
    register_fonts,
    rule,
    text_block,
)
from mainstem.apps.fields.report_maps import draw_picture
from mainstem.apps.fields.report_pages import NOT_FOR, Page
from mainstem.core.errors import MissingExtraError

MAP_WIDE, MAP_HIGH = 300.0, 300.0
MOST_ROWS = 14
MOST_LINES = 7  # of a fact: a verdict on zones is the longest
GAP = 14.0  # points between columns


def pdf_bytes(pages: Sequence[Page], made: str) -> bytes:
    """Pages as one PDF; `made` is the date that is printed on each.

    Raises:
        MissingExtraError: if reportlab is not installed.
    """
    try:
        from reportlab.pdfgen.canvas import Canvas
    except ImportError as error:
        raise MissingExtraError("reportlab", "maps") from error
    register_fonts()
    content = io.BytesIO()
    canvas = Canvas(content, pagesize=(WIDE, HIGH), invariant=1, pageCompression=1)
    canvas.setTitle(known_letters(pages[0].title if len(pages) == 1 else f"{len(pages)} reports"))
    canvas.setAuthor("Mainstem")
    for page in pages:
        _draw(canvas, page, made)
        canvas.showPage()
    canvas.save()
    return content.getvalue()


def _draw(canvas: Any, page: Page, made: str) -> None:  # noqa: ANN401 - reportlab's
    canvas.setFillColorRGB(*INK)
    top = HIGH - MARGIN
    mark = known_letters(page.mark)
    canvas.setFont(BOLD, SMALL)
    mark_wide = canvas.stringWidth(mark, BOLD, SMALL)
    canvas.drawRightString(WIDE - MARGIN, top - TITLE * 0.8, mark)
    canvas.setFont(BOLD, TITLE)
    canvas.drawString(
        MARGIN, top - TITLE * 0.8, cut(canvas, page.title, BOLD, TITLE, WIDE - 2 * MARGIN - mark_wide - 12)
    )
    top -= TITLE * LINE
    top = text_block(canvas, page.subtitle, (MARGIN, top, WIDE - 2 * MARGIN), (PLAIN, SMALL), FADED, 2)
    top = rule(canvas, top - 4)
    canvas.setFillColorRGB(*INK)
    canvas.setFont(BOLD, BIG)
    canvas.drawString(MARGIN, top - BIG, cut(canvas, page.value, BOLD, BIG, WIDE - 2 * MARGIN))
    top -= BIG * LINE
    if page.interval:
        top = text_block(canvas, page.interval, (MARGIN, top, WIDE - 2 * MARGIN), (PLAIN, TEXT + 2), INK, 2)
    top = text_block(canvas, page.claim, (MARGIN, top - 2, WIDE - 2 * MARGIN), (PLAIN, TEXT), FADED, 3) - 10
    top = _middle(canvas, page, top)
    foot = _foot(canvas, page, made)
    _table(canvas, page, top - 8, foot + 8)


def _middle(canvas: Any, page: Page, top: float) -> float:  # noqa: ANN401 - reportlab's
    """Maps and facts side by side; where there are two maps the facts stand below them."""
    beside = (MARGIN + MAP_WIDE + 24, top, WIDE - 2 * MARGIN - MAP_WIDE - 24)
    if not page.pictures:
        return _facts(canvas, page, (MARGIN, top, WIDE - 2 * MARGIN))
    if len(page.pictures) == 1:
        low = draw_picture(canvas, page.pictures[0], (MARGIN, top, MAP_WIDE, MAP_HIGH))
        return min(low, _facts(canvas, page, beside))
    half = (WIDE - 2 * MARGIN - 20) / 2
    lows = [
        draw_picture(canvas, picture, (MARGIN + number * (half + 20), top, half, half))
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
        canvas.drawString(left + at * column, lows[at] - LEAST, cut(canvas, name, PLAIN, LEAST, column - 8))
        begin = lows[at] - LEAST * LINE
        lows[at] = (
            text_block(canvas, value, (left + at * column, begin, column - 8), (PLAIN, SMALL), INK, MOST_LINES) - 5
        )
    return min(lows)


def _table(canvas: Any, page: Page, top: float, low: float) -> None:  # noqa: ANN401 - reportlab's
    """As many rows as there is room for; how many more there are is said."""
    if not page.rows:
        return
    step = SMALL * 1.6
    room = int((top - TEXT * LINE - 4 - low) / step) - 2
    if room < 1:  # long texts above have taken its place
        return
    canvas.setFillColorRGB(*INK)
    canvas.setFont(BOLD, TEXT)
    canvas.drawString(MARGIN, top - TEXT, cut(canvas, page.table_title, BOLD, TEXT, WIDE - 2 * MARGIN))
    top -= TEXT * LINE + 4
    shown = page.rows[: min(room, MOST_ROWS)]
    ends = _columns(canvas, page, shown)
    for number, row in enumerate([page.header, *shown]):
        base = top - step * (number + 1) + 4
        canvas.setFillColorRGB(*(FADED if number == 0 else INK))
        for index, (cell, (begin, end)) in enumerate(zip(row, ends, strict=True)):
            font, size = PLAIN, LEAST if number == 0 else SMALL
            canvas.setFont(font, size)
            text = cut(canvas, cell, font, size, end - begin - GAP)
            if index and _is_number(page.rows, index):
                canvas.drawRightString(end - GAP, base, text)
            else:
                canvas.drawString(begin, base, text)
        rule(canvas, base - 4, thin=True)
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
        max(canvas.stringWidth(known_letters(row[index]), PLAIN, SMALL) for row in [page.header, *rows]) + GAP + 4
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
    wrapped = [part for line in lines for part in lines_of(canvas, line, PLAIN, LEAST, WIDE - 2 * MARGIN)[:4]]
    base = MARGIN - 10
    canvas.setFillColorRGB(*FADED)
    canvas.setFont(PLAIN, LEAST)
    for number, line in enumerate(reversed(wrapped)):
        canvas.drawString(MARGIN, base + number * LEAST * LINE, line)
    return rule(canvas, base + len(wrapped) * LEAST * LINE + 2)
