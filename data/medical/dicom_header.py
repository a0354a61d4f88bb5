"""What a DICOM image says of itself, without pixels and without a person: plain values that cross a pipe as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Numbers = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """How to show values: grey from black to white over `width` around `center`, in rescaled units.

    Attributes:
        function: LINEAR, LINEAR_EXACT or SIGMOID, PS3.3 C.11.2.1.2 and C.11.2.1.3, or TABLE, C.11.2.1.1.
        greys: of a table, 0 to 255, by whole values from `center` less half of the width on; the ends go on.
    """

    name: str
    center: float
    width: float
    function: str = "LINEAR"
    greys: tuple[int, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From JSON."""
        return cls(**(dict(told) | {"greys": tuple(told["greys"])}))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a file: a frame, or a tile of a mosaic.

    Attributes:
        frame: index in the file.
        tile: of a mosaic, row by row; None where the frame is the picture.
        position: three numbers, centre of the first pixel, mm, patient LPS (0020,0032); None where not known.
        orientation: six numbers, direction cosines along a row, then down a column (0020,0037).
        spacing_mm: between rows, between columns (0028,0030), of the patient; None where not known.
        slope: and `intercept` from stored values to `Header.unit`; None where values stay as stored.
        rescale_type: what the file calls rescaled values (0028,1054), of the standard's words.
        num_tables: VOI LUTs of the file, which the worker reads where they are asked for.
        part: what tells apart pictures of the same place (echo, time, frame type ...); compared, never shown.
    """

    frame: int
    tile: int | None = None
    position: Numbers | None = None
    orientation: Numbers | None = None
    spacing_mm: tuple[float, float] | None = None
    thickness_mm: float | None = None
    slope: float | None = None
    intercept: float | None = None
    rescale_type: str | None = None
    windows: tuple[Window, ...] = ()
    num_tables: int = 0
    part: tuple[str, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        return cls(**(values | {"windows": tuple(map(Window.of, told["windows"]))}))


@dataclass(frozen=True, kw_only=True)
class Header:
    """What one file says of its pictures.

    Attributes:
        sop_class: the standard's name of the kind of object.
        samples: 1, or 3 of colour and palettes, which are read as red, green, blue.
        tiles: of a mosaic, across and down; `rows` and `columns` are the whole file's.
        unit: of rescaled values: HU, Gy, or 1 where the file names none.
        facts: age_years, sex, view, laterality ...; None where a tag lacks.
        flags: what a reader has to know, in words.
    """

    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    frame_of_reference: str
    modality: str | None
    rows: int
    columns: int
    samples: int
    photometric: str
    bits_stored: int
    bits_allocated: int
    is_signed: bool
    num_frames: int
    syntax: str
    unit: str
    has_lut: bool = False
    tiles: int = 1
    facts: Mapping[str, str | float | None] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From JSON."""
        pictures = tuple(map(Picture.of, told["pictures"]))
        return cls(**(dict(told) | {"pictures": pictures, "flags": tuple(told["flags"])}))

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
