"""Baked sets read back bit for bit, and no flipped bit, torn file or killed bake is taken for data."""

import datetime
import hashlib
import json
import shutil
import zlib
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

OF_A_SET = {
    "name": "made", "flagged": {"1": "odd"}, "attribution": "us", "licence": "CC0-1.0", "simulated": True,
    "test_groups": frozenset({"g", "ä", "b"}), "classes": ("y", "x"), "unsound_split": "leaks",
    "refused": {"f.tif": "is torn"},
}  # fmt: skip


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
    source = SampleSet(samples=samples, **OF_A_SET)
    bake(source, STATED, tmp_path / "set", ReadBy())
    found = open_shards(tmp_path / "set")
    assert is_lazy(found.samples)
    assert [told(read_now(sample)) for sample in found.samples] == list(map(told, samples))
    assert {name: value for name, value in vars(found).items() if name != "samples"} == OF_A_SET


def test_nothing_that_is_told_of_a_set_stays_at_its_default_above():
    plain = SampleSet(name="", samples=(), flagged={}, attribution="")
    assert all(OF_A_SET[each.name] != getattr(plain, each.name) for each in fields(SampleSet) if each.name != "samples")


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.floats() | st.integers(-(2**63), 2**64 - 1) | st.booleans() | st.floats(width=32).map(np.float32)
SHAPED = st.sampled_from(["u1", "<i8", ">f4", "?", "<U3", "c8"]).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(st.integers(0, 3), min_size=1, max_size=3))
)
TARGETS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | SHAPED.map(lambda form: np.arange(np.prod(form[1])).astype(form[0]).reshape(form[1]))
)  # fmt: skip


def same(told) -> str:
    """What is told of a sample as text, for NaN does not equal itself; a target with its type."""
    _, _, target, source, origin = told
    facts = {name: value.item() if isinstance(value, np.generic) else value for name, value in source.facts.items()}
    return repr((type(target), target, sorted(facts.items()), replace(source, facts={}), origin))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TARGETS, st.dictionaries(TEXT, TEXT | NUMBERS, max_size=3), TEXT), min_size=1, max_size=4))
def test_whatever_is_told_of_samples_comes_back_as_it_was(rows):
    samples = tuple(
        Sample(streams={}, target=target, source=replace(SOURCE, facts=facts, part=part, licence=part), origin=part)
        for target, facts, part in rows
    )
    with TemporaryDirectory() as folder:
        bake(made(samples), STATED, Path(folder) / "set", ReadBy())
        found = open_shards(Path(folder) / "set").samples
        assert [same(told(read_now(sample))) for sample in found] == [same(told(sample)) for sample in samples]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"facts": {"seen": datetime.date(2020, 1, 1)}}, "fact 'seen' of ü 1 is of type date, want text or a number"),
        ({"facts": {"seen": np.datetime64("2020-01-01")}}, "is of type datetime64"),
        ({"facts": {"hue": np.ones(3)}}, "fact 'hue' of ü 1 is of type ndarray"),
        ({"facts": {"pair": (1, 2)}}, "is of type tuple"),
        ({"facts": {"none": None}}, "is of type NoneType"),
        ({"facts": {"long": np.longdouble(1)}}, "is of type longdouble"),
        ({"facts": {"large": 10**5000}}, "has 16610 bits, want 64 at most"),
        ({"part": "\udcff"}, r"part of ü 1 is '\\udcff', which is no UTF-8"),
        ({"target": np.array([1, None])}, "the target of ü 1 holds object, want numbers or text"),
        ({"target": 1 << 70}, "the target of ü 1 holds object"),
        ({"streams": {"\udcff": every_kind()["text"]}}, "has a name that is no UTF-8"),
        ({"flagged": {"1": 2}}, "the set cannot be baked: flagged.1 is 2"),
    ],
)
def test_what_would_not_come_back_is_refused_in_one_line_and_leaves_nothing(tmp_path, change, said):
    own = {name: value for name, value in change.items() if name in ("streams", "target")}
    of_set = {name: value for name, value in change.items() if name == "flagged"}
    source = replace(SOURCE, **{name: value for name, value in change.items() if name not in {*own, *of_set}})
    sample = Sample(**{"streams": {}, "target": None, **own}, source=source)
    with pytest.raises(InputError) as caught:
        bake(replace(made((sample,)), **of_set), STATED, tmp_path / "set", ReadBy())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.long
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


def signed(folder, name: str, table) -> None:
    """Put a table into a set's file, and sign it as a program of somebody else's would."""
    with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    data, record = (folder / name).read_bytes(), shards.read_record(folder)
    files = [
        each.model_copy(update={"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        if each.name == name else each for each in record.files
    ]  # fmt: skip
    (folder / "shards.json").write_bytes(record.model_copy(update={"files": tuple(files)}).text())
    shards._opened.cache_clear()


def stored(arrays: list[object]) -> str:
    return json.dumps([{"name": "t", "kind": "text", "arrays": arrays, "channels": [], "geometry": None}])


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        *(("index.arrow", "facts", value) for value in ("[1]", "{", "[" * 5000)),
        *(("index.arrow", "form", value) for value in ('["<f8", [1000000000000]]', "[" * 5000, '["O", []]', "[1]")),
        *(("index.arrow", column, value) for column in ("data", "item", "part", "origin") for value in (5, None)),
        *(("shard-00000.arrow", "header", value) for value in (None, "[" * 5000, "7", '[{"name": 1}]')),
        ("shard-00000.arrow", "header", stored([["|b1", None]] * 3)),
        ("shard-00000.arrow", "header", stored([["<i8", [10**30]], ["|b1", None], ["|b1", None]])),
    ],
)
def test_what_another_program_signed_is_refused_in_one_line(tmp_path, name, column, value):
    text = Stream(kind="text", values=np.array([1]))
    sample = Sample(streams={"t": text}, target=1.0, source=SOURCE)
    bake(made((sample,)), STATED, tmp_path / "set", ReadBy())
    table = pa.ipc.open_file(pa.py_buffer((tmp_path / "set" / name).read_bytes())).read_all()
    kind = pa.int64() if value == 5 else table.schema.field(column).type
    held = value.encode() if isinstance(value, str) and column == "header" else value
    table = table.set_column(table.column_names.index(column), column, pa.array([held], kind))
    if column == "header" and held is not None:
        payload = table["payload"][0].as_py()
        table = table.set_column(2, "crc32", pa.array([zlib.crc32(payload, zlib.crc32(held))], pa.uint32()))
    signed(tmp_path / "set", name, table)
    with pytest.raises(InputError) as caught:
        [read_now(each) for each in open_shards(tmp_path / "set").samples]
    assert "\n" not in str(caught.value)
    assert "again" in str(caught.value)


def test_objects_are_no_values(tmp_path):
    stream = Stream(kind="text", values=np.array(["a", None], object))
    with pytest.raises(InputError, match="holds object, want numbers or text"):
        bake(made((Sample(streams={"t": stream}, target=None, source=SOURCE),)), STATED, tmp_path / "set", ReadBy())
    assert list(tmp_path.iterdir()) == []
