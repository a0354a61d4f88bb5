"""A heatmap is of what the trunk tells, whatever kind of target it is told of, and of one image."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mainstem.core.adapter import Adapter
from mainstem.core.errors import InputError
from mainstem.core.heatmaps import heatmap
from mainstem.core.layout import Layout
from mainstem.core.member import Ensemble, Member, tokenizer_of
from mainstem.core.preparation import as_they_are
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Classes, Detection, Findings, Quantity, Target
from mainstem.core.tokenizers.streams import read_specs
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

NAMES = ("a", "b")
TARGETS = (Quantity(units="cells"), Classes(names=NAMES), Detection(names=NAMES), Findings(names=NAMES))


def sample(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    photo = Stream(kind="image", values=rng.normal(size=(1, 8, 12)), channels=(Channel(name="grey", unit="1"),))
    fact = Stream(kind="scalar", values=rng.normal(size=1), channels=(Channel(name="x", unit="1"),))
    return Sample(streams={"fact": fact, "photo": photo}, target=1.0, source=Provenance(data="made", item=f"{seed}"))


def fitted(target: Target) -> SimpleNamespace:
    samples, trunk = [sample(seed) for seed in range(3)], Trunk(SIZES["xs"], 0).eval()
    torch.manual_seed(0)
    specs = read_specs(samples, {"patch_size": 4})
    adapter = Adapter(tokenizer_of(None, specs, trunk.config.dim), target.head(trunk.config.dim, specs)).eval()
    member = Member(
        trunk=trunk, adapter=adapter, preparation=as_they_are(samples, "any"), target=target, frame={"std": 1.0}
    )
    return SimpleNamespace(ensemble=Ensemble(members=(member,), target=target, blend={}, layout=Layout.of(samples)))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_each_patch_of_the_image_has_its_own_fall(target):
    found = heatmap(fitted(target), sample(7), "photo", 1)
    assert found.shape == (8, 12)
    patches = found.reshape(2, 4, 3, 4).transpose(0, 2, 1, 3).reshape(6, 16)
    assert (np.ptp(patches, axis=1) == 0).all()
    assert len(np.unique(patches[:, 0])) == 6
    assert np.abs(found).max() > 1e-6


def test_what_is_no_image_has_no_map():
    with pytest.raises(InputError, match="no image 'fact'"):
        heatmap(fitted(TARGETS[0]), sample(7), "fact")
