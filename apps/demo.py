"""`mainstem demo` and `mainstem dashboard`: something to look at within minutes, and the pages to look at it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.field_board import ensure_demo
from mainstem.apps.finetune import fit_where_none, read_record
from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.regression import DataRequest
from mainstem.data.catalogue import data_home, pull

DASHBOARDS = str(Path(__file__).resolve().parent.parent / "dashboards")
REAL, SIMULATED = "us-maize", "simulated-maize"
Progress = Callable[[str, float], None]


def run_folder(data: str) -> Path:
    """Return where the demo keeps the run of a region set."""
    return data_home() / "runs" / f"{TASK.name}-{data}"


def prepare(mirror: Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Have a run to show: on real counties where they can be pulled, else on simulated regions."""
    data = REAL
    try:
        pull(REAL, mirror)
        pull("us-counties", mirror)
    except InputError as error:
        print(f"{error}\nusing simulated regions instead", file=sys.stderr)
        data = SIMULATED
    ready = ensure_run(data, mirror, progress)
    ensure_demo(progress)
    return ready


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
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "home.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    try:
        done = subprocess.run(command, cwd=DASHBOARDS, check=False)  # noqa: S603 - our own interpreter and script
    except KeyboardInterrupt:
        return
    if done.returncode not in (0, 130, -2):
        raise InputError(f"the dashboards ended with status {done.returncode}; is port {port} taken? try --port")
