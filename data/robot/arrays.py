"""Arrays of one inertial unit: `.npz` of gyr, acc and mag, weighed before they are unpacked; `.mat` shares their rules.

In: `gyr`, `acc`, `mag` (samples, 3) in rad/s, m/s2 (specific force) and uT, NaN where absent; any two may lack whole.
`rate` in Hz, or `times` (samples,) in s, or both where they agree. Where truth is known: `quat` (samples, 4), order w,
x, y, z, ENU from the sensor, and `movement` (samples,), true where it moves (BROAD, Laidig et al. 2021).
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel
from mainstem.data.robot.clocks import to_seconds
from mainstem.data.robot.recording import CHANNELS, Array, Kind, Recording, Sensor
from mainstem.data.robot.units import contradiction

Shape = tuple[int, ...]
SENSORS: Final[Mapping[str, tuple[str, Kind]]] = {
    "gyr": ("imu.gyroscope", "gyroscope"),
    "acc": ("imu.accelerometer", "accelerometer"),
    "mag": ("imu.magnetometer", "magnetometer"),
    "quat": ("truth.orientation", "orientation"),
    "movement": ("truth.movement", "other"),
}
KNOWN: Final = (*SENSORS, "rate", "times")
MOST_BYTES: Final = 1 << 30  # of all arrays that are read, unpacked: a day of three sensors at 100 Hz is 0.6 GB
MOST_READINGS: Final = 50_000_000
MOST_ENTRIES: Final = 1000
RATES_HZ: Final = (0.01, 100_000.0)
RATE_TOLERANCE: Final = 0.01  # of the median step against 1 / rate: a crystal keeps to a ten-thousandth
WANTED: Final = "want gyr, acc or mag (samples, 3) in rad/s, m/s2 and uT, and rate in Hz"


def read_arrays(path: Path) -> Recording:
    """Read an `.npz` by the rules above.

    Raises:
        InputError: if it is damaged, larger than MOST_BYTES, holds objects, or its arrays break a rule.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path.name)
            found = {name: _array(archive, entries[name], path.name) for name in KNOWN if name in entries}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"{path.name} is a damaged .npz ({error!s:.100}); write it again") from error
    skipped = dict.fromkeys(sorted(entries.keys() - set(KNOWN)), f"no array that is known; {WANTED}")
    return recording_of_arrays(path.name, found, skipped)


