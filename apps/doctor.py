"""`mainstem doctor`: is this installation whole, and do its pages stay on this machine?"""

import importlib.util
import os
import shutil
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mainstem.apps.serving import DASHBOARDS
from mainstem.core.errors import MainstemError
from mainstem.data.catalogue import data_home, read_catalogue, verify

BASE = ("torch", "transformers", "safetensors", "numpy", "pydantic")
EXTRAS = {
    "earth": ("pandas", "sklearn"),
    "maps": ("geopandas", "pyogrio", "rasterio", "pystac", "xarray", "zarr", "netCDF4", "h5py"),
    "app": ("streamlit",),
}
FORBIDDEN = ("torchvision", "timm")  # their CPU builds break transformers on import
FREE_BYTES_WANTED = 2 << 30


def examine() -> list[dict[str, str]]:
    """Return findings: what was looked at, its state (ok, warn, fail) and what was found."""
    findings = [_package(name, "fail") for name in BASE]
    for extra, packages in EXTRAS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        hint = f'lacks {", ".join(missing)}; pip install "mainstem[{extra}]"' if missing else "installed"
        findings.append(_finding(f"extra {extra}", "warn" if missing else "ok", hint))
    for name in FORBIDDEN:
        if importlib.util.find_spec(name) is not None:
            findings.append(_finding(name, "warn", "installed; its build may break transformers on import"))
    return [*findings, _device(), _home(), *_data_sets(), _pages()]


def _finding(what: str, state: str, found: str) -> dict[str, str]:
    return {"what": what, "state": state, "found": found}


def _package(name: str, missing: str) -> dict[str, str]:
    try:
        return _finding(name, "ok", version(name))
    except PackageNotFoundError:
        return _finding(name, missing, "not installed; pip install mainstem")


def _device() -> dict[str, str]:
    import torch

    if torch.cuda.is_available():
        return _finding("accelerator", "ok", torch.cuda.get_device_name(0))
    return _finding("accelerator", "ok", f"none; {torch.get_num_threads()} CPU threads")


def _home() -> dict[str, str]:
    home = data_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        return _finding("MAINSTEM_HOME", "fail", f"{home} cannot be written: {error.strerror}")
    if not os.access(home, os.W_OK):
        return _finding("MAINSTEM_HOME", "fail", f"{home} cannot be written; set MAINSTEM_HOME")
    state = "ok" if free > FREE_BYTES_WANTED else "warn"
    return _finding("MAINSTEM_HOME", state, f"{home}, {free / 1e9:.0f} GB free")


def _data_sets() -> list[dict[str, str]]:
    findings = []
    for name in read_catalogue():
        try:
            wrong = verify(name)
        except MainstemError as error:
            wrong = [str(error)]
        found = f"{len(wrong)} files absent or damaged; mainstem data pull {name}" if wrong else "whole"
        findings.append(_finding(f"data {name}", "warn" if wrong else "ok", found))
    return findings


def _pages() -> dict[str, str]:
    """The dashboards' settings must keep them on this machine."""
    path = Path(DASHBOARDS) / ".streamlit" / "config.toml"
    wanted: dict[str, dict[str, Any]] = {
        "server": {"address": "127.0.0.1", "fileWatcherType": "none", "enableXsrfProtection": True},
        "browser": {"gatherUsageStats": False},
        "client": {"showErrorDetails": "none"},
    }
    settings = tomllib.loads(path.read_text()) if path.is_file() else {}
    off = [
        f"{section}.{key}"
        for section, keys in wanted.items()
        for key, value in keys.items()
        if settings.get(section, {}).get(key) != value
    ]
    if off:
        return _finding("dashboards", "fail", f"{path} does not set {', '.join(off)}; reinstall the package")
    return _finding("dashboards", "ok", "bound to 127.0.0.1, nothing sent out, no stack traces shown")
