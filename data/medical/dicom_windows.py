"""Windows and lookup tables that a file asks to be shown with; runs in the worker."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_header import Window

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MOST_ENTRIES = 1 << 18  # of all tables of a file: four of the most that one has


def read_windows(dataset: "Dataset") -> tuple[Window, ...]:
    """Windows of the file, named by its own words where they are common ones."""
    centers, widths = tags.numbers(dataset, "WindowCenter"), tags.numbers(dataset, "WindowWidth")
    if centers is None or widths is None or len(centers) != len(widths):
        return ()
    named = [word.strip().upper() for word in tags.words(dataset, "WindowCenterWidthExplanation")]
    function = tags.word(dataset, "VOILUTFunction", ("LINEAR", "LINEAR_EXACT", "SIGMOID")) or "LINEAR"
    found: dict[tuple[float, float], Window] = {}
    for index, (center, width) in enumerate(zip(centers, widths, strict=True)):
        said = named[index] if len(named) == len(centers) else ""
        name = _name(said) or f"window {index + 1}"
        if width > 0:
            found.setdefault((center, width), Window(name=name, center=center, width=width, function=function))
    return tuple(found.values())


def _name(said: str) -> str:
    """What a file calls a window, in common words; empty where it uses others, which may name somebody."""
    return said.lower() if said and set(said.split()) <= tags.WINDOW_WORDS else ""


def shares(values: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Greys, 0 to 1, of values in rescaled units, as the reader draws them; a sigmoid as the line of its window.

    Source: PS3.3 C.11.2.1.1, a table; C.11.2.1.2.1, linear; C.11.2.1.3.2, exact.
    """
    if window.function == "TABLE":
        at = np.floor(np.nan_to_num(values) - (window.center - window.width / 2))
        greys = np.asarray(window.greys, np.float32) / 255
        found: NDArray[np.float32] = greys[np.clip(at, 0, len(greys) - 1).astype(np.int64)]
        return found
    is_exact = window.function == "LINEAR_EXACT"
    middle, span = (window.center, window.width) if is_exact else (window.center - 0.5, max(window.width - 1, 1e-6))
    return np.asarray(np.clip((values - middle) / span + 0.5, 0, 1), np.float32)


def read_tables(dataset: "Dataset") -> tuple[Window, ...]:
    """VOI LUTs of the file, PS3.3 C.11.2.1.1, but those that are no tables of 8 to 16 bits, or beyond MOST_ENTRIES."""
    return tuple(_tables(dataset))


def _tables(dataset: "Dataset") -> Iterator[Window]:
    order, left = "<" if dataset.original_encoding[1] else ">", MOST_ENTRIES
    for index, item in enumerate(tags.value(dataset, "VOILUTSequence") or ()):
        descriptor = tags.numbers(item, "LUTDescriptor", 3)
        if descriptor is None or "LUTData" not in item or (int(descriptor[0]) or 1 << 16) > left:
            continue
        entries = lut_entries(item, order)
        if not len(entries) or not 8 <= descriptor[2] <= 16:
            continue
        left -= len(entries)
        shares = entries / ((1 << int(descriptor[2])) - 1)
        yield Window(
            name=_name(str(tags.value(item, "LUTExplanation") or "").strip().upper()) or f"lookup table {index + 1}",
            center=descriptor[1] + len(entries) / 2,
            width=float(len(entries)),
            function="TABLE",
            greys=tuple(np.rint(255 * np.clip(shares, 0, 1)).astype(int).tolist()),
        )


def lut_entries(item: "Dataset", order: str) -> NDArray[np.int64]:
    """Entries of a lookup table, of 8 or 16 bits; none where it is longer or shorter than its descriptor says.

    Args:
        item: of a sequence of tables.
        order: of bytes, < or >.
    """
    number, data = int(item.LUTDescriptor[0]) or 1 << 16, item.LUTData
    if not isinstance(data, bytes):
        table = np.atleast_1d(np.asarray(data, np.int64))
    else:
        table = np.frombuffer(data, "u1" if len(data) == number + number % 2 else f"{order}u2").astype(np.int64)
    return table[:number] if number <= len(table) <= number + 1 else np.zeros(0, np.int64)
