"""SigLIP and SigLIP 2: the vision tower (fixed resolution, or NaFlex of any aspect) and the text tower.

Source: Zhai et al. 2023, SigLIP; Tschannen et al. 2025, SigLIP 2; the hub's `siglip` and `siglip2` configs. SigLIP 2's
fixed-resolution weights carry the config of SigLIP. The text tower pools its last position, padded or not: texts are
padded to the full length, as it was trained.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mainstem.core.errors import InputError
from mainstem.core.openmodels.base import Blueprint, Family, Shapes, Weights, block_keys, weight_and_bias
from mainstem.core.openmodels.images import (
    HALF,
    NAMES,
    ImagesFacts,
    PatchConfig,
    PatchTokenizer,
    cut_images,
    normalisation,
    pad_tokens,
    plain_config,
    read_images,
    resize,
)  # fmt: skip
from mainstem.core.openmodels.inputs import as_tensor, must_be, only
from mainstem.core.stream import Sample
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, TokenBatch, place
from mainstem.core.trunk_config import Pooling, TrunkConfig
from mainstem.core.weights import check_room

VISION_TYPES, TEXT_TYPES = ("siglip_vision_model", "siglip2_vision_model"), ("siglip_text_model", "siglip2_text_model")
BOTH = ("siglip", "siglip2")
BLOCK = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "self_attn.q_proj": "attention.qkv#q",
    "self_attn.k_proj": "attention.qkv#k",
    "self_attn.v_proj": "attention.qkv#v",
    "self_attn.out_proj": "attention.out",
    "mlp.fc1": "mlp.up",
    "mlp.fc2": "mlp.down",
}
HEAD = {
    "head.probe": "trunk.pool.probe",
    "head.attention.in_proj_weight": "trunk.pool.qkv.weight",
    "head.attention.in_proj_bias": "trunk.pool.qkv.bias",
}
HEAD_LAYERS = {
    "head.attention.out_proj": "trunk.pool.out",
    "head.layernorm": "trunk.pool.norm",
    "head.mlp.fc1": "trunk.pool.mlp.up",
    "head.mlp.fc2": "trunk.pool.mlp.down",
}
PAIR_ALONE = (r"logit_scale$", r"logit_bias$")  # what compares the towers
NAFLEX_NAMES = ("pixel_attention_mask", "spatial_shapes")
TEXT_NAMES = ("text", "input_ids", "attention_mask")


def tower(config: Mapping[str, Any], kind: str) -> tuple[dict[str, Any], str]:
    """The config of one tower, and the prefix of its keys: none where the weights hold one tower alone."""
    if config.get("model_type") in BOTH:
        return dict(config.get(f"{kind}_config") or {}), f"{kind}_model."
    return dict(config), ""


def trunk_config(config: Mapping[str, Any], pooling: Pooling, project: int | None = None) -> TrunkConfig:
    """The switches that both towers share; defaults are those of the hub's config classes."""
    return TrunkConfig(
        dim=int(config.get("hidden_size", 768)),
        depth=int(config.get("num_hidden_layers", 12)),
        num_heads=int(config.get("num_attention_heads", 12)),
        hidden=int(config.get("intermediate_size", 3072)),
        num_registers=0,
        norm_eps=float(config.get("layer_norm_eps", 1e-6)),
        activation="gelu_tanh",
        pooling=pooling,
        project=project,
    )


