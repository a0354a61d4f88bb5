"""Which contents of an archive are copies of a file that is asked with, by its bytes and by fingerprints that are kept.

A file that the archive holds has been looked up by `media duplicates`; another is fingerprinted and looked up here.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.database import intact
from mainstem.apps.media.prints import PrintIndex, content_of, kept_links, kept_of, kept_prints, kept_wholes, num_prints
from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, check_file
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.prints import By, Printed, print_file
from mainstem.data.media.prints_matches import Match

SAME = "same bytes"
UNTURNED = ("none", "not turned")


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A content that is a copy of a file that is asked with, or that the file is a copy of.

    Attributes:
        of: the file.
        words: what it is.
        is_same: it has the very bytes.
        match: by what that is told; None of the very bytes.
    """

    of: Path
    words: str
    is_same: bool
    match: Match | None = None

    def told(self) -> dict[str, Any]:
        """As JSON."""
        match = None if self.match is None else asdict(self.match)
        return {"of": str(self.of), "words": self.words, "is_same": self.is_same, "match": match}

    def why(self) -> dict[str, Any]:
        """As a reason for a result."""
        return {"field": "copy", "words": [self.words], "like": str(self.of)}


class CopyFinder:
    """Finds copies in a catalogue that others may write; what it holds of that is renewed when it changed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.version = -1
        self.indexes: dict[By, PrintIndex] = {}
        self.wholes: tuple[NDArray[np.int64], NDArray[np.uint8]] | None = None

    def find(self, paths: Sequence[Path], near: Iterable[int]) -> dict[int, Copy]:
        """Return by content what is a copy of files that are asked with.

        Args:
            paths: the files.
            near: contents whose pictures are like theirs: of these alone parts are compared, wholes of all.

        Raises:
            InputError: if one is a sound, and no sound here has a fingerprint.
        """
        found: dict[int, Copy] = {}
        for path in paths:
            for content, copy in self._copies(path, set(near)):
                if content not in found or copy.is_same:
                    found[content] = copy
        return found

    def _copies(self, path: Path, near: set[int]) -> Iterator[tuple[int, Copy]]:
        same = content_of(self.catalogue, self._sha256(path))
        if same is not None:
            yield same.content, Copy(of=path, words=SAME, is_same=True)
            if same.is_printed:
                for link in kept_links(self.catalogue, same.content):
                    is_asked_first = link.first == same.content
                    words = _words(link.match, link.by, path, is_asked_first)
                    other = link.second if is_asked_first else link.first
                    yield other, Copy(of=path, words=words, is_same=False, match=link.match)
                return
        kind = kind_of(path)
        if kind is None or kind == "text":
            return
        if kind == "sound" and same is None and not num_prints(self.catalogue, "sound"):
            root = plain(self.catalogue.root)
            raise InputError(
                f"{plain(path.name)} is a sound, which fingerprints compare, and none is kept of a sound here yet; "
                f"run mainstem media duplicates {root}, then search again"
            )
        for printed in print_file(path, kind) if num_prints(self.catalogue) else ():
            if not printed.why:
                for content, match in self._matches(printed, near):
                    words = _words(match, printed.by, path, is_asked_first=False)
                    yield content, Copy(of=path, words=words, is_same=False, match=match)

    def _sha256(self, path: Path) -> str:
        """The hash of a file; one of the archive that is as it was is not read for it."""
        told = check_file(path, DEFAULT_BOUNDS.bytes)
        if known := self.catalogue.sha256_of(path, told):
            return known
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _matches(self, printed: Printed, near: set[int]) -> Iterator[tuple[int, Match]]:
        version = self.catalogue.version()
        if version != self.version:
            self.indexes, self.wholes, self.version = {}, None, version
        if printed.by == "image":
            yield from self._pictures(printed.asked, near)
            return
        if printed.by not in self.indexes:
            self.indexes[printed.by] = PrintIndex(printed.by, kept_prints(self.catalogue, printed.by))
        index = self.indexes[printed.by]
        yield from ((index.contents[number], match) for number, match in index.prints.find(printed.asked).items())

    def _pictures(self, asked: Any, near: set[int]) -> Iterator[tuple[int, Match]]:  # noqa: ANN401 - a PicturePrint
        from mainstem.data.media.prints_pictures import NEAR_BITS, bits_apart, compare_pictures

        self.wholes = self.wholes or kept_wholes(self.catalogue)
        contents, hashes = self.wholes
        apart = np.min([bits_apart(hashes, each) for each in asked.hashes], axis=0) if len(contents) else np.zeros(0)
        for content in sorted(near | set(contents[apart <= NEAR_BITS].tolist())):
            kept = kept_of(self.catalogue, content, "image")
            match = None if kept is None else compare_pictures(kept, asked)
            if match is not None:
                yield content, match


def _words(match: Match, by: By, path: Path, is_asked_first: bool) -> str:
    """What a content is, which was described against the file that is asked with, or the file against it."""
    name = plain(path.name)
    if by == "sound":
        return f"same sound, {match.transform}"
    if match.transform in UNTURNED:
        return "a copy"
    if is_asked_first:
        return f"a copy, {match.transform.replace('the first', name)}"
    return f"a copy; {name} against it: {match.transform.replace('the first', 'it')}"


def lacking(catalogue: Catalogue) -> str:
    """What is to be said of contents that have no fingerprint yet; "" where all have one."""
    with intact(catalogue.home):
        num = num_prints(catalogue, is_lacking=True)
    if not num:
        return ""
    return (
        f"{num:,} files have no fingerprint yet, and of these turned, cut or re-encoded copies are not told from what "
        f"is alike: run mainstem media duplicates {plain(catalogue.root)}"
    )
