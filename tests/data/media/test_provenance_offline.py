"""Opening a file must not contact who made it: the kernel, a listener and a sniffer count what is sent.

Each is shown to count: it must see what the SDK sends by its own defaults.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import c2pa
import pytest
from tests.data.media import signed_files as made
from tests.data.media.signed_files import Ask, picture, put, signed

from mainstem.core.errors import InputError
from mainstem.data.media.provenance import read_provenance, sidecars
from mainstem.data.media.provenance_worker import _unknown, examine, settings
from mainstem.data.media.signing import Credentials, sign_file

HOST = "leaker.example"  # RFC 2606: is nobody's
OPENED = re.compile(r"AF_INET|AF_NETLINK|AF_PACKET|sendto\(|sendmsg\(|sendmmsg\(")
OURS = """
import sys
from mainstem.data.media.provenance_worker import _unknown, examine, settings
for path in sys.argv[1:]:
    examine({"path": path, "sidecars": [], "trust": None, "list": None})
"""
DEFAULTS = """
import sys, c2pa
for path in sys.argv[1:]:
    fetch = {"remote_manifest_fetch": not path.endswith("id.jpg")}  # of the last, who is behind it is looked up alone
    try:
        c2pa.Reader(path, context=c2pa.Context.from_dict({"verify": fetch}))
    except c2pa.C2paError:
        pass
"""
# in a namespace whose only way out is a cable that is listened to; IPv6's own chatter (next header 0 or 58) is no news
SNIFFED = """
import socket, subprocess, sys
for line in ("link add v0 type veth peer name v1", "addr add 192.0.2.2/24 dev v0", "link set v0 up", "link set v1 up",
             "link set lo up", "route add default via 192.0.2.1"):
    subprocess.run(["ip", *line.split()], check=True)
ears = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in "01"]
for ear, name in zip(ears, ("v0", "lo")):
    ear.bind((name, 0))
    ear.settimeout(0.5)
def heard():
    found = 0
    for ear in ears:
        try:
            while True:
                data = ear.recv(65536)
                found += not (data[12:14] == b"\\x86\\xdd" and data[20] in (0, 58))
        except TimeoutError:
            pass
    return found
heard()
subprocess.run([sys.executable, "-P", "-c", sys.argv[1], *sys.argv[3:]], check=True)
print(heard())
for path in sys.argv[3:]:
    while heard():
        pass  # the kernel asks again who has the address that was wanted before
    process, found = subprocess.Popen([sys.executable, "-P", "-c", sys.argv[2], path]), 0
    while process.poll() is None and not found:
        found = heard()
    process.kill()
    print(found + heard())
"""


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine, and what came to it."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hear() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                came.append(connection.recv(200))
                connection.close()

        threading.Thread(target=hear, daemon=True).start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory) -> list[Path]:
    """Files that ask for something elsewhere: a manifest, a manifest beside an embedded one, and who is behind them."""
    folder, address = tmp_path_factory.mktemp("leaky"), f"http://{HOST}/manifest.c2pa"
    return [
        put(folder, "only.jpg", signed(picture(), Ask(elsewhere=address, is_embedded=False))[0]),
        put(folder, "both.jpg", signed(picture(), Ask(elsewhere=address))[0]),
        put(folder, "id.jpg", signed(picture(), Ask(assertions=[made.identity(HOST)]))[0]),
    ]


def traced(folder: Path, script: str, files: list[Path]) -> list[str]:
    """What a script asked of the network, by the kernel's own account."""
    strace = shutil.which("strace")
    if strace is None:
        missing = "strace is not installed (apt-get install strace)"
        pytest.fail(missing) if os.environ.get("MAINSTEM_REQUIRE_ALL") else pytest.skip(missing)
    log = folder / "strace.txt"
    command = [strace, "-f", "-qq", "-e", "trace=%network", "-o", log, sys.executable, "-P", "-c", script, *files]
    subprocess.run(command, check=True, env=surroundings(), timeout=300)
    return [line for line in log.read_text().splitlines() if OPENED.search(line)]


