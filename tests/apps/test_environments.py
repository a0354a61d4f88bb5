"""Environments beside a site's own torch: what is made, what is refused, and that torch stays the site's."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.hostile.harness import run_cli

from mainstem.apps.environments import build, check_wheels, render
from mainstem.apps.site_profiles import read_site, site_names
from mainstem.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def write_wheel(folder: Path, name: str, version: str, needs: str = "", tag: str = "py3-none-any") -> None:
    """Write the smallest wheel that pip installs: a module that says its version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:version\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


@pytest.mark.parametrize("name", site_names())
@pytest.mark.parametrize("wheels", [None, Path("wheels")])
def test_scripts_are_sound_for_bash_and_shellcheck(name, wheels, tmp_path):
    text = render(name, read_site(name), wheels, account="hai")
    assert read_site(name).said in text.splitlines()[1]
    (tmp_path / "build.sh").write_text(text)
    for command in (["bash", "-n"], *([["shellcheck"]] if shutil.which("shellcheck") else [])):
        checked = subprocess.run([*command, tmp_path / "build.sh"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_dry_run_prints_the_script_and_nothing_else():
    told = run_cli("env", "build", "lumi-g", "--dry-run").taken()
    assert told.out == render("lumi-g", read_site("lumi-g"), None)
    assert "mksquashfs" in told.out
    assert "venv --system-site-packages /user-software" in told.out
    run_cli("env", "build", "jupiter").refused("never run there", "--dry-run")


def test_no_profile_brings_a_torch_that_the_project_refuses():
    """The bound is pyproject's own; a site whose newest is older gets an environment with a torch of its own."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bound = next(Requirement(line).specifier for line in told if Requirement(line).name == "torch")
    for name in site_names():
        site = read_site(name)
        loaded = re.findall(r"PyTorch/([0-9.]+)", " ".join(site.modules))
        brought = [*loaded, *([site.torch] if site.torch not in (None, "own") else [])]
        assert all(bound.contains(version) for version in brought), f"{name} brings torch {brought}, want {bound}"
        assert bool(site.modules) <= (site.torch is not None), f"{name} does not say which torch it brings"
    assert not bound.contains("2.9.1")


@pytest.mark.slow
def test_an_environment_of_its_own_torch_takes_none_of_the_site(tmp_path, monkeypatch):
    """Run the script of JUPITER here: its modules are of no use, and a torch of the site's is not to be seen."""
    wheels, place = tmp_path / "wheels", tmp_path / "env"
    wheels.mkdir()
    write_wheel(wheels, "mainstem", "0.1.0", needs="Requires-Dist: torch>=2.10\n")
    write_wheel(wheels, "torch", "2.13.0")
    site = read_site("jupiter")
    text = render("jupiter", site, wheels)
    assert "PyTorch" not in text
    assert "--system-site-packages" not in text
    monkeypatch.setenv("MAINSTEM_ENV", str(place))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    script = f"module() {{ :; }}\n{text}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0  # that torch is a version and no more: it is for no GPU
    assert "is for no GPU" in done.stderr
    assert not place.exists()
    with zipfile.ZipFile(wheels / "torch-2.13.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("torch/__init__.py", "class version: cuda = '13.0'\n")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (place / "bin" / "mainstem").exists()


@pytest.mark.parametrize("site", ["local", pytest.param("generic-slurm", marks=pytest.mark.slow)])
def test_the_site_s_own_torch_is_not_replaced(site, tmp_path, monkeypatch):
    own, wheels, place = tmp_path / "site-packages", tmp_path / "wheels", tmp_path / "env"
    own.mkdir()
    wheels.mkdir()
    write_wheel(wheels, "torch", "99.0")  # newer, and what pip would take
    write_wheel(wheels, "mainstem", "0.1.0", needs="Requires-Dist: torch>=2.10\n")
    write_wheel(own, "torch", "2.12.0+site")
    with zipfile.ZipFile(own / "torch-2.12.0+site-py3-none-any.whl") as wheel:
        wheel.extractall(own)
    monkeypatch.setenv("PYTHONPATH", str(own))  # as modules of a site do
    monkeypatch.setenv("MAINSTEM_ENV", str(place))
    for name in ("PIP_FIND_LINKS", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    build(site, read_site(site), render(site, read_site(site), wheels))
    code = "import torch, mainstem; print(torch.version, torch.__file__, mainstem.__file__)"
    done = subprocess.run([place / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    told = done.stdout.split()
    assert told[:2] == ["2.12.0+site", str(own / "torch.py")]
    assert told[2].startswith(str(place))
    assert (place / "bin" / "mainstem").exists()
    with pytest.raises(InputError, match="was not made"):
        build(site, read_site(site), render(site, read_site(site), wheels))  # it is there already


def test_an_environment_that_fails_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "python3").write_text('#!/bin/sh\nmkdir -p "$4" && false\n')  # python3 -m venv --system... PLACE
    (tmp_path / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("MAINSTEM_ENV", str(tmp_path / "env"))
    with pytest.raises(InputError, match="was not made"):
        build("local", read_site("local"), render("local", read_site("local"), None))
    assert not (tmp_path / "env").exists()


@pytest.mark.slow
def test_the_project_s_own_wheel_makes_an_environment(tmp_path, monkeypatch):
    wheels, place = tmp_path / "wheels", tmp_path / "env"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT]
    subprocess.run(command, check=True)
    monkeypatch.setenv("MAINSTEM_ENV", str(place))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    check_wheels(wheels, read_site("local"))
    build("local", read_site("local"), render("local", read_site("local"), wheels, has_deps=False))
    code = "import mainstem.core.errors as found; print(found.__file__)"
    told = subprocess.run(
        [place / "bin" / "python", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert told.stdout.startswith(str(place))
    assert os.access(place / "bin" / "mainstem", os.X_OK)


def test_wheels_of_another_machine_are_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        check_wheels(tmp_path / "none", read_site("jupiter"))
    with pytest.raises(InputError, match="no wheel of mainstem"):
        check_wheels(tmp_path, read_site("jupiter"))
    write_wheel(tmp_path, "mainstem", "0.1.0")
    write_wheel(tmp_path, "scipy", "1.18.0", tag="cp312-cp312-manylinux_2_28_aarch64")
    check_wheels(tmp_path, read_site("jupiter"))
    with pytest.raises(InputError, match=r"scipy-1\.18\.0.*aarch64, nodes of LUMI-G .* x86_64"):
        check_wheels(tmp_path, read_site("lumi-g"))
    write_wheel(tmp_path, "numpy", "2.4.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    with pytest.raises(InputError, match=r"numpy-2\.4\.0.*x86_64, nodes of JUPITER"):
        check_wheels(tmp_path, read_site("jupiter"))
