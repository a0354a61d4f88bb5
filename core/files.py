"""Where the project keeps its files, and files written whole or not at all."""

import os
from pathlib import Path

from mainstem.core.errors import ArtifactError


def home() -> Path:
    """MAINSTEM_HOME, or ~/.mainstem."""
    return Path(os.environ.get("MAINSTEM_HOME", Path.home() / ".mainstem"))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a full disk leaves what was there before.

    Raises:
        ArtifactError: if it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror}; free space or name another folder") from error
    finally:
        part.unlink(missing_ok=True)
