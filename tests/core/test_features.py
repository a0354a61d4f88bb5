"""Features of a frozen trunk: computed once a sample, never taken from another model, other data or a damaged file."""

import numpy as np
import pytest
import torch

from mainstem.core.features import frozen_features, model_key
from mainstem.core.openmodels.presto import PrestoTokenizer
from mainstem.core.openmodels.presto_samples import BANDS
from mainstem.core.tokens import Patches
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import TrunkConfig


def model(seed: int) -> tuple[PrestoTokenizer, Trunk]:
    torch.manual_seed(seed)
    config = TrunkConfig(dim=32, depth=1, num_heads=2, hidden=64, num_registers=0)
    tokenizer, trunk = PrestoTokenizer(32), Trunk(config, seed)
    for parameter in (*tokenizer.parameters(), *trunk.parameters()):
        parameter.data = 0.2 * torch.randn_like(parameter)
    return tokenizer.eval(), trunk.eval()


def rows(num: int, seed: int = 0) -> Patches:
    rng = np.random.default_rng(seed)
    inputs = {"bands": rng.normal(500, 100, (num, 3, len(BANDS))), "latlon": rng.uniform(-50, 50, (num, 2))}
    return model(0)[0].cut_inputs(inputs | {"month": np.full((num, 3), 5)})


class Counting(torch.nn.Module):
    """Counts the samples that pass a trunk."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.seen = trunk, 0
        trunk.register_forward_pre_hook(self._count)

    def _count(self, module: torch.nn.Module, arguments: tuple) -> None:
        self.seen += len(arguments[0].mask)


def test_each_sample_is_computed_once_and_equals_the_model_s_own(tmp_path):
    tokenizer, trunk = model(1)
    batch, counter = rows(6), Counting(trunk)
    with torch.no_grad():
        wanted = trunk(tokenizer.project(batch)).pooled
    counter.seen = 0
    torch.testing.assert_close(frozen_features(tokenizer, trunk, [batch], tmp_path), wanted, atol=1e-6, rtol=0)
    assert counter.seen == 6
    some = batch.rows(torch.tensor([4, 1, 1]))
    torch.testing.assert_close(
        frozen_features(tokenizer, trunk, [some], tmp_path), wanted[[4, 1, 1]], atol=1e-6, rtol=0
    )
    assert counter.seen == 6
    frozen_features(tokenizer, trunk, [rows(7)], tmp_path)
    assert counter.seen == 6 + 7  # other values, though of the same shape: none is taken from the cache


def test_another_model_s_features_are_never_taken(tmp_path):
    batch = rows(4)
    ours, theirs = model(1), model(2)
    first = frozen_features(*ours, [batch], tmp_path)
    (only,) = tmp_path.iterdir()
    only.rename(tmp_path / f"{model_key(*theirs)}.safetensors")  # a foreign file under the right name
    counter = Counting(theirs[1])
    second = frozen_features(*theirs, [batch], tmp_path)
    assert counter.seen == 4
    assert (first - second).abs().max() > 1e-2
    with torch.no_grad():
        ours[1].blocks[0].mlp.up.weight[0, 0] += 1e-3
    assert model_key(*ours) != only.stem


@pytest.mark.parametrize("damage", [lambda content: content[:-10], lambda content: b"", lambda content: content[::-1]])
def test_a_damaged_file_is_computed_anew(tmp_path, damage):
    tokenizer, trunk = model(1)
    batch = rows(3)
    wanted = frozen_features(tokenizer, trunk, [batch], tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    torch.testing.assert_close(frozen_features(tokenizer, trunk, [batch], tmp_path), wanted, atol=1e-6, rtol=0)
