"""Presto and Galileo on their real weights, Prithvi-EO on drawn ones, each against an oracle of its own."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from mainstem.core.blocks import Block
from mainstem.core.cases import Cases
from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.openmodels import load_open_model
from mainstem.core.openmodels import presto_samples as presto_family
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.weights import load_pt

CLOSE = 1e-5
FLOAT32 = 1e-6  # of a value: sums in another order, as processors take them, differ by more where values are large
mirror = pytest.mark.mirror


def earth() -> Path:
    if "MAINSTEM_MIRROR" not in os.environ:
        pytest.skip("MAINSTEM_MIRROR is not set")
    return Path(os.environ["MAINSTEM_MIRROR"]) / "earth"


@pytest.fixture(scope="module")
def presto():
    return load_open_model(str(earth() / "presto"))


@pytest.fixture(scope="module")
def moisture() -> dict[str, np.ndarray]:
    folder = earth() / "presto" / "fuel_moisture"
    names = {"bands": "s1_s2_era5_srtm", "latlon": "latlon", "month": "month", "dynamic_world": "dynamic_world"}
    return {name: np.load(folder / f"{file}.npy", allow_pickle=False) for name, file in names.items()}


@mirror
def test_presto_equals_its_original_on_every_real_series(presto, moisture):
    wanted = np.load(earth() / "presto" / "fuel_moisture" / "presto_encoder_emb_ref.npy", allow_pickle=False)
    assert len(wanted) == 2313
    np.testing.assert_allclose(presto.embed(moisture), wanted, atol=CLOSE, rtol=0)


@mirror
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 0.95))
def test_presto_s_ragged_masks_equal_one_by_one(presto, moisture, seed, share):
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(moisture["bands"]), 12, replace=False)
    inputs = {name: values[rows] for name, values in moisture.items()} | {"mask": rng.random((12, 3, 18)) < share}
    inputs["dynamic_world"] = np.where(rng.random((12, 3)) < share, 9, inputs["dynamic_world"])
    together = presto.embed(inputs)
    alone = [presto.embed({name: values[row : row + 1] for name, values in inputs.items()}) for row in range(12)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=CLOSE, rtol=0)


@mirror
def test_presto_ignores_what_a_mask_hides_and_takes_nan_for_a_mask(presto, moisture):
    inputs = {name: values[:5] for name, values in moisture.items()}
    mask = np.zeros((5, 3, 18), bool)
    mask[:, 1, 2:13] = True
    mask[:, 1, 17] = True  # NDVI is computed from B4 and B8: who hides those hides it too
    noisy = np.where(mask, 9e5, inputs["bands"])
    empty = np.where(mask, np.nan, inputs["bands"])
    hidden = presto.embed(inputs | {"mask": mask})
    np.testing.assert_array_equal(presto.embed(inputs | {"bands": noisy, "mask": mask}), hidden)
    np.testing.assert_array_equal(presto.embed(inputs | {"bands": empty}), hidden)
    assert np.abs(hidden - presto.embed(inputs)).max() > 1e-2


@mirror
def test_presto_reads_one_month_as_the_months_that_follow(presto, moisture):
    inputs = {name: values[:4] for name, values in moisture.items()}
    first = np.array([11, 0, 5, 10])
    spelled = (first[:, None] + np.arange(3)) % 12
    np.testing.assert_array_equal(presto.embed(inputs | {"month": first}), presto.embed(inputs | {"month": spelled}))


@mirror
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"month": np.full((2, 3), 12)}, "0 .January"),
        ({"latlon": np.array([[100.0, 3.0]] * 2)}, "latitude"),
        ({"bands": np.zeros((2, 3, 17))}, "18"),
        ({"bands": np.full((2, 3, 18), np.inf)}, "infinite"),
        ({"dynamic_world": np.full((2, 3), 10)}, "Dynamic World"),
        ({"weather": np.zeros(2)}, "'weather'"),
    ],
)
def test_presto_refuses_what_it_cannot_read(presto, moisture, change, message):
    inputs = {name: values[:2] for name, values in moisture.items()}
    with pytest.raises(InputError, match=message):
        presto.embed(inputs | change)


def pixel_sample(units: dict[str, str], month: int = 3) -> Sample:
    channels = tuple(Channel(name=name, unit=unit) for name, unit in units.items())
    values = np.ones((2, len(channels))) * np.arange(1, len(channels) + 1)
    times = np.array([0.0, 31 * 86_400.0])
    place = Stream(
        kind="scalar", values=np.array([40.0, -100.0]),
        channels=(Channel(name="latitude", unit="deg"), Channel(name="longitude", unit="deg")),
    )  # fmt: skip
    pixel = Stream(kind="series", values=values, channels=channels, times=times)
    source = Provenance(data="test", item="one")
    return Sample(
        streams={"pixel": pixel, "place": place}, target=None, source=source, origin=f"2020-{month:02d}-01T00:00:00Z"
    )


def test_streams_become_presto_s_inputs_in_its_units():
    inputs = presto_family.inputs_of([pixel_sample({"B4": "1", "temperature_2m": "degC", "total_precipitation": "mm"})])
    row = dict(zip(presto_family.BANDS, inputs["bands"][0, 0], strict=True))
    assert row["B4"] == pytest.approx(1e4)
    assert row["temperature_2m"] == pytest.approx(275.15)
    assert row["total_precipitation"] == pytest.approx(3e-3)
    assert np.isnan(row["B8"])
    assert inputs["month"][0].tolist() == [2, 3]
    with pytest.raises(ChannelError, match="'B13'"):
        presto_family.inputs_of([pixel_sample({"B13": "1"})])
    with pytest.raises(ChannelError, match="total_precipitation in 'inch'"):
        presto_family.inputs_of([pixel_sample({"total_precipitation": "inch"})])


def test_pixels_of_one_clock_become_the_inputs_that_each_alone_does():
    rng = np.random.default_rng(0)
    names = {"B4": "1", "B8": "1", "VV": "dB", "temperature_2m": "degC"}
    for days in ((0, 30, 60, 91), (3, 9, 40, 44, 100, 170)):  # months already, and dates that leave a month out
        values = rng.uniform(0, 0.5, (9, len(days), len(names)))
        values[rng.random(values.shape) < 0.4] = np.nan
        places = np.column_stack([rng.uniform(-60, 60, 9), rng.uniform(-170, 170, 9)])
        cases = Cases(num=9, source=Provenance(data="d", item="i"), origin="2020-02-01T00:00:00Z", streams={
            "pixel": Block(kind="series", values=values, times=86_400.0 * np.array(days),
                           channels=tuple(Channel(name=name, unit=unit) for name, unit in names.items())),
            "place": Block(kind="scalar", values=places, channels=(
                Channel(name="latitude", unit="deg"), Channel(name="longitude", unit="deg"))),
        })  # fmt: skip
        found, wanted = presto_family.inputs_of(cases), presto_family.inputs_of(list(cases))
        assert set(found) == set(wanted)
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-12)


@pytest.fixture(scope="module")
def galileo():
    return load_open_model(str(earth() / "galileo_nano"))


def cube(size: int, steps: int, seed: int = 0, num: int = 2, patch: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = size // patch

    def spread(mask: np.ndarray) -> np.ndarray:
        return mask.repeat(patch, 1).repeat(patch, 2).astype(int)

    return {
        "s_t_x": rng.normal(size=(num, size, size, steps, 13)),
        "sp_x": rng.normal(size=(num, size, size, 16)),
        "t_x": rng.normal(size=(num, steps, 6)),
        "st_x": rng.normal(size=(num, 18)),
        "s_t_m": spread(rng.random((num, coarse, coarse, steps, 7)) < 0.4),
        "sp_m": spread(rng.random((num, coarse, coarse, 3)) < 0.4),
        "t_m": (rng.random((num, steps, 3)) < 0.4).astype(int),
        "st_m": np.array([[0, 1, 1, 0]] * num),
        "months": rng.integers(0, 12, (num, steps)),
        "patch_size": patch,
    }


def sine(dim: int, position: float) -> torch.Tensor:
    angles = torch.tensor([position / 10000 ** (index / dim / 2) for index in range(dim // 2)])
    return torch.cat([angles.sin(), angles.cos()])


def galileo_oracle(state: dict[str, torch.Tensor], inputs: dict, row: int) -> torch.Tensor:
    """One sample, token by token, with nothing of the code under test: torch's own encoder layer does the blocks."""
    x = {name: torch.as_tensor(values[row]).float() for name, values in inputs.items() if name.endswith("_x")}
    seen = {name: np.asarray(values[row]) == 0 for name, values in inputs.items() if name.endswith("_m")}
    months, patch = inputs["months"][row], inputs["patch_size"]
    groups = {
        "space_time": {"S1": [0, 1], "S2_RGB": [2, 3, 4], "S2_Red_Edge": [5, 6, 7], "S2_NIR_10m": [8],
                       "S2_NIR_20m": [9], "S2_SWIR": [10, 11], "NDVI": [12]},
        "space": {"SRTM": [0, 1], "DW": list(range(2, 11)), "WC": list(range(11, 16))},
        "time": {"ERA5": [0, 1], "TC": [2, 3, 4], "VIIRS": [5]},
        "static": {"LS": [0], "location": [1, 2, 3], "DW_static": list(range(4, 13)), "WC_static": list(range(13, 18))},
    }  # fmt: skip
    matrix = torch.stack(
        [F.interpolate(F.one_hot(torch.tensor(i), 64).float().view(1, 1, 8, 8), (patch, patch), mode="bicubic",
                       antialias=True).reshape(-1) for i in range(64)]
    )  # fmt: skip
    inverse = torch.linalg.pinv(matrix)

    def project(key: str, pixels: torch.Tensor) -> torch.Tensor:
        weight, bias = state[f"{key}.proj.weight"], state[f"{key}.proj.bias"]
        kernel = weight.flatten(2) if patch == 8 else weight.flatten(2) @ inverse.T
        return (kernel * pixels.permute(2, 0, 1).flatten(1)).sum((1, 2)) + bias

    def code(channel: torch.Tensor, step: int | None, where: tuple[int, int] | None) -> torch.Tensor:
        nothing = torch.zeros(32)
        time = [nothing, nothing]
        if step is not None:
            time = [state["pos_embed"][step], state["month_embed.weight"][months[step]]]
        ratio = patch * 10 / 10
        space = torch.cat([sine(16, where[1] * ratio), sine(16, where[0] * ratio)]) if where else nothing
        return torch.cat([channel, *time, space])

    tokens = []
    side, steps = x["s_t_x"].shape[0] // patch, len(months)
    for i in range(side):
        for j in range(side):
            window = (slice(i * patch, (i + 1) * patch), slice(j * patch, (j + 1) * patch))
            for step in range(steps):
                for index, (name, members) in enumerate(groups["space_time"].items()):
                    if seen["s_t_m"][i * patch, j * patch, step, index]:
                        token = project(f"space_time_embed.{name}", x["s_t_x"][window][:, :, step][..., members])
                        tokens.append(token + code(state["s_t_channel_embed"][index], step, (i, j)))
            for index, (name, members) in enumerate(groups["space"].items()):
                if seen["sp_m"][i * patch, j * patch, index]:
                    token = project(f"space_embed.{name}", x["sp_x"][window][..., members])
                    tokens.append(token + code(state["sp_channel_embed"][index], None, (i, j)))
    for step in range(steps):
        for index, (name, members) in enumerate(groups["time"].items()):
            if seen["t_m"][step, index]:
                token = F.linear(
                    x["t_x"][step, members], state[f"time_embed.{name}.weight"], state[f"time_embed.{name}.bias"]
                )
                tokens.append(token + code(state["t_channel_embed"][index], step, None))
    for index, (name, members) in enumerate(groups["static"].items()):
        if seen["st_m"][index]:
            token = F.linear(
                x["st_x"][members], state[f"static_embed.{name}.weight"], state[f"static_embed.{name}.bias"]
            )
            tokens.append(token + code(state["st_channel_embed"][index], None, None))
    tokens = torch.stack(tokens)[None]
    for index in range(4):
        tokens = encoder_layer(state, f"blocks.{index}", 128, 8, split=True)(tokens)
    return F.layer_norm(tokens, (128,), state["norm.weight"], state["norm.bias"]).mean(1)[0]


