"""Work beside the pages: seen by every tab, stopped from any, going on without the server, and its failure said."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from mainstem import dashboards
from mainstem.apps import page_jobs
from mainstem.apps.cli import app
from mainstem.apps.field_maps import free_folder, keep_inputs, maps_folder
from mainstem.apps.jobs import failure_of, find_job, find_jobs, start, stop, telling
from mainstem.apps.page_jobs import map_job, model_job, start_map, start_training
from mainstem.apps.region_sets import choices, keep_upload
from mainstem.core.errors import InputError
from mainstem.core.files import locked
from mainstem.data.earth.farms import simulate_farm, write_farm

PAGES = Path(dashboards.__file__).parent
SLOW = """
import time
from mainstem.apps.jobs import work_on
def work(report):
    report("fold 2 of 6", 0.25)
    time.sleep(60)
raise SystemExit(work_on("model slow", "the model of slow", work))
"""
SERVER = f"""
import time
from mainstem.apps.jobs import start
start("model slow", {SLOW!r}, [])
print("begun", flush=True)
time.sleep(60)
"""
YIELDS = b"adm_id,harvest_year,yield\nNL1,2019,8.0\nNL1,2020,8.4\n"


def lines(page: AppTest) -> str:
    parts = [*page.info, *page.error, *page.warning, *page.main.markdown, *page.caption]
    return "\n".join(str(part.value) for part in parts).replace(":small[]", "").replace("\\", "")


def page(name: str, **address: str) -> AppTest:
    test = AppTest.from_file(str(PAGES / name / "page.py"), default_timeout=60)
    for key, value in address.items():
        test.query_params[key] = value
    return test.run()


def until(is_so, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(is_so())


def test_a_job_is_seen_by_all_and_stopped_by_any(home):
    start("model slow", SLOW, [])
    assert until(lambda: getattr(find_job("model slow"), "share", 0) == 0.25)
    job = find_job("model slow")
    assert job.describe().startswith("fold 2 of 6: 25% in ")
    start("model slow", "raise SystemExit(1)", [])  # a second tab's click begins nothing
    assert find_job("model slow").process == job.process
    assert [found.name for found in find_jobs("model ")] == ["model slow"]
    stop("model slow")
    assert find_job("model slow") is None
    assert until(lambda: not Path(f"/proc/{job.process}").exists())
    assert failure_of("model slow") == "it was stopped before it was done"


def test_a_job_goes_on_however_the_server_ends_and_is_stopped_from_the_command_line(home):
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, env=dict(os.environ)) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"begun\n"
        process = find_job("model slow").process
        server.kill()
    assert until(lambda: getattr(find_job("model slow"), "share", 0) == 0.25)
    assert find_job("model slow").process == process
    listed = CliRunner().invoke(app, ["jobs", "list", "--json"])
    assert [job["name"] for job in json.loads(listed.stdout)["jobs"]] == ["model slow"]
    assert CliRunner().invoke(app, ["jobs", "stop", "model slow"]).stdout == "stopped model slow\n"
    assert find_job("model slow") is None
    assert until(lambda: not Path(f"/proc/{process}").exists())
    assert failure_of("model slow") == "it was stopped before it was done"
    again = CliRunner().invoke(app, ["jobs", "stop", "model slow"])
    assert "no job 'model slow' is at work; at work: nothing" in str(again.exception)


def test_a_job_ends_with_who_attends_it(home):
    start("model slow", SLOW, [])
    process = find_job("model slow").process
    attendant = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(attendant, signal.SIGKILL)
    assert until(lambda: find_job("model slow") is None)
    assert failure_of("model slow") == "it was stopped before it was done"


def test_a_killed_job_says_so(home):
    start("model slow", SLOW, [])
    os.kill(find_job("model slow").process, signal.SIGKILL)
    assert until(lambda: failure_of("model slow"))
    assert "SIGKILL; likely not enough memory" in failure_of("model slow")
    assert find_job("model slow") is None


STATE = '{"what": "x", "stage": "s", "share": %s, "since": %s, "process": %s, "host": "h"}'
DAMAGED = [
    "", "[]", "null", '{"stage": 1}', '{"stage": "a", "share": "b", "since": 0}', "[" * 100_000,
    *(STATE % one for one in (("NaN", 0, 9), (-5, 0, 9), (0.5, "-Infinity", 9), (0.5, 1e308, 9), (0.5, 0, "1e999"),
                              (0.5, 0, 10**30))),
]  # fmt: skip


@pytest.mark.parametrize("said", DAMAGED)
def test_a_state_that_is_damaged_is_listed_as_none(home, said):
    folder = home / "v1" / "jobs"
    folder.mkdir(parents=True)
    (folder / "model odd.json").write_text(said)
    with locked(folder / "model odd.lock", "x"):
        assert find_jobs() == []
        (folder / "model odd.json").write_text(STATE % (0.5, 0, 9))
        assert find_job("model odd").describe().startswith("s: 50%")


@pytest.mark.parametrize("said", ["", "[]", "null", '{"stage": 1}', '{"stage": "a", "share": "b", "since": 0}'])
def test_a_damaged_word_of_a_job_is_none(home, said):
    start("model slow", SLOW, [])
    assert until(lambda: getattr(find_job("model slow"), "share", 0) == 0.25)
    job = find_job("model slow")
    (home / "v1" / "jobs" / "model slow.json").write_text(said)
    assert find_job("model slow") is None
    os.kill(job.process, signal.SIGKILL)
    assert until(lambda: not Path(f"/proc/{job.process}").exists())


@pytest.mark.long
def test_training_goes_on_when_the_page_is_left_and_can_be_stopped_there(home):
    name = choices()[-1].name
    first = page("yield_map", set=name)
    next(button for button in first.button if button.label == "Train it now").click()
    first.run()
    assert find_job(model_job(name)) is not None  # the page that asked is gone by now
    second = page("yield_map", set=name)
    assert not second.exception
    assert "the model of" in lines(second)
    buttons = [button for button in second.main.button if button.label != "Keep these files"]
    assert [button.label for button in buttons] == ["Stop"]
    buttons[0].click()
    second.run()
    assert find_job(model_job(name)) is None
    assert "was stopped before it was done" in lines(second)
    assert not list((home / "v1" / "runs").glob("*"))
    assert [button.label for button in second.main.button][1:] == ["Seen", "Train it now"]


@pytest.mark.long
def test_why_a_training_failed_is_said_on_its_page(home):
    keep_upload("ow", {"yield_wheat_NL.csv": YIELDS})
    choice = keep_upload("own", {"yield_wheat_NL.csv": YIELDS})
    next(choice.folder.rglob("yield_*.csv")).write_text("adm_id,harvest_year,yeild\nNL1,2019,8\n")
    start_training("own")
    assert until(lambda: failure_of(model_job("own")))
    assert "was not made" not in lines(page("yield_map", set="ow"))
    test = page("yield_map", set="own")
    assert "The model own was not made" in lines(test)
    assert "rename 'yeild'" in lines(test)
    assert "Train it now" in [button.label for button in test.main.button]


@pytest.mark.long
def test_a_map_that_is_stopped_leaves_its_name_free_and_says_so(home, tmp_path):
    write_farm(simulate_farm(9003), tmp_path / "farm")
    keep_inputs("mine", {path.name: path.read_bytes() for path in (tmp_path / "farm").glob("*_S2_*.tif")} | {
        "weather.csv": (tmp_path / "farm" / "weather.csv").read_bytes()
    })  # fmt: skip
    start_map("mine")
    test = page("field_map")
    assert "the map mine" in lines(test)
    assert "Make it now" not in [button.label for button in test.main.button]
    stop(map_job("mine"))
    test = page("field_map")
    assert "mine was not made: it was stopped" in lines(test)
    assert not (maps_folder() / "mine").exists()
    next(button for button in test.main.button if button.label == "Seen").click()
    test.run()
    assert "mine was not made" not in lines(test)


def test_a_job_on_another_machine_is_not_stopped_here(home, monkeypatch):
    start("model slow", SLOW, [])
    monkeypatch.setattr("mainstem.apps.jobs.host", lambda: "elsewhere")
    assert not find_job("model slow").is_here()
    with pytest.raises(InputError, match="stop it there"):
        stop("model slow")
    os.kill(find_job("model slow").process, signal.SIGTERM)


def test_what_a_killed_job_has_half_made_is_cleared(home, tmp_path):
    folder = tmp_path / "half"
    (folder / "logs").mkdir(parents=True)
    start("model slow", SLOW, [], folder / "notes.json")
    os.kill(find_job("model slow").process, signal.SIGKILL)
    assert until(lambda: not folder.exists() and find_job("model slow") is None)
    (folder / "logs").mkdir(parents=True)
    (folder / "notes.json").write_text("whole")
    start("model slow", SLOW, [], folder / "notes.json")
    os.kill(find_job("model slow").process, signal.SIGKILL)
    assert until(lambda: failure_of("model slow"))
    assert (folder / "notes.json").is_file()


def test_a_name_that_nobody_is_making_is_free_again(home, tmp_path):
    folder = maps_folder() / "mine"
    (folder / "logs").mkdir(parents=True)
    with pytest.raises(InputError, match="exists already or is being made"):
        free_folder("mine")  # its job is about to begin
    os.utime(folder, (0, 0))
    (home / "v1" / "jobs").mkdir(parents=True)
    (home / "v1" / "jobs" / "map mine.json").write_text(STATE % (0.5, 0, 9))
    with locked(home / "v1" / "jobs" / "map mine.lock", "x"), pytest.raises(InputError, match="is being made"):
        free_folder("mine")
    with telling("demonstration", "the demonstration") as report:  # which makes maps under names of its own
        report("field map", 0.2)
        with pytest.raises(InputError, match="exists already or is being made"):
            free_folder("mine")
    assert free_folder("mine") == folder
    assert not folder.exists()
    (tmp_path / "users").mkdir()
    os.utime(tmp_path / "users", (0, 0))
    folder.symlink_to(tmp_path / "users")
    with pytest.raises(InputError, match="exists already"):
        free_folder("mine")
    assert (tmp_path / "users").is_dir()


def test_a_harvest_that_is_stopped_while_it_is_imported_leaves_its_name_free(home, monkeypatch):
    (maps_folder() / "mine" / "logs").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "mainstem.apps.fields.harvest_maps", None)  # as far as the import, and no further
    with pytest.raises(ImportError):
        page_jobs._harvest("mine", lambda stage, share: None)
    assert not (maps_folder() / "mine").exists()
