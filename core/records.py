"""Run folders: record.json, metrics.jsonl, card.md beside the artefact; whole or not there at all."""

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mainstem.core.artifact import AdapterManifest
from mainstem.core.errors import ArtifactError
from mainstem.core.files import write_atomically


def environment() -> dict[str, str]:
    """Return the versions that a result depends on."""
    packages = ("mainstem", "torch", "transformers", "numpy")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        **{package: version(package) for package in packages},
    }


def code_revision() -> str:
    """Return the commit of the source folder, "-dirty" added where files changed, or the installed version."""
    folder = Path(__file__).resolve().parent
    if shutil.which("git") is None:
        return version("mainstem")
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    return found.stdout.strip() or version("mainstem")


@contextmanager
def new_run(out: Path) -> Iterator[Path]:
    """Give a scratch folder beside `out` that takes its name only when all went well.

    Raises:
        ArtifactError: if `out` exists and is no empty folder, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArtifactError(f"{out} exists already; name another folder, or delete it")
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        if out.exists():
            out.rmdir()
        part.replace(out)
    except OSError as error:
        raise ArtifactError(f"cannot write {out}: {error.strerror or error}; free space or name another") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_record(folder: Path, record: Mapping[str, Any], metrics: list[dict[str, Any]]) -> None:
    """Write record.json and metrics.jsonl."""
    whole = {**record, "code": code_revision(), "environment": environment(), "command": sys.argv[1:]}
    write_atomically(folder / "record.json", (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode())
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in metrics)
    write_atomically(folder / "metrics.jsonl", lines.encode())


def write_card(folder: Path, manifest: AdapterManifest, figures: Mapping[str, str]) -> None:
    """Write card.md: what the adapter is for, what it was judged on, and where it fails."""
    training = manifest.training
    scope = "; ".join(f"{name}: {', '.join(values)}" for name, values in manifest.scope.items())
    lines = [
        f"# {manifest.adapter}, {manifest.task}",
        "",
        f"Predicts {manifest.units} with calibrated intervals. "
        + ("**Trained on simulated data: never use it for decisions.**" if manifest.simulated else ""),
        "",
        "| | |",
        "|---|---|",
        f"| data | {training['data']}, {training['num_samples']} samples, groups {', '.join(training['groups'])} |",
        f"| scope | {scope or 'any'} |",
        f"| licence of the data | {manifest.licence} |",
        f"| attribution | {manifest.attribution} |",
        f"| trunk | {manifest.trunk['dim']} wide, {manifest.trunk['depth']} deep, sha256 {manifest.trunk_sha256} |",
        *(f"| {name} | {value} |" for name, value in figures.items()),
        "",
        "## Known failures",
        "",
        *(f"- {failure}" for failure in manifest.known_failures or ("none recorded",)),
        "",
    ]
    write_atomically(folder / "card.md", "\n".join(lines).encode())
