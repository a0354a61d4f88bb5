"""What a command writes never takes the place of what it reads, and is known to be writable before work begins."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mainstem.core.errors import InputError


def check_output(out: Path, inputs: Iterable[Path | str] = (), suffixes: Sequence[str] = ()) -> None:
    """Check a file that is to be written: its kind, its folder, and that it is none of the inputs by any name.

    A file that exists already and is no input is replaced, as the user asked.

    Args:
        out: the file.
        inputs: files and folders that are read; what is no path (a data set's name) is none.
        suffixes: of which its name must have one.

    Raises:
        InputError: saying what is in the way.
    """
    try:
        if suffixes and out.suffix not in suffixes:
            raise InputError(f"got {out.name[:100]!r} to write, want a name ending in {' or '.join(suffixes)}")
        if out.is_dir():
            raise InputError(f"{out} is a folder; name a file in it")
        if out.exists() and not out.is_file():
            raise InputError(f"{out} is no plain file; name another")
        check_parent(out)
        for given in inputs if out.exists() else ():
            if _is_read(out, Path(given)):
                raise InputError(f"{out} is what is read ({given}), or a link to it; name another file to write")
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"cannot write {str(out)[:100]!r} ({error!s:.100}); name another file") from error


def check_outside(out: Path, given: Path | str) -> None:
    """Check that a file that is to be written does not come to lie within a folder that is read.

    Raises:
        InputError: if it does.
    """
    if Path(given).is_dir() and out.resolve().is_relative_to(Path(given).resolve()):
        raise InputError(f"{out} lies within {given}, which is read; name a file elsewhere")


def check_parent(out: Path) -> None:
    """Check that the folder of a file or folder is there or can be made.

    Raises:
        InputError: if a file is in the way, or nothing may be written there.
    """
    near = next(parent for parent in out.absolute().parents if parent.exists())
    if not near.is_dir():
        raise InputError(f"{near} is a file, and {out} would lie in it; name another")
    if not os.access(near, os.W_OK | os.X_OK):
        raise InputError(f"{near} cannot be written; name another folder, or change its rights")


def check_output_folder(out: Path, names: Iterable[str], inputs: Iterable[Path | str]) -> None:
    """Check a folder that is to be written to: that it is one, and that none of these files in it is an input.

    Raises:
        InputError: saying what is in the way.
    """
    given = list(inputs)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder")
    check_parent(out)
    for name in names:
        check_output(out / name, given)


def _is_read(out: Path, given: Path) -> bool:
    """True where `out` is the file `given`, or a file in the folder `given`, by that name, by a link or a hard link."""
    return _is_there(given) and any(out.samefile(file) for file in _files(given) if file.exists())


def _is_there(given: Path) -> bool:
    try:
        return given.exists()
    except (OSError, ValueError):  # the name of something else
        return False


def _files(given: Path) -> Iterator[Path]:
    if not given.is_dir():
        yield given
        return
    yield from (path for path in given.rglob("*") if path.is_file())
