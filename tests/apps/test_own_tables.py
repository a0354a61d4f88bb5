"""Tables of one's own by the command line: numbers, words and findings are learned, judged and claimed alike."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.hostile.harness import run_cli

from mainstem.adapters import load_adapter_module
from mainstem.apps.new_adapter import code_of, write_adapter
from mainstem.core.targets import Classes

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = {
    "adapter", "task", "data", "protocol", "split", "n", "seeds", "metrics", "baselines", "difference", "coverage",
    "by_group", "trunk_sha256", "adapter_sha256", "seconds",
}  # fmt: skip
METRICS = {"quantity": "nrmse_percent", "classes": "macro_f1", "findings": "mean_auroc"}
BASELINES = {
    "quantity": {"average", "ridge", "random_forest", "gradient_boosting"},
    "classes": {"commonest", "logistic", "random_forest"},
    "findings": {"logistic", "random_forest"},
}
NUM, GROUPS = 240, 12


def table(path: Path, kind: str, seed: int, groups: int = GROUPS) -> Path:
    """Two channels that tell all: a sum, the larger one, or which are high; and noise, by group too."""
    rng = np.random.default_rng(seed)
    rain, heat = rng.uniform(0, 1, (2, NUM))
    frame = pd.DataFrame({"sample": [f"s{seed}-{row}" for row in range(NUM)], "licence": "CC-BY-4.0"})
    if groups:
        frame["group"] = [f"site-{seed}-{row % groups}" for row in range(NUM)]
    frame["rain [mm]"], frame["heat [degC]"] = 300 * rain, 30 * heat
    rain, heat = (values + rng.normal(0, 0.05, NUM) for values in (rain, heat))
    if kind == "quantity":
        frame["target [t/ha]"] = 5 + 2 * rain - heat
    elif kind == "classes":
        frame["target"] = np.where(rain + heat < 0.7, "low", np.where(rain + heat < 1.3, "middle", "high"))
    else:
        frame["target: wet"], frame["target: hot"] = np.where(rain > 0.5, "yes", "no"), (heat > 0.5).astype(object)
        frame.loc[::7, "target: hot"] = np.nan
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module", params=sorted(METRICS))
def made(request, tmp_path_factory):
    """The kind, and a folder that holds an adapter, a run of it, and tables of other groups."""
    folder, kind = tmp_path_factory.mktemp(request.param), request.param
    for number, name in enumerate(("t", "mine", "new")):
        table(folder / f"{name}.csv", kind, number)
    both = [pd.read_csv(folder / f"{name}.csv") for name in ("t", "new")]  # baselines are fitted on what the run knows
    pd.concat(both).to_csv(folder / "both.csv", index=False)
    run_cli("new-adapter", "own", "--data", "t.csv", cwd=folder).taken()
    run_cli("finetune", "adapters/own.py", "--data", "t.csv", "--out", "run", cwd=folder, limit_s=300).taken()
    return kind, folder


@pytest.mark.long
def test_evaluate_tells_every_kind_by_the_same_keys(made):
    kind, folder = made
    arguments = ("evaluate", "adapters/own.py", "--data", "both.csv", "--run", "run", "--json")
    told = json.loads(run_cli(*arguments, cwd=folder, limit_s=120).taken().out)
    assert set(told) >= CONTRACT
    assert (told["adapter"], told["protocol"], told["n"]) == ("own", "run", NUM)
    assert next(iter(told["metrics"])) == METRICS[kind]
    assert set(told["coverage"]) >= {"level", "pooled", "by_group", "mean_width"}
    assert set(told["coverage"]["by_group"]) == set(told["by_group"]) == {f"site-2-{row}" for row in range(GROUPS)}
    assert all(found["claim"] in ("stated", "withdrawn") for found in told["coverage"]["by_group"].values())
    most = 1.0 if kind == "findings" else 0.99  # what nobody read counts as wrong
    assert 0.8 <= told["coverage"]["pooled"] <= most
    for name, found in told["difference"].items():
        assert set(told["baselines"][name]) == set(told["metrics"])
        assert found["low"] <= found["value"] <= found["high"]
    assert set(told["baselines"]) == BASELINES[kind]
    plainest = {"quantity": "average", "classes": "commonest"}
    assert kind not in plainest or told["difference"][plainest[kind]]["verdict"] == "better"
    assert told["metrics"][METRICS[kind]] < 10 if kind == "quantity" else told["metrics"][METRICS[kind]] > 0.8


@pytest.mark.long
def test_calibrate_and_predict_know_every_kind(made):
    kind, folder = made
    arguments = ("calibrate", "run", "--data", "mine.csv", "--adapter", "adapters/own.py", "--json")
    known = json.loads(run_cli(*arguments, cwd=folder).taken().out)
    assert (known["claim"], known["cases"]) == ("stated", NUM)
    assert 0.75 <= known["coverage_before"] <= 1
    arguments = ("predict", "adapters/own.py", "new.csv", "--run", "run", "--out", "p.csv")
    run_cli(*arguments, cwd=folder).taken()
    told, truth = pd.read_csv(folder / "p.csv").set_index("item"), pd.read_csv(folder / "new.csv").set_index("sample")
    truth = truth.loc[told.index]
    assert (told["claim"] == "stated").mean() > 0.8
    if kind == "quantity":
        assert set(told["units"]) == {"t/ha"}
        inside = (told["low"] <= truth["target [t/ha]"]) & (truth["target [t/ha]"] <= told["high"])
    elif kind == "classes":
        assert (told["value"] == truth["target"]).mean() > 0.8
        inside = pd.Series([t in held.split("; ") for t, held in zip(truth["target"], told["classes"], strict=True)])
        assert set(told.columns) >= {"probability low", "probability middle", "probability high"}
    else:
        assert ((told["wet"] >= 0.5) == (truth["target: wet"] == "yes")).mean() > 0.9
        assert all(value in present for value, present in told[["value", "present"]].fillna("").to_numpy())
        is_wrong = [
            ("wet" in str(row.absent)) if is_wet == "yes" else ("wet" in str(row.present))
            for row, is_wet in zip(told.itertuples(), truth["target: wet"], strict=True)
        ]
        inside = ~pd.Series(is_wrong)
    assert inside.mean() > 0.85
    below = run_cli(*arguments, "--below", "3", cwd=folder)
    if kind == "quantity":
        below.taken()
        assert pd.read_csv(folder / "p.csv")["below 3"].between(0, 1).all()
    else:
        below.refused("--below")


@pytest.mark.long
def test_nothing_is_claimed_of_groups_where_the_data_name_none(tmp_path):
    pd.read_csv(table(tmp_path / "all.csv", "quantity", 0, groups=0))[:120].to_csv(tmp_path / "t.csv", index=False)
    table(tmp_path / "new.csv", "quantity", 1)
    run_cli("new-adapter", "own", "--data", "t.csv", cwd=tmp_path).taken()
    arguments = ("evaluate", "adapters/own.py", "--data", "t.csv", "--json")
    told = json.loads(run_cli(*arguments, cwd=tmp_path, limit_s=300).taken().out)
    assert set(told) >= CONTRACT
    assert (told["protocol"], told["n"]) == ("grouped-folds", 120)
    assert 0.82 <= told["coverage"]["pooled"] <= 0.98
    assert set(told["baselines"]) == BASELINES["quantity"]
    run_cli("finetune", "adapters/own.py", "--data", "t.csv", "--out", "run", cwd=tmp_path, limit_s=300).taken()
    run_cli("predict", "adapters/own.py", "new.csv", "--run", "run", "--out", "p.csv", cwd=tmp_path).taken()
    found = pd.read_csv(tmp_path / "p.csv")
    assert found["claim_for"].str.contains("nothing is claimed of a new one").all()
    assert "which name no groups" in (tmp_path / "run" / "card.md").read_text()


def test_names_of_classes_become_code_that_says_them(tmp_path):
    odd = Classes(names=('a "quoted" one', "two\nlines"))
    assert eval(code_of(odd), {"Classes": Classes}) == odd
    names = ("back\\slash", "größer", "it's; import os")
    frame = pd.DataFrame({"sample": range(12), "licence": "CC0-1.0", "rain [mm]": 1.0, "target": names * 4})
    frame.to_csv(tmp_path / "t.csv", index=False)
    adapter, test = write_adapter("own", tmp_path / "t.csv", tmp_path)
    assert Classes(names=tuple(sorted(names))) == load_adapter_module(str(adapter)).TARGET
    for path in (adapter, test):
        subprocess.run([Path(sys.executable).with_name("ruff"), "format", "--check", path], cwd=ROOT, check=True)
