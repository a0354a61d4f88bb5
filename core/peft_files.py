"""PEFT's LoRA files: `adapter_config.json` beside `adapter_model.safetensors`, read onto the trunk and written from it.

Source: the file format of huggingface/peft 0.21, docs "PEFT checkpoint format" and "LoRA configuration".
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from mainstem.core.errors import ArtifactError
from mainstem.core.files import write_atomically
from mainstem.core.lora import Site, lora_pairs, open_lora, put_update, remove_lora, sites, updates_of
from mainstem.core.plain import one_line
from mainstem.core.schema import first_mistake, read_object
from mainstem.core.weights import load_tensors, save_tensors

if TYPE_CHECKING:
    from mainstem.core.trunk import Trunk

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
SiteOf = Callable[[str], str | None]  # a module's path in the model that PEFT wrapped -> a site of the trunk
ModuleOf = Callable[[str], str]  # and back
UNREADABLE = (
    "use_dora", "use_qalora", "fan_in_fan_out", "lora_bias", "modules_to_save", "layer_replication",
    "alora_invocation_tokens", "target_parameters", "trainable_token_indices", "use_bdlora", "arrow_config",
)  # fmt: skip
LONGEST_PATTERN, MOST_REPEATS = 200, 2  # of a pattern: what repeats a group, or often, can take for ever to match
Alpha = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Rank = Annotated[int, Field(ge=1, le=1 << 16)]


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """What is computed with of a PEFT config."""

    lora_alpha: Alpha
    r: Rank | None = None
    use_rslora: bool | None = None
    alpha_pattern: dict[str, Alpha] | None = None
    rank_pattern: dict[str, Rank] | None = None


NUMBERS = TypeAdapter(_Numbers)


@dataclass(frozen=True, kw_only=True)
class LoraScales:
    """What a PEFT config says of alpha: of all layers, and by pattern of some; ranks are those of the weights."""

    alpha: float
    alpha_pattern: Mapping[str, float]
    is_rank_stabilised: bool
    ranks: frozenset[int] = frozenset()  # that weights may have; empty where the config says none

    def scale(self, module: str, rank: int) -> float:
        """Return alpha / rank, or alpha / sqrt(rank) (Kalajdzievski 2023, rsLoRA, equation 4), at a module.

        Raises:
            ArtifactError: if the rank is another than the config says.
        """
        if not rank or (self.ranks and rank not in self.ranks):
            raise ArtifactError(
                f"{module} has rank {rank}, {CONFIG_FILE} says {sorted(self.ranks)}; take both of one run"
            )
        alpha = matched(self.alpha_pattern, module, self.alpha)
        return alpha / rank**0.5 if self.is_rank_stabilised else alpha / rank


def matched(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first pattern that a module's path ends in, as PEFT matches them."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def read_config(folder: Path) -> LoraScales:
    """Read a folder's `adapter_config.json`.

    Raises:
        ArtifactError: if there is none, or it asks for what plain LoRA is not.
    """
    path = folder / CONFIG_FILE
    config = read_object(path)
    if config.get("peft_type") != "LORA":
        raise ArtifactError(f"{path} is of type {config.get('peft_type')!r}, want LORA; other methods are not read")
    asked = [name for name in UNREADABLE if config.get(name)]
    if config.get("bias", "none") != "none":
        asked.append("bias")
    if asked:
        raise ArtifactError(f"{path} asks for {', '.join(asked)}, which is not read; train it as plain LoRA")
    told = {field.name: config[field.name] for field in fields(_Numbers) if field.name in config}
    try:
        numbers = NUMBERS.validate_json(json.dumps(told), strict=True)
        alphas, ranks = numbers.alpha_pattern or {}, numbers.rank_pattern or {}
        for pattern in (*alphas, *ranks):
            _check_pattern(pattern)
    except (ValueError, re.error) as error:  # pydantic's are ValueErrors
        why = first_mistake(error) if isinstance(error, ValidationError) else one_line(error)
        raise ArtifactError(f"{path} is damaged: {why}; take the run from a copy") from error
    return LoraScales(
        alpha=numbers.lora_alpha,
        alpha_pattern=alphas,
        is_rank_stabilised=bool(numbers.use_rslora),
        ranks=frozenset(ranks.values()) | ({numbers.r} if numbers.r else set()),
    )


def _check_pattern(pattern: str) -> None:
    """Check that a pattern can be matched in little time.

    Raises:
        ValueError: if it is long, or repeats a group, or repeats often.
        re.error: if it is none.
    """
    re.compile(pattern)
    repeats = re.findall(r"[*+{]", pattern)
    if len(pattern) > LONGEST_PATTERN or len(repeats) > MOST_REPEATS or re.search(r"\)[*+{?]", pattern):
        raise ValueError(f"the pattern {pattern!r:.60} repeats too much to be matched")


def load_peft(trunk: "Trunk", name: str, folder: Path, site_of: SiteOf | None = None) -> None:
    """Hold the LoRA of a PEFT folder under `name`; nothing of it stays where it does not fit.

    Args:
        trunk: what to adapt.
        name: how a batch will name it.
        folder: with `adapter_config.json` and `adapter_model.safetensors`.
        site_of: maps module paths of another model, as `OpenModel.site_of` does; None where PEFT wrapped a `Trunk`.

    Raises:
        ArtifactError: if the files are damaged, of another model, or of another method than LoRA.
    """
    scales = read_config(folder)
    tensors, _ = load_tensors(folder / WEIGHTS_FILE)
    plain = {key.removeprefix(PREFIX): value for key, value in tensors.items()}
    if len(plain) < len(tensors):
        raise ArtifactError(f"{folder} holds weights of one layer twice, with {PREFIX} and without; keep one")
    pairs = lora_pairs(name, plain)
    every = sites(trunk)
    found = {module: site_of(module) if site_of else module for module in pairs}
    unknown = sorted(module for module, site in found.items() if site not in every)
    if unknown:
        raise ArtifactError(
            f"{folder} adapts {len(unknown)} layers that this model lacks, first {unknown[0]}; it is of another model"
        )
    open_lora(trunk, name)
    try:
        for module, (a, b) in pairs.items():
            put_update(trunk, name, every[str(found[module])], (a, b), scales.scale(module, len(a)))
    except BaseException:
        remove_lora(trunk, name)
        raise


def save_peft(trunk: "Trunk", name: str, folder: Path, *, base: str = "", module_of: ModuleOf | None = None) -> None:
    """Write the LoRA `name` as PEFT does, so that `PeftModel.from_pretrained(model, folder)` loads it.

    Args:
        trunk: what holds it.
        name: of the LoRA.
        folder: made if absent.
        base: name or path of the base model, as PEFT records it.
        module_of: maps sites to module paths of another model; None for a `Trunk` itself.
    """
    updates = updates_of(trunk, name)
    modules = {site: module_of(site) if module_of else _own_module(trunk, site) for site in updates}
    state: dict[str, Tensor] = {}
    for site, update in updates.items():
        state[f"{PREFIX}{modules[site]}.lora_A.weight"] = update.a.detach()
        state[f"{PREFIX}{modules[site]}.lora_B.weight"] = update.b.detach()
    ranks = {modules[site]: len(update.a) for site, update in updates.items()}
    alphas = {modules[site]: update.scale * len(update.a) for site, update in updates.items()}
    rank, alpha = next(iter(ranks.values())), next(iter(alphas.values()))
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": sorted(modules.values()),
        "rank_pattern": {re.escape(module): value for module, value in ranks.items() if value != rank},
        "alpha_pattern": {re.escape(module): value for module, value in alphas.items() if value != alpha},
        "use_rslora": False,
        "use_dora": False,
    }
    save_tensors(folder / WEIGHTS_FILE, state, {"format": "pt"})
    write_atomically(folder / CONFIG_FILE, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def _own_module(trunk: "Trunk", name: str) -> str:
    site: Site = sites(trunk)[name]
    if site.block is not None:
        raise ArtifactError(
            f"the LoRA adapts {name}, rows of a fused layer that PEFT cannot name; use OpenModel.save_lora"
        )
    return site.path
