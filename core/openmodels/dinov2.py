"""DINOv2, with and without registers, and weights of its shape such as RAD-DINO.

Source: Oquab et al. 2023, DINOv2; Darcet et al. 2023, Vision Transformers Need Registers; the hub's `dinov2` and
`dinov2_with_registers` configs. Gated MLPs (giant) have the width (int(4 dim * 2 / 3) + 7) // 8 * 8.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mainstem.core.openmodels.base import Blueprint, Family, Shapes, Weights, block_keys, block_modules, weight_and_bias
from mainstem.core.openmodels.images import ImagesFacts, PatchTokenizer, dino_patches
from mainstem.core.trunk_config import TrunkConfig

MODEL_TYPES = ("dinov2", "dinov2_with_registers")
MLP = {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
GATED_MLP = {"mlp.weights_in": "mlp.up", "mlp.weights_out": "mlp.down"}
BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attention.attention.query": "attention.qkv#q",
    "attention.attention.key": "attention.qkv#k",
    "attention.attention.value": "attention.qkv#v",
    "attention.output.dense": "attention.out",
}
EMBEDDINGS = {
    "embeddings.cls_token": "tokenizer.class_token",
    "embeddings.position_embeddings": "tokenizer.positions",
    "embeddings.patch_embeddings.projection.weight": "tokenizer.patch.weight",
    "embeddings.patch_embeddings.projection.bias": "tokenizer.patch.bias",
}
MODULES = {  # in memory of transformers 5
    "attention.q_proj": "attention.qkv.q",
    "attention.k_proj": "attention.qkv.k",
    "attention.v_proj": "attention.qkv.v",
    "attention.o_proj": "attention.out",
}
GATED_MODULES = {"mlp.gate_proj": "mlp.up.gate", "mlp.up_proj": "mlp.up.value", "mlp.down_proj": "mlp.down"}


def matches(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True for a hub config of DINOv2."""
    return config.get("model_type") in MODEL_TYPES


def blueprint(weights: Weights) -> Blueprint:
    """Read the config."""
    config, shapes = weights.config, weights.shapes
    dim, depth = int(config["hidden_size"]), int(config["num_hidden_layers"])
    gated = bool(config.get("use_swiglu_ffn", False))
    wide = int(dim * config.get("mlp_ratio", 4))
    hidden = (int(wide * 2 / 3) + 7) // 8 * 8 if gated else wide
    has_registers = config["model_type"] == "dinov2_with_registers"
    num_registers = int(config.get("num_register_tokens", 4)) if has_registers else 0
    has_mask_token = "embeddings.mask_token" in shapes
    keys = dict(EMBEDDINGS) | weight_and_bias({"layernorm": "trunk.norm"})
    if has_mask_token:
        keys["embeddings.mask_token"] = "tokenizer.mask_token"  # noqa: S105
    if num_registers:
        keys["embeddings.register_tokens"] = "tokenizer.registers"
    scales = {f"layer_scale{n}.lambda1": f"scale{n}" for n in (1, 2)}
    layers = weight_and_bias({**BLOCK, **(GATED_MLP if gated else MLP)})
    keys |= block_keys(depth, "encoder.layer.{}", layers | scales)
    patches = replace(
        dino_patches(weights), side=int(config["image_size"]) // int(config["patch_size"]), num_registers=num_registers,
        has_mask_token=has_mask_token, is_antialiased=has_registers,
    )  # fmt: skip
    trunk = TrunkConfig(
        dim=dim,
        depth=depth,
        num_heads=int(config["num_attention_heads"]),
        hidden=hidden,
        num_registers=0,
        num_prefix=1 + num_registers,
        norm_eps=float(config.get("layer_norm_eps", 1e-6)),
        pooling="cls",
        activation="silu" if gated else "gelu",
        gated=gated,
        layer_scale=True,
    )
    modules = block_modules(depth, "encoder.layer.{}", MODULES | (GATED_MODULES if gated else {}))
    return Blueprint(trunk=trunk, tokenizer=PatchTokenizer(patches), kind="image", keys=keys, modules=modules)


FAMILY = Family(name="dinov2", matches=matches, blueprint=blueprint, tokenizers={"images": ImagesFacts})
