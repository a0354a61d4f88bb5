"""Run folders: record.json, metrics.jsonl, card.md beside the artefact; whole or not there at all."""

import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.folds import is_number
from mainstem.core.manifest import AdapterManifest
from mainstem.core.revision import code_revision
from mainstem.core.schema import Count, Finite, Flag, Name, Sha256, first_mistake, printable, read_object

RECORD_FILE, METRICS_FILE, CARD_FILE = "record.json", "metrics.jsonl", "card.md"
BEFORE = "out_of_fold"
LARGEST_CARD = 1 << 20  # bytes; a card of thousands of groups has some ten kB


class Request(BaseModel):
    """What was asked of the data: a name or a path, and values of the task's own options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    options: dict[str, str] = Field(default_factory=dict)


class RunRecord(BaseModel):
    """What every record says; more may stand beside it.

    `next_adapter_sha256` is that of an adapter about to be written: a kill between the two leaves a run that can be
    read. `trained_sha256` is that of the adapter as it was trained, whatever calibrated it since; `data_sha256` that of
    the contents it learned from; `request` what was asked of the data, without which a run cannot be repeated.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    adapter: Name
    task: Name
    data: str
    simulated: Flag
    adapter_sha256: Sha256
    trunk_sha256: Sha256
    held_out: dict[str, Finite]
    seconds: Finite
    seed: Count
    spec: dict[str, Any]
    calibrations: list[dict[str, Any]] = Field(default_factory=list)
    next_adapter_sha256: Sha256 | None = None
    trained_sha256: Sha256 | None = None
    data_sha256: Sha256 | None = None
    request: Request | None = None


def read_record(run: Path) -> dict[str, Any]:
    """Read a run's record.

    Raises:
        InputError: if the folder is no run, or its record is damaged.
    """
    if not (run / RECORD_FILE).is_file():
        raise InputError(f"{run} is no run folder (record.json cannot be read); name what finetune --out wrote")
    record = _as_now(read_object(run / RECORD_FILE, InputError))
    try:
        RunRecord(**record)
    except (ValidationError, TypeError) as error:
        said = first_mistake(error) if isinstance(error, ValidationError) else printable(error)
        raise InputError(f"{run / RECORD_FILE} is damaged: {said}; restore it from a copy or train it again") from error
    return record


def _as_now(record: dict[str, Any]) -> dict[str, Any]:
    """A record in today's words: one of before calls figures out of fold, whatever they were judged on."""
    told = record.get(BEFORE)
    if not isinstance(told, dict):
        return record
    figures = {name.replace(BEFORE, "held_out"): value for name, value in told.items()}
    return {"held_out": figures, **{name: value for name, value in record.items() if name != BEFORE}}


def read_card(run: Path) -> str:
    """Read a run's card.

    Raises:
        InputError: if it cannot be read, or is too large to be one.
    """
    try:
        if not (run / CARD_FILE).is_file():
            raise InputError(f"{run} has no card.md; name what finetune --out wrote, or show it with --json")
        with (run / CARD_FILE).open("rb") as file:
            card = file.read(LARGEST_CARD + 1)
        if len(card) > LARGEST_CARD:
            raise InputError(f"{run / CARD_FILE} has more than 1 MiB, which no card has; show the run with --json")
        return card.decode("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{run / CARD_FILE} cannot be read ({printable(error)}); show the run with --json") from error


def expect_adapter(folder: Path, sha256: str, present: str | None) -> None:
    """Say in the record, where there is one, that an adapter of this hash is about to replace the one that is there."""
    if (folder / RECORD_FILE).exists():
        record = read_record(folder)
        if present is not None and present == record.get("next_adapter_sha256"):
            record["adapter_sha256"] = present  # a kill came before the record said so
        write_json(folder / RECORD_FILE, {**record, "next_adapter_sha256": sha256})


def check_record(folder: Path, adapter_sha256: str, trunk_sha256: str) -> None:
    """Check adapter and trunk against the hashes on record; a folder without record is taken at its files' own.

    Raises:
        ArtifactError: if one is not the one on record.
        InputError: if the record is damaged.
    """
    if not (folder / RECORD_FILE).exists():
        return
    record = read_record(folder)
    for name, found, wanted in (
        ("adapter", adapter_sha256, (record["adapter_sha256"], record.get("next_adapter_sha256"))),
        ("trunk", trunk_sha256, (record["trunk_sha256"],)),
    ):
        if found not in wanted:
            raise ArtifactError(
                f"{folder} holds the {name} {found[:12]}, its record names {wanted[0][:12]}; "
                "put back the files that were written together, or train it again"
            )


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write an object, whole or not at all, for people to read too."""
    write_atomically(path, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())


def environment() -> dict[str, str]:
    """Return the versions that a result depends on."""
    packages = ("mainstem", "torch", "transformers", "numpy")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        **{package: version(package) for package in packages},
    }


@contextmanager
def new_run(out: Path) -> Iterator[Path]:
    """Give a scratch folder beside `out` that takes its name only when all went well.

    Raises:
        ArtifactError: if `out` exists and is no empty folder, or cannot be written.
        InputError: if another process is making it.
    """
    with new_folder(out) as part:
        yield part


def write_record(folder: Path, record: Mapping[str, Any], metrics: list[dict[str, Any]]) -> None:
    """Write record.json and metrics.jsonl."""
    whole = {**record, "code": code_revision(), "environment": environment(), "command": sys.argv[1:]}
    write_json(folder / RECORD_FILE, whole)
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in metrics)
    write_atomically(folder / METRICS_FILE, lines.encode())


def _groups_words(groups: Sequence[str]) -> str:
    """Which groups there were: numbers by name, of names how many, for they may be of persons."""
    named = [group for group in groups if is_number(group)]
    hidden = len(groups) - len(named)
    words = [f"groups {', '.join(named)}"] if named else []
    words += [f"{hidden} groups, whose names are kept as salted hashes"] if hidden else []
    return " and ".join(words) or "which name no groups"


def write_card(folder: Path, manifest: AdapterManifest, figures: Mapping[str, float], of_trunk: str = "") -> None:
    """Write card.md: what the adapter is for, what its trunk learned from, figures on what was held out, failures."""
    training = manifest.training
    scope = "; ".join(f"{name}: {', '.join(values)}" for name, values in manifest.scope.items())
    lines = [
        f"# {manifest.adapter}, {manifest.task}",
        "",
        f"Predicts {manifest.units} with calibrated regions. "
        + ("**Trained on simulated data: never use it for decisions.**" if manifest.simulated else ""),
        "",
        "| | |",
        "|---|---|",
        f"| data | {training['data']}, {training['num_samples']} samples, {_groups_words(training['groups'])} |",
        f"| scope | {scope or 'any'} |",
        f"| licence of the data | {manifest.licence} |",
        f"| attribution | {manifest.attribution} |",
        f"| trunk | {manifest.trunk['dim']} wide, {manifest.trunk['depth']} deep, sha256 {manifest.trunk_sha256} |",
        *([f"| its trunk | {of_trunk} |"] if of_trunk else []),
        *([f"| tokenizer | {training['tokenizer']} |"] if training.get("tokenizer") else []),
        *([f"| held out | {training['judged_on']} |"] if training.get("judged_on") else []),
        *(f"| {name} | {value:.4g} |" for name, value in figures.items()),
        "",
        "## Known failures",
        "",
        *(f"- {failure}" for failure in manifest.known_failures or ("none recorded",)),
        "",
    ]
    write_atomically(folder / CARD_FILE, "\n".join(lines).encode())
