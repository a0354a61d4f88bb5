"""Where the project keeps its files, and files written whole or not at all, whoever else writes beside us.

What is being written has a name of its own, `.NAME.HOST-RANDOM.part`, and its writer holds a lock on it (flock, which
the system gives back when a process ends, however it ends). So nobody takes away what another still writes, on this
machine or on another that shares the folder, and what a killed process left is swept up by the next writer of the
same file. No time of day decides anything on the same machine; what another machine left is swept after a day.
"""

import errno
import hashlib
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from stat import S_ISREG

from mainstem.core.errors import ArtifactError, InputError

PART = ".part"
FOREIGN_S = 86_400.0  # of what another machine left: no file takes a day to write
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # of a file system that knows none
LOCK = "lock"
LONGEST_NAME = 200  # bytes
Stat = tuple[int, ...]


def home() -> Path:
    """MAINSTEM_HOME, or ~/.mainstem.

    Raises:
        InputError: if neither is known.
    """
    if named := os.environ.get("MAINSTEM_HOME"):
        return Path(named)
    try:
        return Path.home() / ".mainstem"
    except RuntimeError as error:
        raise InputError("this user has no home folder; set MAINSTEM_HOME to a folder to keep files in") from error


@dataclass(frozen=True)
class Content:
    """A file as it was when it was hashed: what the system says of it, and the sha256 of its bytes."""

    path: Path
    stat: Stat
    sha256: str

    def is_still_there(self) -> bool:
        """True where the file holds the same bytes; they are read again only where it was touched."""
        try:
            return file_stat(self.path) == self.stat or content(self.path).sha256 == self.sha256
        except OSError:
            return False


def content(path: Path, seen: Stat | None = None) -> Content:
    """Hash a file's bytes; one that was not touched since this process hashed it is not read again.

    Raises:
        InputError: if it is not as it was seen before.
        OSError: if it cannot be read.
    """
    stat = file_stat(path)
    if seen not in (None, stat):
        raise InputError(f"{path} changed while it was read; leave it as it is, then run again")
    return Content(path, stat, _sha256(path.absolute(), stat))


def file_stat(path: Path) -> Stat:
    """Device, number, size and times of a file: another of any of them may be another content."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(4096)
def _sha256(path: Path, stat: Stat) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a full disk leaves what was there before.

    Raises:
        ArtifactError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        write_whole(path, [data])
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror}; free space or name another folder") from error


def write_whole(path: Path, chunks: Iterable[bytes | memoryview], is_durable: bool = True) -> None:
    """Write a file in an existing folder whole or not at all, on the disk when this returns.

    One that is not `is_durable` may be lost or torn when the power fails: its reader finds that out.

    Raises:
        OSError: if it cannot be written.
    """
    descriptor, part = _new_file(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if is_durable:
        sync_folder(path.parent)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder beside `path` to make it in: this process's alone, and gone afterwards with all that is still in it.

    Raises:
        OSError: if it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    folder, descriptor = _new_part(path)
    try:
        made = folder / "made"
        made.mkdir()
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A scratch folder that takes the name `path` when all went well; who else wants that name meanwhile is refused.

    The folder that this process stands in is filled, and not exchanged, or its shell would stand in a deleted one.

    Raises:
        ArtifactError: if `path` exists and is no empty folder, or cannot be written.
        InputError: if another process is making it.
    """
    try:
        _check_free(path)
        path = path if path.name else path.resolve()  # "." has no name that others could be made of
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{_short(path.name)}.lock"), str(path)), scratch(path) as made:
            _check_free(path)  # again: who held the lock before may have made it
            yield made
            if path.exists() and path.samefile(Path.cwd()):
                for entry in sorted(made.iterdir(), key=lambda entry: entry.stat().st_mtime_ns):
                    entry.replace(path / entry.name)
            else:
                if path.exists():
                    path.rmdir()
                made.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror or error}; free space or name another") from error


def _check_free(path: Path) -> None:
    if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
        raise ArtifactError(f"{path} exists already; name another folder, or delete it")


