"""What to launch: a command with its arguments, where it writes, how long, and which members an array has."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from mainstem.apps.launch_commands import COMMON, LAUNCHABLE, Command, Launchable
from mainstem.apps.site_profiles import Positive, Word
from mainstem.apps.typed_files import Seconds, Typed, read_typed
from mainstem.core.schema import printable

OURS = {
    "out", "data", "json", "run", "seed", "seeds", "set", "shard", "spec", "task", "trunk", "frozen", "protocol",
    "i-have-the-rights", "help",
}  # fmt: skip
NUMBER = re.compile(r"-[0-9.][0-9.eE+-]*")  # which begins as an option does, and is none
OUT = r"^[A-Za-z0-9_./][A-Za-z0-9_./+=@-]*$"  # Slurm reads % and blanks in names of logs its own way
Texts = Annotated[tuple[str, ...], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]


class RunSpec(Typed):
    """A run, wherever it is launched.

    Attributes:
        command: which of mainstem's commands.
        adapter, task, data, trunk, frozen, protocol, run, scenes: as the command's own arguments.
        corpora: of pretrain, its SPEC file.
        options: further options of the command or of the task, by name without dashes; "true" for a flag.
        settings: of the fit, as training: {epochs: 5}.
        out: the folder to write; members of an array write folders in it.
        time: of a member, HH:MM:SS or D-HH:MM:SS.
        partition: else the site's own choice.
        gpus_per_node: else all of a node for what is trained over several, and one for the rest.
        cores_per_node, memory_gb: of main memory; else the share that goes with the GPUs.
        gpu_memory_gb: what a process needs on its GPU, as --estimate tells it.
        architecture: that the run is bound to, where it uses compiled code of one.
        seed: the first.
        seeds: how many, each a member of a job array.
        sweep: settings with the values each is to have; every combination is a member.
        shards: of a map, each a member; they are put together at the end.
        i_have_the_rights: data without a licence that may be used all the same: true, or their name; the run's record
            keeps it.
    """

    command: Command
    adapter: str | None = None
    task: str | None = None
    data: str | None = None
    trunk: str | None = None
    frozen: bool = False
    protocol: str | None = None
    run: str | None = None
    scenes: Texts = ()
    corpora: str | None = None
    options: dict[Word, Texts] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    out: Annotated[str, Field(pattern=OUT)]
    time: Seconds
    partition: Word | None = None
    gpus_per_node: Annotated[int, Field(ge=0)] | None = None
    cores_per_node: Positive | None = None
    memory_gb: Positive | None = None
    gpu_memory_gb: Positive | None = None
    architecture: Literal["x86_64", "aarch64"] | None = None
    seed: Annotated[int, Field(ge=0, le=10**9)] = 0
    seeds: Annotated[int, Field(ge=1, le=100_000)] = 1
    sweep: dict[str, Texts] = Field(default_factory=dict)
    shards: Annotated[int, Field(ge=1, le=100_000)] = 1
    i_have_the_rights: bool | tuple[str, ...] = False
    _file: str = PrivateAttr(default="the run's spec")

    @model_validator(mode="after")
    def _fits_its_command(self) -> "RunSpec":
        given = self.model_fields_set - COMMON
        idle = sorted(given - self.launchable.reads)
        if told := [f"{name}: {self.launchable.refused[name]}" for name in idle if name in self.launchable.refused]:
            raise ValueError(told[0])
        if idle:
            raise ValueError(f"{', '.join(idle)}: {self.command} does not read it; it reads {_listed(self.launchable)}")
        if lacking := [name for name in self.launchable.needs if not getattr(self, name)]:
            raise ValueError(f"{self.command} needs {' and '.join(lacking)}; add it")
        if ours := sorted(set(self.options) & OURS):
            raise ValueError(
                f"options.{ours[0]}: launch sets it itself; write {ours[0]} beside options, or leave it out"
            )
        if self.out.rstrip("/").rpartition("/")[2] in ("", ".", ".."):
            raise ValueError(f"out is {self.out}, which names no new folder; give one, as runs/a")
        for name, value in self._values():
            if value.startswith("-") and not NUMBER.fullmatch(value):
                raise ValueError(f"{name} is {printable(value)}, which the command would take for an option; mend it")
        if empty := [name for name, values in self.sweep.items() if not values]:
            raise ValueError(f"sweep.{empty[0]} has no value; give at least one")
        if both := sorted(set(self.sweep) & set(self.flat_settings())):
            raise ValueError(f"{both[0]} is set and swept; leave one out")
        return self

    def _values(self) -> Iterator[tuple[str, str]]:
        """What is handed to the command as an argument of its own, by the name of its entry."""
        for name in ("adapter", "corpora", "task", "data", "trunk", "protocol", "run"):
            if value := getattr(self, name):
                yield name, value
        yield from (("scenes", scene) for scene in self.scenes)
        yield from ((f"options.{name}", value) for name, values in self.options.items() for value in values)

    def flat_settings(self) -> dict[str, str]:
        """Return the settings by dotted name."""
        return dict(_flat(self.settings, ""))

    def settings_of_members(self) -> Iterator[list[str]]:
        """Yield the settings of each member of an array, as NAME=VALUE."""
        shared = [f"{name}={value}" for name, value in self.flat_settings().items()]
        for combination in self.combinations():
            yield [*shared, *(f"{name}={value}" for name, value in combination)]

    def where(self, mistake: str) -> str:
        """Say where the setting stands that a mistake is about."""
        return f"{self._file}, {'sweep' if any(name in mistake for name in self.sweep) else 'settings'}"

    def combinations(self) -> list[tuple[tuple[str, str], ...]]:
        """Return every combination of the sweep; an empty one where there is no sweep."""
        return list(itertools.product(*([(name, value) for value in values] for name, values in self.sweep.items())))

    @property
    def indices(self) -> int:
        """How many indices its array has, counted without making them: memory may not hold them all."""
        if self.launchable.is_sharded:
            return self.shards
        return math.prod(len(values) for values in self.sweep.values()) * self.seeds

    @property
    def launchable(self) -> Launchable:
        """What launching its command depends on."""
        return LAUNCHABLE[self.command]

    @property
    def is_distributed(self) -> bool:
        """True where a member may have many processes."""
        return self.launchable.is_distributed


@dataclass(frozen=True, kw_only=True)
class Member:
    """One run of an array: where it writes, and the arguments that it alone has."""

    out: str
    arguments: tuple[str, ...]


def read_spec(path: Path) -> RunSpec:
    """Read a run's spec.

    Raises:
        InputError: if an entry is unknown, missing, or of no use to its command.
    """
    spec = read_typed(RunSpec, path)
    spec._file = printable(path, 200)
    return spec


def arguments(spec: RunSpec) -> tuple[str, ...]:
    """Return the command line that all members share, `mainstem` itself left out."""
    named = {"task": spec.task, "data": spec.data, "trunk": spec.trunk, "protocol": spec.protocol, "run": spec.run}
    given = [part for name, value in named.items() if value for part in (f"--{name}", value)]
    given += ["--frozen"] if spec.frozen else []
    given += [part for name, value in spec.flat_settings().items() for part in ("--set", f"{name}={value}")]
    given += [part for name, values in spec.options.items() for value in values for part in _option(name, value)]
    given += ["--i-have-the-rights"] if spec.i_have_the_rights else []
    given += ["--json"] if spec.launchable.is_printed else []
    return (spec.command, *(text for text in (spec.adapter, spec.corpora) if text), *spec.scenes, *given)


def command_line(spec: RunSpec, member: Member) -> tuple[str, ...]:
    """Return the whole command line of a member, `mainstem` itself left out."""
    writes = () if spec.launchable.is_printed else ("--out", member.out)
    return (*arguments(spec), *member.arguments, *writes)


def members(spec: RunSpec) -> tuple[Member, ...]:
    """Return the runs of an array in order: every combination of the sweep with every seed; one where there is none."""
    if spec.launchable.is_sharded:
        return (Member(out=spec.out, arguments=()),)  # shards are numbered by the script
    found = []
    combinations = spec.combinations()
    for number, combination in enumerate(combinations):
        for seed in range(spec.seed, spec.seed + spec.seeds):
            parts = [f"sweep-{number}"] if len(combinations) > 1 else []
            parts += [f"seed-{seed}"] if spec.seeds > 1 else []
            own = [part for name, value in combination for part in ("--set", f"{name}={value}")]
            own += ["--seed", str(seed)] if spec.seeds > 1 or "seed" in spec.model_fields_set else []
            found.append(Member(out="/".join([spec.out, *parts]), arguments=tuple(own)))
    return tuple(found)


def _listed(launchable: Launchable) -> str:
    return ", ".join(sorted(launchable.reads | COMMON - {"command"}))


def _option(name: str, value: str) -> tuple[str, ...]:
    return (f"--{name}",) if value == "true" else (f"--{name}", value)


def _flat(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in given.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float):
            yield f"{prefix}{name}", str(value)
        else:
            raise ValueError(f"settings.{prefix}{name} is a list, want one value; several are swept under sweep")
