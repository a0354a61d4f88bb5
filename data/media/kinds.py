"""What a file holds, by its content: a picture, sound, video or text, or nothing that is read here."""

from pathlib import Path
from typing import Literal

from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds
from mainstem.data.media.opening import opened
from mainstem.data.media.signatures import demuxer, head_of, is_text, picture_format

Kind = Literal["image", "sound", "video", "text"]


def kind_of(path: Path, bounds: Bounds = DEFAULT_BOUNDS) -> Kind | None:
    """What a file holds, by its bytes; None where it is nothing that is read here, or is empty.

    Raises:
        InputError: if it is no file, or one of sound or video whose streams cannot be told.
    """
    head = head_of(path, bounds)
    if picture_format(head):
        return "image"
    if demuxer(head):
        with opened(path, bounds) as container:
            return "video" if container.shown else "sound" if container.heard else None
    return "text" if is_text(head) else None