def sweep(path: Path) -> None:
    """Delete what processes that were killed left of writing `path`; what is still being written stays."""
    start = f".{_short(path.name)}."
    ours = f"{start}{host()}-"
    with suppress(OSError), os.scandir(path.parent) as listed:
        for entry in listed:
            if not (entry.name.startswith(start) and entry.name.endswith(PART)):
                continue
            if entry.name.startswith(ours) or time.time() - entry.stat(follow_symlinks=False).st_mtime > FOREIGN_S:
                _sweep_one(Path(entry.path))


def _sweep_one(part: Path) -> None:
    """Delete one leftover, unless its writer lives."""
    try:
        descriptor = os.open(part / LOCK if part.is_dir() else part, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # its writer has just made it, or has just finished
    try:
        with suppress(OSError):
            _flock(descriptor, shared=False)
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, what: str, *, shared: bool = False, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file until the block, or the process, ends; the file is deleted by its last holder.

    On a file system that knows no locks nothing is held.

    Args:
        path: of the lock file.
        what: is being made, for the message.
        shared: with others who share it.
        wait_s: how long to wait for it.

    Raises:
        InputError: if another process holds it.
        OSError: if the file cannot be made.
    """
    until = time.monotonic() + wait_s
    while (descriptor := _taken(path, shared)) is None:
        if time.monotonic() >= until:
            raise InputError(f"another process is making {what}; wait until it ends, or name another folder")
        time.sleep(0.05)
    try:
        yield
    finally:
        with suppress(OSError):
            _flock(descriptor, shared=False)  # the last holder takes the file away, so that none is left lying about
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _taken(path: Path, shared: bool) -> int | None:
    """Descriptor of a lock that was got; None where another holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _flock(descriptor, shared)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return descriptor
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise
        if os.fstat(descriptor).st_nlink:  # else its last holder has deleted it meanwhile
            return descriptor
        os.close(descriptor)


def _flock(descriptor: int, shared: bool) -> None:
    try:
        import fcntl
    except ImportError as error:  # Windows
        raise OSError(errno.ENOSYS, "no locks") from error
    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _new_part(path: Path) -> tuple[Path, int]:
    """Make a part that is a folder, with its lock held; one that another swept up before it was locked is made anew."""
    while True:
        folder = path.with_name(_part_name(path.name))
        folder.mkdir()
        with suppress(FileNotFoundError):
            if (descriptor := _taken(folder / LOCK, shared=False)) is not None:
                return folder, descriptor


def _new_file(path: Path) -> tuple[int, Path]:
    """Open a new part of a file, locked."""
    while True:
        part = path.with_name(_part_name(path.name))
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _flock(descriptor, shared=False)
            is_swept = not os.fstat(descriptor).st_nlink  # before it was locked
        except OSError as error:
            is_swept = error.errno not in NO_LOCKS  # one who sweeps holds it
        if not is_swept:
            return descriptor, part
        os.close(descriptor)
        part.unlink(missing_ok=True)


def _part_name(name: str) -> str:
    return f".{_short(name)}.{host()}-{secrets.token_hex(8)}{PART}"


def _short(name: str) -> str:
    """A name that leaves room for more: file systems take 255 bytes."""
    return name if len(os.fsencode(name)) <= LONGEST_NAME else hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


@cache
def host() -> str:
    """Short name of this machine since it was started: a process number says nothing on another."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    since = boot.read_text() if boot.is_file() else ""
    return hashlib.sha256(f"{socket.gethostname()}|{since}".encode()).hexdigest()[:8]


def open_own(path: Path, flags: int) -> int:
    """Descriptor of a file that itself lies there: a link could lead into another's file, a pipe would be waited for.

    Args:
        path: of the file.
        flags: as of `os.open`.

    Raises:
        InputError: if it is a link, or no file.
        OSError: if it cannot be opened.
    """
    check_own(path)
    followed = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags | followed, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:  # it became a link meanwhile
            check_own(path)
        raise
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path.name} is no file; move it away")
    return descriptor


def check_own(path: Path) -> None:
    """Refuse a link where a file itself, or nothing, has to lie.

    Raises:
        InputError: if it is one.
    """
    if path.is_symlink():
        raise InputError(
            f"{path.name} of {path.parent.name} is a link, which is not followed; put the file itself there"
        )


def sync_file(path: Path) -> None:
    """Have a file's bytes on the disk, where a library wrote it.

    Raises:
        OSError: if the disk does not take them.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have a folder's new names on the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
