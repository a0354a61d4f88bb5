"""`mainstem models` and `mainstem embed`: named open encoders, and embeddings of a file's contents."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.openmodels.files import fetch, listings, models_home, staged_folder

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
TABLES = (".csv", ".parquet")
OUTPUTS = (".npy", ".npz", *TABLES)
BYTES_A_PARAMETER = 4


def describe() -> list[dict[str, Any]]:
    """What is known of every named model, and whether it is staged here."""
    return [
        {
            **asdict(listing),
            "megabytes": listing.million_parameters * BYTES_A_PARAMETER,
            "staged": staged_folder(name, models_home()).is_dir(),
        }
        for name, listing in listings().items()
    ]


def pull(name: str, to: Path | None, mirror: Path | None = None) -> Path:
    """Stage a named model, or a hub repository, below `to` (MAINSTEM_HOME/models unless given)."""
    return fetch(name, to or models_home(), mirror)


def embed_file(model_name: str, path: str, out: Path, family: str | None = None) -> dict[str, Any]:
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
    if out.suffix not in OUTPUTS:
        raise InputError(f"got {out.name} to write, want {', '.join(OUTPUTS)}")
    model = load_open_model(model_name, family)
    inputs, items = read_inputs(model, path)
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
        texts = [line for line in _existing(file).read_text(encoding="utf-8").splitlines() if line.strip()]
        return {"text": texts}, texts
    if model.family == "presto":
        from mainstem.core.openmodels.presto import inputs_of
        from mainstem.data.pixels import open_pixels

        samples = open_pixels(path).samples
        return inputs_of(samples), [sample.source.item for sample in samples]
    raise InputError(
        f"got {path!r}, want .npz with the model's inputs, an image, or .txt; mainstem models list says which"
    )


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise InputError(f"no file {file}")
    return file


def _arrays(file: Path) -> dict[str, Any]:
    try:
        with np.load(_existing(file), allow_pickle=False) as archive:
            return {name: archive[name] if archive[name].ndim else archive[name].item() for name in archive.files}
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{file.name} is no .npz of plain arrays ({error}); save it with numpy.savez") from error


def _image(file: Path) -> NDArray[Any]:
    """An image's pixels (y, x, 3); grey is repeated, 16 bits are left for the model to refuse."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(_existing(file)) as image:
            pixels = np.asarray(image if image.mode in ("I;16", "I", "F", "L") else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(f"{file.name} cannot be read as an image ({error})") from error
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


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

        from mainstem.data.tabular import csv_bytes

        table = pd.DataFrame(vectors, columns=[f"e{index}" for index in range(vectors.shape[1])])
        table.insert(0, "item", list(items))
        for name, text in facts.items():
            table[name] = text
        buffer.write(csv_bytes(table) if out.suffix == ".csv" else table.to_parquet())
    write_atomically(out, buffer.getvalue())