def surroundings() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_the_kernel_sees_no_socket_opened(tmp_path, leaky):
    """By the SDK's settings alone: `examine` runs in the process that is traced, which has a network."""
    asking = signed(picture(), Ask(elsewhere="http://127.0.0.1:9/manifest.c2pa", is_embedded=False))[0]
    near = put(tmp_path, "near.jpg", asking)
    assert any("connect" in line for line in traced(tmp_path, DEFAULTS, [near]))
    assert traced(tmp_path, OURS, [near, *leaky]) == []


def test_an_sdk_that_does_not_know_a_setting_is_refused(monkeypatch):
    """It would leave the setting unread without a word, and go to the network."""
    assert settings(None)["core"]["allowed_network_hosts"] == []
    ours = c2pa.Context.from_dict

    def older(told):
        known = {group: {k: v for k, v in each.items() if k != "allowed_network_hosts"} for group, each in told.items()}
        return ours(known)

    monkeypatch.setattr(c2pa.Context, "from_dict", older)
    monkeypatch.setattr("mainstem.data.media.provenance_worker._unknown", _unknown.__wrapped__)
    with pytest.raises(InputError, match=r"core\.allowed_network_hosts"):
        settings(None)


def test_the_command_opens_no_socket(tmp_path, leaky):
    """The command with the process that it starts."""
    script = "import sys; from mainstem.apps.cli import main; main()"
    script = f"import sys; sys.argv[1:] = ['media', 'provenance', *sys.argv[1:]]; {script}"
    assert traced(tmp_path, script, leaky) == []


def test_a_leaked_folder_that_one_stands_in_runs_nothing(tmp_path, leaky):
    """Modules that lie there are not imported by the command's processes."""
    for name in ("ctypes", "resource", "socket", "multiprocessing", "c2pa", "torch"):
        (tmp_path / f"{name}.py").write_text("import os; os.mkdir(os.path.join(os.path.dirname(__file__), 'ran'))")
    for command in (["media", "provenance", *map(str, leaky)], ["dicom", "describe", str(leaky[0])]):
        script = f"import sys; sys.argv[1:] = {command!r}; from mainstem.apps.cli import main; main()"
        subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, env=surroundings(), check=False, timeout=300)
        assert not (tmp_path / "ran").exists(), command


def test_a_listener_hears_nothing(tmp_path):
    with listener() as (port, came):
        address = f"http://127.0.0.1:{port}/manifest.c2pa"
        path = put(tmp_path, "only.jpg", signed(picture(), Ask(elsewhere=address, is_embedded=False))[0])
        found = read_provenance(path)
        assert (found.verdict, found.elsewhere) == ("absent", address)
        examine({"path": str(path), "sidecars": [str(each) for each in sidecars(path)], "trust": None, "list": None})
        held = [
            put(tmp_path, f"ada.{kind}", text)
            for kind, text in (("crt", made.signer().pem), ("key", made.signer().key_pem))
        ]
        put(tmp_path, "ada.crt", made.signer().pem + made.authority().pem)
        sign_file(path, Credentials(*held), tmp_path / "copy.jpg")
        assert came == []
        with pytest.raises(c2pa.C2paError):
            c2pa.Reader(str(path), context=c2pa.Context.from_dict({}))
        assert came[0].startswith(b"GET /manifest.c2pa")


@pytest.mark.long
def test_a_sniffer_hears_no_packet(leaky):
    """In a network namespace of its own, on its one cable and on the machine's own loop."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("unshare and ip are not installed (apt-get install util-linux iproute2)")
    command = ["unshare", "-rn", sys.executable, "-P", "-c", SNIFFED, OURS, DEFAULTS, *leaky]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings(), timeout=300)
    if done.returncode and ("unshare" in done.stderr or "RTNETLINK" in done.stderr):
        pytest.skip(f"this machine lends no network namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    ours, *defaults = map(int, done.stdout.split())
    assert ours == 0
    assert [number > 0 for number in defaults] == [True, False, True], "the sniffer hears what is sent"
