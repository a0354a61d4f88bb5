"""Jobs on a real two-node Slurm: a fine-tuning to its end, ranks, arrays, coming back after USR1, the end by scancel.

Where a job's behaviour is asked for, not a model's, the program is a few lines called mainstem.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.apps.regions import write_regions
from tests.apps.slurm_cluster import cluster, wait_for

from mainstem.apps.launch import launch as launch_job
from mainstem.apps.launch_plan import Ask, as_smoke, plan_job
from mainstem.apps.run_jobs import cancel, status
from mainstem.apps.run_spec import RunSpec
from mainstem.apps.site_profiles import read_site
from mainstem.core.errors import InputError
from mainstem.core.plain_yaml import read_yaml
from mainstem.data.earth.farms import simulate_farm, write_farm

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """#!/usr/bin/env python3
# notes its start; saves on USR1 and, against the rules, on TERM too; is done when it was started twice
import os, pathlib, signal, sys, time

out, rank = pathlib.Path(sys.argv[-1]), os.environ["RANK"]
out.mkdir(parents=True, exist_ok=True)
count = len(list(out.glob(f"start-{rank}-*")))
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda *_: sys.exit(75))
names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT TRITON_CACHE_DIR"
(out / f"start-{rank}-{count}").write_text(" ".join(os.environ[name] for name in names.split()))
while not count:
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm") / "state") as env:
        yield env


@pytest.fixture
def launch(slurm, tmp_path, monkeypatch):
    """Launch a spec from an empty folder, with the program of these tests unless another is named."""
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "mainstem").write_text(PROGRAM)
    (environment / "bin" / "mainstem").chmod(0o755)
    own = {"PYTHONPATH": f"{ROOT / '.src'}", "OMP_NUM_THREADS": "1", "MAINSTEM_HOME": str(tmp_path / "home")}
    for name, value in {**slurm, **own}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def launched(
        spec: dict[str, object], ask: Ask | None = None, program: Path = environment, *, is_smoke: bool = False
    ) -> dict[str, object]:
        monkeypatch.setenv("MAINSTEM_ENV", str(program))
        job = plan_job("generic-slurm", read_site("generic-slurm"), RunSpec.model_validate(spec), ask or Ask())
        return launch_job(as_smoke(job) if is_smoke else job)

    return launched


TWO = Ask(nodes=2, account="test")
FIT = {
    "command": "finetune", "adapter": "crop-yield", "data": "simulated-maize", "out": "runs/a", "time": "00:10:00",
    "settings": {"trunk_size": "xs", "training": {"epochs": 1, "min_steps": 24}, "num_folds": 2},
}  # fmt: skip


def asked(slurm, *command: str) -> str:
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=False).stdout


def state(slurm, job: object) -> str:
    found = re.search(r"JobState=(\w+)", asked(slurm, "scontrol", "show", "job", str(job)))
    return found[1] if found else ""


@pytest.mark.long
def test_ranks_come_back_after_usr1_and_find_each_other(slurm, launch, tmp_path):
    record = launch(FIT, TWO)
    out, job = tmp_path / "runs" / "a", record["job_id"]
    wait_for(lambda: (out / "start-0-0").exists() and (out / "start-1-0").exists(), 20)
    first = [(out / f"start-{rank}-0").read_text().split() for rank in (0, 1)]
    assert [row[:4] for row in first] == [["0", "0", "2", "1"], ["1", "0", "2", "1"]]
    assert {row[4] for row in first} == {"127.0.0.1"}  # n1 does not resolve: Slurm's own address of it
    assert {int(row[5]) for row in first} == {10_000 + int(str(job))}
    assert first[0][6] != first[1][6]
    asked(slurm, "scancel", "--signal=USR1", str(job))
    wait_for(lambda: state(slurm, job) == "COMPLETED", 60)
    assert {path.name for path in out.iterdir()} == {"start-0-0", "start-0-1", "start-1-0", "start-1-1"}
    assert "Restarts=1" in asked(slurm, "scontrol", "show", "job", str(job))
    assert not list(Path("/tmp").glob(f"mainstem-{job}-*"))  # its caches are cleared away


@pytest.mark.long
def test_a_smoke_that_saved_because_its_time_ends_is_over(slurm, launch, tmp_path):
    record = launch(FIT, TWO, is_smoke=True)
    out, job = tmp_path / "runs" / "a.smoke", record["job_id"]
    wait_for(lambda: (out / "start-0-0").exists() and (out / "start-1-0").exists(), 20)
    asked(slurm, "scancel", "--signal=USR1", str(job))
    wait_for(lambda: state(slurm, job) == "COMPLETED", 60)
    asked(slurm, "sleep", "3")  # one that was asked for after all would wait to begin by now
    assert state(slurm, job) == "COMPLETED"
    assert "Requeue=0 Restarts=0" in asked(slurm, "scontrol", "show", "job", str(job))
    assert {path.name for path in out.iterdir()} == {"start-0-0", "start-1-0"}


