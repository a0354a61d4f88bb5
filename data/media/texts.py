"""Texts of any age: UTF-8, UTF-16 by its mark, or Latin-1, which is said."""

from dataclasses import dataclass
from pathlib import Path

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds, check_file


@dataclass(frozen=True)
class Text:
    """A text.

    Attributes:
        text: with line ends of one kind.
        encoding: "utf-8", "utf-16", or "latin-1", which any bytes are, so that letters may be others than were meant.
    """

    text: str
    encoding: str


def read_text(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Text:
    """Read a text file.

    Raises:
        InputError: if it is absent or too long.
    """
    check_file(path, bounds.text_bytes)
    return decoded(path.read_bytes())


def decoded(data: bytes) -> Text:
    """A text's bytes read as UTF-8, as what their mark says, or else as Latin-1."""
    named = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text, encoding = data.decode(named), named.removesuffix("-sig")
    except UnicodeDecodeError:
        text, encoding = data.decode("latin-1"), "latin-1"
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), encoding)
