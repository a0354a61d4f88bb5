"""Checkpoints: a training taken up again is the one that was never stopped; what is damaged or foreign is named."""

import json
import os
import resource
import signal
import subprocess
from dataclasses import replace

import pytest
import torch
from tests.core.made_training import Made, digest, trained
from torch import nn

from mainstem.core.checkpoint import MARKER, Checkpoints
from mainstem.core.distributed import World
from mainstem.core.errors import ArtifactError
from mainstem.core.interruptions import Interrupted
from mainstem.core.lora import OWN, add_lora
from mainstem.core.metrics_log import read_lines
from mainstem.core.train_state import FIRST, SECOND, WEIGHT, TrainState
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES
from mainstem.core.watch import LOG_FILE, CheckpointConfig, Watch

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")  # where one process saves alone
MADE = Made(steps=12, dropout=0.2)
EACH = CheckpointConfig(every_steps=1)


class Ends(Exception):
    """A kill between two steps."""


def ends_after(step: int):
    """A watch that ends its training as a kill would, once that step is done."""

    class Killed(Watch):
        def after_step(self, state, *told):
            super().after_step(state, *told)
            if state.step == step:
                raise Ends

    return Killed


def steps_in(folder):
    return sorted(int(found.name[5:]) for found in folder.glob("training-000/step-*"))


@pytest.mark.parametrize("part", ["lora", "full"])
def test_a_training_taken_up_again_is_the_one_that_was_never_stopped(tmp_path, part):
    made = replace(MADE, part=part)
    whole, losses = trained(made)
    for step in (3, 7):
        with pytest.raises(Ends):
            trained(made, ends_after(step)(tmp_path, EACH))
    assert steps_in(tmp_path) == [6, 7]
    again, rest = trained(made, Watch(tmp_path, EACH))
    assert rest == losses[7:]
    assert digest(again) == digest(whole)
    lines = read_lines(tmp_path / LOG_FILE)
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert [line["loss"] for line in lines] == losses
    assert digest(trained(made, Watch(tmp_path, EACH))[0]) == digest(whole)  # what has ended is not done again


def test_every_sample_is_seen_once_an_epoch_however_often_it_is_stopped(tmp_path):
    whole, seen = trained(MADE)[0].rows, []

    class Kept(Watch):
        def after_step(self, state, *told):
            super().after_step(state, *told)
            if state.step in (1, 5, 6, 12):
                seen.extend(state.module.rows)
                raise Ends

    for _ in range(4):
        with pytest.raises(Ends):
            trained(MADE, Kept(tmp_path, EACH))
    assert seen == whole
    assert sorted(seen[:50]) == list(range(50))


def checkpoints(folder, said, **identity) -> Checkpoints:
    return Checkpoints(folder, identity, World(), say=said.append)


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"a": torch.full((300, 7), value), "scalar": torch.tensor(value), "b": torch.ones(3, dtype=torch.bfloat16)}


def read(found: Checkpoints):
    saved = found.newest()
    if saved is None:
        return None
    into = tensors(-1.0)
    found.load(saved, into)
    return saved.step, float(into["scalar"])


def test_values_are_those_of_the_call_and_two_are_kept(tmp_path):
    found, said = checkpoints(tmp_path, said := []), said
    for step in (1, 2, 3):
        held = tensors(float(step))
        found.save(step, held)
        for value in held.values():
            value.add_(100)  # as the next step would, while it is being written
    found.close()
    assert read(found) == (3, 3.0)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    assert said == []


def flip(path, position: int) -> None:
    held = bytearray(path.read_bytes())
    held[position % len(held)] ^= 1 << position % 8
    path.write_bytes(held)


