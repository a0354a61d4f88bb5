"""`make bench`: each benchmark writes its figures to bench.json under its name, with the machine and a peer's ratio."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
OUT = Path("bench.json")
NOTE_STATES = """
window.states = [];
const note = () => {
  const app = document.querySelector('[data-test-script-state]');
  const state = app ? app.getAttribute('data-test-script-state') : '';
  if (!window.states.length || window.states.at(-1)[1] !== state) window.states.push([performance.now(), state]);
  requestAnimationFrame(note);
};
requestAnimationFrame(note);
"""


def machine() -> dict[str, str]:
    """The machine that the figures hold for."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"cpu": model, "cores": str(os.cpu_count()), "load": f"{os.getloadavg()[0]:.1f}"}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def bench_help() -> dict[str, float]:
    """`mainstem --help`, beside an interpreter that does nothing."""
    program = str(Path(sys.executable).parent / "mainstem")
    ours = median(seconds([program, "--help"]) for _ in range(9))
    peer = median(seconds([sys.executable, "-c", "pass"]) for _ in range(9))
    return {"help_s": ours, "bare_python_s": peer, "ratio": ours / peer}


def bench_finetune() -> dict[str, float]:
    """Fine-tuning us-maize (six members, calibrated), beside the tuned gradient boosting of the same rows."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    from mainstem.adapters.crop_yield import TASK
    from mainstem.adapters.crop_yield.baselines import region_row
    from mainstem.apps.finetune import finetune
    from mainstem.core.baselines import feature_matrix
    from mainstem.core.finetuning import FitSpec
    from mainstem.core.folds import targets_of
    from mainstem.core.task import DataRequest

    source = TASK.read(DataRequest(data="us-maize"))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        finetune(TASK, source, FitSpec(config=TASK.config), Path(folder) / "run")
        ours = time.perf_counter() - start
    train = source.training()
    start = time.perf_counter()
    HistGradientBoostingRegressor(max_iter=200).fit(feature_matrix(train, region_row), targets_of(train))
    return {
        "finetune_us_maize_s": ours,
        "one_boosting_fit_s": (peer := time.perf_counter() - start),
        "ratio": ours / peer,
    }


def bench_map() -> dict[str, float]:
    """The county map in Chromium: drawn after the script's end, recoloured; times of the page itself."""
    from mainstem.adapters.crop_yield import TASK
    from mainstem.apps.finetune import finetune
    from mainstem.apps.region_sets import REAL, run_folder
    from mainstem.core.finetuning import FitSpec
    from mainstem.core.task import DataRequest, FitConfig
    from mainstem.core.training import TrainingConfig
    from mainstem.data.catalogue import pull
    from tests.dashboards.browser import opened, recolour_ms, served

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the map's benchmark needs Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as home:
        os.environ["MAINSTEM_HOME"] = home
        pull("us-counties")
        quick = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2)
        finetune(TASK, TASK.read(DataRequest(data=REAL)), FitSpec(config=quick), run_folder(REAL))
        figures: dict[str, list[float]] = {"drawn_after_script_ms": [], "opened_to_painted_ms": [], "recolour_ms": []}
        with served(Path(home)) as address:
            for _ in range(4):
                with opened(chromium) as (page, outside):
                    page.add_init_script(NOTE_STATES)
                    page.goto(f"{address}/yield_map")
                    canvas = page.locator("canvas[data-stamp]")
                    canvas.wait_for(timeout=120_000)
                    page.wait_for_function("window.states.at(-1)[1] === 'notRunning'", timeout=60_000)
                    painted = float(canvas.get_attribute("data-painted-ms") or "nan")
                    ended = float(page.evaluate("window.states.at(-1)[0]"))
                    figures["drawn_after_script_ms"].append(max(painted - ended, 0.0))
                    figures["opened_to_painted_ms"].append(painted)
                    for layer in ("interval width", "against expectation", "yield"):
                        figures["recolour_ms"].append(recolour_ms(page, layer))
                    assert outside == [], outside
        polygons = 3102.0
    return {name: median(values[1:]) for name, values in figures.items()} | {
        "recolour_worst_ms": max(figures["recolour_ms"]), "polygons": polygons, "outside_requests": 0.0,
    }  # fmt: skip


