"""Which archives were indexed here, and what their indexes hold without a search: files and small pictures."""

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.database import intact
from mainstem.apps.media.embedding import model_of
from mainstem.apps.media.likeness import TIMES
from mainstem.apps.media.query import THERE
from mainstem.apps.media.results import Results
from mainstem.apps.media.search import Candidate
from mainstem.apps.media.tables import FILE
from mainstem.core.errors import InputError
from mainstem.core.files import home
from mainstem.core.plain import plain

NOTE = "note"  # under which a catalogue keeps what is to be said of the whole archive
NAME = 20  # letters of an archive's name, which its folder's path alone tells


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A folder that was indexed.

    Attributes:
        name: of it in an address, which tells nobody its path.
        root: the folder.
        states: how many files are in each state; empty where its index cannot be read, and `damage` says why.
        title, origin, attribution: that whoever made it noted; "" of a user's own.
    """

    name: str
    root: Path
    states: Mapping[str, int]
    damage: str = ""
    title: str = ""
    origin: str = ""
    attribution: str = ""

    def words(self) -> str:
        """Return how it is called in a list."""
        num = sum(num for state, num in self.states.items() if state in ("present", "offline"))
        told = "damaged" if self.damage else f"{num:,} file{'' if num == 1 else 's'}"
        return f"{self.title or plain(self.root.name) or plain(self.root)} ({told})"


@dataclass(frozen=True, kw_only=True)
class Keyframe:
    """A small picture that the index holds of a file; times, s, are None of a still."""

    frame: int
    time_s: float | None
    start_s: float | None
    end_s: float | None
    picture: bytes | None


def archive_name(folder: Path) -> str:
    """Return the name of a folder's archive, of which its index' folder is called."""
    return hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:NAME]


def is_name(text: str) -> bool:
    """True of what can be an archive's name."""
    return re.fullmatch(f"[0-9a-f]{{{NAME}}}", text) is not None


def known_archives() -> list[Archive]:
    """Archives that were indexed here, the one that was indexed last first; those made to show something last."""
    found = [(path.stat().st_mtime, _archive(path)) for path in (home() / "media").glob(f"*/{FILE}")]
    kept = [(when, archive) for when, archive in found if archive is not None]
    return [archive for _, archive in sorted(kept, key=lambda one: (bool(one[1].title), -one[0]))]


def _archive(path: Path) -> Archive | None:
    """The archive of a catalogue; None where it is of no folder that is called so."""
    name = path.parent.name
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)) as db:
            told = dict(db.execute("SELECT name, value FROM about WHERE name IN ('root', ?)", (NOTE,)).fetchall())
            states = dict(db.execute("SELECT state, count(*) FROM files GROUP BY state").fetchall())
        root = Path(str(told.get("root", "")))
        if archive_name(root) != name:
            return None
    except (sqlite3.Error, ValueError) as error:  # no UTF-8, or a path that is none
        return Archive(name=name, root=Path(name), states={}, damage=f"its index cannot be read ({plain(error)})")
    note = _note(told.get(NOTE))
    return Archive(name=name, root=root, states=states, **note)


def _note(text: str | None) -> dict[str, str]:
    try:
        told = json.loads(text or "{}")
    except ValueError:
        told = {}
    return {key: str(told.get(key, "")) for key in ("title", "origin", "attribution")} if isinstance(told, dict) else {}


def note_archive(folder: Path, title: str, origin: str, attribution: str) -> None:
    """Note what is to be said of a whole archive that is indexed."""
    catalogue = Catalogue(folder)
    try:
        catalogue.tell(NOTE, json.dumps({"title": title, "origin": origin, "attribution": attribution}))
    finally:
        catalogue.close()


def browse(catalogue: Catalogue, limit: int) -> dict[str, Any]:
    """Return the first files by path, each content once, told as a search tells its results."""
    rows = catalogue.db.execute(
        f"SELECT min(id) AS file, content FROM files WHERE {THERE} GROUP BY content ORDER BY min(path) LIMIT ?",  # noqa: S608
        (limit,),
    ).fetchall()
    told = Results(catalogue, (), model_of(catalogue))
    num = int(catalogue.db.execute(f"SELECT count(DISTINCT content) FROM files WHERE {THERE}").fetchone()[0])  # noqa: S608
    return {
        "results": [told.of(Candidate(file=row["file"], content=row["content"])) for row in rows], "num_found": num,
        "num_irrelevant": 0, "relevance": [], "searched": told.searched(), "picture_content": told.picture_content(),
    }  # fmt: skip


def one_file(catalogue: Catalogue, path: str) -> dict[str, Any]:
    """Return a file as a search tells its results.

    Raises:
        InputError: if the index knows no such file that can be shown.
    """
    row = catalogue.db.execute(
        f"SELECT id, content FROM files WHERE path = ? AND {THERE}",  # noqa: S608
        (path,),
    ).fetchone()
    if row is None:
        raise InputError(f"the index knows no file {plain(path)} that can be shown; index again if it is there")
    return Results(catalogue, (), model_of(catalogue)).of(Candidate(file=row["id"], content=row["content"]))


def picture_of(catalogue: Catalogue, path: str, frame: int | None = None) -> bytes | None:
    """Return the small picture (JPEG) of a frame, else of the middle of what a file shows; None of one without."""
    if frame is not None:
        row = catalogue.db.execute("SELECT picture FROM frames WHERE id = ?", (frame,)).fetchone()
        return None if row is None else row["picture"]
    of_file = "FROM frames WHERE content = (SELECT content FROM files WHERE path = ?) AND picture IS NOT NULL"
    row = catalogue.db.execute(
        f"SELECT picture {of_file} ORDER BY id LIMIT 1 OFFSET (SELECT count(*) {of_file}) / 2",
        (path, path),
    ).fetchone()
    return None if row is None else row["picture"]


def text_of(catalogue: Catalogue, path: str, most: int) -> str:
    """Return the beginning of what a file says in words: a transcript, else its text, else its caption."""
    row = catalogue.db.execute(
        "SELECT transcript, text, caption FROM words WHERE rowid = (SELECT id FROM files WHERE path = ?)", (path,)
    ).fetchone()
    return next((str(said)[:most] for said in row or () if said), "")


def keyframes_of(catalogue: Catalogue, path: str) -> list[Keyframe]:
    """Return the small pictures that the index holds of a file, in order of time."""
    rows = catalogue.db.execute(
        "SELECT id, time_s, start_s, end_s, picture FROM frames "
        "WHERE content = (SELECT content FROM files WHERE path = ?) ORDER BY time_s, id",
        (path,),
    )
    with intact(catalogue.home):
        return [
            Keyframe(
                frame=row["id"], picture=None if row["picture"] is None else bytes(row["picture"]),
                **{name: None if row[name] is None else float(row[name]) for name in TIMES},
            )
            for row in rows
        ]  # fmt: skip


def facts_of(catalogue: Catalogue, path: str) -> dict[str, Any]:
    """Return what the index knows of a file's content: size, seconds, frame rate and the like."""
    row = catalogue.db.execute(
        "SELECT c.facts, f.size FROM files f JOIN contents c ON c.id = f.content WHERE path = ?", (path,)
    ).fetchone()
    if row is None:
        return {}
    with intact(catalogue.home):
        return {**json.loads(row["facts"]), "bytes": int(row["size"])}
