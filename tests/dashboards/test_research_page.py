"""The researcher's page: runs and their curves, what tells them apart, data sets, an adapter for a table."""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.adapters import shipped_runs
from mainstem.apps.runs import find_runs, run_at
from mainstem.core.errors import InputError
from mainstem.core.records import METRICS_FILE, RECORD_FILE, read_record, write_json
from mainstem.dashboards.research.board import (
    adapter_files,
    curve_chart,
    curve_table,
    data_table,
    described,
    difference_table,
    run_table,
)

PAGE = Path(dashboards.__file__).parent / "research" / "page.py"
RECORD = read_record(shipped_runs("diagnostics")["pneumonia"])


def lines(losses) -> str:
    return "".join(
        json.dumps({"training": 0, "step": step, "loss": loss}) + "\n" for step, loss in enumerate(losses, 1)
    )


@pytest.fixture
def runs(tmp_path) -> Path:
    """Two runs that differ in their seed, one in training, one launched, one damaged, one hidden."""
    for name, seed in (("one", 0), ("deep/two", 1), (".hidden/three", 2)):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        write_json(folder / RECORD_FILE, {**RECORD, "seed": seed})
        (folder / METRICS_FILE).write_text(lines([1.0, 0.5 + seed]))
        (folder / "card.md").write_text("# A card\n\n| figure | **value** |\n")
    (tmp_path / "growing.state").mkdir()
    (tmp_path / "growing.state" / METRICS_FILE).write_text(lines([3.0, 2.0, 1.0]) + '{"training": 0, "st')
    (tmp_path / "asked.job").mkdir()
    write_json(tmp_path / "asked.job" / "launch.json", {"job_id": "7"})
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / RECORD_FILE).write_text("{")
    return tmp_path


def test_runs_are_found_done_in_training_and_launched(runs):
    found, damaged = find_runs(runs)
    assert [(run.path.relative_to(runs).as_posix(), run.state) for run in found] == [
        ("asked", "launched"), ("deep/two", "done"), ("growing", "training"), ("one", "done"),
    ]  # fmt: skip
    assert len(damaged) == 1
    assert "damaged" in damaged[0]
    table = run_table(found, runs).set_index("run")
    assert (table.loc["growing", "state"], table.loc["growing", "held out"]) == ("training 1, step 3", "")
    assert table.loc["one", "data"] == "pneumoniamnist"
    (runs / "growing.job").mkdir()
    spec = {"command": "finetune", "adapter": "diagnostics", "task": "findings", "data": ["nih-cxr64", "mine"]}
    write_json(runs / "growing.job" / "launch.json", {"job_id": "7", "spec": spec})
    told = run_table(find_runs(runs)[0], runs).set_index("run").loc["growing"]
    assert (told["adapter"], told["data"]) == ("diagnostics findings", "nih-cxr64, mine")
    write_json(runs / "growing.state" / "asked.json", {"adapter": "crop-yield", "task": "pixel", "data": "farms"})
    told = run_table(find_runs(runs)[0], runs).set_index("run").loc["growing"]
    assert (told["adapter"], told["data"]) == ("crop-yield pixel", "farms")  # of the training itself, launched or not
    with pytest.raises(InputError, match="no folder"):
        find_runs(runs / "nowhere")
    assert [run_at(run.path) for run in found] == found  # one by one, without looking through the folder again
    assert run_at(runs / "nowhere") is None


def test_curves_hold_whole_lines_alone_and_are_thinned(runs):
    found, _ = find_runs(runs)
    curves = curve_table(found, runs)
    assert curves[curves.run == "growing"].loss.tolist() == [3.0, 2.0, 1.0]
    (runs / "growing.state" / METRICS_FILE).write_text(lines(np.linspace(9, 1, 20_000).tolist()))
    growing = curve_table(found, runs).query("run == 'growing'")
    assert 400 < len(growing) < 1100
    assert growing.loss.is_monotonic_decreasing


def test_trainings_of_one_run_are_told_apart_where_there_are_several():
    told = {"run": ["a", "a"], "training": [0, 1], "step": [1, 1], "loss": [1.0, 2.0], "curve": ["0", "1"]}
    curves = pd.DataFrame(told)
    assert curve_chart(curves).to_dict()["encoding"]["strokeDash"]["title"] == "training"
    assert "strokeDash" not in curve_chart(curves[:1]).to_dict()["encoding"]


def test_what_tells_runs_apart_is_shown_a_column_a_run(runs):
    found, _ = find_runs(runs)
    table = difference_table(found, runs).set_index("what")
    assert table.loc["seed"].to_dict() == {"deep/two": "1", "one": "0"}
    assert "data" not in table.index


def test_every_data_set_has_a_licence():
    assert (data_table().licence.str.len() > 2).all()


def write_table(path: Path) -> Path:
    rows = [f"s{row},{row % 5}.5,g{row % 6},CC0-1.0,{row}.25" for row in range(60)]
    path.write_text("sample,target,group,licence,rain [mm]\n" + "\n".join(rows) + "\n")
    return path


def test_a_table_becomes_an_adapter_and_its_test(tmp_path):
    table = write_table(tmp_path / "mine.csv")
    assert described(table) | {"channels": ""} == {
        "target": "quantity", "samples": "60", "groups": "6", "channels": "",
    }  # fmt: skip
    packed = zipfile.ZipFile(BytesIO(adapter_files("rain-gauge", table)))
    assert sorted(packed.namelist()) == ["adapters/rain_gauge.py", "mine.csv", "tests/adapters/test_rain_gauge.py"]
    for name in packed.namelist():
        if name.endswith(".py"):
            compile(packed.read(name), name, "exec")
    with pytest.raises(InputError, match="taken"):
        adapter_files("crop-yield", table)


def page(**address: str) -> AppTest:
    found = AppTest.from_file(str(PAGE), default_timeout=120)
    for name, value in address.items():
        found.query_params[name] = value
    found.run()
    assert not found.exception
    return found


def test_the_page_lists_and_compares_the_runs_of_a_folder(runs, home):
    found = page(folder=str(runs))
    assert len(found.dataframe[0].value) == 4
    assert found.warning
    found.multiselect[0].set_value(["one", "deep/two"]).run()
    assert not found.exception
    assert "seed" in set(found.dataframe[1].value["what"])
    assert any("# A card" in code.value for code in found.code)


@pytest.mark.parametrize("show", ["Data sets", "New adapter", "nonsense"])
def test_the_other_parts_open(show, home):
    assert not page(show=show).error


def test_a_folder_that_is_not_there_is_one_line(home, tmp_path):
    found = page(folder=str(tmp_path / "none"))
    assert "no folder" in found.error[0].value
