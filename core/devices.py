"""Where weights and batches are computed, and in which precision: the one place that chooses and moves."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from mainstem.core.errors import InputError
from mainstem.core.schema import printable

Precision = Literal["float32", "bfloat16"]
AUTO = "auto"
KINDS = ("cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """A device by name, "auto" for the first GPU or else the CPU, and the precision of matrix products on it."""

    device: str = AUTO
    precision: Precision = "float32"

    def place(self) -> torch.device:
        """Return the device.

        Raises:
            InputError: if it is not there.
        """
        return resolve_device(self.device)


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: auto, cpu, cuda, cuda:1.

    Raises:
        InputError: if the name is none, or this machine has no such device.
    """
    if name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, index = name.partition(":")
    if kind not in KINDS or (colon and (kind != "cuda" or not index.isdecimal() or len(index) > 3)):
        raise InputError(f"got the device {printable(name)!r}, want auto, cpu, cuda or cuda:1")
    if kind == "mps":
        raise InputError("mps computes no float64, in which times and places are kept; use cpu, or a CUDA device")
    count = torch.cuda.device_count() if kind == "cuda" else 0
    if kind == "cuda" and int(index or 0) >= count:
        raise InputError(f"there is no {name}: this machine shows torch {count} CUDA devices; use cpu, or auto")
    return torch.device(name)


def move(modules: Iterable[nn.Module], device: torch.device) -> None:
    """Put modules on a device, in place; batches follow the weights."""
    for module in modules:
        module.to(device)


def in_precision(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return a context whose matrix products are in a precision; weights, sums and positions keep theirs."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
