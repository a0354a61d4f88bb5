"""Pictures as they are to be seen: red, green and blue of sRGB, upright, of 8 bits; what was changed for it is said."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds, reading
from mainstem.data.media.kinds import head_of, picture_format

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as it is shown.

    Attributes:
        pixels: uint8 (y, x, 3), sRGB, upright.
        size: (width, height) of the whole picture, upright, whatever `pixels` was made smaller to.
        format: Pillow's name of the file's.
        num_frames: that the file holds; `pixels` is the first.
        notes: what was done or found, a sentence each.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    format: str
    num_frames: int = 1
    notes: tuple[str, ...] = ()


def read_picture(path: Path, longest_side: int | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Picture:
    """Read a picture, at most `longest_side` pixels long where that is given.

    Raises:
        InputError: if it is absent, damaged, too large, or its values have no meaning as a picture.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Pillow", "media") from error
    found = picture_format(head_of(path, bounds))
    if found is None:
        raise InputError(f"{plain(path.name)} is no picture by its first bytes; name one")
    with reading(path, "a picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged tags and of size, which is checked here
        with path.open("rb") as file, Image.open(file, formats=(found,)) as image:
            return _picture(image, path.name, longest_side, bounds)


def _picture(image: "Image", name: str, longest_side: int | None, bounds: Bounds) -> Picture:
    from PIL import ImageOps

    width, height = image.size
    if width * height > bounds.pixels:
        raise InputError(f"{plain(name)} has {width} x {height} pixels, want at most {bounds.pixels}; make it smaller")
    num_frames = getattr(image, "n_frames", 1)
    if longest_side is not None:
        image.draft(None, (min(longest_side, width), min(longest_side, height)))
    upright = ImageOps.exif_transpose(image).convert("RGB")
    if longest_side is not None:
        upright.thumbnail((longest_side, longest_side))
    size = (width, height) if (upright.width > upright.height) == (width > height) else (height, width)
    return Picture(pixels=np.asarray(upright), size=size, format=str(image.format), num_frames=num_frames)
