"""Long series: several steps a token, at the mean time of what was seen, padded ends hidden."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.tokenizers.series import SeriesTokenizer
from mainstem.core.tokenizers.specs import StreamSpec
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

RATE = (Channel(name="rate", unit="rad/s"), Channel(name="heat", unit="degC"))
STATISTICS = {"rate": (0.0, 1.0), "heat": (20.0, 5.0)}


def series(steps: int, seed: int = 0, missing: tuple[int, ...] = ()) -> Stream:
    rng = np.random.default_rng(seed)
    values = rng.normal([0, 20], [1, 5], (steps, 2))
    values[[step for step in missing if step < steps]] = np.nan
    return Stream(kind="series", values=values, channels=RATE, times=np.cumsum(rng.uniform(0.5, 1.5, steps)))


def tokenizer(steps_per_token: int) -> SeriesTokenizer:
    torch.manual_seed(0)
    return SeriesTokenizer(64, RATE, STATISTICS, steps_per_token).requires_grad_(False)


def test_a_token_stands_at_the_mean_time_of_what_it_saw():
    stream = series(7, missing=(1, 4, 5))
    tokens = tokenizer(3)([stream])
    assert tokens.mask[0].tolist() == [True, True, True]
    at = stream.times
    assert tokens.positions[0, :, 0].tolist() == pytest.approx([(at[0] + at[2]) / 2, at[3], at[6]])
    assert tokenizer(3)([series(6, missing=(3, 4, 5))]).mask[0].tolist() == [True, False]


def test_one_step_a_token_is_as_it_was():
    stream, made = series(5, missing=(2,)), tokenizer(1)
    values = torch.from_numpy(np.float32(stream.values))
    present = values.isfinite()
    scaled = torch.where(present, made.scale(values.nan_to_num()), 0.0)
    tokens = made([stream])
    assert torch.equal(tokens.values[0], made.embedding(torch.cat([scaled, present.float()], -1)) + made.stream_code)
    assert tokens.positions[0, :, 0].tolist() == stream.times.tolist()


def test_what_a_missing_or_padded_step_holds_changes_nothing():
    stream = series(7, missing=(1,))
    valid = np.isfinite(stream.values)
    other = Stream(
        kind="series", values=np.where(valid, stream.values, 1e6), channels=RATE, times=stream.times, valid=valid
    )
    assert torch.equal(tokenizer(3)([stream]).values, tokenizer(3)([other]).values)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=4), st.integers(1, 7))
def test_a_ragged_batch_equals_its_samples_alone(lengths, steps_per_token):
    torch.manual_seed(0)
    spec = StreamSpec(kind="series", channels=RATE, statistics=STATISTICS, steps_per_token=steps_per_token)
    trunk, reader = Trunk(SIZES["xs"]).eval(), StreamsTokenizer({"gyro": spec}, 64).eval()
    source = Provenance(data="t", item="1")
    samples = [
        Sample(streams={"gyro": series(steps, seed, missing=(2,))}, target=None, source=source)
        for seed, steps in enumerate(lengths)
    ]

    def pooled(chosen):
        with torch.no_grad():
            return trunk(reader.project(reader.cut(chosen))).pooled

    torch.testing.assert_close(pooled(samples), torch.cat([pooled([one]) for one in samples]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("steps", "wanted"), [(12, 1), (512, 1), (513, 3), (28_500, 112)])
def test_long_series_give_few_tokens(steps, wanted):
    sample = Sample(streams={"gyro": series(steps)}, target=None, source=Provenance(data="t", item="1"))
    specs = read_specs([sample])
    assert specs["gyro"].steps_per_token == wanted
    reader = StreamsTokenizer(specs, 64)
    assert reader.project(reader.cut([sample])).mask.sum() <= 512
    with pytest.raises(InputError, match="steps a token"):
        StreamSpec(kind="series", channels=RATE, statistics=STATISTICS, steps_per_token=0)
