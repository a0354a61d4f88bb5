"""`mainstem runs repeat`: train a run again from its record alone, and say whether the same bits came out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mainstem.adapters import task_of_run
from mainstem.apps.finetune import finetune
from mainstem.apps.pretrain import pretrain
from mainstem.apps.pretrain_spec import PretrainSpec
from mainstem.apps.pretrained import PRETRAINED, read_pretrained
from mainstem.apps.sources import read_licensed
from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.progress import Progress, silent
from mainstem.core.records import read_record
from mainstem.core.schema import first_mistake, printable
from mainstem.core.task import DataRequest

BITS = ("trained_sha256", "trunk_sha256")  # what has to be the same
CAUSES = ("data_sha256", "code", "environment")  # what may explain that it is not

Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """A run that was trained again: whether the bits are the same, and what of the record differs (before, now)."""

    out: Path
    is_same: bool
    differs: Mapping[str, tuple[Any, Any]]

    def describe(self) -> list[str]:
        """Say so in lines."""
        if self.is_same:
            return [f"{self.out}: the same to the bit"]
        lines = [f"{name}: {before} before, {now} now" for name, (before, now) in self.differs.items()]
        return [f"{self.out} is another run", *lines]


def repeat(
    run: Path,
    out: Path,
    *,
    adapter: str | None = None,
    trunk: str | None = None,
    mirror: Path | None = None,
    progress: Progress = silent,
) -> Repeated:
    """Train `run` again into the folder `out`, by what its record says alone, and compare.

    What calibrated the run since is not repeated; adapter and trunk are compared as they were trained. One machine, one
    version of torch and one number of threads give one result; others may differ in the last bits.

    Raises:
        InputError: if the record names no request, as of a run made by a program, or settings of another version; if
            its pretrained trunk lies elsewhere now, which `trunk` then names, or is another.
    """
    record = read_record(run)
    is_pretrained = record.get("adapter") == PRETRAINED
    bits = BITS[1:] if is_pretrained else BITS
    if is_pretrained:
        spec = _read_as(PretrainSpec, record, run)
        now = pretrain(spec if trunk is None else spec.model_copy(update={"trunk": trunk}), out, mirror, progress)
    else:
        now = _finetune_again(run, out, adapter, trunk, (mirror, progress))
    written = read_record(out)
    differs = {
        name: (record.get(name), written[name]) for name in (*bits, *CAUSES) if record.get(name) != written[name]
    }
    is_same = all(record[name] == now[name] for name in bits)
    return Repeated(out=out, is_same=is_same, differs=differs)


def _finetune_again(
    run: Path, out: Path, adapter: str | None, trunk: str | None, how: tuple[Path | None, Progress]
) -> dict[str, Any]:
    mirror, progress = how
    record = read_record(run)
    request = record.get("request")
    if request is None or record.get("trained_sha256") is None:
        raise InputError(f"the record of {run} does not say what was asked of the data; train it again by the command")
    task = task_of_run(run, adapter)
    spec = _read_as(FitSpec, record, run)
    spec = spec if trunk is None else replace(spec, trunk=trunk)
    _check_trunk(spec.trunk, record, run)
    waived = bool(record.get("i_have_the_rights"))
    asked = DataRequest(data=request["data"], options=request["options"], mirror=mirror, i_have_the_rights=waived)
    return finetune(task, read_licensed(task, asked), spec, out, progress, asked)


def _check_trunk(trunk: str | None, record: Mapping[str, Any], run: Path) -> None:
    """Refuse another trunk than the pretrained one that a run adapted."""
    if (wanted := (record.get("trunk") or {}).get("sha256")) is None:
        return
    found = read_pretrained(trunk)
    if found is None or found.sha256 != wanted:
        told = "is none that pretrain wrote" if found is None else f"is another, {found.sha256:.12}"
        raise InputError(f"{run} adapted the trunk {wanted:.12}; {printable(trunk)} {told}: name its folder by --trunk")


def _read_as(kind: type[Kind], record: Mapping[str, Any], run: Path) -> Kind:
    """Return the settings that a record holds."""
    try:
        return TypeAdapter(kind).validate_python(record["spec"])
    except ValidationError as error:
        raise InputError(f"{run} has settings that this version does not know: {first_mistake(error)}") from error
