"""Files from a mirror or the network: over https from allowed hosts alone, within a time, whole or not at all."""

import hashlib
import http.client
import os
import re
import shutil
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mainstem.core.errors import InputError
from mainstem.core.files import content, scratch, sync_file, sync_folder
from mainstem.core.plain import one_line

CHUNK_BYTES = 1 << 20
SOCKET_S = 60  # without a byte
PATIENCE_S = 15.0  # to connect, shake hands and begin; from then on LEAST_RATE holds
LEAST_RATE = 2_000  # bytes a second on average, 16 kbit/s: slower than any line still in use
LONGEST_S = 6 * 3600.0
LOOK_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is fetched: the address, the hosts that may serve it, and what is known of it beforehand.

    Attributes:
        size: bytes; None where unknown, then the server has to say it.
        sha256: hex; "" where unknown.
        largest: bytes, beyond which nothing is taken.
    """

    address: str
    hosts: tuple[str, ...]
    size: int | None = None
    sha256: str = ""
    largest: int = 4 << 30

    def __str__(self) -> str:
        """The address without what may be secret of it."""
        parts = urllib.parse.urlsplit(self.address)
        return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200]


@dataclass
class _State:
    """What the thread that fetches tells the one that waits, and the other way round."""

    written: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    is_given_up: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


def check_address(address: str, hosts: Sequence[str]) -> str:
    """Return the host of an address that may be asked.

    Raises:
        InputError: if it is not https, or its host is not allowed.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f"{address[:200]!r} is no address ({error}); want https://HOST/...") from error
    if parts.scheme != "https" or not host:
        raise InputError(
            f"{address[:200]!r} is not allowed, being no https address; want a file beside the item, or https://HOST/..."
        )
    if not address.isascii():
        raise InputError(f"{address[:200]!a} holds letters beyond ASCII; percent-encode them, and a host by Punycode")
    if host not in [allowed.lower() for allowed in hosts]:
        raise InputError(f"{address[:200]!r} is on a host that is not allowed; add --allow-host {host[:80]}")
    if any(ord(letter) <= ord(" ") for letter in address):
        raise InputError(f"{address[:200]!r} holds blanks or control letters; percent-encode them")
    return host


class AllowedHops(urllib.request.HTTPRedirectHandler):
    """A host that is allowed may send us to allowed ones alone."""

    max_redirections = 5

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = hosts

    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:  # noqa: ANN401 - urllib's signature
        """Follow to an allowed host by https, else refuse."""
        check_address(arguments[-1], self.hosts)
        return super().redirect_request(*arguments)


def fetch(wanted: Wanted, path: Path) -> None:
    """Download a file, whole or not at all, and give it its name only when size and hash are right.

    Raises:
        InputError: if the address is not allowed, the server cannot be reached, is too slow, stops early, sends more
            than it may or something else than was wanted, or the disk is full.
    """
    check_address(wanted.address, wanted.hosts)
    try:
        with scratch(path) as made:
            part = made / "part"
            with part.open("xb") as target:
                _receive(wanted, target)
            part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"cannot fetch {wanted} ({one_line(error)}); check address, network and space, then run again"
        ) from error


def copy(source: Path, path: Path, sha256: str = "") -> bool:
    """Copy a mirror's file, whole or not at all; False, and nothing is copied, where its sha256 is another.

    Raises:
        OSError: if it cannot be read or written.
    """
    with scratch(path) as made:
        part = made / "part"
        shutil.copyfile(source, part)
        sync_file(part)
        if sha256 and content(part).sha256 != sha256:
            return False
        part.replace(path)
    sync_folder(path.parent)
    return True


def _receive(wanted: Wanted, target: IO[bytes]) -> None:
    """Have a thread download into an open file; a thread that is given up finds it closed."""
    state = _State()
    threading.Thread(target=_run, args=(wanted, target, state), daemon=True).start()
    try:
        _wait(wanted, state)
    finally:
        state.is_given_up.set()
    if state.error is not None:
        raise state.error


def _wait(wanted: Wanted, state: _State) -> None:
    """Wait for the thread; name lookups, handshakes and headers count as well, which no socket's timeout bounds."""
    began = time.monotonic()
    while not state.is_over.wait(LOOK_S):
        spent = time.monotonic() - began
        if spent > PATIENCE_S and state.written < LEAST_RATE * (spent - PATIENCE_S / 2):
            raise InputError(
                f"{wanted} comes at {state.written / spent:,.0f} bytes a second, want {LEAST_RATE:,}; fetch it by "
                "other means"
            )
        if spent > LONGEST_S:
            raise InputError(f"{wanted} took longer than {LONGEST_S / 3600:g} hours; fetch it by other means")


def _run(wanted: Wanted, target: IO[bytes], state: _State) -> None:
    try:
        _download(wanted, target, state)
    except Exception as error:
        state.error = error
    finally:
        state.is_over.set()


def _download(wanted: Wanted, target: IO[bytes], state: _State) -> None:
    digest = hashlib.sha256()
    opener = urllib.request.build_opener(AllowedHops(wanted.hosts))
    with opener.open(wanted.address, timeout=SOCKET_S) as source:
        told = _told_size(wanted, source)
        while not state.is_given_up.is_set() and (chunk := source.read1(CHUNK_BYTES)):
            target.write(chunk)
            digest.update(chunk)
            state.written += len(chunk)
            if state.written > wanted.largest or (told is not None and state.written > told):
                raise InputError(f"{wanted} is larger than {(told or wanted.largest):,} bytes; fetch it by other means")
        target.flush()
        os.fsync(target.fileno())
    if told is not None and state.written != told:
        raise InputError(f"{wanted} stopped after {state.written:,} of {told:,} bytes; run again")
    if wanted.sha256 and digest.hexdigest() != wanted.sha256.lower():
        raise InputError(f"{wanted} is not the file that was named (its sha256 differs); it is refused")


def _told_size(wanted: Wanted, answer: Any) -> int | None:  # noqa: ANN401 - http.client's answer
    """Bytes that must come; None where the transfer itself marks its end (chunks) and none are known.

    Raises:
        InputError: if nobody says it, or two differ.
    """
    header = answer.headers.get("Content-Length")
    if header is not None and not re.fullmatch("[0-9]{1,20}", header.strip()):
        raise InputError(
            f"{wanted} is said to have {header[:20]!r} bytes, want a whole number; fetch it by other means"
        )
    told = None if header is None else int(header)
    if told is not None and wanted.size is not None and told != wanted.size:
        raise InputError(f"{wanted} has {told:,} bytes, want {wanted.size:,}; it is another file")
    told = wanted.size if told is None else told
    if told is not None and told > wanted.largest:
        raise InputError(f"{wanted} is larger than {wanted.largest:,} bytes; fetch it by other means")
    if told is None and not getattr(answer, "chunked", False):
        raise InputError(f"the server of {wanted} does not say its size, so that half of it looks whole; it is refused")
    return told
