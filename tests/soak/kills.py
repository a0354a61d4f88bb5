"""A small training that is killed at random instants, inside saves too, and begun again until it ends."""

import mmap
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mainstem.core.checkpoint import Checkpoints
from mainstem.core.distributed import World
from mainstem.core.files import write_whole
from mainstem.core.metrics_log import read_lines
from mainstem.core.watch import LOG_FILE, CheckpointConfig, Watch
from tests.core.made_training import Made, digest, trained
from tests.core.processes import joined, places

MADE = Made(steps=25, dropout=0.1)
EACH = CheckpointConfig(every_steps=1)  # hardly a moment in which nothing is being saved
DIGEST = "digest"
SAVE_S = 0.03  # of a save of so little


@dataclass
class Told:
    """What came of it."""

    kills: int = 0
    inside_saves: int = 0
    unloadable: int = 0
    weights: set[str] = field(default_factory=set)


class Seen(Watch):
    """Marks in memory that the parent sees too when a save begins, and when it is on the disk."""

    is_saving: mmap.mmap

    def _save(self, state, *, is_final: bool = False) -> None:
        self.is_saving[0] = 1
        super()._save(state, is_final=is_final)
        self._checkpoints._going.add_done_callback(lambda _: self.is_saving.__setitem__(0, 0))


def work(folder: Path, place: dict[str, str] | None, is_saving: mmap.mmap) -> None:
    """Train, or go on; what a process that ended well leaves is the sha256 of all weights."""
    torch.set_num_threads(1)
    Seen.is_saving = is_saving
    if place is None:
        objective, _ = trained(MADE, Seen(folder, EACH))
    else:
        with joined(place) as world:
            objective, _ = trained(MADE, Seen(folder, EACH, world=world))
            if not world.is_first:
                return
    write_whole(folder / DIGEST, [digest(objective).encode()])


def begun(folder: Path, size: int, is_saving: mmap.mmap) -> list[int]:
    """Fork the processes of a training: torch is loaded already, so that they begin at once."""
    pids = []
    for place in places(size) if size > 1 else [None]:
        if not (pid := os.fork()):
            status = 1
            try:
                work(folder, place, is_saving)
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
    return pids


def ended(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def newest(folder: Path) -> int:
    """The step of the newest checkpoint that can be read; -1 where there is none."""
    checkpoints = Checkpoints(folder / "training-000", {}, World(), say=lambda text: None)
    found = checkpoints.newest()
    return -1 if found is None else found.step


def kill_at_random(root: Path, size: int, kills: int, seed: int) -> Told:
    """Kill a training so often, anew in another folder whenever it ends, and return what came of it."""
    chance, told, turn, whole_s = random.Random(seed), Told(), 0, None
    is_saving = mmap.mmap(-1, 1)
    while told.kills < kills or whole_s is None:
        folder = root / f"{size}-{turn}"
        folder.mkdir(parents=True)
        before = time.monotonic()
        while not (folder / DIGEST).exists():
            had, pids, is_saving[0] = newest(folder), begun(folder, size, is_saving), 0
            if whole_s is not None and told.kills < kills:
                if told.kills % 2:
                    until = time.monotonic() + whole_s  # while a save goes on, one of those that come
                    while not is_saving[0] and time.monotonic() < until:
                        time.sleep(0.001)
                    time.sleep(chance.uniform(0, SAVE_S))
                else:
                    time.sleep(chance.uniform(0, whole_s / 2))
                if any(os.waitpid(pid, os.WNOHANG)[0] for pid in pids[:1]):
                    pids = pids[1:]
                else:
                    told.kills += 1
                    told.inside_saves += is_saving[0]
                for pid in chance.sample(pids, len(pids)):
                    os.kill(pid, signal.SIGKILL)
                ended(pids)
            else:
                assert ended(pids) == [0] * size
            now = newest(folder)
            told.unloadable += now < had
            logged = [line["step"] for line in read_lines(folder / LOG_FILE)]
            assert logged == list(range(1, len(logged) + 1))
        whole_s = time.monotonic() - before if whole_s is None else whole_s
        told.weights.add((folder / DIGEST).read_text())
        turn += 1
    return told
