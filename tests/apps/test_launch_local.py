"""Launching on this machine: the same spec, in the background; a smoke, and what it says of the whole."""

import json
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
from mainstem.core.records import read_record, write_json

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


@pytest.mark.long
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
    assert read_record(folder / "runs" / "a.smoke")["i_have_the_rights"] == ["farms"]
    with pytest.raises(InputError, match="is there already"):
        launch(smoke)
    found = estimate(planned({**FIT, "seeds": 3}))
    assert found["members"] == 3
    assert found["node_hours"] == pytest.approx(3 * found["smoke"]["seconds"] / 3600)
    assert 0.05 < found["memory_gb_per_node"] < 8
    assert found["gpu_hours"] == 0


@pytest.mark.long
def test_a_run_on_this_machine_ends_when_its_time_does(planned, folder):
    settings = {**FIT["settings"], "training": {"epochs": 100_000}}
    record = launch(planned({**FIT, "settings": settings, "out": "runs/short", "time": "00:00:03"}))
    wait_for(lambda: not is_there(record["job_id"]), 60)
    assert "its time, 00:00:03, is over" in (folder / record["log"]).read_text()
    assert not (folder / "runs" / "short").exists()


@pytest.mark.slow
def test_a_smoke_of_a_long_pretraining_ends_at_its_time_and_tells_the_whole_by_its_pace(planned, folder):
    """The known answer: what its own log says of seconds a step, times all steps, and starting once."""
    steps = 200_000
    corpora = {"regions": {"adapter": "crop-yield", "data": "farms", "options": FIT["options"]}}
    spec = {"trunk": "xs", "corpora": corpora, "evaluations": {}, "training": {"steps": steps, "batch_size": 16}}
    spec["i_have_the_rights"] = ["farms"]
    (folder / "long.yaml").write_text(json.dumps(spec))
    run = {"command": "pretrain", "corpora": "long.yaml", "out": "runs/long", "time": "00:00:40"}
    record = launch(as_smoke(planned(run)))
    wait_for(lambda: not is_there(record["job_id"]), 120)
    log = (folder / record["log"]).read_text()
    assert "its time, 00:00:40, is over" in log
    assert "asked to stop, ended after step" in log
    rows = [json.loads(line) for line in (folder / "runs" / "long.smoke.state" / "metrics.jsonl").open()]
    assert (rows[0]["step"], rows[0]["steps"], rows[0]["start"]) == (1, steps, 0)
    pace = (rows[-1]["seconds"] - rows[0]["seconds"]) / (rows[-1]["step"] - 1)
    found = estimate(planned({**run, "time": "5-00:00:00"}))
    assert found["hours_per_member"] == pytest.approx(pace * steps / 3600, rel=0.02)
    assert 1 < found["smoke"]["start_s"] < 40


def noted(folder: Path, rows: list[dict[str, float]], seconds: float, trainings: int = 1) -> None:
    """Write what a smoke of a training leaves behind."""
    job, state = folder / "runs" / "n.smoke.job", folder / "runs" / "n.smoke.state"
    job.mkdir(parents=True, exist_ok=True)
    state.mkdir(exist_ok=True)
    launched = {"site": "local", "is_local": True, "nodes": 1, "gpus_per_node": 0, "spec": FIT, "out": "runs/n.smoke"}
    outs = {"log": "runs/n.smoke.job/log.txt", "members": [{"out": "runs/n.smoke"}]}
    write_json(job / "launch.json", {**launched, **outs})
    write_json(job / "peaks-0-0.json", {"status": 75, "seconds": seconds, "host_bytes": 10**9, "gpu_bytes": 0})
    write_json(state / "asked.json", {"trainings": trainings})
    (state / "metrics.jsonl").write_text(
        "".join(json.dumps({"training": 0, "steps": 1000, **row}) + "\n" for row in rows)
    )


def test_an_estimate_counts_starting_once_and_each_step_by_its_pace(planned, folder):
    job = planned({**FIT, "out": "runs/n", "time": "01:00:00"})
    first = [{"start": 0, "step": 1, "seconds": 30.0}, {"start": 0, "step": 101, "seconds": 130.0}]
    noted(folder, first, 150.0)  # 101 steps of a second, 49 s beside them
    assert estimate(job)["hours_per_member"] * 3600 == pytest.approx(49 + 1000)
    again = [{"start": 1, "step": 102, "seconds": 200.0}, {"start": 1, "step": 152, "seconds": 300.0}]
    noted(folder, [*first, *again], 310.0)  # the later start alone: 51 steps of two seconds, 208 s beside them
    assert estimate(job)["hours_per_member"] * 3600 == pytest.approx(208 + 2000)
    noted(folder, first, 150.0, trainings=7)
    found = estimate(job)  # an hour is 49 s to start and 3551 steps
    assert (found["starts_per_member"], found["hours_per_member"] * 3600) == (2, pytest.approx(2 * 49 + 7000))
    more = {"training": 1, "start": 0, "step": 100, "steps": 500, "seconds": 1129.0}
    noted(folder, [*first[:1], {"start": 0, "step": 1000, "seconds": 1029.0}, more], 1150.0, trainings=2)
    assert estimate(job)["hours_per_member"] * 3600 == pytest.approx(50 + 1500)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "did not come to train"),
        ([{"start": 0, "step": 1, "seconds": 3.0}, {"start": 0, "step": 9, "seconds": 4.0}], "8 steps .* too few"),
        ([{"start": 0, "step": 500, "seconds": 9.0}, {"start": 1, "step": 501, "seconds": 8.0}], "0 steps .* too few"),
        ([{"start": 0, "step": 1, "seconds": 3.0}, {"start": 0, "step": 20, "seconds": 40.0}], "ask for more time"),
    ],
)
def test_nothing_is_estimated_of_a_smoke_that_did_too_little(planned, folder, rows, said):
    noted(folder, rows, 700.0)
    with pytest.raises(InputError, match=said):
        estimate(planned({**FIT, "out": "runs/n"}))


@pytest.mark.long
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
        assert 60 * int(told[0][1] or 0) + int(told[0][2]) == seconds


def test_what_is_left_is_told_by_the_pace_since_work_was_done():
    assert describe_progress(0.0, 65.0) == "0% in 65 s"  # reading: how long it takes nobody knows
    assert describe_progress(0.2, 200.0, (100.0, 0.1)) == "20% in 3 min 20 s, about 13 min left"
    assert describe_progress(0.1, 100.0, (100.0, 0.1)) == "10% in 100 s"
