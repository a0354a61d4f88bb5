"""Left-out years of es-maize, evaluated by this code and, where a folder with another is named, by that, in turn."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

YEARS = 2  # left out: the first and the last
BEFORE = "MAINSTEM_BEFORE"  # a checkout of the code to compare with, as `git worktree add` makes one


def score_years() -> dict[str, object]:
    """CPU and wall seconds of a few left-out years, a year, and a hash of what was predicted."""
    import hashlib

    import numpy as np

    from mainstem.adapters.crop_yield import TASK
    from mainstem.apps.evaluate import train_and_score
    from mainstem.apps.finetune import FitSpec
    from mainstem.apps.protocols import LEFT_OUT, EvaluationSpec, fit_for_protocol, split_samples
    from mainstem.core.regression import DataRequest

    source = TASK.read(DataRequest(data="es-maize"))
    spec = fit_for_protocol(EvaluationSpec(fit=FitSpec(config=TASK.config)), LEFT_OUT)
    parts = split_samples(source.unflagged(), LEFT_OUT, source.test_groups, TASK.forget)
    chosen = [parts[row] for row in np.linspace(0, len(parts) - 1, YEARS).astype(int)]
    cpu, wall = time.process_time(), time.perf_counter()
    scored, _ = train_and_score(TASK, source, chosen, spec, lambda stage, share: None)
    told = [*scored.mean.values(), *scored.low.values(), *scored.high.values(), *scored.baselines.values()]
    return {
        "cpu_s": (time.process_time() - cpu) / YEARS,
        "wall_s": (time.perf_counter() - wall) / YEARS,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "sha256": hashlib.sha256(b"".join(values.tobytes() for values in told)).hexdigest(),
    }


def bench_evaluate() -> dict[str, float]:
    """CPU and wall seconds a left-out year in one thread, beside the code before where it is at hand."""
    here = Path(__file__).parents[2]
    before = os.environ.get(BEFORE)
    found = {name: _run(folder) for name, folder in (("before", before), ("now", here)) if folder}
    figures = {f"{name}_{key}": value for name, told in found.items() for key, value in told.items() if key != "sha256"}
    if before:
        figures["cpu_ratio"] = found["now"]["cpu_s"] / found["before"]["cpu_s"]
        figures["predicts_the_same"] = float(found["now"]["sha256"] == found["before"]["sha256"])
    return figures


def _run(folder: Path | str) -> dict[str, float]:
    """What `score_years` says of the code in a folder, in an interpreter of its own."""
    env = {**os.environ, "PYTHONPATH": str(Path(folder) / ".src"), "OMP_NUM_THREADS": "1"}
    told = subprocess.run([sys.executable, __file__], env=env, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, float] = json.loads(told.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(score_years()))
