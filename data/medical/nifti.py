"""NIfTI files to volumes in patient millimetres, and labels back onto a volume's grid.

Files place voxels in RAS (NIfTI-1 standard, section 6.2, as nibabel reads it), streams in LPS, as DICOM does. What
would have to be guessed is refused: no transform, two that contradict each other, no unit of length, several frames,
colours; and so are voxels that are no boxes. Values are scaled as the header says (scl_slope, scl_inter). A .gz is
unpacked only as far as its header says that there are voxels.
"""

import gzip
import io
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.files import write_atomically
from mainstem.core.plain import one_line
from mainstem.core.stream import Channel, Geometry, Stream
from mainstem.data.medical.archives import Place
from mainstem.data.medical.dicom_process import Limits, worker

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

SUFFIXES = (".nii", ".nii.gz")
MOST_BYTES = 1 << 30  # of a file, and of what its header says that it holds
MOST_VOXELS = 1 << 27  # 512 x 512 x 512
MOST_SIDE = 1 << 14
HEADER_BYTES, HEADER2_BYTES = 348, 540  # of NIfTI-1 and NIfTI-2
MOST_DESCRIPTION = 79  # bytes (NIfTI-1: descrip)
MOST_BEFORE = 1 << 20  # bytes of header and extensions before the voxels
MILLIMETRES = {"meter": 1e3, "mm": 1.0, "micron": 1e-3}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from RAS, and back
SHEAR_DEGREES = 1.0  # from a right angle: a voxel then holds 0.02 % less than the product of its sides
UNPACKING = Limits(seconds=20.0, bytes_s=20e6)  # a GiB from a .gz, and libraries to be loaded
APART = 0.5  # of a voxel's shortest side, that two transforms may place a corner of the volume apart


def is_nifti(path: Path) -> bool:
    """True where a file's name says that it is one."""
    return path.name.endswith(SUFFIXES)


def read_nifti(path: Path, channel: str = "intensity") -> Stream:
    """Read a volume (1, z, y, x), float32, in the file's own order, with its geometry in mm, frame LPS.

    Raises:
        InputError: if it is absent, damaged or too large, or its place, unit or order would have to be guessed.
    """
    from mainstem.data.tabular import check_regular

    if check_regular(path, "name a .nii or .nii.gz file").st_size > MOST_BYTES:
        raise InputError(f"{path.name} is larger than {MOST_BYTES >> 20} MiB; cut it")
    with path.open("rb") as file:
        values, affine = read_voxels(file, path.name)
    return _stream(values, affine, channel)


def read_volume(place: Place, channel: str = "intensity") -> Stream:
    """As `read_nifti`, of a file in a zip, too: it is opened by the worker of `dicom_process`, within its limits.

    Raises:
        InputError: as `read_nifti`.
    """
    told, values = worker().answer("volume", place, {}, limits=UNPACKING)
    assert values is not None
    return _stream(values, np.array(told["affine"]), channel)


def _stream(values: NDArray[np.float32], affine: NDArray[np.float64], channel: str) -> Stream:
    return Stream(
        kind="volume",
        values=values[None],
        channels=(Channel(name=channel, unit="1"),),
        geometry=Geometry(affine=affine, unit="mm", frame="LPS"),
    )


