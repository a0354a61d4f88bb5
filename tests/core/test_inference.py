"""Trunks at inference are the trunk itself, faster: for every pooling, switch, gap and LoRA."""

from dataclasses import replace

import pytest
import torch

from mainstem.core import inference
from mainstem.core.errors import InputError
from mainstem.core.inference import mix, pooled_each, pooled_of
from mainstem.core.lora import OWN, add_lora
from mainstem.core.packing import pack
from mainstem.core.tokens import TokenBatch, concatenate, place
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES, TrunkConfig

XS = SIZES["xs"]
NUM = 150
CONFIGS = {
    "own": XS,
    "no register": replace(XS, num_registers=0),
    "cls": replace(XS, pooling="cls", num_registers=0),
    "last": replace(XS, pooling="last", project=12),
    "mean_norm": replace(XS, pooling="mean_norm", num_prefix=2),
    "norm_mean": replace(XS, pooling="norm_mean", num_prefix=3, norm_eps=1e-5),
    "map": replace(XS, pooling="map"),
    "gated": replace(XS, gated=True, activation="silu", layer_scale=True, key_bias=False),
    "no places": replace(XS, time=None, space=None, activation="gelu_tanh"),
    "one block": replace(XS, depth=1),
}


def trunk_of(config: TrunkConfig) -> Trunk:
    """A trunk whose every weight matters, norms and biases too."""
    torch.manual_seed(0)
    trunk = Trunk(config).eval()
    for name, parameter in trunk.named_parameters():
        torch.nn.init.normal_(parameter, 1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)
    return trunk


def tokens_of(seed: int = 0, gaps: float = 0.0) -> TokenBatch:
    """Ten days of NUM pixels and a token without a clock; some days missing where there are gaps."""
    torch.manual_seed(seed)
    series = place(
        torch.randn(NUM, 10, 64) + 3, torch.rand(NUM, 10) >= gaps, 86_400.0 * torch.arange(10.0).expand(NUM, 10)
    )
    return concatenate([series, place(torch.randn(NUM, 1, 64), torch.ones(NUM, 1, dtype=torch.bool))]).trimmed()


@pytest.mark.parametrize("name", CONFIGS)
def test_pooled_tokens_are_those_of_the_trunk(name):
    trunk, tokens = trunk_of(CONFIGS[name]), tokens_of()
    with torch.no_grad():
        torch.testing.assert_close(pooled_of(trunk, tokens), trunk(tokens).pooled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["own", "no places", "mean_norm"])
def test_gaps_change_nothing(name, monkeypatch):
    trunk, whole, ragged = trunk_of(CONFIGS[name]), tokens_of(), tokens_of(1, gaps=0.15)
    few = torch.arange(NUM) < 70  # of these the last three days are missing, of the others any
    some = ragged.mask.clone()
    some[few] = torch.arange(some.shape[1]) < some.shape[1] - 3
    mixed = replace(
        ragged,
        mask=some,
        positions=torch.where(few[:, None, None], whole.positions[:, : some.shape[1]], ragged.positions),
    )
    ran = []
    alike = inference._pooled_alike
    monkeypatch.setattr(inference, "_pooled_alike", lambda *asked: ran.append(len(asked[2])) or alike(*asked))
    with torch.no_grad():
        torch.testing.assert_close(pooled_of(trunk, mixed), trunk(mixed).pooled, atol=1e-5, rtol=1e-5)
    assert max(ran) >= 70


def test_a_lora_is_folded_in():
    trunk, tokens = trunk_of(XS), tokens_of()
    for parameter in add_lora(trunk, OWN, 4, 8.0, 0):
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        found = pooled_of(trunk, tokens, OWN)
        torch.testing.assert_close(found, trunk(tokens, [OWN] * NUM).pooled, atol=2e-5, rtol=1e-5)
        assert (found - pooled_of(trunk, tokens)).abs().max() > 0.1


