"""Ten minutes of an inertial unit at 285 Hz through the stream: time a sample, the worst step, memory; VQF beside it.

The readings are made here, a second at a time, so that nothing but the stream holds them. A process of its own tells
the memory: all of it, with the libraries, and what the ten minutes added.
"""

import json
import subprocess
import sys

RATE_HZ, SECONDS, PIECE = 285.714, 600, 10  # samples a step: 35 ms
CODE = """
import json, resource, time
import numpy as np
from mainstem.adapters import find_task, shipped_runs
from mainstem.adapters.sensor_fusion.motion_stream import AttitudeStream
from mainstem.adapters.sensor_fusion.names import SENSORS
from mainstem.adapters.sensor_fusion.windows import CHANNELS
from mainstem.core.fitted import load_run
from mainstem.core.stream import Provenance, Sample, Stream
import torch
torch.set_num_threads(1)
rate, seconds, piece = THE_RATE, THE_TIME, THE_PIECE
stream = AttitudeStream(load_run(shipped_runs("sensor-fusion")["motion"], find_task("sensor-fusion", "motion")), rate)
source, rng = Provenance(data="made", item="stream", simulated=True), np.random.default_rng(0)
def samples(second):
    times = second + np.arange(round(rate)) / rate
    turn = np.stack([np.sin(times), np.cos(1.3 * times), np.sin(0.7 * times)], 1)
    parts = (turn, np.tile([0, 0, 9.81], (len(times), 1)) + turn, np.tile([0, 16.0, -42.0], (len(times), 1)) + turn)
    parts = [part + 0.05 * rng.normal(size=part.shape) for part in parts]
    for start in range(0, len(times), piece):
        now = slice(start, start + piece)
        yield [Sample(streams={n: Stream(kind="series", values=p[now], channels=CHANNELS[n], times=times[now])
                               for n, p in zip(SENSORS, parts)}, target=None, source=source)]
state, spent, worst, count = stream.init_state(), 0.0, 0.0, 0
for piece_ in samples(0):
    state, _ = stream.step(state, piece_)  # compiled now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for second in range(1, seconds):
    for piece_ in samples(second):
        start = time.perf_counter()
        state, _ = stream.step(state, piece_)
        took = time.perf_counter() - start
        spent, worst, count = spent + took, max(worst, took), count + len(piece_[0].streams["gyroscope"].values)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from vqf import VQF
parts = [np.ascontiguousarray(rng.normal(size=(count, 3))) for _ in range(3)]
vqf = VQF(1 / rate)
start = time.perf_counter()
for row in range(0, count, 20):
    vqf.update(parts[0][row], parts[1][row], parts[2][row]); vqf.getQuat9D()
each = (time.perf_counter() - start) / len(range(0, count, 20))
print(json.dumps({"us_a_sample": spent / count * 1e6, "worst_step_ms": worst * 1e3, "peak_mib": after / 1024,
    "added_mib": (after - before) / 1024, "vqf_us_a_sample": each * 1e6, "ratio": spent / count / each}))
"""


def bench_motion() -> dict[str, float]:
    """Time a sample of the stream, one core, and its memory, beside VQF called sample by sample."""
    code = CODE.replace("THE_RATE", str(RATE_HZ)).replace("THE_TIME", str(SECONDS)).replace("THE_PIECE", str(PIECE))
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
