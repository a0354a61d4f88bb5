"""Windows that a file asks to be shown with; runs in the worker."""

from typing import TYPE_CHECKING

from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.dicom_header import Window

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


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
        name = said.lower() if said and set(said.split()) <= tags.WINDOW_WORDS else f"window {index + 1}"
        if width > 0:
            found.setdefault((center, width), Window(name=name, center=center, width=width, function=function))
    return tuple(found.values())
