"""What every family of open encoders gives: a tokenizer, the trunk's switches, and each weight's place."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.lora import is_lora_key, updates_of
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.peft_files import load_peft, save_peft
from mainstem.core.schema import printable
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, weights_device
from mainstem.core.trunk import Latents, Trunk
from mainstem.core.trunk_config import TrunkConfig
from mainstem.core.weights import check_room, state_sha256

Shapes = Mapping[str, Sequence[int]]  # of the weights on disk
BATCH_SIZE = 64
NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A model as it lies on disk: its config, its tensors, and the folder that may hold a text or image processor."""

    name: str
    config: Mapping[str, Any]
    state: Mapping[str, Tensor]
    folder: Path

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by key."""
        return {key: tuple(value.shape) for key, value in self.state.items()}


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What a family makes of a config.

    Attributes:
        keys: the target of every key on disk, as "trunk.blocks.0.attention.qkv.weight#q" (rows of a block after #)
            or "tokenizer.patch.weight".
        zeros: targets that the family's weights lack because they are zero by design.
        set_aside: patterns of keys that belong to a decoder, or to training alone.
        modules: the trunk's sites by module path of the original in memory, where that is not the path on disk.
    """

    trunk: TrunkConfig
    tokenizer: OpenTokenizer
    kind: str
    keys: Mapping[str, str]
    zeros: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of encoders: how to know its weights, what to make of them, and what artefacts keep of its tokenizers.

    `tokenizers` go by the kind that their facts say; a family may use another's.
    """

    name: str
    matches: Callable[[Mapping[str, Any], Shapes], bool]
    blueprint: Callable[[Weights], Blueprint]
    tokenizers: Mapping[str, type[TokenizerFacts]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenModel:
    """An open encoder: tokenizers by kind of signal, and the one trunk with its weights."""

    name: str
    family: str
    trunk: Trunk
    tokenizers: Mapping[str, OpenTokenizer]
    keys: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)

    @property
    def tokenizer(self) -> OpenTokenizer:
        """The model's only tokenizer."""
        return next(iter(self.tokenizers.values()))

    def shared(self) -> "OpenModel":
        """Return the model in modules of its own around the same weights: a LoRA added to it is not added here."""
        parts = (self.trunk, *self.tokenizers.values())
        weights = [weight for part in parts for weight in (*part.parameters(), *part.buffers())]
        return copy.deepcopy(self, {id(weight): weight for weight in weights})

    def embed(
        self, inputs: Inputs, *, batch_size: int = BATCH_SIZE, adapters: Sequence[str | None] | None = None
    ) -> NDArray[np.float32]:
        """Return one pooled vector a sample (n, dim), float32.

        Args:
            inputs: by the names that the family takes (`mainstem models list`). A bare array is `pixel_values`,
                `input_ids` or `samples`, where the family has one of them.
            batch_size: samples that pass at once; it changes results by no more than rounding.
            adapters: a LoRA's name a sample, or None.
        """
        patches = self.tokenizer.cut_inputs(self.tokenizer.named(inputs))
        device = weights_device(self.trunk)
        parts = []
        with torch.no_grad():
            for start, batch in batches(patches, batch_size):
                chosen = None if adapters is None else adapters[start : start + batch_size]
                parts.append(self.trunk(self.tokenizer.project(batch.to(device)), chosen).pooled.float())
        embedded: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return embedded

    def latents(self, inputs: Inputs, return_layers: Sequence[int] = ()) -> Latents:
        """Return all tokens and, where asked, those after inner blocks; all samples pass at once."""
        with torch.no_grad():
            latents: Latents = self.trunk(self.tokenizer(inputs), None, return_layers)
        return latents

    def sha256(self) -> str:
        """Hash of all weights, those of the tokenizer included, without LoRA."""
        state = {**self.tokenizer.state_dict(prefix="tokenizer."), **self.trunk.state_dict(prefix="trunk.")}
        return state_sha256({name: value for name, value in state.items() if not is_lora_key(name)})

    def load_lora(self, name: str, folder: Path) -> None:
        """Hold a LoRA that PEFT saved, of this model as its original names it, or of the trunk itself."""
        load_peft(self.trunk, name, folder, self.site_of)

    def save_lora(self, name: str, folder: Path) -> None:
        """Write a LoRA so that PEFT loads it onto the original model; split layers need `q`, `k`, `v` targets."""
        modules = {site: module for module, site in self._sites().items()}
        missing = sorted(set(updates_of(self.trunk, name)) - set(modules))
        if missing:
            raise ArtifactError(
                f"the original of {self.name} has no layer for {missing[0]}; target q, k, v, out, up or down"
            )
        save_peft(self.trunk, name, folder, base=self.name, module_of=lambda site: modules[site])

    def site_of(self, module: str) -> str | None:
        """The trunk's site of a module path of the original model, however wrapped; None where it has none."""
        if module in self.trunk.adapted_layers():
            return module
        known = self._sites()
        tails = [path for path in known if module == path or module.endswith(f".{path}")]
        return known[max(tails, key=len)] if tails else None

    def _sites(self) -> dict[str, str]:
        """Sites by the original's module paths, those on disk before those in memory."""
        layers = self.trunk.adapted_layers()
        found = {}
        for key, target in self.keys.items():
            path, _, block = target.partition("#")
            path = path.removeprefix("trunk.").removesuffix(".weight")
            if key.endswith(".weight") and path in layers:
                found[key.removesuffix(".weight")] = f"{path}.{block}" if block else path
        return found | dict(self.modules)