def encoder_layer(state: dict[str, torch.Tensor], prefix: str, dim: int, heads: int, split: bool) -> nn.Module:
    """torch's own pre-norm layer with a block's weights."""
    layer = nn.TransformerEncoderLayer(
        dim, heads, state[f"{prefix}.mlp.fc1.weight"].shape[0], 0.0, "gelu", 1e-5, batch_first=True, norm_first=True
    ).eval()
    parts = "qkv" if split else ()
    names = {
        "self_attn.out_proj": "attn.proj",
        "linear1": "mlp.fc1",
        "linear2": "mlp.fc2",
        "norm1": "norm1",
        "norm2": "norm2",
    }
    filled = {
        f"{ours}.{kind}": state[f"{prefix}.{theirs}.{kind}"]
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        fused = [state[f"{prefix}.attn.{part}.{kind}"] for part in parts] or [state[f"{prefix}.attn.qkv.{kind}"]]
        filled[f"self_attn.in_proj_{kind}"] = torch.cat(fused)
    layer.load_state_dict(filled)
    return layer


@mirror
@pytest.mark.parametrize(("size", "steps", "patch"), [(2, 1, 1), (4, 3, 2), (6, 2, 3), (8, 4, 4), (8, 12, 8)])
def test_galileo_equals_an_oracle_token_by_token(galileo, size, steps, patch):
    state = load_pt(earth() / "galileo_nano" / "encoder.pt")
    inputs = cube(size, steps, seed=size + steps, patch=patch)
    with torch.no_grad():
        wanted = torch.stack([galileo_oracle(state, inputs, row) for row in range(2)]).numpy()
    found = galileo.embed(inputs)
    assert found.shape == (2, 128)
    np.testing.assert_allclose(found, wanted, atol=CLOSE, rtol=0)


@mirror
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999), patch=st.sampled_from([1, 2, 4]), steps=st.integers(1, 6))
def test_galileo_s_ragged_masks_equal_one_by_one_and_hide_their_content(galileo, seed, patch, steps):
    inputs = cube(4, steps, seed=seed, num=3, patch=patch)
    together = galileo.embed(inputs)
    alone = [
        galileo.embed({name: value if name == "patch_size" else value[row : row + 1] for name, value in inputs.items()})
        for row in range(3)
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=CLOSE, rtol=0)
    changed = dict(inputs)
    groups = {"s_t": [2, 3, 3, 1, 1, 2, 1], "sp": [2, 9, 5], "t": [2, 3, 1], "st": [1, 3, 9, 5]}
    for name, widths in groups.items():
        hidden = np.repeat(inputs[f"{name}_m"] == 1, widths, axis=-1)
        changed[f"{name}_x"] = np.where(hidden, np.nan, inputs[f"{name}_x"])
    np.testing.assert_array_equal(galileo.embed(changed), together)


