"""Which tests run where: real data needs MAINSTEM_MIRROR; long, slow and network tests run only when asked for."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstem.apps.jobs import find_jobs, stop

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported
os.environ.setdefault("STREAMLIT_RUNNER_POST_SCRIPT_GC", "false")  # as the dashboards' own settings have it
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take many seconds, too (make test LONG=1)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.getoption("-m")
    is_named = any(".py" in named for named in config.args) or config.getoption("-k") or config.getoption("lf", False)
    is_whole = config.getoption("--long") or is_named
    for item in items:
        if item.get_closest_marker("mirror") and not os.environ.get("MAINSTEM_MIRROR"):
            item.add_marker(pytest.mark.skip(reason="set MAINSTEM_MIRROR to a folder with the data sets"))
        if not asked and (item.get_closest_marker("slow") or item.get_closest_marker("network")):
            item.add_marker(pytest.mark.skip(reason="run by make soak"))
        elif not asked and not is_whole and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="run by make test LONG=1"))


MAIN = sys.modules["__main__"]


def pytest_runtest_teardown() -> None:
    """Undo what running a page in a test leaves behind: a page as main module, which every new process would run."""
    sys.modules["__main__"] = MAIN


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium; without it the test is skipped, or fails where everything is required."""
    found = shutil.which("chromium")
    if found is None:
        missing = "Chromium is not installed (apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("MAINSTEM_REQUIRE_ALL") else pytest.skip(missing)
    return str(found)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty MAINSTEM_HOME; what a test began beside it ends with the test."""
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for job in find_jobs():
        if job.is_here() and job.process != os.getpid():
            stop(job.name)
