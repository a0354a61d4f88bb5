"""MATLAB files: the rules of the arrays, in versions 5 and 7.3; nothing outside the file is opened."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import io

from mainstem.core.errors import InputError
from mainstem.data.robot.matlab import read_matlab

RATE = 100.0


def made(count: int = 60) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(3).standard_normal((count, 9))
    return {
        "gyr": 0.01 * noise[:, :3],
        "acc": 0.05 * noise[:, 3:6] + [0, 0, 9.81],
        "mag": 0.3 * noise[:, 6:] + [0, 20, -40],
        "rate": np.array([[RATE]]),
    }


def save_5(path: Path, held: dict, is_packed: bool = True) -> Path:
    io.savemat(path, held, do_compression=is_packed)
    return path


def save_73(path: Path, held: dict) -> Path:
    """As MATLAB writes it: a user block of 512 bytes, and each matrix turned."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in held.items():
            file.create_dataset(name, data=np.asarray(values).T)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116, b" "))
    return path


@pytest.mark.parametrize("save", [save_5, save_73], ids=["5", "7.3"])
def test_both_versions_give_the_arrays_that_were_saved(tmp_path, save):
    held = {**made(), "quat": np.tile([1.0, 0, 0, 0], (60, 1)), "movement": np.ones((60, 1)), "extra": np.zeros((2, 2))}
    found = read_matlab(save(tmp_path / "a.mat", held))
    np.testing.assert_array_equal(found.sensors["imu.gyroscope"].values, held["gyr"])
    np.testing.assert_array_equal(found.sensors["imu.magnetometer"].values, held["mag"])
    assert found.sensors["imu.accelerometer"].rate_hz == pytest.approx(RATE)
    assert found.sensors["truth.movement"].values.shape == (60, 1)
    assert list(found.skipped) == ["extra"]


CASES = {
    "turned": ({"gyr": made()["gyr"].T}, "has the shape (3, 60)"),
    "a struct": ({"gyr": {"x": 1.0}}, "gyr"),
    "text": ({"gyr": "abc"}, "gyr"),
    "a rate that lies": ({"times": np.arange(60)[:, None] / 50}, "rate says 100 Hz"),
    "in g": ({"acc": made()["acc"] / 9.80665}, "looks like g"),
    "infinity": ({"mag": np.full((60, 3), np.inf)}, "infinity"),
    "nothing known": ({"gyr": None, "acc": None, "mag": None}, "want gyr, acc or mag"),
}


@pytest.mark.parametrize(("change", "words"), CASES.values(), ids=CASES)
def test_what_breaks_a_rule_is_refused_in_version_5(tmp_path, change, words):
    held = {name: values for name, values in {**made(), **change}.items() if values is not None}
    with pytest.raises(InputError) as raised:
        read_matlab(save_5(tmp_path / "a.mat", held))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_links_virtual_sets_and_outside_storage_are_refused(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["gyr"] = made()["gyr"].T
    raw = tmp_path / "raw.bin"
    raw.write_bytes(made()["gyr"].tobytes())
    layout = h5py.VirtualLayout(shape=(3, 60), dtype="f8")
    layout[:] = h5py.VirtualSource(secret, "gyr", shape=(3, 60))
    ways = {
        "external link": lambda file: file.__setitem__("gyr", h5py.ExternalLink(secret, "/gyr")),
        "soft link": lambda file: file.__setitem__("gyr", h5py.SoftLink("/acc")),
        "virtual": lambda file: file.create_virtual_dataset("gyr", layout),
        "external storage": lambda file: file.create_dataset(
            "gyr", shape=(3, 60), dtype="f8", external=[(str(raw), 0, h5py.h5f.UNLIMITED)]
        ),
        "group": lambda file: file.create_group("gyr"),
    }
    for way, write in ways.items():
        path = save_73(tmp_path / "a.mat", {name: values for name, values in made().items() if name != "gyr"})
        with h5py.File(path, "r+") as file:
            write(file)
        with pytest.raises(InputError, match="gyr"):
            read_matlab(path)
        assert way


def test_huge_claims_are_refused_before_memory_is_taken(tmp_path):
    path = save_73(tmp_path / "a.mat", made())
    with h5py.File(path, "r+") as file:
        del file["gyr"]
        file.create_dataset("gyr", shape=(3, 1 << 40), dtype="f8", chunks=(3, 1 << 10), compression="gzip")
    with pytest.raises(InputError, match="want at most"):
        read_matlab(path)


@pytest.mark.parametrize("save", [save_5, save_73], ids=["5", "7.3"])
def test_every_cut_and_every_flipped_bit_is_read_or_refused(tmp_path, save):
    path = save(tmp_path / "a.mat", made(20))
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    broken = [whole[:length] for length in random.integers(0, len(whole), 25)]
    for at, bit in zip(random.integers(0, len(whole), 80), random.integers(0, 8, 80), strict=True):
        broken.append(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    refused = 0
    for data in broken:
        path.write_bytes(data)
        try:
            read_matlab(path)
        except InputError:
            refused += 1
    assert refused > 20
