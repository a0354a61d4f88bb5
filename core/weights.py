"""Weight files: safetensors written atomically, hashes, and the one checked door for `.pt`."""

import hashlib
import json
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the error alone

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mainstem.core.errors import ArtifactError
from mainstem.core.files import write_atomically
from mainstem.core.schema import printable

MAX_HEADER_BYTES = 100_000_000  # of safetensors, beyond which its reader refuses (docs "Format", DOS protection)
MAX_PT_BYTES = 8 << 30  # no `.pt` of the open families that the project reads nears 8 GiB
SLACK = 1 << 24  # weights that may be allocated beyond a file's, so that a tensor that lacks is named
MAX_PICKLE_BYTES = 64 << 20
DAMAGED = (  # what zipfile, pickletools and torch raise on archives that are not whole
    RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, OSError, OverflowError, AssertionError,
    zipfile.BadZipFile, UnpicklingError, struct.error,
)  # fmt: skip
ALLOWED_PICKLE_GLOBALS = {  # what a plain state dict of tensors is made of
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(
        f"torch {name}Storage"
        for name in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
    ),
}


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of names, types, shapes and bytes of tensors; the order of names does not count."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_tensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Write safetensors with metadata and return the file's sha256; the same content gives the same bytes."""
    content = tensors_content(state, metadata)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def tensors_content(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of a safetensors file.

    Raises:
        ArtifactError: if its header would be too large to be opened again.
    """
    ordered = {name: state[name].detach().cpu().contiguous() for name in sorted(state)}
    content = _with_sorted_metadata(save(ordered), metadata)
    (length,) = struct.unpack("<Q", content[:8])
    if length > MAX_HEADER_BYTES:
        raise ArtifactError(
            f"the header would take {length / 1e6:.0f} MB, and safetensors opens {MAX_HEADER_BYTES / 1e6:.0f}; "
            "train on fewer groups"
        )
    return content


def check_finite(state: Mapping[str, Tensor], name: str) -> None:
    """Check weights.

    Raises:
        ArtifactError: if one holds NaN or infinity, or is no real number.
    """
    for key, tensor in state.items():
        if tensor.is_complex() or not tensor.isfinite().all():
            what = "complex numbers" if tensor.is_complex() else "NaN or infinity"
            raise ArtifactError(f"{name} holds {what} in {printable(key)}; it is damaged: fetch or train it again")


def num_weights(state: Mapping[str, Tensor]) -> int:
    """Number of weights in all."""
    return sum(tensor.numel() for tensor in state.values())


def check_room(needed: int, held: int, name: str) -> None:
    """Check, before anything is allocated, that a config asks for no more weights than a file holds.

    Raises:
        ArtifactError: if it asks for more.
    """
    if needed > held + SLACK:
        raise ArtifactError(f"{name} asks for {needed:,} weights, its file holds {held:,}; fetch or train it again")


def fill(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Load weights of the module's own names, shapes and types, all of them and no others.

    Raises:
        ArtifactError: if one is missing, left over, of another shape or type.
    """
    owned = module.state_dict()
    check_names(set(owned), set(state), name)
    for key, wanted in owned.items():
        found = state[key]
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise ArtifactError(
                f"{name} holds {printable(key)} as {found.dtype} {tuple(found.shape)}, want {wanted.dtype} "
                f"{tuple(wanted.shape)}; it is damaged: fetch or train it again"
            )
    module.load_state_dict(dict(state))


def check_names(wanted: set[str], found: set[str], name: str) -> None:
    """Check that the names found are those wanted.

    Raises:
        ArtifactError: if one is missing or left over.
    """
    missing, left_over = sorted(wanted - found), sorted(found - wanted)
    if missing or left_over:
        what = f"lacks {printable(missing[0])}" if missing else f"holds {printable(left_over[0])}, which nothing reads"
        raise ArtifactError(f"{name} {what}; it is damaged: fetch or train it again")


def _with_sorted_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Put metadata in the header in the order of their names; the library's own order changes from run to run."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    text = json.dumps({"__metadata__": dict(sorted(metadata.items())), **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns data to eight bytes
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read safetensors and their metadata.

    Raises:
        ArtifactError: if the file is absent, damaged or no safetensors.
    """
    if not path.is_file():
        raise ArtifactError(f"no file {path}; name a run folder or a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path.name} is no whole safetensors file ({error}); fetch or train it again") from error


def load_pt(path: Path) -> dict[str, Tensor]:
    """Read a `.pt` state dict after its archive was checked: tensors alone, no code, no size that bombs memory.

    Raises:
        ArtifactError: if the file is no zip archive of tensors, names any other object, or is too large.
    """
    if not path.is_file():
        raise ArtifactError(f"no file {path}; name a file of weights")
    try:
        _check_pt(path)
        state = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 - the one door
    except DAMAGED as error:
        said = f"{type(error).__name__}: {printable(error)}"
        raise ArtifactError(f"{path.name} is damaged ({said}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ArtifactError(f"{path.name} holds more than a dict of tensors; save model.state_dict() alone")
    size = path.stat().st_size
    if any(value.numel() * value.element_size() > size for value in state.values()):
        raise ArtifactError(f"{path.name} claims a tensor larger than itself; refuse it")
    return {str(name): value for name, value in state.items()}


def _check_pt(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise ArtifactError(f"{path.name} is no torch archive (zip); convert it to safetensors where you trust it")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ArtifactError(f"{path.name} is compressed, which torch never writes; refuse it")
        if sum(entry.file_size for entry in entries) > MAX_PT_BYTES:
            raise ArtifactError(f"{path.name} claims more than {MAX_PT_BYTES >> 30} GiB; refuse it")
        pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
        if len(pickles) != 1:
            raise ArtifactError(f"{path.name} holds {len(pickles)} pickles, want the one of torch.save; refuse it")
        if pickles[0].file_size > MAX_PICKLE_BYTES:
            raise ArtifactError(f"{path.name} holds a pickle of more than {MAX_PICKLE_BYTES >> 20} MiB; refuse it")
        with archive.open(pickles[0]) as file:
            foreign = sorted(_globals(file.read()) - ALLOWED_PICKLE_GLOBALS)
    if foreign:
        raise ArtifactError(f"{path.name} would run {foreign[0]!r}; only plain tensors are read")


def _globals(pickled: bytes) -> set[str]:
    """Names of everything that a pickle would import; a name built on its stack is reported as such."""
    found = set()
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            found.add(str(argument))
        elif opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            found.add(f"a name built by {opcode.name}")
    return found