def matches_vision(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True for a vision tower, alone or of a pair."""
    return config.get("model_type") in (*BOTH, *VISION_TYPES)


def matches_text(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True for a text tower alone; that of a pair is asked for by the family's name."""
    return config.get("model_type") in TEXT_TYPES


def vision_blueprint(weights: Weights) -> Blueprint:
    """Read the config of a vision tower."""
    config, prefix = tower(weights.config, "vision")
    has_head = bool(config.get("vision_use_head", True))
    trunk = trunk_config(config, pooling="map" if has_head else "mean_norm")
    keys = {
        "embeddings.position_embedding.weight": "tokenizer.positions",
        **weight_and_bias({"embeddings.patch_embedding": "tokenizer.patch", "post_layernorm": "trunk.norm"}),
        **block_keys(trunk.depth, "encoder.layers.{}", weight_and_bias(BLOCK)),
        **(HEAD | weight_and_bias(HEAD_LAYERS) if has_head else {}),
    }
    mean, std = normalisation(weights.folder, HALF)
    patch_size = int(config.get("patch_size", 16))
    is_naflex = "num_patches" in config or str(weights.config.get("model_type", "")).startswith("siglip2")
    side = (
        round(int(config.get("num_patches", 256)) ** 0.5)
        if is_naflex
        else int(config.get("image_size", 224)) // patch_size
    )
    patches = PatchConfig(
        dim=trunk.dim,
        patch_size=patch_size,
        num_channels=int(config.get("num_channels", 3)),
        side=side,
        has_class_token=False,
        mean=mean,
        std=std,
    )
    return Blueprint(
        trunk=trunk,
        tokenizer=NaFlexTokenizer(patches) if is_naflex else PatchTokenizer(patches),
        kind="image",
        keys={f"{prefix}{key}": target for key, target in keys.items()},
        set_aside=(*PAIR_ALONE, r"text_model\."),
    )


def text_blueprint(weights: Weights) -> Blueprint:
    """Read the config of a text tower."""
    config, prefix = tower(weights.config, "text")
    dim = int(config.get("hidden_size", 768))
    trunk = trunk_config(config, pooling="last", project=int(config.get("projection_size") or dim))
    keys = {
        "embeddings.token_embedding.weight": "tokenizer.words.weight",
        "embeddings.position_embedding.weight": "tokenizer.positions",
        **weight_and_bias({"final_layer_norm": "trunk.norm", "head": "trunk.project"}),
        **block_keys(trunk.depth, "encoder.layers.{}", weight_and_bias(BLOCK)),
    }
    length, vocabulary = int(config.get("max_position_embeddings", 64)), int(config.get("vocab_size", 32000))
    check_room((length + vocabulary) * dim, sum(value.numel() for value in weights.state.values()), weights.name)
    return Blueprint(
        trunk=trunk,
        tokenizer=WordTokenizer(dim, vocabulary, length, weights.folder),
        kind="text",
        keys={f"{prefix}{key}": target for key, target in keys.items()},
        set_aside=(*PAIR_ALONE, r"vision_model\."),
    )


class NaFlexTokenizer(OpenTokenizer):
    """Images of any aspect, or NaFlex patches (n, patches, patch_size^2 * channel) with their mask and shapes."""

    main_input = "pixel_values"

    def __init__(self, config: PatchConfig) -> None:
        super().__init__()
        self.config = config
        self.patch = nn.Linear(config.num_channels * config.patch_size**2, config.dim)
        self.positions = nn.Parameter(torch.zeros(config.side**2, config.dim))

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Return patches, (rows, columns, features) each."""
        if "spatial_shapes" in inputs:
            return self._read_patches(inputs)
        only(inputs, NAMES)
        return Patches(parts={"patches": [self._cut(image) for image in read_images(inputs, self.config)]})

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Return the patches of samples with one `image` stream each."""
        return Patches(parts={"patches": [self._cut(image) for image in cut_images(samples, self.config)]})

    def facts(self) -> dict[str, Any]:
        """Return what it takes to build the tokenizer again."""
        return {"kind": "naflex", **plain_config(self.config)}

    def _cut(self, image: Tensor) -> Tensor:
        """Patches (rows, columns, y * x * channel) of an image (channel, y, x)."""
        size = self.config.patch_size
        channels, height, width = image.shape
        cut = image.view(channels, height // size, size, width // size, size).permute(1, 3, 2, 4, 0)
        return cut.reshape(height // size, width // size, size * size * channels)

    def _read_patches(self, inputs: Inputs) -> Patches:
        only(inputs, ("pixel_values", *NAFLEX_NAMES))
        if "pixel_values" not in inputs:
            raise InputError("got spatial_shapes without pixel_values; give the patches (n, patches, features) too")
        patches = as_tensor("pixel_values", inputs["pixel_values"], "(n, patches, features)", 3)
        must_be("pixel_values", patches, (None, None, self.patch.in_features))
        shapes = torch.as_tensor(inputs["spatial_shapes"]).long()
        must_be("spatial_shapes", shapes, (len(patches), 2))
        counts = shapes.prod(1)
        if (counts > patches.shape[1]).any() or (counts < 1).any():
            raise InputError(
                f"spatial_shapes ask for {int(counts.max())} patches, pixel_values hold {patches.shape[1]}"
            )
        if "pixel_attention_mask" in inputs:
            mask = torch.as_tensor(inputs["pixel_attention_mask"]).bool()
            if mask.shape != patches.shape[:2] or not torch.equal(mask.sum(1), counts):
                raise InputError(
                    "pixel_attention_mask does not mark the patches that spatial_shapes count; make them agree"
                )
        grids = [
            row[: rows * columns].view(rows, columns, -1)
            for row, (rows, columns) in zip(patches, shapes.tolist(), strict=True)
        ]
        return Patches(parts={"patches": grids})

    def project(self, patches: Patches) -> TokenBatch:
        """Return patch tokens with positions resized to each image's grid, padded to the longest."""
        side = self.config.side
        square = self.positions.T.reshape(1, -1, side, side).float()
        values = []
        for grid in patches.each("patches"):
            added = resize(square, grid.shape[0], grid.shape[1], "bilinear", antialias=True)
            values.append(self.patch(grid.flatten(0, 1).to(self.patch.weight)) + added.to(self.positions))
        return pad_tokens(values, [row.new_zeros(len(row), 4, dtype=torch.float64) for row in values])


class WordTokenizer(OpenTokenizer):
    """Texts, or `input_ids` (n, length) as the hub's tokenizer gives them, padded to the tower's full length."""

    main_input = "input_ids"

    def __init__(self, dim: int, vocabulary: int, length: int, folder: Path) -> None:
        super().__init__()
        self.folder, self.length = folder, length
        self.words = nn.Embedding(vocabulary, dim)
        self.positions = nn.Parameter(torch.zeros(length, dim))

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Return ids and a mask of those to attend to.

        Raises:
            InputError: if ids are out of the vocabulary or longer than the tower, or texts lack their tokenizer.
        """
        only(inputs, TEXT_NAMES)
        if ("text" in inputs) == ("input_ids" in inputs):
            raise InputError("give either text or input_ids")
        ids = self._ids(list(inputs["text"])) if "text" in inputs else torch.as_tensor(inputs["input_ids"]).long()
        if ids.ndim != 2 or not 1 <= ids.shape[1] <= self.length:
            raise InputError(f"got input_ids of shape {tuple(ids.shape)}, want (n, up to {self.length})")
        if ids.min() < 0 or ids.max() >= self.words.num_embeddings:
            raise InputError(f"got token {int(ids.max())}, the vocabulary ends at {self.words.num_embeddings - 1}")
        mask = torch.as_tensor(inputs.get("attention_mask", torch.ones_like(ids))).bool()
        must_be("attention_mask", mask, tuple(ids.shape))
        return Patches(parts={"ids": ids, "mask": mask})

    def _ids(self, texts: list[str]) -> Tensor:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder} holds no text tokenizer; stage it with the weights, or give input_ids"
            ) from error
        found = tokenizer(texts, padding="max_length", truncation=True, max_length=self.length, return_tensors="pt")
        ids: Tensor = found["input_ids"]
        return ids

    def project(self, patches: Patches) -> TokenBatch:
        """Return word tokens with their learned positions."""
        ids = patches["ids"]
        return place(self.words(ids) + self.positions[: ids.shape[1]], patches["mask"])


class NaFlexFacts(ImagesFacts):
    """The same, of images of unequal sizes."""

    def made(self, config: PatchConfig) -> OpenTokenizer:
        """Build it of a config."""
        return NaFlexTokenizer(config)


FAMILY = Family(name="siglip2", matches=matches_vision, blueprint=vision_blueprint, tokenizers={"naflex": NaFlexFacts})
TEXT_FAMILY = Family(name="siglip2_text", matches=matches_text, blueprint=text_blueprint)
