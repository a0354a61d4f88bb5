"""The harness notices what it is there to notice, and lets right work through."""

import socket
import time
import urllib.request
from pathlib import Path

import pytest

from mainstem.core.errors import InputError
from tests.hostile.harness import canary, listener, run_call, run_cli, server

HERE = "tests.hostile.test_harness"


def raises_ours(message: str) -> None:
    raise InputError(message)


def raises_a_traceback() -> None:
    raise ValueError("not ours")


def hangs() -> None:
    time.sleep(600)


def hoards(mib: int) -> int:
    return len(bytearray(b"x") * (mib << 20))


def says_more() -> None:
    print("and another thing")
    raise InputError("one line was enough")


def connects(url: str) -> None:
    urllib.request.urlopen(url, timeout=0.2)


def reads(path: Path) -> str:
    return path.read_text()


def test_a_command_and_a_function_are_taken_or_refused():
    assert "simulated-maize" not in run_cli("data", "verify", "nonsense").refused("nonsense", "catalogue").text
    assert "doctor" in run_cli("--help").taken().out
    run_call(f"{HERE}:raises_ours", "row 3 is odd").refused("ROW 3")
    assert run_call(f"{HERE}:reads", Path(__file__).with_name("__init__.py")).taken().out == "''\n"


def test_children_start_from_one_thread():
    assert server().threads == 1
    for _ in range(3):
        run_cli("data", "verify", "nonsense").refused()


@pytest.mark.parametrize(
    ("function", "arguments", "complaint"),
    [
        ("raises_a_traceback", (), "Traceback"),
        ("hangs", (), "hung"),
        ("hoards", (400,), "MiB"),
        ("hoards", (20_000,), "Traceback"),
        ("says_more", (), "lines"),
        ("hoards", (1,), "taken"),
    ],
)
def test_what_must_not_be_is_noticed(function, arguments, complaint, monkeypatch):
    monkeypatch.setattr("tests.hostile.harness.LARGEST_MIB", 600)  # 2 GiB take seconds to touch
    outcome = run_call(f"{HERE}:{function}", *arguments, limit_s=2 if function == "hangs" else 60)
    with pytest.raises(AssertionError, match=complaint):
        outcome.refused()


def test_words_that_are_missing_are_noticed():
    with pytest.raises(AssertionError, match="column"):
        run_call(f"{HERE}:raises_ours", "row 3 is odd").refused("row", "column")


def test_a_connection_is_noticed():
    with pytest.raises(AssertionError, match="connection"), listener() as port:
        run_call(f"{HERE}:connects", port.url)
    with listener() as port:
        run_call(f"{HERE}:raises_ours", port.url).refused()
        with socket.create_connection(("127.0.0.1", port.port)):
            pass
        assert port.connections() == 1


def test_a_canary_comes_out_where_it_is_read(tmp_path):
    path, secret = canary(tmp_path)
    assert secret in run_call(f"{HERE}:reads", path).taken().text
    assert secret not in run_call(f"{HERE}:raises_ours", str(path)).text


def test_folder_and_environment_are_its_own(tmp_path):
    assert run_call("os:getcwd").out != run_call("os:getcwd").out
    assert str(tmp_path) in run_call("os:getcwd", cwd=tmp_path).out
    assert "'v'" in run_call("os:getenv", "WANTED", env={"WANTED": "v"}).out
    assert "None" in run_call("os:getenv", "MAINSTEM_HOME", env={"MAINSTEM_HOME": None}).out
