"""Which reader reads a file: by what it begins with, whatever it is called."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.robot.reading import kind_of, read_recording

NUMBERS = "time [s],pressure [Pa]\n0,1\n1,2\n"


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, gyr=np.random.default_rng(0).normal(0, 0.1, (30, 3)), rate=100.0)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.bag", b"#ROSBAG V2.0\n", "ros"),
        ("a.csv", b"\x89MCAP0\r\n", "ros"),
        ("a.db3", b"SQLite format 3\0", "ros"),
        ("a.log", b"ULog\x01\x12\x35\x01", "ulog"),
        ("a.npz", npz(), "npz"),
        ("a.mat", b"MATLAB 5.0 MAT-file", "mat"),
        ("a.mat", bytes(512) + b"\x89HDF\r\n\x1a\n", "mat"),
        ("a.csv", NUMBERS.encode(), "csv"),
    ],
)
def test_a_file_is_what_it_begins_with(tmp_path, name, data, kind):
    (tmp_path / name).write_bytes(data)
    assert kind_of(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.zip", zipped(), "unpack it"),
        ("a.npz", b"no zip", "begins as none"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("a.gz", b"\x1f\x8b\x08", "gzip"),
        ("a.parquet", b"PAR1", "Parquet"),
        ("a.jpg", b"\xff\xd8\xff", "begins as none"),
        ("a.csv", b"", "is empty"),
        ("a.npz", zipped(), "no array"),
        ("a.ulg", b"ULog\x01\x12\x35\x01", "ULog"),
        ("a.mat", b"MATLAB 5.0 MAT-file", "MATLAB"),
    ],
)
def test_what_is_none_of_them_is_refused_in_one_line(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as raised:
        read_recording(tmp_path / name)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_recording(tmp_path / "a.csv")
    with pytest.raises(InputError, match="neither a ROS 2 bag nor a LeRobot set"):
        read_recording(tmp_path)
    (tmp_path / "meta").mkdir()
    shutil.copy(__file__, tmp_path / "meta" / "info.json")
    assert kind_of(tmp_path) == "lerobot"
    with pytest.raises(InputError, match="no description"):
        read_recording(tmp_path)


def test_options_of_another_kind_of_file_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(NUMBERS)
    assert list(read_recording(path).sensors) == ["pressure"]
    with pytest.raises(InputError, match="no episodes"):
        read_recording(path, episode=0)
    with pytest.raises(InputError, match="no ROS bag"):
        read_recording(path, msg_paths=[Path(tmp_path)])


def test_arrays_are_read_through_the_one_door(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz())
    assert read_recording(tmp_path / "a.npz").sensors["imu.gyroscope"].rate_hz == pytest.approx(100)
