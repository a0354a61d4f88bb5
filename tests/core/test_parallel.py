"""Work in processes gives what it gives in one, says what went wrong, and leaves nobody behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from mainstem.core import parallel
from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.parallel import THREADS, map_in_processes, one_thread_each, workers_for


def slow_first(item: int) -> tuple[int, int]:
    time.sleep(0.3 if item == 0 else 0.0)
    return item * item, os.getpid()


def product(seed: int, size: int) -> tuple[bytes, int, str | None]:
    """A product of random matrices, and on how many threads it was made."""
    import torch  # late: most workers of these tests need none of it

    torch.manual_seed(seed)
    made = (torch.randn(size, size) @ torch.randn(size, size)).numpy().tobytes()
    return made, torch.get_num_threads(), os.environ.get(THREADS)


def fails(item: str) -> None:
    if item == "input":
        raise InputError("got 3 columns, want 4; add one")
    if item == "extra":
        raise MissingExtraError("pydicom", "medical")
    if item == "closure":
        raise type("Odd", (Exception,), {})("of a class that no other process knows")
    if item == "network":
        raise ConnectionResetError(104, "reset by peer")
    if item == "file":
        (Path("/nowhere") / "at all").read_bytes()
    if item == "text":
        b"\xe9".decode()
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError(item)


def nested(item: int) -> list[bool]:
    return map_in_processes(is_in(os.getpid()), [item, item], 2)


def same_pid(_: int, pid: int) -> bool:
    return os.getpid() == pid


def is_in(pid: int) -> "partial[bool]":
    return partial(same_pid, pid=pid)


def naps(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


@pytest.mark.long
def test_results_come_in_order_from_several_processes_as_they_would_from_one(monkeypatch):
    monkeypatch.delenv(THREADS, raising=False)
    told: list[tuple[str, float]] = []
    found = map_in_processes(slow_first, range(5), 2, lambda stage, share: told.append((stage, share)), "year")
    assert [square for square, _ in found] == [0, 1, 4, 9, 16]
    pids = [pid for _, pid in found]
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    assert set(pids[1:]) != {pids[0]}, "the free worker takes what the busy one cannot"
    assert told == [(f"year {count} of 5", count / 5) for count in range(1, 6)]
    multiply = partial(product, size=100)
    assert map_in_processes(multiply, range(3), 2) == [(multiply(seed)[0], 1, "1") for seed in range(3)]
    assert THREADS not in os.environ


def test_threads_side_by_side_have_one_of_torch_each_and_this_one_keeps_its_own():
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with one_thread_each(2) as (pool, count):
            assert count == 2
            assert list(pool.map(lambda _: torch.get_num_threads(), range(4))) == [1] * 4
        assert torch.get_num_threads() == 3
        with one_thread_each(0) as none:
            assert none is None
    finally:
        torch.set_num_threads(before)


def test_no_core_is_left_idle_by_the_last_round(monkeypatch):
    monkeypatch.setattr(parallel, "num_cores", lambda: 2)
    assert [workers_for(total) for total in (1, 2, 3, 4, 22)] == [1, 2, 3, 2, 2]


def test_one_worker_one_item_and_workers_themselves_work_where_they_are():
    assert {pid for _, pid in map_in_processes(slow_first, range(3), 1)} == {os.getpid()}
    assert map_in_processes(slow_first, [4], 8) == [(16, os.getpid())]
    assert map_in_processes(slow_first, [], 8) == []
    assert map_in_processes(nested, range(2), 2) == [[True, True]] * 2
    with pytest.raises(AttributeError):  # nothing is started for what cannot be sent
        map_in_processes(lambda item: item, range(2), 2)
    assert multiprocessing.active_children() == []


def test_errors_come_as_they_were_raised_and_end_the_others(tmp_path):
    with pytest.raises(InputError, match=r"^got 3 columns, want 4; add one$"):
        map_in_processes(fails, ["input"] * 3, 2)
    with pytest.raises(MissingExtraError, match=r'^pydicom is not installed; pip install "mainstem\[medical\]"$'):
        map_in_processes(fails, ["extra"] * 2, 2)
    with pytest.raises(ValueError, match=r"^odd") as caught:
        map_in_processes(fails, ["odd"] * 2, 2)
    assert "in fails" in caught.value.__notes__[0]
    with pytest.raises(FileNotFoundError) as missing:
        map_in_processes(fails, ["file"] * 2, 2)
    assert missing.value.filename == "/nowhere/at all"
    with pytest.raises(UnicodeDecodeError) as unread:
        map_in_processes(fails, ["text"] * 2, 2)
    assert str(unread.value).startswith("'utf-8' codec can't decode byte 0xe9 in position 0")
    with pytest.raises(ConnectionResetError):
        map_in_processes(fails, ["network"] * 2, 2)
    with pytest.raises(RuntimeError, match="Odd: of a class that no other process knows"):
        map_in_processes(fails, ["closure"] * 2, 2)
    with pytest.raises(RuntimeError, match="a worker ended with status -9"):
        map_in_processes(fails, ["killed"] * 2, 2)
    start = time.monotonic()
    with pytest.raises(InputError):
        map_in_processes(fails_or_naps, [str(tmp_path), "input"], 2)
    assert time.monotonic() - start < 40
    assert multiprocessing.active_children() == []


def fails_or_naps(item: str) -> None:
    if item != "input":
        naps(item)
    fails(item)


PARENT = """
import sys
from mainstem.core.parallel import map_in_processes
from tests.core.test_parallel import naps
if __name__ == "__main__":
    map_in_processes(naps, [sys.argv[1]] * 2, 2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_parent_that_ends_leaves_no_workers(tmp_path, how):
    script, seen = tmp_path / "parent.py", tmp_path / "seen"
    script.write_text(PARENT)
    seen.mkdir()
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    parent = subprocess.Popen(
        [sys.executable, str(script), str(seen)], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    )
    try:
        assert _within(60, lambda: len(list(seen.iterdir())) == 2), "both workers began"
        workers = [int(path.name) for path in seen.iterdir()]
        assert all(map(_lives, workers))
        parent.send_signal(how)
        assert parent.wait(20) != 0
        assert _within(20, lambda: not any(map(_lives, workers)))
    finally:
        parent.kill()
        parent.wait()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _within(seconds: float, holds) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
