"""What launch.json keeps of a job: read as a type, and nothing is taken for known that a scheduler did not say."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mainstem.apps.launch import launch
from mainstem.apps.launch_plan import Ask, plan_job
from mainstem.apps.run_jobs import cancel, logs, status
from mainstem.apps.run_spec import RunSpec
from mainstem.apps.site_profiles import read_site
from mainstem.core.errors import InputError

SPEC = {"command": "finetune", "adapter": "crop-yield", "data": "simulated-maize", "out": "a", "time": "00:10:00"}
RECORD = {
    "site": "generic-slurm", "spec": SPEC, "out": "a", "log": "a.job/log.txt", "nodes": 1, "gpus_per_node": 0,
    "members": [{"out": "a", "arguments": []}], "job_id": "4711",
}  # fmt: skip
LOST = 'echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1'
GONE = 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1'


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Write a launch.json in an empty folder, and programs of a scheduler that say what they are to say."""
    monkeypatch.chdir(tmp_path)

    def write(changed: dict[str, object], **programs: str) -> Path:
        (tmp_path / "a.job").mkdir(exist_ok=True)
        (tmp_path / "a.job" / "launch.json").write_text(json.dumps({**RECORD, **changed}))
        for name, text in programs.items():
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
        return Path("a")

    return write


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"members": None}, "members is None"),
        ({"members": []}, "members is"),
        ({"job_id": "x"}, "job_id is x"),
        ({"job_id": 5}, "job_id is 5"),
        ({"log": 5}, "log is 5"),
        ({"log": "/etc/passwd"}, "log is /etc/passwd, want a.job/log.txt"),
        ({"log": "a.job/../../log.txt"}, "want a.job/log.txt"),
        ({"spec": {"command": "rm"}}, "spec.command is rm"),
        ({"process_started": "-1"}, "process_started is -1"),
    ],
)
def test_a_damaged_record_is_one_line(kept, changed, said):
    run = kept(changed)
    for ask in (status, cancel, lambda run: logs(run, 5)):
        with pytest.raises(InputError, match=r"a\.job/launch\.json is damaged: ") as caught:
            ask(run)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    (Path("a.job") / "launch.json").write_text("{}")
    with pytest.raises(InputError, match="site is missing"):
        status(run)


def test_only_the_log_in_a_job_s_own_folder_is_read(kept, tmp_path):
    run = kept({})
    log = tmp_path / "a.job" / "log.txt"
    log.write_text("one\ntwo\n")
    assert logs(run, 1) == ["two"]
    (tmp_path / "secret").write_text("not yours\n")
    log.unlink()
    log.symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="leads out of its folder"):
        logs(run, 1)


def test_while_a_scheduler_does_not_answer_nothing_is_launched_or_taken_for_ended(kept):
    run = kept({}, squeue=LOST, scontrol=LOST, scancel=LOST)
    job = plan_job("local", read_site("local"), RunSpec.model_validate(SPEC), Ask())
    with pytest.raises(InputError, match="squeue does not answer, so it is not known"):
        launch(job)
    assert json.loads(Path("a.job/launch.json").read_text())["job_id"] == "4711"
    assert (status(run).state, status(run).reason) == ("unknown", "its scheduler does not answer; ask again in a while")
    with pytest.raises(InputError, match="does not answer"):
        cancel(run)
    kept({}, scontrol=GONE)
    assert status(run).reason == "its scheduler knows it no more; see its log"


def test_cancelling_says_so_where_the_scheduler_refuses(kept):
    running = 'echo "JobId=4711 JobState=RUNNING Reason=None Restarts=0"'
    denied = 'echo "scancel: error: Kill job error on job id 4711: Access/permission denied" >&2; exit 1'
    queue = 'case "$*" in *--jobs*) echo "4711|elsewhere/job.sh" ;; esac'
    run = kept({}, scontrol=running, scancel=denied, squeue=queue)
    with pytest.raises(InputError, match="permission denied"):
        cancel(run)
    with pytest.raises(InputError, match="job 4711 still writes a"):  # another user's, known by its number
        launch(plan_job("local", read_site("local"), RunSpec.model_validate(SPEC), Ask()))


def test_a_member_of_an_array_is_told_of_by_its_own_folder(kept, monkeypatch):
    outs = ["a/sweep-0/seed-0", "a/sweep-0/seed-1", "a/sweep-1/seed-0", "a/sweep-1/seed-1"]
    state = 'case "$4" in 4711_2) echo "JobState=FAILED Reason=NonZeroExitCode" ;; *) echo "JobState=RUNNING" ;; esac'
    kept({"members": [{"out": out} for out in outs], "log": "a.job/log-%a.txt"}, scontrol=state)
    for number in range(4):
        Path(f"a.job/log-{number}.txt").write_text(f"of {number}\n")
    assert status(Path("a")).members == 4
    for run in (Path(outs[2]), Path(outs[2]).absolute()):
        found = status(run)
        assert (found.job_id, found.state, found.reason) == ("4711_2", "failed", "NonZeroExitCode")
        assert (found.members, found.members_done) == (1, 0)
        assert logs(run, 5) == ["of 2"]
    Path(outs[0]).mkdir(parents=True)
    (Path(outs[0]) / "record.json").write_text("{}")
    assert (status(Path(outs[0])).members_done, status(Path(outs[1])).members_done) == (1, 0)
    with pytest.raises(InputError, match="was not launched"):
        status(Path("a/sweep-0/seed-2"))
    monkeypatch.chdir(Path(outs[0]).parent)
    assert logs(Path("seed-1"), 5) == ["of 1"]


@pytest.mark.long
def test_a_launch_on_this_machine_that_is_killed_before_its_number_is_written_began_nothing(tmp_path):
    """The disk takes no more once the script is written: launch.json stays without a number, and nothing runs."""
    killed = """
import os, sys
from mainstem.apps import launch as module
from mainstem.apps.launch_plan import Ask, plan_job
from mainstem.apps.run_spec import RunSpec
from mainstem.apps.site_profiles import read_site

def kill(event, args):
    if event == "os.rename" and b"launch.json" in os.fsencode(args[1]):
        seen.append(args)
        if len(seen) == 2:
            os.kill(os.getpid(), 9)

seen = []
sys.addaudithook(kill)
module.launch(plan_job("local", read_site("local"), RunSpec.model_validate(SPEC), Ask()))
""".replace("SPEC", repr(SPEC))
    environment = {**os.environ, "MAINSTEM_HOME": str(tmp_path / "home")}
    ended = subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, env=environment, check=False)
    assert ended.returncode == -9
    found = status(tmp_path / "a")
    assert (found.state, found.reason) == ("ended", "its launch ended before it began; launch it again")
    until = time.monotonic() + 30  # what was to begin ends by itself, once nobody can tell it to
    while running := [path for path in Path("/proc").glob("[0-9]*/cwd") if path.resolve() == tmp_path]:
        assert time.monotonic() < until, running
        time.sleep(0.05)
    assert not (tmp_path / "a.job" / "log.txt").read_text()
