"""Sonars are read with their recent past, and nothing that is held out shares a reading with what is learned from."""

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.robot.wall_following import BORDER, MOVES, SONARS, STEPS, STRETCH, open_wall_following

NUM = 3 * STRETCH


def rows_of(num=NUM):
    """Ranges that tell row and sonar apart, so that a reading can be found again, and moves in turn."""
    ranges = 0.5 + np.arange(num)[:, None] * 1e-2 + np.arange(24)[None] * 1e-4
    return [[f"{value:.4f}" for value in row] + [MOVES[index % 4]] for index, row in enumerate(ranges)]


def write(path, rows, header=(*SONARS, "OUTPUT")):
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    return str(path)


@pytest.fixture
def drive(tmp_path):
    return open_wall_following(write(tmp_path / "drive.csv", rows_of()))


def test_every_sonar_is_a_stream_of_its_last_steps(drive):
    sample = drive.samples[20]
    assert sorted(sample.streams) == sorted(SONARS)
    stream = sample.streams["S3"]
    assert np.allclose(stream.values[:, 0], 0.5 + 1e-2 * np.arange(21 - STEPS, 21) + 2e-4)
    assert stream.times[-1] == 0
    assert (np.diff(stream.times) > 0).all()
    assert sample.target == 20 % 4


def test_a_window_reaches_into_no_other_stretch(drive):
    for start in (0, STRETCH):
        seen = drive.samples[start].streams["S1"].values[:, 0]
        assert np.isnan(seen[:-1]).all()
        assert np.isfinite(seen[-1])


def test_the_test_part_shares_no_reading_with_training_and_lies_beyond_a_border(drive):
    training, split = drive.training(), drive.split()
    tested = [drive.samples[row] for row in split.test]

    def readings(samples):
        values = np.concatenate([sample.streams["S1"].values.ravel() for sample in samples])
        return set(np.round(values[np.isfinite(values)], 4).tolist())

    assert not readings(training) & readings(tested)
    assert not {sample.source.group for sample in training} & {sample.source.group for sample in tested}
    assert min(sample.source.facts["row"] for sample in tested) == int(0.7 * NUM)
    assert max(sample.source.facts["row"] for sample in training) == int(0.7 * NUM) - BORDER - 1


def test_a_sonar_that_reads_nothing_now_is_missing(tmp_path):
    rows = rows_of(40)
    rows[5][2] = ""
    found = open_wall_following(write(tmp_path / "drive.csv", rows))
    assert "S3" not in found.samples[5].streams
    assert np.isnan(found.samples[6].streams["S3"].values[-2, 0])


def test_moves_may_be_unknown(tmp_path):
    rows = [row[:-1] for row in rows_of(30)]
    found = open_wall_following(write(tmp_path / "drive.csv", rows, SONARS))
    assert all(sample.target is None for sample in found.samples)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows[3].pop(), "row 5"),  # a short row; the header is row 1
        (lambda rows: rows[3].__setitem__(24, "Fly"), "got 'Fly', want one of Move-Forward"),
        (lambda rows: rows[3].__setitem__(0, "inf"), "S1"),
        (lambda rows: rows[3].__setitem__(0, "-0.5"), "0 to 20 m"),
        (lambda rows: rows[3].__setitem__(0, "250"), "0 to 20 m"),  # centimetres
        (lambda rows: rows[3].__setitem__(0, "far"), "want a number of m"),
    ],
)
def test_what_is_no_drive_is_refused_with_its_place(change, told, tmp_path):
    rows = rows_of(30)
    change(rows)
    with pytest.raises(InputError, match=told):
        open_wall_following(write(tmp_path / "drive.csv", rows))


def test_a_lacking_column_and_a_lacking_file_are_named(tmp_path):
    rows = [[*row[:3], *row[4:]] for row in rows_of(30)]
    with pytest.raises(InputError, match="'S4'"):
        open_wall_following(write(tmp_path / "drive.csv", rows, (*SONARS[:3], *SONARS[4:], "OUTPUT")))
    with pytest.raises(InputError, match="want wall-following"):
        open_wall_following(str(tmp_path / "none.csv"))


@pytest.mark.mirror
def test_the_real_drive(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    found = open_wall_following("wall-following")
    assert len(found.samples) == 5456
    assert len(found.split().test) == 1637
    assert np.bincount(found.samples.truth().astype(int)).tolist() == [2205, 2097, 328, 826]
