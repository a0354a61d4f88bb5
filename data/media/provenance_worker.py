"""Reads manifests in a process of its own, which has no network, so much memory and so much time.

Started by `provenance_process`. The SDK is told to fetch nothing, and where the kernel allows it the process lives in
an empty network namespace besides (unshare(2)): opening a leaked file must not contact who leaked it.
"""

import ctypes
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line, plain
from mainstem.data.limits import limit_memory
from mainstem.data.media.left_out import leaves_out
from mainstem.data.media.manifest_slots import MANIFEST_STORE, holds_store
from mainstem.data.media.provenance_verdict import EMBEDDED, Report, Unread, fits, judge, unread
from mainstem.data.media.signers import OF_SERVICES, USES

MOST_MEMORY = 3 << 30  # bytes beyond those held when the library is loaded: pictures are held whole
MOST_SIDECAR = 64 << 20  # bytes
MOST_UNPACKED_MIB = 32  # of a packed manifest
MOST_REPORT = 64 << 20  # letters of a report
NEW_USER, NEW_NET = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET of sched.h
ELSEWHERE = re.compile(r"remote manifests? from url (\S+)")  # what the SDK's error says
Request = Mapping[str, Any]


def settings(trust: Mapping[str, str] | None) -> dict[str, Any]:
    """Settings of the SDK under which nothing is sent, and only so much is unpacked.

    Args:
        trust: "pem" of who may sign and "stamps" of who may stamp; None where nobody is trusted.

    Raises:
        InputError: if the SDK that is installed does not know one of them.
    """
    told: dict[str, Any] = {
        "core": {
            "allowed_network_hosts": [],
            "allow_redirects": False,
            "decode_identity_assertions": False,  # did:web is looked up
            "max_decompressed_manifest_size_in_mb": MOST_UNPACKED_MIB,
        },
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_trust": True,
            "verify_timestamp_trust": True,
        },
        "builder": {"thumbnail": {"enabled": False}},
        "trust": {"trust_config": "\n".join([*USES, *OF_SERVICES])},  # the SDK's own list lacks C2PA's newer ones
    }
    if trust is not None:
        # a signer's own certificate counts as well as the one that it was issued under
        signers = {"trust_anchors": trust["pem"], "allowed_list": trust["pem"], "trust_kind": "manifest"}
        stampers = [{"trust_anchors": trust["stamps"], "trust_kind": "tsa"}] if trust["stamps"] else []
        told["trust"]["anchors"] = [signers | {"trust_uri": ""}, *(each | {"trust_uri": ""} for each in stampers)]
    unknown = _unknown(json.dumps({group: told[group] for group in ("core", "verify")}))
    if unknown:
        raise InputError(f"this c2pa-python does not know {unknown}, which keeps it from the network; install 0.38")
    return told


@cache
def _unknown(groups: str) -> str:
    """Settings that the SDK leaves unread, as it does without a word: those that it reads take no such value."""
    from c2pa import C2paError, Context

    found = []
    for group, names in json.loads(groups).items():
        for name in names:
            with suppress(C2paError):
                Context.from_dict({group: {name: {"of": "no such kind"}}}).close()
                found.append(f"{group}.{name}")
    return ", ".join(found)


def serve(pipe: Connection) -> None:
    """Answer requests until the pipe is closed."""
    _leave_network()
    import c2pa  # noqa: F401 - no request pays for it

    limit_memory(MOST_MEMORY)
    pipe.send_bytes(b"{}")
    with suppress(EOFError):
        while True:
            request = json.loads(pipe.recv_bytes())
            _limit_seconds(float(request["seconds"]))
            pipe.send_bytes(json.dumps(answer(request)).encode())


def answer(request: Request) -> dict[str, Any]:
    """What a file holds, or {"refused": why}."""
    try:
        return examine(request)
    except InputError as error:
        return {"refused": str(error)}
    except (MemoryError, RecursionError):
        return {"refused": "its manifest is larger or deeper than is read; it is damaged or hostile"}
    except OSError as error:
        return {"refused": f"{error.strerror or 'cannot be read'}; check the path"}


