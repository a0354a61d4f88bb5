"""Texts of others shown as they are, and mistakes as one line."""

import logging
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import streamlit as st

from mainstem.core.errors import MainstemError

LONGEST_TEXT = 400  # letters of a name, a reason or a message that a page shows; files hold the whole
SPLIT = ":small[]"  # an empty span: parts what Streamlit would still read into plain letters (emoji, icons, links)
READ_INTO = re.compile(r":|@|www(?=\.)|[-<>=~](?=[-<>=])", re.IGNORECASE)
log = logging.getLogger(__name__)


def plain(text: object, longest: int = LONGEST_TEXT) -> str:
    """Return Markdown that shows as the very text: no image, link, colour, icon, formula or emoji comes of it.

    Every text of a user or a file goes through here on its way to a call that reads Markdown. Line breaks become
    blanks; control letters and those that turn the writing direction become U+FFFD, as they would garble what follows.
    """
    words = " ".join("".join(_visible(letter) for letter in str(text)).split())
    words = words if len(words) <= longest else f"{words[: longest - 1]}…"
    at, parts = 0, []
    for found in READ_INTO.finditer(words):
        parts += [_escaped(words[at : found.end()]), SPLIT]
        at = found.end()
    return "".join([*parts, _escaped(words[at:])])


def _visible(letter: str) -> str:
    kind = unicodedata.category(letter)
    turns = unicodedata.bidirectional(letter) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return "\ufffd" if turns or kind == "Cs" or (kind == "Cc" and not letter.isspace()) else letter


def _escaped(words: str) -> str:
    return "".join(f"\\{letter}" if letter in string.punctuation else letter for letter in words)


def origin_of(simulated: Iterable[bool]) -> str:
    """Say in words what the data's own facts say of their origin."""
    told = set(simulated)
    return {(True,): "simulated", (False,): "real data", (False, True): "partly simulated"}.get(
        tuple(sorted(told)), "origin unknown"
    )


def show_error(error: object) -> None:
    """Show a mistake as one line."""
    st.error(plain(error), icon=":material/error:")


@contextmanager
def mistakes_as_lines(what: str = "This part of the page") -> Iterator[None]:
    """Show what goes wrong inside as one line in its place; the page goes on after it."""
    try:
        yield
    except MainstemError as error:
        show_error(error)
    except Exception as error:
        log.exception("%s failed", what)
        show_error(
            f"{what} cannot be shown ({type(error).__name__}): a file behind it is damaged, or this is a fault of the "
            "program. The window that runs the dashboards says which; make the file again, or send what it says."
        )
