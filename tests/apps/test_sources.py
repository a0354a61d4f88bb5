"""`--data` takes baked folders for what they hold, and what no licence is stated of is said to be so."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.adapters.test_contract import OF_ADAPTERS
from tests.data.test_shards import told
from typer.testing import CliRunner

from mainstem.adapters import template
from mainstem.adapters.template import TASK
from mainstem.apps.cli import app
from mainstem.apps.finetune import finetune
from mainstem.apps.sources import bake_source, read_licensed, read_source
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.samples import is_lazy, read_now
from mainstem.core.task import DataRequest, FitConfig, Option
from mainstem.core.training import TrainingConfig
from mainstem.data.hearing import hearing
from mainstem.data.rights import NOT_STATED, Rights
from mainstem.data.shard_writing import ReadBy, bake
from mainstem.data.shards import open_shards, refuse_damaged

QUICK = FitSpec(config=FitConfig(num_folds=2, training=TrainingConfig(epochs=1)))


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"sample": range(60), "group": [f"g{row % 6}" for row in range(60)], "licence": ""})
    frame.assign(rain=rng.random(60), target=rng.random(60)).to_csv(tmp_path / "own.csv", index=False)
    return DataRequest(data=str(tmp_path / "own.csv"))


def test_training_on_what_was_baked_is_training_on_what_was_read(table, tmp_path):
    with hearing() as notes:
        bake_source(TASK, table, tmp_path / "set")
        sources = [read_licensed(TASK, table), read_licensed(TASK, DataRequest(data=str(tmp_path / "set")))]
    assert len([note for note in notes if NOT_STATED in note]) == 3
    assert is_lazy(sources[1].samples)
    runs = [finetune(TASK, source, QUICK, tmp_path / f"run{row}") for row, source in enumerate(sources)]
    assert runs[0]["licence"] == runs[1]["licence"] == NOT_STATED
    assert runs[0]["data_sha256"] == runs[1]["data_sha256"]
    assert runs[0]["held_out"] == pytest.approx(runs[1]["held_out"], rel=1e-6)
    assert f"| licence of the data | {NOT_STATED} |" in (tmp_path / "run1" / "card.md").read_text()


def test_a_card_s_licence_is_the_data_s(table, tmp_path):
    (tmp_path / "own.csv.croissant.json").write_text(json.dumps({"license": "MIT", "isBasedOn": "ourselves"}))
    with hearing() as notes:
        assert read_licensed(TASK, table).licence == "MIT"
        record = bake_source(TASK, table, tmp_path / "set")
    assert (record.licence, record.source) == ("MIT", "ourselves")
    assert not any(NOT_STATED in note for note in notes)


def test_what_was_baked_for_one_task_is_no_other_s(table, tmp_path):
    baked = DataRequest(data=str(tmp_path / "set"))
    bake_source(TASK, table, tmp_path / "set")
    with pytest.raises(
        InputError, match="was baked by template's task table, want template's other; bake the data again"
    ):
        read_source(replace(TASK, task="other"), baked)
    asked, cropped = replace(baked, options={"crop": "maize"}), replace(TASK, options=(Option(name="crop", help=""),))
    with pytest.raises(InputError, match="has no option crop; it has none"):
        read_source(TASK, asked)
    with pytest.raises(InputError, match="is baked, with options none; leave --crop out"):
        read_source(cropped, asked)


def test_commands_bake_verify_and_card(table, tmp_path):
    def run(*arguments):
        found = CliRunner().invoke(app, ["data", *map(str, arguments)])
        return found.exit_code, found.stdout

    folder, card = tmp_path / "set", tmp_path / "set" / "croissant.json"
    code, told = run("bake", table.data, "--adapter", template.__file__, "--out", folder)
    assert (code, told.split(",")[0]) == (0, "60 samples")
    assert run("verify", folder) == (0, f"{folder}: 3 of 3 files whole\n")
    code, told = run("card", folder, "--licence", "MIT", "--source", "ourselves")
    assert (code, told) == (0, f"4 files, MIT: {card}\n")
    index = folder / "index.arrow"
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"set is damaged: index\.arrow is not as it was written: .*; copy it again"):
        refuse_damaged([table.data, str(folder)])
    code, told = run("verify", folder)
    assert code == 1
    assert "index.arrow is not as it was written" in told


@pytest.mark.slow
@pytest.mark.parametrize(("adapter", "task"), OF_ADAPTERS, ids=lambda name: name)
def test_what_every_adapter_reads_is_baked_bit_for_bit(adapter, task, tmp_path, home):
    source = OF_ADAPTERS[adapter, task](tmp_path)
    bake(source, Rights("MIT", "made", is_stated=True), tmp_path / "set", ReadBy())
    found = open_shards(tmp_path / "set")
    assert [told(read_now(sample)) for sample in found.samples] == [told(read_now(one)) for one in source.samples]