def test_what_is_damaged_is_named_and_the_one_before_it_taken(tmp_path):
    found, said = checkpoints(tmp_path, said := []), said
    for step in (1, 2):
        found.save(step, tensors(float(step)))
    found.close()
    newest = tmp_path / "step-00000002"
    held = {path: path.read_bytes() for path in newest.iterdir()}
    assert len(held) == 2
    for path, content in held.items():
        for position in range(3, len(content), max(len(content) // 25, 1)):
            flip(path, position)
            assert read(found) == (1, 1.0)
            assert path.name in said.pop()
            path.write_bytes(content)
        path.write_bytes(content[:-9])
        assert read(found) == (1, 1.0)
        path.unlink()
        assert read(found) == (1, 1.0)
        assert all(path.name in line for line in (said.pop(), said.pop()))
        path.write_bytes(content)
    assert read(found) == (2, 2.0)
    flip(newest / MARKER, 5)
    assert read(found) == (1, 1.0)
    found.save(2, tensors(5.0))
    found.close()
    assert read(found) == (2, 5.0)  # the one that was passed over has made room for it
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_one_counts_as_none_of_those_that_are_kept(tmp_path):
    found, said = checkpoints(tmp_path, said := []), said
    for step in (10, 20):
        found.save(step, tensors(float(step)))
    found.close()
    (tmp_path / "step-00000020" / MARKER).write_text("{}")
    assert read(found) == (10, 10.0)
    for step in (15, 22):
        found.save(step, tensors(float(step)))
        found.close()
    assert {step for step in (10, 15, 22) if (tmp_path / f"step-{step:08d}").exists()} == {15, 22}


def test_a_checkpoint_of_another_trunk_or_config_is_refused_in_one_line(tmp_path):
    mine = checkpoints(tmp_path, [], config="a" * 64, trunk="b" * 64)
    mine.save(1, tensors(1.0))
    mine.close()
    for name, told in (("trunk", {"config": "a" * 64, "trunk": "c" * 64}), ("config", {"config": "d", "trunk": "b"})):
        with pytest.raises(ArtifactError, match=f"is of another {name}.*delete .* or name another --out") as raised:
            checkpoints(tmp_path, [], **told).newest()
        assert "\n" not in str(raised.value)


def test_another_beginning_is_another_training(tmp_path):
    trained(replace(MADE, steps=2), Watch(tmp_path, EACH))
    with pytest.raises(ArtifactError, match="is of another trunk"):
        trained(replace(MADE, steps=2, dim=64), Watch(tmp_path, EACH))


@pytest.fixture
def full_disk():
    """No file may grow beyond a few kB: writing fails as on a full disk, with another number."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_stops_the_save_and_not_the_last_good_state(tmp_path, full_disk):
    found, said = checkpoints(tmp_path, said := []), said
    found.save(1, tensors(1.0))
    assert found.wait()
    full_disk(4000)
    found.save(2, tensors(2.0))
    assert not found.wait()
    assert len(said) == 1
    assert "File too large" in said[0]
    assert "\n" not in said[0]
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000001"]
    assert read(found) == (1, 1.0)
    full_disk(resource.RLIM_INFINITY)
    found.save(2, tensors(2.0))
    found.close()
    assert read(found) == (2, 2.0)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own of 160 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_without_room_stops_the_save_and_not_the_last_good_state(small_disk):
    found, said = checkpoints(small_disk, said := []), said
    found.save(1, tensors(1.0))
    assert found.wait()
    (small_disk / "other").write_bytes(bytes(4096 * (os.statvfs(small_disk).f_bavail - 1)))
    found.save(2, tensors(2.0))
    assert not found.wait()
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert read(found) == (1, 1.0)
    (small_disk / "other").unlink()
    found.save(2, tensors(2.0))
    found.close()
    assert read(found) == (2, 2.0)


def test_an_adapter_s_checkpoint_holds_what_learns_and_its_moments_alone(tmp_path):
    """<= 1.05 of their bytes, for a LoRA of rank 8 on the smallest trunk that is shared."""
    trunk = Trunk(SIZES["ti"]).requires_grad_(False)
    module = nn.ModuleDict({"trunk": trunk, "head": nn.Linear(SIZES["ti"].dim, 2)})
    learned = [*add_lora(trunk, OWN, 8, alpha=16.0), *module["head"].parameters()]
    optimizer = torch.optim.AdamW(learned)
    for parameter in learned:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = TrainState(module=module, optimizer=optimizer, generator=torch.Generator(), kept={}, step=1)
    found = checkpoints(tmp_path, [])
    found.save(1, state.tensors(rank=0))
    found.close()
    size = sum(path.stat().st_size for path in (tmp_path / "step-00000001").iterdir())
    assert size <= 1.05 * 3 * sum(one.nbytes for one in learned), size / (3 * sum(one.nbytes for one in learned))
    names = [name for name, one in module.named_parameters() if one.requires_grad]
    assert len(names) == 12 * 4 * 2 + 2
    held = {name for name in found.names(found.newest()) if name.startswith((WEIGHT, FIRST, SECOND))}
    assert held == {f"{kind}{name}" for name in names for kind in (WEIGHT, FIRST, SECOND)}


def test_a_wish_to_stop_or_to_be_queued_again_is_granted_once_all_is_saved(tmp_path):
    made = replace(MADE, steps=6)
    whole = digest(trained(made)[0])

    class Told(Watch):
        def after_step(self, state, *told):
            if state.step in sent:
                signal.raise_signal(sent[state.step])
            super().after_step(state, *told)

    sent = {2: signal.SIGUSR1, 4: signal.SIGTERM}
    for wish in ("requeue", "stop"):
        with pytest.raises(Interrupted) as raised:
            trained(made, Told(tmp_path, CheckpointConfig(every_s=1e6)))
        assert raised.value.wish == wish
    assert raised.value.step == 4
    assert digest(trained(made, Watch(tmp_path))[0]) == whole


def test_a_time_limit_asks_to_be_queued_again(tmp_path):
    with pytest.raises(Interrupted) as raised:
        trained(MADE, Watch(tmp_path, CheckpointConfig(every_s=0, time_limit_s=1e-6)))
    assert (raised.value.wish, raised.value.step) == ("requeue", 1)
    assert steps_in(tmp_path) == [1]


def test_a_log_drops_what_was_cut_off_and_what_is_done_again(tmp_path):
    path = tmp_path / LOG_FILE
    rows = [{"training": 0, "step": step} for step in (1, 2, 3)] + [{"training": 1, "step": 1}]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"training": 1, "st')
    assert read_lines(path) == rows
    Watch(tmp_path).log.begin(0, 2)
    damaged = {"trainin_": 0, "step": 1}, {"training": 0, "stem": 1}, {"training": "0", "step": None}
    path.write_bytes(path.read_bytes() + b"".join(json.dumps(row).encode() + b"\n" for row in damaged))
    Watch(tmp_path).log.begin(0, 2)
    assert read_lines(path) == [*rows[:2], rows[3]]  # the second training begins, and drops its own, later
