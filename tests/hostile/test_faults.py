"""Faults of the world: signals, full disks, closed streams, killed writers, two at once, damaged journals."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from mainstem.apps.map import MapSize, map_raster, merge
from mainstem.apps.progress import shown
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import content, locked, new_folder, scratch, sweep, write_atomically
from mainstem.data.earth.farms import simulate_farm, write_farm
from tests.hostile.harness import run_call, run_cli

HERE = "tests.hostile.test_faults"
ROOT = Path(__file__).resolve().parents[2]
MAIN = "from mainstem.apps.cli import main; main()"
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / ".src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}


def started(program: str, *arguments: str | Path, **more: object) -> subprocess.Popen:
    """A program of its own, for what a forked child cannot show: signals and closed streams."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=ENV, cwd=ROOT, text=True, **more)


def one_line(text: str, *words: str) -> None:
    assert len(text.splitlines()) == 1, text
    assert text.startswith("mainstem: "), text
    for word in words:
        assert word in text, text


def until(what: Callable[[], object], limit_s: float = 30) -> None:
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# Streams, folders and signals of any command


@pytest.mark.long
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["data verify us-maize", "data list", "data verify nonsense"])
def test_closed_streams_end_no_command_early(closed, command, tmp_path):
    program = f'{sys.executable} -c "{MAIN}" {command} {closed}'
    env = {**ENV, "MAINSTEM_HOME": str(tmp_path)}
    done = subprocess.run(["/bin/sh", "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == {"data list": 0, "data verify us-maize": 1}.get(command, 2)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


@pytest.mark.long
@pytest.mark.parametrize("command", ["data list", "models list --json"])
def test_a_reader_that_leaves_is_no_mistake(command):
    child = started(MAIN, *command.split(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait() in (0, 1, 141)


def test_a_full_output_is_one_line():
    with open("/dev/full", "w") as full:
        child = started(MAIN, "data", "list", stdout=full, stderr=subprocess.PIPE)
        one_line(child.communicate()[1], "No space left")
    assert child.returncode == 2


def as_nobody(name: str, folder: str) -> None:
    """Do what needs a folder, as a user that may write nowhere."""
    from mainstem.data.catalogue import pull

    os.environ["MAINSTEM_HOME"] = folder
    os.setgid(65534)
    os.setuid(65534)
    pull(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another")
def test_a_home_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "home").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    run_call(f"{HERE}:as_nobody", "us-maize", str(tmp_path / "home")).refused("cannot", "denied")


def test_a_home_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "home").write_text("a file")
    env = {"MAINSTEM_HOME": str(tmp_path / "home")}
    run_cli("data", "pull", "us-maize", env=env).refused("us-maize")
    run_cli("data", "simulate-farm", "1", "--to", tmp_path / "home" / "farm").refused("home")
    assert (tmp_path / "home").read_text() == "a file"


def homeless() -> str:
    from mainstem.core.files import home

    os.setuid(54321)
    return str(home())


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another")
def test_a_user_without_home_is_told_to_name_one():
    run_call(f"{HERE}:homeless", env={"HOME": None, "MAINSTEM_HOME": None}).refused("MAINSTEM_HOME")
    run_call(f"{HERE}:homeless", env={"HOME": "/h", "MAINSTEM_HOME": ""}).taken()
    assert "/h/.mainstem" in run_call(f"{HERE}:homeless", env={"HOME": "/h", "MAINSTEM_HOME": ""}).out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["map"], "Missing"),
        (["nonsense"], "nonsense"),
        (["data", "pull"], "Missing"),
        (["data", "pull", "--nonsense"], "nonsense"),
        (["calibrate", "run", "--data", "x", "--level", "nan"], "level"),
        (["data", "simulate-farm", "-1", "--to", "x"], "-1"),
        (["data", "pull", "a\nb\x1b[31mc"], r"a\nb"),
        (["data", "pull", "\udcff\udcfe"], "UTF-8"),
        (["data", "pull", "x" * 100_000], "catalogue"),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
def test_odd_arguments_are_one_line(arguments, word):
    outcome = run_cli(*arguments).refused(word)
    assert "\x1b" not in outcome.text
    assert len(outcome.text) < 2000


SLOW = """
import sys, time
from mainstem.apps import ending
from mainstem.core.files import new_folder, write_atomically
from pathlib import Path
def work():
    with new_folder(Path(sys.argv[1])) as made:
        write_atomically(made / "half", b"1")
        print("ready", flush=True)
        time.sleep(60)
sys.exit(ending.run(work))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_clears_away_what_is_half_written(tmp_path, number):
    child = started(SLOW, tmp_path / "out", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    _, said = child.communicate(timeout=20)
    one_line(said, number.name)
    assert child.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_the_living_keep_theirs(tmp_path):
    with started(SLOW, tmp_path / "out", stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == "ready\n"
        sweep(tmp_path / "out")
        assert len(list(tmp_path.glob(".out.*.part/made/half"))) == 1
        with pytest.raises(InputError, match="another process"), new_folder(tmp_path / "out"):
            pass
        child.kill()
    with new_folder(tmp_path / "out") as made:
        assert len(list(tmp_path.glob(".out.*.part"))) == 1
        (made / "whole").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(ArtifactError, match="exists already"), new_folder(tmp_path / "out"):
        pass


@pytest.mark.parametrize("ahead_s", [-1e8, 0, 1e8], ids=["past", "now", "future"])
def test_the_clock_decides_nothing_on_one_machine(tmp_path, ahead_s, monkeypatch):
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + ahead_s)
    with scratch(tmp_path / "a") as living:
        write_atomically(tmp_path / "a", b"1")
        with scratch(tmp_path / "a"):
            assert living.is_dir()
    assert (tmp_path / "a").read_bytes() == b"1"
    assert len(list(tmp_path.iterdir())) == 1


def refused() -> object:
    return pytest.raises(InputError, match="another process")


def test_a_lock_is_shared_or_alone_and_leaves_no_file(tmp_path):
    path = tmp_path / "lock"
    with locked(path, "it", shared=True), locked(path, "it", shared=True), refused(), locked(path, "it"):
        pass
    with locked(path, "it"), refused(), locked(path, "it", shared=True):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a" * 255, "b" * 230, "ü" * 100, ".hidden", "a b\nc"])
def test_names_of_any_length_are_written_or_refused_in_one_line(tmp_path, name):
    write_atomically(tmp_path / name, b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_writing_below_a_file_or_over_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder"):
        with pytest.raises(ArtifactError, match="cannot write"):
            write_atomically(path, b"1")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


PAGES = """
import http.server, sys
port = int(sys.argv[sys.argv.index("--server.port") + 1])
http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def is_served(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pages(tmp_path) -> dict[str, str]:
    """An environment whose streamlit is a small server: quick to start, and as hard to end."""
    (tmp_path / "streamlit").mkdir()
    (tmp_path / "streamlit" / "__init__.py").touch()
    (tmp_path / "streamlit" / "__main__.py").write_text(PAGES)
    return {**ENV, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ENV['PYTHONPATH']}"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0), (signal.SIGKILL, -9)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_pages_give_their_port_back_however_the_command_ends(pages, number, status):
    port = free_port()
    command = [sys.executable, "-c", MAIN, "dashboard", "--port", str(port)]
    child = subprocess.Popen(command, env=pages, stderr=subprocess.PIPE, text=True)
    until(lambda: is_served(port))
    child.send_signal(number)
    assert child.wait(20) == status
    until(lambda: not is_served(port), 5)
    assert len(child.stderr.read().splitlines()) <= 1


def test_streamlit_itself_gives_its_port_back_on_term():
    port = free_port()
    child = started(MAIN, "dashboard", "--port", port, stderr=subprocess.PIPE)
    until(lambda: is_served(port), 60)
    child.terminate()
    assert child.wait(20) == 143
    until(lambda: not is_served(port), 5)


def test_a_log_hears_of_long_work_and_nothing_of_short(capfd, monkeypatch):
    monkeypatch.setattr("mainstem.apps.progress.EVERY_S", 0.1)
    with shown("demo", quiet=False) as report:
        report("fold 1 of 4", 0.25)
        until(lambda: "demo: fold 1 of 4, 25% in" in capfd.readouterr().err, 5)
        until(lambda: "demo: fold 1 of 4" in capfd.readouterr().err, 5)  # again, though nothing was reported
    capfd.readouterr()
    with shown("map", quiet=False) as report:
        report("block 1", 0.5)
    assert capfd.readouterr().err == ""


# Maps: a journal of blocks that knows its own damage, one writer, nothing half-written

SIDE, TILE = 160, 32


def raster(path: Path, seed: int = 0) -> Path:
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    values = np.random.default_rng(seed).integers(0, 10_000, (1, SIDE, SIDE), dtype=np.uint16)
    with rasterio.open(path, "w", **profile, count=1, height=SIDE, width=SIDE, dtype="uint16") as target:
        target.write(values)
    return path


def mapped(source: Path, out: Path, **more: object) -> Path | None:
    return map_raster(lambda tiles: tiles[:, 0], [source], out, MapSize(tile=TILE, overlap=8, **more))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("mainstem.apps.map_blocks.MEMORY_BYTES", 1 << 17)


@pytest.fixture
def halfway(tmp_path, small_blocks) -> tuple[Path, Path, list[Path]]:
    """A raster, its map whose first half of blocks is made, and their files."""
    source = raster(tmp_path / "in.tif")
    assert mapped(source, tmp_path / "out.tif", shard=(0, 2)) is None
    blocks = sorted(tmp_path.glob(".out.tif.parts/block-*"))
    assert len(blocks) >= 2
    return source, tmp_path / "out.tif", blocks


def swap(blocks: list[Path]) -> None:
    first, second = blocks[0].read_bytes(), blocks[1].read_bytes()
    blocks[0].write_bytes(second)
    blocks[1].write_bytes(first)


def change(path: Path, where: float) -> None:
    plain = bytearray(path.read_bytes())
    plain[int(where * (len(plain) - 1))] ^= 1
    path.write_bytes(plain)


def as_folder(path: Path) -> None:
    path.unlink()
    (path / "below").mkdir(parents=True)


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_object(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


DAMAGE = {
    "empty": lambda blocks: blocks[0].write_bytes(b""),
    "cut off": lambda blocks: blocks[0].write_bytes(blocks[0].read_bytes()[:-1]),
    "half": lambda blocks: os.truncate(blocks[0], blocks[0].stat().st_size // 2),
    "longer": lambda blocks: blocks[0].write_bytes(blocks[0].read_bytes() + b"0"),
    "zeros": lambda blocks: blocks[0].write_bytes(bytes(blocks[0].stat().st_size)),
    "a bit of the header": lambda blocks: change(blocks[0], 0.001),
    "a bit of the values": lambda blocks: change(blocks[0], 0.5),
    "a bit of the hash": lambda blocks: change(blocks[0], 1.0),
    "another shape": lambda blocks: np.save(blocks[0], np.zeros((1, 2, 3), np.float32)),
    "another type": lambda blocks: np.save(blocks[0], np.zeros((1, 24, 24), np.float64)),
    "a pickle": lambda blocks: as_object(blocks[0]),
    "a text": lambda blocks: blocks[0].write_text("(" * 100_000),
    "two swapped": swap,
    "a folder": lambda blocks: as_folder(blocks[0]),
    "a pipe": lambda blocks: as_pipe(blocks[0]),
    "sparse and huge": lambda blocks: os.truncate(blocks[0], 1 << 42),
    "gone": lambda blocks: blocks[0].unlink(),
    "plan gone": lambda blocks: (blocks[0].parent / "plan.json").unlink(),
    "plan empty": lambda blocks: (blocks[0].parent / "plan.json").write_text(""),
    "plan a list": lambda blocks: (blocks[0].parent / "plan.json").write_text("[1, 2]"),
    "plan deep": lambda blocks: (blocks[0].parent / "plan.json").write_text("[" * 100_000),
    "plan forged": lambda blocks: (blocks[0].parent / "plan.json").write_text('{"digest": 1, "grid": {"width": 1e99}}'),
}


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_journal_is_made_again_and_never_believed(halfway, damage, tmp_path):
    source, out, blocks = halfway
    wanted = mapped(source, tmp_path / "wanted.tif").read_bytes()
    DAMAGE[damage](blocks)
    if damage.startswith("plan"):
        with pytest.raises(InputError, match=r"plan\.json|in the making"):
            merge(out)
    else:
        mapped(source, out, shard=(1, 2))
        with pytest.raises(InputError, match="missing or damaged"):
            merge(out)
    assert mapped(source, out).read_bytes() == wanted
    assert {path.name for path in tmp_path.iterdir()} == {"in.tif", "out.tif", "wanted.tif"}


def test_contents_decide_not_names_and_times(halfway, tmp_path):
    source, out, blocks = halfway
    stat = source.stat()
    raster(source, seed=1)
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source.stat().st_size == stat.st_size
    wanted = mapped(source, tmp_path / "wanted.tif").read_bytes()
    assert mapped(source, out).read_bytes() == wanted
    again = shutil.copy(source, tmp_path / "elsewhere.tif")  # the same content under another name goes on
    mapped(source, out, shard=(0, 2))
    before = [(path.name, path.stat().st_mtime_ns) for path in blocks]
    mapped(again, out, shard=(0, 2))
    assert [(path.name, path.stat().st_mtime_ns) for path in blocks] == before


def test_an_input_that_changes_while_it_is_mapped_is_one_line(tmp_path, small_blocks):
    source, calls = raster(tmp_path / "in.tif"), []

    def predict(tiles: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raster(source, seed=2)
        return tiles[:, 0]

    with pytest.raises(InputError, match=r"in\.tif changed while it was mapped"):
        map_raster(predict, [source], tmp_path / "out.tif", MapSize(tile=TILE, overlap=8))
    assert not (tmp_path / "out.tif").exists()
    wanted = mapped(source, tmp_path / "wanted.tif").read_bytes()
    assert mapped(source, tmp_path / "out.tif").read_bytes() == wanted


def test_two_maps_to_one_output_are_never_mixed(halfway, tmp_path):
    source, out, _ = halfway
    other, told = raster(tmp_path / "other.tif", seed=5), []

    def meanwhile(tiles: np.ndarray) -> np.ndarray:
        if not told:
            for more in ({}, {"shard": (0, 2)}, {"shard": (1, 2)}):
                with pytest.raises(InputError, match="another process") as refused:
                    mapped(other, out, **more)
                told.append(str(refused.value))
            with pytest.raises(InputError, match="another process"):
                merge(out)
        return tiles[:, 0]

    map_raster(meanwhile, [source], out, MapSize(tile=TILE, overlap=8, shard=(1, 2)))
    assert len(told) == 3
    merge(out)
    assert out.read_bytes() == mapped(source, tmp_path / "wanted.tif").read_bytes()


MAPPING = """
import sys, time
from pathlib import Path
import numpy as np
import mainstem.apps.map_blocks
from mainstem.apps import ending
from mainstem.apps.map import MapSize, map_raster
mainstem.apps.map_blocks.MEMORY_BYTES = 1 << 17
def predict(tiles):
    time.sleep(0.004)
    return tiles[:, 0]
def work():
    print("ready", flush=True)
    map_raster(predict, [Path(sys.argv[1])], Path(sys.argv[2]), MapSize(tile=32, overlap=8))
sys.exit(ending.run(work))
"""


def interrupted(tmp_path: Path, number: int, after_s: float) -> int:
    """Map in a process of its own that gets a signal after so long; its status."""
    child = started(MAPPING, tmp_path / "in.tif", tmp_path / "out.tif", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.readline() == "ready\n"
    time.sleep(after_s)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert "Traceback" not in said, said
    assert len(said.splitlines()) <= 1, said
    return child.returncode


def whole_or_not_there(tmp_path: Path, wanted: bytes) -> None:
    left = {path.name for path in tmp_path.iterdir()} - {"in.tif", "wanted.tif", ".out.tif.parts"}
    if "out.tif" in left:
        assert (tmp_path / "out.tif").read_bytes() == wanted


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_map_that_was_stopped_goes_on_to_the_same_bits(tmp_path, small_blocks, number):
    raster(tmp_path / "in.tif")
    wanted = mapped(tmp_path / "in.tif", tmp_path / "wanted.tif").read_bytes()
    status = interrupted(tmp_path, number, 0.15)
    assert status in (0, 128 + number, -number)
    whole_or_not_there(tmp_path, wanted)
    assert mapped(tmp_path / "in.tif", tmp_path / "out.tif").read_bytes() == wanted
    assert {path.name for path in tmp_path.iterdir()} == {"in.tif", "out.tif", "wanted.tif"}


@pytest.mark.slow
def test_thirty_stops_at_random_leave_nothing_half(tmp_path, small_blocks):
    raster(tmp_path / "in.tif")
    wanted = mapped(tmp_path / "in.tif", tmp_path / "wanted.tif").read_bytes()
    draw = random.Random(0)
    for turn in range(30):
        number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[turn % 3]
        assert interrupted(tmp_path, number, draw.uniform(0, 0.8)) in (0, 128 + number, -number)
        whole_or_not_there(tmp_path, wanted)
        if turn % 5 == 4:
            assert mapped(tmp_path / "in.tif", tmp_path / "out.tif").read_bytes() == wanted
            (tmp_path / "out.tif").unlink()
    mapped(tmp_path / "in.tif", tmp_path / "out.tif")
    assert {path.name for path in tmp_path.iterdir()} == {"in.tif", "out.tif", "wanted.tif"}


def limited(what: str, source: str, out: str, largest: int) -> None:
    """Map, or simulate a farm, where no file may grow beyond a size: as a full disk, at any point of the work."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if what == "map":
        mapped(Path(source), Path(out))
    else:
        write_farm(simulate_farm(1, side=48), Path(out))


@pytest.mark.parametrize("kilobytes", [1, 10, 60, 104, 110, 130])
def test_a_full_disk_leaves_no_map_that_looks_whole(tmp_path, kilobytes):
    source = raster(tmp_path / "in.tif")
    wanted = mapped(source, tmp_path / "wanted.tif").read_bytes()
    outcome = run_call(f"{HERE}:limited", "map", str(source), str(tmp_path / "out.tif"), kilobytes << 10).sound()
    if outcome.code:
        outcome.refused("free space")
        assert not (tmp_path / "out.tif").exists()
    assert mapped(source, tmp_path / "out.tif").read_bytes() == wanted
    assert {path.name for path in tmp_path.iterdir()} == {"in.tif", "out.tif", "wanted.tif"}


@pytest.mark.parametrize("kilobytes", [4, 30, 60, 90])
def test_a_full_disk_leaves_no_farm_that_looks_whole(tmp_path, kilobytes):
    outcome = run_call(f"{HERE}:limited", "farm", "", str(tmp_path / "farm"), kilobytes << 10).sound()
    if outcome.code:
        outcome.refused("farm", "free space")
    assert outcome.code == 0 or list(tmp_path.iterdir()) == []


def test_a_farm_is_never_written_over_files(tmp_path):
    (tmp_path / "farm").mkdir()
    (tmp_path / "farm" / "fields.gpkg").write_text("mine")
    run_cli("data", "simulate-farm", "1", "--to", tmp_path / "farm").refused("farm", "exists already")
    assert (tmp_path / "farm" / "fields.gpkg").read_text() == "mine"
    assert len(list((tmp_path / "farm").iterdir())) == 1


def test_what_else_lies_beside_a_shapefile_is_neither_read_nor_waited_for(tmp_path):
    for suffix in (".shp", ".shx", ".dbf", ".prj"):
        (tmp_path / f"fields{suffix}").write_text(suffix)
    before = run_call("mainstem.apps.map_files:fields_sha256", tmp_path / "fields.shp").taken().out
    (tmp_path / "fields.bak").mkdir()
    os.mkfifo(tmp_path / "fields.fifo")
    (tmp_path / "fields.qml").write_text("a style")
    after = run_call("mainstem.apps.map_files:fields_sha256", tmp_path / "fields.shp", limit_s=10).taken().out
    assert after == before
    (tmp_path / "fields.dbf").unlink()
    os.mkfifo(tmp_path / "fields.dbf")
    run_call("mainstem.apps.map_files:fields_sha256", tmp_path / "fields.shp", limit_s=10).refused("fields.dbf")


def test_a_hash_follows_the_bytes_and_not_the_clock(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = content(path)
    assert first.is_still_there()
    os.utime(path, (0, 0))
    assert first.is_still_there()  # touched, and read again: the bytes are the same
    path.write_bytes(b"two")
    os.utime(path, (0, 0))
    assert not first.is_still_there()
    path.unlink()
    assert not first.is_still_there()