def _entries(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    held = archive.infolist()
    if len(held) > MOST_ENTRIES:
        raise InputError(f"{name} holds {len(held)} entries, want at most {MOST_ENTRIES}; leave some out")
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in held:
        key = entry.filename.removesuffix(".npy")
        if key == entry.filename or key in entries:
            what = "twice" if key in entries else "which is no array"
            raise InputError(f"{name} holds {entry.filename[:60]!r} {what}; write it by numpy.savez")
        entries[key] = entry
    total = sum(entries[key].file_size for key in KNOWN if key in entries)
    if total > MOST_BYTES:
        raise InputError(f"{name} unpacks to {total >> 20} MiB, want at most {MOST_BYTES >> 20}; split it")
    return entries


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    """One array, of exactly as many bytes as its header claims."""
    key = entry.filename.removesuffix(".npy")
    with archive.open(entry) as file:
        major = np.lib.format.read_magic(file)[0]
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, is_columns_first, kind = read(file, max_header_size=10_000)
        check_array(key, shape, kind, name)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        data = file.read(size + 1)
    if len(data) != size:
        raise InputError(f"{name}: {key} holds {len(data)} bytes, its header claims {size}; write it again")
    return np.frombuffer(data, kind).reshape(shape, order="F" if is_columns_first else "C")


def check_array(key: str, shape: Shape, kind: np.dtype[Any], name: str) -> None:
    """Refuse an array by its shape and type alone, before it is read.

    Raises:
        InputError: if it has others than the rules say.
    """
    if kind.hasobject or kind.kind not in "fiub":
        raise InputError(f"{name}: {key} holds {str(kind)[:40]}, want plain numbers; save it as float")
    columns = {"gyr": 3, "acc": 3, "mag": 3, "quat": 4}.get(key)
    if key == "rate":
        is_right, wanted = int(np.prod(shape, dtype=np.int64)) == 1, "one number"
    elif columns:
        is_right, wanted = len(shape) == 2 and shape[1] == columns, f"(samples, {columns})"
    else:
        is_right, wanted = len(shape) == 1 or (len(shape) == 2 and 1 in shape), "(samples,)"
    if not is_right:
        raise InputError(f"{name}: {key} has the shape {shape}, want {wanted}; turn or cut it")
    if np.prod(shape, dtype=np.float64) > MOST_READINGS:
        raise InputError(f"{name}: {key} claims {shape} numbers, want at most {MOST_READINGS}; split it")


def recording_of_arrays(name: str, found: Mapping[str, NDArray[Any]], skipped: Mapping[str, str]) -> Recording:
    """Return a recording of arrays by name, of the rules above.

    Raises:
        InputError: if none of gyr, acc and mag is there, lengths or rates contradict, values are infinite or all NaN,
            or look like another unit.
    """
    if not any(key in found for key in ("gyr", "acc", "mag")):
        held = ", ".join(sorted(skipped)[:8]) or "nothing that is known"
        raise InputError(f"{name} holds {held}; {WANTED}")
    flat = ("times", "movement")
    lengths = {
        key: found[key].size if key in flat else len(found[key]) for key in KNOWN if key in found.keys() - {"rate"}
    }
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        told = ", ".join(f"{key} {count}" for key, count in lengths.items())
        raise InputError(f"{name} has arrays of unequal or no length: {told}; give one row a sample in each")
    times, origin = _times(name, found, next(iter(lengths.values())))
    sensors = {SENSORS[key][0]: _sensor(name, key, found[key], times) for key in SENSORS if key in found}
    mounted = {"imu": np.eye(4)}  # the unit is the body
    return Recording(name=name, sensors=sensors, origin=origin, skipped=dict(skipped), body="imu", extrinsics=mounted)


def _times(name: str, found: Mapping[str, NDArray[Any]], count: int) -> tuple[Array, str]:
    rate = float(np.asarray(found["rate"], np.float64).reshape(())) if "rate" in found else None
    if rate is not None and not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise InputError(f"{name}: rate is {rate:g}, want a number of Hz between {RATES_HZ[0]:g} and {RATES_HZ[1]:g}")
    if "times" not in found:
        if rate is None:
            raise InputError(f"{name} has neither rate nor times; give rate in Hz, or times (samples,) in s")
        return np.arange(count) / rate, ""
    stamps = found["times"].reshape(-1)
    whole = stamps.dtype.kind in "iu" and (not stamps.size or int(stamps.max()) < 1 << 62)
    exact = stamps.astype(np.int64) if whole else stamps.astype(np.float64)
    times, origin = to_seconds(exact, 1.0, f"{name}: times")
    _check_rate(name, times, rate)
    return times, origin


def _check_rate(name: str, times: Array, rate: float | None) -> None:
    steps = np.diff(times)
    steps = steps[steps > 0]
    if rate is None or len(steps) < 10:
        return
    measured = 1 / float(np.median(steps))
    if abs(measured / rate - 1) > RATE_TOLERANCE:
        raise InputError(
            f"{name}: rate says {rate:g} Hz, times step by {1 / measured:.4g} s, which is {measured:.4g} Hz; "
            "mend one of them, or leave rate out"
        )


def _sensor(name: str, key: str, values: NDArray[Any], times: Array) -> Sensor:
    kind = SENSORS[key][1]
    if kind == "other":
        flags = values.reshape(-1, 1).astype(np.float64)
        return Sensor(kind=kind, times=times, values=flags, channels=(Channel(name=key, unit="1"),), source=key)
    numbers = values.astype(np.float64)
    check_values(f"{name}: {key}", kind, numbers)
    return Sensor(kind=kind, times=times, values=numbers, channels=CHANNELS[kind], frame="imu", source=key)


def check_values(where: str, kind: Kind, values: Array) -> None:
    """Refuse values of a table or an array that can only be wrong.

    Raises:
        InputError: if one is infinite, all are NaN, or they look like another unit.
    """
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values).any(1))[0])
        raise InputError(f"{where} holds infinity, first in row {row}; write NaN where nothing was measured")
    if not np.isfinite(values).any():
        raise InputError(f"{where} is NaN throughout; leave out what was not measured")
    if kind == "orientation" and not _is_unit(values):
        raise InputError(f"{where} holds quaternions that are not of length 1; want w, x, y, z, normalised")
    if other := contradiction(kind, values):
        raise InputError(f"{where}: {other}; convert the values, or name their unit rightly")


def _is_unit(values: Array) -> bool:
    lengths = np.linalg.norm(values, axis=1)
    return bool((np.abs(lengths[np.isfinite(lengths)] - 1) < 0.01).all())
