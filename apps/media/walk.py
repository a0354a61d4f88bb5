"""Which files lie below a folder: one walk, whose rules hold for every command that reads an archive.

Names that begin with a dot are passed over in silence. Links are not followed; they, pipes and devices, names that are
no text, and what cannot be listed or looked at are named with the reason, and the walk goes on.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mainstem.core.plain import is_text
from mainstem.data.media.provenance import SIDECAR as MANIFEST
from mainstem.data.media.sidecars import is_sidecar

Seen = tuple[str, os.stat_result]


@dataclass(kw_only=True, eq=False)
class Walk:
    """A walk through a folder.

    Attributes:
        root: the folder.
        skipped: what is no file, and why, by path below the root.
        unseen: what cannot be listed or looked at, so that nobody knows what is there, and why.
    """

    root: Path
    skipped: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)

    def folders(self) -> Iterator[list[Seen]]:
        """Yield each folder's files, by path below the root, in order of name."""
        left = [""]
        while left:
            below = left.pop()
            try:
                entries = sorted(os.scandir(self.root / below), key=lambda entry: entry.name)
            except OSError as error:
                self.unseen[below] = f"the folder cannot be listed ({error.strerror}); check its rights"
                continue
            files: list[Seen] = []
            folders = []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = f"{below}/{entry.name}" if below else entry.name
                told = self._look(entry, path)
                if told is not None:
                    folders.append(path) if stat.S_ISDIR(told.st_mode) else files.append((path, told))
            yield files
            left += reversed(folders)

    def _look(self, entry: "os.DirEntry[str]", path: str) -> os.stat_result | None:
        try:
            told = entry.stat(follow_symlinks=False)
        except OSError as error:
            self.unseen[path] = f"it cannot be looked at ({error.strerror}); check its rights"
            return None
        if why := _why_skipped(entry.name, told.st_mode):
            self.skipped[path] = why
            return None
        return told

    def files(self) -> Iterator[str]:
        """Yield paths of files that speak for themselves: no sidecars."""
        for files in self.folders():
            yield from (path for path, _ in files if not is_beside(self.root / path))


def is_beside(path: Path) -> bool:
    """True of a sidecar: a file that speaks of another one."""
    return path.suffix.lower() == MANIFEST or is_sidecar(path)


def _why_skipped(name: str, mode: int) -> str:
    if not is_text(name):
        return "its name is no UTF-8; rename it"
    if stat.S_ISLNK(mode):
        return "it is a link, which is not followed; name what it leads to"
    return "" if stat.S_ISDIR(mode) or stat.S_ISREG(mode) else "it is a pipe, socket or device"
