"""Tiles over one, two and three axes: exact for an identity, a partition of unity, the same however blocks are cut."""

import itertools
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.errors import InputError
from mainstem.core.parallel import one_thread_each
from mainstem.core.tiled import BlockMaker, cut_from, run_tiled
from mainstem.core.tiling import Tiling, starts, weights_of

MOST = {1: 5000, 2: 90, 3: 24}  # longest axis


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    axes = []
    for _ in range(num := draw(st.integers(1, 3))):
        length, tile = draw(st.integers(1, MOST[num])), draw(st.integers(1, MOST[num] + 8))
        tile = max(tile, length // 12)  # bounds the number of tiles, and with it the time
        axes.append(
            (
                length,
                tile,
                draw(st.integers(0, tile // 2 if num > 1 else tile * 3 // 4)),
                draw(st.integers(max(length // 5, 1), MOST[num])),
            )
        )
    lengths, tile, overlap, block = zip(*[(n, t, min(o, t - 1), b) for n, t, o, b in axes], strict=True)
    return Tiling(lengths=lengths, tile=tile, overlap=overlap, block=block)


def values_of(tiling: Tiling, seed: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, *tiling.lengths)).astype(np.float32)


def joined(tiling: Tiling, predict: Callable, values: np.ndarray, **more: int) -> np.ndarray:
    """All blocks in one array; each cell exactly once."""
    found, times = None, np.zeros(tiling.lengths, int)
    for block, made in run_tiled(predict, values, tiling, **more):
        found = np.full((len(made), *tiling.lengths), 7e7, np.float32) if found is None else found
        found[(slice(None), *block)] = made
        times[block] += 1
    assert (times == 1).all()
    return found


@given(length=st.integers(1, 5000), tile=st.integers(1, 600), overlap=st.integers(0, 599), data=st.data())
def test_tiles_cover_every_cell_and_stay_inside(length, tile, overlap, data):
    step = tile - min(overlap, tile - 1)
    found = starts(length, tile, step)
    assert found[0] == 0
    assert found[-1] + tile >= length
    assert all(start + tile <= max(length, tile) for start in found)
    assert all(0 < after - before <= step for before, after in itertools.pairwise(found))
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    assert starts(length, tile, step, slice(first, last)) == [s for s in found if s < last and s + tile > first]


def test_weights_are_positive_and_fall_over_the_overlap_alone():
    weights = weights_of((100, 60), (20, 10))
    assert (weights > 0).all()
    assert (weights[20:80, 10:50] == 1).all()
    assert (np.diff(weights[50, :10]) > 0).all()
    assert (np.diff(weights[:20, 30]) > 0).all()


@settings(deadline=None, max_examples=80)
@given(tiling=tilings(), batch_size=st.integers(1, 7), seed=st.integers(0, 99), exact=st.booleans())
def test_an_identity_comes_out_exact_whatever_the_sizes(tiling, batch_size, seed, exact):
    values = values_of(tiling, seed)
    dtype = np.float32 if exact else np.float64
    found = joined(tiling, lambda tiles, corners: tiles.astype(dtype), values, batch_size=batch_size)
    np.testing.assert_array_equal(found, values)


def placed_sum(tiles: np.ndarray, corners: list[tuple[int, ...]]) -> np.ndarray:
    """What differs from tile to tile: the values plus a number of the tile's own."""
    own = np.array([[np.sin(sum(corner) + 1.0)] for corner in corners], np.float32)
    return tiles[:, :1] + own.reshape(len(tiles), *(1,) * (tiles.ndim - 1))


@settings(deadline=None, max_examples=60)
@given(tiling=tilings(), seed=st.integers(0, 99), missing=st.floats(0, 1))
def test_it_is_the_weighted_mean_of_all_tiles_that_say_anything(tiling, seed, missing):
    values, rng = values_of(tiling, seed, 1), np.random.default_rng(seed)
    values[0][rng.random(tiling.lengths) < missing**3] = np.nan
    total, weight = np.zeros(tiling.lengths), np.zeros(tiling.lengths)
    whole = tuple(slice(0, length) for length in tiling.lengths)
    ones = weights_of(tiling.tile, tiling.overlap)
    for corner in itertools.product(*tiling.touching(whole)):
        there = tuple(slice(c, c + t) for c, t in zip(corner, tiling.tile, strict=True))
        part = values[0][there] + np.sin(sum(corner) + 1.0)
        here = ones[tuple(slice(0, length) for length in part.shape)]
        total[there] += np.where(np.isfinite(part), here * np.nan_to_num(part), 0)
        weight[there] += np.where(np.isfinite(part), here, 0)
    wanted = np.divide(total, weight, out=np.full(tiling.lengths, np.nan), where=weight > 0)
    np.testing.assert_allclose(joined(tiling, placed_sum, values)[0], wanted, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(tiling=tilings(), seed=st.integers(0, 99), data=st.data())
def test_neither_blocks_nor_their_order_change_a_bit(tiling, seed, data):
    values = values_of(tiling, seed, 1)
    whole = Tiling(lengths=tiling.lengths, tile=tiling.tile, overlap=tiling.overlap, block=tiling.lengths)
    wanted = joined(whole, placed_sum, values)
    maker = BlockMaker(tiling, (1,), placed_sum, 3)
    for block in data.draw(st.permutations(tiling.blocks()[:40])):
        np.testing.assert_array_equal(maker.make(block, cut_from(values, len(block))), wanted[(slice(None), *block)])


def test_batches_side_by_side_change_no_bit_and_errors_come_out():
    tiling = Tiling(lengths=(23, 31), tile=(6, 6), overlap=(2, 2), block=(8, 12))
    values = np.random.default_rng(0).normal(size=(1, 23, 31)).astype(np.float32)
    meet = threading.Barrier(2, timeout=20)
    names, calls = set(), itertools.count()

    def predict(tiles, corners):
        names.add(threading.current_thread().name)
        if next(calls) < 2:  # the first two are at work at once, or this breaks
            meet.wait()
        return placed_sum(tiles, corners)

    def refuse(tiles, corners):
        raise ValueError("this tile cannot be")

    alone = BlockMaker(tiling, (1,), placed_sum, 1)
    with one_thread_each(2) as predictors:
        shared = BlockMaker(tiling, (1,), predict, 1, predictors)
        for block in tiling.blocks():
            np.testing.assert_array_equal(
                shared.make(block, cut_from(values, 2)), alone.make(block, cut_from(values, 2))
            )
        with pytest.raises(ValueError, match="cannot be"):
            BlockMaker(tiling, (1,), refuse, 1, predictors).make(tiling.blocks()[0], cut_from(values, 2))
    assert len(names) == 2
    assert threading.current_thread().name not in names


def test_what_is_missing_in_one_output_is_missing_in_all_and_an_empty_tile_is_never_shown():
    tiling = Tiling(lengths=(40, 50), tile=(16, 16), overlap=(4, 6), block=(24, 20))
    values = values_of(tiling, 0)
    values[0, :, 30:] = np.nan
    values[:, :20, :20] = np.nan
    values[0, 25, 25], values[0, 26, 26] = np.inf, -np.inf
    shown = []

    def predict(tiles: np.ndarray, corners: object) -> np.ndarray:
        shown.append(np.isnan(tiles).all((1, 2, 3)).any())
        return tiles

    found = joined(tiling, predict, values)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(values).all(0)[None].repeat(2, 0))
    assert not any(shown)


def test_where_nothing_is_seen_the_model_is_asked_once_how_much_it_would_say():
    tiling = Tiling(lengths=(9, 9, 9), tile=(4, 4, 4), overlap=(1, 1, 1), block=(3, 3, 3))
    asked = []

    def predict(tiles: np.ndarray, corners: object) -> np.ndarray:
        asked.append(len(tiles))
        return np.zeros((len(tiles), 5, 4, 4, 4))

    found = joined(tiling, predict, np.full((2, 9, 9, 9), np.nan, np.float32))
    assert found.shape == (5, 9, 9, 9)
    assert np.isnan(found).all()
    assert asked == [1]


def convolution(num_axes: int) -> Callable:
    kind = {1: torch.nn.Conv1d, 3: torch.nn.Conv3d}[num_axes]
    torch.manual_seed(0)
    layers = torch.nn.Sequential(kind(1, 4, 3, padding=1), kind(4, 2, 3, padding=1))
    return lambda tiles, corners=None: layers(torch.from_numpy(tiles)).detach().numpy()


def test_a_volume_through_a_convolution_is_the_untiled_one_inside():
    z, y, x = np.meshgrid(*map(np.arange, (40, 36, 50)), indexing="ij")
    field = (0.01 * z - 0.02 * y + 0.03 * x)[None].astype(np.float32)
    model = convolution(3)
    wanted = model(field[None])[0]
    tiling = Tiling(lengths=(40, 36, 50), tile=(16, 16, 16), overlap=(8, 6, 4), block=(24, 20, 25))
    found = joined(tiling, trusted(model, 2), field)
    inside = (slice(None), *(slice(2, -2),) * 3)  # how far two kernels of three see
    np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-5)
    once = joined(Tiling(lengths=(40, 36, 50), tile=(40, 36, 50), overlap=(0, 0, 0), block=(9, 9, 9)), model, field)
    np.testing.assert_array_equal(once, wanted)


def trusted(model: Callable, margin: int) -> Callable:
    """A model that says nothing of a tile's edge, whose surroundings it does not see."""

    def predict(tiles: np.ndarray, corners: object) -> np.ndarray:
        found = np.full_like(predicted := model(tiles), np.nan)
        inner = (..., *(slice(margin, -margin),) * (tiles.ndim - 2))
        found[inner] = predicted[inner]
        return found

    return predict


def test_a_long_series_is_predicted_as_if_in_one_piece_a_block_at_a_time():
    length = 300_000
    series = np.sin(np.arange(length) / 50).astype(np.float32)[None]
    series[:, 123_000:160_000] = np.nan
    tiling = Tiling(lengths=(length,), tile=(512,), overlap=(64,), block=(20_000,))
    model, seen = convolution(1), []

    def predict(tiles: np.ndarray, corners: list[tuple[int, ...]]) -> np.ndarray:
        seen.extend(corners)
        return trusted(model, 2)(tiles, corners)

    wanted = model(series[None])[0]
    largest = 0
    for (span,), made in run_tiled(predict, series, tiling, 16):
        assert made.shape == (2, min(20_000, length - span.start))
        inside = slice(max(span.start, 2), min(span.stop, length - 2))
        np.testing.assert_allclose(
            made[:, inside.start - span.start : made.shape[1] - (span.stop - inside.stop)], wanted[:, inside], atol=1e-5
        )
        largest = max(largest, made.shape[1])
    assert largest == 20_000
    assert not any(corner[0] >= 123_000 and corner[0] + 512 <= 160_000 for corner in seen)


def test_a_block_needs_its_own_tiles_alone_and_its_neighbour_takes_over_what_both_need():
    tiling = Tiling(lengths=(512, 512), tile=(64, 64), overlap=(16, 16), block=(96, 96))
    lines = tiling.lines((slice(96, 192), slice(0, 96)))
    assert tiling.reach(lines[0]) == (slice(48, 208), slice(0, 64))
    assert tiling.reach(lines[-1]) == (slice(48, 208), slice(48, 112))
    values, shown = values_of(tiling, 1), []

    def predict(tiles: np.ndarray, corners: list[tuple[int, ...]]) -> np.ndarray:
        shown.extend(corners)
        return tiles

    maker = BlockMaker(tiling, (2,), predict)
    for block in tiling.blocks()[:6]:  # from left to right
        maker.make(block, cut_from(values, 2))
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize(
    "wrong", [{"overlap": (8, 2)}, {"tile": (0, 8)}, {"block": (4,)}, {"lengths": (0, 3)}, {"overlap": (-1, 2)}]
)
def test_sizes_that_cannot_be_are_refused(wrong):
    sizes = {"lengths": (20, 20), "tile": (8, 8), "overlap": (2, 2), "block": (6, 6)}
    with pytest.raises(InputError, match="want"):
        Tiling(**{**sizes, **wrong})


def test_a_model_of_another_shape_is_named():
    tiling = Tiling(lengths=(20,), tile=(8,), overlap=(2,), block=(6,))
    values = np.zeros((1, 20), np.float32)
    with pytest.raises(InputError, match=r"want \(batch, out, 8\)"):
        joined(tiling, lambda tiles, corners: tiles[..., :-1], values)
    counts = iter([1, 1, 2])
    with pytest.raises(InputError, match="before it gave 1"):
        joined(tiling, lambda tiles, corners: tiles.repeat(next(counts), 1), values)
    with pytest.raises(InputError, match="last axes"):
        joined(tiling, lambda tiles, corners: tiles, values[:, :-1])


def test_a_volume_beyond_the_window_is_as_monai_s_sliding_window_has_it():
    """Where tiles' predictions agree on what they share, any blending gives the same; MONAI's is the oracle."""
    from monai.inferers import sliding_window_inference

    torch.manual_seed(0)
    pointwise = torch.nn.Conv3d(2, 3, 1).requires_grad_(False)
    values = torch.randn(2, 40, 33, 27)
    wanted = sliding_window_inference(values[None], (16, 16, 16), 2, pointwise, overlap=0.5, mode="constant")[0]
    tiling = Tiling(lengths=(40, 33, 27), tile=(16, 16, 16), overlap=(8, 8, 8), block=(40, 33, 27))
    ((_, found),) = run_tiled(lambda tiles, _: pointwise(torch.from_numpy(tiles)).numpy(), values.numpy(), tiling)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)

    def wide(tiles: torch.Tensor) -> torch.Tensor:  # what a tile says depends on where it ends
        return torch.nn.functional.avg_pool3d(tiles, 3, 1, 1)

    wanted = sliding_window_inference(values[None], (16, 16, 16), 2, wide, overlap=0.5, mode="constant")[0]
    ((_, found),) = run_tiled(lambda tiles, _: wide(torch.from_numpy(tiles)).numpy(), values.numpy(), tiling)
    near, whole = (np.abs(one - wide(values[None])[0].numpy()).mean() for one in (found, wanted.numpy()))
    assert near < whole, "what falls off towards a tile's rim is nearer to the whole volume than what does not"
