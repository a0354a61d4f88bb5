"""Image files to streams of grey or red, green and blue, as pure numbers from 0 to 1 of the file's own full range.

PNG, JPEG and TIFF, upright as EXIF says. Bits of 8 and 16 are divided by 255 and 65,535; of 16-bit colour Pillow keeps
the upper 8. A palette is looked up. Alpha is dropped where it hides nothing. What would have to be guessed is refused:
transparency, CMYK, whole numbers of 32 bits, floats, several frames. Nothing says how large a pixel is.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line
from mainstem.core.stream import Channel, Stream
from mainstem.data.tabular import check_regular

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "TIFF")  # of Pillow's many decoders no other is asked
MAX_BYTES = 256 << 20
MOST_PIXELS = 1 << 26  # 805 MB as numbers of 32 bits in three channels
FULL = {"1": 1, "L": 255, "RGB": 255, "I;16": 65_535, "I;16L": 65_535, "I;16B": 65_535}  # by Pillow's modes
GREY = (Channel(name="grey", unit="1"),)
RGB = tuple(Channel(name=name, unit="1") for name in ("red", "green", "blue"))


def read_image(path: Path) -> Stream:
    """Read an image file.

    Raises:
        InputError: if it is absent, damaged, too large, or its values would have to be guessed.
    """
    if check_regular(path, "name an image file").st_size > MAX_BYTES:
        raise InputError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB; make it smaller")
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            f"{path.name} is an image, and Pillow is not installed; pip install 'mainstem[earth]'"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged tags and of size, which is checked here
        try:
            with Image.open(path, formats=FORMATS) as image:
                return _stream(image, path.name)
        except InputError:
            raise
        except Exception as error:  # a decoder of damaged bytes raises anything
            raise InputError(f"{path.name} cannot be read as an image ({one_line(error)}); save it again") from error


def _stream(image: "Image", name: str) -> Stream:
    from PIL import ImageOps

    if image.width * image.height > MOST_PIXELS:
        raise InputError(
            f"{name} has {image.width} x {image.height} pixels, want at most {MOST_PIXELS}; make it smaller"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a camera's: the first is the picture, the others are for its screen
        raise InputError(f"{name} has {frames} frames or pages, want one picture; save one")
    values = _values(ImageOps.exif_transpose(_plain(image, name)))
    channels = GREY if values.ndim == 2 else RGB
    return Stream(kind="image", values=np.moveaxis(np.atleast_3d(values), -1, 0), channels=channels)


def _plain(image: "Image", name: str) -> "Image":
    """The picture in a mode of FULL."""
    if image.mode in FULL:
        is_clear = "transparency" in image.info and image.mode != "I;16"
        image = image.convert("RGBA") if is_clear else image
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    if image.mode in FULL:
        return image
    if image.mode not in ("LA", "RGBA"):
        raise InputError(f"{name} is {image.mode}, want grey of 8 or 16 bits, or RGB; convert it")
    if np.asarray(image.getchannel("A")).min() < 255:
        raise InputError(f"{name} has transparent pixels, which show nothing; lay it on a colour, or cut it")
    return image.convert(image.mode[:-1])


def _values(image: "Image") -> NDArray[np.float32]:
    """Values (y, x) or (y, x, channel)."""
    return np.asarray(image, np.float32) / np.float32(FULL[image.mode])
