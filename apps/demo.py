"""`mainstem demo` and `mainstem dashboard`: something to look at within minutes, and the pages to look at it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.ending import Stopped
from mainstem.apps.field_maps import ensure_demo
from mainstem.apps.finetune import fit_where_none, read_record
from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import plain
from mainstem.core.regression import DataRequest, Progress
from mainstem.data.catalogue import data_home, pull

DASHBOARDS = str(Path(__file__).resolve().parent.parent / "dashboards")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_S = 5.0
SEALED = (  # said again here, as a STREAMLIT_ variable of the environment would outweigh config.toml
    "--server.address=127.0.0.1", "--server.enableXsrfProtection=true", "--server.enableCORS=true",
    "--browser.gatherUsageStats=false", "--client.showErrorDetails=none",
)  # fmt: skip
REAL, SIMULATED = "us-maize", "simulated-maize"


def run_folder(data: str) -> Path:
    """Return where the demo keeps the run of a region set."""
    return data_home() / "runs" / f"{TASK.name}-{data}"


def prepare(mirror: Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Have a run to show: on real counties where they can be pulled, else on simulated regions."""
    data = REAL
    if progress is not None:
        progress("getting the data", 0.0)
    try:
        pull(REAL, mirror)
        pull("us-counties", mirror)
    except InputError as error:
        print(f"{plain(error)}\nusing simulated regions instead", file=sys.stderr)
        data = SIMULATED
    ready = ensure_run(data, mirror, _within("yield model", progress))
    ensure_demo(_within("field map", progress))
    return ready


def _within(part: str, progress: Progress | None) -> Progress | None:
    """Progress that names the part of the work before each stage."""
    return None if progress is None else lambda stage, share: progress(f"{part}, {stage}", share)


def ensure_run(data: str, mirror: Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Return the record of the set's run with its folder; train it first where there is none that can be read."""
    request = DataRequest(data=data, mirror=mirror)
    folder = fit_where_none(TASK, run_folder(data), lambda: TASK.read(request), progress)
    return {**read_record(folder), "run": str(folder)}


def serve_dashboards(port: int) -> None:
    """Serve the pages on 127.0.0.1 until stopped.

    Raises:
        MissingExtraError: if Streamlit is not installed.
    """
    import importlib.util

    if importlib.util.find_spec("streamlit") is None:
        raise MissingExtraError("streamlit", "app")
    print(f"Dashboards on http://127.0.0.1:{port} (stop with Ctrl+C)", flush=True)
    script = [sys.executable, "-m", "streamlit", "run", "home.py"]
    options = ["--server.port", str(port), "--server.headless", "true", *SEALED]
    server = subprocess.Popen([*script, *options], cwd=DASHBOARDS, preexec_fn=_dying_with(os.getpid()))  # noqa: S603 - our own interpreter and script
    try:
        status = server.wait()
    except Stopped:
        raise
    except KeyboardInterrupt:
        return  # Ctrl+C is how one stops looking
    finally:
        _end(server)
    if status not in (0, 130, -signal.SIGINT):
        raise InputError(f"the dashboards ended with status {status}; is port {port} taken? try --port")


def _dying_with(parent: int) -> Callable[[], None]:
    """Have Linux end a new process when its parent ends, even by KILL: else it would keep the port."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None

    def set_up() -> None:
        if library is not None:
            library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # it ended before it could be watched
                os._exit(1)

    return set_up


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Ask the pages' server to end, and make it where it does not."""
    server.terminate()
    try:
        server.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