@mirror
def test_galileo_refuses_what_it_cannot_read(galileo):
    inputs = cube(4, 2)
    with pytest.raises(InputError, match="patch_size 3"):
        galileo.embed(inputs | {"patch_size": 3})
    broken = inputs["s_t_x"].copy()
    broken[..., 12] = np.nan
    with pytest.raises(InputError, match="NDVI"):
        galileo.embed(inputs | {"s_t_x": broken, "s_t_m": np.zeros_like(inputs["s_t_m"])})
    blind = {name: np.ones_like(inputs[name]) for name in ("s_t_m", "sp_m", "t_m", "st_m")}
    with pytest.raises(InputError, match="hidden altogether"):
        galileo.embed(inputs | blind)
    with pytest.raises(InputError, match="sp_x"):
        galileo.embed(inputs | {"sp_x": inputs["sp_x"][:, :2]})


PRITHVI = {  # width, depth, heads, patch; the published variants, here with two blocks of their depth
    "tiny_tl": (192, 12, 3, 16, True), "100_tl": (768, 12, 12, 16, True), "300": (1024, 24, 16, 16, False),
    "300_tl": (1024, 24, 16, 16, True), "600": (1280, 32, 16, 14, False), "600_tl": (1280, 32, 16, 14, True),
    "v1_100": (768, 12, 12, 16, False),
}  # fmt: skip


