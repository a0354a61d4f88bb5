"""Checks of a model's own inputs: names, numbers, shapes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mainstem.core.errors import InputError
from mainstem.core.tokens import Inputs


def only(inputs: Inputs, known: Sequence[str]) -> None:
    """Refuse names that the family does not know.

    Raises:
        InputError: if there is one.
    """
    unknown = sorted(set(inputs) - set(known))
    if unknown:
        raise InputError(f"got input {unknown[0]!r}, this model takes {', '.join(known)}; rename or drop it")


def as_tensor(name: str, values: object, shape: str, num_dims: Sequence[int] | int) -> Tensor:
    """Return values as float32, whose number of dimensions was checked; `shape` is what the message asks for.

    Raises:
        InputError: if they are no array of numbers, or of another number of dimensions.
    """
    allowed = (num_dims,) if isinstance(num_dims, int) else tuple(num_dims)
    try:
        tensor = torch.as_tensor(np.asarray(values, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array of numbers ({error}); give {shape}") from error
    if tensor.ndim not in allowed:
        raise InputError(f"got {name} of shape {tuple(tensor.shape)}, want {shape}")
    return tensor


def must_be(name: str, tensor: Tensor, shape: Sequence[int | None]) -> None:
    """Check sizes; None leaves one free.

    Raises:
        InputError: if one differs.
    """
    wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
    if len(shape) != tensor.ndim or any(w is not None and w != s for w, s in zip(shape, tensor.shape, strict=True)):
        raise InputError(f"got {name} of shape {tuple(tensor.shape)}, want {wanted}")
