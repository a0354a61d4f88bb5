"""The process that reads single files for a page: a larger picture, what is said of a file; a bad one may end it."""

import io
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mainstem.apps.media.reading import plain_metadata
from mainstem.core.errors import MainstemError
from mainstem.core.plain import one_line, plain
from mainstem.data.limits import limit_memory
from mainstem.data.media.metadata import read_metadata
from mainstem.data.media.pictures import read_picture

QUALITY = 88  # of JPEG
MOST_TEXT = 20_000  # letters of a transcript
MOST_MEMORY = 3 << 30  # bytes


def serve(pipe: Connection) -> None:
    """Answer one request after the other, each by JSON and by bytes, until the other end is closed."""
    with suppress(EOFError, OSError):
        pipe.send_bytes(b"{}")  # ready
        while True:
            told, data = answer(json.loads(pipe.recv_bytes()))
            pipe.send_bytes(json.dumps(told).encode())
            pipe.send_bytes(data)


def answer(request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return what is asked for of a file, or {"refused": why}."""
    path = Path(request["path"])
    try:
        if request["longest_side"]:
            return _picture(path, int(request["longest_side"]))
        told = read_metadata(path)
        return {**plain_metadata(told), "transcript": (told.transcript or "")[:MOST_TEXT]}, b""
    except (MainstemError, OSError, MemoryError) as error:
        return {"refused": plain(one_line(error))}, b""


def _picture(path: Path, longest_side: int) -> tuple[dict[str, Any], bytes]:
    from PIL import Image

    found, buffer = read_picture(path, longest_side), io.BytesIO()
    Image.fromarray(found.pixels).save(buffer, "JPEG", quality=QUALITY)
    return {"notes": list(found.notes), "size": list(found.size), "format": found.format}, buffer.getvalue()


if __name__ == "__main__":
    limit_memory(MOST_MEMORY)
    serve(Connection(int(sys.argv[1])))