@pytest.mark.parametrize("num", [1, 9, NUM])
@pytest.mark.parametrize("name", ["own", "map", "gated"])
def test_several_loras_read_the_same_tokens_as_each_alone(name, num, monkeypatch):
    """Few rows pass as one batch, no larger than is allowed; many are folded, or pass LoRA by LoRA."""
    trunk, loras = trunk_of(CONFIGS[name]), ["one", None, "two", "three"]
    for seed, lora in enumerate(filter(None, loras)):
        for parameter in add_lora(trunk, lora, 4, 8.0, seed):
            torch.nn.init.normal_(parameter, std=0.1)
    tokens = tokens_of(1, gaps=0.3).rows(torch.arange(num))
    monkeypatch.setattr(inference, "TOGETHER", 300)
    ran = []
    trunk.register_forward_hook(lambda own, given, made: ran.append(len(given[0].mask)))
    with torch.no_grad():
        found = pooled_each(trunk, tokens, loras)
        sizes = list(ran)
        for made, lora in zip(found, loras, strict=True):
            torch.testing.assert_close(made, pooled_of(trunk, tokens, lora), atol=2e-5, rtol=1e-5)
    assert (found[0] - found[2]).abs().max() > 0.01
    assert all(size <= max(num, 300 // tokens.mask.shape[1]) for size in sizes)
    assert num == NUM or len(sizes) < len(loras)
    packed = pack(tokens, 24)
    with torch.no_grad():
        if name != "map":
            torch.testing.assert_close(pooled_each(trunk, packed, loras)[2], pooled_of(trunk, packed, "two"))


def test_lower_precision_stays_near_and_training_is_left_alone():
    trunk, tokens = trunk_of(XS), tokens_of()
    with torch.no_grad():
        whole, half = pooled_of(trunk, tokens), pooled_of(trunk, tokens, None, torch.bfloat16)
    assert half.dtype == torch.float32
    assert 0 < (half - whole).abs().mean() < 0.02 * whole.std()
    assert pooled_of(trunk, replace(tokens, values=tokens.values.requires_grad_())).requires_grad
    dropping = Trunk(replace(XS, dropout=0.5)).train()
    assert not torch.equal(pooled_of(dropping, tokens), pooled_of(dropping, tokens))


def test_packed_rows_and_rows_padded_to_one_length_are_the_trunk_s():
    trunk, tokens = trunk_of(XS), tokens_of(1, gaps=0.3)
    packed = pack(tokens, 12)
    assert len(packed.mask) > inference.FEWEST
    with torch.no_grad():
        torch.testing.assert_close(pooled_of(trunk, packed), trunk(packed).pooled, atol=1e-5, rtol=1e-5)
        short = replace(tokens, mask=tokens.mask & (torch.arange(tokens.mask.shape[1]) < 4))
        for pooling in (XS, CONFIGS["last"]):
            other = trunk_of(pooling)
            torch.testing.assert_close(pooled_of(other, short), other(short).pooled, atol=1e-5, rtol=1e-5)


def test_a_part_of_packed_rows_keeps_what_tells_their_samples_apart():
    packed = pack(tokens_of(1, gaps=0.3), 30)
    chosen = torch.tensor([3, 0])
    part = packed.rows(chosen)
    assert torch.equal(part.sample, packed.sample[chosen])
    ahead = packed.first(packed.mask.shape[1])
    assert torch.equal(ahead.sample[ahead.mask], packed.sample[packed.mask])


def test_values_of_any_size_are_weighed_however_alike_the_scores():
    for score in (39.0, 41.0, 79.0):
        found = mix(torch.full((1, 1, 40), score), torch.full((1, 40, 4), 1e3))
        torch.testing.assert_close(found, torch.full((1, 1, 4), 1e3))


def test_a_sample_that_is_nan_leaves_large_scores_of_others_as_they_are():
    scores = torch.full((2, 3, 3), 1e3)
    scores[0] = torch.nan
    found = mix(scores, torch.ones(2, 3, 4))
    assert found[0].isnan().all()
    torch.testing.assert_close(found[1], torch.ones(3, 4))


def test_no_row_gives_none_and_a_lora_that_lacks_is_named_whatever_the_number():
    trunk, tokens = trunk_of(XS), tokens_of()
    with torch.no_grad():
        assert pooled_of(trunk, tokens.rows(torch.arange(0))).shape == (0, 64)
        for rows in (tokens.rows(torch.arange(8)), tokens):
            with pytest.raises(InputError, match="'maize'"):
                pooled_of(trunk, rows, "maize")


@pytest.mark.parametrize("size", [0.1, 10.0, 70.0, 1e3, 1e30])
def test_attention_of_few_tokens_is_a_softmax_s_however_large_the_scores(size):
    generator = torch.Generator().manual_seed(0)
    scores = size * torch.randn(40, 7, 7, generator=generator).clamp(-1, 1)
    value = torch.randn(40, 7, 5, generator=generator)
    expected = torch.bmm(torch.softmax(scores, -1), value)
    torch.testing.assert_close(mix(scores.clone(), value), expected, atol=2e-6, rtol=2e-6)
