"""What every kind of target answers, so that nobody above asks which it is."""

import numpy as np
import pytest

from mainstem.core import preparation
from mainstem.core.errors import InputError
from mainstem.core.targets import KINDS, Classes, Findings, Quantity
from mainstem.core.task import FitConfig, Grouping, Task

NAMED = (Classes(names=("a", "b")), Findings(names=("a", "b")))
SHARES = {"probabilities": np.array([[0.2, 0.8], [0.9, 0.1]])}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_plain_preparation_suits_every_kind(kind):
    assert callable(getattr(preparation, kind.preparation))


def test_numbers_have_a_mean_as_far_as_it_is_possible():
    assert Quantity(units="t/ha", lowest=0.0).mean({"mean": np.array([-1.0, 3.0])}) == 1.5
    Quantity(units="t/ha").refuse_means("leave it out")


@pytest.mark.parametrize("target", NAMED, ids=lambda target: target.kind)
def test_what_is_named_has_none_and_a_task_that_wants_means_of_it_is_refused(target):
    assert np.isnan(target.mean(SHARES))
    with pytest.raises(InputError, match="has no mean; leave mean_of out"):
        Task(
            name="made", task="made", version="1", target=target, config=FitConfig(), read=lambda request: None,
            grouping=Grouping(mean_of="place"),
        )  # fmt: skip


@pytest.mark.parametrize("target", NAMED, ids=lambda target: target.kind)
def test_what_is_named_tells_a_probability_of_each_name_and_undercuts_nothing(target):
    told = target.probabilities(SHARES, None, ("", ""), ())
    assert {name: share.tolist() for name, share in told.items()} == {"a": [0.2, 0.9], "b": [0.8, 0.1]}
    with pytest.raises(InputError, match="leave --below out"):
        target.probabilities(SHARES, None, ("", ""), (1.0,))
