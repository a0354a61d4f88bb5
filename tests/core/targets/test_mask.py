"""Masks with known answers: volumes, intervals, open voxels, padding that changes nothing, and the product's road."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mainstem.apps.evaluate import evaluate
from mainstem.apps.finetune import finetune
from mainstem.apps.protocols import GROUPED_FOLDS, EvaluationSpec
from mainstem.core.adapter import Adapter
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.evaluation import dice, volume_error_percent
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_run, save_again
from mainstem.core.judging import Evidence
from mainstem.core.member import tokenizer_of
from mainstem.core.predict import predict
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.targets import Mask, Masks
from mainstem.core.targets.decoder import folded, unfolded
from mainstem.core.targets.mask import OUTSIDE
from mainstem.core.targets.parts import Reading
from mainstem.core.task import DataRequest, FitConfig, Task
from mainstem.core.tokenizers.streams import read_specs
from mainstem.core.tokens import Patches, TokenBatch
from mainstem.core.training import TrainingConfig
from mainstem.core.trunk import Latents, Trunk
from mainstem.core.trunk_config import SIZES

MM = Geometry(affine=np.diag([1.0, 1.0, 2.0, 1.0]), unit="mm", frame="LPS")
CHANNEL = (Channel(name="density", unit="1"),)
NAMES = ("ball", "shell")
TARGET = Mask(names=NAMES, grid=(16, 24, 16))
CONFIG = FitConfig(
    training=TrainingConfig(epochs=12, batch_size=2, lr_per_step=3e-3, weight_decay=0.0), num_folds=2, num_gap_draws=1
)
SPEC = FitSpec(config=CONFIG)


def phantom(seed: int, shape: tuple[int, int, int] = (12, 18, 14)) -> Sample:
    """A bright ball in a less bright shell, somewhere in noise."""
    rng = np.random.default_rng(seed)
    centre, radius = np.array(shape) / 2 + rng.uniform(-1, 1, 3), rng.uniform(2.0, 3.5)
    away = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1)
    labels = np.where(away < radius, 1, np.where(away < radius + 1.5, 2, 0)).astype(np.uint8)
    values = np.choose(labels, [-1.0, 2.0, 0.7]) + rng.normal(0, 0.1, shape)
    return Sample(
        streams={"volume": Stream(kind="volume", values=values[None], channels=CHANNEL, geometry=MM)},
        target=labels,
        source=Provenance(data="made", item=f"{seed}", licence="CC0-1.0"),
    )


def made(first: int, num: int) -> SampleSet:
    shapes = [(12, 18, 14), (10, 16, 12), (16, 20, 9)]
    samples = tuple(phantom(seed, shapes[seed % 3]) for seed in range(first, first + num))
    return SampleSet(name="made", samples=samples, flagged={}, attribution="", licence="CC0-1.0", classes=NAMES)


TASK = Task(
    name="test",
    task="phantoms",
    version="1",
    target=Mask(grid=(16, 24, 16)),
    config=CONFIG,
    read=lambda request: made(int(request.data), 20),
    optional=(),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("masks") / "run"
    finetune(TASK, made(0, 20), SPEC, folder)
    return folder


def ball_of(probability: float, radius: int = 3) -> np.ndarray:
    """Probabilities (1, 2, *grid): one inside a cube, that much in the voxels around it."""
    found = np.zeros((1, 2, 16, 24, 16), np.float32)
    found[0, 0, 4 - 1 : 4 + radius + 1, 4 - 1 : 4 + radius + 1, 4 - 1 : 4 + radius + 1] = probability
    found[0, 0, 4 : 4 + radius, 4 : 4 + radius, 4 : 4 + radius] = 1.0
    return found


def told_of(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    return dict(TARGET.combine([{"probabilities": probabilities, "voxel_ml": np.full(len(probabilities), 2e-3)}], {}))


def test_a_volume_is_that_of_its_mask_and_its_doubt_that_of_the_rim():
    told = told_of(ball_of(0.25))
    assert told["volumes"].tolist() == [[pytest.approx(27 * 2e-3), 0.0]]
    assert told["doubt"][0, 0] == pytest.approx((5**3 - 3**3) * 0.25 * 0.75 * 2e-3)
    truth = np.zeros((1, 16, 24, 16), np.int8)
    truth[0, 4:7, 4:7, 4:8] = 1
    truth[:, :, :, 12:] = OUTSIDE
    assert TARGET.scores(told, truth)[0].tolist() == pytest.approx([9 * 2e-3 / told["doubt"][0, 0], 0.0])


def test_a_region_holds_the_volume_and_leaves_the_likeliest_rim_open():
    told = told_of(ball_of(0.25))
    quantile = np.full((1, 2), 98 * 2e-3 / told["doubt"][0, 0])
    (region,) = TARGET.regions(told, quantile)
    assert region.intervals["ball"].high == pytest.approx(125 * 2e-3)
    assert region.intervals["ball"].low == 0.0
    assert region.open[0].sum() == 125  # nothing is said, and all that is possible stays open
    assert not region.open[1].any()
    (narrow,) = TARGET.regions(told, np.zeros((1, 2)))
    assert not narrow.open.any()
    assert {"ball": 27 * 2e-3, "shell": 0.0} in region
    assert {"ball": 1.0, "shell": 0.0} not in region
    assert json.loads(json.dumps(region.to_dict()))["ball"]["open_voxels"] == 125
    assert region.columns()["ball_volume_ml"] == pytest.approx(27 * 2e-3)


def test_an_endless_quantile_opens_the_grid_and_not_more():
    low, high = TARGET.ends(told_of(ball_of(0.25)), np.full((1, 2), np.inf))
    assert low.tolist() == [[0.0, 0.0]]
    assert high.tolist() == [[16 * 24 * 16 * 2e-3] * 2]


def test_each_structure_has_a_quantile_of_its_own():
    rng = np.random.default_rng(0)
    voxels = np.zeros((400, 2, 16, 24, 16), np.float32)
    voxels[:, :, 0, 0] = 0.3  # 16 voxels in doubt each, likelier none of both
    told = dict(TARGET.combine([{"probabilities": voxels, "voxel_ml": np.ones(400)}], {}))
    truth = np.zeros((400, 16, 24, 16), np.int8)
    for case, (ball, shell) in enumerate(zip(rng.integers(0, 4, 400), rng.integers(0, 13, 400), strict=True)):
        truth[case, 1, 0, :ball], truth[case, 2, 0, :shell] = 1, 2
    groups = [str(case // 2) for case in range(400)]
    known = Evidence.of(TARGET, told, truth, groups, [""] * 400).calibration((), "made", ())
    quantile = known.quantiles(0.9, [""] * 400, TARGET.strata_names())
    assert quantile[0].tolist() == pytest.approx([3 / (16 * 0.21), 11 / (16 * 0.21)])
    inside = TARGET.covered(told, truth, quantile)
    assert inside.shape == (400, 2)
    assert ((inside.mean(0) >= 0.88) & (inside.mean(0) <= 1)).all()
    assert TARGET.reasons(known, 0.9) == ()
    few = Evidence.of(TARGET, {name: told[name][:8] for name in told}, truth[:8], groups[:8], [""] * 8)
    assert "too few groups show ball" in TARGET.reasons(few.calibration((), "made", ()), 0.9)[0]


@pytest.mark.long
def test_a_run_that_calibrates_all_structures_together_is_refused(run, tmp_path):
    known = load_run(run, TASK)
    assert set(known.calibration["whole"].strata) == set(NAMES)
    together = {view: replace(one, strata=None) for view, one in known.calibration.items()}
    save_again(tmp_path, replace(known, calibration=together))
    with pytest.raises(ArtifactError, match="does not calibrate each mask that it names; train it again"):
        load_run(tmp_path, TASK)


def test_dice_is_monai_s():
    from monai.metrics import DiceMetric

    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, (2, 5, 6, 7, 8))
    truth[0][truth[0] == 2] = 0  # a case without one of the structures
    of = DiceMetric(include_background=False, reduction="mean_batch", num_classes=3)
    of(torch.from_numpy(predicted)[:, None], torch.from_numpy(truth)[:, None])
    wanted = of.aggregate().tolist()
    assert [dice(truth, predicted, (label,)) for label in (1, 2)] == pytest.approx(wanted, rel=1e-6)
    assert dice(truth, predicted, (1, 2)) == pytest.approx(np.mean(wanted))
    assert np.isnan(dice(truth, predicted, (7,)))
    assert volume_error_percent(np.array([[1, 1, 0, 0]]), np.array([[1, 0, 0, 0]]), (1,)) == 50


def test_voxels_leave_as_they_entered():
    x = torch.randn(2, 3, 4, 6, 8)
    torch.testing.assert_close(unfolded(folded(x), 3), x, rtol=0, atol=0)


def adapted(samples: list[Sample]) -> tuple[Adapter, Trunk]:
    torch.manual_seed(0)
    specs = read_specs(samples)
    return Adapter(tokenizer_of(None, specs, 64), TARGET.head(64, specs)).eval(), Trunk(SIZES["xs"]).eval()


def test_padding_changes_no_voxel():
    samples = [phantom(0, (9, 9, 9)), phantom(1, (12, 24, 16))]
    adapter, trunk = adapted(samples)
    with torch.no_grad():
        alone, together = adapter(samples[:1], trunk), adapter(samples, trunk)
    box = (0, slice(0, 9), slice(0, 9), slice(0, 9))
    torch.testing.assert_close(together.logits[box], alone.logits[box], rtol=1e-4, atol=1e-4)
    assert together.seen[0].sum() == 9**3
    assert together.voxel_ml.tolist() == pytest.approx([2e-3, 2e-3])


def test_training_on_a_whole_volume_is_as_on_a_padded_one():
    samples = [phantom(1, (16, 24, 16))]
    adapter, trunk = adapted(samples)
    patches = adapter.cut(samples)
    padded = torch.nn.functional.pad(patches["volume.values"], (0, 8), value=float("nan"))
    with torch.no_grad():
        whole = adapter.distribution(patches, trunk)
        more = adapter.train().distribution(Patches(parts={**patches.parts, "volume.values": padded}), trunk)
    torch.testing.assert_close(more.logits[..., :16, :], whole.logits, rtol=1e-4, atol=1e-4)


def test_a_loss_falls_towards_the_truth_and_knows_no_padding():
    truth = torch.from_numpy(TARGET.truth([phantom(0)]))
    right = torch.nn.functional.one_hot(truth.long().clamp(min=0), 3) * 20.0
    from mainstem.core.targets.decoder import Voxels

    def loss(logits: torch.Tensor) -> float:
        return float(TARGET.loss(Voxels(logits, truth >= 0, torch.ones(1)), truth, None).mean())

    assert loss(right) < 0.01
    assert loss(-right) > 2
    changed = torch.where((truth >= 0)[..., None], right, torch.randn(right.shape))
    assert loss(changed) == pytest.approx(loss(right))


@pytest.mark.long
def test_phantoms_are_learned_claimed_and_said(run):
    fitted, fresh = load_run(run, TASK), made(100, 12)
    told = predict(fitted, fresh.samples, TASK.view_of, 0.8)
    scores = []
    for one, sample in zip(told, fresh.samples, strict=True):
        assert isinstance(one.region, Masks)
        assert one.units == "mL"
        assert one.value.startswith("ball ")
        box = tuple(slice(0, side) for side in sample.target.shape)
        scores.append(dice(sample.target[None], one.region.labels[box][None], (1, 2)))
    assert np.mean(scores) > 0.65  # of ten volumes and a shell of 1.5 voxels
    assert {one.claim.state for one in told} <= {"stated", "withdrawn"}
    assert any("nothing is claimed of a new one" in one.claim.population for one in told)


@pytest.mark.long
def test_an_evaluation_tells_each_structure(tmp_path):
    told = evaluate(TASK, DataRequest(data="0"), EvaluationSpec(fit=SPEC, protocol=GROUPED_FOLDS, level=0.8))
    assert list(told["metrics"]) == ["dice", "dice_ball", "dice_shell", "volume_error_percent"]
    assert told["metrics"]["dice"] > told["baselines"]["commonest"]["dice"]
    assert set(told["coverage"]["by_structure"]) == set(NAMES)
    assert 0.6 <= told["coverage"]["pooled"] <= 1.0
    each = [found["coverage"] for found in told["coverage"]["by_structure"].values()]
    assert told["coverage"]["together"] <= min(each)
    assert told["coverage"]["by_structure"]["ball"]["found_share"] > 0.7
    json.dumps(told)


def test_what_is_no_mask_is_refused():
    good = phantom(0)
    for changed, words in (
        (replace(good, target=None), "no mask"),
        (replace(good, target=good.target[:-1]), "of its shape"),
        (replace(good, target=good.target + 5), "up to 7"),
        (phantom(0, (40, 18, 14)), "at most"),
        (replace(good, streams={"v": replace(good.streams["volume"], geometry=None)}), "voxels' size"),
    ):
        with pytest.raises(InputError, match=words):
            TARGET.truth([changed])
    with pytest.raises(InputError, match="any 'ball'"):
        TARGET.learnable(np.zeros((2, 16, 24, 16), np.int8))
    with pytest.raises(ArtifactError, match="grid"):
        replace(TARGET, grid=(8, 8, 8)).restored(TARGET.facts())
    assert TARGET.restored(TARGET.facts()) == TARGET


def test_a_head_wants_one_volume_alone():
    flat = Stream(kind="scalar", values=np.zeros(1), channels=CHANNEL)
    samples = [replace(phantom(0), streams={**phantom(0).streams, "more": flat})]
    with pytest.raises(InputError, match="one volume alone"):
        adapted(samples)


def test_patches_are_of_whole_quarters_and_fill_the_grid():
    for size, target, words in ((6, TARGET, "whole 4 voxels"), (16, TARGET, "not of whole patches")):
        with pytest.raises(InputError, match=words):
            target.head(64, read_specs([phantom(0)], {"patch_size": size}))


@pytest.mark.parametrize("size", [4, 8, 16])
def test_a_token_tells_of_its_own_patch(size):
    torch.manual_seed(0)
    specs = read_specs([phantom(0, (16, 32, 16))], {"patch_size": size})
    head, tokenizer = replace(TARGET, grid=(16, 32, 16)).head(64, specs), tokenizer_of(None, specs, 64)
    quarters: list[torch.Tensor] = []
    head.spread.register_forward_hook(lambda module, given, made: quarters.append(made[0]))
    patches = tokenizer.cut([phantom(0, (16, 32, 16))])
    tokens = tokenizer.project(patches)
    shape = np.array([16, 32, 16]) // (8, size, size)
    assert tokens.mask.shape == (1, shape.prod())
    for told in range(shape.prod()):
        values = torch.zeros(*tokens.mask.shape, 64)
        values[0, told] = 1
        for shown in (values, torch.zeros_like(values)):
            head(Reading(pooled=values[:, 0], latents=latents(tokens, shown), patches=patches))
        where = torch.nonzero((quarters.pop() != quarters.pop()).any(0)) * 4  # voxels
        patch = np.array(np.unravel_index(int(tokens.cell[0, told]), shape)) * (8, size, size)
        assert where.amin(0).tolist() == patch.tolist()
        assert (where.amax(0) + 4).tolist() == (patch + np.array([8, size, size])).tolist()


def latents(tokens: TokenBatch, values: torch.Tensor) -> Latents:
    return Latents(
        tokens=values, pooled=values[:, 0], positions=tokens.positions, stream=tokens.stream, mask=tokens.mask,
        cell=tokens.cell,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("size", [4, 16])
def test_masks_are_learned_from_patches_of_other_sizes(size, tmp_path):
    task = replace(TASK, target=Mask(grid=(16, 32, 16)))
    finetune(task, made(0, 10), FitSpec(config=replace(CONFIG, patch_size=size)), tmp_path / "run")
    fresh = made(100, 4)
    told = predict(load_run(tmp_path / "run", task), fresh.samples, task.view_of, 0.8)
    found = [
        one.region.labels[tuple(map(slice, sample.target.shape))]
        for one, sample in zip(told, fresh.samples, strict=True)
    ]
    scores = [
        dice(sample.target[None], labels[None], (1, 2)) for labels, sample in zip(found, fresh.samples, strict=True)
    ]
    assert np.mean(scores) > 0.5  # of five volumes each
