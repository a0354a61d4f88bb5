"""A kind of stream is one entry of a table: a toy one is read, kept in a file and learned from like the others."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from mainstem.core.errors import ChannelError, InputError
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.fitted import load_run
from mainstem.core.layout import channel_places
from mainstem.core.predict import predict
from mainstem.core.preparation import from_the_mean
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import FitConfig, Task
from mainstem.core.tokenizers.kinds import KINDS
from mainstem.core.tokenizers.scalar import placed_channels
from mainstem.core.tokenizers.specs import StreamKind, StreamSpec, read_streams
from mainstem.core.tokenizers.streams import StreamsTokenizer, num_weights, read_specs
from mainstem.core.tokens import Patches, StreamTokenizer, TokenBatch, place
from mainstem.core.training import TrainingConfig

ECHO = (Channel(name="distance", unit="m"), Channel(name="strength", unit="1"))


class PointTokenizer(StreamTokenizer):
    """Points (point, feature) to a token each."""

    def __init__(self, spec: StreamSpec, dim: int) -> None:
        super().__init__(dim)
        self.spec, self.embedding = spec, nn.Linear(len(spec.channels), dim)

    def cut(self, streams: Sequence[Stream | None]) -> Patches:
        longest = max(1, *(0 if stream is None else len(stream.values) for stream in streams))
        values = np.full((len(streams), longest, len(self.spec.channels)), np.nan, np.float32)
        for row, stream in enumerate(streams):
            if stream is not None:
                values[row, : len(stream.values)] = placed_channels(stream, self.spec.channels)
        return Patches(parts={"values": torch.from_numpy(values)})

    def project(self, patches: Patches) -> TokenBatch:
        values = patches["values"]
        return place(self.embedding(values.nan_to_num()) + self.stream_code, values.isfinite().any(-1))

    def content(self, patches: Patches) -> torch.Tensor:
        return patches["values"]


def cloud(row: int, seed: int = 0) -> Sample:
    rng = np.random.default_rng((seed, row))
    values = rng.uniform(0, 1, (rng.integers(2, 6), 2))
    stream = Stream(kind="points", values=values, channels=ECHO)
    source = Provenance(data="made", item=f"{seed}-{row}", group=f"g{seed}-{row % 8}", licence="CC0-1.0")
    return Sample(streams={"echo": stream}, target=float(values[:, 0].mean()), source=source)


@pytest.fixture
def points(monkeypatch) -> None:
    monkeypatch.setitem(KINDS, "points", StreamKind(tokenizer=PointTokenizer, weights=lambda spec: 1))


def test_a_kind_without_an_entry_is_refused_with_those_that_have_one():
    with pytest.raises(InputError, match="'echo' is points, which no tokenizer reads yet; use scalar, series, image"):
        read_specs([cloud(0)])


@pytest.mark.usefixtures("points")
def test_one_entry_is_all_that_a_new_kind_needs(tmp_path):
    source = SampleSet(
        name="made", samples=tuple(map(cloud, range(160))), flagged={}, attribution="made", licence="CC0-1.0"
    )
    config = FitConfig(training=TrainingConfig(epochs=12, batch_size=32, lr_per_step=3e-3), num_folds=2)
    task = Task(
        name="made", task="echoes", version="1", target=Quantity(units="m"), config=config,
        read=lambda request: source, prepare=from_the_mean,
    )  # fmt: skip
    fitted, _ = fit_and_save(task, source, source.samples, FitSpec(config=config), tmp_path / "run")
    new = [cloud(row, 1) for row in range(40)]
    told, again = (predict(one, new, task.view_of) for one in (fitted, load_run(tmp_path / "run", task)))
    assert [one.value for one in told] == [one.value for one in again]
    truth = np.array([sample.target for sample in new])
    errors = np.array([one.value for one in told]) - truth
    assert np.sqrt((errors**2).mean()) < 0.8 * truth.std()


@pytest.mark.long
@pytest.mark.usefixtures("points")
def test_its_spec_is_read_from_a_file_and_holds_its_weights_back():
    specs = read_specs([cloud(row) for row in range(4)])
    tokenizer = StreamsTokenizer(specs, 16)
    assert read_streams(tokenizer.facts()["streams"]) == specs
    assert num_weights(specs, 16) == 2 * 16 <= sum(one.numel() for one in tokenizer.parameters())


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("patch", [1, 2, 5])
def test_no_kind_says_that_it_has_more_weights_than_it_has(kind, patch):
    names = ("a", "b", "c")
    channels = (Channel(name="a", unit="1", wavelength_nm=600.0), *(Channel(name=name, unit="1") for name in "bc"))
    spec = StreamSpec(
        kind=kind, channels=channels, statistics=dict.fromkeys(names, (0.0, 1.0)), patch_size=patch, patch_depth=2,
        steps_per_token=patch,
    )  # fmt: skip
    held = sum(parameter.numel() for parameter in KINDS[kind].tokenizer(spec, 16).parameters())
    assert 0 < num_weights({"x": spec}, 16) <= held


def test_channels_are_found_by_name_one_way_for_all_who_read_them():
    wanted = (Channel(name="red", unit="1", wavelength_nm=665.0), Channel(name="heat", unit="K"))
    red, heat, other = Channel(name="red", unit="1"), wanted[1], Channel(name="odd", unit="1")
    assert channel_places([heat, red], wanted) == [1, 0]
    assert channel_places([heat], wanted) == [1]  # the other one is missing
    assert channel_places([red, other, heat], wanted) == [0, None, 1]  # nothing lacks: it is something else
    for held, words in (
        ([red, other], "got channel 'odd', want heat"),  # it may be heat under another name
        ([], "got no channel, want red, heat"),
        ([red, red], "comes twice"),
        ([Channel(name="heat", unit="degC")], "comes in degC, want K"),
        ([Channel(name="red", unit="1", wavelength_nm=705.0)], "at 705 nm, want 1 at 665 nm"),
    ):
        with pytest.raises(ChannelError, match=words):
            channel_places(held, wanted)
