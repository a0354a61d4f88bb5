"""`mainstem models` and `mainstem embed`: named open encoders, and embeddings of a file's contents."""

import itertools
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.devices import Compute, in_precision, move
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.openmodels.fetching import fetch, is_whole, listings, models_home, staged_folder
from mainstem.core.outputs import check_output
from mainstem.core.plain import one_line

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
TABLES = (".csv", ".parquet")
FORMATS = ("PNG", "JPEG", "MPO", "TIFF")
LARGEST_BYTES, LARGEST_TEXT = 512 << 20, 8 << 20  # a model's copies of them stay below 2 GiB
LARGEST_IMAGE = 36_000_000  # pixels, 6,000 a side: as float32 in RGB 432 MB, of which a model makes a few
OUTPUTS = (".npy", ".npz", *TABLES)
BYTES_A_PARAMETER = 4


def describe() -> list[dict[str, Any]]:
    """What is known of every named model, and whether it is staged here."""
    return [
        {
            **asdict(listing),
            "megabytes": listing.million_parameters * BYTES_A_PARAMETER,
            "staged": is_whole(staged_folder(name, models_home())),
        }
        for name, listing in listings().items()
    ]


def pull(name: str, to: Path | None, mirror: Path | None = None) -> Path:
    """Stage a named model, or a hub repository, below `to` (MAINSTEM_HOME/models unless given)."""
    return fetch(name, to or models_home(), mirror)


def embed_file(
    model_name: str, path: str, out: Path, family: str | None = None, compute: Compute | None = None
) -> dict[str, Any]:
    """Embed what a file holds and write one vector a sample.

    Args:
        model_name: as `load_open_model` takes it.
        path: .npz with the family's inputs by name; an image; a text file, one text a line; a data set or table of
            pixel series for Presto.
        out: .npy (vectors alone), .npz (with items, model and weights' hash), .csv or .parquet (a row a sample).
        family: where config and keys do not say it.

    Raises:
        InputError: if a file is of no such kind, or does not hold what the model takes.
    """
    from mainstem.data.table import files_named

    check_output(out, itertools.chain([path, model_name], files_named([path])), OUTPUTS)
    model, compute = load_open_model(model_name, family), compute or Compute(device="cpu")
    move((*model.tokenizers.values(), model.trunk), compute.place())
    inputs, items = read_inputs(model, path)
    with in_precision(compute.place(), compute.precision):
        vectors = model.embed(inputs)
    items = items or [str(row) for row in range(len(vectors))]
    sha256 = model.sha256()
    _write(out, vectors, items, {"model": model_name, "family": model.family, "weights_sha256": sha256})
    return {
        "num": len(vectors),
        "dim": int(vectors.shape[1]),
        "family": model.family,
        "weights_sha256": sha256,
        "out": str(out),
    }


def read_inputs(model: OpenModel, path: str) -> tuple[Mapping[str, Any], list[str]]:
    """A file's contents by the names that the model takes, and the samples' names where the file gives them."""
    file = Path(path)
    if file.suffix == ".npz":
        return _arrays(file), []
    if file.suffix.lower() in IMAGES:
        return {"image": _image(file)[None]}, [file.name]
    if file.suffix == ".txt":
        texts = _texts(file)
        return {"text": texts}, texts
    if model.family == "presto":
        from mainstem.core.openmodels.presto_samples import inputs_of
        from mainstem.data.earth.pixels import open_pixels

        samples = open_pixels(path).samples
        return inputs_of(samples), [sample.source.item for sample in samples]
    raise InputError(
        f"got {path!r}, want .npz with the model's inputs, an image, or .txt; mainstem models list says which"
    )


def _existing(file: Path, largest: int = LARGEST_BYTES) -> Path:
    try:
        if not file.is_file():
            raise InputError(f"no file {str(file)[:200]}")
        size = file.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(f"cannot look at {str(file)[:100]!r} ({error!s:.100}); name a file") from error
    if size > largest:
        raise InputError(f"{file.name} has {size / 1e6:,.0f} MB, want at most {largest / 1e6:,.0f}; split it")
    return file