def bench_lora() -> dict[str, float]:
    """Four LoRAs mixed in one batch of a ViT-S, beside one LoRA alone and one written as two linears and an add."""
    import torch
    from torch.nn import functional as F

    from mainstem.core.lora import AdaptedLinear, add_lora
    from mainstem.core.peft_files import load_peft, save_peft
    from mainstem.core.tokens import place
    from mainstem.core.trunk import Trunk
    from mainstem.core.trunk_config import SIZES
    from tests.benchmarks.encoders import interleaved

    torch.manual_seed(0)
    trunk = Trunk(SIZES["s"]).eval()
    names = ["crop", "scan", "robot", "film"]
    for seed, name in enumerate(names):
        for parameter in add_lora(trunk, name, 8, 16.0, seed):
            torch.nn.init.normal_(parameter, std=0.02)
    trunk.requires_grad_(False)
    trained = [parameter for key, parameter in trunk.named_parameters() if ".lora." in key]
    for parameter in trained:
        parameter.requires_grad_(True)
    tokens = place(torch.randn(8, 196, 384), torch.ones(8, 196, dtype=torch.bool), torch.arange(196.0).expand(8, 196))
    chosen = {"mixed": names * 2, "one": ["crop"] * 8}

    def forward(adapters: list[str]) -> None:
        with torch.no_grad():
            trunk(tokens, adapters)

    def step(adapters: list[str]) -> None:
        trunk(tokens, adapters).pooled.square().mean().backward()

    class Plain(AdaptedLinear):
        """One LoRA as two linears and an add."""

        def forward(self, x: torch.Tensor, groups: torch.Tensor | None = None) -> torch.Tensor:
            update = self.updates("crop")[0]
            return F.linear(x, self.weight, self.bias) + F.linear(F.linear(x, update.a), update.b) * update.scale

    def as_class(kind: type[AdaptedLinear]) -> None:
        for layer in trunk.adapted_layers().values():
            layer.__class__ = kind

    def plain(run: Callable[[list[str]], None]) -> Callable[[], None]:
        def timed() -> None:
            as_class(Plain)
            run(chosen["one"])
            as_class(AdaptedLinear)

        return timed

    times = interleaved(
        {
            "mixed": lambda: forward(chosen["mixed"]), "one": lambda: forward(chosen["one"]), "plain": plain(forward),
            "mixed_training": lambda: step(chosen["mixed"]), "one_training": lambda: step(chosen["one"]),
            "plain_training": plain(step),
        },
        repeats=15,
    )  # fmt: skip
    with torch.no_grad():
        mixed = trunk(tokens, chosen["mixed"]).pooled
        alone = [trunk(tokens, [name] * 8).pooled for name in names]
    apart = max(float((mixed[row] - alone[row % 4][row]).abs().max()) for row in range(8))
    with tempfile.TemporaryDirectory() as folder:
        save_peft(trunk, "crop", Path(folder))
        start = time.perf_counter()
        load_peft(trunk, "hot", Path(folder))
        loaded = time.perf_counter() - start
    return {
        "mixed_adapters_ratio": times["mixed"] / times["one"],
        "mixed_adapters_training_ratio": times["mixed_training"] / times["one_training"],
        "mixed_against_two_linears_ratio": times["mixed"] / times["plain"],
        "mixed_against_two_linears_training_ratio": times["mixed_training"] / times["plain_training"],
        "largest_difference_to_separate_runs": apart,
        "hot_load_ms": 1e3 * loaded,
        "mixed_forward_ms": 1e3 * times["mixed"],
        "mixed_training_ms": 1e3 * times["mixed_training"],
    }


def bench_trunk() -> dict[str, float]:
    """ViT-S at 224: fractions of the machine's matrix products, beside transformers' class."""
    from tests.benchmarks import encoders

    return encoders.bench_trunk()


def bench_presto() -> dict[str, float]:
    """Presto in batches beside a loop over samples."""
    from tests.benchmarks import encoders

    return encoders.bench_presto()


def bench_tiles() -> dict[str, float]:
    """Streaming maps of a Sentinel-2 tile beside a bare read and write, and a blend in memory."""
    from tests.benchmarks import tiling

    return tiling.bench_tiles()


def bench_fields() -> dict[str, float]:
    """The field page with 20,000 fields over a raster."""
    from tests.benchmarks import fields

    return fields.bench_fields()


def bench_alarm() -> dict[str, float]:
    """How often the shift alarm fires on ordinary and on shifted years of us-maize."""
    from tests.benchmarks import alarm

    return alarm.bench_alarm()


def bench_evaluate() -> dict[str, float]:
    """Left-out years of es-maize by this code and, in turn, by the checkout that MAINSTEM_BEFORE names."""
    from tests.benchmarks import evaluating

    return evaluating.bench_evaluate()


