"""The contract that every task keeps, whatever it predicts: those of all adapters, and of tables of one's own."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.adapters.made_radiographs import write_adults, write_children
from tests.adapters.media.made_relevance import write_judged
from tests.adapters.media.made_words import write_pairs, write_words
from tests.adapters.sensor_fusion.test_attitude import made
from tests.adapters.test_cells import smears
from tests.adapters.test_fuel_moisture import ragged
from tests.adapters.test_land_cover import write_eopatch
from tests.adapters.test_sensor_fusion_contacts import traces
from tests.adapters.test_sensor_fusion_walls import write_drive
from tests.data.medical.made_volumes import save_crops

from mainstem.adapters import find_adapters, find_task, load_adapter_module, own_adapters, shipped_runs
from mainstem.adapters.crop_yield.leads import derive_all
from mainstem.apps.new_adapter import write_adapter
from mainstem.core.openmodels import load_open_model
from mainstem.core.samples import SampleSet
from mainstem.core.task import DataRequest
from mainstem.core.testing import check_task
from mainstem.data.earth.farm_sets import simulated_farms
from mainstem.data.earth.land_cover import open_land_cover
from mainstem.data.earth.pixels import open_pixels
from mainstem.data.earth.simulate import simulate_regions
from mainstem.data.media.digit_pairs import open_digit_pairs
from mainstem.data.media.spoken_digits import open_spoken_digits
from mainstem.data.medical.chest import open_chest
from mainstem.data.medical.hippocampus import open_hippocampus
from mainstem.data.medical.pneumonia import open_pneumonia

NUM = 60


def regions(folder: Path) -> SampleSet:
    source, wanted = simulate_regions(3), {f"SIM{number:02d}" for number in range(6)}
    samples = [s for s in source.training() if s.source.facts["region"] in wanted and int(s.source.group) >= 2012]
    return replace(source, samples=tuple(samples))


def farms(folder: Path) -> SampleSet:
    source = simulated_farms(range(700, 703), ())
    return replace(source, samples=tuple(derive_all(source.samples[::4])))


def patches(folder: Path) -> SampleSet:
    source = open_land_cover(str(write_eopatch(folder / "patch")))
    return replace(source, samples=tuple(source.training()[:: len(source.samples) // NUM]))


def moisture(folder: Path) -> SampleSet:
    if "MAINSTEM_MIRROR" not in os.environ:
        pytest.skip("MAINSTEM_MIRROR is not set")
    samples = ragged(list(open_pixels("fuel-moisture").training())[:NUM])
    return SampleSet(name="test", samples=tuple(samples), flagged={}, attribution="")


def drive(folder: Path) -> SampleSet:
    source = write_drive(folder / "drive.csv", 600)
    return replace(source, samples=tuple(source.training()[::9]))


def mixed_traces(folder: Path) -> SampleSet:
    source = traces(30, 10)
    return replace(source, samples=tuple(source.samples[row] for row in np.random.default_rng(0).permutation(40)))


def trials(folder: Path) -> SampleSet:
    """Moments of six sensors that turn, each with its true attitude."""
    folder = folder / "trials"
    folder.mkdir()
    for seed in range(6):
        samples, steps, truth = made(seconds=25, seed=seed)
        gyr, acc, mag = np.split(samples, 3, axis=1)
        np.savez(folder / f"{seed}_rotation.npz", gyr=gyr, acc=acc, mag=mag, quat=truth, rate=1 / steps[0])
    return find_task("sensor-fusion", "motion").read(DataRequest(data=str(folder)))


def judged(task: str, folder: Path) -> SampleSet:
    return find_task("media", task).read(DataRequest(data=str(write_judged(folder / "archive"))))


OF_ADAPTERS: dict[tuple[str, str], Callable[[Path], SampleSet]] = {
    ("crop-yield", "regional"): regions,
    ("crop-yield", "pixel"): farms,
    ("land-cover", "land-cover"): patches,
    ("fuel-moisture", "fuel-moisture"): moisture,
    ("diagnostics", "pneumonia"): lambda folder: open_pneumonia(str(write_children(folder / "children"))),
    ("diagnostics", "hippocampus"): lambda folder: open_hippocampus(str(save_crops(folder, 20, (28, 40, 24)))),
    ("diagnostics", "cells"): lambda folder: smears(folder / "smears"),
    ("sensor-fusion", "motion"): trials,
    ("sensor-fusion", "wall-following"): drive,
    ("sensor-fusion", "contact-failure"): mixed_traces,
    ("media", "spoken-digits"): lambda folder: open_spoken_digits(str(write_words(folder / "words"))),
    ("media", "digit-pairs"): lambda folder: open_digit_pairs(str(write_pairs(folder / "pairs"))),
    ("media", "relevance"): lambda folder: judged("relevance", folder),
    ("media", "likeness"): lambda folder: judged("likeness", folder),
    ("diagnostics", "findings"): lambda folder: open_chest(str(write_adults(folder / "adults"))),
}


def test_no_task_is_left_out():
    modules = {name: load_adapter_module(name) for name in find_adapters()}
    tasks = {name: getattr(module, "TASKS", {module.TASK.task: module.TASK}) for name, module in modules.items()}
    found = {(name, task) for name, own in tasks.items() for task in own}
    assert found == set(OF_ADAPTERS)


@pytest.mark.long
@pytest.mark.parametrize(("adapter", "task"), OF_ADAPTERS, ids=lambda name: name)
def test_every_adapter_s_tasks_keep_the_contract(adapter, task, tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    source, found = OF_ADAPTERS[adapter, task](tmp_path), find_task(adapter, task)
    base = None if found.open_model is None else load_open_model(found.open_model)
    check_task(found, source, tmp_path, base)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["numbers", "words", "findings", "photographs"])
def test_tables_of_one_s_own_keep_it(kind, tmp_path):
    rng = np.random.default_rng(0)
    rain, heat = rng.uniform(0, 1, (2, NUM))
    columns = {
        "numbers": {"target [t/ha]": rain - heat},
        "words": {"target": np.where(rain > 0.5, "wet", "dry")},
        "findings": {"target: wet": np.where(rain > 0.5, "yes", "no"), "target: hot": np.where(heat > 0.5, "1", "")},
        "photographs": {
            "target": np.where(rain > 0.5, "bright", "dark"),
            "photo": [f"{row}.png" for row in range(NUM)],
        },
    }[kind]
    frame = pd.DataFrame({"sample": range(NUM), "group": [f"g{row % 5}" for row in range(NUM)], "licence": "CC0-1.0"})
    frame = frame.assign(**columns) if kind == "photographs" else frame.assign(rain=rain, heat=heat, **columns)
    for row in range(NUM if kind == "photographs" else 0):
        sides = (6 + row % 3, 8)
        Image.fromarray(np.full((*sides, 3), 255 * rain[row], np.uint8)).save(tmp_path / f"{row}.png")
    frame.to_csv(tmp_path / "t.csv", index=False)
    adapter, _ = write_adapter("own", tmp_path / "t.csv", tmp_path)
    task = load_adapter_module(str(adapter)).TASK
    check_task(task, task.read(DataRequest(data=str(tmp_path / "t.csv"))), tmp_path)


@pytest.mark.parametrize("adapter", own_adapters())
def test_a_task_that_the_clinician_s_page_asks_is_one_that_a_run_ships_for(adapter):
    asked = set(getattr(load_adapter_module(adapter), "SAMPLE_OF", {}))
    assert asked <= set(shipped_runs(adapter))
    for task in asked:
        assert find_task(adapter, task).task == task
