"""Pictures as they are to be seen: red, green and blue of sRGB, upright, of 8 bits; what was changed for it is said.

The whole of a picture is never decoded where a smaller one is asked for and its format can do with less: a JPEG is
scaled by its decoder to the half, quarter or eighth. Sizes are those of the header, checked before anything is decoded.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds, reading
from mainstem.data.media.colours import to_srgb
from mainstem.data.media.signatures import head_of, picture_format

if TYPE_CHECKING:
    from PIL.Image import Image

SEVERAL = {"JPEG": ("JPEG", "MPO")}  # of Pillow's decoders only those of the format that the first bytes say
ORIENTATION = 0x0112  # Exif 2.32, 4.6.4
TURNED = (5, 6, 7, 8)  # orientations that exchange width and height
BYTES = {"1": 1, "L": 1, "P": 1, "LA": 4, "PA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}  # a pixel; others take 4
COPIES = 2  # of a picture at once: converting it makes another
COUNTED = 4 << 20  # bytes of a GIF whose frames are counted: that walks through the file
GAP = 2.0  # times what is asked for that a decoder scales to at least: Pillow's own advice for a fair result


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
    """Read a picture, made smaller where it is longer than `longest_side` pixels.

    Raises:
        InputError: if it is absent, damaged, too large, or its values have no meaning as a picture.
        MissingExtraError: if it is HEIC, and pillow-heif is not installed.
    """
    if longest_side is not None and longest_side < 1:
        raise InputError(f"a picture of {longest_side} pixels shows nothing; ask for one or more")
    with opened_picture(path, bounds) as image:
        return _picture(image, path.name, longest_side, bounds)


@contextmanager
def opened_picture(path: Path, bounds: Bounds) -> Iterator["Image"]:
    """A picture's header, read; its pixels are not.

    Raises:
        InputError: if it is none, is damaged, or has more pixels than may be.
        MissingExtraError: if it is HEIC, and pillow-heif is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Pillow", "media") from error
    found = picture_format(head_of(path, bounds))
    if found is None:
        raise InputError(f"{plain(path.name)} is no picture by its first bytes; name one")
    if found == "HEIF":
        _register_heif()
    with reading(path, "a picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged tags and of size, which is checked here
        with path.open("rb") as file, Image.open(file, formats=SEVERAL.get(found, (found,))) as image:
            width, height = image.size
            if width * height > bounds.pixels:
                raise InputError(
                    f"{plain(path.name)} has {width} x {height} pixels, want at most {bounds.pixels}; make it smaller"
                )
            yield image


def _register_heif() -> None:
    if find_spec("pillow_heif") is None:
        raise MissingExtraError("pillow-heif, which reads HEIC,", "media")
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def _picture(image: "Image", name: str, longest_side: int | None, bounds: Bounds) -> Picture:
    file_format, whole = str(image.format), image.size
    num_frames, notes = _frames(image)
    orientation, damaged = _orientation(image)
    if longest_side is not None:
        _draft(image, longest_side)
    needed = image.width * image.height * BYTES.get(image.mode, 4) * COPIES
    if needed > bounds.memory:
        raise InputError(f"{plain(name)} needs {needed} bytes to decode, want at most {bounds.memory}; make it smaller")
    image.load()
    shown, changed = to_srgb(image, longest_side, plain(name))
    upright = _turned(shown, orientation)
    return Picture(
        pixels=np.asarray(upright),
        size=whole[::-1] if orientation in TURNED else whole,
        format=file_format,
        num_frames=num_frames,
        notes=(*notes, *damaged, *changed),
    )


def _frames(image: "Image") -> tuple[int, list[str]]:
    """How many pictures the file holds, and what is said of it; a camera's second picture (MPO) is for its screen."""
    if image.format == "GIF" and _length(image) > COUNTED:
        num, least = 1 + getattr(image, "is_animated", False), "at least "
    else:
        num, least = int(getattr(image, "n_frames", 1)), ""
    return num, [f"it holds {least}{num} pictures, of which the first is shown"] if num > 1 else []


def _length(image: "Image") -> int:
    file = image.fp  # type: ignore[attr-defined]  # an ImageFile, which Image.open gives
    at = file.tell()
    length = int(file.seek(0, 2))
    file.seek(at)
    return length


def _orientation(image: "Image") -> tuple[int, list[str]]:
    """1 to 8 as EXIF has it; 1 where it says nothing that is known."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a parser of damaged bytes raises anything
        return 1, ["its EXIF is damaged, so it is shown as it is stored"]
    return (found, []) if found in range(1, 9) else (1, [f"its orientation {plain(found)!r} is none; shown as stored"])


def _draft(image: "Image", longest_side: int) -> None:
    """Ask a decoder for a smaller picture, where its format can give one."""
    scale = GAP * longest_side / max(image.size)
    if scale < 1:
        image.draft(None, (max(1, int(image.width * scale)), max(1, int(image.height * scale))))


def _turned(image: "Image", orientation: int) -> "Image":
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    return image.transpose(turns[orientation]) if orientation in turns else image
