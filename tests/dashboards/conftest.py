"""A model of the simulated regions, trained once for all tests of the pages."""

import os
import shutil
from pathlib import Path

import pytest

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.finetune import finetune
from mainstem.apps.region_sets import choices
from mainstem.core.files import locked, scratch
from mainstem.core.finetuning import FitSpec
from mainstem.dashboards.yield_map.board import YieldBoard, load_board
from tests.dashboards.made import QUICK

WAIT_S = 300.0


@pytest.fixture(scope="session")
def simulated_home(tmp_path_factory) -> Path:
    """A MAINSTEM_HOME with that model, a copy for each of the processes that test side by side."""
    own = tmp_path_factory.mktemp("home")
    base = tmp_path_factory.getbasetemp()  # this process's own, in that of the run where several test side by side
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "simulated-home"
    with locked(shared.with_suffix(".lock"), str(shared), wait_s=WAIT_S):
        if not shared.exists():
            with scratch(shared) as made, pytest.MonkeyPatch.context() as patch:
                patch.setenv("MAINSTEM_HOME", str(made))
                (choice,) = choices()
                finetune(TASK, choice.read(), FitSpec(config=QUICK), choice.run())
                made.replace(shared)
    shutil.copytree(shared, own, dirs_exist_ok=True)
    return own


@pytest.fixture
def board(simulated_home, monkeypatch) -> YieldBoard:
    """Its board, in its MAINSTEM_HOME."""
    monkeypatch.setenv("MAINSTEM_HOME", str(simulated_home))
    (choice,) = choices()
    return load_board(choice.read(), choice.run())
