"""Colours of any picture to sRGB of 8 bits: by the profile that it brings, or as what its mode is taken for."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mainstem.core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsTransform

SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
PROFILED = ("L", "RGB", "CMYK", "LAB")  # modes whose profiles are applied
LARGEST_PROFILE = 4 << 20  # bytes; the largest of printing presses have some 2.7 MB
WHITE = (255, 255, 255)


def to_srgb(image: "Image", longest_side: int | None, name: str) -> tuple["Image", list[str]]:
    """A picture as red, green and blue of sRGB, at most `longest_side` pixels long, and what was done for it.

    Raises:
        InputError: if its values are no colours: numbers of 32 bits, whole or not, have no white.
    """
    profile = image.info.get("icc_profile")
    plain, notes = _plain(image, name)
    small = _smaller(plain, longest_side)
    if small.mode in ("LA", "RGBA"):
        opaque, said = _opaque(small)
    else:
        opaque, said = small, []
    shown, told = _profiled(opaque, profile)
    return shown, [*notes, *said, *told]


def _plain(image: "Image", name: str) -> tuple["Image", list[str]]:
    """The picture in a mode that can be made smaller: no palette, 8 bits."""
    if image.mode in SIXTEEN:
        from PIL import Image

        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)), ["its 16 bits are shown as 8"]
    if image.mode in ("I", "F"):
        raise InputError(f"{name} holds numbers of 32 bits, of which none is said to be white; save 8 or 16 bits")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA"), []
    if image.mode in ("RGBa", "La", "RGBX"):
        return image.convert({"RGBa": "RGBA", "La": "LA", "RGBX": "RGB"}[image.mode]), []
    if image.mode in ("1", "YCbCr", "HSV"):
        return image.convert("L" if image.mode == "1" else "RGB"), []
    if image.mode not in (*PROFILED, "LA", "RGBA"):
        raise InputError(f"{name} is {image.mode}, which is not shown; save it as RGB")
    return image, []


def _smaller(image: "Image", longest_side: int | None) -> "Image":
    from PIL.Image import Resampling

    if longest_side is None or max(image.size) <= longest_side:
        return image
    scale = longest_side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Resampling.BICUBIC, reducing_gap=2.0)


def _opaque(image: "Image") -> tuple["Image", list[str]]:
    """The picture laid on white, as a page would show it."""
    from PIL import Image

    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert(image.mode[:-1]), []
    ground = Image.new("RGB", image.size, WHITE)
    ground.paste(image.convert("RGB"), mask=alpha)
    return ground, ["it is transparent in places, which are shown white"]


def _profiled(image: "Image", profile: object) -> tuple["Image", list[str]]:
    """The picture in sRGB by its profile; without one, grey and RGB are taken for sRGB and inks mixed plainly."""
    from PIL.ImageCms import PyCMSError

    if not (isinstance(profile, bytes) and profile):
        if image.mode == "LAB":
            made = _transform(None, "LAB")
            return made.apply(image), []
        notes = ["its inks (CMYK) have no colour profile, so its colours are a guess"] if image.mode == "CMYK" else []
        return image.convert("RGB"), notes
    try:
        if len(profile) > LARGEST_PROFILE:
            raise ValueError("too large")
        return _transform(profile, image.mode).apply(image), []
    except (PyCMSError, ValueError, OSError, TypeError):
        shown = _transform(None, "LAB").apply(image) if image.mode == "LAB" else image.convert("RGB")
        return shown, ["its colour profile does not fit it or is damaged, and was not applied"]


@lru_cache(16)
def _transform(profile: bytes | None, mode: str) -> "ImageCmsTransform":
    """What makes sRGB of a mode by a profile; without one, of LAB (CIE L*a*b* of the D50 white)."""
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform, Intent, createProfile

    source = ImageCmsProfile(createProfile("LAB") if profile is None else io.BytesIO(profile))
    return ImageCmsTransform(source, ImageCmsProfile(createProfile("sRGB")), mode, "RGB", Intent.RELATIVE_COLORIMETRIC)
