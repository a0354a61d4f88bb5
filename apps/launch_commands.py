"""The commands that can be launched, each with what launching depends on: nothing else asks for one by its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mainstem.apps.launch_names import (
    Named,
    check_fit,
    check_map,
    check_pretraining,
    named_by_fit,
    named_by_map,
    named_by_pretraining,
)

if TYPE_CHECKING:
    from mainstem.apps.run_spec import RunSpec

Command = Literal["finetune", "pretrain", "evaluate", "map"]
COMMON = frozenset((
    "command", "out", "time", "partition", "gpus_per_node", "cores_per_node", "memory_gb", "gpu_memory_gb",
    "architecture",
))  # fmt: skip
ARRAY = frozenset(("settings", "seed", "seeds", "sweep"))
FIT = ARRAY | {"adapter", "task", "data", "trunk", "frozen", "options", "i_have_the_rights"}


@dataclass(frozen=True, kw_only=True)
class Launchable:
    """What launching depends on.

    Attributes:
        reads: entries of a run's spec, beside those of every command.
        needs: those of them that must be given.
        refused: what is said of entries that belong elsewhere.
        named: what a spec of it names.
        check: refuses what the command would refuse before it reads data.
        writes: files in the folder of a run; one is there once the run is done.
        is_printed: the command prints its result and takes no --out; the job's script writes the first of `writes`.
        is_distributed: a process a GPU, over nodes; else one process a member.
        is_sharded: members are shares of one result, put together at the end, and it goes on where it was left.
    """

    reads: frozenset[str]
    needs: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    named: "Callable[[RunSpec], Named]"
    check: "Callable[[RunSpec], None]"
    writes: tuple[str, ...] = ("record.json",)
    is_printed: bool = False
    is_distributed: bool = False
    is_sharded: bool = False

    def is_written(self, out: Path) -> bool:
        """True where a run folder holds its result."""
        return any((out / name).is_file() for name in self.writes)


LAUNCHABLE: Mapping[Command, Launchable] = {
    "finetune": Launchable(
        reads=FIT, needs=("adapter", "data"), named=named_by_fit, check=check_fit, is_distributed=True
    ),
    "pretrain": Launchable(
        reads=ARRAY | {"corpora", "options"},
        needs=("corpora",),
        refused={"i_have_the_rights": "the SPEC that corpora names says so itself; write it there"},
        named=named_by_pretraining,
        check=check_pretraining,
        is_distributed=True,
    ),
    "evaluate": Launchable(
        reads=FIT | {"protocol", "run"},
        needs=("adapter", "data"),
        named=named_by_fit,
        check=check_fit,
        writes=("evaluate.json",),
        is_printed=True,
    ),
    "map": Launchable(
        reads=frozenset(("adapter", "run", "scenes", "options", "shards")),
        needs=("adapter", "scenes"),
        named=named_by_map,
        check=check_map,
        writes=("notes.json", "collection.json"),
        is_sharded=True,
    ),
}
