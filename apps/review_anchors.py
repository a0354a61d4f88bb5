"""Anchors: what the chain's head was, kept outside the store and signed, one a line, only ever appended.

A line says `{"hash": ..., "num": ..., "signature": ..., "when": ""}`. Of each record the store writes one, whose
signature is the record's own; an auditor may add further ones, signed by another key and with a time. A store that was
cut or written anew no longer matches them.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mainstem.apps.review_keys import Keys
from mainstem.core.errors import InputError

if TYPE_CHECKING:
    from mainstem.apps.review_chain import Row

ANCHORS = "MAINSTEM_REVIEW_ANCHORS"  # further copies of the anchors, separated as PATH is
ANCHOR_FILE = "anchors.jsonl"
LONGEST = 1024  # bytes of a line; the store's own have some 260


class AnchorFault(Exception):
    """A line of the anchors is not as it was written."""


def anchor_line(num: object, digest: object, signature: object, when: str = "") -> str:
    """Return the canonical line of an anchor."""
    return f'{{"hash":"{digest}","num":{num},"signature":"{signature}","when":"{when}"}}\n'


class Reel:
    """A copy of the anchors, read line by line beside the chain; a line is parsed only where it is not as expected.

    Attributes:
        text: the present line; empty at the end.
        last: the last record that was compared.
    """

    def __init__(self, name: str, lines: Iterable[str]) -> None:
        self.name, self.last = name, -1
        self._lines, self._count = iter(lines), 0
        self.step(-1)

    def step(self, num: int) -> None:
        """Go past the present line, which speaks of this record."""
        self.last, self._num = num, -1
        self.text = next(self._lines, "")
        self._count += 1

    def num(self) -> int | None:
        """Return of which record the present line speaks; None at the end.

        Raises:
            AnchorFault: if the line is no anchor, or speaks of an earlier record than the line before it.
        """
        if not self.text:
            return None
        if self._num < 0:
            self._num = self._parsed(self.text)
            if self._num < self.last:
                raise AnchorFault(f"{self._place()} is out of order: lines were moved")
        return self._num

    def _parsed(self, text: str) -> int:
        try:
            num = json.loads(text)["num"]
        except (ValueError, KeyError, TypeError):
            num = None
        if type(num) is not int or num < 0 or not text.endswith("\n"):
            raise AnchorFault(f"{self._place()} is no anchor: it was changed, or was not written whole")
        return num

    def check(self, keys: Keys) -> str:
        """Return the hash that the present line states.

        Raises:
            AnchorFault: if none of the keys signed it.
        """
        try:
            found = json.loads(self.text)
            num, digest, signature, when = (found[name] for name in ("num", "hash", "signature", "when"))
            is_canonical = self.text == anchor_line(num, digest, signature, when)
        except (ValueError, KeyError, TypeError) as error:
            raise AnchorFault(f"{self._place()} is no anchor") from error
        if not is_canonical or not keys.believe(num, digest, signature, when):
            raise AnchorFault(f"{self._place()} is signed by none of the keys that are believed: it was changed")
        return str(digest)

    def _place(self) -> str:
        return f"line {self._count} of {self.name}"


@dataclass(frozen=True)
class AnchorFile:
    """A copy of the anchors on disk."""

    path: Path

    def size(self) -> int:
        """Bytes of the file; 0 where there is none."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def reel(self, size: int) -> Reel:
        """Return its lines up to a size."""
        return Reel(str(self.path), self._lines(size))

    def _lines(self, size: int) -> Iterator[str]:
        if not size:
            return
        with self.path.open("rb") as file:
            while size > 0 and (line := file.readline(LONGEST)):
                yield line[:size].decode("utf-8", "replace")
                size -= len(line)

    def last(self) -> int:
        """Number of the last record anchored; -1 where there is none, or where the last line is not whole.

        Raises:
            InputError: if the last line is no anchor.
            OSError: if the file cannot be read.
        """
        return self._last()[0]

    def is_auditors(self) -> bool:
        """True where the last line is an auditor's: those come when the auditor does, not with every record."""
        return self._last()[1]

    def _last(self) -> tuple[int, bool]:
        try:
            with self.path.open("rb") as file:
                return _last(file.fileno())[:2]
        except FileNotFoundError:
            return -1, False

    def append(self, num: int, lines: Callable[[int], Iterable[str]], every: int = 1) -> None:
        """Append the anchors that lack, up to record `num`, and have them on the disk.

        Args:
            num: the newest record.
            lines: the anchors after a number, up to `num`.
            every: nothing is done where fewer records lack.

        Raises:
            OSError: if the file cannot be written.
        """
        import fcntl

        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            last, _, whole = _last(descriptor)
            if num - last < every:
                return
            if os.fstat(descriptor).st_size > whole:
                os.ftruncate(descriptor, whole)  # what a failing disk left of a line
            text = "".join(lines(last)).encode()
            while text:
                text = text[os.write(descriptor, text) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _last(descriptor: int) -> tuple[int, bool, int]:
    """Number of the last whole line (-1: none), whether it is an auditor's, and how many bytes the whole lines have."""
    size = os.fstat(descriptor).st_size
    length = min(size, 2 * LONGEST)
    tail = os.pread(descriptor, length, size - length)
    end = tail.rfind(b"\n") + 1
    if not end:
        return -1, False, size - length
    try:
        found = json.loads(tail[:end].splitlines()[-1])
        if type(found["num"]) is int:
            return found["num"], found["when"] != "", size - length + end
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError("the last line of the anchors is no anchor; run: mainstem review verify")


def lines_of(rows: "Iterable[Row]") -> Iterator[str]:
    """Return the anchors of records."""
    for row in rows:
        yield anchor_line(row.num, row.hash, row.signature)


def anchor_files(home: Path) -> tuple[AnchorFile, ...]:
    """Copies of the anchors: that of the home, and those that MAINSTEM_REVIEW_ANCHORS names."""
    further = [Path(named) for named in os.environ.get(ANCHORS, "").split(os.pathsep) if named]
    return tuple(AnchorFile(path) for path in [home / ANCHOR_FILE, *further])