def read_voxels(file: BinaryIO, name: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Voxels (z, y, x) of a file that may be packed, and the affine from (x, y, z) to mm in LPS.

    Raises:
        InputError: as `read_nifti`; it begins with the name.
    """
    try:
        header, content = _read(_unpacked(file), name)
        geometry = _geometry(header, name)
        values = _image(content).get_fdata(dtype=np.float32)
    except InputError:
        raise
    except Exception as error:  # a decoder of damaged bytes raises anything
        raise InputError(f"{name} cannot be read as NIfTI ({one_line(error)}); save it again") from error
    volume = values.reshape(values.shape[:3]).transpose(2, 1, 0)
    return np.ascontiguousarray(volume), geometry.affine


def write_labels(path: Path, labels: NDArray[Any], like: Stream, description: str = "") -> None:
    """Write labels (z, y, x), 0 to 255, as NIfTI on the grid of a volume that `read_nifti` gave.

    Raises:
        InputError: if they are of another shape, or the volume has no place in mm.
    """
    import nibabel as nib

    if like.geometry is None or like.geometry.unit is None or labels.shape != like.values.shape[1:]:
        raise InputError(f"got labels of {labels.shape} for a volume of {like.values.shape[1:]}, want as many, placed")
    affine = LPS @ np.diag([*[like.geometry.metres() * 1e3] * 3, 1.0]) @ like.geometry.affine
    image = nib.Nifti1Image(labels.astype(np.uint8).transpose(2, 1, 0), affine)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode()[:MOST_DESCRIPTION]
    content = image.to_bytes()
    packed = gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content
    write_atomically(path, packed)


def _unpacked(file: BinaryIO) -> "BinaryIO | gzip.GzipFile":
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if is_packed else file


def _read(file: "BinaryIO | gzip.GzipFile", name: str) -> "tuple[Nifti1Header, bytes]":
    """Read a header, check what it asks for, and then so many bytes and no more."""
    try:
        import nibabel as nib
    except ImportError as error:
        raise MissingExtraError("nibabel", "medical") from error
    try:
        start = file.read(HEADER2_BYTES)
        length = _header_length(start)
        if len(start) < (length or HEADER_BYTES) or not length:
            raise InputError(f"{name} begins as no NIfTI file does; fetch it again")
        kind = nib.Nifti2Header if length == HEADER2_BYTES else nib.Nifti1Header
        header = kind.from_fileobj(io.BytesIO(start[:length]))
        size = _check(header, name)
        content = start + file.read(max(size - len(start), 0))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name} is damaged ({one_line(error)}); fetch it again") from error
    if len(content) < size:
        raise InputError(f"{name} holds {len(content)} bytes, its header says {size}; fetch it again")
    return header, content


def _check(header: "Nifti1Header", name: str) -> int:
    """Return how many bytes a file of this header has.

    Raises:
        InputError: if they are too many, or no single volume of numbers.
    """
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if len(shape) < 3 or any(side != 1 for side in shape[3:]) or not all(1 <= side <= MOST_SIDE for side in shape[:3]):
        raise InputError(f"{name} holds {_sides(shape)}, want one volume of x, y and z; save one")
    if dtype.names is not None or dtype.kind not in "iuf":
        raise InputError(f"{name} holds {dtype!s:.40}, want one real number a voxel; convert it")
    num, start = math.prod(shape), int(header["vox_offset"])
    if num > MOST_VOXELS or not HEADER_BYTES <= start <= MOST_BEFORE or num * dtype.itemsize > MOST_BYTES:
        raise InputError(
            f"{name} asks for {_sides(shape)} voxels from byte {start} on, want {MOST_VOXELS} at most; cut it"
        )
    return int(start + num * dtype.itemsize)


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "nothing"


def _geometry(header: "Nifti1Header", name: str) -> Geometry:
    """Where voxels lie, in mm.

    Raises:
        InputError: if the file does not say it, says it twice otherwise or in no unit, or axes are not at right angles.
    """
    unit = header.get_xyzt_units()[0]
    if unit not in MILLIMETRES:
        raise InputError(f"{name} does not say in which unit its voxels are (xyzt_units); set it to mm if they are")
    if not int(header["sform_code"]) and not int(header["qform_code"]):
        raise InputError(f"{name} does not say where its voxels lie (sform, qform); save it with a transform")
    _check_both(header, name)
    scaled = np.diag([*[MILLIMETRES[unit]] * 3, 1.0])
    try:
        found = Geometry(affine=LPS @ scaled @ header.get_best_affine(), unit="mm", frame="LPS")
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    check_angles(found, name)
    return found


def _check_both(header: "Nifti1Header", name: str) -> None:
    """Refuse two transforms that place a corner of the volume apart: nobody knows which is true."""
    if not int(header["sform_code"]) or not int(header["qform_code"]):
        return
    sform, qform = header.get_sform(), header.get_qform()
    sides = np.array(header.get_data_shape()[:3])
    corners = np.vstack([(np.indices((2, 2, 2)).reshape(3, -1).T * (sides - 1)).T, np.ones(8)])
    first, second = sform @ corners, qform @ corners
    apart = np.linalg.norm(first - second, axis=0)
    if not apart.max() <= APART * float(np.linalg.norm(sform[:3, :3], axis=0).min()):
        at = int(apart.argmax())
        one, other = (", ".join(f"{value:.1f}" for value in placed[:3, at]) for placed in (first, second))
        raise InputError(
            f"{name} places voxel {corners[:3, at].astype(int).tolist()} at ({one}) by its sform and at ({other}) by "
            "its qform; set the code of the wrong one to 0"
        )


def check_angles(geometry: Geometry, name: str) -> None:
    """Refuse axes that are not at right angles: sides then say nothing of volumes."""
    turned = geometry.affine[:3, :3] / geometry.spacing()
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = float(np.degrees(np.arccos(np.clip(turned[:, first] @ turned[:, second], -1, 1))))
        if not abs(angle - 90) <= SHEAR_DEGREES:
            raise InputError(
                f"{name} is sheared: axes {'xyz'[first]} and {'xyz'[second]} stand at {angle:.1f} degrees, want 90; "
                "resample it"
            )


def _image(content: bytes) -> Any:  # noqa: ANN401 - nibabel names no type for it
    import nibabel as nib

    kind = nib.Nifti2Image if _header_length(content) == HEADER2_BYTES else nib.Nifti1Image
    return kind.from_bytes(content)


def _header_length(content: bytes) -> int:
    """How long a header says that it is, in either order of bytes; 0 where it is none."""
    said = {int.from_bytes(content[:4], "little"), int.from_bytes(content[:4], "big")}
    return next((length for length in (HEADER_BYTES, HEADER2_BYTES) if length in said), 0)
