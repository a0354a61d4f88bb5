"""Launching on this machine: the same spec, in the background; a smoke, and what it says of the whole."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.apps.regions import write_regions
from tests.apps.slurm_cluster import wait_for

from mainstem.apps.launch import launch
from mainstem.apps.launch_estimate import PROGRESS, estimate
from mainstem.apps.launch_plan import Ask, as_smoke, plan_job
from mainstem.apps.progress import describe_progress, shown
from mainstem.apps.run_spec import RunSpec
from mainstem.apps.site_profiles import read_site
from mainstem.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_regions(tmp_path_factory.mktemp("local") / "farms").parent


@pytest.fixture
def planned(folder, monkeypatch):
    """Plan a spec for this machine, in one folder, on a user's own data."""
    for name, value in (("PYTHONPATH", ROOT / ".src"), ("MAINSTEM_HOME", folder / "home"), ("OMP_NUM_THREADS", 1)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(folder)
    site = read_site("local")
    return lambda spec: plan_job("local", site, RunSpec.model_validate(spec), Ask())


FIT = {
    "command": "finetune", "adapter": "crop-yield", "data": "farms", "out": "runs/a", "time": "00:10:00",
    "options": {"crop": "wheat", "country": "NL"}, "i_have_the_rights": "true",
    "settings": {"trunk_size": "xs", "training": {"epochs": 1, "min_steps": 24}, "num_folds": 2},
}  # fmt: skip


def is_there(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_smoke_runs_in_the_background_and_tells_what_the_whole_costs(planned, folder):
    smoke = as_smoke(planned(FIT))
    with pytest.raises(InputError, match="run one first"):
        estimate(planned(FIT))
    record = launch(smoke)
    assert (record["out"], record["log"]) == ("runs/a.smoke", "runs/a.smoke.job/log.txt")
    with pytest.raises(InputError, match="still writes"):
        launch(smoke)
    wait_for(lambda: not is_there(record["job_id"]), 500)
    log = (folder / record["log"]).read_text()
    assert (folder / "runs" / "a.smoke" / "record.json").exists(), log
    with pytest.raises(InputError, match="is there already"):
        launch(smoke)
    found = estimate(planned({**FIT, "seeds": 3}))
    assert found["members"] == 3
    assert found["node_hours"] == pytest.approx(3 * found["smoke"]["seconds"] / 3600)
    assert 0.05 < found["memory_gb_per_node"] < 8
    assert found["gpu_hours"] == 0


def test_members_run_one_after_another_and_stopping_ends_them_all(planned, folder):
    settings = {**FIT["settings"], "training": {"epochs": 100_000}}  # which no machine ends before it is stopped
    job = launch(planned({**FIT, "settings": settings, "out": "runs/b", "seeds": 2}))["job_id"]
    steps = folder / "runs" / "b" / "seed-0.state" / "metrics.jsonl"
    wait_for(lambda: steps.exists() and steps.stat().st_size > 0, 300)
    os.killpg(int(job), signal.SIGTERM)
    wait_for(lambda: not is_there(job), 60)
    log = (folder / "runs" / "b.job" / "log.txt").read_text()
    assert log.count("asked to stop, ended after step") == 1, log
    assert not (folder / "runs" / "b" / "seed-0").exists()
    assert not list((folder / "runs" / "b").glob("seed-1*"))


def test_without_the_rights_nothing_is_launched(planned, folder):
    with pytest.raises(InputError, match="without licence"):
        launch(planned({**FIT, "out": "runs/c", "i_have_the_rights": "false"}))
    assert not (folder / "runs" / "c.job").exists()


@pytest.mark.parametrize(("rank", "speaks"), [("0", True), ("1", False)])
def test_of_several_processes_the_first_tells_how_far_they_are(rank, speaks, monkeypatch, capsys):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr("mainstem.apps.progress.EVERY_S", 0.05)
    with shown("finetune", quiet=False) as report:
        report("fold 1 of 2", 0.35)
        time.sleep(0.5)
    assert bool(PROGRESS.findall(capsys.readouterr().err)) == speaks


def test_progress_in_a_log_is_understood_as_it_is_told():
    for share, seconds in ((0.35, 80.0), (0.7, 3000.0), (1.0, 20.0)):
        told = PROGRESS.findall(f"finetune: fold 1 of 2, {describe_progress(share, seconds)}\n")
        assert told
        assert int(told[0][0]) == round(100 * share)
