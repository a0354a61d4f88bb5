"""An adapter from a table: the tutorial's own commands, and the test that is written with it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.hostile.harness import run_cli

from mainstem.adapters import find_adapters, load_adapter_module
from mainstem.apps.new_adapter import write_adapter
from mainstem.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "new-adapter.md"
FOUND_AND_TESTED = """
import sys, pytest
from mainstem.adapters import find_task
assert find_task("wet-soil").target.names == ("dry", "wet")
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/adapters/test_wet_soil.py"]))
"""


@pytest.mark.long
def test_the_tutorial_runs_as_written(tmp_path):
    blocks = re.findall(r"```(python|bash)\n(.*?)```", TUTORIAL.read_text(), re.S)
    assert len(blocks) >= 4
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": binaries}
    for language, block in blocks:
        command = [sys.executable, "-c", block] if language == "python" else ["bash", "-euc", block]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert (tmp_path / "tests" / "adapters" / "test_soil_moisture.py").is_file()
    told = pd.read_csv(tmp_path / "predictions.csv")
    assert set(told["adapter"]) == {"soil-moisture table 1"}
    new = told["item"].str.removeprefix("plot-").astype(int) % 11 >= 9  # the sites that were never measured
    assert set(told["claim"][~new]) == {"none"}
    assert (told["claim"][new] == "stated").mean() > 0.8


def test_what_was_understood_of_a_table_is_said_at_the_end(tmp_path):
    text = "sample;target;group;licence;rain [mm]\na;1,5;x;CC0-1.0;2,5\nb;2,5;y;CC0-1.0;3,5\n"
    (tmp_path / "t.csv").write_text(text)
    done = run_cli("new-adapter", "soil", "--data", str(tmp_path / "t.csv"), "--to", str(tmp_path / "out")).taken()
    assert "mainstem: note: t.csv: " in done.err
    assert "decimal commas" in done.err


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "t.csv").write_text("sample,target,group,licence,rain [mm]\na,1,x,CC0-1.0,2\n")
    adapter, _ = write_adapter("soil", tmp_path / "t.csv", tmp_path)
    adapter.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_adapter("soil", tmp_path / "t.csv", tmp_path)
    assert adapter.read_text() == "mine"


@pytest.mark.long
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git tells what was added and edited")
def test_a_new_adapter_is_two_files_and_no_other_is_touched(tmp_path):
    copy = tmp_path / "copy"

    def git(*arguments: str, cwd: Path = copy) -> str:
        return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout

    for name in git("ls-files", cwd=ROOT).splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    git("init", "-q")
    git("add", "-A")
    rows = [f"s{row},{'wet' if row % 2 else 'dry'},site-{row % 5},CC0-1.0,{row % 2 + row / 100}" for row in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["sample,target,group,licence,rain [mm]", *rows, ""]))
    run_cli("new-adapter", "wet-soil", "--data", tmp_path / "t.csv", "--to", copy).taken()
    added = {"adapters/wet_soil.py", "tests/adapters/test_wet_soil.py"}
    assert set(git("ls-files", "--others").splitlines()) == added
    assert not git("diff")  # nothing that was there is another
    environment = {**os.environ, "PYTHONPATH": str(copy / ".src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FOUND_AND_TESTED], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    assert "1 passed" in done.stdout


def test_adapters_are_found_by_name_and_the_template_is_not_one():
    assert "crop-yield" in find_adapters()
    assert "template" not in find_adapters()
    with pytest.raises(InputError, match="no adapter file"):
        load_adapter_module("nowhere.py")
