"""`mainstem dashboard`, and the pages of `mainstem demo`: Streamlit on this machine alone, ended with us."""

import ctypes
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mainstem.apps.ending import Stopped
from mainstem.core.errors import InputError, MissingExtraError

DASHBOARDS = str(Path(__file__).resolve().parent.parent / "dashboards")
OURSELVES = "from mainstem.apps.cli import main; main()"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_S = 5.0
SEALED = (  # said again here, as a STREAMLIT_ variable of the environment would outweigh config.toml
    "--server.address=127.0.0.1", "--server.enableXsrfProtection=true", "--server.enableCORS=true",
    "--browser.gatherUsageStats=false", "--client.showErrorDetails=none",
)  # fmt: skip


def serve_dashboards(port: int, page: str = "") -> None:
    """Serve the pages on 127.0.0.1 until stopped; `page` is what the address that is told ends with.

    Raises:
        MissingExtraError: if Streamlit is not installed.
        InputError: if it ends by itself.
    """
    _check_installed()
    print(f"Dashboards on http://127.0.0.1:{port}{page} (stop with Ctrl+C)", flush=True)
    script = [sys.executable, "-m", "streamlit", "run", "home.py"]
    options = ["--server.port", str(port), "--server.headless", "true", *SEALED]
    try:
        with _running([*script, *options], cwd=DASHBOARDS) as server:
            status = server.wait()
    except Stopped:
        raise
    except KeyboardInterrupt:
        _say_what_goes_on()
        return  # Ctrl+C is how one stops looking
    if status not in (0, 130, -signal.SIGINT):
        raise InputError(f"the dashboards ended with status {status}; is port {port} taken? try --port")


def _say_what_goes_on() -> None:
    from mainstem.apps.jobs import find_jobs

    for job in find_jobs():
        if job.is_here():
            print(f"still at work: {job.what}; stop it with: mainstem jobs stop {shlex.quote(job.name)}", flush=True)


def serve_beside(arguments: list[str], port: int) -> None:
    """Serve the pages while another `mainstem` command works, which ends with them.

    Raises:
        MissingExtraError: if Streamlit is not installed.
    """
    _check_installed()  # before anything is begun
    with _running([sys.executable, "-c", OURSELVES, *arguments]):
        serve_dashboards(port)


def _check_installed() -> None:
    if importlib.util.find_spec("streamlit") is None:
        raise MissingExtraError("streamlit", "app")


@contextmanager
def _running(command: list[str], cwd: str | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, cwd=cwd, preexec_fn=_dying_with(os.getpid()))  # noqa: S603 - our own interpreter
    try:
        yield process
    finally:
        _end(process)


def _dying_with(parent: int) -> Callable[[], None]:
    """Have Linux end a new process when its parent ends, even by KILL: else it would keep the port."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def set_up() -> None:
        if library is not None:
            library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # it ended before it could be watched
                os._exit(1)

    return set_up


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and make it where it does not."""
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