@pytest.mark.long
def test_of_an_array_only_the_member_that_saved_comes_back(slurm, launch, tmp_path):
    record = launch({**FIT, "seeds": 2})
    out, job = tmp_path / "runs" / "a", record["job_id"]
    wait_for(lambda: all((out / f"seed-{seed}" / "start-0-0").exists() for seed in (0, 1)), 20)
    asked(slurm, "scancel", "--signal=USR1", f"{job}_1")  # which is the one that has the array's own number
    wait_for(lambda: (out / "seed-1" / "start-0-1").exists(), 60)
    assert state(slurm, f"{job}_0") == "RUNNING"
    assert not (out / "seed-0" / "start-0-1").exists()
    asked(slurm, "scancel", str(job))
    wait_for(lambda: state(slurm, f"{job}_0") == "CANCELLED", 30)
    assert {Path(member["out"]).name for member in record["members"]} == {"seed-0", "seed-1"}


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_scancel_is_the_end_even_of_a_program_that_says_it_saved(slurm, launch, tmp_path, count):
    jobs = []
    for number in range(count):
        jobs.append(launch({**FIT, "out": f"runs/{number}"})["job_id"])
        wait_for(lambda number=number: (tmp_path / "runs" / str(number) / "start-0-0").exists(), 20)
        asked(slurm, "scancel", str(jobs[-1]))
    wait_for(lambda: all(state(slurm, job) == "CANCELLED" for job in jobs), 30)
    asked(slurm, "sleep", "5")  # one that was asked for after all would wait to begin by now
    assert [state(slurm, job) for job in jobs] == ["CANCELLED"] * count
    assert not list((tmp_path / "runs").glob("*/start-0-1"))


def test_what_slurm_itself_would_refuse_is_told_before_it_is_asked(slurm, launch, tmp_path):
    for spec, said in (
        ({**FIT, "partition": "boster"}, "did you mean booster"),
        ({**FIT, "partition": "urgent", "time": "02:00:00"}, "02:00:00 of 01:00:00 in urgent"),
        ({**FIT, "gpus_per_node": 5}, "sbatch"),
    ):
        with pytest.raises(InputError, match=said):
            launch(spec)
    with pytest.raises(InputError, match="3 of 2 in booster"):
        launch(FIT, Ask(nodes=3))
    assert not asked(slurm, "squeue", "--noheader")
    assert not (tmp_path / "runs" / "a.job" / "launch.json").exists()


SHARDS = {
    "command": "map",
    "adapter": "crop-yield",
    "scenes": ["a.tif"],
    "out": "maps/a",
    "shards": 4,
    "time": "00:10:00",
}
REFUSES_MERGE = """case "$*" in *merge)
  echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1 ;;
esac
exec SBATCH "$@"
"""
DIES_AFTERWARDS = 'case "$*" in *--test-only*) exec SBATCH "$@" ;; esac\nSBATCH "$@"\nkill -9 "$PPID"\n'


def put_first(folder: Path, monkeypatch, text: str) -> None:
    """Have another sbatch found before Slurm's own, which it calls."""
    own = shutil.which("sbatch")
    assert own is not None
    (folder / "first").mkdir()
    (folder / "first" / "sbatch").write_text(f"#!/bin/bash\n{text.replace('SBATCH', own)}")
    (folder / "first" / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'first'}:{os.environ['PATH']}")


def test_of_a_map_whose_merge_is_refused_no_array_is_left(slurm, launch, tmp_path, monkeypatch):
    (tmp_path / "a.tif").touch()
    put_first(tmp_path, monkeypatch, REFUSES_MERGE)
    with pytest.raises(InputError, match=r"QOSMaxSubmitJobPerUserLimit; .*array (\d+) is cancelled"):
        launch(SHARDS)
    wait_for(lambda: not asked(slurm, "squeue", "--noheader"), 30)
    found = status(Path("maps/a"))
    assert (found.state, found.members_done) == ("cancelled", 0)
    assert state(slurm, found.job_id) == "CANCELLED"


@pytest.mark.long
def test_a_job_whose_launch_was_killed_is_found_by_its_script(slurm, launch, tmp_path, monkeypatch):
    (tmp_path / "a.tif").touch()
    (tmp_path / "env" / "bin" / "mainstem").write_text("#!/bin/bash\nexec sleep 300\n")
    (tmp_path / "run.json").write_text(json.dumps(SHARDS))
    before = os.environ["PATH"]
    put_first(tmp_path, monkeypatch, DIES_AFTERWARDS)
    call = [sys.executable, "-c", "from mainstem.apps.cli import main; main()", "launch", "generic-slurm", "run.json"]
    environment = {**os.environ, "MAINSTEM_ENV": str(tmp_path / "env")}
    assert subprocess.run(call, env=environment, check=False).returncode == -9
    monkeypatch.setenv("PATH", before)
    assert "job_id" not in json.loads(Path("maps/a.job/launch.json").read_text())
    found = status(Path("maps/a"))
    assert found.state in ("waiting", "running")
    assert f"JobId={found.job_id}" in asked(slurm, "scontrol", "show", "job", found.job_id)
    with pytest.raises(InputError, match=f"job {found.job_id} still writes maps/a"):
        launch(SHARDS)
    cancel(Path("maps/a"))
    wait_for(lambda: not asked(slurm, "squeue", "--noheader"), 30)


