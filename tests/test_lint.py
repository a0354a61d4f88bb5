"""The linter's bans are in force: no pickle, no unchecked torch.load, no yaml.load, and the code keeps them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def ruff(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", *arguments]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)


def test_the_code_keeps_the_rules():
    done = ruff(".")
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import joblib",
        "import torch\n\ntorch.load('a.pt')",
        "import yaml\n\nyaml.load('a')",
        "import core",
    ],
)
def test_what_runs_code_on_load_is_banned(line):
    done = ruff("--select", "TID251", "--stdin-filename", "core/new.py", "-", stdin=f"{line}\n")
    assert done.returncode == 1
    assert "TID251" in done.stdout
