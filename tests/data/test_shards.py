"""Baked sets read back bit for bit, and no flipped bit, torn file or killed bake is taken for data."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.core.lazy_images import images

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.samples import LazySamples, SampleSet, is_lazy, read_now
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.data import shard_writing, shards
from mainstem.data.rights import Rights, check_rights, rights_of
from mainstem.data.shard_writing import ReadBy, bake
from mainstem.data.shards import is_baked, open_shards, verify

STATED = Rights("CC0-1.0", "https://example.org", is_stated=True)
CHANNELS = (Channel(name="a", unit="m"), Channel(name="b", unit="1", wavelength_nm=665.0))
AFFINE = np.array([[0.1, 0, 0, 1 / 3], [0, -0.2, 0, 7], [0, 0, 1.5, 0], [0, 0, 0, 1]])
SOURCE = Provenance(
    data="made", item="ü 1", group="g", licence="CC0-1.0", attribution="us",
    facts={"year": 2020, "age": 0.1 + 0.2, "who": "x"},
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards and batches small enough that a few samples fill several."""
    monkeypatch.setattr(shard_writing, "SHARD_BYTES", 20_000)
    monkeypatch.setattr(shard_writing, "BATCH_BYTES", 4_000)


def every_kind() -> dict[str, Stream]:
    rng = np.random.default_rng(0)
    gappy = rng.normal(size=(5, 2))
    gappy[[1, 4], [0, 1]] = np.nan, -0.0
    place = Geometry(affine=AFFINE, unit="mm", frame="LPS")
    steps, scan = np.cumsum(rng.random(5)), rng.integers(-1000, 99, (2, 3, 2, 4)).astype(">i2")
    return {
        "series": Stream(kind="series", values=gappy, channels=CHANNELS, times=steps, valid=gappy > 0),
        "image": Stream(kind="image", values=rng.integers(0, 256, (2, 3, 4), np.uint8), channels=CHANNELS),
        "grid": Stream(
            kind="grid", values=rng.random((2, 2, 3, 1), np.float32), channels=CHANNELS, times=np.array([0.0, 9.5]),
            geometry=place,
        ),
        "volume": Stream(kind="volume", values=np.asfortranarray(scan), channels=CHANNELS, geometry=place),
        "points": Stream(kind="points", values=np.zeros((0, 2)), channels=CHANNELS),
        "text": Stream(kind="text", values=np.array([3, 1, 4])),
        "words": Stream(kind="text", values=np.array(["wheat", "größer"])),
        "scalar": Stream(kind="scalar", values=np.array([np.inf, 2.0], np.float16), channels=CHANNELS),
    }  # fmt: skip


def bytes_of(array):
    return None if array is None else (array.dtype.str, array.shape, array.tobytes())


def told(sample: Sample):
    """A sample as what can be compared for equality, each array by its bytes."""
    streams = {
        name: (stream.kind, stream.channels, *map(bytes_of, (stream.values, stream.times, stream.valid)),
               stream.geometry and (bytes_of(stream.geometry.affine), stream.geometry.unit, stream.geometry.frame))
        for name, stream in sample.streams.items()
    }  # fmt: skip
    target = sample.target if sample.target is None or np.isscalar(sample.target) else bytes_of(sample.target)
    return list(streams), streams, target, sample.source, sample.origin


def made(samples, **facts) -> SampleSet:
    return SampleSet(name="made", samples=samples, flagged={}, attribution="us", licence="CC0-1.0", **facts)


def baked(tmp_path, num=60, side=16):
    source = images(num, side)
    bake(made(source), STATED, tmp_path / "set", ReadBy())
    return source, tmp_path / "set"


def test_streams_of_every_kind_come_back_bit_for_bit(tmp_path):
    streams = every_kind()
    targets = [1.0, None, np.zeros((2, 3), np.uint8), np.ones((1, 2), bool), np.array([np.nan, 2.0])]
    samples = tuple(
        Sample(
            streams=dict(list(streams.items())[row:]),
            target=target,
            source=replace(SOURCE, item=str(row)),
            origin="2020-01-01",
        )
        for row, target in enumerate(targets)
    )
    source = made(samples, simulated=True, test_groups=frozenset({"g"}), classes=("x", "y"), unsound_split="leaks")
    source = replace(source, flagged={"1": "odd"})
    bake(source, STATED, tmp_path / "set", ReadBy())
    found = open_shards(tmp_path / "set")
    assert is_lazy(found.samples)
    assert [told(read_now(sample)) for sample in found.samples] == list(map(told, samples))
    assert vars(replace(found, samples=())) == vars(replace(source, samples=()))


@pytest.mark.parametrize("targets", ["numbers", "vectors", "none"])
def test_many_samples_come_back_as_an_index_in_arrays(tmp_path, targets):
    source = images(200, 8)
    values = {"numbers": source.known.targets, "vectors": np.random.default_rng(0).random((200, 2)), "none": None}[
        targets
    ]
    source = replace(source, known=replace(source.known, targets=values))
    record = bake(made(source), STATED, tmp_path / "set", ReadBy())
    assert len(record.shards) > 1
    found = open_shards(tmp_path / "set").samples
    assert isinstance(found, LazySamples)
    assert [told(sample) for sample in found] == [told(sample) for sample in source]
    chosen = np.array([150, 3, 3])
    assert [told(sample) for sample in found.rows(chosen)] == [told(source[row]) for row in chosen.tolist()]


