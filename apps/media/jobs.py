"""What is done beside the media page for it: an archive's index, its copies, a video's shots."""

import sys
from pathlib import Path
from typing import Any

from mainstem.apps.jobs import start, work_on
from mainstem.apps.media.archives import archive_name
from mainstem.core.plain import plain
from mainstem.core.progress import Progress

CODE = "from mainstem.apps.media.jobs import main; main()"
INDEX, COPIES = "media index ", "media copies "  # beginnings of jobs' names


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
    """Find the copies in a folder; its catalogue keeps what was found."""
    from mainstem.apps.media.duplicates import find_duplicates

    find_duplicates(folder, report)


def copies_found(folder: Path) -> dict[str, Any] | None:
    """What is known of the copies in a folder; None where nobody looked."""
    from mainstem.apps.media.duplicates import known_duplicates

    found = known_duplicates(folder)
    return None if found is None else {**found.told(), "folder": str(folder)}
