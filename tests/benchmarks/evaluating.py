"""Whole evaluations by the command line: by this code and, where a folder with another is named, by that, in turn."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

DATA = os.environ.get("MAINSTEM_BENCH_DATA", "nl-maize")  # es-maize took most of an hour before
BEFORE = "MAINSTEM_BEFORE"  # a checkout of the code to compare with, as `git worktree add` makes one
COMMAND = [sys.executable, "-c", "from mainstem.apps.cli import main; main()", "evaluate", "crop-yield", "--json"]


def bench_evaluate() -> dict[str, float]:
    """CPU and wall seconds of an evaluation, beside the code before where it is at hand, and if figures agree."""
    before = os.environ.get(BEFORE)
    folders = {"before": before, "now": str(Path(__file__).parents[2])}
    found = {name: _run(folder) for name, folder in folders.items() if folder}
    figures = {f"{name}_{key}": value for name, (told, _) in found.items() for key, value in told.items()}
    if before:
        figures["cpu_ratio"] = found["now"][0]["cpu_s"] / found["before"][0]["cpu_s"]
        figures["wall_ratio"] = found["now"][0]["wall_s"] / found["before"][0]["wall_s"]
        one, other = (metrics for _, metrics in found.values())
        figures["largest_difference"] = max(abs(one[name] - other[name]) for name in one)
    return figures


def _run(folder: str) -> tuple[dict[str, float], dict[str, float]]:
    """CPU and wall seconds, and the metrics of the headline, of the code in a folder."""
    env = {**os.environ, "PYTHONPATH": str(Path(folder) / ".src")}
    spent, begin = _children_s(), time.perf_counter()
    told = subprocess.run([*COMMAND, "--data", DATA], env=env, check=True, stdout=subprocess.PIPE).stdout
    wall = time.perf_counter() - begin
    return {"cpu_s": _children_s() - spent, "wall_s": wall}, json.loads(told)["metrics"]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
