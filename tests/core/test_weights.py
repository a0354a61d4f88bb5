"""Weight files: whole or absent, one content one hash, and nothing that would run code."""

import os
import resource
import signal
import subprocess
import sys
import zipfile

import pytest
import torch

from mainstem.core.errors import ArtifactError
from mainstem.core.weights import load_pt, load_tensors, save_tensors, state_sha256


def test_one_content_gives_one_file_whatever_the_order(tmp_path):
    a, b = torch.arange(6.0).reshape(2, 3), torch.tensor(3, dtype=torch.int64)
    first = save_tensors(tmp_path / "1", {"a": a, "b": b}, {"x": "1", "manifest": "{}"})
    second = save_tensors(tmp_path / "2", {"b": b, "a": a}, {"manifest": "{}", "x": "1"})
    assert first == second
    state, metadata = load_tensors(tmp_path / "1")
    assert torch.equal(state["a"], a)
    assert torch.equal(state["b"], b)
    assert metadata["x"] == "1"


def test_a_hash_sees_values_names_types_and_shapes():
    a = torch.zeros(4)
    hashes = {
        state_sha256(state) for state in ({"a": a}, {"b": a}, {"a": a + 1}, {"a": a.double()}, {"a": a.view(2, 2)})
    }
    assert len(hashes) == 5


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"not safetensors at all"])
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match="no whole safetensors"):
        load_tensors(tmp_path / "a.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(1000)}, {})
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ArtifactError, match="no whole safetensors"):
        load_tensors(tmp_path / "a.safetensors")


def test_a_plain_state_dict_comes_through_the_door(tmp_path):
    state = {"weight": torch.randn(3, 2), "steps": torch.arange(3)}
    torch.save(state, tmp_path / "a.pt")
    again = load_pt(tmp_path / "a.pt")
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


class Bomb:
    def __reduce__(self):
        return os.system, ("echo harm",)


def test_a_pickle_with_code_is_refused_unopened(tmp_path):
    torch.save({"a": Bomb()}, tmp_path / "a.pt")
    with pytest.raises(ArtifactError, match="would run"):
        load_pt(tmp_path / "a.pt")


def test_compressed_and_foreign_archives_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}." + b"0" * 100)
    with pytest.raises(ArtifactError, match="compressed"):
        load_pt(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"\x80\x04N.")
    with pytest.raises(ArtifactError, match="no torch archive"):
        load_pt(tmp_path / "b.pt")


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    program = (
        "import sys\nfrom pathlib import Path\nfrom mainstem.core.files import write_atomically\n"
        "from mainstem.core.errors import ArtifactError\n"
        "try: write_atomically(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except ArtifactError as error: sys.exit(f'refused: {error}')"
    )

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith("refused: cannot write")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
