"""Blocks of a trunk while it trains: computed again rather than kept in memory, and compiled."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Return the blocks of every trunk in a module: what is sharded, recomputed and compiled one by one."""
    lists = [
        child
        for path, child in module.named_modules()
        if isinstance(child, nn.ModuleList) and path.rpartition(".")[2] == "blocks"
    ]
    return [block for one in lists for block in one]


@contextmanager
def eased(module: nn.Module, *, is_recomputed: bool, is_compiled: bool) -> Iterator[None]:
    """Train blocks meanwhile so that they keep their inputs alone, or as one compiled product each, or both.

    Recomputed blocks change no bit of a gradient; compiled ones round otherwise.
    """
    blocks = blocks_of(module)
    for block in blocks:
        if is_recomputed:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if is_compiled:
            block.compile()
    try:
        yield
    finally:
        for block in blocks:
            if is_recomputed:
                del block.forward  # the class's own comes back
            block._compiled_call_impl = None
