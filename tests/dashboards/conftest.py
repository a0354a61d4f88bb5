"""A model of the simulated regions, trained once for all tests of the pages."""

from pathlib import Path

import pytest

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.finetune import FitSpec, finetune
from mainstem.apps.region_sets import choices
from mainstem.apps.yield_board import YieldBoard, load_board
from tests.dashboards.made import QUICK


@pytest.fixture(scope="session")
def simulated_home(tmp_path_factory) -> Path:
    """A MAINSTEM_HOME with that model."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(home))
        (choice,) = choices()
        finetune(TASK, choice.read(), FitSpec(config=QUICK), choice.run())
    return home


@pytest.fixture
def board(simulated_home, monkeypatch) -> YieldBoard:
    """Its board, in its MAINSTEM_HOME."""
    monkeypatch.setenv("MAINSTEM_HOME", str(simulated_home))
    (choice,) = choices()
    return load_board(choice.read(), choice.run())
