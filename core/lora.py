"""LoRA on the trunk's linear layers: many adapters in one batch, one a sample, in inference and in training.

Source: Hu et al. 2021, LoRA, section 4.1: y = W x + (alpha / r) B A x, with B zero at the start.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.errors import ArtifactError, InputError

OWN = "adapter"  # the name of the LoRA that an adapter's training adds to its trunk, unless it is told another
ALPHA_PER_RANK = 2.0  # of a LoRA of our own; this project's choice, kept fixed as Hu et al. 2021, section 4.1, advise
SIDES = ("lora_A", "lora_B")
KEY = "named "  # before a LoRA's name where torch keeps it, which has names of its own, as "values" or "train"

if TYPE_CHECKING:
    from mainstem.core.trunk import Trunk


@dataclass(frozen=True)
class LoraRows:
    """Which LoRA each row of a batch passes: index (batch,) counts the names from 1, 0 for none."""

    names: tuple[str, ...]
    index: Tensor


class Update(nn.Module):
    """One low-rank update of the rows `start` to `start + len(b)` of a linear layer."""

    def __init__(self, block: str | None, start: int, a: Tensor, b: Tensor, scale: float) -> None:
        super().__init__()
        self.block, self.start, self.scale = block, start, scale
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)


class AdaptedLinear(nn.Linear):
    """A linear layer that adds, where a sample names one, that adapter's low-rank update.

    `blocks` names equal shares of its rows (q, k and v of a fused projection), each of which an adapter may
    update alone.
    """

    def __init__(self, in_features: int, out_features: int, blocks: Sequence[str] = ()) -> None:
        super().__init__(in_features, out_features)
        self.blocks = tuple(blocks)
        self.lora = nn.ModuleDict()
        self.register_buffer("free_bias", None, persistent=False)

    def rows(self, block: str | None) -> slice:
        """Rows of the weight that a block names; all of them for None."""
        if block is None:
            return slice(0, self.out_features)
        share = self.out_features // len(self.blocks)
        start = share * self.blocks.index(block)
        return slice(start, start + share)

    def hold_bias(self, block: str) -> None:
        """Hold the bias of a block's rows at zero, whatever training or weight decay do to it."""
        self.free_bias = torch.ones(self.out_features)
        self.free_bias[self.rows(block)] = 0

    def adapter_names(self) -> list[str]:
        """Names of the adapters held."""
        return [key.removeprefix(KEY) for key in self.lora]

    def held(self, name: str) -> nn.ModuleList:
        """What is held under an adapter's name."""
        updates = self.lora[KEY + name]
        assert isinstance(updates, nn.ModuleList)
        return updates

    def updates(self, name: str) -> list[Update]:
        """The updates that an adapter makes here; none where it leaves this layer as it is."""
        return [update for update in self.held(name) if isinstance(update, Update)]

    def forward(self, x: Tensor, rows: LoraRows | None = None) -> Tensor:
        """Map x (batch, tokens, in); `rows` says which adapter each sample passes, None that none passes any."""
        bias = self.bias if self.free_bias is None else self.bias * self.free_bias
        base = F.linear(x, self.weight, bias)
        if rows is None or not any(len(self.updates(name)) for name in rows.names):
            return base
        down, up = self._stacked(rows.names)
        # index_select, whose backward adds in order: indexing would add in the order of the threads
        hidden = torch.bmm(x, down.index_select(0, rows.index).transpose(1, 2))
        return torch.baddbmm(base, hidden, up.index_select(0, rows.index).transpose(1, 2))

    def _stacked(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """A (names + 1, rank, in) and scaled B (names + 1, out, rank) of these adapters, zero for the first."""
        widest = max(sum(len(update.a) for update in self.updates(name)) for name in names)
        downs = [self.weight.new_zeros(widest, self.in_features)]
        ups = [self.weight.new_zeros(self.out_features, widest)]
        for name in names:
            down, up = self._joined(self.updates(name))
            downs.append(F.pad(down, (0, 0, 0, widest - len(down))))
            ups.append(F.pad(up, (0, widest - len(down))))
        return torch.stack(downs), torch.stack(ups)

    def _joined(self, updates: Sequence[Update]) -> tuple[Tensor, Tensor]:
        """One adapter's updates as one product: A's rows in turn, each B in its own rows and columns."""
        if not updates:
            return self.weight.new_zeros(0, self.in_features), self.weight.new_zeros(self.out_features, 0)
        ups = [
            F.pad(update.b * update.scale, (0, 0, update.start, self.out_features - update.start - len(update.b)))
            for update in updates
        ]
        return torch.cat([update.a for update in updates]), torch.cat(ups, 1)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place that a LoRA can adapt: a linear layer of the trunk by module path, or one block of its rows."""

    path: str
    block: str | None = None

    def __str__(self) -> str:
        return self.path if self.block is None else f"{self.path}.{self.block}"


def sites(trunk: "Trunk") -> dict[str, Site]:
    """Every site by name: `blocks.0.attention.qkv`, and for blocks of rows `blocks.0.attention.qkv.q`."""
    found = [
        Site(path=path, block=block)
        for path, layer in trunk.adapted_layers().items()
        for block in (None, *layer.blocks)
    ]
    return {str(site): site for site in found}


def chosen_sites(trunk: "Trunk", targets: Sequence[str] | None) -> list[Site]:
    """Sites whose name ends in one of `targets`, as "q", "qkv" or "mlp.up"; every whole layer for None.

    Raises:
        InputError: if a target names no site.
    """
    every = sites(trunk)
    if targets is None:
        return [site for site in every.values() if site.block is None]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in every):
            raise InputError(
                f"got LoRA target {target!r}, which no layer is named; take one of qkv, q, k, v, out, up, down"
            )
    return [site for name, site in every.items() if any(name == t or name.endswith(f".{t}") for t in targets)]


def numbered(index: int) -> str:
    """The name of a member's own LoRA on the trunk that it shares."""
    return f"{OWN}-{index}"


def put_update(trunk: "Trunk", name: str, site: Site, weights: tuple[Tensor, Tensor], scale: float) -> Update:
    """Hold one update, A (rank, in) and B (rows, rank), under the adapter's name; `open_lora` comes before it."""
    layer = trunk.adapted_layers()[site.path]
    rows = layer.rows(site.block)
    a, b = weights
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != layer.in_features or b.shape != (rows.stop - rows.start, len(a)):
        raise ArtifactError(
            f"LoRA {name!r} has A {tuple(a.shape)}, B {tuple(b.shape)} at {site}, "
            f"want (rank, {layer.in_features}), ({rows.stop - rows.start}, rank); it is of another model"
        )
    update = Update(site.block, rows.start, a.to(layer.weight), b.to(layer.weight), scale)
    layer.held(name).append(update)
    return update


def open_lora(trunk: "Trunk", name: str) -> None:
    """Make room for an adapter, so far without updates, in every layer.

    Raises:
        InputError: if the name is taken or cannot be one.
    """
    if not re.fullmatch(r"[\w/-]+", name) or trunk.has_lora(name):
        raise InputError(f"got {name!r} as a LoRA's name; it must be a free name of letters, digits, -, _ and /")
    for layer in trunk.adapted_layers().values():
        layer.lora[KEY + name] = nn.ModuleList()


def add_lora(
    trunk: "Trunk", name: str, rank: int, alpha: float, seed: int = 0, targets: Sequence[str] | None = None
) -> list[nn.Parameter]:
    """Add one adapter to the targeted linear layers, or to all, and return its parameters, to be trained.

    A is uniform as in nn.Linear's own initialisation, B zero.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = trunk.adapted_layers()
    chosen = chosen_sites(trunk, targets)
    open_lora(trunk, name)
    trained: list[nn.Parameter] = []
    for site in chosen:
        layer = layers[site.path]
        rows = layer.rows(site.block)
        if not 1 <= rank <= min(layer.in_features, rows.stop - rows.start):
            remove_lora(trunk, name)
            raise InputError(
                f"got a LoRA of rank {rank} for {site}, which is {layer.in_features} wide; lower lora_rank"
            )
        a = torch.empty(rank, layer.in_features)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        b = torch.zeros(rows.stop - rows.start, rank)
        update = put_update(trunk, name, site, (a, b), alpha / rank)
        trained += [update.a, update.b]
    return trained


def remove_lora(trunk: "Trunk", name: str) -> None:
    """Drop an adapter from the trunk."""
    for layer in trunk.adapted_layers().values():
        del layer.lora[KEY + name]


def updates_of(trunk: "Trunk", name: str) -> dict[str, Update]:
    """The adapter's updates by site."""
    return {
        str(Site(path=path, block=update.block)): update
        for path, layer in trunk.adapted_layers().items()
        for update in layer.updates(name)
    }


def lora_alpha(trunk: "Trunk", name: str) -> float:
    """Alpha of an adapter whose layers share one, as those of our own training do."""
    alphas = {update.scale * len(update.a) for update in updates_of(trunk, name).values()}
    assert len(alphas) == 1, "one training gives one alpha"
    return alphas.pop()


def is_lora_key(key: str) -> bool:
    """True for a trunk's state-dict key that belongs to an adapter."""
    return ".lora." in key


def lora_state(trunk: "Trunk", name: str) -> dict[str, Tensor]:
    """The adapter's weights by `<site>.lora_A.weight` and `<site>.lora_B.weight`."""
    state: dict[str, Tensor] = {}
    for site, update in updates_of(trunk, name).items():
        state[f"{site}.lora_A.weight"] = update.a.detach()
        state[f"{site}.lora_B.weight"] = update.b.detach()
    return state


def load_lora(trunk: "Trunk", name: str, state: Mapping[str, Tensor], alpha: float) -> None:
    """Load weights that `lora_state` gave, with alpha / rank as scale.

    Raises:
        ArtifactError: if a key names no site of the trunk, or one of a pair is missing.
    """
    pairs = lora_pairs(name, state)
    every = sites(trunk)
    unknown = sorted(set(pairs) - set(every))
    if unknown:
        raise ArtifactError(f"LoRA {name!r} does not fit the trunk: {len(unknown)} layers unknown, first {unknown[0]}")
    open_lora(trunk, name)
    try:
        for site, (a, b) in pairs.items():
            put_update(trunk, name, every[site], (a.clone(), b.clone()), alpha / len(a))
    except BaseException:
        remove_lora(trunk, name)
        raise


def lora_pairs(name: str, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B by layer, of keys `<layer>.lora_A.weight` and `<layer>.lora_B.weight`.

    Raises:
        ArtifactError: if a key is neither, one of a pair is missing, there is none, or a value is NaN, infinite or no
            floating point number.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        layer, _, rest = key.rpartition(".lora_")
        side = f"lora_{rest.removesuffix('.weight')}"
        if not layer or side not in SIDES:
            raise ArtifactError(
                f"LoRA {name!r} holds {key}, which is no LoRA weight of a linear layer; it cannot be used"
            )
        found.setdefault(layer, {})[side] = value
    halves = [layer for layer, sides in found.items() if set(sides) != set(SIDES)]
    if halves or not found:
        what = f"misses one of A and B at {halves[0]}" if halves else "holds no weights"
        raise ArtifactError(f"LoRA {name!r} {what}; fetch or train it again")
    for layer, sides in found.items():
        if not all(side.is_floating_point() and side.float().isfinite().all() for side in sides.values()):
            raise ArtifactError(f"LoRA {name!r} holds no float32 numbers at {layer}; fetch or train it again")
    return {layer: (sides["lora_A"], sides["lora_B"]) for layer, sides in found.items()}
