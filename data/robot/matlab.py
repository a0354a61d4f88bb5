"""MATLAB files of one inertial unit, versions 5 and 7.3, with the names and rules of `arrays`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.earth.stores import plain_data_set
from mainstem.data.limits import bounded_memory
from mainstem.data.robot.arrays import KNOWN, MOST_BYTES, WANTED, check_array, recording_of_arrays
from mainstem.data.robot.recording import Recording

HDF5: Final = b"\x89HDF\r\n\x1a\n"
USER_BLOCK: Final = 512  # bytes before the HDF5 of a version 7.3 file
MOST_NAMES: Final = 10_000


def read_matlab(path: Path) -> Recording:
    """Read a `.mat` of version 5 (and 4) or 7.3.

    Raises:
        InputError: if it is damaged, larger than MOST_BYTES, leads to other files, or its arrays break a rule.
        MissingExtraError: if h5py is not installed, for version 7.3.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path.name} has {path.stat().st_size >> 20} MiB, want at most {MOST_BYTES >> 20}; split it")
    with path.open("rb") as file:
        head = file.read(USER_BLOCK + len(HDF5))
    is_hdf5 = HDF5 in (head[: len(HDF5)], head[USER_BLOCK:])
    found, others = _hdf5(path) if is_hdf5 else _version_5(path)
    skipped = dict.fromkeys(others, f"no array that is known; {WANTED}")
    return recording_of_arrays(path.name, found, skipped)


def _version_5(path: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Arrays by name, and the names of the rest; shapes are looked at before values are."""
    from scipy import io

    try:
        with bounded_memory(path.name, MOST_BYTES):
            held = {name: (shape, kind) for name, shape, kind in io.whosmat(path)}
            for name in KNOWN:
                if name in held:
                    _check_kind(name, held[name], path.name)
            wanted = [name for name in KNOWN if name in held]
            loaded: Mapping[str, Any] = io.loadmat(path, variable_names=wanted, squeeze_me=False) if wanted else {}
    except InputError:
        raise
    except Exception as error:  # scipy's readers raise what they meet: struct, zlib, index, type and value errors
        raise InputError(f"{path.name} cannot be read as MATLAB ({error!s:.100}); save it again") from error
    return {name: _plain(name, loaded.get(name), path.name) for name in wanted}, sorted(held.keys() - set(KNOWN))


def _check_kind(name: str, told: tuple[tuple[int, ...], str], where: str) -> None:
    shape, kind = told
    if not (kind in ("double", "single", "logical") or kind.removeprefix("u").startswith("int")):
        raise InputError(f"{where}: {name} is of the MATLAB class {kind[:20]}, want numbers; save it as double")
    check_array(name, shape, np.dtype(np.float64), where)


def _plain(name: str, values: Any, where: str) -> NDArray[Any]:  # noqa: ANN401 - what scipy found
    if not isinstance(values, np.ndarray):
        raise InputError(f"{where}: {name} is no plain array; save it as double")
    check_array(name, values.shape, values.dtype, where)
    return values


def _hdf5(path: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Arrays of the top level by name, turned as MATLAB shows them, and the names of the rest."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "robot") from error
    try:
        with bounded_memory(path.name, 2 * MOST_BYTES), h5py.File(path, "r") as file:
            names = [name.decode("utf-8", "replace") for name in list(file.id)[:MOST_NAMES]]
            wanted = [name for name in KNOWN if name in names]
            found = {name: _data_set(file, name, path.name) for name in wanted}
            return found, sorted(name for name in set(names) - set(KNOWN) if not name.startswith("#"))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path.name} cannot be read as MATLAB 7.3 ({error!s:.100}); save it again") from error


def _data_set(file: Any, name: str, where: str) -> NDArray[Any]:  # noqa: ANN401 - h5py's
    """One data set in this very file; links, virtual and external ones are refused."""
    from h5py import h5l, h5o

    raw = name.encode()
    if file.id.links.get_info(raw).type != h5l.TYPE_HARD:
        raise InputError(f"{where}: {name} is a link to another place; save the arrays into one file")
    if h5o.get_info(file.id, raw).type != h5o.TYPE_DATASET:
        raise InputError(f"{where}: {name} is a group, as of a struct or a cell, want an array; save it as double")
    claim = plain_data_set(file.id, raw, name, where)
    check_array(name, claim.shape[::-1], file[name].dtype, where)
    values: NDArray[Any] = file[name][()]
    return values.T
