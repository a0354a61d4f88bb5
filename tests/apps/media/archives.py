"""A small archive of pictures, sound, texts and sidecars, and its index."""

import hashlib
import json
import wave
from pathlib import Path

import numpy as np
from PIL import Image

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.index import IndexOptions, index_folder

HERE = IndexOptions(workers=0)  # read in this process


def picture(path: Path, seed: int, side: int = 96) -> Path:
    """Write a picture of blocks of colour, unlike that of any other seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((side // 8, side // 8, 1))).astype(np.uint8)
    Image.fromarray(blocks).save(path, quality=92)
    return path


def sound(path: Path, seconds: float = 0.5) -> Path:
    """Write a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = (8000 * np.sin(np.arange(int(8000 * seconds)) * 0.3)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone.tobytes())
    return path


def said(path: Path, **words: object) -> Path:
    """Write what is said of a file into the sidecar beside it."""
    sidecar = path.with_name(f"{path.name}.json")
    sidecar.write_text(json.dumps(words), encoding="utf-8")
    return sidecar


def archive(root: Path) -> Path:
    """Write an archive: five pictures, of which two are said something of, a sound with a transcript, and a text."""
    for seed in range(5):
        picture(root / f"day{seed % 2}" / f"photo{seed}.jpg", seed)
    said(
        root / "day0" / "photo0.jpg", title="Café at the harbour", caption="Fishing boats come home", credit="Ana Ruiz"
    )
    said(root / "day1" / "photo1.jpg", caption="The mayor opens the bridge", rights="All rights reserved")
    sound(root / "talk.wav")
    (root / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nTaxes on fishing will rise\n\n", encoding="utf-8")
    (root / "minutes.txt").write_text("The council met about harbour dredging.\n", encoding="utf-8")
    return root


def indexed(root: Path, options: IndexOptions = HERE) -> dict:
    """Bring the index up to date."""
    return index_folder(root, options)


def states(root: Path) -> dict[str, str]:
    """State of each file by path."""
    catalogue = Catalogue(root, is_read_only=True)
    found = dict(catalogue.db.execute("SELECT path, state FROM files").fetchall())
    catalogue.close()
    return found


def content_of(root: Path) -> dict[str, tuple]:
    """All that an index holds of each file, whatever its numbers are, with a hash of the vectors of its pictures."""
    catalogue = Catalogue(root, is_read_only=True)
    assert catalogue.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert not catalogue.db.execute("PRAGMA foreign_key_check").fetchall()
    catalogue.db.execute("PRAGMA query_only=OFF")
    catalogue.db.execute("INSERT INTO words(words) VALUES('integrity-check')")
    found = {}
    for row in catalogue.db.execute(
        "SELECT f.path, f.state, f.told, c.sha256, c.facts, (SELECT group_concat(hex(vector)) FROM (SELECT vector FROM "
        "vectors v JOIN frames s ON s.id = v.frame WHERE s.content = c.id ORDER BY s.time_s)) AS vectors, w.* "
        "FROM files f LEFT JOIN contents c ON c.id = f.content LEFT JOIN words w ON w.rowid = f.id"
    ):
        vectors = hashlib.sha256((row["vectors"] or "").encode()).hexdigest() if row["vectors"] else ""
        found[row["path"]] = (*tuple(row)[1:5], vectors, *tuple(row)[6:])
    catalogue.close()
    return found


def tree(root: Path) -> dict[str, tuple[int, int, str]]:
    """Size, time and hash of every file below a folder."""
    return {
        str(path.relative_to(root)): (
            path.stat().st_size, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in root.rglob("*") if path.is_file()
    }  # fmt: skip
