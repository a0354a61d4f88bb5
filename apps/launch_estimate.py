"""What a job will cost, from a smoke of it: how far ten minutes came, and how much memory they took."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainstem.apps.launch import LAUNCH_FILE
from mainstem.apps.launch_plan import SMOKE, Job
from mainstem.apps.launch_script import LOG, job_folder
from mainstem.core.errors import InputError
from mainstem.core.schema import read_object

PROGRESS = re.compile(r"^\w+: .*, (\d+)% in (\d+) (s|min)\b", re.MULTILINE)  # as apps.progress tells it
LEAST_SHARE = 0.01  # of a run, before its end can be told from it


def estimate(job: Job) -> dict[str, Any]:
    """Return hours, GPU-hours and memory of a job; more processes are taken to share the time out evenly.

    Raises:
        InputError: if there is no smoke, or it did not come far enough.
    """
    out = f"{job.spec.out}{SMOKE}"
    folder = Path(job_folder(out))
    if not (folder / LAUNCH_FILE).exists():
        raise InputError(f"no smoke of {job.spec.out}; run one first, by the same command with --smoke")
    smoke = read_object(folder / LAUNCH_FILE, InputError)
    peaks = [read_object(path, InputError) for path in sorted(folder.glob("peaks-0-*.json"))]
    seconds, share = _reached(folder, peaks)
    before, now = (
        nodes * max(gpus, 1) for nodes, gpus in ((smoke["nodes"], smoke["gpus_per_node"]), (job.nodes, job.gpus))
    )
    hours = seconds / share / 3600 * before / now
    return {
        "site": job.site_name,
        "smoke": {"seconds": seconds, "share": share, "nodes": smoke["nodes"], "gpus_per_node": smoke["gpus_per_node"]},
        "members": job.indices,
        "hours_per_member": hours,
        "starts_per_member": math.ceil(hours * 3600 / job.time_s),
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
        f"from {smoke['share']:.0%} in {smoke['seconds']:.0f} s on {smoke['nodes']} nodes",
    ]
    if not found["is_same_size"]:
        lines.append("as if it scaled perfectly: smoke it on as many nodes for a better figure")
    if found["memory_gb_per_node"]:
        gpu = f", {found['gpu_memory_gb']:.1f} GB a GPU" if found["gpu_memory_gb"] else ""
        lines.append(f"memory: {found['memory_gb_per_node']:.1f} GB a node{gpu}")
    return lines


def _reached(folder: Path, peaks: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the seconds that a smoke took, and the share of the run that it came to."""
    if peaks and all(peak["status"] == 0 for peak in peaks):
        return max(float(peak["seconds"]) for peak in peaks), 1.0
    text = (folder / LOG).read_text(encoding="utf-8", errors="replace") if (folder / LOG).exists() else ""
    told = PROGRESS.findall(text)
    if not told or int(told[-1][0]) < 100 * LEAST_SHARE:
        raise InputError(f"the smoke did not come to {LEAST_SHARE:.0%} of its run; see {folder / LOG}")
    percent, passed, unit = told[-1]
    return float(passed) * (60.0 if unit == "min" else 1.0), int(percent) / 100


def _most(peaks: list[dict[str, Any]], name: str) -> float:
    return max((float(peak[name]) for peak in peaks), default=0.0) / 1e9
