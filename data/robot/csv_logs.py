"""CSV of sensors: the header names every unit, empty cells are readings that another sensor's row brought.

Several sensors may share a file and a column of time: each keeps the rows in which it has a value, so its own rate.
Units that are not named, mixed within a sensor, or contradicted by the values are refused (see `units`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.stream import Channel
from mainstem.data.csv_files import Cells, read_csv
from mainstem.data.robot.arrays import check_values
from mainstem.data.robot.clocks import to_seconds
from mainstem.data.robot.csv_columns import ROBOT, Column, column_of
from mainstem.data.robot.recording import CHANNELS, Array, Recording, Sensor

VECTORS: Final = ("gyroscope", "accelerometer", "magnetometer", "orientation", "position")
MAY_LACK: Final = ("speed_y", "yaw_rate", "altitude", "speed_x")


def read_csv_log(path: Path) -> Recording:
    """Read a CSV file with a column of time.

    Raises:
        InputError: if it is no table, has no time or no sensor, a cell is no number, or units are unnamed, mixed or
            contradicted.
    """
    cells = read_csv(path)
    try:
        meant = {name: column_of(name) for name in cells.columns if name}
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    skipped = {name: "no unit and no sensor that is known" for name, column in meant.items() if column is None}
    columns = [column for column in meant.values() if column is not None]
    times, origin = _clock(cells, columns, path.name)
    received = _received(cells, columns, path.name, origin)
    sensors, converted = {}, [*cells.notes]
    for name in dict.fromkeys(column.sensor for column in columns if column.sensor):
        group = [column for column in columns if column.sensor == name]
        _check_units(group, path.name)
        kept = _own_rows(cells, group)
        if not kept.any():
            skipped |= {column.name: "no value in any row" for column in group}
            continue
        sensors[name] = _sensor(cells, group, times, received, path.name)
        converted += _conversion(group)
    if not sensors:
        raise InputError(f"{path.name} names no sensor; write headers as gyr_x [rad/s], acc_x [m/s2], mag_x [uT]")
    frames = [sensor.frame for sensor in sensors.values() if sensor.frame]
    body = ROBOT if ROBOT in frames or not frames else frames[0]
    return Recording(
        name=path.name, sensors=sensors, origin=origin, converted=tuple(converted), skipped=skipped, body=body,
        extrinsics={body: np.eye(4)},
    )  # fmt: skip


def _clock(cells: Cells, columns: Sequence[Column], name: str) -> tuple[Array, str]:
    clocks = [column for column in columns if not column.sensor and column.channel == "time"]
    if len(clocks) != 1:
        told = " and ".join(repr(column.name[:40]) for column in clocks) or "no column of time"
        raise InputError(f"{name} has {told}; write one: time [s], or timestamp [ns]")
    return to_seconds(_stamps(cells, clocks[0], name), clocks[0].scale, f"{name}: {clocks[0].name}")


def _received(cells: Cells, columns: Sequence[Column], name: str, origin: str) -> Array | None:
    clocks = [column for column in columns if not column.sensor]
    found = next((column for column in clocks if column.channel == "received"), None)
    if found is None:
        return None
    times, start = to_seconds(_stamps(cells, found, name), found.scale, f"{name}: {found.name}")
    if start == origin:
        return times
    if not (start and origin):
        raise InputError(f"{name}: time and {found.name[:40]!r} count from different instants; give both from one")
    return times + float((np.datetime64(start[:-1]) - np.datetime64(origin[:-1])) / np.timedelta64(1, "s"))


def _stamps(cells: Cells, column: Column, name: str) -> NDArray[np.int64] | Array:
    """A column of stamps; whole numbers stay such, as nanoseconds do not fit a float64."""
    import pyarrow as pa

    try:
        whole: NDArray[np.int64] = np.asarray(cells.columns[column.name].cast(pa.int64()))
        if whole.dtype == np.int64:
            return whole
    except pa.ArrowInvalid:
        pass
    return _numbers(cells, column.name, name)


def _numbers(cells: Cells, column: str, name: str) -> Array:
    """A column as float64, NaN where it is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(cells.columns[column])
    texts = pc.if_else(pc.equal(texts, ""), "nan", texts)
    try:
        return np.array(texts.cast(pa.float64()), np.float64)
    except pa.ArrowInvalid:
        for row, text in zip(cells.rows.tolist(), texts.to_pylist(), strict=True):
            try:
                float(text)
            except ValueError:
                raise InputError(f"{name}, row {row}, {column[:40]!r}: {text[:30]!r} is no number; mend it") from None
        raise InputError(f"{name}: {column[:40]!r} is no column of numbers; write them with a decimal point") from None


def _check_units(group: Sequence[Column], name: str) -> None:
    """Refuse a sensor that lacks axes, or whose like channels are in unlike units."""
    kind = group[0].kind
    if kind == "other":
        return
    names = [column.channel for column in group]
    wanted = [channel.name for channel in CHANNELS[kind]]
    twice = next((channel for channel in names if names.count(channel) > 1), None)
    if twice:
        told = " and ".join(repr(column.name[:40]) for column in group if column.channel == twice)
        raise InputError(f"{name}: {told} are the same channel; name the sensors apart: imu1/gyr_x, imu2/gyr_x")
    missing = [channel for channel in wanted if channel not in names and channel not in MAY_LACK]
    if missing:
        raise InputError(
            f"{name}: {group[0].sensor} has {', '.join(sorted(names))} and lacks {', '.join(missing)}; add the "
            "columns, empty where nothing was measured"
        )
    if kind in VECTORS and len({column.scale for column in group}) > 1:
        told = ", ".join(f"{column.name[:40]!r} in {column.unit or '1'}" for column in group)
        raise InputError(f"{name} mixes units in one sensor: {told}; convert them to one")


def _sensor(cells: Cells, group: Sequence[Column], times: Array, received: Array | None, name: str) -> Sensor:
    kind = group[0].kind
    columns = {column.channel: _numbers(cells, column.name, name) * column.scale for column in group}
    if kind in CHANNELS:
        channels = CHANNELS[kind]
    else:
        channels = tuple(Channel(name=column.channel, unit=column.unit) for column in group)
    blank = np.full(len(times), np.nan)
    values = np.stack([columns.get(channel.name, blank) for channel in channels], axis=1)
    source = ", ".join(column.name for column in group)
    check_values(f"{name}: {group[0].sensor}", kind, values)
    kept = _own_rows(cells, group)
    return Sensor(
        kind=kind,
        times=times[kept],
        values=values[kept],
        channels=channels,
        frame=group[0].sensor.rpartition(".")[0],
        received=None if received is None else received[kept],
        source=source,
    )


def _own_rows(cells: Cells, group: Sequence[Column]) -> NDArray[np.bool_]:
    """Rows in which a sensor has a cell: one that says NaN is a reading that lacks a value."""
    import pyarrow.compute as pc

    filled = [np.asarray(pc.utf8_length(pc.utf8_trim_whitespace(cells.columns[column.name]))) > 0 for column in group]
    rows: NDArray[np.bool_] = np.logical_or.reduce(filled)
    return rows


def _conversion(group: Sequence[Column]) -> list[str]:
    """A line for all columns of a sensor that are converted alike."""
    units = {channel.name: channel.unit for channel in CHANNELS.get(group[0].kind, ())}
    alike: dict[str, list[str]] = {}
    for column in group:
        if column.scale != 1.0:
            alike.setdefault(f"{column.unit} to {units[column.channel]}, times {column.scale:.9g}", []).append(
                column.name
            )
    return [f"{', '.join(names)}: {change}" for change, names in alike.items()]
