"""DINOv2, DINOv3 and SigLIP 2 against transformers' own classes, on random weights saved in the hub's format."""

import json
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.lora import add_lora
from mainstem.core.openmodels import load_open_model

CLOSE = 1e-5
SMALL = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
WIDE = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}


def randomised(model):
    """Every weight drawn, biases, norms and layer scales too: zeros and ones would hide a wrong map."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        near_one = ("norm" in name and name.endswith("weight")) or "lambda" in name
        parameter.data = 1 + 0.2 * drawn if near_one else 0.1 * drawn
    return model.eval()


def saved(model, folder: Path) -> str:
    randomised(model).save_pretrained(folder)
    return str(folder)


def pixels(height: int, width: int, num: int = 2) -> torch.Tensor:
    return torch.randn(num, 3, height, width, generator=torch.Generator().manual_seed(1))


def dinov2(**more):
    return transformers.Dinov2Model(transformers.Dinov2Config(**{**SMALL, "image_size": 70, "patch_size": 14, **more}))


def dinov2_registers(**more):
    config = transformers.Dinov2WithRegistersConfig(**{**SMALL, "image_size": 64, "patch_size": 16, **more})
    return transformers.Dinov2WithRegistersModel(config)


def dinov3(**more):
    config = transformers.DINOv3ViTConfig(**{**SMALL, "intermediate_size": 128, "num_register_tokens": 4, **more})
    return transformers.DINOv3ViTModel(config)


DINOS = {
    "dinov2": (dinov2, {}, 14),
    "dinov2 wide": (dinov2, WIDE, 14),
    "dinov2 gated": (dinov2, {"use_swiglu_ffn": True}, 14),
    "dinov2 without mask token": (dinov2, {"use_mask_token": False}, 14),
    "dinov2 registers": (dinov2_registers, {}, 16),
    "dinov3": (dinov3, {}, 16),
    "dinov3 wide, no registers": (dinov3, {**WIDE, "num_register_tokens": 0}, 16),
    "dinov3 gated": (dinov3, {"use_gated_mlp": True, "hidden_act": "silu"}, 16),
}


@pytest.mark.parametrize("name", DINOS)
@pytest.mark.parametrize("patches", [(4, 4), (5, 5), (3, 6), (7, 2)])
def test_dinos_equal_transformers(tmp_path, name, patches):
    make, more, patch = DINOS[name]
    theirs = make(**more)
    model = load_open_model(saved(theirs, tmp_path))
    image = pixels(patch * patches[0], patch * patches[1])
    with torch.no_grad():
        wanted = theirs(image)
    np.testing.assert_allclose(model.embed({"pixel_values": image}), wanted.pooler_output.numpy(), atol=CLOSE, rtol=0)
    np.testing.assert_array_equal(model.embed(image), model.embed({"pixel_values": image}))
    found = model.latents({"pixel_values": image}).tokens
    torch.testing.assert_close(found, wanted.last_hidden_state, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("sizes", [(64, 64), (96, 32)])
@pytest.mark.parametrize("more", [{}, {**WIDE, "patch_size": 8}])
def test_siglip_vision_equals_transformers(tmp_path, sizes, more):
    config = transformers.SiglipVisionConfig(**{**SMALL, "intermediate_size": 128, "image_size": 64, **more})
    theirs = transformers.SiglipVisionModel(config)
    model = load_open_model(saved(theirs, tmp_path))
    image = pixels(*sizes)
    with torch.no_grad():
        wanted = theirs(image, interpolate_pos_encoding=sizes != (64, 64))
    np.testing.assert_allclose(model.embed({"pixel_values": image}), wanted.pooler_output.numpy(), atol=CLOSE, rtol=0)
    torch.testing.assert_close(
        model.latents({"pixel_values": image}).tokens, wanted.last_hidden_state, atol=CLOSE, rtol=0
    )


def naflex_inputs(grids: list[tuple[int, int]], length: int) -> dict[str, torch.Tensor]:
    counts = [rows * columns for rows, columns in grids]
    mask = torch.arange(length)[None] < torch.tensor(counts)[:, None]
    return {
        "pixel_values": torch.randn(len(grids), length, 3 * 8 * 8, generator=torch.Generator().manual_seed(2)),
        "pixel_attention_mask": mask.long(),
        "spatial_shapes": torch.tensor(grids),
    }


def test_siglip2_naflex_equals_transformers_on_ragged_images(tmp_path):
    config = transformers.Siglip2VisionConfig(**{**SMALL, "intermediate_size": 128, "num_patches": 16, "patch_size": 8})
    theirs = transformers.Siglip2VisionModel(config)
    model = load_open_model(saved(theirs, tmp_path))
    inputs = naflex_inputs([(4, 4), (2, 7), (5, 1)], 16)
    with torch.no_grad():
        wanted = theirs(**inputs)
    np.testing.assert_allclose(model.embed(inputs), wanted.pooler_output.numpy(), atol=CLOSE, rtol=0)
    alone = [model.embed({name: value[row : row + 1] for name, value in inputs.items()}) for row in range(3)]
    np.testing.assert_allclose(model.embed(inputs), np.concatenate(alone), atol=CLOSE, rtol=0)
    image = torch.randn(3, 16, 56, generator=torch.Generator().manual_seed(3))
    patches = image.view(3, 2, 8, 7, 8).permute(1, 3, 2, 4, 0).reshape(1, 14, -1)
    as_patches = {"pixel_values": patches, "spatial_shapes": torch.tensor([[2, 7]])}
    np.testing.assert_allclose(model.embed({"pixel_values": [image]}), model.embed(as_patches), atol=1e-6, rtol=0)


@pytest.mark.parametrize("pair", [transformers.SiglipModel, transformers.Siglip2Model])
def test_both_towers_of_a_pair_are_found_by_name(tmp_path, pair):
    vision = {**SMALL, "intermediate_size": 128, "patch_size": 16, "image_size": 64, "num_patches": 16}
    text = {**SMALL, "intermediate_size": 128, "vocab_size": 99, "max_position_embeddings": 12, "projection_size": 48,
            "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    if pair is transformers.SiglipModel:
        vision.pop("num_patches")
    theirs = pair(pair.config_class(vision_config=vision, text_config=text))
    path = saved(theirs, tmp_path)
    ids = torch.randint(0, 99, (3, 12), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        wanted = theirs.text_model(input_ids=ids)
    model = load_open_model(path, family="siglip2_text")
    np.testing.assert_allclose(model.embed({"input_ids": ids}), wanted.pooler_output.numpy(), atol=CLOSE, rtol=0)
    mask = (torch.arange(12) < 7).long().expand(3, -1)
    with torch.no_grad():
        wanted = theirs.text_model(input_ids=ids, attention_mask=mask)
    found = model.embed({"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(found, wanted.pooler_output.numpy(), atol=CLOSE, rtol=0)
    assert load_open_model(path).embed({"pixel_values": pixels(64, 64)}).shape == (2, 64)


def test_a_ragged_list_of_images_equals_its_images_one_by_one(tmp_path):
    for name in ("dinov2", "dinov3"):
        make, more, patch = DINOS[name]
        model = load_open_model(saved(make(**more), tmp_path / name))
        images = [pixels(patch * rows, patch * columns, 1)[0] for rows, columns in ((2, 3), (4, 4), (1, 5))]
        together = model.embed({"pixel_values": images})
        alone = np.concatenate([model.embed({"pixel_values": image[None]}) for image in images])
        np.testing.assert_allclose(together, alone, atol=CLOSE, rtol=0)


def test_raw_images_are_normalised_by_the_folder_or_the_family(tmp_path):
    model = load_open_model(saved(dinov2(), tmp_path))
    raw = np.random.default_rng(0).integers(0, 256, (2, 28, 42, 3), dtype=np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    ready = ((raw / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(model.embed({"image": raw}), model.embed({"pixel_values": ready}), atol=CLOSE, rtol=0)
    floats = (raw / 255).astype(np.float32)
    np.testing.assert_allclose(model.embed({"image": floats}), model.embed({"image": raw}), atol=CLOSE, rtol=0)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    radiograph = load_open_model(str(tmp_path))
    ready = ((raw / 255 - 0.5) / 0.25).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(radiograph.embed({"image": raw}), radiograph.embed({"pixel_values": ready}), atol=CLOSE)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": np.full((1, 3, 28, 28), 4000, np.uint16)}, "uint16"),
        ({"image": np.full((1, 3, 28, 28), 255.0)}, "0-1"),
        ({"pixel_values": np.full((1, 3, 28, 28), 255.0)}, "normalised"),
        ({"pixel_values": np.zeros((1, 3, 28, 30))}, "divide by 14"),
        ({"pixel_values": np.zeros((1, 4, 28, 28))}, "3 channels"),
        ({"pixel_values": np.full((1, 3, 28, 28), np.nan)}, "NaN"),
        ({"pixels": np.zeros((1, 3, 28, 28))}, "'pixels'"),
        ({}, "no image"),
    ],
)
def test_images_that_are_not_what_they_say_are_refused(tmp_path, inputs, message):
    model = load_open_model(saved(dinov2(), tmp_path))
    with pytest.raises(InputError, match=message):
        model.embed(inputs)


def changed(folder: Path, change) -> str:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


def test_missing_left_over_and_misshapen_keys_are_named(tmp_path):
    saved(dinov2(), tmp_path)
    with pytest.raises(ArtifactError, match=r"missing, first layernorm\.bias"):
        load_open_model(changed(tmp_path, lambda state: state.pop("layernorm.bias")))
    saved(dinov2(), tmp_path)
    with pytest.raises(ArtifactError, match=r"left over, first classifier\.weight"):
        load_open_model(changed(tmp_path, lambda state: state.update({"classifier.weight": torch.zeros(2, 2)})))
    saved(dinov2(), tmp_path)
    with pytest.raises(ArtifactError, match=r"layernorm\.weight has shape \(63,\), want \(64,\)"):
        load_open_model(changed(tmp_path, lambda state: state.update({"layernorm.weight": torch.zeros(63)})))


def test_weights_of_another_family_are_refused(tmp_path):
    path = saved(dinov2(), tmp_path)
    for family in ("dinov3", "presto", "galileo", "prithvi", "siglip2", "mainstem"):
        with pytest.raises(ArtifactError, match=family):
            load_open_model(path, family=family)
    with pytest.raises(InputError, match="family"):
        load_open_model(path, family="resnet")


def test_code_truncated_files_and_pickles_are_refused(tmp_path):
    path = saved(dinov2(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(ArtifactError, match="auto_map"):
        load_open_model(path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="whole safetensors"):
        load_open_model(path)
    weights.unlink()
    torch.save({"layernorm.weight": print}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="print"):
        load_open_model(path)


def test_sharded_checkpoints_load_and_foreign_shards_do_not(tmp_path):
    theirs = randomised(dinov2())
    theirs.save_pretrained(tmp_path, max_shard_size="100KB")
    index = tmp_path / "model.safetensors.index.json"
    assert index.is_file()
    with torch.no_grad():
        wanted = theirs(pixels(28, 28)).pooler_output.numpy()
    found = load_open_model(str(tmp_path)).embed({"pixel_values": pixels(28, 28)})
    np.testing.assert_allclose(found, wanted, atol=CLOSE, rtol=0)
    plain = json.loads(index.read_text())
    plain["weight_map"]["layernorm.weight"] = "../elsewhere.safetensors"
    index.write_text(json.dumps(plain))
    with pytest.raises(ArtifactError, match="elsewhere"):
        load_open_model(str(tmp_path))


def test_the_keys_bias_that_dinov3_lacks_stays_zero_in_training(tmp_path):
    model = load_open_model(saved(dinov3(), tmp_path))
    trunk = model.trunk.requires_grad_(True)
    optimizer = torch.optim.AdamW(trunk.parameters(), lr=0.1)
    before = model.embed({"pixel_values": pixels(32, 32)})
    (trunk(model.tokenizer({"pixel_values": pixels(32, 32)})).pooled * torch.randn(2, 64)).sum().backward()
    optimizer.step()
    layer = trunk.blocks[0].attention.qkv
    assert layer.bias.grad[64:128].abs().max() == 0
    assert layer.bias.grad[:64].abs().max() > 0
    assert np.abs(model.embed({"pixel_values": pixels(32, 32)}) - before).max() > 1e-3


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["q_proj", "o_proj", "fc1", "fc2"]])
def test_peft_adapters_of_the_original_model_load_and_go_back(tmp_path, targets):
    theirs = randomised(dinov2())
    theirs.save_pretrained(tmp_path / "base")
    names = {name.rpartition(".")[2] for name, module in theirs.named_modules() if isinstance(module, torch.nn.Linear)}
    if not set(targets) <= names:
        old = {"q_proj": "query", "v_proj": "value", "o_proj": "dense"}
        targets = [old.get(target, target) for target in targets]
    wrapped = peft.get_peft_model(theirs, peft.LoraConfig(r=4, lora_alpha=6, target_modules=targets)).eval()
    for key, parameter in wrapped.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(key)))
    wrapped.save_pretrained(tmp_path / "lora")
    model = load_open_model(str(tmp_path / "base"))
    model.load_lora("hub", tmp_path / "lora")
    image = pixels(28, 42)
    with torch.no_grad():
        wanted = wrapped(image).pooler_output.numpy()
    found = model.embed({"pixel_values": image}, adapters=["hub"] * 2)
    np.testing.assert_allclose(found, wanted, atol=CLOSE, rtol=0)
    assert np.abs(found - model.embed({"pixel_values": image})).max() > 1e-2


def test_our_adapter_on_split_layers_loads_in_peft_on_the_original_of_its_keys(tmp_path):
    theirs = randomised(dinov3())
    theirs.save_pretrained(tmp_path / "base")
    model = load_open_model(str(tmp_path / "base"))
    for parameter in add_lora(model.trunk, "ours", 4, 8.0, targets=["q", "k", "v", "out", "up", "down"]):
        torch.nn.init.normal_(parameter, std=0.1)
    model.save_lora("ours", tmp_path / "lora")
    image = pixels(32, 48)
    ours = model.embed({"pixel_values": image}, adapters=["ours"] * 2)
    wrapped = peft.PeftModel.from_pretrained(theirs, tmp_path / "lora").eval()
    with torch.no_grad():
        np.testing.assert_allclose(ours, wrapped(image).pooler_output.numpy(), atol=CLOSE, rtol=0)


@pytest.mark.parametrize(
    ("mean", "std", "repeats"), [([0.53] * 3, [0.26] * 3, True), ([0.485, 0.456, 0.406], [0.23] * 3, False)]
)
def test_weights_trained_on_grey_say_so_by_their_statistics(tmp_path, mean, std, repeats):
    saved(dinov2(), tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean, "image_std": std}))
    assert load_open_model(tmp_path).tokenizer.config.repeats_grey is repeats
    (tmp_path / "preprocessor_config.json").unlink()
    assert not load_open_model(tmp_path).tokenizer.config.repeats_grey
