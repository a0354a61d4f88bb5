"""De-identifies files in a process of its own, so that none can take the caller down, fill its memory or hold it up."""

import io
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING

from mainstem.core.errors import InputError, MainstemError
from mainstem.data.medical.deidentify_key import Key

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MEMORY_BYTES = 8 << 30  # of address space
SECONDS, SECONDS_PER_MB = 60.0, 2.0  # a frame of 512 x 512 takes 0.2 s to search
MAX_RATIO, MAX_INFLATED = 100, 1 << 30  # deflate: a ratio of 12-bit images is seldom above 4
MAX_DECLARED = 4 << 30  # bytes of pixels
EXECUTABLES = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
DEFLATED, DICOMDIR = b"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.3.10"
CLEAN, QUARANTINED, REFUSED = "clean", "quarantined", "refused"


@dataclass(frozen=True)
class Answer:
    """What became of a file: the bytes of its de-identified copy, where they may go, and why not."""

    state: str
    reason: str = ""
    uids: tuple[str, ...] = ()  # of study, series and instance, new
    data: bytes = b""


class Worker:
    """The process; one that dies or takes too long is replaced by the next, and its file refused."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"]
        nowhere = subprocess.DEVNULL  # decoders in C print what they find
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=nowhere)  # noqa: S603
        self._send(self._key.secret)

    def ask(self, data: bytes) -> Answer:
        """De-identify the bytes of a file."""
        end = threading.Timer(SECONDS + SECONDS_PER_MB * len(data) / 1e6, self._process.kill)
        end.start()
        try:
            self._send(data)
            head = json.loads(_received(self._process.stdout))
            return Answer(**{**head, "uids": tuple(head["uids"]), "data": _received(self._process.stdout)})
        except (OSError, EOFError):
            reason = "reading it takes too long" if end.finished.is_set() else "reading it ends the process that does"
        finally:
            end.cancel()
        self.stop()
        self._start()
        return Answer(REFUSED, reason)

    def _send(self, data: bytes) -> None:
        _sent(self._process.stdin, data)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def running(key: Key) -> Iterator[Worker]:
    """A worker that ends with the block."""
    worker = Worker(key)
    try:
        yield worker
    finally:
        worker.stop()


def serve() -> None:
    """Answer on standard output until standard input ends: a key first, then files; each after its length."""
    _limit_memory()
    inward, outward = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        key = Key(_received(inward))
        while True:
            answer = examine(_received(inward), key)
            _sent(outward, json.dumps({**asdict(answer), "data": None}).encode())
            _sent(outward, answer.data)
    except EOFError:
        return


def _sent(stream: IO[bytes] | None, data: bytes) -> None:
    assert stream is not None
    stream.write(len(data).to_bytes(8) + data)
    stream.flush()


def _received(stream: IO[bytes] | None) -> bytes:
    assert stream is not None
    head = stream.read(8)
    data = stream.read(int.from_bytes(head)) if len(head) == 8 else b""
    if len(head) < 8 or len(data) < int.from_bytes(head):
        raise EOFError
    return data


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the patient's data


def examine(data: bytes, key: Key) -> Answer:
    """De-identify the bytes of a file; nothing that it holds is told in the reason."""
    try:
        return _examined(data, key)
    except MainstemError as error:
        return Answer(REFUSED, str(error))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decoders written in Rust raise what is no Exception
        return Answer(REFUSED, f"it is damaged ({type(error).__name__})")


def _examined(data: bytes, key: Key) -> Answer:
    from pydicom import dcmread
    from pydicom.uid import UID

    from mainstem.data.medical.burned_in import told_by_header
    from mainstem.data.medical.deidentify import deidentify, quiet
    from mainstem.data.medical.deidentify_bulk import doubt_about

    _check_bytes(data)
    with quiet():
        dataset = dcmread(io.BytesIO(data))
        if "DirectoryRecordSequence" in dataset or dataset.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR:
            raise InputError("it is a directory of files (DICOMDIR), not an object")
        clean = deidentify(dataset, key)
        _check_size(clean)
        reason = told_by_header(dataset) or doubt_about(clean, dataset) or _seen(clean)
        written = io.BytesIO()
        clean.save_as(written, enforce_file_format=True)
    uids = [str(clean.get(name) or "none") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    if not all(UID(uid).is_valid or uid == "none" for uid in uids):
        raise InputError("its UIDs are none")
    return Answer(QUARANTINED if reason else CLEAN, reason, tuple(uids), written.getvalue())


def _check_bytes(data: bytes) -> None:
    """Refuse what is no DICOM file, an executable, or inflates without end, before it is parsed."""
    if data[128:132] != b"DICM":
        raise InputError("no DICOM file (no DICM at byte 128)")
    if data.startswith(EXECUTABLES):
        raise InputError("its preamble is that of an executable (CVE-2019-11687)")
    if DEFLATED in data[132:2048]:
        start = 144 + int.from_bytes(data[140:144], "little")  # (0002,0000), which comes first: PS3.10 7.1
        most = min(MAX_INFLATED, max(MAX_RATIO * len(data), 1 << 20))
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(data[start:], most)
        if inflater.unconsumed_tail:
            raise InputError(f"it inflates to more than {MAX_RATIO} times its size")


def _check_size(dataset: "Dataset") -> None:
    """Refuse pixels that no memory holds before they are decoded."""
    numbers = [int(dataset.get(name) or 1) for name in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
    declared = int(dataset.get("BitsAllocated") or 8) // 8
    for number in numbers:
        declared *= number
    if "Rows" in dataset and declared > MAX_DECLARED:
        raise InputError(f"it declares {declared / 1e9:,.0f} GB of pixels")


def _seen(dataset: "Dataset") -> str:
    """Why what its pixels show may name somebody; empty where they do not."""
    from mainstem.data.medical.burned_in import VIDEO, frames_of, text_in

    if str(dataset.file_meta.TransferSyntaxUID).startswith(VIDEO):
        return "video"
    try:
        return "text in the pixels" if any(text_in(frame) for frame in frames_of(dataset)) else ""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # of many kinds, and some no Exception
        return "pixels that cannot be decoded, and so not searched for text"
