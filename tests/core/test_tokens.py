"""Patches and token batches: cut without weights, dealt and moved as one."""

import pytest
import torch
from tests.core.families import MADE, drawn

from mainstem.core.openmodels import FAMILIES
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