def prithvi_state(dim: int, depth: int, patch: int, coords: bool, *, flat: bool = False) -> dict[str, torch.Tensor]:
    """Drawn weights under the names of the published files; `flat` as version 1 lays them out."""
    generator = torch.Generator().manual_seed(dim)

    def drawn(*shape: int, one: bool = False) -> torch.Tensor:
        return 0.05 * torch.randn(shape, generator=generator) + (1.0 if one else 0.0)

    encoder = {"cls_token": drawn(1, 1, dim), "pos_embed": drawn(1, 1 + (3 if flat else 4) * 196, dim)}
    encoder |= {"patch_embed.proj.weight": drawn(dim, 6, 1, patch, patch), "patch_embed.proj.bias": drawn(dim)}
    encoder |= {"norm.weight": drawn(dim, one=True), "norm.bias": drawn(dim)}
    for index in range(depth):
        for name, (rows, columns) in {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim),
                                      "mlp.fc2": (dim, 4 * dim)}.items():  # fmt: skip
            encoder |= {
                f"blocks.{index}.{name}.weight": drawn(rows, columns),
                f"blocks.{index}.{name}.bias": drawn(rows),
            }
        for norm in ("norm1", "norm2"):
            encoder |= {
                f"blocks.{index}.{norm}.weight": drawn(dim, one=True),
                f"blocks.{index}.{norm}.bias": drawn(dim),
            }
    decoder = {"mask_token": drawn(1, 1, 512), "decoder_pos_embed": drawn(1, 785, 512),
               "decoder_embed.weight": drawn(8, 8), "decoder_blocks.0.norm1.weight": drawn(8),
               "decoder_pred.bias": drawn(8)}  # fmt: skip
    if coords:
        encoder |= {"temporal_embed_enc.scale": torch.tensor([0.3]), "location_embed_enc.scale": torch.tensor([0.2])}
        decoder |= {"temporal_embed_dec.scale": drawn(1), "location_embed_dec.scale": drawn(1)}
    if flat:
        return encoder | decoder
    return {f"encoder.{key}": value for key, value in encoder.items()} | {
        f"decoder.{key}": v for key, v in decoder.items()
    }


