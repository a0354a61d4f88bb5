"""Faults of the world: signals, full disks, closed streams, killed writers, two at once, damaged journals."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mainstem.apps.progress import shown
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import locked, new_folder, scratch, sweep, write_atomically
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


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["data verify us-maize", "data list", "data verify nonsense"])
def test_closed_streams_end_no_command_early(closed, command, tmp_path):
    program = f'{sys.executable} -c "{MAIN}" {command} {closed}'
    env = {**ENV, "MAINSTEM_HOME": str(tmp_path)}
    done = subprocess.run(["/bin/sh", "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == {"data list": 0, "data verify us-maize": 1}.get(command, 2)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


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
        (["data", "pull", "\udcff\udcfe"], "catalogue"),
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