def examine(request: Request) -> dict[str, Any]:
    """What a file holds, as `Origin` says it.

    Raises:
        InputError: if it is damaged beyond reading.
    """
    from c2pa import C2paError

    path = Path(request["path"])
    with path.open("rb") as stream:
        sha256, has_mark = _hash(stream)
        try:
            return {"sha256": sha256} | judge(_read(request, stream, None, EMBEDDED), request["list"])
        except C2paError as error:
            if isinstance(error, C2paError.NotSupported) and (kind := _format(path)):
                raise InputError(
                    f"is no {kind}, for all its name; it is damaged or lies, get the file again"
                ) from error
            found = Unread(_why(error), _elsewhere(error), holds_store(stream), has_mark, (), misfits=False)
            is_looked_beside = isinstance(error, C2paError.ManifestNotFound) or found.elsewhere
        return {"sha256": sha256} | (_beside(request, stream, found) if is_looked_beside else unread(found))


def _beside(request: Request, stream: BinaryIO, found: Unread) -> dict[str, Any]:
    """What the first sidecar that fits a file says of it; else why none does."""
    from c2pa import C2paError

    for sidecar in map(Path, request["sidecars"]):
        is_own = sidecar.stem == Path(request["path"]).name
        try:
            report = _read(request, stream, _sidecar(sidecar), sidecar.name)
        except (C2paError, InputError) as error:
            why = f"{plain(sidecar.name)} beside it cannot be read ({_why(error)}), which says nothing of the file"
        else:
            if fits(report):
                return judge(report, request["list"])
            why = f"{plain(sidecar.name)}: " + ("of other bytes" if is_own else "the sidecar speaks of another file")
            found = replace(found, misfits=found.misfits or is_own)
        found = replace(found, beside=(*found.beside, f"manifest.sidecar: {why}"))
    return unread(found)


def _sidecar(path: Path) -> bytes:
    if path.stat().st_size > MOST_SIDECAR:
        raise InputError(f"it is larger than {MOST_SIDECAR >> 20} MiB")
    return path.read_bytes()


def _read(request: Request, stream: BinaryIO, manifest: bytes | None, where: str) -> Report:
    from c2pa import C2paError, Context, Reader

    stream.seek(0)
    try:
        told = Context.from_dict(settings(request["trust"]))
    except C2paError as error:  # of the list, and not of the file
        raise InputError(f"the trust list cannot be used ({_why(error)}); give another") from error
    with (
        told as context,
        Reader(_format(Path(request["path"])), stream, manifest, context=context) as reader,
    ):
        state = str(reader.get_validation_state())
        return Report(_parsed(reader.json()), state, where, leaves_out(_parsed(reader.detailed_json())))


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MOST_REPORT:
        raise MemoryError
    store: dict[str, Any] = json.loads(text)
    return store


def _format(path: Path) -> str | None:
    """A file's suffix where the SDK knows it; it looks at the bytes all the same, and believes those."""
    from c2pa import Reader

    suffix = path.suffix.lower().removeprefix(".")
    return suffix if suffix in Reader.get_supported_mime_types() else None


def _hash(stream: BinaryIO) -> tuple[str, bool]:
    """A file's SHA-256, and whether the mark of a manifest store is anywhere in it."""
    digest, found, before = hashlib.sha256(), False, b""
    while part := stream.read(1 << 20):
        digest.update(part)
        found = found or MANIFEST_STORE in before + part
        before = part[-len(MANIFEST_STORE) :]
    return digest.hexdigest(), found


def _why(error: Exception) -> str:
    return plain(one_line(error))


def _elsewhere(error: Exception) -> str | None:
    """The address that a file names for its manifest, where that is why none was read."""
    match = ELSEWHERE.search(str(error))
    return plain(match[1])[:2000] if match else None


def _leave_network() -> None:
    """Enter an empty network namespace where the kernel lets this user; elsewhere the SDK's settings stand alone."""
    with suppress(OSError, AttributeError):
        # root keeps its own user namespace, or it could not read others' files any more
        ctypes.CDLL(None).unshare(NEW_NET if os.geteuid() == 0 else NEW_USER | NEW_NET)


def _limit_seconds(seconds: float) -> None:
    with suppress(ImportError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), hard))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
