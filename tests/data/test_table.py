"""Tables of one's own: what becomes a stream, and what is refused in one line."""

import numpy as np
import pandas as pd
import pytest

from mainstem.core.errors import InputError
from mainstem.core.samples import LazySamples
from mainstem.core.stream import Channel
from mainstem.core.targets import Classes, Findings, Quantity
from mainstem.data import table
from mainstem.data.table import read_samples, target_of

GOOD = {
    "sample": ["a", "b"],
    "target": [1.0, None],
    "group": ["x", "y"],
    "licence": ["CC0-1.0", "CC0-1.0"],
    "rain [mm]": [3.0, 4.0],
}


def write(path, columns, name="t.csv"):
    pd.DataFrame(columns).to_csv(path / name, index=False)
    return path / name


def test_one_row_a_sample_gives_scalars_with_units(tmp_path):
    first, second = read_samples(write(tmp_path, GOOD)).samples
    stream = first.streams["table"]
    assert (stream.kind, stream.channels[0].name, stream.channels[0].unit) == ("scalar", "rain", "mm")
    assert (first.target, second.target, first.source.group) == (1.0, None, "x")
    assert first.source.licence == "CC0-1.0"


def test_rows_with_times_give_a_series_in_order(tmp_path):
    columns = {"sample": ["a"] * 3, "target": [1.0] * 3, "group": ["x"] * 3, "licence": ["CC0"] * 3}
    columns |= {"time": ["2020-01-03", "2020-01-01", "2020-01-02"], "load": [3.0, 1.0, 2.0]}
    stream = read_samples(write(tmp_path, columns)).samples[0].streams["table"]
    assert stream.values[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert stream.times.tolist() == [0.0, 86_400.0, 172_800.0]
    assert stream.channels[0].unit == "unstated"


def test_a_column_of_files_gives_a_series_each(tmp_path):
    write(tmp_path, {"time": [0.0, 0.5], "gyro [rad/s]": [1.0, 2.0]}, "one.csv")
    sample = read_samples(write(tmp_path, {**GOOD, "log": ["one.csv", None]})).samples[0]
    assert sample.streams["log"].channels[0].unit == "rad/s"
    assert sample.streams["log"].times.tolist() == [0.0, 0.5]


def test_the_header_s_unit_is_the_target_s(tmp_path):
    path = write(tmp_path, {**{name: GOOD[name] for name in GOOD if name != "target"}, "target [t/ha]": [1.5, None]})
    assert target_of(path) == Quantity(units="t/ha")
    assert [sample.target for sample in read_samples(path).samples] == [1.5, None]
    assert read_samples(path).samples[0].streams["table"].channels == (Channel(name="rain", unit="mm"),)
    assert read_samples(path, Quantity(units="t/ha")).samples[0].target == 1.5
    with pytest.raises(InputError, match="is in t/ha, the task predicts kg; convert it"):
        read_samples(path, Quantity(units="kg"))


def six(**changes):
    columns = {"sample": list("abcdef"), "licence": ["CC0-1.0"] * 6, "rain [mm]": [1.0] * 6, **changes}
    return {name: values for name, values in columns.items() if values is not None}


def test_words_are_classes_by_name(tmp_path):
    path = write(tmp_path, six(target=["wet", "dry", "wet", "none", "dry", "none"]))
    target = target_of(path)
    assert target == Classes(names=("dry", "none", "wet"))  # none is a word as any other
    source = read_samples(path)
    assert source.classes == target.names
    assert [sample.target for sample in source.samples] == [2.0, 0.0, 2.0, 1.0, 0.0, 1.0]
    few = write(tmp_path, six(target=["wet", None, "wet", None, None, "wet"]), "few.csv")
    known = read_samples(few, target)  # a table of fewer classes, as one to calibrate on
    assert known.classes == target.names
    assert [sample.target for sample in known.samples[:2]] == [2.0, None]
    with pytest.raises(InputError, match="row 2, column 'target': got 'wet', want one of dry, moist"):
        read_samples(few, Classes(names=("dry", "moist")))
    with pytest.raises(InputError, match="'wet' is no number"):
        read_samples(few, Quantity(units="1"))


def test_a_class_that_could_be_a_gap_is_refused_and_targets_in_capitals_are_targets(tmp_path):
    path = write(tmp_path, six(target=["DE", "NA", "DE", "NA", "DE", "FR"]))
    path.write_text(path.read_text().replace(",,", ",NA,"))
    with pytest.raises(InputError, match=r"row 3.*'NA' may be a class, or say that none is known"):
        target_of(path)
    both = write(tmp_path, six(**{"target: rust": [1, 0] * 3, "Target: mildew": [0, 1] * 3}), "both.csv")
    assert target_of(both) == Findings(names=("rust", "mildew"))
    assert {*read_samples(both).samples[0].streams["table"].channels} == {Channel(name="rain", unit="mm")}
    for name in ("a; b", "x" * 300):
        known = read_samples(write(tmp_path, six(target=[name, "dry"] * 3), "odd.csv"))
        with pytest.raises(InputError, match="rename it"):
            Classes().told(known)


def test_classes_of_a_series_are_one_a_sample(tmp_path):
    columns = {"sample": list("aabbccdd"), "licence": ["CC0-1.0"] * 8, "load": [1.0] * 8, "time": [0.0, 1.0] * 4}
    path = write(tmp_path, columns | {"target": list("xxyyxxyy")})
    assert [sample.target for sample in read_samples(path).samples] == [0.0, 1.0, 0.0, 1.0]
    with pytest.raises(InputError, match="several values of 'target'"):
        read_samples(write(tmp_path, columns | {"target": list("xxyyxyyy")}))
    with pytest.raises(InputError, match="4 different words as targets of 4 samples"):
        read_samples(write(tmp_path, columns | {"target": list("aabbccdd")}))


def test_columns_that_name_findings_stand_together(tmp_path):
    there = {"target: rust": ["yes", "no", "1", "0", None, None], "target: mildew": [1.0, 0.0, None, 1.0, None, 0.0]}
    path = write(tmp_path, six(**there))
    assert target_of(path) == Findings(names=("rust", "mildew"))
    targets = [sample.target for sample in read_samples(path).samples]
    np.testing.assert_array_equal(targets[:4], [[1, 1], [0, 0], [1, np.nan], [0, 1]])
    assert targets[4] is None
    known = Findings(names=("mildew", "rust", "rot"))  # the task's order; what no column names is unknown
    np.testing.assert_array_equal(read_samples(path, known).samples[3].target, [1, 0, np.nan])
    with pytest.raises(InputError, match="want a finding of rot, yes or no"):
        read_samples(path, Findings(names=("rot",)))
    with pytest.raises(InputError, match="has a target 'rust', the task one alone"):
        read_samples(path, Quantity(units="1"))
    unknown = write(tmp_path, six(target=[None] * 6), "new.csv")
    assert [sample.target for sample in read_samples(unknown, known).samples] == [None] * 6


@pytest.mark.parametrize(
    "target", [Quantity(units="1"), Classes(names=("dry", "wet")), Findings(names=("rust", "rot"))]
)
def test_samples_to_predict_need_no_target(tmp_path, target):
    source = read_samples(write(tmp_path, six()), target)
    assert [sample.target for sample in source.samples] == [None] * 6
    assert source.classes == target.told_names
    with pytest.raises(InputError, match="lacks the column 'target'"):
        read_samples(write(tmp_path, six()))


def test_a_table_may_name_its_own_parts(tmp_path):
    parts = ["train", "train", "calibrate", "calibrate", "test", ""]
    source = read_samples(write(tmp_path, six(target=[1.0] * 6, part=parts)))
    assert [sample.source.part for sample in source.samples] == parts
    split = source.split()
    assert (split.train.tolist(), split.calibrate.tolist(), split.test.tolist()) == ([0, 1, 5], [2, 3], [4])
    assert [sample.source.part for sample in source.training()] == [*parts[:4], ""]
    assert "part" not in {channel.name for channel in source.samples[0].streams["table"].channels}
    with pytest.raises(InputError, match=r"row 3, column 'part': got 'val', want train, calibrate or test"):
        read_samples(write(tmp_path, six(target=[1.0] * 6, part=["train", "val"] * 3)))


def test_groups_may_be_left_out(tmp_path):
    for groups in (None, [None] * 6):
        samples = read_samples(write(tmp_path, six(target=[1.0] * 6, group=groups))).samples
        assert {sample.source.group for sample in samples} == {None}


def test_data_that_name_targets_teach_no_quantity(tmp_path):
    source = read_samples(write(tmp_path, six(target=["wet", "dry"] * 3)))
    with pytest.raises(InputError, match="names dry, wet as targets, the task predicts mm"):
        Quantity(units="mm").told(source)


def test_parquet_reads_as_csv_does(tmp_path):
    pd.DataFrame(GOOD).to_parquet(tmp_path / "t.parquet")
    assert len(read_samples(tmp_path / "t.parquet").samples) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": None}, "lacks the column 'licence'"),
        ({"target": None}, "lacks the column 'target'"),
        ({"target [kg]": [1.0, 2.0]}, "want one target, or several, each as 'target: NAME'"),
        ({"target: a": [1, 0]}, "want one target, or several, each as 'target: NAME'"),
        ({"target": None, "target: a": ["maybe", "no"]}, "got 'maybe', want a finding of a, yes or no"),
        ({"rain [mm]": ["wet", "dry"]}, "want numbers"),
        ({"sample": ["a", "a"], "target": [1.0, 1.0], "group": ["x", "x"]}, "stands 2 times"),
        ({"sample": ["a", "a"]}, "several values of 'target'"),
        ({"target": ["good", "bad"]}, "has 2 different words as targets of 2 samples"),
        ({"target": ["good", "good"]}, "has 1 different words"),
        ({"target": ["good", 3.0]}, "'good' is no number"),
        ({"target": ["1e31", "2"]}, "out of range"),
        ({"rain [mm]": None}, "holds no stream"),
        ({"sample": ["a", "a"], "target": [1.0, 1.0], "group": ["x", "x"], "time": [1.0, 1.0]}, "stands twice"),
        ({"log": ["../secret.csv", "../secret.csv"]}, "below the table's own folder"),
        ({"log": ["no.csv", "no.csv"]}, "no file"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, change, message):
    columns = {name: values for name, values in {**GOOD, **change}.items() if values is not None}
    with pytest.raises(InputError, match=message) as caught:
        read_samples(write(tmp_path, columns))
    assert "\n" not in str(caught.value)


def test_an_empty_table_and_another_kind_of_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no rows"):
        read_samples(write(tmp_path, {name: [] for name in GOOD}))
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"want a \.csv or \.parquet"):
        read_samples(tmp_path / "t.xlsx")


