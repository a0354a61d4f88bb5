"""The researcher's page: runs and their curves, what tells them apart, data sets, an adapter for a table."""

import json
import os
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
    COLOURS,
    KEY_ROW_PX,
    adapter_files,
    by_news,
    curve_chart,
    curve_table,
    data_table,
    described,
    difference_table,
    figures_in,
    first_compared,
    name_of,
    next_commands,
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
    assert (table.loc["growing", "state"], table.loc["growing", "result"]) == ("training 1, step 3", "")
    assert table.loc["one", "data"] == "pneumoniamnist"
    (runs / "growing.job").mkdir()
    spec = {"command": "finetune", "adapter": "diagnostics", "task": "findings", "data": ["nih-cxr64", "mine"]}
    write_json(runs / "growing.job" / "launch.json", {"job_id": "7", "spec": spec})
    told = run_table(find_runs(runs)[0], runs).set_index("run").loc["growing"]
    assert (told["task"], told["data"]) == ("diagnostics findings", "nih-cxr64, mine")
    write_json(runs / "growing.state" / "asked.json", {"adapter": "crop-yield", "task": "pixel", "data": "farms"})
    told = run_table(find_runs(runs)[0], runs).set_index("run").loc["growing"]
    assert (told["task"], told["data"]) == ("crop-yield pixel", "farms")  # of the training itself, launched or not
    with pytest.raises(InputError, match="no folder"):
        find_runs(runs / "nowhere")
    assert [run_at(run.path) for run in found] == found  # one by one, without looking through the folder again
    assert run_at(runs / "nowhere") is None


def test_curves_hold_whole_lines_alone_and_are_thinned(runs):
    found, _ = find_runs(runs)
    curves = curve_table(found, runs)
    assert curves[curves.run == "growing"].value.tolist() == [3.0, 2.0, 1.0]
    (runs / "growing.state" / METRICS_FILE).write_text(lines(np.linspace(9, 1, 20_001).tolist()))
    growing = curve_table(found, runs).query("run == 'growing'")
    assert 400 < len(growing) < 1100
    assert growing.value.is_monotonic_decreasing
    assert growing.value.iloc[-1] == 1.0


LAST = {"loss": 0.5, "latents": 0.25, "reconstruction": 0.4, "contrast": 0.6, "spread": 0.35}


