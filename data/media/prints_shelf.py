"""Arrays put aside in a file without a name, so that fingerprints of a large archive do not fill the memory."""

from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray


class Shelf:
    """Arrays by the number of their owner, of which some are read again; gone when the process ends."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 (closed with this object)
        self._places: list[list[tuple[int, np.dtype[np.generic], tuple[int, ...]]]] = []

    def __len__(self) -> int:
        return len(self._places)

    def put(self, *arrays: NDArray[np.generic]) -> int:
        """Put an owner's arrays aside and return its number."""
        self._file.seek(0, 2)
        places = []
        for array in arrays:
            places.append((self._file.tell(), array.dtype, array.shape))
            self._file.write(np.ascontiguousarray(array).tobytes())
        self._places.append(places)
        return len(self._places) - 1

    def get(self, owner: int) -> list[NDArray[np.generic]]:
        """An owner's arrays, read-only."""
        return [self._read(*place) for place in self._places[owner]]

    def _read(self, place: int, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
        self._file.seek(place)
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(self._file.read(size), dtype).reshape(shape)
