"""What is done beside the media page for it: an archive's index, its copies, a video's shots."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from mainstem.apps.jobs import start, work_on
from mainstem.apps.media.archives import archive_name
from mainstem.apps.media.catalogue import index_home
from mainstem.core.files import write_atomically
from mainstem.core.plain import plain
from mainstem.core.progress import Progress

CODE = "from mainstem.apps.media.jobs import main; main()"
INDEX, COPIES = "media index ", "media copies "  # beginnings of jobs' names
COPIES_FILE = "copies.json"


def index_job(name: str) -> str:
    """Name of the job that indexes an archive."""
    return f"{INDEX}{name}"


def copies_job(name: str) -> str:
    """Name of the job that looks for an archive's copies."""
    return f"{COPIES}{name}"


def start_index(folder: Path) -> None:
    """Begin to bring a folder's index up to date."""
    start(index_job(archive_name(folder)), CODE, ["index", str(folder)])


def start_copies(folder: Path) -> None:
    """Begin to look for the copies in a folder."""
    start(copies_job(archive_name(folder)), CODE, ["copies", str(folder)])


def main() -> None:
    """Do what the arguments of this process name."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    name = archive_name(folder)
    if kind == "index":
        status = work_on(index_job(name), f"the index of {plain(folder)}", lambda report: index(folder, report))
    else:
        status = work_on(copies_job(name), f"the copies in {plain(folder)}", lambda report: find_copies(folder, report))
    raise SystemExit(status)


def index(folder: Path, report: Progress) -> dict[str, Any]:
    """Bring a folder's index up to date."""
    from mainstem.apps.media.index import IndexOptions, index_folder

    return index_folder(folder, IndexOptions(), report)


def find_copies(folder: Path, report: Progress) -> None:
    """Find the copies in a folder, and keep beside its index what was found."""
    from mainstem.apps.media.duplicates import find_duplicates

    found = find_duplicates(folder, report).told()
    told = {**found, "folder": str(folder), "when": time.time()}
    write_atomically(index_home(folder) / COPIES_FILE, json.dumps(told).encode())


def copies_found(folder: Path) -> dict[str, Any] | None:
    """What was found last; None where nobody looked, or what is there cannot be read."""
    try:
        told = json.loads((index_home(folder) / COPIES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("groups"), list) else None
