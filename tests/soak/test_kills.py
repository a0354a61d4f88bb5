"""Kills at any instant lose no state: what was begun ends with the weights of a training that nobody killed."""

import pytest

from tests.core.made_training import digest, trained
from tests.soak.kills import MADE, kill_at_random

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled", "ignore:This process")


def check(told, kills: int) -> None:
    assert told.kills >= kills
    assert told.unloadable == 0
    assert len(told.weights) == 1
    print(f"{told.kills} kills, {told.inside_saves} of them inside a save")


@pytest.mark.long
@pytest.mark.parametrize(("size", "kills"), [(1, 7), (2, 3)])
def test_ten_kills(tmp_path, size, kills):
    told = kill_at_random(tmp_path, size, kills, seed=size)
    check(told, kills)
    if size == 1:
        assert told.weights == {digest(trained(MADE)[0])}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kills"), [(1, 150), (2, 50)])
def test_two_hundred_kills(tmp_path, size, kills):
    told = kill_at_random(tmp_path, size, kills, seed=10 + size)
    check(told, kills)
    assert told.inside_saves > kills // 4