def test_an_empty_set_is_a_set(tmp_path):
    bake(made(()), STATED, tmp_path / "set", ReadBy())
    assert len(open_shards(tmp_path / "set").samples) == 0
    assert verify(tmp_path / "set") == []


def test_shards_have_128_mb_and_at_most_a_sample_more(tmp_path, monkeypatch):
    monkeypatch.undo()
    assert 64e6 <= shard_writing.SHARD_BYTES <= 256e6
    monkeypatch.setattr(shard_writing, "SHARD_BYTES", 10_000)
    monkeypatch.setattr(shard_writing, "BATCH_BYTES", 1_000)
    _, folder = baked(tmp_path)
    sizes = [file.size for file in shards.read_record(folder).shards]
    assert len(sizes) > 2
    assert all(10_000 <= size <= 16_000 for size in sizes[:-1])


def flipped(folder, files, rng):
    """Flip one bit anywhere in a set's files, and return how to put it back."""
    sizes = np.array([len(data) for data in files.values()])
    place = int(rng.integers(sizes.sum()))
    number = int(np.searchsorted(np.cumsum(sizes), place, "right"))
    name, data = list(files.items())[number]
    changed = bytearray(data)
    changed[place - int(sizes[:number].sum())] ^= 1 << int(rng.integers(8))
    (folder / name).write_bytes(changed)
    return name


def test_a_thousand_of_a_thousand_flipped_bits_are_found(tmp_path):
    _, folder = baked(tmp_path, num=20)
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    rng, found = np.random.default_rng(0), 0
    for _ in range(1000):
        name = flipped(folder, files, rng)
        try:
            found += any(name in fault for fault in verify(folder))
        except InputError as error:
            found += "shards.json" in str(error)
        (folder / name).write_bytes(files[name])
    assert found == 1000
    assert verify(folder) == []


def test_a_flipped_bit_is_found_on_reading_or_changes_nothing(tmp_path):
    source, folder = baked(tmp_path, num=20)
    wanted = list(map(told, source))
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    rng, refused = np.random.default_rng(1), 0
    for _ in range(250):
        name = flipped(folder, files, rng)
        shards._opened.cache_clear()
        try:
            assert [told(read_now(sample)) for sample in open_shards(folder).samples] == wanted
        except InputError:
            refused += 1
        (folder / name).write_bytes(files[name])
    assert refused > 200  # the rest are of Arrow's padding


def test_what_was_half_written_is_said_in_one_line(tmp_path):
    _, folder = baked(tmp_path)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    last = shards.read_record(folder).shards[-1].name
    for name in (last, "index.arrow", "batches.npy"):
        for cut in (0, len(files[name]) // 2, len(files[name]) - 1):
            (folder / name).write_bytes(files[name][:cut])
            with pytest.raises(InputError, match=rf"{name} has {cut} bytes, .*half-written; copy it again"):
                open_shards(folder)
            assert len(verify(folder)) == 1
        (folder / name).unlink()
        with pytest.raises(InputError, match=f"{name} is absent"):
            open_shards(folder)
        (folder / name).write_bytes(files[name])
    (folder / "shards.json").unlink()
    assert is_baked(folder)
    with pytest.raises(InputError, match=r"without shards\.json, so that they are half-written"):
        open_shards(folder)


def test_a_shard_that_shrinks_after_the_set_was_opened_is_refused_before_it_is_read(tmp_path):
    _, folder = baked(tmp_path)
    found = open_shards(folder).samples
    last = folder / shards.read_record(folder).shards[-1].name
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(InputError, match="half-written"):
        read_now(found[-1])


class Killed(BaseException):
    """What nobody catches."""


def test_a_bake_that_is_killed_leaves_nothing_and_begins_anew(tmp_path):
    source = images(60, 16)

    def dies(row):
        if row == 50:
            raise Killed
        return source.load(row)

    with pytest.raises(Killed):
        bake(made(replace(source, load=dies)), STATED, tmp_path / "set", ReadBy())
    assert list(tmp_path.iterdir()) == []
    bake(made(source), STATED, tmp_path / "set", ReadBy())
    assert verify(tmp_path / "set") == []
    with pytest.raises(ArtifactError, match="exists already"):
        bake(made(source), STATED, tmp_path / "set", ReadBy())


def test_baking_twice_gives_the_same_bytes(tmp_path):
    _, folder = baked(tmp_path)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    baked(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_a_baked_set_says_its_rights(tmp_path):
    _, folder = baked(tmp_path)
    assert rights_of(folder) == STATED
    bake(
        replace(made(images(3, 8)), licence="unknown"),
        Rights("licence not stated", "", False),
        tmp_path / "own",
        ReadBy(),
    )
    with pytest.raises(InputError, match="own without licence and record"):
        check_rights([str(folder), str(tmp_path / "own")])
    (tmp_path / "own" / "croissant.json").write_text('{"license": "MIT", "isBasedOn": "ourselves"}')
    check_rights([str(folder), str(tmp_path / "own")])


def test_objects_are_no_values(tmp_path):
    stream = Stream(kind="text", values=np.array(["a", None], object))
    with pytest.raises(InputError, match="holds object, want numbers or text"):
        bake(made((Sample(streams={"t": stream}, target=None, source=SOURCE),)), STATED, tmp_path / "set", ReadBy())
    assert list(tmp_path.iterdir()) == []
