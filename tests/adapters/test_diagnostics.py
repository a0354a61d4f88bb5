"""Radiographs diagnosed: what is refused, what is left undecided, figures by subgroup, maps, and the shipped runs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from tests.adapters.made_radiographs import grounds, write_adults, write_children

from mainstem.adapters import shipped_runs
from mainstem.adapters.diagnostics import TASKS, findings, pneumonia
from mainstem.adapters.diagnostics.machines import machines
from mainstem.adapters.diagnostics.plain import Regressions, WithPlain
from mainstem.adapters.diagnostics.radiographs import Radiographs, moved_images, standardised
from mainstem.apps.evaluate import evaluate
from mainstem.apps.finetune import is_fitted
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.heatmaps import heatmap
from mainstem.core.predict import predict
from mainstem.core.stream import Sample, Stream
from mainstem.core.task import DataRequest
from mainstem.core.training import TrainingConfig
from mainstem.data.images import GREY
from mainstem.data.medical.chest import FINDINGS, open_chest
from mainstem.data.medical.pneumonia import open_pneumonia

PROGRAM = [sys.executable, "-c", "from mainstem.apps.cli import main; main()"]
RUNS = shipped_runs("diagnostics")


def quick(task, epochs: int = 2) -> FitSpec:
    return FitSpec(config=replace(task.config, training=TrainingConfig(epochs=epochs, batch_size=32)))


def with_image(sample: Sample, pixels: np.ndarray) -> Sample:
    stream = Stream(kind="image", values=pixels.astype(np.float32)[None], channels=GREY)
    return replace(sample, streams={"image": stream})


@pytest.fixture(scope="module")
def children(tmp_path_factory) -> Path:
    return write_children(tmp_path_factory.mktemp("children"), 240)


def test_what_is_turned_inverted_blank_or_noise_is_stranger_than_what_was_held_out(children):
    source = open_pneumonia(str(children))
    known = Radiographs.fit([one for one in source.samples if one.source.part == "train"])
    held = [one for one in source.samples if one.source.part == "test"]
    again = Radiographs.restore(*known.state())
    ordinary = known.strangeness(held)
    np.testing.assert_allclose(again.strangeness(held), ordinary, rtol=1e-2)
    assert (ordinary <= 1).mean() > 0.75  # of noise, in which components of few images are never quite those of others
    rng = np.random.default_rng(0)
    for change in (lambda x: 1 - x, lambda x: np.rot90(x, 1), lambda x: np.rot90(x, 2), lambda x: 0 * x + 0.4,
                   lambda x: rng.random(x.shape)):  # fmt: skip
        odd = known.strangeness([with_image(one, change(one.streams["image"].values[0])) for one in held[:50]])
        assert odd.min() > 1


def test_exposure_changes_nothing_that_the_trunk_or_the_machine_sees(children):
    source = open_pneumonia(str(children))
    train = source.training()
    prepared = pneumonia.prepare(train, "any")
    darker = [with_image(one, 0.5 * one.streams["image"].values[0] + 0.1) for one in train[:5]]
    for mine, its in zip(prepared(darker)[0], prepared(train[:5])[0], strict=True):
        np.testing.assert_allclose(mine.streams["image"].values, its.streams["image"].values, atol=1e-3)
    np.testing.assert_allclose(
        prepared.fallback(darker, np.zeros(5)), prepared.fallback(train[:5], np.zeros(5)), atol=1e-3
    )
    told = prepared.fallback(train, np.zeros(len(train)))
    assert ((told > 0) == [one.target == 1 for one in train]).mean() > 0.95
    restored = pneumonia.TASK.restore(*prepared.state())
    np.testing.assert_allclose(restored.fallback(train, np.zeros(len(train))), told, rtol=1e-4, atol=1e-4)


def test_each_finding_has_a_line_and_one_that_nobody_or_everybody_shows_has_none(tmp_path):
    known, fresh = (open_chest(str(write_adults(tmp_path / name, num))).samples for name, num in (("a", 80), ("b", 50)))
    there = np.arange(80) % 2 == 1  # as `write_adults` makes them
    truth = np.stack([there, np.where(np.arange(80) % 5 == 0, np.nan, ~there), np.ones(80), np.full(80, np.nan)], 1)
    lines = Regressions.fit(known, truth)
    odds, later = lines.log_odds(known), np.arange(50) % 2 == 1
    assert ((odds[:, 0] > 0) == there).mean() > 0.95
    assert ((lines.log_odds(fresh)[:, :2] > 0) == np.stack([later, ~later], 1)).mean() > 0.9
    assert (odds[:, 2:] == 0).all()
    prepared = WithPlain(images=Radiographs.fit(known), plain=lines)
    again = findings.TASK.restore(*prepared.state())
    past = np.arange(80.0)
    np.testing.assert_allclose(again.fallback(known, past), odds + past[:, None], rtol=1e-4, atol=1e-3)
    assert prepared.features(known).shape == (80, 24 + 2 * 4)
    plain, arrays = prepared.state()
    before = {key.replace("plain", "rival"): values for key, values in arrays.items()}
    older = findings.TASK.restore({"images": plain["images"], "rival": plain["plain"]}, before)
    np.testing.assert_array_equal(older.fallback(known, past), again.fallback(known, past))


def test_machines_tell_fresh_patients_and_know_no_finding_that_nobody_read_or_everybody_shows(tmp_path):
    known, fresh = (open_chest(str(write_adults(tmp_path / name, num))).samples for name, num in (("a", 80), ("b", 50)))
    there, later = np.arange(80) % 2 == 1, np.arange(50) % 2 == 1
    truth = np.stack([there, np.where(np.arange(80) % 5 == 0, np.nan, ~there), np.ones(80), np.full(80, np.nan)], 1)
    likely = machines(known, truth, fresh, 0)
    assert ((likely[:, :2] > 0.5) == np.stack([later, ~later], 1)).mean() > 0.9
    assert (np.ptp(likely[:, 2:], axis=0) == 0).all()
    assert likely[0, 2] > 0.9


def test_images_are_moved_a_little_as_the_seed_draws():
    image = torch.from_numpy(standardised(pixels_of_made(4))).float().view(4, 1, 28, 28)
    first, again = (moved_images(image, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, moved_images(image, torch.Generator().manual_seed(4)))
    assert np.corrcoef(first.flatten(), image.flatten())[0, 1] > 0.9


def pixels_of_made(num: int) -> np.ndarray:
    return grounds(num, 28, np.arange(num) % 2 == 1).reshape(num, -1) / 255


@pytest.mark.long
def test_an_evaluation_says_what_a_clinic_asks(children):
    request = DataRequest(data=str(children))
    told = evaluate(pneumonia.TASK, request, EvaluationSpec(fit=quick(pneumonia.TASK)))
    assert set(told["metrics"]) >= {"auc", "accuracy", "sensitivity_at_95_specificity", "ece"}
    assert told["metrics"]["auc"] > 0.95
    assert set(told["baselines"]) == {"svm_on_components"}
    assert set(told["parts"]) == {"trunk", "plain_model"}
    again = told["coverage"]["recalibrated"]
    assert 0.88 <= again["mean"] <= 0.95
    assert set(again["by_class"]) == {"normal", "pneumonia"}
    assert again["mean_set_size"] <= 1.15
    assert told["coverage"]["alarm"]["false_alarms"] <= 0.05
    assert told["coverage"]["decided"] > 0.8


@pytest.mark.long
def test_findings_are_told_by_subgroup_with_counts_and_a_leaking_split_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "EPOCHS", 1)
    folder = write_adults(tmp_path / "adults", 120, 30)
    request = DataRequest(data=str(folder))
    task = replace(findings.TASK, config=replace(findings.TASK.config, num_folds=3))
    told = evaluate(task, request, EvaluationSpec(fit=quick(task, 1)))
    assert told["protocol"] == "grouped-folds"
    assert set(told["baselines"]) == {"svm_on_components", "regressions", "densenet"}
    assert set(told["subgroups"]) == {"sex", "age_band", "view"}
    women = told["subgroups"]["sex"]["female"]
    assert women["n"] == 60
    cells = [cell for values in told["subgroups"].values() for one in values.values() for cell in one.values()]
    few = [cell for cell in cells if isinstance(cell, dict) and min(cell["cases"], cell["n"] - cell["cases"]) < 20]
    assert few
    assert all("auc" not in cell and cell["note"].startswith("fewer than 20 cases") for cell in few)
    table = pd.read_csv(folder / "meta.csv")
    table.assign(split=["train", "train", "test", "test"] * 30).to_csv(folder / "meta.csv", index=False)
    with pytest.raises(InputError, match=r"leaks: \d+ patients are in test and train.*grouped-folds"):
        evaluate(task, request, EvaluationSpec(fit=quick(task, 1), protocol="official"))


def shipped(task: str) -> Fitted:
    return load_run(RUNS[task], TASKS[task])


@pytest.mark.parametrize("task", ["pneumonia", "findings"])
def test_the_runs_of_the_package_are_of_this_version_small_and_name_nobody(task):
    """One that a newer version cannot read has to be trained again: `mainstem finetune diagnostics --task TASK`."""
    assert is_fitted(TASKS[task], RUNS[task])
    manifest = shipped(task).manifest
    assert manifest.is_private
    assert sum(file.stat().st_size for file in RUNS[task].iterdir()) < 6 << 20
    assert str(Path.home()) not in (RUNS[task] / "record.json").read_text()
    assert all(group.startswith("#") for group in manifest.training["groups"])
    assert "research use only" in manifest.known_failures[0]
    assert set(manifest.scope) == {"modality", "view", "age_band"}


def test_a_map_follows_the_weights_and_hides_one_patch_at_a_time():
    fitted = shipped("pneumonia")
    made = grounds(1, 28, np.array([True]))[0] / 255
    sample = with_image(open_pneumonia_image(), made)
    seen = heatmap(fitted, sample, "image")
    assert seen.shape == (28, 28)
    assert len(np.unique(seen.round(9))) > 20  # one value a patch
    assert (seen.reshape(7, 4, 7, 4).std((1, 3)) < 1e-9).all()
    likeness = []
    for seed in range(3):
        torch.manual_seed(seed)
        for member in fitted.ensemble.members:
            for weight in member.trunk.parameters():
                torch.nn.init.normal_(weight, std=0.05)
        likeness.append(abs(spearmanr(seen.ravel(), heatmap(fitted, sample, "image").ravel()).statistic))
    assert np.mean(likeness) < 0.5


def open_pneumonia_image() -> Sample:
    from mainstem.core.stream import Provenance

    return Sample(streams={}, target=None, source=Provenance(data="made", item="made"))


@pytest.mark.long
def test_a_prediction_needs_no_run_and_what_is_out_of_scope_or_untold_is_refused(tmp_path):
    for name, seed in (("told", 0), ("adult", 1), ("untold", 2)):
        Image.fromarray(grounds(1, 28, np.array([True]), seed)[0]).save(tmp_path / f"{name}.png")
    (tmp_path / "m.csv").write_text("image,age,sex,view,modality\ntold.png,3,F,AP,DX\nadult.png,50,F,AP,DX\n")
    images = [str(tmp_path / f"{name}.png") for name in ("told", "adult", "untold")]
    asked = ["predict", "diagnostics", *images, "--meta", str(tmp_path / "m.csv"), "--out", str(tmp_path / "p.csv")]
    done = subprocess.run([*PROGRAM, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "p.csv", comment="#").set_index("item")
    assert set(table["adapter"]) == {"diagnostics pneumonia 1"}
    assert "unlike all" in table.reasons["told"] or not table.abstained["told"]
    assert "age_band is 40 to 64 years, the adapter was trained on 1 to 5 years alone" in table.reasons["adult"]
    assert "is not told" in table.reasons["untold"]
    assert table.value[["adult", "untold"]].isna().all()


@pytest.mark.long
def test_one_damaged_file_loses_no_other(tmp_path):
    from mainstem.apps.clinic_demo import write_radiograph

    write_radiograph(tmp_path / "a.dcm", grounds(1, 64, np.array([True]), 0)[0])
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:900])
    Image.fromarray(grounds(1, 64, np.array([True]), 1)[0]).save(tmp_path / "b.png")
    (tmp_path / "m.csv").write_text("image,age,sex,view,modality\na.dcm,50,F,AP,DX\nb.png,50,F,AP,DX\n")
    images = [str(tmp_path / name) for name in ("a.dcm", "cut.dcm", "b.png")]
    asked = ["predict", "diagnostics", "--task", "findings", *images, "--meta", str(tmp_path / "m.csv")]
    done = subprocess.run([*PROGRAM, *asked, "--out", "p.csv"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "refused: cut.dcm: " in done.stderr
    table = pd.read_csv(tmp_path / "p.csv", comment="#").set_index("item")
    assert list(table.index) == ["a", "b", "cut"]
    assert table.reasons["cut"].startswith("could not be read: ")
    alone = subprocess.run(
        [*PROGRAM, *asked[:4], images[1], "--out", "q.csv"], capture_output=True, text=True, cwd=tmp_path
    )
    assert alone.returncode == 2
    assert not (tmp_path / "q.csv").exists()


@pytest.mark.long
@pytest.mark.mirror
def test_real_radiographs_are_told_from_what_is_none_and_adults_are_refused(home):
    fitted = shipped("pneumonia")
    held = [one for one in open_pneumonia("pneumoniamnist").samples if one.source.part == "test"]
    ordinary, rng = fitted.ensemble.strangeness(held), np.random.default_rng(0)
    kinds = {
        "inverted": lambda x: 1 - x, "turned 90": lambda x: np.rot90(x, 1), "turned 180": lambda x: np.rot90(x, 2),
        "turned 270": lambda x: np.rot90(x, 3), "blank": lambda x: 0 * x + rng.random(),
        "noise": lambda x: rng.random(x.shape),
    }  # fmt: skip
    areas = {}
    for name, change in kinds.items():
        odd = fitted.ensemble.strangeness([with_image(one, change(one.streams["image"].values[0])) for one in held])
        areas[name] = float((odd[:, None] > ordinary[None]).mean())
    assert min(areas.values()) >= 0.98, areas
    adults = predict(fitted, open_chest("nih-cxr64").samples[:20], lambda sample: "whole")
    assert all(one.abstained and "the adapter was trained on" in one.reasons[0] for one in adults)
    record = json.loads((RUNS["findings"] / "record.json").read_text())
    assert {f"threshold {name}" for name in FINDINGS} <= set(record["held_out"])
