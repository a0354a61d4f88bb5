"""A fine-tuning that was killed goes on with the same command; of several processes one writes the run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.core.processes import run_in

from mainstem.adapters.template import TASK
from mainstem.apps import finetune as command
from mainstem.apps.finetune import finetune
from mainstem.core.errors import ArtifactError
from mainstem.core.finetuning import FitSpec
from mainstem.core.metrics_log import read_lines
from mainstem.core.settings import read_settings, with_settings
from mainstem.core.task import DataRequest, FitConfig
from mainstem.core.training import TrainingConfig
from mainstem.core.watch import CheckpointConfig, Watch

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=3, batch_size=64), num_folds=2)
SPEC = FitSpec(config=QUICK, checkpoint=CheckpointConfig(every_steps=2))


class Killed(BaseException):
    """What nobody catches."""


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    rng, num = np.random.default_rng(0), 120
    a, b = rng.normal(size=(2, num))
    columns = {"sample": [f"s{row}" for row in range(num)], "a": a, "b": b, "target": a - 2 * b}
    columns |= {"group": np.arange(num) % 6 + 2010, "licence": "CC0-1.0"}
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def fitted(table: Path, out: Path, spec: FitSpec = SPEC):
    return finetune(TASK, TASK.read(DataRequest(data=str(table))), spec, out)


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return fitted(table, out), read_lines(out / "metrics.jsonl")


def test_the_same_command_goes_on_after_a_kill(table, tmp_path, whole, monkeypatch):
    out, after = tmp_path / "run", Watch.after_step
    record, lines = whole
    for training, step in ((0, 3), (1, 5)):

        def killed(self, state, *told, at=(training, step)):
            after(self, state, *told)
            if (self._training, state.step) == at:
                raise Killed

        monkeypatch.setattr(Watch, "after_step", killed)
        with pytest.raises(Killed):
            fitted(table, out)
        assert {path.name for path in tmp_path.iterdir()} == {"run.state"}
    monkeypatch.setattr(Watch, "after_step", after)
    with pytest.raises(ArtifactError, match="is of another config"):
        fitted(table, out, FitSpec(config=FitConfig(**{**vars(QUICK), "num_folds": 3}), checkpoint=SPEC.checkpoint))
    again = fitted(table, out)
    assert again["adapter_sha256"] == record["adapter_sha256"]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    told = [{key: line[key] for key in ("training", "step", "loss")} for line in lines if "training" in line]
    found = read_lines(out / "metrics.jsonl")
    assert [{key: line[key] for key in ("training", "step", "loss")} for line in found if "training" in line] == told
    assert len(told) > 10


def fit_one_of_two(world, table: Path, out: Path):
    command.join = lambda device, backend: world
    return fitted(table, out)


@pytest.mark.long
def test_of_two_processes_one_writes_the_run(table, tmp_path, whole):
    out = tmp_path / "run"
    first, second = run_in(2, fit_one_of_two, table, out)
    assert second == {}
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    one, two = (
        [line["loss"] for line in lines if "training" in line]
        for lines in (whole[1], read_lines(out / "metrics.jsonl"))
    )
    assert two == pytest.approx(one, rel=1e-4)
    assert first["trained"] == whole[0]["trained"]


def test_settings_of_checkpoints_and_processes_are_set_by_name():
    given = ("checkpoint.every_steps=7", "training.spread=shard", "training.is_recomputed=true", "num_folds=4")
    spec = with_settings(SPEC, read_settings(None, given))
    assert (spec.checkpoint.every_steps, spec.checkpoint.keep, spec.config.num_folds) == (7, 2, 4)
    assert (spec.config.training.spread, spec.config.training.is_recomputed) == ("shard", True)
