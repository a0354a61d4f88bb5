"""Images and volumes as tokens: places in metres, gaps that change nothing, sizes that are said or not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.errors import ChannelError, InputError
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.tokenizers.space import SpaceTokenizer
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

DENSITY = (Channel(name="density", unit="HU"),)
THICK = Geometry(affine=np.diag([0.5, 0.25, 3.0, 1.0]), unit="mm", frame="patient LPS")


def volume(shape=(2, 4, 4), geometry: Geometry | None = THICK, seed=0) -> Stream:
    values = np.random.default_rng(seed).normal(40, 10, (1, *shape))
    return Stream(kind="volume", values=values, channels=DENSITY, geometry=geometry)


def tokenizer(patch=(1, 2, 2), is_metric=True) -> SpaceTokenizer:
    torch.manual_seed(0)
    return SpaceTokenizer(64, DENSITY, {"density": (40.0, 10.0)}, patch, is_metric).requires_grad_(False)


def test_a_patch_lies_at_its_centre_in_metres_along_each_axis():
    tokens = tokenizer()([volume()])
    assert tokens.mask.all()
    z, y, x = (tokens.positions[0, :, axis] for axis in (1, 2, 3))
    assert z.tolist() == pytest.approx([0.0] * 4 + [3e-3] * 4)
    assert y.tolist() == pytest.approx([0.125e-3, 0.125e-3, 0.625e-3, 0.625e-3] * 2)
    assert x.tolist() == pytest.approx([0.25e-3, 1.25e-3] * 4)
    assert tokens.cell[0].tolist() == list(range(8))


def test_a_tilted_frame_turns_the_places_and_keeps_their_distances():
    turned = np.eye(4)
    turned[:2, :2] = [[0, -1], [1, 0]]
    moved = Geometry(affine=turned @ THICK.affine + np.outer([10, 20, 30, 0], [0, 0, 0, 1]), unit="mm")
    before, after = (tokenizer()([volume(geometry=geometry)]).positions[0, :, 1:] for geometry in (THICK, moved))
    torch.testing.assert_close(torch.cdist(before, before), torch.cdist(after, after))
    assert after[:, 0].tolist() == pytest.approx((before[:, 0] + 0.03).tolist())
    assert after[:, 2].tolist() == pytest.approx((0.01 - before[:, 1]).tolist())


def test_without_a_unit_places_are_shares_of_the_image_and_no_metres():
    grey = (Channel(name="density", unit="HU"),)
    for side in (4, 8):
        values = np.zeros((1, 4, side))
        bare = Stream(kind="image", values=values, channels=grey, geometry=Geometry(affine=np.eye(4)))
        tokens = tokenizer(is_metric=False)([bare])
        x = tokens.positions[0, : side // 2, 3]
        assert x.tolist() == pytest.approx([2 * (i + 0.5) / (side // 2) - 1 for i in range(side // 2)])
        assert tokens.positions.abs().max() < 1
        with pytest.raises(InputError, match="does not say its pixels' size"):
            tokenizer()([bare])


def test_missing_pixels_change_nothing_and_a_patch_without_any_is_no_token():
    stream = volume()
    valid = np.ones(stream.values.shape, bool)
    valid[0, 0, :2, :2] = False
    valid[0, 1, 3, 3] = False
    found = [
        tokenizer()([Stream(kind="volume", values=values, channels=DENSITY, valid=valid, geometry=THICK)])
        for values in (stream.values, np.where(valid, stream.values, 1e6), np.where(valid, stream.values, np.nan))
    ]
    assert found[0].mask[0].tolist() == [False, *[True] * 7]
    for one in found[1:]:
        assert torch.equal(one.values, found[0].values)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(*[st.integers(1, 5)] * 3), min_size=2, max_size=4), st.booleans())
def test_a_ragged_batch_equals_its_samples_alone(shapes, is_metric):
    geometry = THICK if is_metric else None
    samples = [
        Sample(
            streams={"scan": volume(shape, geometry, seed)}, target=None, source=Provenance(data="t", item=str(seed))
        )
        for seed, shape in enumerate(shapes)
    ]
    torch.manual_seed(0)
    trunk, reader = Trunk(SIZES["xs"]).eval(), StreamsTokenizer(read_specs(samples), 64).eval()

    def pooled(chosen):
        with torch.no_grad():
            return trunk(reader.project(reader.cut(chosen))).pooled

    torch.testing.assert_close(pooled(samples), torch.cat([pooled([one]) for one in samples]), atol=1e-5, rtol=0)


def test_specs_fit_patches_to_thin_volumes_and_refuse_a_mix_of_known_and_unknown_sizes():
    def spec(*streams: Stream):
        source = Provenance(data="t", item="1")
        return read_specs([Sample(streams={"scan": one}, target=None, source=source) for one in streams])["scan"]

    found = spec(volume((3, 40, 30)), volume((20, 64, 64)))
    assert (found.patch_depth, found.patch_size, found.is_metric) == (3, 8, True)
    photo = Stream(kind="image", values=np.zeros((1, 100, 12)), channels=DENSITY)
    assert (spec(photo).patch_depth, spec(photo).patch_size, spec(photo).is_metric) == (1, 12, False)
    source = Provenance(data="t", item="1")
    wanted = read_specs([Sample(streams={"photo": photo}, target=None, source=source)], {"patch_size": 4})
    assert wanted["photo"].patch_size == 4  # as a task says
    with pytest.raises(InputError, match="some samples say the size of the pixels of 'scan'"):
        spec(volume(), volume(geometry=None))
    with pytest.raises(ChannelError, match="comes in 1, want HU"):
        tokenizer()(
            [Stream(kind="volume", values=np.zeros((1, 1, 1, 1)), channels=(Channel(name="density", unit="1"),))]
        )
