"""How long a launched process took and how much memory, told to the folder of its job as it ends."""

import json
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

from mainstem.core.files import write_atomically

PEAKS = "MAINSTEM_PEAKS"  # names the folder
BEGUN = time.monotonic()


def note_peaks(status: int) -> None:
    """Write what this process took, where a job asks for it; a folder that cannot be written changes nothing."""
    folder = os.environ.get(PEAKS)
    if not folder:
        return
    torch = sys.modules.get("torch")  # not imported for this alone
    gpu = torch.cuda.max_memory_allocated() if torch is not None and torch.cuda.is_available() else 0
    told = {
        "status": status,
        "seconds": round(time.monotonic() - BEGUN, 3),
        "host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # KiB on Linux, getrusage(2)
        "gpu_bytes": gpu,
    }
    member, rank = (os.environ.get(name, "0") for name in ("SLURM_ARRAY_TASK_ID", "RANK"))
    with suppress(OSError):
        write_atomically(Path(folder) / f"peaks-{member}-{rank}.json", (json.dumps(told) + "\n").encode())
