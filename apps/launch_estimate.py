"""What a job will cost, from a smoke of it: how far ten minutes came, and how much memory they took."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.apps.launch_plan import SMOKE, Job
from mainstem.apps.launch_record import LAUNCH_FILE, read_launch
from mainstem.apps.launch_script import LOG, job_folder
from mainstem.apps.runs import run_at
from mainstem.apps.typed_files import as_time
from mainstem.core.errors import InputError
from mainstem.core.schema import read_object

PROGRESS = re.compile(r"^\w+: .*, (\d+)% in (?:(\d+) min )?(\d+) s\b", re.MULTILINE)  # as apps.progress tells it
LEAST_SHARE = 0.01  # of a run, before its end can be told from it
LEAST_STEPS = 10  # of a training likewise


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a smoke tells of a run: seconds of the smoke, of starting, of all work beyond that, and the share done."""

    seconds: float
    start_s: float
    work_s: float
    share: float


def estimate(job: Job) -> dict[str, Any]:
    """Return hours, GPU-hours and memory of a job; more processes are taken to share the work out evenly.

    Starting, with what is read before the first step, takes every start as long as it took the smoke.

    Raises:
        InputError: if there is no smoke, it did not come far enough, or the job's time is over before it has started.
    """
    out = f"{job.spec.out}{SMOKE}"
    folder = Path(job_folder(out))
    if not (folder / LAUNCH_FILE).exists():
        raise InputError(f"no smoke of {job.spec.out}; run one first, by the same command with --smoke")
    smoke = read_launch(folder)
    peaks = [read_object(path, InputError) for path in sorted(folder.glob("peaks-0-*.json"))]
    pace = _by_steps(Path(out), folder, peaks) if job.spec.is_distributed else _by_share(folder, peaks)
    before, now = (nodes * max(gpus, 1) for nodes, gpus in ((smoke.nodes, smoke.gpus_per_node), (job.nodes, job.gpus)))
    if pace.start_s >= job.time_s:
        raise InputError(f"starting alone takes {pace.start_s:.0f} s of {as_time(job.time_s)}; ask for more time")
    work_s = pace.work_s * before / now
    starts = max(math.ceil(work_s / (job.time_s - pace.start_s)), 1)
    hours = (starts * pace.start_s + work_s) / 3600
    told = {"seconds": pace.seconds, "start_s": pace.start_s, "share": pace.share}
    return {
        "site": job.site_name,
        "smoke": {**told, "nodes": smoke.nodes, "gpus_per_node": smoke.gpus_per_node},
        "members": job.indices,
        "hours_per_member": hours,
        "starts_per_member": starts,
        "node_hours": hours * job.nodes * job.indices,
        "gpu_hours": hours * job.billed_gpus * job.indices,
        "is_same_size": before == now,
        "memory_gb_per_node": _most(peaks, "host_bytes") * job.processes,
        "gpu_memory_gb": _most(peaks, "gpu_bytes"),
    }


def describe(found: Mapping[str, Any]) -> list[str]:
    """Say it in lines."""
    smoke = found["smoke"]
    lines = [
        f"{found['members']} members of {found['hours_per_member']:.2f} h: {found['gpu_hours']:.1f} GPU-hours billed, "
        f"{found['node_hours']:.1f} node-hours, {found['starts_per_member']} starts each",
        f"from {smoke['share']:.2%} in {smoke['seconds']:.0f} s on {smoke['nodes']} nodes, of which "
        f"{smoke['start_s']:.0f} s to start, as each start takes",
    ]
    if not found["is_same_size"]:
        lines.append("as if it scaled perfectly: smoke it on as many nodes for a better figure")
    if found["memory_gb_per_node"]:
        gpu = f", {found['gpu_memory_gb']:.1f} GB a GPU" if found["gpu_memory_gb"] else ""
        lines.append(f"memory: {found['memory_gb_per_node']:.1f} GB a node{gpu}")
    return lines


def _by_steps(out: Path, folder: Path, peaks: list[dict[str, Any]]) -> Pace:
    """The pace of a training: seconds a step over those of the smoke's last start, all its other seconds but once."""
    run = run_at(out)
    rows = [] if run is None else [row for row in run.lines() if "step" in row]
    if run is None or not rows or not peaks:
        raise InputError(f"the smoke has not ended, or did not come to train; see {folder / LOG}")
    done, total = _places(rows)
    own = [number for number, row in enumerate(rows) if row.get("start") == rows[-1].get("start")]
    first = own[0]
    steps, span = done[-1] - done[first], rows[-1]["seconds"] - rows[first]["seconds"]
    if steps < LEAST_STEPS or span <= 0:
        raise InputError(
            f"the smoke's last start did {steps} steps beyond its first, too few to tell a pace from; "
            f"see {folder / LOG}"
        )
    seconds = max(float(peak["seconds"]) for peak in peaks)
    here = done[-1] - (done[first - 1] if first else 0)
    if run.state != "done":
        total = round(total / len({row.get("training") for row in rows}) * int(run.asked().get("trainings", 1)))
    start_s = max(seconds - here * span / steps, 0.0)
    return Pace(seconds=seconds, start_s=start_s, work_s=total * span / steps, share=done[-1] / total)


def _places(rows: list[dict[str, Any]]) -> tuple[list[int], int]:
    """How many steps of all trainings were done by each line, and how many the trainings that began have."""
    done, before = [], 0
    for last, row in zip([None, *rows], rows, strict=False):
        if last is not None and last.get("training") != row.get("training"):
            before += last["step"]
        done.append(before + row["step"])
    return done, before + rows[-1].get("steps", rows[-1]["step"])


def _by_share(folder: Path, peaks: list[dict[str, Any]]) -> Pace:
    """The pace of what has no steps: by the share of the work that its log told last."""
    if peaks and all(peak["status"] == 0 for peak in peaks):
        seconds = max(float(peak["seconds"]) for peak in peaks)
        return Pace(seconds=seconds, start_s=0.0, work_s=seconds, share=1.0)
    text = (folder / LOG).read_text(encoding="utf-8", errors="replace") if (folder / LOG).exists() else ""
    told = PROGRESS.findall(text)
    if not told or int(told[-1][0]) < 100 * LEAST_SHARE:
        raise InputError(f"the smoke did not come to {LEAST_SHARE:.0%} of its run; see {folder / LOG}")
    percent, minutes, rest = told[-1]
    seconds, share = 60.0 * int(minutes or 0) + float(rest), int(percent) / 100
    return Pace(seconds=seconds, start_s=0.0, work_s=seconds / share, share=share)


def _most(peaks: list[dict[str, Any]], name: str) -> float:
    return max((float(peak[name]) for peak in peaks), default=0.0) / 1e9
