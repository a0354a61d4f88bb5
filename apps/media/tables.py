"""The tables of an index, and what their rows hold: files, contents, frames, fingerprints, words."""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mainstem.apps.media.moments import SCHEMA as CUES
from mainstem.data.media.searched import FIELDS
from mainstem.data.media.transcripts import Cue

if TYPE_CHECKING:
    from mainstem.data.media.small_pictures import Shown

FILE = "catalogue.db"
SIDECAR = "sidecar"  # in the place of a kind
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sha256 TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, facts TEXT NOT NULL,
    refused TEXT NOT NULL DEFAULT '', reader TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, content INTEGER REFERENCES contents(id),
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, device INTEGER NOT NULL,
    beside TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL DEFAULT '', moved_from TEXT NOT NULL DEFAULT '',
    edited_from TEXT NOT NULL DEFAULT '', told TEXT NOT NULL DEFAULT '{{}}', kind TEXT NOT NULL DEFAULT '',
    captured TEXT NOT NULL DEFAULT '', credit TEXT NOT NULL DEFAULT '', rights TEXT NOT NULL DEFAULT '',
    opt_out TEXT NOT NULL DEFAULT '', embargo TEXT NOT NULL DEFAULT '', reader TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS files_by_content ON files(content);
CREATE TABLE IF NOT EXISTS frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT, content INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE,
    time_s REAL, start_s REAL, end_s REAL, picture BLOB);
CREATE INDEX IF NOT EXISTS frames_by_content ON frames(content);
CREATE TABLE IF NOT EXISTS vectors (
    frame INTEGER PRIMARY KEY REFERENCES frames(id) ON DELETE CASCADE, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS prints (
    content INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE, by TEXT NOT NULL, print BLOB NOT NULL,
    why TEXT NOT NULL, refused TEXT NOT NULL, UNIQUE (content, by));
CREATE TABLE IF NOT EXISTS copies (
    first INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE,
    second INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE, by TEXT NOT NULL, match TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS copies_by_first ON copies(first);
CREATE INDEX IF NOT EXISTS copies_by_second ON copies(second);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    {", ".join(FIELDS)}, tokenize='unicode61 remove_diacritics 2', prefix='2 3');
{CUES}CREATE VIRTUAL TABLE IF NOT EXISTS vocabulary USING fts5vocab(words, 'row');
"""
LAYOUT = hashlib.sha256(SCHEMA.encode()).hexdigest()[:12]  # of the tables, fields among them; another is refused


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What tells a file unchanged without reading it; `beside` stands for files of the same stem, as its sidecars."""

    size: int
    mtime_ns: int
    inode: int
    device: int
    beside: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file as it is known.

    Attributes:
        why: it is refused, or held since what lies beside it cannot be read.
        reader: version of what read it.
    """

    id: int
    path: str
    content: int | None
    sha256: str
    stamp: Stamp
    state: str
    kind: str
    why: str
    reader: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """What was read of one file.

    Attributes:
        facts: size, seconds and the like, as JSON.
        told: metadata, as JSON.
        texts: by field, what words are searched in.
        cues: of its transcript, where that tells times.
        frames: none where the content is known already.
        refused: why it cannot be read, "" where it can.
        reader: version of what read it.
    """

    path: str
    sha256: str
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    cues: tuple[Cue, ...] = ()
    frames: "tuple[Shown, ...]" = ()
    refused: str = ""
    reader: str = ""
