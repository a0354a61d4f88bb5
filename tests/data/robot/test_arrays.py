"""Arrays of one inertial unit: the contract's names, shapes, units and rates, and what a file may not ask for."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.robot import arrays
from mainstem.data.robot.arrays import read_arrays

RATE = 100.0


def made(count: int = 400) -> dict[str, np.ndarray]:
    """An IMU at rest with noise: gravity up, a field of 45 uT."""
    noise = np.random.default_rng(3).standard_normal((count, 9))
    return {
        "gyr": 0.01 * noise[:, :3],
        "acc": 0.05 * noise[:, 3:6] + [0, 0, 9.81],
        "mag": 0.3 * noise[:, 6:] + [0, 20, -40],
        "rate": np.array(RATE),
    }


def save(path: Path, held: dict[str, np.ndarray]) -> Path:
    np.savez_compressed(path, **held)
    return path


def test_arrays_come_back_as_sensors_of_one_clock(tmp_path):
    held = made()
    held["gyr"][5] = np.nan
    held["quat"] = np.tile([1.0, 0, 0, 0], (400, 1))
    held["movement"] = np.arange(400) > 200
    held["note"] = np.zeros(3)
    found = read_arrays(save(tmp_path / "a.npz", held))
    gyroscope = found.sensors["imu.gyroscope"]
    np.testing.assert_array_equal(gyroscope.values, held["gyr"])
    np.testing.assert_allclose(gyroscope.times, np.arange(400) / RATE)
    assert [channel.unit for channel in found.sensors["imu.magnetometer"].channels] == ["uT"] * 3
    assert found.sensors["truth.orientation"].values.shape == (400, 4)
    assert found.sensors["truth.movement"].values.sum() == 199
    assert list(found.skipped) == ["note"]


def test_two_of_three_may_lack_and_times_may_stand_for_the_rate(tmp_path):
    count = 50
    times = 10 + np.arange(count) / RATE
    found = read_arrays(save(tmp_path / "a.npz", {"gyr": made(count)["gyr"], "times": times}))
    assert list(found.sensors) == ["imu.gyroscope"]
    np.testing.assert_array_equal(found.sensors["imu.gyroscope"].times, times)


def changed(**arrays):
    return {**made(), **arrays}


CASES = {
    "wrong shape": (changed(gyr=np.zeros((3, 400))), "gyr has the shape (3, 400)"),
    "unequal lengths": (changed(gyr=np.zeros((399, 3))), "unequal"),
    "no rate": ({k: v for k, v in made().items() if k != "rate"}, "neither rate nor times"),
    "rate of zero": (changed(rate=np.array(0.0)), "rate is 0"),
    "rate of nan": (changed(rate=np.array(np.nan)), "rate is nan"),
    "two rates": (changed(rate=np.array([1.0, 2.0])), "want one number"),
    "a rate that lies": (changed(times=np.arange(400) / 285.7), "rate says 100 Hz"),
    "infinity": (changed(acc=np.where(np.arange(1200).reshape(400, 3) == 7, np.inf, made()["acc"])), "row 2"),
    "all nan": (changed(mag=np.full((400, 3), np.nan)), "NaN throughout"),
    "text": (changed(mag=np.full((400, 3), "a")), "want plain numbers"),
    "objects": (changed(mag=np.full((400, 3), None)), "want plain numbers"),
    "complex": (changed(mag=np.zeros((400, 3), complex)), "want plain numbers"),
    "nothing known": ({"x": np.zeros(3)}, "want gyr, acc or mag"),
    "nothing in it": (changed(gyr=np.zeros((0, 3)), acc=np.zeros((0, 3)), mag=np.zeros((0, 3))), "no length"),
    "g for m/s2": (changed(acc=made()["acc"] / 9.80665), "looks like g"),
    "mg for m/s2": (changed(acc=made()["acc"] / 9.80665e-3), "looks like mg"),
    "deg/s for rad/s": (changed(gyr=300 + made()["gyr"]), "looks like deg/s"),
    "gauss for uT": (changed(mag=made()["mag"] / 100), "looks like gauss"),
    "tesla for uT": (changed(mag=made()["mag"] / 1e6), "looks like T"),
    "no rotation": (changed(quat=np.full((400, 4), 0.7)), "not of length 1"),
    "times beyond any clock": (changed(times=1.4e18 + 1e7 * np.arange(400)), "another unit"),
}  # fmt: skip


@pytest.mark.parametrize(("held", "words"), CASES.values(), ids=CASES)
def test_what_breaks_a_rule_is_refused_in_one_line(tmp_path, held, words):
    with pytest.raises(InputError) as raised:
        read_arrays(save(tmp_path / "a.npz", held))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def claim(shape: str, data: bytes = b"") -> bytes:
    file = io.BytesIO()
    file.write(np.lib.format.magic(1, 0))
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    file.write(len(header).to_bytes(2, "little") + header + data)
    return file.getvalue()


@pytest.mark.parametrize(
    "shape", ["(10**9, 3)", "(1000000000, 3)", "(9223372036854775807, 3)", "(-4, 3)", "(40, 3)", "'a'", "(4.0, 3)"]
)
def test_headers_that_claim_what_is_not_there_are_refused(tmp_path, shape):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("gyr.npy", claim(shape))
        archive.writestr("rate.npy", claim("()", np.array(RATE).tobytes()))
    with pytest.raises(InputError):
        read_arrays(tmp_path / "a.npz")


def test_a_bomb_is_weighed_before_it_is_unpacked(tmp_path, monkeypatch):
    assert arrays.MOST_BYTES == 1 << 30
    monkeypatch.setattr(arrays, "MOST_BYTES", 1 << 24)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gyr.npy", b"\0" * ((1 << 24) + 1))
    assert path.stat().st_size < 1 << 17
    with pytest.raises(InputError, match="unpacks to"):
        read_arrays(path)


def test_every_cut_and_every_flipped_bit_is_read_or_refused(tmp_path):
    path = save(tmp_path / "a.npz", made(30))
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    broken = [whole[:length] for length in random.integers(0, len(whole), 40)]
    for at, bit in zip(random.integers(0, len(whole), 150), random.integers(0, 8, 150), strict=True):
        broken.append(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    refused = 0
    for data in broken:
        path.write_bytes(data)
        try:
            read_arrays(path)
        except InputError:
            refused += 1
    assert refused > 100  # the zip's checksums see most of it


@pytest.mark.mirror
def test_broad_is_read_as_it_is():
    path = Path(os.environ["MAINSTEM_MIRROR"], "robot/broad/01_undisturbed_slow_rotation_A.npz")
    found = read_arrays(path)
    assert found.sensors["imu.gyroscope"].rate_hz == pytest.approx(285.714, abs=0.01)
    assert len(found.sensors["imu.gyroscope"].times) == 56_940


def test_an_array_that_stands_there_twice_is_refused(tmp_path):
    path = save(tmp_path / "a.npz", made())
    with zipfile.ZipFile(path) as archive:
        again = archive.read("gyr.npy")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("gyr.npy", again)
    with pytest.raises(InputError, match=r"'gyr.npy' twice"):
        read_arrays(path)