@pytest.mark.long
def test_a_fine_tuning_runs_to_its_end_on_two_nodes(slurm, launch, tmp_path):
    write_regions(tmp_path / "farms")
    own = {"data": "farms", "options": {"crop": "wheat", "country": "NL"}, "i_have_the_rights": "true"}
    record = launch({**FIT, **own}, TWO, program=Path(sys.prefix))
    check_end(slurm, record, tmp_path)


@pytest.mark.long
def test_a_training_in_a_smoke_does_not_ask_to_come_back_itself(slurm, launch, tmp_path):
    write_regions(tmp_path / "farms")
    endless = {"trunk_size": "xs", "training": {"epochs": 100_000}, "num_folds": 2}
    own = {"data": "farms", "options": {"crop": "wheat", "country": "NL"}, "i_have_the_rights": "true"}
    record = launch({**FIT, **own, "settings": endless}, TWO, program=Path(sys.prefix), is_smoke=True)
    steps = tmp_path / "runs" / "a.smoke.state" / "metrics.jsonl"
    wait_for(lambda: steps.exists() and len(steps.read_text().splitlines()) > 1, 300)
    asked(slurm, "scancel", "--signal=USR1", str(record["job_id"]))
    wait_for(lambda: state(slurm, record["job_id"]) not in ("RUNNING", "COMPLETING"), 60)
    log = (tmp_path / str(record["log"])).read_text()
    assert state(slurm, record["job_id"]) == "COMPLETED", log
    assert "Restarts=0" in asked(slurm, "scontrol", "show", "job", str(record["job_id"]))
    assert "is not queued again" in log


@pytest.mark.slow
def test_the_example_runs_to_its_end(slurm, launch, tmp_path):
    spec = read_yaml(ROOT / "docs" / "examples" / "run.yaml")
    check_end(slurm, launch(spec, TWO, program=Path(sys.prefix)), tmp_path)


@pytest.mark.slow
def test_a_fine_tuning_whose_time_ends_comes_back_and_is_done(slurm, launch, tmp_path):
    write_regions(tmp_path / "farms")
    longer = {"trunk_size": "xs", "training": {"epochs": 1, "min_steps": 400}, "num_folds": 2}
    own = {"data": "farms", "options": {"crop": "wheat", "country": "NL"}, "i_have_the_rights": "true"}
    record = launch({**FIT, **own, "settings": longer}, TWO, program=Path(sys.prefix))
    steps = tmp_path / "runs" / "a.state" / "metrics.jsonl"
    wait_for(lambda: steps.exists() and steps.stat().st_size > 0, 500)
    asked(slurm, "scancel", "--signal=USR1", str(record["job_id"]))
    check_end(slurm, record, tmp_path)
    assert "Restarts=1" in asked(slurm, "scontrol", "show", "job", str(record["job_id"]))
    assert "has it queued again" in (tmp_path / str(record["log"])).read_text()


@pytest.mark.slow
def test_a_map_s_shards_are_put_together_once_all_are_made(slurm, launch, tmp_path):
    scenes = write_farm(simulate_farm(0), tmp_path / "farm")
    farm = tmp_path / "farm"
    own = {"fields": str(farm / "fields.gpkg"), "weather": str(farm / "weather.csv")}
    spec = {
        "command": "map", "adapter": "crop-yield", "scenes": [str(scene) for scene in scenes], "options": own,
        "out": "maps/a", "shards": 2, "time": "00:10:00",
    }  # fmt: skip
    record = launch(spec, program=Path(sys.prefix))
    wait_for(lambda: state(slurm, record["merge_job_id"]) in ("COMPLETED", "FAILED", "CANCELLED"), 500)
    log = (tmp_path / "maps" / "a.job" / "log.txt").read_text()
    assert state(slurm, record["merge_job_id"]) == "COMPLETED", log
    assert (tmp_path / "maps" / "a" / "map.tif").exists()
    assert {path.name for path in (tmp_path / "maps" / "a.job").glob("log*")} == {"log.txt", "log-0.txt", "log-1.txt"}


def check_end(slurm, record: dict[str, object], folder: Path) -> None:
    """Wait for a fine-tuning's end, and look at what it wrote."""
    wait_for(lambda: state(slurm, record["job_id"]) in ("COMPLETED", "FAILED"), 500)
    log = (folder / str(record["log"])).read_text()
    assert state(slurm, record["job_id"]) == "COMPLETED", log
    run = json.loads((folder / str(record["out"]) / "record.json").read_text())
    assert run["command"][:2] == ["finetune", "crop-yield"]
    for rank in (0, 1):
        peaks = json.loads((folder / f"{record['out']}.job" / f"peaks-0-{rank}.json").read_text())
        assert peaks["status"] == 0
        assert 50e6 < peaks["host_bytes"] < 8e9
