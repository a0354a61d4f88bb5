"""The trunk and its tokenizers: padding, gaps and neighbours in the batch change nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.errors import ChannelError, InputError
from mainstem.core.lora import add_lora, load_lora, lora_state, remove_lora
from mainstem.core.stream import Channel, Stream
from mainstem.core.tokenizers.scalar import ScalarTokenizer
from mainstem.core.tokenizers.series import SeriesTokenizer
from mainstem.core.tokens import TokenBatch, concatenate, place
from mainstem.core.trunk import Trunk, attend, rotary_phases
from mainstem.core.trunk_config import SIZES

NDVI = (Channel(name="ndvi", unit="1"), Channel(name="fpar", unit="%"))
SOIL = (Channel(name="awc", unit="mm"), Channel(name="clay", unit="%"))
STATISTICS = {"ndvi": (0.5, 0.2), "fpar": (50.0, 20.0), "awc": (100.0, 30.0), "clay": (20.0, 5.0)}
DAY = 86_400.0


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    torch.manual_seed(0)
    trunk = Trunk(SIZES["xs"])
    for parameter in trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return trunk.eval()


@pytest.fixture(scope="module")
def tokenizers() -> tuple[SeriesTokenizer, ScalarTokenizer]:
    torch.manual_seed(1)
    return SeriesTokenizer(64, NDVI, STATISTICS), ScalarTokenizer(64, SOIL, STATISTICS)


def ndvi_stream(steps: int, cloudy: list[int], seed: int) -> Stream:
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.uniform(0, 1, steps), rng.uniform(0, 100, steps)])
    values[[step for step in cloudy if step < steps]] = np.nan
    return Stream(kind="series", values=values, channels=NDVI, times=np.cumsum(rng.uniform(1, 12, steps)) * DAY)


def tokenize(tokenizers: tuple[torch.nn.Module, ...], samples: list[tuple[Stream | None, ...]]) -> TokenBatch:
    columns = zip(*samples, strict=True)
    parts = [tokenizer(list(column)) for tokenizer, column in zip(tokenizers, columns, strict=True)]
    return concatenate(parts)


sample = st.tuples(
    st.one_of(st.none(), st.builds(ndvi_stream, st.integers(0, 20), st.lists(st.integers(0, 19)), st.integers(0, 99))),
    st.sampled_from(
        [
            None,
            Stream(kind="scalar", values=np.array([120.0, 18.0]), channels=SOIL),
            Stream(kind="scalar", values=np.array([np.nan, 18.0]), channels=SOIL),
        ]
    ),
)


@settings(max_examples=40, deadline=None)
@given(samples=st.lists(sample, min_size=1, max_size=5))
def test_a_ragged_batch_equals_its_samples_one_by_one(trunk, tokenizers, samples):
    with torch.no_grad():
        together = trunk(tokenize(tokenizers, samples).trimmed()).pooled
        alone = torch.cat([trunk(tokenize(tokenizers, [one])).pooled for one in samples])
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_what_a_masked_token_holds_changes_nothing(trunk, tokenizers):
    batch = tokenize(tokenizers, [(ndvi_stream(9, [2, 5], 0), None)])
    noisy = torch.where(batch.mask.unsqueeze(-1), batch.values, torch.full_like(batch.values, 1e3))
    changed = TokenBatch(
        values=noisy, positions=batch.positions + ~batch.mask.unsqueeze(-1), stream=batch.stream, mask=batch.mask
    )
    with torch.no_grad():
        torch.testing.assert_close(trunk(changed).pooled, trunk(batch).pooled, atol=1e-6, rtol=0)


def test_a_valid_token_does_change_the_output(trunk, tokenizers):
    with torch.no_grad():
        one, other = (trunk(tokenize(tokenizers, [(ndvi_stream(9, [], seed), None)])).pooled for seed in (0, 1))
    assert (one - other).abs().max() > 1e-2


def test_attention_sees_only_differences_of_time_and_keeps_milliseconds_at_an_epoch_offset():
    config = SIZES["xs"]
    positions = torch.zeros(1, 2, 4, dtype=torch.float64)
    positions[0, 1, 0] = 0.010

    def difference(offset_s: float) -> torch.Tensor:
        moved = positions.clone()
        moved[..., 0] += offset_s
        phases = rotary_phases(moved, config)
        turned = slice(phases.pairs, 2 * phases.pairs)
        cos, sin = phases.kept[0, :, 0, 0, turned], phases.swapped[0, :, 0, 0, turned]
        return cos[1] * cos[0] + sin[1] * sin[0]

    torch.testing.assert_close(difference(0.0), difference(1.7e9), atol=1e-4, rtol=0)


def test_mixed_adapters_equal_separate_runs_and_survive_saving(trunk, tokenizers):
    names = ["maize", "wheat"]
    for seed, (name, rank) in enumerate(zip(names, (4, 8), strict=True)):
        for parameter in add_lora(trunk, name, rank, alpha=8.0, seed=seed):
            torch.nn.init.normal_(parameter, std=0.1)
    batch = tokenize(tokenizers, [(ndvi_stream(7, [1], seed), None) for seed in range(4)])
    chosen = ["maize", "wheat", "wheat", "maize"]
    try:
        with torch.no_grad():
            mixed = trunk(batch, chosen).pooled
            separate = {name: trunk(batch, [name] * 4).pooled for name in names}
            bare = trunk(batch).pooled
            state = lora_state(trunk, "maize")
            remove_lora(trunk, "maize")
            load_lora(trunk, "maize", state, alpha=8.0)
            again = trunk(batch, chosen).pooled
        expected = torch.stack([separate[name][row] for row, name in enumerate(chosen)])
        torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(again, mixed, atol=1e-6, rtol=0)
        assert (mixed - bare).abs().max() > 1e-2
        with pytest.raises(InputError, match="oats"):
            trunk(batch, ["oats"] * 4)
    finally:
        for name in names:
            remove_lora(trunk, name)


def test_wrong_channels_and_units_are_named(tokenizers):
    series = tokenizers[0]
    times = np.array([0.0, DAY])
    renamed = (NDVI[0], Channel(name="fapar", unit="%"))
    with pytest.raises(ChannelError, match="fpar"):
        series([Stream(kind="series", values=np.ones((2, 2)), channels=renamed, times=times)])
    percent = (NDVI[0], Channel(name="fpar", unit="1"))
    with pytest.raises(ChannelError, match="convert"):
        series([Stream(kind="series", values=np.ones((2, 2)), channels=percent, times=times)])


def test_streams_refuse_a_clock_out_of_order():
    with pytest.raises(InputError, match="increasing"):
        Stream(kind="series", values=np.ones((2, 1)), channels=NDVI[:1], times=np.array([DAY, 0.0]))


@pytest.mark.parametrize(("size", "millions"), [("ti", 5.5), ("s", 22), ("b", 86)])
def test_sizes_have_the_parameters_they_name(size, millions):
    count = sum(parameter.numel() for parameter in Trunk(SIZES[size]).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.04)


def test_one_seed_gives_one_trunk():
    first, second, other = (Trunk(SIZES["xs"], seed).state_dict()["blocks.0.mlp.up.weight"] for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("masked", [False, True])
def test_plain_attention_of_bfloat16_training_equals_the_fused_one(masked):
    generator = torch.Generator().manual_seed(0)
    heads = [torch.randn(2, 3, 50, 16, generator=generator) for _ in range(3)]
    mask = torch.rand(2, 1, 1, 50, generator=generator) > 0.3 if masked else None
    exact = [part.clone().requires_grad_() for part in heads]
    wanted = torch.nn.functional.scaled_dot_product_attention(*exact, attn_mask=mask)
    short = [part.to(torch.bfloat16).requires_grad_() for part in heads]
    found = attend(*short, mask)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=3e-2, rtol=0)
    target = torch.randn(wanted.shape, generator=generator)
    (wanted * target).sum().backward()
    (found.float() * target).sum().backward()
    for one, other in zip(short, exact, strict=True):
        torch.testing.assert_close(one.grad.float(), other.grad, atol=5e-2, rtol=5e-2)


def test_a_trunk_in_bfloat16_stays_near_its_float32_self():
    trunk = Trunk(SIZES["ti"], 0).eval()
    values = torch.randn(2, 40, 192, generator=torch.Generator().manual_seed(1))
    tokens = place(values, torch.ones(2, 40, dtype=torch.bool), torch.arange(40.0).expand(2, 40) * DAY)
    with torch.no_grad():
        exact = trunk(tokens).pooled
        short = trunk.to(torch.bfloat16)(replace(tokens, values=values.to(torch.bfloat16))).pooled
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), exact, atol=8e-2, rtol=0)
