"""Tables of one's own: what becomes a stream, and what is refused in one line."""

import pandas as pd
import pytest

from mainstem.core.errors import InputError
from mainstem.data.table import read_samples

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


def test_parquet_reads_as_csv_does(tmp_path):
    pd.DataFrame(GOOD).to_parquet(tmp_path / "t.parquet")
    assert len(read_samples(tmp_path / "t.parquet").samples) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": None}, "lacks the column 'group'"),
        ({"rain [mm]": ["wet", "dry"]}, "want numbers"),
        ({"sample": ["a", "a"], "target": [1.0, 1.0], "group": ["x", "x"]}, "stands 2 times"),
        ({"sample": ["a", "a"]}, "several values of 'target'"),
        ({"target": ["good", "bad"]}, "is no number"),
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
