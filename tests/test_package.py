"""The wheel holds what an installed application needs, and no top-level folder of ours."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED_FILES = ("adapter.safetensors", "trunk.safetensors", "record.json", "metrics.jsonl", "card.md")


@pytest.mark.long
def test_the_wheel_is_whole(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mainstem"}
    for wanted in (
        "mainstem/core/trunk.py", "mainstem/core/openmodels/models.yaml",
        "mainstem/data/catalogue.yaml", "mainstem/adapters/template.py",
        *(f"mainstem/adapters/shipped/crop-yield/pixel/{file}" for file in SHIPPED_FILES),
        *(f"mainstem/adapters/shipped/diagnostics/hippocampus/{file}" for file in SHIPPED_FILES),
        "mainstem/data/listings/msd-hippocampus.yaml", "mainstem/data/media/c2pa_trust_list.pem",
        "mainstem/adapters/crop_yield/regional.py", "mainstem/apps/cli.py", "mainstem/dashboards/home.py",
        "mainstem/apps/review_migrations/env.py", "mainstem/apps/review_migrations/versions/v0001_reviews.py",
        "mainstem/dashboards/yield_map/page.py", "mainstem/dashboards/.streamlit/config.toml",
        "mainstem/dashboards/favicon.svg", "mainstem/dashboards/components/fieldmap/fieldmap.js",
    ):  # fmt: skip
        assert wanted in names, wanted


def test_every_test_file_that_the_documents_name_is_there():
    named = {
        (page.name, found)
        for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
        if page.name != "new-adapter.md"  # which names what its reader makes
        for found in re.findall(r"tests/[\w/]+\.py", page.read_text(encoding="utf-8"))
    }
    assert named
    assert not [(page, file) for page, file in sorted(named) if not (ROOT / file).is_file()]
