"""Pretraining's losses: packed or not the same, what is hidden tells nothing, and each part is learned."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.core.processes import run_in

from mainstem.core.loader import Batch, Idle, cut_batches, order, shared
from mainstem.core.loop import Plan, optimize
from mainstem.core.masking import Masking, draw_hidden
from mainstem.core.objectives import MaskedPretraining, ObjectiveConfig, encode, width_of
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES
from mainstem.core.watch import Watch
from mainstem.core.weights import state_sha256

DAY_S = 86_400.0
WHOLE = Masking(whole_stream=1.0, burst=0.0, patches=0.0)


def channels(*names: str) -> tuple[Channel, ...]:
    return tuple(Channel(name=name, unit="1") for name in names)


def made(row: int) -> Sample:
    """A wave, told by a series with gaps, an image, a volume, a grid and scalars; every third lacks the image."""
    rng = np.random.default_rng((5, row))
    phase, level = rng.uniform(0, 6.28), rng.normal()
    steps = np.arange(rng.integers(6, 15), dtype=float)
    series = np.stack([np.sin(0.7 * steps + phase), level + 0 * steps], 1)
    series[rng.uniform(size=series.shape) < 0.1] = np.nan
    wave = np.sin(phase + 0.9 * np.arange(8.0))
    metric = Geometry.of_spacing(10.0)
    streams = {
        "series": Stream(kind="series", values=series, channels=channels("wave", "level"), times=DAY_S * steps),
        "place": Stream(kind="scalar", values=np.array([level]), channels=channels("level")),
        "image": Stream(kind="image", values=np.tile(wave, (1, 8, 1)), channels=channels("wave")),
        "volume": Stream(kind="volume", values=np.tile(wave, (1, 4, 4, 1)), channels=channels("wave")),
        "grid": Stream(
            kind="grid", values=np.tile(wave[:3], (4, 1, 3, 1)), channels=channels("wave"), geometry=metric,
            times=DAY_S * np.arange(4.0),
        ),
    }  # fmt: skip
    if row % 3 == 0:
        del streams["image"]
    return Sample(
        streams=streams,
        target=None,
        source=Provenance(data="made", item=str(row), group=f"g{row % 4}", licence="CC0-1.0"),
    )


SAMPLES = [made(row) for row in range(24)]


def objective_of(
    samples=SAMPLES, steps: int = 100, masking: Masking | None = None, **config: float
) -> MaskedPretraining:
    torch.manual_seed(0)
    specs = {name: replace(spec, patch_size=min(spec.patch_size, 4)) for name, spec in read_specs(samples).items()}
    tokenizer = StreamsTokenizer(specs, 64)
    return MaskedPretraining(
        (tokenizer, Trunk(SIZES["xs"])), ObjectiveConfig(**config), masking or Masking(), steps
    ).train()


def lost(objective: MaskedPretraining, samples=SAMPLES, seed: int = 0):
    patches = objective.tokenizer.cut(samples)
    return objective.loss(torch.arange(len(samples)), patches, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("row_length", [1, 120])
def test_packed_rows_cost_what_samples_alone_cost_and_teach_the_same(row_length):
    plain, packed = objective_of(), objective_of(row_length=row_length)
    one, other = lost(plain), lost(packed)
    assert int(one.count) == int(other.count) == len(SAMPLES)
    assert float(other.mean().detach()) == pytest.approx(float(one.mean().detach()), rel=1e-5)
    for name, value in plain.told.items():
        assert float(packed.told[name]) == pytest.approx(float(value), rel=1e-5, abs=1e-6), name
    one.mean().backward()
    other.mean().backward()
    for (name, wanted), found in zip(plain.named_parameters(), packed.parameters(), strict=True):
        if wanted.grad is not None:
            torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_half_precision_costs_what_full_precision_does_but_for_rounding():
    full, half = objective_of(), objective_of()
    half.precision = "bfloat16"
    assert float(lost(half).mean().detach()) == pytest.approx(float(lost(full).mean().detach()), rel=0.02)


def test_what_is_hidden_tells_nothing_to_the_encoder_and_all_to_the_teacher():
    objective = objective_of()
    with torch.no_grad():
        tokens = objective.tokenizer.project(objective.tokenizer.cut(SAMPLES))
        hidden = draw_hidden(tokens, Masking(), torch.Generator().manual_seed(0))
        shown = replace(tokens, mask=tokens.mask & ~hidden.tokens)
        other = replace(
            shown, values=torch.where(hidden.tokens[..., None], torch.randn_like(tokens.values), tokens.values)
        )
        one, again = encode(objective.trunk, shown), encode(objective.trunk, other)
    torch.testing.assert_close(again.tokens, one.tokens)
    torch.testing.assert_close(again.pooled, one.pooled)
    assert (one.tokens[hidden.tokens] == 0).all()
    assert (one.tokens[shown.mask].abs().sum(-1) > 0).all()


def test_encoded_tokens_lie_in_their_own_places():
    objective = objective_of()
    with torch.no_grad():
        tokens = objective.tokenizer.project(objective.tokenizer.cut(SAMPLES))
        holes = replace(tokens, mask=tokens.mask & (torch.arange(tokens.mask.shape[1]) % 3 > 0))
        plain = objective.trunk(holes)
        for row_length in (0, 100):
            found = encode(objective.trunk, holes, row_length, layers=(1,))
            torch.testing.assert_close(found.tokens[holes.mask], plain.tokens[holes.mask], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found.pooled, plain.pooled, rtol=1e-4, atol=1e-5)
            assert found.layers[0].shape == found.tokens.shape


def test_content_is_what_tokens_were_cut_from():
    objective = objective_of()
    patches = objective.tokenizer.cut(SAMPLES)
    for name, spec in objective.tokenizer.specs.items():
        part = objective.tokenizer.part(name)
        its = patches.below(f"{name}.")
        tokens, content = part.project(its), part.content(its)
        assert content.shape == (*tokens.mask.shape, width_of(spec))
        assert torch.equal(content.isfinite().any(-1), tokens.mask)
        shown = content[content.isfinite()]
        assert abs(float(shown.mean())) < 0.2, name  # standardised
        assert 0.7 < float(shown.std()) < 1.3, name
    series = objective.tokenizer.part("series").content(patches.below("series."))[0, :6]
    mean, std = objective.tokenizer.specs["series"].statistics["wave"]
    np.testing.assert_allclose(series[:, 0], (SAMPLES[0].streams["series"].values[:6, 0] - mean) / std, rtol=1e-4)


@pytest.mark.long
def test_a_few_samples_are_learned_by_heart_and_stay_apart():
    objective = objective_of(steps=80, teacher_keeps=0.9)
    plan = Plan(steps=80, lr_per_step=3e-3)
    lost(objective)
    before = {name: float(value) for name, value in objective.told.items()}
    optimize(
        objective,
        lambda first: cut_batches(objective.tokenizer, SAMPLES, order(0, len(SAMPLES), len(SAMPLES), first)),
        plan,
    )
    lost(objective)
    after = {name: float(value) for name, value in objective.told.items()}
    assert after["latents"] < 0.7 * before["latents"]
    assert after["reconstruction"] < 0.7 * before["reconstruction"]
    assert after["contrast"] < 0.7 * before["contrast"]
    assert after["spread"] > 0.2


def test_the_teacher_follows_without_learning():
    objective = objective_of(steps=10, teacher_keeps=0.9)
    first = copy.deepcopy(list(objective.teacher.parameters()))
    lost(objective).mean().backward()
    assert all(weight.grad is None for weight in objective.teacher.parameters())
    with torch.no_grad():
        for weight in (*objective.tokenizer.parameters(), *objective.trunk.parameters()):
            weight += 1.0
    objective.after_step(0)
    for weight, was in zip(objective.teacher.parameters(), first, strict=True):
        torch.testing.assert_close(weight, was + 0.1, rtol=1e-4, atol=1e-5)
    state = objective.state_dict()
    assert set(objective.kept()) <= set(state)
    second = [weight.clone() for weight in objective.teacher.parameters()]
    objective.after_step(10)
    for weight, was in zip(objective.teacher.parameters(), second, strict=True):
        assert torch.equal(weight, was)


def test_contrast_knows_no_other_among_samples_that_share_the_stream_itself():
    twins = [replace(sample, streams={**SAMPLES[0].streams}) for sample in SAMPLES]
    alike = objective_of(masking=WHOLE)
    lost(alike, twins)
    assert float(alike.told["contrast"]) == 0.0
    apart = objective_of(masking=WHOLE)
    lost(apart)
    assert float(apart.told["contrast"]) > 0.0


def test_samples_of_one_token_do_not_count():
    alone = [replace(sample, streams={"place": sample.streams["place"]}) for sample in SAMPLES[:3]]
    found = lost(objective_of(), [*alone, *SAMPLES[3:6]])
    assert int(found.count) == 3
    nothing = lost(objective_of(), alone)
    assert float(nothing.total.detach()) == 0.0
    assert int(nothing.count) == 1


def learned_beside_others(world, ways) -> list[tuple[list[float], str, str]]:
    found = []
    for how in ways:
        objective, place = objective_of(steps=4), (world.rank, world.size)

        def batches(first: int, objective=objective, place=place) -> Iterator[Batch | Idle]:
            rows = order(0, len(SAMPLES), 5, first)  # of the last 4 of an epoch each process sees 2
            return shared(lambda shares: cut_batches(objective.tokenizer, SAMPLES, shares), rows, place)

        losses = optimize(objective, batches, Plan(steps=4, lr_per_step=1e-3, **how), Watch(world=world))
        of_teacher = {name: weight for name, weight in objective.state_dict().items() if name.startswith("teacher")}
        found.append((losses, state_sha256(objective.state_dict()), state_sha256(of_teacher)))
    return found


@pytest.mark.slow
def test_processes_that_learn_together_end_with_the_same_weights_and_teacher_however_they_hold_them():
    ways = [{}, {"spread": "shard"}, {"spread": "hybrid", "is_recomputed": True}]
    one, other = run_in(2, learned_beside_others, ways)
    assert [of[1:] for of in one] == [of[1:] for of in other]
    at_first = state_sha256({f"teacher.{name}": one for name, one in objective_of().teacher.state_dict().items()})
    for losses, _, teacher in one:
        assert losses == pytest.approx(one[0][0], rel=1e-5)
        assert teacher != at_first
