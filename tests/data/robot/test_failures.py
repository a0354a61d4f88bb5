"""Traces of forces and torques are read whole or refused, and a trace that stands there twice counts once."""

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.robot.failures import AXES, STEPS, STREAM, open_failures


def trace(label, seed):
    """A label and STEPS lines of six counts."""
    counts = np.random.default_rng(seed).integers(-9, 90, (STEPS, 6))
    return [label, *("\t" + "\t".join(map(str, row)) for row in counts.tolist()), "", ""]


def write(path, *traces):
    path.write_text("\n".join(line for one in traces for line in one))
    return str(path)


def table(path, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in [["trace", *AXES, "label"], *rows]) + "\n")
    return str(path)


def rows_of(name, label, seed=0):
    counts = np.random.default_rng(seed).integers(-9, 90, (STEPS, 6))
    return [[name, *row, label] for row in counts.tolist()]


def test_a_file_of_traces_is_read_as_it_stands(tmp_path):
    found = open_failures(write(tmp_path / "own.txt", trace("normal", 0), trace("collision", 1), trace("unknown", 2)))
    assert [sample.target for sample in found.samples] == [0.0, 1.0, None]
    stream = found.samples[1].streams[STREAM]
    assert stream.values.tolist() == np.random.default_rng(1).integers(-9, 90, (STEPS, 6)).tolist()
    assert np.isclose(stream.times[-1], 14 * 0.021)
    assert found.classes == ("healthy", "failed")


def test_a_table_holds_the_same_traces(tmp_path):
    text = open_failures(write(tmp_path / "own.txt", trace("ok", 0), trace("moved", 1)))
    same = open_failures(table(tmp_path / "own.csv", [*rows_of("a", "ok", 0), *rows_of("b", "moved", 1)]))
    for one, other in zip(text.samples, same.samples, strict=True):
        assert one.source.group == other.source.group
        assert one.target == other.target
        assert np.array_equal(one.streams[STREAM].values, other.streams[STREAM].values)


def test_a_trace_that_stands_there_again_counts_once(tmp_path):
    found = open_failures(write(tmp_path / "own.txt", trace("normal", 0), trace("collision", 1), trace("normal", 0)))
    assert len(found.samples) == 3
    assert [sample.source.item for sample in found.training()] == ["own.txt, trace 1", "own.txt, trace 2"]
    assert found.flagged == {"own.txt, trace 3": "the same trace is own.txt, trace 1"}
    assert found.samples[0].source.group == found.samples[2].source.group


def test_a_folder_of_the_sets_files_is_read_whole(tmp_path):
    write(tmp_path / "lp2.data", trace("collision", 1))
    write(tmp_path / "lp1.data.txt", trace("normal", 0), trace("normal", 2))
    (tmp_path / "lp1.data.md").write_text("no traces")
    found = open_failures(str(tmp_path))
    assert [sample.source.item for sample in found.samples] == [
        "lp1.data.txt, trace 1", "lp1.data.txt, trace 2", "lp2.data, trace 1"
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no lp\*.data"):
        open_failures(str(tmp_path / "empty"))
    (tmp_path / "empty" / "lp1.data").symlink_to(tmp_path / "lp2.data")
    with pytest.raises(InputError, match="leads outside"):
        open_failures(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (trace("normal", 0)[:-4], "line 1: the trace has 13 steps, want 15"),
        ([*trace("normal", 0)[:3], "1\t2\t3", *trace("normal", 0)[4:]], "line 4: got '1 2 3', want six counts"),
        ([*trace("normal", 0)[:3], "1 2 3 4 5 nan", *trace("normal", 0)[4:]], "line 4.*want counts from"),
        ([*trace("normal", 0)[:3], "1 2 3 4 5 inf", *trace("normal", 0)[4:]], "line 4.*want counts from"),
        ([*trace("normal", 0)[:3], "1 2 3 4 5 x", *trace("normal", 0)[4:]], "line 4.*want six counts"),
        (trace("fine", 0), "got the label 'fine', want normal, ok, unknown"),
        (trace("3", 0), "want the label of the next trace"),
        ([], "holds no trace"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(lines, told, tmp_path):
    with pytest.raises(InputError, match=told):
        open_failures(write(tmp_path / "own.txt", lines))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (rows_of("a", "ok")[:-1], "has 14 rows here, want 15"),
        ([*rows_of("a", "ok"), *rows_of("b", "ok", 1), *rows_of("a", "ok", 2)], "'a' has 15 rows here"),
        ([*rows_of("a", "ok")[:-1], ["a", *range(6), "moved"]], "several labels"),
        ([*rows_of("a", "ok")[:-1], ["a", "", *range(5), "ok"]], "column 'Fx': got no count"),
        ([*rows_of("a", "ok")[:-1], ["a", "inf", *range(5), "ok"]], "column 'Fx'"),
        ([*rows_of("a", "ok")[:-1], ["a", 2e6, *range(5), "ok"]], "column 'Fx'"),
    ],
)
def test_a_table_of_other_rows_is_refused_with_its_place(rows, told, tmp_path):
    with pytest.raises(InputError, match=told):
        open_failures(table(tmp_path / "own.csv", rows))


@pytest.mark.mirror
def test_the_real_set_holds_41_distinct_healthy_traces(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    found = open_failures("robot-failures")
    assert len(found.samples) == 135
    assert np.bincount([int(sample.target) for sample in found.training()]).tolist() == [41, 93]
    again = open_failures(str(tmp_path / "v1" / "robot" / "robot_failures" / "lp3.data.txt"))
    assert {one.source.group for one in again.samples} < {one.source.group for one in found.samples}
