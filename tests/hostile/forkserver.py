"""A warm interpreter that forks a child a request: the command line or one function of ours, without the import time.

Run as a program by `tests.hostile.harness`. It reads one JSON request a line on standard input and answers with one
JSON line on the descriptor given as its argument. It starts no thread before it forks.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch", "numpy", "pandas", "pyarrow.parquet", "sklearn.ensemble", "rasterio", "rasterio.warp", "pyogrio",
    "geopandas", "pystac", "xarray", "zarr", "netCDF4", "scipy.stats", "pydantic", "typer", "rich.progress",
    "PIL.Image",
)  # fmt: skip
PACKAGES = ("mainstem.core", "mainstem.data", "mainstem.adapters", "mainstem.apps")
LARGEST_BYTES = 6 << 30  # of private memory: protects the machine; what a test allows is far less
LARGEST_FILE = 4 << 30
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h: orphans of a child come to this process, which ends them
SHOWN = 4000  # letters of a returned value
PATH = "__path__"


def preload() -> None:
    """Import everything that a command may need, so that children do not."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # an optional library: what needs it says so
            importlib.import_module(name)
    for name in PACKAGES:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(found.name)


def serve(answers: int) -> Callable[[], None] | None:
    """Answer requests until standard input ends; in a child, return what it has to run instead."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        begin, child = time.monotonic(), os.fork()
        if child == 0:
            with contextlib.suppress(OSError):
                os.close(answers)
            return prepared(request)
        answer = watched(child, begin, request["limit_s"])
        os.write(answers, (json.dumps(answer) + "\n").encode())
    return None


def watched(child: int, begin: float, limit_s: float) -> dict[str, Any]:
    """Wait for a child, at most so long; then end it and whatever it started."""
    ended, status, used, is_hung = 0, 0, None, False
    while not ended:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - begin > limit_s and not is_hung:
            is_hung = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.003)
    seconds = time.monotonic() - begin
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    orphans()
    assert used is not None
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "seconds": seconds, "peak_mib": used.ru_maxrss / 1024, "is_hung": is_hung}


def orphans() -> None:
    """End what a child left behind."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    for pid in listed.read_text().split() if listed.exists() else ():
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)


def ended(todo: Callable[[], None]) -> int:
    """Run the child's work as an interpreter runs a program, and return the status that its user would see.

    Only the taking apart of the interpreter is left out, which takes a second.
    """
    code = 0
    try:
        todo()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        code = 128 + signal.SIGINT
    except BaseException:  # as the interpreter does with all that nobody caught
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code & 0xFF


def prepared(request: dict[str, Any]) -> Callable[[], None]:
    """Make the child what its request asks for: its own session, streams, folder, environment, limits."""
    os.setsid()
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, request["out"], os.O_WRONLY | os.O_APPEND)):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    opened = os.open(request["err"], os.O_WRONLY | os.O_APPEND)
    os.dup2(opened, 2)
    os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the child
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    resource.setrlimit(resource.RLIMIT_DATA, (LARGEST_BYTES, LARGEST_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request["call"] is None:
        sys.argv = ["mainstem", *request["arguments"]]
        return importlib.import_module("mainstem.apps.cli").main
    return lambda: call(request["call"], request["arguments"])


def call(name: str, arguments: list[Any]) -> None:
    """Call a function and print what it returns; an error of ours is reported as the command line would."""
    from mainstem.core.errors import MainstemError

    module, _, function = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in function.split("."):
        found = getattr(found, part)
    try:
        result = found(*(decoded(argument) for argument in arguments))
        if hasattr(result, "__next__"):
            result = list(result)
    except MainstemError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(2)
    print(repr(result)[:SHOWN])


def decoded(argument: Any) -> Any:
    if isinstance(argument, dict):
        return Path(argument[PATH]) if set(argument) == {PATH} else {k: decoded(v) for k, v in argument.items()}
    return [decoded(value) for value in argument] if isinstance(argument, list) else argument


if __name__ == "__main__":
    preload()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    answering = int(sys.argv[1])
    threads = len(os.listdir("/proc/self/task"))
    os.write(answering, (json.dumps({"threads": threads}) + "\n").encode())
    todo = serve(answering)
    if todo is not None:  # in a child, at the top of the program: what it raises is what a user would see
        os._exit(ended(todo))
