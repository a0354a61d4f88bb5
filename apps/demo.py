"""`mainstem demo`: something to look at within minutes, and how far it is, told to the pages that wait for it."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.field_maps import ensure_demo
from mainstem.apps.finetune import fit_where_none, read_record
from mainstem.apps.progress import describe_progress
from mainstem.core.errors import InputError
from mainstem.core.files import locked, write_atomically
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.regression import DataRequest
from mainstem.data.catalogue import data_home, pull

REAL, SIMULATED = "us-maize", "simulated-maize"
FIELDS = 0.2  # of the time goes to the field map
STATE, LOCK = ".demo.json", ".demo.lock"


@dataclass(frozen=True, kw_only=True)
class Making:
    """How far the process that makes the demonstration is."""

    stage: str
    share: float
    since: float  # seconds since 1970

    def describe(self) -> str:
        """Say what is being done, and how long is left."""
        return f"{self.stage}: {describe_progress(self.share, max(time.time() - self.since, 0.0))}"


def run_folder(data: str) -> Path:
    """Return where the demo keeps the run of a region set."""
    return data_home() / "runs" / f"{TASK.name}-{data}"


def prepare(mirror: Path | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Have a field map and a run to show: of real counties where they can be pulled, else of simulated regions.

    Raises:
        InputError: if another process is at it.
    """
    with _telling(progress) as report:
        report("getting the data", 0.0)
        data = REAL
        try:
            pull(REAL, mirror)
            pull("us-counties", mirror)
        except InputError as error:
            print(f"{plain(error)}\nusing simulated regions instead", file=sys.stderr)
            data = SIMULATED
        ensure_demo(part_of(_named("field map", report), 0.0, FIELDS))
        return ensure_run(data, mirror, part_of(_named("yield model", report), FIELDS, 1.0))


def ensure_run(data: str, mirror: Path | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Return the record of the set's run with its folder; train it first where there is none that can be read."""
    request = DataRequest(data=data, mirror=mirror)
    folder = fit_where_none(TASK, run_folder(data), lambda: TASK.read(request), progress)
    return {**read_record(folder), "run": str(folder)}


def find_making() -> Making | None:
    """How far the demonstration is; None where no living process makes it."""
    folder = data_home()
    try:
        told = json.loads((folder / STATE).read_text(encoding="utf-8"))
        with locked(folder / LOCK, "", shared=True):
            return None  # who wrote that was killed
    except InputError:
        pass
    except (OSError, ValueError):
        return None
    with suppress(TypeError, KeyError, ValueError):
        return Making(stage=str(told["stage"]), share=float(told["share"]), since=float(told["since"]))
    return None


@contextmanager
def _telling(progress: Progress) -> Iterator[Progress]:
    """Progress that is told to the pages too, as long as this process lives."""
    folder, since = data_home(), time.time()
    folder.mkdir(parents=True, exist_ok=True)

    def report(stage: str, share: float) -> None:
        progress(stage, share)
        write_atomically(folder / STATE, json.dumps({"stage": stage, "share": share, "since": since}).encode())

    with locked(folder / LOCK, "the demonstration"):
        try:
            yield report
        finally:
            (folder / STATE).unlink(missing_ok=True)


def _named(part: str, progress: Progress) -> Progress:
    """Progress that names the part of the work before each stage."""
    return lambda stage, share: progress(f"{part}, {stage}", share)
