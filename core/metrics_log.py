"""Figures of a training, a JSON object a line, appended while it runs; whoever reads meanwhile sees whole lines.

A line that a kill cut off is dropped when the log is opened again, and so are lines of steps that are done anew.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mainstem.core.files import write_whole

EVERY_S = 1.0  # how old a line may be before it is in the file
MOST_LINES = 1000  # of one training


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines that are whole; none where there is no file."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in text.split(b"\n")[:-1]:  # what follows the last break is nothing, or was cut off
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found


def next_start(path: Path) -> int:
    """Return the number of a process that is about to append: how many have told something before it."""
    told = [row.get("start", -1) for row in read_lines(path)]
    return 1 + max((start for start in told if isinstance(start, int)), default=-1)


def means_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each figure that the first of the rows names."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def _is_kept(row: Mapping[str, Any], training: int, step: int) -> bool:
    """True for a line of another training, or of a step that is done; never for a damaged one."""
    its, done = row.get("training"), row.get("step")
    return isinstance(its, int) and isinstance(done, int) and (its != training or done <= step)


class MetricsLog:
    """The log of a run's trainings, one after the other: training, step of steps, loss and figures, samples, seconds.

    A training of more than MOST_LINES steps tells the means of every so many, and of those before a state that is
    saved. `seconds` are of the process, and `start` is its number: how many had told something before it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._begun = path, time.monotonic()
        self._waiting: list[str] = []
        self._written = self._begun
        self._training, self._samples = 0, 0
        self._figures: list[Mapping[str, float]] = []
        self._is_torn = False
        self._start = next_start(path)
        self._place: dict[str, float] = {}

    def begin(self, training: int, step: int) -> None:
        """Drop the lines of what is about to be done: steps of this training after `step`."""
        rows = [row for row in read_lines(self.path) if _is_kept(row, training, step)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, [f"{json.dumps(row)}\n".encode() for row in rows])
        self._training, self._waiting, self._figures, self._samples = training, [], [], 0

    def add(self, step: int, steps: int, samples: int, figures: Mapping[str, float]) -> None:
        """Note a step, the same figures for each: `step` of `steps` are done with it."""
        is_first = not self._place  # of the process: from there on its pace is known
        self._figures.append(figures)
        self._samples += samples
        self._place = {"start": self._start, "training": self._training, "step": step, "steps": steps}
        if step % max(-(-steps // MOST_LINES), 1) == 0 or step == steps or is_first:
            self._note()
            if time.monotonic() - self._written > EVERY_S:
                self.flush()

    def _note(self) -> None:
        row = {**self._place, **means_of(self._figures), "samples": self._samples}
        self._waiting.append(json.dumps({**row, "seconds": round(time.monotonic() - self._begun, 3)}))
        self._figures, self._samples = [], 0

    def flush(self, *, is_durable: bool = False) -> None:
        """Write what waits; durable, force it onto the disk. What a full disk does not take waits on."""
        self._written = time.monotonic()
        if is_durable and self._figures:
            self._note()
        if not self._waiting:
            return
        try:
            with self.path.open("ab") as file:
                # a line that the disk took a part of only ends here, and is dropped by who reads
                file.write(("\n" * self._is_torn + "".join(f"{line}\n" for line in self._waiting)).encode())
                file.flush()
                if is_durable:
                    os.fsync(file.fileno())
        except OSError:
            self._is_torn = True
            return
        self._waiting, self._is_torn = [], False
