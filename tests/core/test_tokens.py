"""Patches and token batches: cut without weights, dealt and moved as one."""

from dataclasses import replace

import pytest
import torch
from tests.core.families import DIM, MADE, drawn, own_samples

from mainstem.core.openmodels import FAMILIES
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.tokens import Patches


def test_every_family_is_drawn():
    assert set(MADE) == set(FAMILIES)


@pytest.mark.parametrize("family", MADE)
def test_a_tokenizer_cuts_on_the_cpu_whatever_became_of_its_weights(family):
    model = drawn(family)
    wanted = model.cut(4)
    model.tokenizer.to("meta")
    found = model.cut(4)
    assert len(found) == 4
    assert set(found.parts) == set(wanted.parts)
    for name in found.parts:
        for one, other in zip(found.each(name), wanted.each(name), strict=True):
            assert one.device.type == "cpu"
            assert not one.requires_grad
            assert torch.equal(one.nan_to_num(7), other.nan_to_num(7))


@pytest.mark.parametrize("family", MADE)
def test_rows_of_patches_are_the_patches_of_rows(family):
    model = drawn(family)
    some = model.cut(4).rows(torch.tensor([2, 0]))
    assert len(some) == 2
    tokens, all_tokens = model.tokenizer.project(some), model.tokenizer.project(model.cut(4))
    for row, other in enumerate((2, 0)):
        picked, wanted = tokens.values[row][tokens.mask[row]], all_tokens.values[other][all_tokens.mask[other]]
        assert (picked - wanted).abs().max() < 1e-5


def test_moving_patches_casts_values_and_leaves_times():
    patches = Patches(
        parts={"values": torch.ones(2, 3), "times": torch.ones(2, 3, dtype=torch.float64), "each": [torch.ones(1)] * 2}
    )
    moved = patches.to("cpu", torch.bfloat16)
    assert moved["values"].dtype == moved.each("each")[0].dtype == torch.bfloat16
    assert moved["times"].dtype == torch.float64
    assert patches.below("ti").parts.keys() == {"mes"}
    with pytest.raises(AssertionError, match="differ in the size of each"):
        moved["each"]


def test_a_stream_s_code_is_its_own_whatever_stands_beside_it():
    whole = StreamsTokenizer(read_specs(own_samples(6)), DIM)
    few = [replace(one, streams={"weather": one.streams["weather"]}) for one in own_samples(6)[::2]]
    alone = StreamsTokenizer(read_specs(few), DIM)
    codes = {name: tokenizer.stream_code for name, tokenizer in whole.streams.items()}
    assert torch.equal(alone.streams["weather"].stream_code, codes["weather"])
    assert len({tuple(code.tolist()) for code in codes.values()}) == len(codes)


@pytest.mark.parametrize("name", own_samples(1)[0].streams)
def test_every_token_of_a_stream_carries_its_code_once(name):
    tokenizer = StreamsTokenizer(read_specs(own_samples(6)), DIM).eval()
    patches = tokenizer.cut(own_samples(4))
    with torch.no_grad():
        before = tokenizer.project(patches)
        tokenizer.streams[name].stream_code += 1.0
        moved = (tokenizer.project(patches).values - before.values).mean(-1)
    is_its = before.mask & (before.stream == list(tokenizer.specs).index(name))
    assert is_its.any()
    assert moved[is_its] == pytest.approx(1.0, abs=1e-6)
    assert not moved[before.mask & ~is_its].any()


def test_a_wider_tokenizer_keeps_what_it_knows_and_adds_the_rest():
    few = [replace(one, streams={"weather": one.streams["weather"]}) for one in own_samples(1)]
    known = StreamsTokenizer(read_specs(few), DIM)
    for weight in known.parameters():
        weight.data.fill_(0.123)
    specs = read_specs(own_samples(6))
    wide = known.widened(specs)
    assert list(wide.specs) == ["weather", "cube", "soil"]
    assert wide.specs["weather"] == known.specs["weather"] != specs["weather"]  # statistics as they were learned with
    assert wide.streams["weather"] is known.streams["weather"]
    assert known.misfits(specs) == {"cube": "not known", "soil": "not known"}
    assert wide.widened(specs) is wide
    assert wide.project(wide.cut(own_samples(2))).mask.any()


def test_a_stream_that_became_another_gets_a_new_part():
    known = StreamsTokenizer(read_specs(own_samples(6)), DIM)
    specs = read_specs(own_samples(6))
    inches = tuple(replace(channel, unit="inch") for channel in specs["soil"].channels)
    specs["soil"] = replace(specs["soil"], channels=inches)
    wide = known.widened(specs)
    assert known.misfits(specs) == {"soil": "channel 'ph' comes in inch, want 1; convert it"}
    assert wide.streams["soil"] is not known.streams["soil"]
    assert wide.streams["cube"] is known.streams["cube"]
