"""Where maps lie: a folder of one, or a folder of such, as a harvest of several fields writes it."""

from pathlib import Path

from mainstem.core.errors import InputError
from mainstem.core.plain import plain

MAP = "map.tif"


def map_folders(folder: Path) -> list[Path]:
    """The folders of maps that a folder stands for: itself, or those in it, as a harvest of several fields writes them.

    Raises:
        InputError: if there is none.
    """
    if (folder / MAP).is_file():
        return [folder]
    inside = folder.glob(f"*/{MAP}") if folder.is_dir() else ()
    found = sorted(path.parent for path in inside if not path.parent.name.startswith("."))
    if not found:
        raise InputError(
            f"{last_parts(folder)} holds no map.tif, and no folder in it does; want what `mainstem map --out` or "
            "`mainstem fields harvest --out` made"
        )
    return found


def last_parts(path: Path) -> str:
    """The last two parts of a path: of many maps all are named map.tif."""
    return plain("/".join(path.parts[-2:]))
