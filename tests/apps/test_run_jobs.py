"""A run that was launched on this machine: what became of it, what it says, and its end."""

import json
import os
import time
from pathlib import Path

import pytest
from tests.apps.regions import write_regions

from mainstem.apps.launch import LAUNCH_FILE, launch, process_started
from mainstem.apps.launch_plan import Ask, plan_job
from mainstem.apps.run_jobs import cancel, logs, read_job, status
from mainstem.apps.run_spec import RunSpec, read_spec
from mainstem.apps.runs import find_runs, run_at
from mainstem.apps.site_profiles import read_site
from mainstem.core.errors import InputError
from mainstem.core.records import read_record, write_json

SPEC = """
command: finetune
adapter: crop-yield
data: simulated-maize
settings: {{trunk_size: xs, training: {{epochs: {epochs}, min_steps: 1}}, num_folds: 2}}
out: mine
time: "00:10:00"
"""


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Begin a run in an empty folder, and leave nothing behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    jobs = []

    def begin(epochs: int) -> Path:
        Path("run.yaml").write_text(SPEC.format(epochs=epochs))
        jobs.append(launch(plan_job("local", read_site("local"), read_spec(Path("run.yaml")), Ask())))
        return Path("mine")

    yield begin
    for job in jobs:
        if process_started(int(job["job_id"])) == job["process_started"]:
            os.killpg(int(job["job_id"]), 9)


def wait_for(run: Path, *states: str, seconds: float = 240.0):
    until = time.monotonic() + seconds
    while (found := status(run)).state not in states and time.monotonic() < until:
        time.sleep(0.2)
    return found


@pytest.mark.long
def test_a_run_is_followed_to_its_end(begun):
    run = begun(1)
    assert status(run).state == "running"
    found = wait_for(run, "done", "ended")
    assert (found.state, found.members_done, found.members) == ("done", 1, 1), logs(run, 20)
    assert any("written: mine" in line for line in logs(run, 20))
    assert len(logs(run, 1)) == 1
    assert read_record(run)["request"] == {"data": "simulated-maize", "options": {}}
    assert read_record(run)["i_have_the_rights"] == []
    with pytest.raises(InputError, match="is done already"):
        cancel(run)


@pytest.mark.long
def test_an_evaluation_and_a_map_are_done_once_they_have_written(tmp_path, monkeypatch):
    """An evaluation runs to its end; a map, whose scenes would cost more, is one that was mapped before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    farms = write_regions(tmp_path / "farms")
    spec = {
        "command": "evaluate", "adapter": "crop-yield", "data": farms.name, "out": "score", "time": "00:10:00",
        "options": {"crop": "wheat", "country": "NL", "workers": "1"}, "i_have_the_rights": "true",
        "protocol": "grouped-folds",
        "settings": {"trunk_size": "xs", "training": {"epochs": 1, "min_steps": 1}, "num_folds": 2},
    }  # fmt: skip
    job = plan_job("local", read_site("local"), RunSpec.model_validate(spec), Ask())
    launch(job)
    assert find_runs(tmp_path)[0][0].state == "launched"
    found = wait_for(Path("score"), "done", "ended")
    assert (found.state, found.members_done) == ("done", 1), logs(Path("score"), 20)
    assert json.loads(Path("score/evaluate.json").read_text())["i_have_the_rights"] == ["farms"]
    assert [(run.path.name, run.state) for run in find_runs(tmp_path)[0]] == [("score", "written")]
    with pytest.raises(InputError, match="score is there already"):
        launch(job)
    mapped = {"command": "map", "adapter": "crop-yield", "scenes": ["a.tif"], "out": "map", "time": "00:10:00"}
    record = json.loads((Path("score.job") / LAUNCH_FILE).read_text())
    for name in ("notes.json", "collection.json"):
        out = Path(f"with-{name}")
        job = plan_job("local", read_site("local"), RunSpec.model_validate({**mapped, "out": str(out)}), Ask())
        out.mkdir()
        write_json(
            out.with_name(f"{out}.job") / LAUNCH_FILE, {**record, "spec": mapped, "members": [{"out": str(out)}]}
        )
        assert status(out).members_done == 0
        (out / name).write_text("{}")
        assert (status(out).state, status(out).members_done) == ("done", 1)
        assert run_at(out).state == "written"
        Path("a.tif").touch()
        with pytest.raises(InputError, match="is there already"):
            launch(job)


def test_a_cancelled_run_ends_and_does_not_come_back(begun):
    run = begun(10_000)
    assert status(Path("mine.job")).state == "running"
    found = cancel(run)
    assert (found.state, found.members_done) == ("ended", 0)
    time.sleep(1.0)
    assert status(run).state == "ended"
    record = json.loads((Path("mine.job") / LAUNCH_FILE).read_text())
    assert process_started(int(record["job_id"])) != record["process_started"]


def test_another_process_of_the_same_number_is_not_taken_for_the_run(begun):
    run = begun(10_000)
    folder = read_job(run).folder
    record = json.loads((folder / LAUNCH_FILE).read_text())
    write_json(folder / LAUNCH_FILE, {**record, "job_id": str(os.getpid())})
    try:
        assert status(run).state == "ended"
        with pytest.raises(InputError, match="nothing to cancel"):
            cancel(run)
    finally:
        write_json(folder / LAUNCH_FILE, record)


def test_what_was_never_launched_is_one_line(tmp_path):
    for ask in (status, cancel, lambda run: logs(run, 5)):
        with pytest.raises(InputError, match="was not launched"):
            ask(tmp_path / "mine")
