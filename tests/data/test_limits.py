"""A process that reads foreign files cannot fill the machine, whichever of them it is."""

import subprocess
import sys

import pytest

TAKE = "bytearray({most} + (64 << 20))"


@pytest.mark.long
@pytest.mark.parametrize(
    "worker",
    ["mainstem.apps.media.readers", "mainstem.apps.media.preview_worker", "mainstem.data.media.provenance_worker"],
)
def test_a_reader_of_media_takes_so_much_and_no_more(worker):
    code = (
        f"import {worker} as w\nw.limit_memory(w.MOST_MEMORY)\nbytearray(w.MOST_MEMORY // 2)\n"
        "import resource\nassert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0\n"
        f"try:\n    {TAKE.format(most='w.MOST_MEMORY')}\nexcept MemoryError:\n    print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
