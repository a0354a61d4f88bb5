"""What one file of an archive may ask for, checked on what it says of itself before anything is decoded, and while."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mainstem.core.errors import InputError, MainstemError
from mainstem.core.plain import one_line, plain


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of one file.

    Attributes:
        pixels: of a picture or a frame. Pillow itself refuses 178,956,970 (twice its MAX_IMAGE_PIXELS).
        frames: that are decoded or counted; 2^20 are 9.7 hours at 30 a second.
        seconds: of sound or video.
        bytes: of a file of sound, video or pictures.
        text_bytes: of a text, a sidecar or one block of metadata.
        memory: bytes that what is decoded may take at once.
    """

    pixels: int = 1 << 27
    frames: int = 1 << 20
    seconds: float = 12 * 3600.0
    bytes: int = 64 << 30
    text_bytes: int = 8 << 20
    memory: int = 1 << 30


DEFAULT_BOUNDS = Bounds()


def check_file(path: Path, most: int) -> os.stat_result:
    """Check that a path is, or links to, a file that can be read to its end: a pipe would wait for ever.

    Raises:
        InputError: if it is none, is empty, or has more than `most` bytes.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{plain(path)}: no such file; name a picture, sound, video or text") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{plain(path)} is no file but a folder, pipe or device; name a file")
    if not found.st_size:
        raise InputError(f"{plain(path.name)} is empty; copy it again")
    if found.st_size > most:
        raise InputError(f"{plain(path.name)} has {found.st_size} bytes, want at most {most}; split it")
    return found


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Tell whatever a decoder raises as one line about its file: of damaged bytes decoders raise anything.

    Raises:
        InputError: of any error that is none of ours.
    """
    try:
        yield
    except MainstemError:
        raise
    except MemoryError as error:
        raise InputError(f"{plain(path.name)} asks for more memory than there is; make it smaller") from error
    except Exception as error:
        reason = plain(getattr(error, "strerror", None) or one_line(error))
        raise InputError(f"{plain(path.name)} cannot be read as {what} ({reason}); copy it again") from error
