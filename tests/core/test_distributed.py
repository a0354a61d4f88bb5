"""Several processes train as one: the same losses, each sample once, whatever the number and the way of spreading."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.core.made_training import BATCH, NUM, Made, digest, trained
from tests.core.processes import run_in

from mainstem.core.distributed import place_of
from mainstem.core.errors import InputError
from mainstem.core.loader import Idle, rows_of, shared
from mainstem.core.tokens import Patches
from mainstem.core.watch import CheckpointConfig, Watch

pytestmark = pytest.mark.long


def told(world, each):
    found = []
    for made in each:
        objective, losses = trained(made, Watch(world=world))
        found.append((losses, digest(objective), objective.rows))
    return found


@pytest.fixture(scope="module")
def together():
    ways = [Made(spread=way, dtype=dtype) for dtype in (torch.float32, torch.float64) for way in ("replicate", "shard")]
    ways.append(Made(part="full", spread="shard", dtype=torch.float64))
    ways.append(Made(spread="hybrid", dtype=torch.float64, is_recomputed=True))
    ways.append(Made(part="full", spread="replicate", dtype=torch.float64, parts=3))
    return dict(zip(ways, zip(*run_in(2, told, ways), strict=True), strict=True))


def test_losses_are_those_of_one_process(together):
    for made, each in together.items():
        alone = trained(replace(made, spread="replicate", parts=1))[1]
        wanted = 1e-5 if made.dtype == torch.float32 else 1e-12
        for losses, _, _ in each:
            assert losses == pytest.approx(alone, rel=wanted), made
        assert len(alone) == 20


def test_all_processes_end_with_the_same_weights(together):
    for each in together.values():
        assert len({weights for _, weights, _ in each}) == 1


class Ends(Exception):
    """A kill between two steps."""


def up_to(world, step: int, folder: Path, ways: list[Made]) -> dict[str, list[float]]:
    """Take a training of each way up where it was left, until a step is done; return the losses of what was done."""
    found: dict[str, list[float]] = {made.spread: [] for made in ways}

    class Killed(Watch):
        def after_step(self, state, *told):
            found[self.folder.name].append(told[1])
            super().after_step(state, *told)
            if state.step == step:
                raise Ends

    for made in ways:
        with pytest.raises(Ends):
            trained(made, Killed(folder / made.spread, CheckpointConfig(every_steps=step), world=world))
    return found


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_training_goes_on_with_another_number_of_processes(tmp_path):
    ways = [Made(spread="shard"), Made(spread="replicate", part="full")]
    first = run_in(2, up_to, 6, tmp_path, ways)[0]
    second = up_to(Watch().world, 12, tmp_path, ways)
    third = run_in(2, up_to, 18, tmp_path, ways)[0]
    for made in ways:
        losses = [*first[made.spread], *second[made.spread], *third[made.spread]]
        alone = trained(replace(made, spread="replicate"))[1]
        assert losses == pytest.approx(alone[:18], rel=1e-5)


def test_each_sample_is_seen_once_an_epoch_by_one_process(together):
    for made, each in together.items():
        if made.spread == "replicate" and made.parts == 1:
            alone = trained(replace(made, steps=4))[0].rows
            seen = Counter(row for _, _, rows in each for row in rows[: len(rows) * 4 // 20])
            assert seen == Counter(alone) == Counter(range(NUM))


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (2, 1), (3, 2), (8, 3)])
def test_shares_hold_every_row_once_and_idle_ones_pass_a_row_that_counts_nothing(size, parts):
    rows = [*torch.split(torch.arange(50), BATCH), torch.tensor([7, 3])]
    patches = Patches(parts={"row": torch.arange(50)})
    told = [list(shared(lambda found: rows_of(patches, found), rows, (rank, size), parts)) for rank in range(size)]
    assert {len(each) for each in told} == {len(rows) * parts}
    for number, wanted in enumerate(rows):
        every = [batch for each in told for batch in each[number * parts : (number + 1) * parts]]
        seen = [row for batch in every if not isinstance(batch, Idle) for row in batch[0].tolist()]
        assert sorted(seen) == sorted(wanted.tolist())
        idle = [batch.batch for batch in every if isinstance(batch, Idle)]
        assert all(stand_in.tolist() == wanted[:1].tolist() for stand_in, _ in idle)
        assert len(idle) == max(size * parts - len(wanted), 0)


def test_a_process_s_place_is_read_from_torchrun_or_srun():
    meeting = {"MASTER_ADDR": "n1", "MASTER_PORT": "29500"}
    launched = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", **meeting}
    slurm = {
        "SLURM_JOB_ID": "1234567", "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1",
        "SLURM_STEP_NUM_NODES": "2",
    }  # fmt: skip
    found = place_of(launched)
    assert found is not None
    assert found == place_of({**slurm, **meeting})
    assert (found.rank, found.size, found.local_rank, found.local_size, found.port) == (5, 8, 1, 4, 29500)
    by_job = place_of({**slurm, "MASTER_ADDR": "n1"})
    assert by_job is not None
    assert by_job.port == 14567
    assert place_of({"SLURM_JOB_ID": "3", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) is None  # the batch script itself
    assert place_of({**launched, "WORLD_SIZE": "1", "RANK": "0"}) is None
    assert place_of({}) is None
    for broken in ({**launched, "RANK": "one"}, {"RANK": "0", "WORLD_SIZE": "2"}):
        with pytest.raises(InputError, match="start it by torchrun or srun"):
            place_of(broken)
