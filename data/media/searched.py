"""The texts of a file by field, that words are searched in: what is said of it, in it, and its name."""

from pathlib import PurePosixPath

from mainstem.data.media.metadata import Metadata

FIELDS = ("title", "caption", "keywords", "creator", "credit", "rights", "transcript", "text", "name")
MOST_LETTERS = 200_000  # of a transcript or a text


def searched_texts(path: str, told: Metadata, text: str = "") -> dict[str, str]:
    """Return texts by field of a file at a path of the archive; fields of which nothing is said are absent."""
    found = {name: getattr(told, name) for name in ("title", "caption", "creator", "credit", "rights", "transcript")}
    found |= {"keywords": "\n".join(told.keywords), "text": text}
    found["name"] = " ".join(PurePosixPath(path).with_suffix("").parts)
    return {name: value[:MOST_LETTERS] for name, value in found.items() if value}
