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
    since = (0.0, 0.0)  # seconds and share where the pace was first known: what is read before tells none

    def report(stage: str, share: float) -> None:
        nonlocal state, since
        if share > 0 and not since[1]:
            since = (time.monotonic() - begin, share)
        state = (stage, share)

    def tell() -> None:
        while not ended.wait(EVERY_S):
            passed_s = time.monotonic() - begin
            _tell(f"{title}: {state[0]}, {describe_progress(state[1], passed_s, since)}")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield report
    finally:
        ended.set()
        teller.join(1.0)


def _tell(text: str) -> None:
    try:
        print(plain(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return  # the log is closed; the work goes on


def describe_progress(share: float, passed_s: float, since: tuple[float, float] = (0.0, 0.0)) -> str:
    """Say how much is done, in what time, and how long is left if the rest goes as fast as it did since then."""
    before_s, before = since
    is_told = before < share < 1
    left = f", about {_about((passed_s - before_s) * (1 - share) / (share - before))} left" if is_told else ""
    return f"{share:.0%} in {_exactly(passed_s)}{left}"


def _exactly(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def _about(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else (
        f"{seconds / 3600:.0f} h"
    )  # fmt: skip