def batches(patches: Patches, size: int) -> Iterator[tuple[int, Patches]]:
    """Deal patches into batches; yields each one's first row and its rows."""
    for rows in torch.split(torch.arange(len(patches)), size):
        yield int(rows[0]), patches.rows(rows)


def assemble(weights: Weights, family: Family) -> OpenModel:
    """Build a family's model and fill it with the weights, each key accounted for.

    Raises:
        ArtifactError: if a key is missing or left over, or a shape is wrong.
    """
    plan = _planned(weights, family)
    check_room(plan.trunk.num_weights(), sum(value.numel() for value in weights.state.values()), weights.name)
    _check_numbers(weights, plan)
    trunk = Trunk(plan.trunk)
    parts = {"trunk": trunk, "tokenizer": plan.tokenizer}
    owned = {f"{prefix}.{key}": value for prefix, part in parts.items() for key, value in part.state_dict().items()}
    state = {key: value for key, value in weights.state.items() if not any(re.match(p, key) for p in plan.set_aside)}
    _check_keys(weights.name, family.name, set(plan.keys), set(state))
    filled = {name: torch.zeros(0) for name in owned}
    for key, target in [*plan.keys.items(), *(("", zero) for zero in plan.zeros)]:
        name, _, block = target.partition("#")
        wanted = owned[name]
        rows = _rows(trunk, name, block)
        value = state[key] if key else torch.zeros_like(wanted[rows])
        if _without_ones(value.shape) != _without_ones(wanted[rows].shape):
            raise ArtifactError(
                f"{weights.name}: {key} has shape {tuple(value.shape)}, want {tuple(wanted[rows].shape)}; "
                f"it is not what its config says, or not of the family {family.name}"
            )
        if not block:
            filled[name] = value.reshape(wanted.shape).to(wanted.dtype)
            continue
        filled[name] = filled[name] if len(filled[name]) else torch.empty_like(wanted)
        filled[name][rows] = value.to(wanted.dtype)
    empty = [name for name, value in filled.items() if value.shape != owned[name].shape]
    assert not empty, f"{family.name}: nothing fills {empty}"
    for prefix, part in parts.items():
        part.load_state_dict({key.removeprefix(f"{prefix}."): v for key, v in filled.items() if key.startswith(prefix)})
        part.eval().requires_grad_(False)
    return OpenModel(
        name=weights.name,
        family=family.name,
        trunk=trunk,
        tokenizers={plan.kind: plan.tokenizer},
        keys=plan.keys,
        modules=plan.modules,
    )


def _planned(weights: Weights, family: Family) -> Blueprint:
    """What the family makes of config and shapes, whatever they hold.

    Raises:
        ArtifactError: if they are not those of the family.
    """
    try:
        return family.blueprint(weights)
    except InputError as error:
        raise ArtifactError(f"{weights.name}: {error}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else printable(error, 120)
        raise ArtifactError(
            f"{weights.name} does not hold {family.name} weights: {what}; name its family, or fetch it again"
        ) from error


def _check_numbers(weights: Weights, plan: Blueprint) -> None:
    """Check that what will be read is real numbers, finite, in a type of weights.

    Raises:
        ArtifactError: naming the first that is not.
    """
    for key in plan.keys:
        value = weights.state.get(key)
        if value is None:
            continue
        if value.dtype not in NUMBERS:
            raise ArtifactError(
                f"{weights.name}: {printable(key)} is of {value.dtype}, want real numbers; fetch it again"
            )
        if not value.isfinite().all():
            raise ArtifactError(f"{weights.name}: {printable(key)} holds NaN or infinity; fetch it again")


def _check_keys(name: str, family: str, wanted: set[str], found: set[str]) -> None:
    missing, left_over = sorted(wanted - found), sorted(found - wanted)
    if not missing and not left_over:
        return
    parts = []
    if missing:
        parts.append(f"{len(missing)} keys are missing, first {missing[0]}")
    if left_over:
        parts.append(f"{len(left_over)} keys are left over, first {left_over[0]}")
    raise ArtifactError(
        f"{name} does not hold {family} weights: {'; '.join(parts)}; name its family, or fetch it again"
    )


def _rows(trunk: Trunk, name: str, block: str) -> slice:
    """The rows of a parameter that a block names; all of them for ""."""
    if not block:
        return slice(None)
    return trunk.adapted_layers()[name.removeprefix("trunk.").rpartition(".")[0]].rows(block)


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without the ones it begins with: a class token may lie on disk as (1, 1, dim)."""
    sizes = list(shape)
    while len(sizes) > 1 and sizes[0] == 1:
        sizes.pop(0)
    return tuple(sizes)


def block_keys(depth: int, block: str, ours: Mapping[str, str]) -> dict[str, str]:
    """Keys of `depth` blocks: `block` is the path on disk with {} for the index, `ours` maps tails to the trunk's."""
    return {
        f"{block.format(index)}.{tail}": f"trunk.blocks.{index}.{target}"
        for index in range(depth)
        for tail, target in ours.items()
    }


def block_modules(depth: int, block: str, tails: Mapping[str, str]) -> dict[str, str]:
    """Sites of `depth` blocks by module path: `block` is the original's path with {} for the index."""
    return {
        f"{block.format(index)}.{tail}": f"blocks.{index}.{site}"
        for index in range(depth)
        for tail, site in tails.items()
    }


def weight_and_bias(pairs: Mapping[str, str]) -> dict[str, str]:
    """Map `layer.weight` and `layer.bias` of each pair of layers; a block after # stays last."""
    found = {}
    for theirs, ours in pairs.items():
        layer, mark, block = ours.partition("#")
        for kind in ("weight", "bias"):
            found[f"{theirs}.{kind}"] = f"{layer}.{kind}{mark}{block}"
    return found
