"""The command line as a person uses it: from data to a calibrated run, and one line for every mistake."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.hostile.harness import ONE_THREAD, run_cli

from mainstem.apps.evaluate import evaluate
from mainstem.apps.protocols import EvaluationSpec, split_samples
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.task import DataRequest, FitConfig
from mainstem.core.training import TrainingConfig

QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2)
WHEAT = ("--crop", "wheat", "--country", "NL")
PROGRAM = "from mainstem.apps.cli import main; main()"
BRIEFLY = ("--set", "training.epochs=1", "--set", "training.min_steps=24")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's wheat regions: eight regions, 2008-2019, greener years yield more; 2020 is to be forecast."""
    root, rng = tmp_path_factory.mktemp("farms"), np.random.default_rng(0)
    place = root / "wheat" / "NL"
    place.mkdir(parents=True)
    yields, ndvi = [], []
    for region in range(8):
        for year in range(2008, 2021):
            vigour = rng.normal()
            value = 7 + region / 4 + 0.8 * vigour + rng.normal(0, 0.2)
            yields.append((f"NL{region}", year, value if year < 2020 else np.nan))
            dates = pd.date_range(f"{year}-03-01", f"{year}-07-20", freq="20D").strftime("%Y%m%d")
            ndvi += [(f"NL{region}", date, 0.5 + 0.1 * vigour + rng.normal(0, 0.02)) for date in dates]
    pd.DataFrame(yields, columns=["adm_id", "harvest_year", "yield"]).to_csv(place / "yield_wheat_NL.csv", index=False)
    pd.DataFrame(ndvi, columns=["adm_id", "date", "ndvi"]).to_csv(place / "ndvi_wheat_NL.csv", index=False)
    calendar = pd.DataFrame({"adm_id": [f"NL{region}" for region in range(8)], "eos": 210})
    calendar.to_csv(place / "crop_calendar_wheat_NL.csv", index=False)
    return root


@pytest.fixture(scope="module")
def farm_run(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "wheat"
    run_cli("finetune", "crop-yield", "--data", folder, *WHEAT, *BRIEFLY, "--out", out, limit_s=300).taken()
    return out


def test_help_imports_no_torch():
    program = "import sys; import mainstem.apps.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_data_list_prints_one_json_object():
    listed = json.loads(run_cli("data", "list", "--json").taken().out)
    assert {"us-maize", "nl-maize", "es-maize", "us-counties"} <= set(listed)


@pytest.mark.long
def test_a_run_folder_holds_what_is_needed_to_repeat_it(farm_run, folder):
    assert {path.name for path in farm_run.iterdir()} == {
        "record.json", "metrics.jsonl", "adapter.safetensors", "trunk.safetensors", "card.md",
    }  # fmt: skip
    record = json.loads((farm_run / "record.json").read_text())
    assert record["environment"]["torch"]
    assert record["seed"] == 0
    assert all(json.loads(line) for line in (farm_run / "metrics.jsonl").read_text().splitlines())
    assert "Known failures" in (farm_run / "card.md").read_text()
    shown = json.loads(run_cli("runs", "list", farm_run.parent, "--json").taken().out)
    assert shown[str(farm_run)]["adapter_sha256"] == record["adapter_sha256"]


@pytest.mark.long
def test_one_seed_gives_one_adapter(farm_run, folder, tmp_path):
    asked = ("finetune", "crop-yield", "--data", str(folder), *WHEAT, *BRIEFLY, "--out", str(tmp_path / "again"))
    command = [sys.executable, "-c", PROGRAM, *asked, "--json"]  # a new interpreter hashes, and orders sets, otherwise
    again = subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=True)
    record = json.loads((farm_run / "record.json").read_text())
    assert json.loads(again.stdout)["adapter_sha256"] == record["adapter_sha256"]


@pytest.mark.long
def test_predictions_name_interval_claim_and_model(farm_run, folder, tmp_path):
    out = tmp_path / "wheat.csv"
    run_cli("predict", "crop-yield", folder, *WHEAT, "--run", farm_run, "--out", out, "--below", "8").taken()
    table = pd.read_csv(out)
    coming = table[table["year"] == 2020]
    assert len(coming) == 8
    assert (coming["low"] < coming["value"]).all()
    assert (coming["value"] < coming["high"]).all()
    assert coming["below 8"].between(0, 1).all()
    assert set(coming["claim"]) <= {"stated", "withdrawn"}
    assert set(table.loc[table["year"] < 2020, "claim"]) == {"none"}  # trained on
    assert table["adapter_sha256"].nunique() == 1


def test_another_crop_is_out_of_scope(farm_run, folder, tmp_path):
    barley = tmp_path / "barley" / "NL"
    barley.mkdir(parents=True)
    for path in (folder / "wheat" / "NL").iterdir():
        (barley / path.name.replace("wheat", "barley")).write_bytes(path.read_bytes())
    out = tmp_path / "barley.jsonl"
    asked = ("predict", "crop-yield", tmp_path, "--crop", "barley", "--country", "NL")
    run_cli(*asked, "--run", farm_run, "--out", out).taken()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(row["abstained"] and row["value"] is None for row in rows)