def _texts(file: Path) -> list[str]:
    """Lines of a text file that are not blank."""
    try:
        lines = _existing(file, LARGEST_TEXT).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise InputError(f"{file.name} cannot be read as UTF-8 ({error!s:.100}); save it so") from error
    texts = [line for line in lines if line.strip()]
    if not texts or any("\0" in text for text in texts):
        raise InputError(f"{file.name} holds {'NUL' if texts else 'no text'}; want one text a line, in UTF-8")
    return texts


def _arrays(file: Path) -> dict[str, Any]:
    """Arrays by name: of numbers, truth values or text; sizes are checked before anything is unpacked."""
    with _readable(file, "an .npz of plain arrays; save it with numpy.savez"):
        if not zipfile.is_zipfile(_existing(file)):
            raise ValueError("it is no zip file")
        with zipfile.ZipFile(file) as packed:
            names = [entry.filename for entry in packed.infolist()]
            claimed = sum(entry.file_size for entry in packed.infolist())
            if claimed > LARGEST_BYTES or len(set(names)) != len(names):
                raise ValueError(f"it claims {claimed / 1e6:,.0f} MB in {len(names)} members, some perhaps twice")
            for entry in packed.infolist():
                _check_header(packed, entry)
        with np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] if archive[name].ndim else archive[name].item() for name in archive.files}
    if not found or any(isinstance(array, np.ndarray) and not array.size for array in found.values()):
        raise InputError(f"{file.name} holds no array, or an empty one; save the model's inputs by name (numpy.savez)")
    return found


def _check_header(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Check that an array is as large as its header claims, before numpy makes room for it."""
    with packed.open(entry) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
        if dtype.kind not in "biufUS":
            raise ValueError(f"{entry.filename} holds {dtype}, want numbers, truth values or text")
        if math.prod(shape) * dtype.itemsize > entry.file_size:
            raise ValueError(f"{entry.filename} claims {shape} of {dtype}, more than its {entry.file_size:,} bytes")


@contextmanager
def _readable(file: Path, wanted: str) -> Iterator[None]:
    """Say in one line what a decoder finds wrong with a file."""
    from PIL import Image

    try:
        yield
    except InputError:
        raise
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, SyntaxError, ArithmeticError, MemoryError,
        EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, struct.error, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise InputError(f"{file.name} cannot be read ({one_line(error)}); want {wanted}") from error


def _image(file: Path) -> NDArray[Any]:
    """An image's pixels (y, x, 3) as they are seen; grey is repeated, 16 bits the model refuses."""
    from PIL import Image, ImageOps

    with _readable(file, "one whole PNG, JPEG or TIFF image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(_existing(file), formats=FORMATS) as image:
            if image.width * image.height > LARGEST_IMAGE:
                raise ValueError(f"it has {image.width} x {image.height} pixels, at most {LARGEST_IMAGE:,} are taken")
            count = getattr(image, "n_frames", 1)
            if count > 1 and image.format != "MPO":  # a photograph's preview comes second
                raise ValueError(f"it holds {count} images")
            if image.mode == "CMYK":
                raise ValueError("it is in CMYK, whose colours its profile alone tells: convert it to RGB")
            upright = ImageOps.exif_transpose(image)
            if _is_see_through(upright):
                raise ValueError("parts of it are transparent: flatten it")
            is_plain = upright.mode in ("L", "F") or upright.mode.startswith("I")
            pixels = np.asarray(upright if is_plain else upright.convert("RGB"))
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def _is_see_through(image: Any) -> bool:  # noqa: ANN401 - Pillow's
    if not image.has_transparency_data:
        return False
    lowest: int = image.convert("RGBA").getextrema()[3][0]
    return lowest < 255


def _write(out: Path, vectors: NDArray[np.float32], items: Sequence[str], facts: Mapping[str, str]) -> None:
    import io

    buffer = io.BytesIO()
    if out.suffix == ".npy":
        np.save(buffer, vectors)
    elif out.suffix == ".npz":
        named = {name: np.array(text) for name, text in facts.items()}
        np.savez(buffer, allow_pickle=False, embeddings=vectors, items=np.array(items), **named)
    else:
        import pandas as pd

        from mainstem.data.spreadsheets import csv_bytes

        table = pd.DataFrame(vectors, columns=[f"e{index}" for index in range(vectors.shape[1])])
        table.insert(0, "item", list(items))
        for name, text in facts.items():
            table[name] = text
        buffer.write(csv_bytes(table) if out.suffix == ".csv" else table.to_parquet())
    write_atomically(out, buffer.getvalue())
