"""Recomputed blocks change no bit; compiled ones round otherwise; afterwards the blocks are as they were."""

import pytest
from tests.core.made_training import Made, digest, trained

from mainstem.core.easing import blocks_of


@pytest.mark.parametrize("part", ["lora", "full"])
def test_recomputed_blocks_change_no_bit_of_the_weights(part):
    plain = trained(Made(steps=3, part=part, dropout=0.2))[0]
    again = trained(Made(steps=3, part=part, dropout=0.2, is_recomputed=True))[0]
    assert digest(again) == digest(plain)
    assert len(blocks_of(again)) == 2
    assert not any("forward" in vars(block) for block in blocks_of(again))


@pytest.mark.slow
def test_compiled_blocks_give_the_same_losses():
    plain, compiled = (trained(Made(steps=6, part="full", is_compiled=is_compiled)) for is_compiled in (False, True))
    assert compiled[1] == pytest.approx(plain[1], rel=1e-3)
    assert all(block._compiled_call_impl is None for block in blocks_of(compiled[0]))
