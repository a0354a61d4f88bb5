"""PEFT's LoRA files: `adapter_config.json` beside `adapter_model.safetensors`, read onto the trunk and written from it.

Source: the file format of huggingface/peft 0.21, docs "PEFT checkpoint format" and "LoRA configuration".
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from mainstem.core.errors import ArtifactError
from mainstem.core.files import write_atomically
from mainstem.core.lora import Site, lora_pairs, open_lora, put_update, remove_lora, sites, updates_of
from mainstem.core.schema import read_object
from mainstem.core.weights import load_tensors, save_tensors

if TYPE_CHECKING:
    from mainstem.core.trunk import Trunk

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
SiteOf = Callable[[str], str | None]  # a module's path in the model that PEFT wrapped -> a site of the trunk
ModuleOf = Callable[[str], str]  # and back
UNREADABLE = (
    "use_dora", "use_qalora", "fan_in_fan_out", "lora_bias", "modules_to_save", "layer_replication",
    "alora_invocation_tokens",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LoraScales:
    """What a PEFT config says of alpha: of all layers, and by pattern of some; ranks are those of the weights."""

    alpha: float
    alpha_pattern: Mapping[str, float]
    is_rank_stabilised: bool

    def scale(self, module: str, rank: int) -> float:
        """Return alpha / rank, or alpha / sqrt(rank) (Kalajdzievski 2023, rsLoRA, equation 4), at a module."""
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
    return LoraScales(
        alpha=float(config["lora_alpha"]),
        alpha_pattern=config.get("alpha_pattern") or {},
        is_rank_stabilised=bool(config.get("use_rslora")),
    )


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
    pairs = lora_pairs(name, {key.removeprefix(PREFIX): value for key, value in tensors.items()})
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
    except ArtifactError:
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
