"""What a foreign file may ask for: memory while it is read, and its own folder's files alone."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mainstem.core.errors import InputError

MOST_MEMORY = 1 << 30  # bytes that reading one foreign file may take beyond what the process holds
MOST_FILES = 1_000_000  # in a folder that is one input


@contextmanager
def bounded_memory(where: str, most: int = MOST_MEMORY) -> Iterator[None]:
    """Let the process take `most` bytes more, and no further: a packed file cannot fill the machine.

    The kernel refuses private memory beyond the limit (getrlimit(2), RLIMIT_DATA, Linux 4.7 and later); elsewhere
    nothing is bounded here.

    Raises:
        InputError: if more is asked for.
    """
    _warm_arrow()
    held = _held_bytes()
    try:
        import resource
    except ImportError:
        held = 0
    if not held:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [value for value in (held + most, soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{where} asks for more than {most >> 20} MiB of memory; it is refused, give a smaller one"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_memory(most: int) -> None:
    """Let this process, which reads foreign files, take `most` bytes more to its end, and leave no core of them.

    Where the kernel bounds nothing (see `bounded_memory`) nothing is bounded here.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [value for value in (_held_bytes() + most, soft, hard) if value != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _warm_arrow() -> None:
    """Let Arrow, which pandas keeps text in, set aside its gibibyte of addresses now: no file has asked for it."""
    import pandas as pd

    pd.Series(["a"])


def _held_bytes() -> int:
    """Private writable memory of this process; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), 0)


def measure_folder(folder: Path) -> int:
    """Bytes in a folder that is one input, all of them its own.

    Raises:
        InputError: if a link in it leads elsewhere, or it holds a pipe or device, or more than MOST_FILES.
    """
    root, total, count = folder.resolve(), 0, 0
    for place, folders, files in os.walk(root, followlinks=False):
        for name in (*folders, *files):
            path = Path(place, name)
            mode = path.lstat()
            count += 1
            if stat.S_ISLNK(mode.st_mode):
                if not Path(os.path.realpath(path)).is_relative_to(root):
                    raise InputError(f"{path.relative_to(root)} of {folder.name} leads outside it; give a whole folder")
                with suppress(OSError):  # of one that leads nowhere, or to itself
                    mode = path.stat()
            if not (stat.S_ISREG(mode.st_mode) or stat.S_ISDIR(mode.st_mode)):
                raise InputError(f"{path.relative_to(root)} of {folder.name} is no plain file; give a whole folder")
            total += mode.st_size
        if count > MOST_FILES:
            raise InputError(f"{folder.name} holds more than {MOST_FILES} files; write it in larger pieces")
    return total


def check_beside(path: Path, first: Path) -> None:
    """Refuse a companion of a file that is a link to another folder, or no plain file.

    Raises:
        InputError: if it is.
    """
    if path.resolve().parent != first.resolve().parent or not path.is_file():
        raise InputError(f"{path.name} does not lie beside {first.name}; give the files themselves, no links")
