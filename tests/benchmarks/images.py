"""A hundred thousand images that are never in memory together: drawn one by one, cut by a worker, each trained on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

NUM, SIDE, PATCH, BATCH = 100_000, 224, 16, 64
PROGRAM = """
import json, sys, threading, time
from pathlib import Path
import torch
from mainstem.core.adapter import Adapter
from mainstem.core.openmodels.images import PatchConfig, PatchTokenizer
from mainstem.core.targets import Quantity
from mainstem.core.training import TrainingConfig, train
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import TrunkConfig
from tests.core.lazy_images import images

num, side, patch, batch, workers = map(int, sys.argv[1:])
TRUNK = TrunkConfig(dim=64, depth=2, num_heads=2, hidden=128, num_registers=0, pooling="cls", num_prefix=1)


def resident_mib():
    # of this process and its workers; memory that they share is counted with each of them
    ours = {"self"}.union(*((task / "children").read_text().split() for task in Path("/proc/self/task").iterdir()))
    found = 0
    for one in ours:
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        found += next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
    return found / 1024


peak, ended = [0.0], threading.Event()
def watch():
    while not ended.wait(0.2):
        peak[0] = max(peak[0], resident_mib())


def main():
    torch.manual_seed(0)
    samples, target = images(num, side), Quantity(units="1")
    tokenizer = PatchTokenizer(PatchConfig(dim=64, patch_size=patch, side=side // patch))
    parts = Adapter(tokenizer, target.head(64, {})), Trunk(TRUNK, seed=0)
    aims = torch.from_numpy(samples.truth()).float().nan_to_num()
    config = TrainingConfig(epochs=1, batch_size=batch, num_workers=workers, device="cpu")
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.perf_counter()
    losses = train(parts, samples, aims, target.loss, config)
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    print(json.dumps({
        "images": num, "steps": len(losses), "peak_resident_mib": peak[0], "images_a_second": num / seconds,
        "all_images_mib": num * 3 * side**2 / 2**20, "seconds": seconds,
    }))


if __name__ == "__main__":
    main()
"""


def bench_images(num: int = NUM, workers: int = 1) -> dict[str, float]:
    """One epoch of training on images read as it goes: peak memory of reader and worker, and images a second."""
    with TemporaryDirectory() as folder:
        program = Path(folder) / "images.py"  # a file, which spawned workers can import
        program.write_text(PROGRAM)
        path = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
        asked = map(str, (num, SIDE, PATCH, BATCH, workers))
        command, environment = [sys.executable, str(program), *asked], {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    found: dict[str, float] = json.loads(done.stdout)
    return found