def test_local_labels_restore_the_claim(farm_run, folder, tmp_path):
    mine = tmp_path / "run"
    shutil.copytree(farm_run, mine)
    local = tmp_path / "local" / "wheat" / "NL"
    local.mkdir(parents=True)
    for path in (folder / "wheat" / "NL").iterdir():
        (local / path.name).write_bytes(path.read_bytes())
    arguments = ("calibrate", mine, "--data", tmp_path / "local", *WHEAT)
    assert run_cli(*arguments).refused("want at least 9 of 2").code == 2
    yields = pd.read_csv(local / "yield_wheat_NL.csv").dropna()
    later = yields.assign(harvest_year=yields["harvest_year"] + 13)
    pd.concat([yields, later]).to_csv(local / "yield_wheat_NL.csv", index=False)
    entry = json.loads(run_cli(*arguments, "--json").taken().out)
    assert entry["cases"] == len(later)
    record = json.loads((mine / "record.json").read_text())
    assert record["calibrations"][0]["adapter_sha256"] == record["adapter_sha256"] == entry["adapter_sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "pull", "us-mais"), "did you mean 'us-maize'"),
        (("evaluate", "crop-yeild", "--data", "us-maize"), "did you mean 'crop-yield'"),
        (("predict", "crop-yield", "x", "--out", "o.csv"), "no run of crop-yield, task regional"),
        (("calibrate", "nowhere", "--data", "x"), "is no run folder"),
        (("predict", "crop-yield", "x", "--run", "nowhere", "--crop", "rye", "--out", "o.csv"), "is no run folder"),
        (("finetune", "--data", "x", "--crop", "rye", "--out", "o", "crop-yeild"), "did you mean 'crop-yield'"),
        (("finetune", "--data", "nowhere", "--crop", "rye", "--country", "NL", "--out", "o", "crop-yield"), "nowhere"),
        (("finetune", "crop-yield", "--crop", "--data", "x", "--out", "o"), "got --crop without a value"),
        (("finetune", "crop-yield", "--task", "nope", "--crop", "rye", "--data", "x", "--out", "o"), "got task 'nope'"),
        (("runs", "show", "nowhere"), "is no run folder"),
        (("finetune", "crop-yield", "--data", "us-counties", "--out", "o"), "holds no yields"),
        (("finetune", "crop-yield", "--data", "simulated-maize", "--trunk", "xl", "--out", "o"), "models list"),
        (("new-adapter", "Bad Name", "--data", "t.csv"), "want small letters"),
    ],
)
def test_a_mistake_gives_one_line_and_a_status(arguments, message, tmp_path):
    done = run_cli(*arguments, cwd=tmp_path).refused()
    assert done.code == 2
    assert message in done.err
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_is_never_overwritten(farm_run, folder):
    before = (farm_run / "adapter.safetensors").read_bytes()
    asked = ("finetune", "crop-yield", "--data", folder, *WHEAT, "--out", farm_run)
    assert run_cli(*asked).refused("exists already").code == 2
    assert (farm_run / "adapter.safetensors").read_bytes() == before


@pytest.mark.long
def test_a_full_disk_leaves_no_half_written_run(folder, tmp_path):
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    arguments = ("finetune", "crop-yield", "--data", str(folder), *WHEAT, *BRIEFLY, "--json")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, "--out", str(tmp_path / "run")],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_scored_on_groups_it_was_trained_on(farm_run, folder):
    asked = ("evaluate", "crop-yield", "--data", folder, *WHEAT, "--run", farm_run)
    assert run_cli(*asked).refused("trained on every group").code == 2


@pytest.mark.long
def test_evaluate_scores_a_users_folder_beside_its_baselines(folder):
    from mainstem.adapters.crop_yield import TASK

    spec = EvaluationSpec(fit=FitSpec(config=QUICK), workers=1)  # new processes import for longer than these parts take
    result = evaluate(TASK, DataRequest(data=str(folder), options={"crop": "wheat", "country": "NL"}), spec)
    assert result["n"] == 96
    assert result["protocol"] == "leave-one-year-out"
    rivals = {f"{name}_on_departures" for name in ("ridge", "boosting", "extra_trees")} | {"mean_of_rivals"}
    plain = {"average", "trend", "ridge", "random_forest", "gradient_boosting"}
    assert set(result["baselines"]) == plain | rivals
    assert result["best_baseline"] in plain | rivals
    assert 0 < result["metrics"]["nrmse_percent"] < 30
    assert set(result["by_lead"]) == {f"lead{lead}" for lead in range(5)}
    claims = {year: found["claim"] for year, found in result["coverage"]["by_group"].items()}
    assert claims["2019"] == "none"  # later than all the others, none of which was predicted from earlier ones
    assert "stated" in claims.values()  # 2008 has no past yields, which too few years show
    assert set(claims.values()) <= {"stated", "withdrawn", "none"}
    for difference in result["difference"].values():
        assert difference["low"] <= difference["value"] <= difference["high"]


def test_splits_keep_years_whole():
    from mainstem.data.earth.simulate import simulate_regions

    regions = simulate_regions(0)
    ((train, test),) = split_samples(regions.samples, "holdout", regions.test_groups)
    assert {sample.source.group for sample in test} == set(regions.test_groups)
    assert not {sample.source.group for sample in train} & set(regions.test_groups)
    with pytest.raises(InputError, match="want one of"):
        split_samples(regions.samples, "random")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.mirror
def test_faults_are_given_with_and_without():
    from mainstem.adapters.crop_yield import TASK

    spec = EvaluationSpec(fit=FitSpec(config=QUICK), with_flagged=True)
    result = evaluate(TASK, DataRequest(data="nl-maize"), spec)
    assert result["baselines"]["average"]["nrmse_percent"] == pytest.approx(13.80, abs=0.005)
    assert result["with_flagged_rows"]["baselines"]["average"]["nrmse_percent"] == pytest.approx(18.72, abs=0.005)
    assert result["flagged_rows"] == 3