def test_files_of_many_samples_are_read_when_they_are_needed_and_are_the_same(tmp_path, monkeypatch):
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 255, (6, 4, 3), np.uint8)).save(tmp_path / f"{number}.png")
    path = write(tmp_path, {
        "sample": ["d", "b", "c", "a"], "target [t]": [1.0, None, 3.0, 4.0], "group": ["x", "y", "", "x"],
        "licence": ["CC0-1.0", "", "CC-BY-4.0", "CC0-1.0"], "rain [mm]": [1.0, 2.0, 3.0, 4.0],
        "leaf": ["0.png", "1.png", None, "3.png"],
    })  # fmt: skip
    held = read_samples(path)
    monkeypatch.setattr(table, "MOST_HELD", 3)
    lazy = read_samples(path)
    assert isinstance(lazy.samples, LazySamples)
    assert not isinstance(held.samples, LazySamples)
    for part in ("labelled", "training"):
        ours, theirs = getattr(lazy, part)(), getattr(held, part)()
        assert [(one.source, one.target) for one in ours] == [(one.source, one.target) for one in theirs]
        for own, other in zip(ours, theirs, strict=True):
            assert list(own.streams) == list(other.streams)
            for name, stream in other.streams.items():
                assert np.array_equal(own.streams[name].values, stream.values)
                assert own.streams[name].channels == stream.channels
    (tmp_path / "3.png").write_bytes(b"none")
    first = read_samples(path).samples[0]
    with pytest.raises(InputError, match=r"3\.png cannot be read"):
        first.streams["leaf"]
