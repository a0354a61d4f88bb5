"""A collection mapped by an array on a real two-node Slurm, of which a node dies: what is lost, and what comes out."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mainstem.adapters import shipped_runs
from mainstem.adapters.crop_yield.pixel import TASK
from mainstem.apps.launch import launch
from mainstem.apps.launch_plan import Ask, plan_job
from mainstem.apps.map_collections import map_collection
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_models import MapSpec
from mainstem.apps.run_spec import RunSpec
from mainstem.apps.site_profiles import read_site
from mainstem.core.files import content
from tests.apps.slurm_cluster import cluster, wait_for
from tests.apps.stac_farms import write_collection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ROOT = Path(__file__).resolve().parents[2]
SIDE, BLOCKS = 192, 12  # two tiles of 192 x 96 pixels, where a block is 64 a side
MEMORY_BYTES = 1 << 17
SLOW_S = 400.0  # of processes that share two cores with others
PROGRAM = f"""#!{sys.executable}
# mainstem, with small blocks, that notes each one it has saved
import os, pathlib, time
import mainstem.apps.map as streaming
import mainstem.apps.map_blocks as cut
from mainstem.apps.cli import main

save, cut.MEMORY_BYTES = streaming.save_block, {MEMORY_BYTES}

def noted(folder, plan, number, values):
    save(folder, plan, number, values)
    with open(os.environ["SAVED"], "a") as file:
        file.write(f"{{folder.parent.name}} {{number}} {{os.environ['SLURMD_NODENAME']}} {{os.getpid()}}\\n")
    time.sleep(1.0)

streaming.save_block = noted
main()
"""


def files(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): content(path).sha256 for path in sorted(out.rglob("*")) if path.is_file()}


def saved(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def told(env: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout


def fail_node(env: dict[str, str], state: Path, node: str, pids: set[int]) -> None:
    """Let a node die, its daemon with all that runs there; say that it is down, and bring it back."""
    os.kill(int((state / "pid" / f"slurmd-{node}.pid").read_text()), signal.SIGKILL)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    told(env, "scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    subprocess.run(["slurmd", "-N", node, "-f", state / "slurm.conf"], env=env, check=True)
    told(env, "scontrol", "update", f"nodename={node}", "state=resume")


def test_a_node_that_dies_costs_the_blocks_it_held(tmp_path, monkeypatch):
    collection, weather, names = write_collection(tmp_path / "farm", SIDE)
    whole, out, notes = tmp_path / "whole", tmp_path / "maps", tmp_path / "saved"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mainstem.apps.map_blocks.MEMORY_BYTES", MEMORY_BYTES)
        spec = MapSpec(context=ContextSpec(weather=(weather,)))
        map_collection(TASK, shipped_runs("crop-yield")["pixel"], collection, whole, replace(spec, shard=(0, 1)))
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "mainstem").write_text(PROGRAM)
    (environment / "bin" / "mainstem").chmod(0o755)
    asked = {
        "command": "map", "adapter": "crop-yield", "scenes": str(collection), "out": "maps", "time": "00:10:00",
        "shards": 2, "options": {"weather": str(weather)},
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with cluster(tmp_path / "state") as env:
        own = {"PYTHONPATH": f"{ROOT / '.src'}", "OMP_NUM_THREADS": "1", "MAINSTEM_HOME": str(tmp_path / "home")}
        for name, value in {**env, **own, "SAVED": str(notes), "MAINSTEM_ENV": str(environment)}.items():
            monkeypatch.setenv(name, value)
        record = launch(plan_job("generic-slurm", read_site("generic-slurm"), RunSpec.model_validate(asked), Ask()))
        wait_for(lambda: len([row for row in saved(notes) if row[0] == names[0]]) > 1, SLOW_S)
        node = next(row[2] for row in saved(notes) if row[0] == names[0])
        fail_node(env, tmp_path / "state", node, {int(row[3]) for row in saved(notes) if row[2] == node})
        before = len(saved(notes))
        merge = str(record["merge_job_id"])
        wait_for(lambda: "JobState=COMPLETED" in told(env, "scontrol", "show", "job", merge), SLOW_S)
    rows = saved(notes)
    print(f"{node} died with {before} of {BLOCKS} blocks saved; {len(rows) - before} were made after, none twice")
    assert before < BLOCKS
    assert len(rows) == len({(row[0], row[1]) for row in rows}) == BLOCKS
    assert files(out) == files(whole)
