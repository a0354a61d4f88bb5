"""--device, --precision, --spec and --set: what was used is what the record says."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.hostile.harness import run_cli

TEMPLATE = Path(__file__).parents[2] / "adapters" / "template.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A table whose target is a known relation, and settings for a quick fit."""
    root, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    rain = rng.normal(size=48)
    table = pd.DataFrame(
        {"sample": [f"s{row}" for row in range(48)], "group": [f"g{row % 12}" for row in range(48)], "rain": rain}
    ).assign(target=2 * rain + 5, licence="CC0-1.0")
    table.to_csv(root / "soil.csv", index=False)
    (root / "quick.yaml").write_text("training: {epochs: 2, batch_size: 16}\nnum_folds: 3\n")
    return root


@pytest.fixture(scope="module")
def record(folder) -> dict:
    run_cli(
        "finetune", TEMPLATE, "--data", "soil.csv", "--out", "run", "--spec", "quick.yaml", "--json",
        "--device", "cpu", "--precision", "bf16", "--set", "training.epochs=30", "--set", "training.seed=4",
        cwd=folder,
    ).taken()  # fmt: skip
    return json.loads((folder / "run" / "record.json").read_text())


@pytest.mark.long
def test_the_record_holds_what_was_set(record):
    training = record["spec"]["config"]["training"]
    wanted = {"epochs": 30, "batch_size": 16, "seed": 4, "device": "cpu", "precision": "bfloat16", "lr_per_step": 2e-3}
    assert {name: training[name] for name in wanted} == wanted
    assert record["spec"]["config"]["num_folds"] == len(record["trained"]) == 3
    assert record["seed"] == 4
    assert {plan["epochs"] for plan in record["trained"]} == {30}


@pytest.mark.long
def test_a_run_predicts_in_either_precision_nearly_alike(folder, record):
    found = {}
    for precision in ("32", "bf16"):
        out = f"told-{precision}.csv"
        asked = ["--run", "run", "--out", out, "--precision", precision, "--device", "auto"]
        run_cli("predict", TEMPLATE, "soil.csv", *asked, cwd=folder).taken()
        found[precision] = pd.read_csv(folder / out)["value"].to_numpy()
    assert (found["32"] != found["bf16"]).any()
    np.testing.assert_allclose(found["bf16"], found["32"], atol=0.05)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--set", "training.epoch=5"], "did you mean training.epochs?"),
        (["--spec", "none.yaml"], "no file none.yaml"),
        (["--device", "gpu"], "want auto, cpu, cuda"),
        (["--set", "training.device=gpu"], "want auto, cpu, cuda"),
        (["--precision", "16"], "want 32 or bf16"),
        (["--run", "run", "--set", "num_folds=2"], "--set would train"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line(folder, record, given, told):
    done = run_cli("evaluate", TEMPLATE, "--data", "soil.csv", *given, cwd=folder).refused()
    assert done.code == 2
    assert told in done.err
