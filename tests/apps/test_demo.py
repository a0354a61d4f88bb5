"""The demonstration while it is being made: what is told to the pages, by whom, and until when."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.apps import clinic_demo, demo, field_maps, finetune
from mainstem.apps.jobs import find_job, telling
from mainstem.apps.media import demo as media_demo
from mainstem.apps.robotics import choices
from mainstem.apps.serving import OURSELVES
from mainstem.core.errors import InputError
from mainstem.core.progress import Progress, part_of
from mainstem.dashboards.clinic.reads import has_studies

PAGES = Path(dashboards.__file__).parent
TELL = """
import time
from mainstem.apps.demo import JOB
from mainstem.apps.jobs import telling
with telling(JOB, "the demonstration") as report:
    report("yield model, fold 2 of 6", 0.25)
    print("told", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    return tmp_path


def lines(page: AppTest) -> str:
    return "\n".join(str(element.value) for element in [*page.info, *page.error, *page.main.markdown])


def test_a_part_lies_between_two_shares_of_the_whole():
    told: list[float] = []
    progress = part_of(lambda stage, share: told.append(share), 0.2, 0.6)
    for share in (0.0, 0.5, 1.0):
        progress("at work", share)
    assert told == pytest.approx([0.2, 0.4, 0.6])


def asked(page: AppTest) -> list[str]:
    """What the page's own buttons offer, but for one's own files, which are brought at any time."""
    return [button.label for button in page.main.button if button.label != "Map these"]


@pytest.mark.long
def test_pages_are_told_by_a_living_process_alone(home):
    assert find_job(demo.JOB) is None
    with subprocess.Popen([sys.executable, "-c", TELL], stdout=subprocess.PIPE, env=dict(os.environ)) as maker:
        try:
            assert maker.stdout is not None
            assert maker.stdout.readline() == b"told\n"
            making = find_job(demo.JOB)
            assert making is not None
            assert making.describe().startswith("yield model, fold 2 of 6: 25% in ")
            with pytest.raises(InputError, match="another process is making the demonstration"):
                demo.prepare()
            for name in ("yield_map", "field_map"):
                page = AppTest.from_file(str(PAGES / name / "page.py"), default_timeout=60).run()
                assert "`mainstem demo` is making" in lines(page)
                assert [label for label in asked(page) if label != "Keep these files"] == [
                    "Stop"
                ]  # no training of what is being trained
        finally:
            maker.kill()
    assert find_job(demo.JOB) is None  # killed: what it wrote last is no longer true
    page = AppTest.from_file(str(PAGES / "field_map" / "page.py"), default_timeout=60).run()
    assert "No map yet" in lines(page)
    assert asked(page) == ["Make it now"]


def test_the_studies_come_first_and_shares_only_grow(home, monkeypatch):
    told: list[tuple[str, float]] = []
    monkeypatch.setattr(clinic_demo, "ensure_studies", lambda mirror, progress: progress("all", 1.0))
    monkeypatch.setattr(media_demo, "ensure_archive", lambda mirror, progress: progress("copies", 1.0))
    monkeypatch.setattr(demo, "ensure_demo", lambda progress: progress("whole", 1.0))
    monkeypatch.setattr(demo, "ensure_real", lambda mirror, progress: progress("vigour", 1.0))
    monkeypatch.setattr(finetune, "finetune", _far_enough)
    with pytest.raises(InputError, match="far enough"):
        demo.prepare(home, lambda stage, share: told.append((stage, share)))
    assert [stage for stage, _ in told] == [
        "studies, reading what there is", "studies, all", "archive, copies", "field map, whole", "real scenes, vigour",
        "getting the data", "yield model, reading the data", "yield model, training",
    ]  # fmt: skip
    assert [share for _, share in told] == pytest.approx(
        [0.0, demo.STUDIES, demo.ARCHIVE, demo.FIELDS] + 4 * [demo.SCENES]
    )
    assert find_job(demo.JOB) is None


def test_studies_that_cannot_be_had_keep_nobody_from_a_field_map(home, monkeypatch, capsys):
    monkeypatch.setattr(clinic_demo, "ensure_studies", lambda *_: _far_enough())
    monkeypatch.setattr(media_demo, "ensure_archive", lambda *_: _far_enough())
    monkeypatch.setattr(field_maps, "simulate_farm", _far_enough)
    told: list[str] = []
    with pytest.raises(InputError, match="far enough"):
        demo.prepare(home, lambda stage, share: told.append(stage))
    assert told == ["studies, reading what there is", "field map, simulating a farm"]
    said = capsys.readouterr().err
    assert "the clinic has no studies to show" in said
    assert "the media page has no archive to show" in said
    assert "the robotics page shows a simulated cart" in said  # its mirror holds no trial


@pytest.mark.mirror
def test_a_roboticist_sees_a_real_trial_at_once(home, monkeypatch):
    monkeypatch.setattr(demo, "telling", _far_enough_after_the_trial)
    with pytest.raises(InputError, match="far enough"):
        demo.prepare()
    first, *rest = choices()
    assert [choice.title for choice in rest] == ["Simulated cart"]
    opened = first.open()
    assert (first.title, opened.recording.simulated) == ("BROAD 06 undisturbed fast rotation A", False)
    assert opened.is_learned_from
    assert opened.truth is not None
    assert sum(path.stat().st_size for path in home.rglob("*.npz")) < 2_000_000


def test_the_clinic_shows_its_studies_while_the_rest_is_made(home, monkeypatch):
    from tests.dashboards.clinic_made import made_clinic

    with telling(demo.JOB, "the demonstration") as report:
        report("studies, what the models say of the studies", 0.05)
        page = AppTest.from_file(str(PAGES / "clinic" / "page.py"), default_timeout=60).run()
        assert "`mainstem demo` is making" in lines(page)
        report("yield model, fold 1 of 6", 0.3)
        made_clinic(home)
        assert has_studies()  # what the page waits for
        page.run()
        assert "# Sure" in lines(page)
        assert "is making" not in lines(page)


@pytest.mark.long
def test_what_works_beside_the_pages_ends_with_them(home, tmp_path):
    """A terminated `demo` leaves neither server nor trainer behind."""
    mirror = tmp_path / "empty"
    mirror.mkdir()
    command = [sys.executable, "-c", OURSELVES, "demo", "--mirror", str(mirror), "--port", "8967"]
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as parent:
        try:
            until = time.monotonic() + 120
            while find_job(demo.JOB) is None and time.monotonic() < until:
                time.sleep(0.1)
            assert find_job(demo.JOB).stage
            children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
            assert len(children) == 2
        finally:
            parent.terminate()
            parent.wait(30)
    until = time.monotonic() + 20
    while find_job(demo.JOB) is not None and time.monotonic() < until:
        time.sleep(0.1)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert find_job(demo.JOB) is None


@contextmanager
def _far_enough_after_the_trial(*_: object) -> Iterator[Progress]:
    yield _far_enough  # the first stage is told once the trial is here


def _far_enough(*_: object) -> None:
    raise InputError("far enough")
