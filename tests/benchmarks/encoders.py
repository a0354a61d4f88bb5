"""Speed of the trunk beside transformers' class and the machine's own matrix products; Presto beside a sample loop."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from mainstem.core.openmodels import load_open_model
from mainstem.core.tokens import TokenBatch
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import TrunkConfig

BATCH, TOKENS, DIM, DEPTH, HEADS = 8, 197, 384, 12, 6  # ViT-S/16 at 224 x 224
REPEATS = 12
GEMM = 2048


def interleaved(runs: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Least seconds of each run over interleaved repeats: what others do on the machine strikes all alike."""
    for run in runs.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def forward_flops() -> float:
    """Multiplications and additions of one forward pass: projections, MLP, and the two products of attention."""
    block = 2 * TOKENS * DIM * 12 * DIM + 4 * TOKENS * TOKENS * DIM
    return float(BATCH * DEPTH * block)


def tokens(dtype: torch.dtype) -> TokenBatch:
    mask = torch.ones(BATCH, TOKENS, dtype=torch.bool)
    return TokenBatch(
        values=torch.randn(BATCH, TOKENS, DIM, dtype=dtype),
        positions=torch.zeros(BATCH, TOKENS, 4, dtype=torch.float64),
        stream=torch.zeros(BATCH, TOKENS, dtype=torch.int64), mask=mask, is_dense=True,
    )  # fmt: skip


def vit_small() -> Trunk:
    config = TrunkConfig(
        dim=DIM, depth=DEPTH, num_heads=HEADS, hidden=4 * DIM, num_registers=0, num_prefix=1,
        pooling="cls", layer_scale=True,
    )  # fmt: skip
    return Trunk(config)


def transformers_small(dtype: torch.dtype) -> torch.nn.Module:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, patch_size=16)
    return Dinov2Model(config).encoder.to(dtype)


def forward_of(model: torch.nn.Module, batch: object) -> Callable[[], object]:
    def run() -> None:
        with torch.no_grad():
            model(batch)

    return run


def step_of(model: torch.nn.Module, batch: object, output: Callable[[object], torch.Tensor]) -> Callable[[], object]:
    def run() -> None:
        for parameter in model.parameters():
            parameter.grad = None
        output(model(batch)).float().square().mean().backward()

    return run


def bench_trunk() -> dict[str, float]:
    """Forward and training step as fractions of the machine's matrix products, float32 and bfloat16."""
    figures: dict[str, float] = {}
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        torch.manual_seed(0)
        ours, theirs = vit_small().to(dtype).eval(), transformers_small(dtype).eval()
        batch = tokens(dtype)
        square = torch.randn(GEMM, GEMM, dtype=dtype)
        runs = {
            "gemm": lambda square=square: square @ square,
            "gemm_linear": lambda square=square: F.linear(square, square),
            "forward": forward_of(ours, batch),
            "forward_transformers": forward_of(theirs, batch.values),
            "step": step_of(ours, batch, lambda latents: latents.pooled),
            "step_transformers": step_of(theirs, batch.values, lambda found: found.last_hidden_state[:, 0]),
        }
        if os.environ.get("MAINSTEM_BENCH_COMPILE", "1") == "1":
            import torch._inductor.config as inductor

            inductor.freezing = True
            frozen = vit_small().to(dtype).eval().requires_grad_(False)
            runs["forward_compiled"] = forward_of(torch.compile(frozen), batch)
            compiled = torch.compile(vit_small().to(dtype).train())
            runs["step_compiled"] = step_of(compiled, batch, lambda latents: latents.pooled)
        times = interleaved(runs)
        peak = 2.0 * GEMM**3 / min(times.pop("gemm"), times.pop("gemm_linear"))
        figures[f"{name}_gemm_gflops"] = peak / 1e9
        for run, seconds in times.items():
            flops = forward_flops() * (3 if run.startswith("step") else 1)
            figures[f"{name}_{run}_fraction"] = flops / seconds / peak
    return figures


def bench_presto() -> dict[str, float]:
    """Presto on 2,313 series in batches, beside one sample at a time as the original's own loop does it."""
    folder = Path(os.environ["MAINSTEM_MIRROR"]) / "earth" / "presto"
    model = load_open_model(folder)
    names = {"bands": "s1_s2_era5_srtm", "latlon": "latlon", "month": "month", "dynamic_world": "dynamic_world"}
    inputs = {
        name: np.load(folder / "fuel_moisture" / f"{file}.npy", allow_pickle=False)[:256]
        for name, file in names.items()
    }
    state = dict(model.trunk.state_dict())

    def one_by_one() -> None:
        for row in range(256):
            sample = model.tokenizer.cut_inputs({name: values[row : row + 1] for name, values in inputs.items()})
            with torch.no_grad():
                original_shape(state, model.tokenizer.project(sample).values)

    times = interleaved({"batched": lambda: model.embed(inputs, batch_size=256), "loop": one_by_one}, repeats=4)
    return {
        "batched_samples_a_second": 256 / times["batched"],
        "loop_samples_a_second": 256 / times["loop"],
        "presto_throughput_ratio": times["loop"] / times["batched"],
    }


def original_shape(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Two plain pre-norm blocks on one sample's tokens, with no mask: what the original runs a sample."""
    for index in range(2):
        at = f"blocks.{index}."
        normed = F.layer_norm(x, (128,), state[f"{at}norm1.weight"], state[f"{at}norm1.bias"])
        qkv = F.linear(normed, state[f"{at}attention.qkv.weight"], state[f"{at}attention.qkv.bias"])
        query, key, value = qkv.view(1, -1, 3, 8, 16).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(1, -1, 128)
        x = x + F.linear(mixed, state[f"{at}attention.out.weight"], state[f"{at}attention.out.bias"])
        normed = F.layer_norm(x, (128,), state[f"{at}norm2.weight"], state[f"{at}norm2.bias"])
        hidden = F.gelu(F.linear(normed, state[f"{at}mlp.up.weight"], state[f"{at}mlp.up.bias"]))
        x = x + F.linear(hidden, state[f"{at}mlp.down.weight"], state[f"{at}mlp.down.bias"])
    return F.layer_norm(x.mean(1), (128,), state["norm.weight"], state["norm.bias"])