def plain_sine(dim: int, position: float) -> np.ndarray:
    angles = np.array([position / 10000 ** (2 * index / dim) for index in range(dim // 2)])
    return np.concatenate([np.sin(angles), np.cos(angles)])


def prithvi_oracle(state, dim, depth, heads, patch, image, when=None, where=None) -> torch.Tensor:
    """One image series, cell by cell, at the size of pretraining."""
    state = {key.removeprefix("encoder."): value for key, value in state.items()}
    frames, rows, columns = image.shape[1], image.shape[2] // patch, image.shape[3] // patch
    share = dim // 16
    tokens = [state["cls_token"][0, 0]]
    for t in range(frames):
        for y in range(rows):
            for x in range(columns):
                cell = image[:, t, y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
                token = (state["patch_embed.proj.weight"][:, :, 0] * cell).sum((1, 2, 3)) + state[
                    "patch_embed.proj.bias"
                ]
                codes = [plain_sine(6 * share, x), plain_sine(6 * share, y), plain_sine(4 * share, t)]
                token = token + torch.tensor(np.concatenate(codes)).float()
                if when is not None:
                    code = np.concatenate([plain_sine(dim // 2, value) for value in when[t]])
                    token = token + state["temporal_embed_enc.scale"] * torch.tensor(code).float()
                if where is not None:
                    code = np.concatenate([plain_sine(dim // 2, value) for value in where])
                    token = token + state["location_embed_enc.scale"] * torch.tensor(code).float()
                tokens.append(token)
    x = torch.stack(tokens)[None]
    for index in range(depth):
        x = encoder_layer(state, f"blocks.{index}", dim, heads, split=False)(x)
    return F.layer_norm(x, (dim,), state["norm.weight"], state["norm.bias"])[0]


@pytest.mark.long
@pytest.mark.parametrize("name", PRITHVI)
def test_every_prithvi_variant_maps_and_equals_an_oracle_cell_by_cell(tmp_path, name):
    dim, _, heads, patch, coords = PRITHVI[name]
    state = prithvi_state(dim, 2, patch, coords, flat=name.startswith("v1"))
    torch.save(state, tmp_path / f"Prithvi_EO_{name}.pt")
    model = load_open_model(str(tmp_path))
    assert model.family == "prithvi"
    image = torch.randn(6, 2, 224, 224, generator=torch.Generator().manual_seed(3))
    when = np.array([[2019.0, 120.0], [2021.0, 3.0]]) if coords else None
    where = np.array([47.2, -8.5]) if coords else None
    inputs = {"pixel_values": image[None]}
    if coords:
        inputs |= {"temporal_coords": when[None], "location_coords": where[None]}
    with torch.no_grad():
        wanted = prithvi_oracle(state, dim, 2, heads, patch, image, when, where)
    found = model.latents(inputs).tokens[0]
    torch.testing.assert_close(found, wanted, atol=CLOSE, rtol=FLOAT32)
    np.testing.assert_allclose(model.embed(inputs)[0], wanted[1:].mean(0).numpy(), atol=CLOSE, rtol=0)


@pytest.mark.parametrize("frames", [1, 3, 12])
def test_prithvi_takes_any_size_dates_and_subset_of_bands(tmp_path, frames):
    state = prithvi_state(192, 2, 16, True)
    torch.save(state, tmp_path / "Prithvi_EO_V2_tiny_TL.pt")
    model = load_open_model(str(tmp_path))
    image = torch.randn(2, 6, frames, 48, 80, generator=torch.Generator().manual_seed(4))
    latents = model.latents({"pixel_values": image}, return_layers=(0, 1))
    assert latents.tokens.shape == (2, 1 + frames * 3 * 5, 192)
    assert len(latents.layers) == 2
    few = ["RED", "NIR_NARROW"]
    found = model.embed({"pixel_values": image[:, [2, 3]], "bands": few})
    silent = image.clone()
    silent[:, [0, 1, 4, 5]] = 0
    np.testing.assert_allclose(found, model.embed({"pixel_values": silent}), atol=CLOSE, rtol=0)
    with pytest.raises(ChannelError, match="SWIR_3"):
        model.embed({"pixel_values": image[:, :1], "bands": ["SWIR_3"]})


def test_prithvi_normalises_reflectance_and_refuses_what_was_scaled(tmp_path):
    torch.save(prithvi_state(192, 1, 16, False), tmp_path / "prithvi_eo_v2_tiny.pt")
    model = load_open_model(str(tmp_path))
    reflectance = np.random.default_rng(0).uniform(0, 0.6, (1, 6, 2, 32, 32))
    mean = np.array([1087, 1342, 1433, 2734, 1958, 1363]).reshape(6, 1, 1, 1)
    std = np.array([2248, 2179, 2178, 1850, 1242, 1049]).reshape(6, 1, 1, 1)
    ready = (1e4 * reflectance - mean) / std
    np.testing.assert_allclose(
        model.embed({"reflectance": reflectance}), model.embed({"pixel_values": ready}), atol=CLOSE, rtol=0
    )
    with pytest.raises(InputError, match="divide by 10000"):
        model.embed({"reflectance": 1e4 * reflectance})
    with pytest.raises(InputError, match="TL"):
        model.embed({"reflectance": reflectance, "location_coords": np.zeros((1, 2))})


def test_prithvi_s_version_is_read_off_the_weights_whatever_the_path_says(tmp_path):
    folder = tmp_path / "v1.0" / "Prithvi_EO_V2_300"
    folder.mkdir(parents=True)
    zeros = np.zeros((1, 6, 1, 224, 224))
    for name, flat, mean, std in (("first", True, 775.229, 1281.526), ("second", False, 1087.0, 2248.0)):
        torch.save(prithvi_state(192, 1, 16, False, flat=flat), folder / f"{name}.pt")
        tokenizer = load_open_model(folder / f"{name}.pt").tokenizer
        found = tokenizer.cut_inputs({"reflectance": zeros})["pixels"][0, 0, 0, 0, 0]
        assert float(found) == pytest.approx(-mean / std, rel=1e-4)
    state = prithvi_state(192, 1, 16, False)
    del state["encoder.pos_embed"]
    torch.save(state, folder / "unsaid.pt")
    with pytest.raises(InputError, match=r"1\.0 or 2\.0"):
        load_open_model(folder / "unsaid.pt").embed({"reflectance": zeros})


def test_prithvi_names_missing_and_left_over_keys(tmp_path):
    state = prithvi_state(192, 1, 16, False)
    torch.save({key: value for key, value in state.items() if key != "encoder.norm.bias"}, tmp_path / "a.pt")
    with pytest.raises(ArtifactError, match=r"norm\.bias"):
        load_open_model(str(tmp_path / "a.pt"))
    torch.save(state | {"encoder.neck.weight": torch.zeros(1)}, tmp_path / "b.pt")
    with pytest.raises(ArtifactError, match=r"encoder\.neck\.weight"):
        load_open_model(str(tmp_path / "b.pt"), family="prithvi")
