"""Run folders below a folder: those that are done, and those that are being trained."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mainstem.apps.launch_record import LAUNCH_FILE, read_launch
from mainstem.apps.launch_script import JOB_FOLDER
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.metrics_log import read_lines
from mainstem.core.records import METRICS_FILE, RECORD_FILE, read_record
from mainstem.core.schema import read_object

STATE_FOLDER = ".state"  # beside a run: what its trainings have come to until it is written
ASKED_FILE = "asked.json"  # in it: what is trained, on what
DEEPEST = 6  # folders below the one that was named
State = Literal["done", "training", "launched", "written"]
BESIDE: tuple[tuple[str, str, State], ...] = (  # folders beside a run, a file in each, and what it says of the run
    (STATE_FOLDER, METRICS_FILE, "training"), (JOB_FOLDER, LAUNCH_FILE, "launched"),
)  # fmt: skip
LAST = "last_"  # of a training's lines: their means at its end
LARGEST_BYTES = 1 << 28  # of a metrics file that is drawn


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run: done, in training, launched, or launched and written; `record` says nothing until it is done.

    What is written and has no record is no run that was fitted: an evaluation, a map, an array of runs. `members` says
    of each member of a launched job whether it has written its result.
    """

    path: Path
    state: State
    record: dict[str, Any] = field(default_factory=dict)
    members: tuple[bool, ...] = ()

    def describe_state(self) -> str:
        """Say its state, and of an array how many of its members have written their result."""
        count = f"{sum(self.members)} of {len(self.members)}"
        if len(self.members) < 2 or self.state not in ("launched", "written"):
            return self.state
        return f"launched, {count} written" if self.state == "launched" else f"written, {count}"

    def figures(self) -> dict[str, float]:
        """Return what came out; nothing until it is done."""
        return figures_of(self.record) if self.record else {}

    def log_file(self) -> Path:
        """Return where its log is, if it has one."""
        return (self.path if self.state == "done" else beside(self.path, STATE_FOLDER)) / METRICS_FILE

    def changed(self) -> float:
        """Return when its log was last written, or it was launched, in seconds since 1970."""
        for file in (self.log_file(), self.path / RECORD_FILE, beside(self.path, JOB_FOLDER) / LAUNCH_FILE):
            with suppress(OSError):
                return file.stat().st_mtime
        return 0.0

    def lines(self) -> list[dict[str, Any]]:
        """Return what its log says, oldest first; none where it is none or too large to draw."""
        file = self.log_file()
        return read_lines(file) if file.is_file() and file.stat().st_size <= LARGEST_BYTES else []

    def asked(self) -> dict[str, Any]:
        """Return what a training or its launch was asked for, of an array's member too; nothing where nobody knows."""
        with suppress(InputError):
            return read_object(beside(self.path, STATE_FOLDER) / ASKED_FILE, InputError)
        for run in (self.path, self.path.parent):
            file = beside(run, JOB_FOLDER) / LAUNCH_FILE
            if run.name and file.is_file():
                with suppress(InputError):
                    spec = read_object(file, InputError).get("spec")
                    return spec if isinstance(spec, dict) else {}
        return {}


def figures_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Return a record's figures on what was held out; of a pretraining, which holds none out, those at its end."""
    last = record.get("last")
    ends = last.items() if isinstance(last, Mapping) else ()
    return {**record["held_out"], **{f"{LAST}{name}": value for name, value in ends if is_figure(value)}}


def is_figure(value: object) -> bool:
    """True for what can be drawn or compared."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def note_asked(state: Path, **asked: str | int) -> None:
    """Write into the state of a training what it was asked for."""
    state.mkdir(parents=True, exist_ok=True)
    write_atomically(state / ASKED_FILE, json.dumps(asked).encode())


def beside(run: Path, ending: str) -> Path:
    """Return the folder beside a run's that is named after it."""
    named = run if run.name else run.resolve()
    return named.with_name(f"{named.name}{ending}")


def is_launched(run: Path) -> bool:
    """True where a run was handed to a site."""
    return (beside(run, JOB_FOLDER) / LAUNCH_FILE).is_file()


def run_at(path: Path) -> Run | None:
    """Return the run of a path as it is now; None where there is none.

    Raises:
        InputError: if its record is damaged.
    """
    if (path / RECORD_FILE).is_file():
        return Run(path=path, state="done", record=read_record(path))
    states = [state for ending, file, state in BESIDE if (beside(path, ending) / file).is_file()]
    return _unfinished(path, states[0]) if states else None


def _unfinished(path: Path, state: State) -> Run:
    """The run of which something lies beside it: a launched one may be written since."""
    written: list[bool] = []
    if state == "launched":
        with suppress(InputError):
            written = read_launch(beside(path, JOB_FOLDER)).written(path)
    is_whole = bool(written) and all(written)
    return Run(path=path, state="written" if is_whole else state, members=tuple(written))


def find_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """Return the runs below a folder, by path, and in a line each those whose record is damaged.

    Raises:
        InputError: if there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; name the one that holds your runs")
    found: dict[Path, Run] = {}
    damaged = []
    for path, names in _walk(folder):
        if RECORD_FILE in names:
            try:
                found[path] = Run(path=path, state="done", record=read_record(path))
            except InputError as error:
                damaged.append(str(error))
        for ending, file, state in BESIDE:
            if path.name.endswith(ending) and file in names:
                run = path.with_name(path.name.removesuffix(ending))
                is_new = run not in found or found[run].state in ("launched", "written")
                if is_new and not (run / RECORD_FILE).exists():
                    found[run] = _unfinished(run, state)
    return [found[path] for path in sorted(found)], damaged


def _walk(folder: Path) -> Iterator[tuple[Path, set[str]]]:
    """Folders and the names of files in each; hidden ones and links are left alone."""
    for place, folders, files in os.walk(folder):
        path = Path(place)
        depth = len(path.relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and depth < DEEPEST)
        yield path, set(files)
