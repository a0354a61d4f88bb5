"""Patches and token batches: cut without weights, dealt and moved as one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.families import DIM, MADE, drawn, own_samples, picture, pictures, sample

from mainstem.core.adapter import Adapter
from mainstem.core.errors import ChannelError, InputError, MainstemError
from mainstem.core.openmodels import FAMILIES, restore_tokenizer
from mainstem.core.packing import pack
from mainstem.core.targets.quantity import Quantity, ScalarHead
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.tokens import Patches, place
from mainstem.core.training import TrainingConfig, train


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
    assert list(wide.specs) == ["weather", "cube", "photo", "scan", "soil"]
    assert wide.specs["weather"] == known.specs["weather"] != specs["weather"]  # statistics as they were learned with
    assert wide.streams["weather"] is known.streams["weather"]
    assert known.misfits(specs) == dict.fromkeys(("cube", "photo", "scan", "soil"), "not known")
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
    unsized = {"scan": replace(specs["scan"], is_metric=False)}
    assert known.misfits(unsized) == {"scan": "read in metres, which these do not say"}


@pytest.mark.parametrize("family", sorted(set(MADE) - {"siglip2_text"}))
def test_an_adapter_s_tokenizer_is_built_again_from_its_facts(family):
    model = drawn(family)
    facts = json.loads(json.dumps(model.tokenizer.facts()))
    again = restore_tokenizer(facts, DIM, sum(weight.numel() for weight in model.tokenizer.state_dict().values()))
    again.load_state_dict(model.tokenizer.state_dict())
    patches = model.cut(4)
    assert torch.equal(
        again.eval().requires_grad_(False).project(patches).values, model.tokenizer.project(patches).values
    )
    if facts["kind"] in ("images", "naflex"):
        for change in ({"patch_size": 10**6}, {"mean": [0.5]}, {"std": ["wide"] * 3}, {"more": 1}):
            with pytest.raises(MainstemError):
                restore_tokenizer(facts | change, DIM, 10_000)


@pytest.mark.parametrize("family", ["dinov2", "dinov3", "siglip2"])
def test_a_vision_encoder_reads_the_pictures_of_samples(family):
    model = drawn(family)
    images = [one.streams["picture"].values for one in pictures(4)]
    wanted, found = model.tokenizer({"image": images}), model.tokenizer.project(model.cut(4))
    assert torch.equal(found.values, wanted.values)
    turned = [picture(image[::-1], "blue", "green", "red") for image in images]
    assert torch.equal(model.tokenizer.project(model.tokenizer.cut(turned)).values, wanted.values)
    grey = picture(images[0][:1], "grey", row=5)
    with pytest.raises(ChannelError, match="5: got grey in 1, want red, green, blue in 1; a grey image is no RGB"):
        model.tokenizer.cut([grey])
    model.tokenizer.config = replace(model.tokenizer.config, repeats_grey=True)
    repeated = picture(images[0][[0, 0, 0]], "red", "green", "blue")
    assert torch.equal(
        model.tokenizer.project(model.tokenizer.cut([grey])).values,
        model.tokenizer.project(model.tokenizer.cut([repeated])).values,
    )


def test_what_a_vision_encoder_cannot_read_is_one_line_with_the_item():
    tokenizer, rgb = drawn("dinov2").tokenizer, ("red", "green", "blue")
    hidden = np.zeros((3, 8, 8))
    hidden[0, 0, 0] = np.nan
    for one, words in (
        (sample({}, 7), "7: it has 0 images"),
        (picture(np.zeros((3, 8, 9)), *rgb, row=7), "7: got an image of 8 x 9"),
        (picture(hidden, *rgb, row=7), "7: image holds NaN"),
        (picture(np.full((3, 8, 8), 255.0), *rgb, row=7), "7: got a float image from 255 to 255, want 0-1"),
        (picture(np.zeros((2, 8, 8)), "red", "green", row=7), "7: got red, green in 1"),
    ):
        with pytest.raises(MainstemError, match=words):
            tokenizer.cut([one])


@pytest.mark.parametrize("part", ["frozen", "lora"])
def test_an_adapter_is_fitted_on_a_vision_encoder(part, tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    model = drawn("dinov2")
    adapter = Adapter(model.tokenizer, ScalarHead(DIM))
    targets = torch.tensor([float(one.streams["picture"].values.mean()) for one in pictures(24)])
    config = TrainingConfig(epochs=30, trunk=part, lr_per_step=3e-3)
    aims = (targets - targets.mean()) / targets.std()
    losses = train((adapter, model.trunk), pictures(24), aims, Quantity(units="1").loss, config)
    assert losses[-1] < losses[0] - 0.1


PACKED = [family for family in MADE if family != "siglip2_text"]


@pytest.mark.parametrize("length", [120, 400])
@pytest.mark.parametrize("family", PACKED)
def test_packed_rows_equal_their_samples_one_by_one(family, length):
    model = drawn(family)
    patches = model.cut(7)
    packed = pack(model.tokenizer.project(patches), length)
    assert len(packed.mask) < 7
    tokens = [model.tokenizer.project(patches.rows(torch.tensor([row]))) for row in range(7)]
    alone, found = [model.trunk(one) for one in tokens], model.trunk(packed)
    torch.testing.assert_close(found.pooled, torch.cat([one.pooled for one in alone]), atol=1e-5, rtol=0)
    for row, one in enumerate(alone):
        its = (packed.sample == row) & packed.mask
        torch.testing.assert_close(found.tokens[its], one.tokens[one.mask], atol=1e-5, rtol=0)
        assert torch.equal(packed.cell[its], tokens[row].cell[one.mask])


def test_what_is_masked_or_beside_in_a_packed_row_changes_nothing():
    model = drawn("mainstem")
    packed = pack(model.tokenizer.project(model.cut(5)), 200)
    wanted = model.trunk(packed).pooled
    others = (packed.sample != 2) | ~packed.mask
    noisy = replace(
        packed,
        values=torch.where(others[..., None], 1e3, packed.values),
        positions=packed.positions + 1e6 * others[..., None],
    )
    torch.testing.assert_close(model.trunk(noisy).pooled[2], wanted[2], atol=1e-5, rtol=0)
    assert (model.trunk(noisy).pooled[3] - wanted[3]).abs().max() > 1e-2


def test_a_sample_that_shows_nothing_is_packed_and_pooled_too():
    model = drawn("mainstem")
    samples = [*own_samples(2), sample({}, 9)]
    tokens = model.tokenizer.project(model.tokenizer.cut(samples))
    torch.testing.assert_close(model.trunk(pack(tokens, 200)).pooled, model.trunk(tokens).pooled, atol=1e-5, rtol=0)


def test_rows_that_are_too_short_or_pooled_by_their_end_are_refused():
    model = drawn("siglip2_text")
    tokens = model.tokenizer.project(model.cut(3))
    with pytest.raises(InputError, match="rows of 2"):
        pack(tokens, 2)
    with pytest.raises(InputError, match="rows of one sample"):
        model.trunk(pack(tokens, 12))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(9, 30))
def test_packing_keeps_every_token_once_and_wastes_less_than_half(counts, length):
    mask = torch.arange(9) < torch.tensor(counts)[:, None]
    packed = pack(place(torch.arange(mask.numel()).view(*mask.shape, 1).float(), mask), length)
    assert packed.mask.shape[1] <= length
    kept = packed.values[packed.mask].flatten().long()
    assert torch.equal(kept.sort().values, mask.flatten().nonzero().flatten())
    assert torch.equal(packed.sample[packed.mask], kept // 9)
    assert len(packed.mask) <= max(1, 2 * sum(max(count, 1) for count in counts) / length)
