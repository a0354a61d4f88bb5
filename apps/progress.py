"""Progress of long work on standard error: a bar on a screen, plain lines in a log, nothing for a machine."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mainstem.core.plain import plain
from mainstem.core.progress import Progress, silent

EVERY_S = 5.0  # between lines of a log; work that takes less says nothing


@contextmanager
def shown(title: str, quiet: bool) -> Iterator[Progress]:
    """Show how far the work is and how long is left; nothing is said where the output is for a machine."""
    if quiet or os.environ.get("RANK", "0") != "0":  # of several processes the first speaks
        yield silent
    elif sys.stderr is not None and sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        with _lines(title) as report:
            yield report


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    shape = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    bar = Bar(*shape, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True))
    row = bar.add_task(title, total=1.0)

    def report(stage: str, share: float) -> None:
        bar.start()  # not before there is work to show: a mistake stays one line
        bar.update(row, description=plain(f"{title}: {stage}"), completed=share)

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def _lines(title: str) -> Iterator[Progress]:
    """Say every few seconds what is being done, also where it does not report for long."""
    state, ended, begin = ("at work", 0.0), threading.Event(), time.monotonic()

    def report(stage: str, share: float) -> None:
        nonlocal state
        state = (stage, share)

    def tell() -> None:
        while not ended.wait(EVERY_S):
            _tell(title, *state, time.monotonic() - begin)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield report
    finally:
        ended.set()
        teller.join(1.0)


def _tell(title: str, stage: str, share: float, passed_s: float) -> None:
    try:
        print(plain(f"{title}: {stage}, {describe_progress(share, passed_s)}"), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return  # the log is closed; the work goes on


def describe_progress(share: float, passed_s: float) -> str:
    """Say how much is done, in what time, and how long is left if the rest goes as fast."""
    left = f", about {_duration(passed_s * (1 - share) / share)} left" if 0 < share < 1 else ""
    return f"{share:.0%} in {_duration(passed_s)}{left}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
