"""Arrays of an artefact: text as bytes, labels as codes, and checks before they are believed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import ArtifactError

Arrays = Mapping[str, NDArray[Any]]
State = tuple[dict[str, Any], dict[str, NDArray[Any]]]  # plain JSON types, and arrays by name: what is saved


def text_array(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Return texts as the bytes (num,) of a JSON list: millions of names would burst a file's header."""
    return np.frombuffer(json.dumps(list(texts)).encode(), np.uint8).copy()


def texts_of(arrays: Arrays, name: str) -> tuple[str, ...]:
    """Read what `text_array` gave.

    Raises:
        ArtifactError: if it is absent or holds anything else.
    """
    try:
        found = json.loads(array_of(arrays, name, num_dims=1, kind=np.uint8).tobytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the artefact's {name} are no names; train or calibrate it again") from error
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ArtifactError(f"the artefact's {name} are no names; train or calibrate it again")
    return tuple(found)


def label_arrays(labels: Sequence[str], of: str = "group") -> dict[str, NDArray[Any]]:
    """Return labels, one a case, as `<of>_names` and `<of>_codes` (cases,)."""
    names, codes = np.unique(np.asarray(labels, str), return_inverse=True)
    return {f"{of}_names": text_array(names.tolist()), f"{of}_codes": codes.astype(np.int64)}


def labels_of(arrays: Arrays, of: str = "group") -> tuple[str, ...]:
    """Read what `label_arrays` gave.

    Raises:
        ArtifactError: if a code names no label.
    """
    names, codes = texts_of(arrays, f"{of}_names"), array_of(arrays, f"{of}_codes", num_dims=1, kind=np.int64)
    if codes.min(initial=0) < 0 or codes.max(initial=0) >= max(len(names), 1):
        raise ArtifactError(f"the artefact's {of}_codes name no {of}; train or calibrate it again")
    return tuple(np.asarray(names, object)[codes].tolist())


def array_of(
    arrays: Arrays, name: str, *, num_dims: int, kind: type[np.generic] = np.float64, has_gaps: bool = False
) -> NDArray[Any]:
    """Return an array that is there, of its type and number of dimensions, not empty, and finite.

    With `has_gaps` NaN stands for what is unknown, and not all may be.

    Raises:
        ArtifactError: if it is not.
    """
    values = arrays.get(name)
    if values is None:
        raise ArtifactError(f"the artefact lacks its {name}; train or calibrate it again")
    if values.dtype != np.dtype(kind) or values.ndim != num_dims or not values.size:
        raise ArtifactError(
            f"the artefact's {name} are {values.dtype} of shape {values.shape}, want {np.dtype(kind)} of {num_dims} "
            "dims and at least one value; train or calibrate it again"
        )
    if np.isinf(values).any() or (not np.isfinite(values).any() if has_gaps else np.isnan(values).any()):
        raise ArtifactError(f"the artefact's {name} hold NaN or infinity; train or calibrate it again")
    return values
