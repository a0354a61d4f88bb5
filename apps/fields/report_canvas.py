"""What pages and maps of a report share: paper, inks, fonts, and text that is cut or wrapped to its place."""

from pathlib import Path
from typing import Any

from mainstem.core.plain import plain

WIDE, HIGH, MARGIN = 595.28, 841.89, 42.0  # points of A4 (ISO 216)
TITLE, BIG, TEXT, SMALL, LEAST = 20.0, 26.0, 10.0, 9.0, 8.0  # points; nothing is smaller than LEAST
LINE = 1.35  # of a font's size
INK, FADED, RULE = (0.10, 0.13, 0.11), (0.29, 0.33, 0.30), (0.80, 0.83, 0.80)
FONTS = (  # the widest alphabet that is at hand; reportlab brings Vera
    ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"),
    ("Vera.ttf", "VeraBd.ttf"),
)
PLAIN, BOLD = "MainstemPlain", "MainstemBold"
LONGEST = 2000  # letters of a text that are looked at


def register_fonts() -> None:
    """Make the fonts known to reportlab, once a process."""
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


def known_letters(text: str) -> str:
    """A text in letters that the font has; others stand by their code, so that no name is an empty box."""
    from reportlab.pdfbase import pdfmetrics

    glyphs = pdfmetrics.getFont(PLAIN).face.charToGlyph
    return "".join(letter if ord(letter) in glyphs else f"U+{ord(letter):04X} " for letter in plain(text))


def rule(canvas: Any, at: float, thin: bool = False) -> float:  # noqa: ANN401 - reportlab's
    """Draw a line across the page; return where what follows begins."""
    canvas.setStrokeColorRGB(*RULE)
    canvas.setLineWidth(0.4 if thin else 0.8)
    canvas.line(MARGIN, at, WIDE - MARGIN, at)
    return at - 6


def text_block(
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
    lines = lines_of(canvas, text, name, size, width)
    if len(lines) > most:
        lines = [*lines[: most - 1], cut(canvas, " ".join(lines[most - 1 :]), name, size, width)]
    for line in lines:
        canvas.drawString(left, top - size, line)
        top -= size * LINE
    return top


def lines_of(canvas: Any, text: str, font: str, size: float, width: float) -> list[str]:  # noqa: ANN401 - reportlab's
    """A text in lines that fit; a word that is longer than a line is broken."""
    lines = [""]
    for word in known_letters(text)[:LONGEST].split():
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


def cut(canvas: Any, text: str, font: str, size: float, width: float) -> str:  # noqa: ANN401 - reportlab's
    """A text on one line, with dots where it does not fit."""
    text = known_letters(text)[:300]
    if canvas.stringWidth(text, font, size) <= width:
        return text
    while text and canvas.stringWidth(text + "\u2026", font, size) > width:
        text = text[:-1]
    return text + "\u2026"