def add_pretraining(folder: Path) -> None:
    """A pretraining of three steps."""
    (folder / "pre").mkdir()
    excluded = {"later": {"adapter": "fuel-moisture", "data": "fuel-moisture"}}
    own = {"adapter": "pretrain", "task": "trunk", "held_out": {}, "last": LAST, "excluded": excluded}
    write_json(folder / "pre" / RECORD_FILE, {**RECORD, **own})
    rows = [{"training": 0, "step": step, "steps": 3, "samples": 8, "seconds": 1.0, **LAST} for step in (1, 2, 3)]
    rows.append({"training": 0, "rmse": 1.0})  # a line of figures that belong to no step
    (folder / "pre" / METRICS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_pretraining_is_judged_by_what_is_to_be_watched_of_it(runs):
    add_pretraining(runs)
    found, _ = find_runs(runs)
    table = run_table(found, runs).set_index("run")
    assert table.loc["pre", "result"] == "spread 0.35, latents 0.25, reconstruction 0.4, contrast 0.6"
    assert figures_in(found) == ["loss", "spread", "contrast", "latents", "reconstruction"]
    assert figures_in([run for run in found if run.path.name == "one"]) == ["loss"]
    curves = curve_table(found, runs, ["spread", "loss"])
    assert set(curves[curves.figure == "spread"].run) == {"pre"}
    assert set(curves[curves.figure == "loss"].run) == {"pre", "one", "deep/two", "growing"}
    assert curves[curves.run == "pre"].groupby("figure").value.unique().map(list).to_dict() == {
        "loss": [0.5], "spread": [0.35],
    }  # fmt: skip
    # losses of other tasks are other quantities: each has an axis of its own
    assert curves[curves.figure == "loss"].groupby("task").run.unique().map(sorted).to_dict() == {
        "": ["growing"], "pretrain trunk": ["pre"], f"{RECORD['adapter']} {RECORD['task']}": ["deep/two", "one"],
    }  # fmt: skip


def test_what_is_in_training_is_compared_first_then_the_newest_with_curves(runs):
    for age, path in enumerate(["asked.job/launch.json", "deep/two/metrics.jsonl", "one/metrics.jsonl"]):
        os.utime(runs / path, (1e9 - age, 1e9 - age))
    found = by_news(find_runs(runs)[0])
    assert [name_of(run, runs) for run in found] == ["growing", "asked", "deep/two", "one"]
    assert first_compared(found, runs) == ["growing", "deep/two"]  # what was launched has no curve yet
    (runs / "deep" / "two" / METRICS_FILE).write_text("")
    assert first_compared(found, runs) == ["growing", "one"]


def curves_of(*runs: str, trainings: int = 1, steps: int = 4) -> pd.DataFrame:
    rows = [
        {"run": run, "training": training, "step": step, "value": 1.0 / step, "figure": "loss", "task": "soil"}
        for run in runs for training in range(1, trainings + 1) for step in range(1, steps + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(chart) -> tuple[dict, dict]:
    """Encodings of lines and of marks."""
    lines, marks = chart.to_dict()["layer"]
    return lines["encoding"], marks["encoding"]


def test_trainings_are_told_apart_by_colour_and_of_several_runs_by_shape():
    line, mark = drawn(curve_chart(curves_of("a", trainings=3), ["a"]))
    assert line["color"]["field"] == mark["shape"]["field"] == "training"
    assert len(set(line["color"]["scale"]["range"])) == 3
    line, mark = drawn(curve_chart(curves_of("a", trainings=8), ["a"]))
    looks = zip(line["color"]["scale"]["range"], mark["shape"]["scale"]["range"], strict=True)
    assert len(set(looks)) == 8
    line, mark = drawn(curve_chart(curves_of("b", "a", trainings=2), ["a", "b"]))
    assert (line["color"]["field"], mark["shape"]["field"]) == ("run", "training")
    assert line["color"]["scale"] == {"domain": ["a", "b"], "range": list(COLOURS[:2])}
    line, mark = drawn(curve_chart(curves_of("b"), ["a", "b"]))
    assert line["color"]["scale"] == {"domain": ["b"], "range": [COLOURS[1]]}  # as beside a
    assert "shape" not in mark


def test_a_long_key_takes_nothing_from_the_plot():
    names = ["a", "b", "c", "d", "e", "f"]
    few, many = (curve_chart(curves_of(*names[:count]), names).to_dict()["height"] for count in (2, 6))
    assert many - few == 2 * KEY_ROW_PX


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_curve_stands_out_from_white():
    assert len(set(COLOURS)) == 6
    assert all(1.05 / (luminance(colour) + 0.05) >= 3.0 for colour in COLOURS)
    lines, marks = curve_chart(curves_of("a"), ["a"]).to_dict()["layer"]
    assert lines["mark"].get("opacity", 1) == marks["mark"].get("opacity", 1) == 1


def test_steps_are_whole_and_begin_where_the_training_did():
    axis = drawn(curve_chart(curves_of("a"), ["a"]))[0]["x"]
    assert axis["scale"] == {"domain": [1, 4], "nice": False}
    assert (axis["axis"]["tickMinStep"], axis["axis"]["format"]) == (1, "d")
    assert "domain" not in drawn(curve_chart(curves_of("a", steps=1), ["a"]))[0]["x"]["scale"]


def test_what_can_be_done_with_a_run_is_ready_for_a_shell(runs):
    add_pretraining(runs)
    (runs / "one").rename(runs / "my one")
    told = {run.path.name: next_commands(run) for run in find_runs(runs)[0]}
    assert told["my one"] == [
        f"mainstem runs repeat '{runs}/my one' --out '{runs}/my one-again'",
        f"mainstem runs bundle '{runs}/my one' --out '{runs}/my one'.zip",
    ]
    assert told["pre"][2] == (
        f"mainstem finetune fuel-moisture --data fuel-moisture --trunk {runs}/pre --out {runs}/pre-adapted"
    )
    assert told["asked"] == [f"mainstem runs {verb} {runs}/asked" for verb in ("status", "logs", "cancel")]
    assert told["growing"] == []


def test_when_a_run_was_made_by_which_seed_and_for_how_long_is_told(runs):
    write_json(runs / "one" / RECORD_FILE, {**RECORD, "seed": 5, "seconds": 3661.2})
    os.utime(runs / "one" / METRICS_FILE, (1e9, 1e9))
    row = run_table(find_runs(runs)[0], runs).set_index("run").loc["one"]
    assert (row["when (UTC)"], row["seed"], row["duration"]) == ("2001-09-09 01:46", "5", "01:01:01")


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
    found = page(folder=str(runs), compare=found.query_params["compare"], panel="compared")
    assert "seed" in set(found.dataframe[0].value["what"])
    assert any("# A card" in code.value for code in found.code)


def test_the_address_holds_the_comparison(runs, home):
    (runs / "a, b").mkdir()
    (runs / "a, b" / RECORD_FILE).write_bytes((runs / "one" / RECORD_FILE).read_bytes())
    found = page(folder=str(runs))
    assert "compare" not in found.query_params
    found.multiselect[0].set_value(["a, b", "one"]).run()
    told = found.query_params["compare"]
    assert page(folder=str(runs), compare=told).multiselect[0].value == ["a, b", "one"]
    found.multiselect[0].set_value([]).run()
    assert page(folder=str(runs), compare=found.query_params["compare"]).multiselect[0].value == []
    gone = page(folder=str(runs), compare="one,gone")
    assert gone.multiselect[0].value == ["one"]
    assert any("Not here: gone" in one.value for one in gone.caption)


def test_figures_are_chosen_among_those_of_the_runs(runs, home):
    add_pretraining(runs)
    found = page(folder=str(runs), compare="pre,asked")
    assert found.button_group[1].options == ["loss", "spread", "contrast", "latents", "reconstruction"]
    assert found.button_group[1].value == ["loss", "spread"]
    assert any("No curve of asked" in one.value for one in found.caption)
    found.button_group[1].set_value(["latents"]).run()
    assert found.query_params["figures"] == "latents"
    assert page(folder=str(runs), compare="one").button_group[1].value == ["loss"]


def test_the_run_that_was_clicked_comes_with_its_commands(runs, home):
    found = page(folder=str(runs), run="one", panel="run")
    assert any(f"mainstem runs repeat {runs / 'one'}" in code.value for code in found.code)
    assert any("no run gone" in one.value for one in page(folder=str(runs), run="gone").warning)


@pytest.mark.parametrize(("show", "panel"), [("Data sets", "data"), ("New adapter", "adapter"), ("nonsense", None)])
def test_older_links_open_the_panel_that_they_name(show, panel, home):
    found = page(show=show)
    assert not found.error
    assert found.query_params.get("panel") == panel
    assert any("There is no show nonsense" in one.value for one in found.warning) == (panel is None)


def test_a_folder_that_is_not_there_is_one_line(home, tmp_path):
    found = page(folder=str(tmp_path / "none"))
    assert "no folder" in found.error[0].value
