"""Hostile inputs, run as a user would run them: a command or a function in a child with limits, and what came of it.

    outcome = run_cli("predict", "crop-yield", str(path), "--run", str(run), "--out", "out.csv")
    outcome = run_call("mainstem.data.table:read_table", path)
    outcome.refused("row 3", "yield")    # one line "mainstem: ..." with these words, quickly, in little memory
    outcome.taken()                      # or read rightly

Children are forked from one warm interpreter a test session, which takes about 20 ms. Each has a folder of its own to
work in and an empty MAINSTEM_HOME unless it is given others, both deleted when it ends.
"""

import atexit
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).with_name("forkserver.py")
LARGEST_MIB = 2048
SHOWN_BYTES = 1 << 20
TRACEBACK = "Traceback (most recent call last)"
FAULT = "mainstem: internal error"  # an error that is not ours, and reached the top
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
NO_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # Arrow's jemalloc starts a thread on import


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a command.

    Attributes:
        code: exit status; negative: the signal that ended it.
        out, err: what it wrote, a MiB of each at most.
        peak_mib: largest resident size, that of the warm interpreter included.
        is_hung: it had to be ended at its limit.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak_mib: float
    is_hung: bool

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self.out + self.err

    def sound(self) -> "Outcome":
        """Check what holds of every command: an end, no traceback, bounded memory."""
        assert not self.is_hung, f"hung for {self.seconds:.1f} s\n{self.text}"
        assert self.code >= 0, f"ended by signal {-self.code}\n{self.text}"
        assert TRACEBACK not in self.text, self.text
        assert FAULT not in self.text, self.text
        assert self.peak_mib <= LARGEST_MIB, f"took {self.peak_mib:.0f} MiB\n{self.text}"
        return self

    def refused(self, *words: str) -> "Outcome":
        """Check that it ended with one line of ours that holds these words, whatever their case, and nothing else."""
        self.sound()
        assert self.code > 0, f"taken: {self.text}"
        lines = self.text.splitlines()
        assert len(lines) == 1, f"got {len(lines)} lines, want one:\n{self.text}"
        assert self.err.startswith("mainstem: "), self.text
        for word in words:
            assert word.lower() in self.err.lower(), f"{word!r} is not in: {self.err}"
        return self

    def taken(self) -> "Outcome":
        """Check that it went well."""
        self.sound()
        assert self.code == 0, self.text
        return self


class _Server:
    """The warm interpreter of this session."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        env = {**os.environ, **ONE_THREAD, **NO_THREAD, "PYTHONPATH": os.pathsep.join([str(ROOT / ".src"), str(ROOT)])}
        command = [sys.executable, "-B", str(SERVER), str(writing)]
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[writing], env=env, cwd=ROOT)
        os.close(writing)
        self._answers = os.fdopen(reading, encoding="utf-8")
        self._lock = threading.Lock()
        self.threads = int(self._answer()["threads"])
        atexit.register(self.close)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._program.stdin is not None
        with self._lock:
            self._program.stdin.write(json.dumps(request).encode() + b"\n")
            self._program.stdin.flush()
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        assert line, "the warm interpreter ended; what it said is above"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        try:
            self._program.wait(10)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()


@cache
def server() -> _Server:
    """The warm interpreter, started on first use."""
    return _Server()


def run_cli(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    limit_s: float = 60,
) -> Outcome:
    """Run `mainstem ARGUMENTS` and return what came of it; in `env` None takes a variable away."""
    return _run(None, [str(argument) for argument in arguments], cwd, env, limit_s)


def run_call(
    name: str,
    *arguments: Any,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    limit_s: float = 60,
) -> Outcome:
    """Call "package.module:function" with plain arguments or paths; what it returns is printed, generators are read."""
    return _run(name, [_encoded(argument) for argument in arguments], cwd, env, limit_s)


def _encoded(argument: Any) -> Any:
    if isinstance(argument, Path):
        return {"__path__": str(argument)}
    if isinstance(argument, Mapping):
        return {name: _encoded(value) for name, value in argument.items()}
    return [_encoded(value) for value in argument] if isinstance(argument, list | tuple) else argument


def _run(
    name: str | None, arguments: Sequence[Any], cwd: Path | None, env: Mapping[str, str | None] | None, limit_s: float
) -> Outcome:
    scratch = Path(tempfile.mkdtemp(prefix="mainstem-hostile-"))
    try:
        (scratch / "work").mkdir()
        out, err = scratch / "out", scratch / "err"
        out.touch(), err.touch()
        known = {**os.environ, **ONE_THREAD, "MAINSTEM_HOME": str(scratch / "home"), **(env or {})}
        request = {
            "call": name, "arguments": list(arguments), "cwd": str(cwd or scratch / "work"), "limit_s": limit_s,
            "env": {key: value for key, value in known.items() if value is not None},
            "out": str(out), "err": str(err),
        }  # fmt: skip
        answer = server().ask(request)
        return Outcome(**answer, out=_head(out), err=_head(err))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(SHOWN_BYTES).decode("utf-8", errors="replace")


class Listener:
    """A port of this machine that counts who connects, and answers none."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def connections(self) -> int:
        """How many connected since it was last asked."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
                count += 1
        return count

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


@contextlib.contextmanager
def listener() -> Iterator[Listener]:
    """A loopback port; at its end nobody must have connected."""
    found = Listener()
    try:
        yield found
        assert found.connections() == 0, f"a connection to {found.url} was opened"
    finally:
        found.close()


def canary(folder: Path, name: str = "canary.txt") -> tuple[Path, str]:
    """A file of this machine, outside every input, and the secret in it that must never come out."""
    secret = f"canary-{secrets.token_hex(12)}"
    path = folder / name
    path.write_text(f"{secret}\n")
    return path, secret
