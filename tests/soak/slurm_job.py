"""The program of a job: a small training over srun's tasks, saved each step; it notes what it does as it does it."""

import os
import sys
import time
from pathlib import Path

import torch

from mainstem.core.distributed import join
from mainstem.core.files import write_whole
from mainstem.core.interruptions import Interrupted
from mainstem.core.watch import CheckpointConfig, Watch
from tests.core.made_training import Made, digest, trained


class Noted(Watch):
    """Notes each step at the moment it is done, and begins where it was taken up."""

    notes: Path
    pace_s = 0.0  # a step

    def after_step(self, state, *told):
        if self.world.is_first:
            with self.notes.open("a") as file:
                file.write(f"{time.time():.3f} step {state.step}\n")
        time.sleep(self.pace_s)
        super().after_step(state, *told)


def main(folder: Path, steps: int, pace_s: float) -> int:
    """Train, or go on; who runs on which node is noted, so that a node's death can be played."""
    torch.set_num_threads(1)
    with (folder / "pids").open("a") as file:
        file.write(f"{os.environ['SLURMD_NODENAME']} {os.getpid()}\n")
    world = join(torch.device("cpu"), "gloo")
    watch = Noted(folder / "state", CheckpointConfig(every_steps=1), world=world)
    watch.notes, watch.pace_s = folder / "notes", pace_s
    if world.is_first:
        with watch.notes.open("a") as file:
            file.write(f"{time.time():.3f} start {os.environ.get('SLURM_RESTART_COUNT', '0')}\n")
    try:
        with watch.requeued():
            objective, _ = trained(Made(steps=steps, dropout=0.1), watch)
    except Interrupted as ended:
        return ended.status
    if world.is_first:
        write_whole(folder / "digest", [digest(objective).encode()])
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
