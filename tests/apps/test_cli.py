"""The command line: one line for a mistake, one JSON object where asked, figures from real parts."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mainstem.adapters.crop_yield import CropYieldConfig
from mainstem.apps.evaluate import evaluate
from mainstem.core.training import TrainingConfig


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from mainstem.apps.cli import main; main()"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def test_help_imports_no_torch():
    program = "import sys; import mainstem.apps.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_data_list_prints_one_json_object():
    listed = json.loads(run("data", "list", "--json").stdout)
    assert {"us-maize", "nl-maize", "es-maize", "us-counties"} <= set(listed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "pull", "us-mais"), "did you mean 'us-maize'"),
        (("evaluate", "crop-yeild", "--data", "us-maize"), "did you mean 'crop-yield'"),
    ],
)
def test_a_mistake_gives_one_line_and_a_status(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_evaluate_scores_a_users_folder_beside_its_baselines(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        (f"NL{region}", year, 7 + region / 4 + rng.normal(0, 0.5)) for region in range(8) for year in range(2010, 2016)
    ]
    (tmp_path / "wheat" / "NL").mkdir(parents=True)
    table = pd.DataFrame(rows, columns=["adm_id", "harvest_year", "yield"])
    table.to_csv(tmp_path / "wheat" / "NL" / "yield_wheat_NL.csv", index=False)
    config = CropYieldConfig(training=TrainingConfig(epochs=1))
    result = evaluate(str(tmp_path), crop="wheat", country="NL", config=config)
    assert result["n"] == 48
    assert result["protocol"] == "leave-one-year-out"
    assert set(result["baselines"]) == {"average", "trend", "ridge", "random_forest", "gradient_boosting"}
    assert 0 < result["metrics"]["nrmse_percent"] < 30
    assert len(result["coverage"]["by_group"]) == 6
    for difference in result["difference"].values():
        assert difference["low"] <= difference["high"]
