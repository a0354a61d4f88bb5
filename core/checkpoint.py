"""A training's state on disk: saved beside the training, whole or not at all, and read by any number of processes.

A checkpoint is a folder `step-00000120`: safetensors, of which each process wrote a share by
torch.distributed.checkpoint, and `commit.json`, which names the sha256 of every file, and of itself. It is made under a
name of its own, forced onto the disk, and renamed last; only then is the oldest deleted. Nothing here is pickled: no
byte that is read is ever run.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.checkpoint.storage import WriteResult

from mainstem.core.distributed import World
from mainstem.core.errors import ArtifactError
from mainstem.core.files import sync_folder, write_whole

FORMAT = "1"
MARKER, PART = "commit.json", ".part"
STEP = re.compile(r"step-(\d{8,})")
Identity = Mapping[str, str]  # what a training is of, by name: a checkpoint of another is refused
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint on disk: its folder, the step after which it was made, and how many processes there were."""

    folder: Path
    step: int
    size: int


class Checkpoints:
    """The checkpoints of one training in a folder, written by all processes of a world together.

    What is damaged is named to `say`, and the one before it is taken.
    """

    def __init__(self, folder: Path, identity: Identity, world: World, *, keep: int = 2, say: Say) -> None:
        self.folder, self.identity, self.world, self.keep, self.say = folder, identity, world, keep, say
        self._going: Future[Metadata] | None = None
        self._stager: DefaultStager | None = None
        self._damaged: set[str] = set()  # what was passed over here: it counts as none of those that are kept

    def save(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Save state as it is now; writing goes on while training does, after the save before it is done."""
        self.wait()
        logging.getLogger("c10d-NullHandler-dcp_logger").setLevel(logging.WARNING)  # it tells of each tensor by itself
        if self._stager is None:
            pinned = torch.cuda.is_available()
            self._stager = DefaultStager(StagingOptions(pinned, False, False, False))
        facts = {"format": FORMAT, "step": step, "size": self.world.size, "identity": dict(self.identity)}
        writer = _Writer(self.folder, facts, self.keep, self._damaged)
        going = async_save(
            tensors,
            storage_writer=writer,
            process_group=self.world.files,
            async_stager=self._stager,
            no_dist=self.world.size == 1,
        )
        assert isinstance(going, Future)
        self._going = going

    def wait(self) -> bool:
        """Wait until what is being saved is on the disk; say so, and return False, where it could not be written."""
        going, self._going = self._going, None
        if going is None:
            return True
        try:
            going.result()
        except (OSError, CheckpointException) as error:
            if self.world.is_first:
                shutil.rmtree(self.folder / PART, ignore_errors=True)
                self.say(f"no checkpoint was written to {self.folder} ({_reason(error)}); the one before it stays")
            return False
        return True

    def close(self) -> None:
        """Wait, and give back the memory in which state is copied."""
        self.wait()
        if self._stager is not None:
            self._stager.close()
            self._stager = None

    def newest(self) -> Saved | None:
        """Return the newest checkpoint that is whole, the same in every process; None where there is none.

        Raises:
            ArtifactError: if it is of another training.
        """
        told = json.loads(self.world.told(json.dumps(self._found() if self.world.is_first else None)))
        if told is None:
            return None
        if "refused" in told:
            raise ArtifactError(told["refused"])
        return Saved(folder=self.folder / told["name"], step=told["step"], size=told["size"])

    def _found(self) -> dict[str, Any] | None:
        if not self.folder.is_dir():
            return None
        shutil.rmtree(self.folder / PART, ignore_errors=True)
        for folder in sorted(_folders(self.folder), reverse=True):
            try:
                facts = read_marker(folder)
            except ArtifactError as error:
                self._damaged.add(folder.name)
                self.say(f"{error}; the checkpoint before it is taken")
                continue
            return {"name": folder.name, **facts, **self._refused(folder, facts["identity"])}
        return None

    def _refused(self, folder: Path, identity: Identity) -> dict[str, str]:
        """What to say of a checkpoint of another training; nothing of one's own."""
        for name, own in self.identity.items():
            found = identity.get(name, "none")
            if found != own:
                told = f"{folder} is of another {name} ({found:.12}, this training's is {own:.12})"
                return {"refused": f"{told}; delete {self.folder}, or name another --out"}
        return {}

    def names(self, saved: Saved) -> set[str]:
        """Return the names of what a checkpoint holds."""
        return set(HuggingFaceStorageReader(str(saved.folder)).read_metadata().state_dict_metadata)

    def load(self, saved: Saved, tensors: dict[str, Tensor]) -> None:
        """Read a checkpoint's state into tensors of the same names, wherever they lie and however they are spread."""
        reader = HuggingFaceStorageReader(str(saved.folder))
        with torch.no_grad():
            load(tensors, storage_reader=reader, process_group=self.world.files, no_dist=self.world.size == 1)


def _reason(error: BaseException) -> str:
    """Why a save failed, in a word of the system's where there is one."""
    failures = getattr(error, "failures", {})
    first = next(iter(failures.values()), error)
    found = first[0] if isinstance(first, tuple) else first
    return str(getattr(found, "strerror", None) or found)


def _folders(folder: Path) -> list[Path]:
    return [found for found in folder.iterdir() if STEP.fullmatch(found.name)]


def read_marker(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint's marker says, once every file has been found to be as it was written.

    Raises:
        ArtifactError: naming the file that is missing or changed.
    """
    path = folder / MARKER
    try:
        facts = json.loads(path.read_bytes())
        own, files = facts.pop("self"), facts["files"]
        is_whole = own == _digest(facts) and facts["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{path} is missing or damaged") from error
    if not is_whole:
        raise ArtifactError(f"{path} is damaged")
    for name, sha256 in files.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(f"{folder / name} cannot be read") from error
        if found != sha256:
            raise ArtifactError(f"{folder / name} is damaged (its sha256 is not the one that was written)")
    known: dict[str, Any] = facts
    return known


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Part:
    """A file that a process wrote, and its sha256."""

    name: str
    sha256: str


class _Writer(HuggingFaceStorageWriter):
    """Writes shares into a part of the folder, and makes a checkpoint of it when all are on the disk."""

    def __init__(self, folder: Path, facts: dict[str, Any], keep: int, damaged: set[str]) -> None:
        super().__init__(str(folder / PART), save_distributed=True)
        self.folder, self.facts, self.keep, self.damaged = folder, facts, keep, damaged

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Change nothing: the folder is made once, by the first process."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Make the folder, in the first process, before any other writes into it."""
        shutil.rmtree(self.folder / PART, ignore_errors=True)
        (self.folder / PART).mkdir(parents=True)
        return super().prepare_global_plan(plans)

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> "torch.futures.Future[list[WriteResult]]":
        """Write this process's share, force it onto the disk and hash it."""
        results = super().write_data(plan, planner).value()
        names = {result.storage_data.relative_path for result in results}
        parts = {name: _Part(name, _sha256(self.folder / PART / name)) for name in names}
        done: torch.futures.Future[list[WriteResult]] = torch.futures.Future()
        done.set_result([replace(result, storage_data=parts[result.storage_data.relative_path]) for result in results])
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Commit, in the first process, what all have written; then let go of the oldest."""
        files = {result.storage_data.name: result.storage_data.sha256 for each in results for result in each}
        facts = {**self.facts, "files": files}
        made, name = self.folder / PART, f"step-{self.facts['step']:08d}"
        write_whole(made / MARKER, [json.dumps({**facts, "self": _digest(facts)}, sort_keys=True).encode()])
        sync_folder(made)
        _put_away(self.folder / name)
        made.rename(self.folder / name)
        sync_folder(self.folder)
        self.damaged.discard(name)
        whole = [found for found in sorted(_folders(self.folder)) if found.name not in self.damaged]
        for old in whole[: -self.keep]:
            _put_away(old)


def _put_away(folder: Path) -> None:
    """Delete a checkpoint, so that what is left of it by a kill is none."""
    (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
