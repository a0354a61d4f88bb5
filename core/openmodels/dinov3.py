"""DINOv3 vision transformers: rotary positions on the image plane, no bias on the keys.

Source: Siméoni et al. 2025, DINOv3; the hub's `dinov3_vit` config. Angles are 2 pi coordinate / theta^(4 j / head_dim),
coordinates of patch centres in -1..1 along each side: periods from 1 to theta^(1 - 4 / head_dim), log-spaced.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mainstem.core.errors import ArtifactError
from mainstem.core.openmodels.base import Blueprint, Family, Shapes, Weights, block_keys, block_modules, weight_and_bias
from mainstem.core.openmodels.images import ImagesFacts, PatchTokenizer, dino_patches
from mainstem.core.trunk_config import Activation, RotaryAxis, TrunkConfig

BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attention.q_proj": "attention.qkv#q",
    "attention.k_proj": "attention.qkv#k",
    "attention.v_proj": "attention.qkv#v",
    "attention.o_proj": "attention.out",
    "mlp.down_proj": "mlp.down",
}
EMBEDDINGS = {
    "embeddings.cls_token": "tokenizer.class_token",
    "embeddings.mask_token": "tokenizer.mask_token",
    "embeddings.patch_embeddings.weight": "tokenizer.patch.weight",
    "embeddings.patch_embeddings.bias": "tokenizer.patch.bias",
}
ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu", "silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}
HELD = ("query_bias", "value_bias", "proj_bias", "mlp_bias")


def matches(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True for a hub config of a DINOv3 vision transformer."""
    return config.get("model_type") == "dinov3_vit"


def blueprint(weights: Weights) -> Blueprint:
    """Read the config.

    Raises:
        ArtifactError: if it leaves out a bias that every released model has.
    """
    config = weights.config
    lacking = [name for name in HELD if not config.get(name, True)]
    if lacking:
        raise ArtifactError(f"{weights.name} has {lacking[0]} off, which no released DINOv3 has; it is not read")
    dim, depth, num_heads = (int(config[name]) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"))
    head_dim = dim // num_heads
    num_registers, theta = int(config.get("num_register_tokens", 0)), float(config.get("rope_theta", 100.0))
    gated = bool(config.get("use_gated_mlp", False))
    up = {"mlp.gate_proj": "mlp.up#gate", "mlp.up_proj": "mlp.up#value"} if gated else {"mlp.up_proj": "mlp.up"}
    layers = weight_and_bias({**BLOCK, **up}) | {f"layer_scale{n}.lambda1": f"scale{n}" for n in (1, 2)}
    has_key_bias = bool(config.get("key_bias", False))
    if not has_key_bias:
        del layers["attention.k_proj.bias"]
    keys = dict(EMBEDDINGS) | weight_and_bias({"norm": "trunk.norm"}) | block_keys(depth, "layer.{}", layers)
    if num_registers:
        keys["embeddings.register_tokens"] = "tokenizer.registers"
    patches = replace(dino_patches(weights), num_registers=num_registers, has_mask_token=True, is_rotary=True)
    trunk = TrunkConfig(
        dim=dim,
        depth=depth,
        num_heads=num_heads,
        hidden=int(config["intermediate_size"]),
        num_registers=0,
        num_prefix=1 + num_registers,
        norm_eps=float(config.get("layer_norm_eps", 1e-5)),
        pooling="cls",
        activation=ACTIVATIONS[config.get("hidden_act", "gelu")],
        gated=gated,
        layer_scale=True,
        key_bias=has_key_bias,
        space=RotaryAxis(pairs=head_dim // 4, shortest=1.0, longest=theta ** (1 - 4 / head_dim)),
        space_axes=2,
    )
    zeros = () if has_key_bias else tuple(f"trunk.blocks.{n}.attention.qkv.bias#k" for n in range(depth))
    linear = {theirs: ours.replace("#", ".") for theirs, ours in (BLOCK | up).items() if "norm" not in theirs}
    return Blueprint(
        trunk=trunk,
        tokenizer=PatchTokenizer(patches),
        kind="image",
        keys=keys,
        zeros=zeros,
        set_aside=() if num_registers else (r"embeddings\.register_tokens$",),
        modules=block_modules(depth, "model.layer.{}", linear),
    )


FAMILY = Family(name="dinov3", matches=matches, blueprint=blueprint, tokenizers={"images": ImagesFacts})
