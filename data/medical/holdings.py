"""What a path holds, one answer for all who ask: images, volumes of NIfTI and masks, in zips of a folder too."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mainstem.core.progress import Progress, silent
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_series import Found, find_series

NO_IMAGES = "it holds no file"
MASKS_ALONE = "it holds masks alone, and not what they lie on"


def held_by(path: Path, progress: Progress = silent) -> Found:
    """What a file or a zip holds, or a folder and the zips that lie in it; no pixel is decoded.

    Raises:
        InputError: if there is nothing at the path, or a zip is refused.
    """
    zips = [one for one in sorted(path.glob("*.zip")) if one.is_file()] if path.is_dir() else []
    own = {one.name for one in zips}
    has_more = not zips or any(one.name not in own for one in path.iterdir())
    found = [find_series(one, progress) for one in (*zips, *([path] if has_more else []))]
    return Found(
        series=tuple(series for one in found for series in one.series),
        refused=tuple(refused for one in found for refused in one.refused if refused.name not in own),
        volumes=tuple(place for one in found for place in _shown(one.volumes)),
        masks=tuple(place for one in found for place in one.masks),
    )


def _shown(places: tuple[Place, ...]) -> Iterator[Place]:
    """Files but those that a finder of macOS hides beside each."""
    for place in places:
        if not PurePosixPath(place.member or place.path.as_posix()).name.startswith("."):
            yield place


def why_none(found: Found) -> str:
    """Why there is no image among what was found."""
    if found.unread:
        return f"{found.unread[0].name}: {found.unread[0].reason}"
    return MASKS_ALONE if found.masks else NO_IMAGES