def bench_pixels() -> dict[str, float]:
    """The yield map of pixels, before and now."""
    from tests.benchmarks import pixels

    return pixels.bench_pixels()


def bench_land_cover() -> dict[str, float]:
    """The map of land cover on a frozen open encoder, before and now."""
    from tests.benchmarks import land_cover

    return land_cover.bench_land_cover()


def bench_rows() -> dict[str, float]:
    """A table of a million rows, before and now."""
    from tests.benchmarks import pixels

    return pixels.bench_rows()


def bench_images() -> dict[str, float]:
    """A hundred thousand images of 224 pixels, read as training goes."""
    from tests.benchmarks import images

    return images.bench_images()


def bench_shards() -> dict[str, float]:
    """Raw images read from shards at random, and seeks in an order of 10^8."""
    from tests.benchmarks import shards

    return shards.bench_shards()


def bench_review() -> dict[str, float]:
    """Verification of fifty thousand reviews, beside the sha256 of as many bytes."""
    from tests.benchmarks import review

    return review.bench_review()


def bench_reader() -> dict[str, float]:
    """The reader of medical images with 300 slices of 512 x 512."""
    from tests.benchmarks import reader

    return reader.bench_reader()


def bench_loop() -> dict[str, float]:
    """The training loop beside a bare one, and what a save costs a training that goes on."""
    from tests.benchmarks import loop

    return loop.bench_loop()


def bench_motion() -> dict[str, float]:
    """Ten minutes of an inertial unit through the stream, beside VQF."""
    from tests.benchmarks import motion

    return motion.bench_motion()


def bench_corruptions() -> dict[str, float]:
    """Six faults of one sensor in five severities: the attitude filter, with and without acting on health, and VQF."""
    from tests.benchmarks import corruptions

    return corruptions.bench_corruptions()


def bench_copies() -> dict[str, float]:
    """Copies of pictures, video and sound, beside PDQ alone and Chromaprint."""
    from tests.benchmarks import copies

    return copies.bench_copies()


def bench_copies_scale() -> dict[str, float]:
    """100,000 pictures' fingerprints looked up among one another: time, memory, recall, false pairs."""
    from tests.benchmarks import copies_scale

    return copies_scale.bench_copies_scale()


def bench_shots() -> dict[str, float]:
    """Shot boundaries of made videos, beside PySceneDetect."""
    from tests.benchmarks import shots

    return shots.bench_shots()


def bench_no_digits() -> dict[str, float]:
    """What the spoken digits' run says of speech that holds no digit."""
    from tests.benchmarks import no_digits

    return no_digits.bench_no_digits()


def bench_media_index() -> dict[str, float]:
    """20,000 pictures indexed, indexed again and searched; a million vectors."""
    from tests.benchmarks import media_index

    return media_index.bench_media_index()


def bench_canvas() -> dict[str, float]:
    """The map's canvas without a server."""
    from tests.benchmarks import canvas

    return canvas.bench_canvas()


def bench_panels() -> dict[str, float]:
    """The yield page's panels on the real counties."""
    from tests.benchmarks import panels

    return panels.bench_panels()


BENCHMARKS: dict[str, Callable[[], dict[str, float]]] = {
    "help": bench_help, "finetune": bench_finetune, "map": bench_map, "lora": bench_lora, "trunk": bench_trunk,
    "presto": bench_presto, "tiles": bench_tiles, "fields": bench_fields, "canvas": bench_canvas, "alarm": bench_alarm,
    "panels": bench_panels, "evaluate": bench_evaluate, "pixels": bench_pixels, "rows": bench_rows,
    "images": bench_images, "land_cover": bench_land_cover, "review": bench_review, "shards": bench_shards,
    "reader": bench_reader, "loop": bench_loop, "corruptions": bench_corruptions,
    "motion": bench_motion, "copies": bench_copies, "copies_scale": bench_copies_scale, "shots": bench_shots,
    "media_index": bench_media_index, "no_digits": bench_no_digits,
}  # fmt: skip


def main() -> None:
    """Run the benchmarks that are asked for and print them as a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=BENCHMARKS)
    only = parser.parse_args().only
    results = json.loads(OUT.read_text()) if OUT.is_file() else {}
    for name in [only] if only else BENCHMARKS:
        results[name] = {**BENCHMARKS[name](), "machine": machine()}
        OUT.write_text(json.dumps(results, indent=2) + "\n")
        for figure, value in results[name].items():
            print(f"{name:10} {figure:32} {value if isinstance(value, dict) else f'{value:10.3f}'}")


if __name__ == "__main__":
    main()
