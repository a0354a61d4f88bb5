"""Damaged, foreign and hostile weights of open encoders: each is one line."""

import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mainstem.apps.models import read_inputs
from mainstem.core import transport
from mainstem.core.errors import MainstemError
from mainstem.core.openmodels import fetching, load_open_model
from mainstem.core.openmodels.fetching import fetch
from mainstem.core.openmodels.own import save_own, untrained
from mainstem.core.stream import Channel
from mainstem.core.tokenizers.specs import StreamSpec
from mainstem.core.tokenizers.streams import StreamsTokenizer
from mainstem.core.weights import load_pt, save_tensors
from tests.hostile.harness import listener, run_call, run_cli
from tests.hostile.test_products import certificate, server  # noqa: F401 - fixtures


def refused(work: Callable[[], object], *words: str) -> None:
    """Do the work and see it refused in one line that holds these words."""
    with pytest.raises(MainstemError) as caught:
        work()
    said = str(caught.value)
    assert len(said.splitlines()) == 1, said
    for word in words:
        assert word in said, said


@pytest.fixture
def own(tmp_path) -> Path:
    """The project's own smallest trunk, saved with one stream's tokenizer."""
    model = untrained("xs")
    channels = (Channel(name="rain", unit="mm"),)
    spec = StreamSpec(kind="scalar", channels=channels, statistics={"rain": (1.0, 2.0)})
    tokenizer = StreamsTokenizer({"season": spec}, model.trunk.config.dim)
    save_own(
        type(model)(name="xs", family=model.family, trunk=model.trunk, tokenizers={"streams": tokenizer}), tmp_path
    )
    return tmp_path


def reconfigure(folder: Path, path: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    *outer, last = path.split(".")
    at = config
    for part in outer:
        at = at[part]
    at[last] = value
    (folder / "config.json").write_text(json.dumps(config))


def test_what_is_whole_is_taken(own):
    assert load_open_model(own).family == "mainstem"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trunk.dim", 10**9), ("trunk.dim", 0), ("trunk.dim", "64"), ("trunk.dim", None), ("trunk.dim", [64]),
        ("trunk.depth", 10**9), ("trunk.depth", -1), ("trunk.depth", 250), ("trunk.hidden", 10**12),
        ("trunk.num_heads", 0), ("trunk.norm_eps", float("nan")), ("trunk.norm_eps", "small"),
        ("trunk.num_streams", 64), ("trunk.num_registers", 10**9), ("trunk.pooling", "sum"), ("trunk.time", 5),
        ("trunk.more", 1), ("trunk", []),
        ("streams", []), ("streams.season.kind", "volume"), ("streams.season.channels", "rain"),
        ("streams.season.statistics", {"rain": [0.0, float("nan")]}), ("streams.season.patch_size", 10**9),
        ("model_type", "unknown"), ("auto_map", {"AutoModel": "code.Model"}),
    ],
)  # fmt: skip
def test_a_config_out_of_range_is_one_line(own, path, value):
    reconfigure(own, path, value)
    refused(lambda: load_open_model(own))


HUB = {
    "model_type": "dinov2", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 4,
    "image_size": 16, "num_channels": 3, "mlp_ratio": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (key, value)
        for key in sorted(set(HUB) - {"model_type", "mlp_ratio"})
        for value in (10**9, 0, -1, "four", float("nan"), [1], None)
    ]
    + [("mlp_ratio", float("inf")), ("layer_norm_eps", "x"), ("model_type", ["dinov2"]), ("model_type", 5)],
)  # fmt: skip
def test_a_hub_config_out_of_range_is_one_line(tmp_path, key, value):
    (tmp_path / "config.json").write_text(json.dumps(HUB | {key: value}))
    save_tensors(tmp_path / "model.safetensors", {"embeddings.cls_token": torch.zeros(1, 1, 32)}, {})
    refused(lambda: load_open_model(tmp_path))


@pytest.mark.parametrize("text", ["[]", "5", "", "{", "[" * 100_000, "\x00", '{"a": NaN'], ids=lambda text: text[:9])
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors.index.json"])
def test_a_file_that_is_no_object_is_one_line(tmp_path, name, text):
    (tmp_path / "config.json").write_text(json.dumps(HUB))
    (tmp_path / name).write_text(text)
    if not name.endswith("index.json"):
        save_tensors(tmp_path / "model.safetensors", {"embeddings.cls_token": torch.zeros(1, 1, 32)}, {})
    refused(lambda: load_open_model(tmp_path))


@pytest.mark.parametrize(
    "places",
    [{}, [], "model", {"a": 5},
     {"a": "../a.safetensors"}, {"a": "/etc/passwd"}, {"a": "gone.safetensors"}, {"a": "a.pt"}],
    ids=repr,
)  # fmt: skip
def test_an_index_that_names_other_files_is_one_line(tmp_path, places):
    save_tensors(tmp_path.parent / "a.safetensors", {"a": torch.zeros(2)}, {})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    refused(lambda: load_open_model(tmp_path))


@pytest.mark.parametrize(
    "make",
    [
        lambda weight: weight * float("nan"), lambda weight: weight + float("inf"), lambda weight: weight.long(),
        lambda weight: weight.bool(), lambda weight: weight.to(torch.complex64), lambda weight: weight[:1],
        lambda weight: weight.flatten(), lambda weight: None,
    ],
    ids=["NaN", "infinite", "integers", "booleans", "complex", "cut", "flat", "gone"],
)  # fmt: skip
def test_weights_that_are_none_are_one_line(own, make):
    state = load_file(own / "model.safetensors")
    key = "trunk.blocks.0.mlp.up.weight"
    made = make(state.pop(key))
    save_tensors(own / "model.safetensors", state | ({} if made is None else {key: made}), {})
    refused(lambda: load_open_model(own), "blocks.0.mlp.up.weight")


@pytest.mark.parametrize("values", [[0, 0, 0], [0.5, 0.5, float("nan")], "half", [0.5], [], [-1, 1, 1], 5], ids=repr)
def test_a_processor_that_divides_by_nothing_is_one_line(tmp_path, values):
    (tmp_path / "config.json").write_text(json.dumps(HUB))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_std": values}))
    save_tensors(tmp_path / "model.safetensors", {"embeddings.cls_token": torch.zeros(1, 1, 32)}, {})
    refused(lambda: load_open_model(tmp_path))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_archive_is_one_line_or_read(tmp_path, share, how):
    torch.save({"a": torch.arange(500.0)}, tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    at = int(share * len(content))
    if how == "cut":
        content = content[:at]
    else:
        content[at] ^= 0xFF
    (tmp_path / "a.pt").write_bytes(content)
    try:
        assert set(load_pt(tmp_path / "a.pt")) == {"a"}
    except MainstemError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


def test_a_tensor_that_is_larger_than_its_file_is_one_line(tmp_path):
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pt")
    refused(lambda: load_pt(tmp_path / "a.pt"), "larger than itself")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04."], ids=repr)
def test_inputs_that_are_no_arrays_are_one_line(tmp_path, content):
    (tmp_path / "in.npz").write_bytes(content)
    refused(lambda: read_inputs(untrained("xs"), str(tmp_path / "in.npz")), "in.npz")


@pytest.mark.long
def test_inputs_of_objects_and_bombs_are_one_line(tmp_path):
    np.savez(tmp_path / "in.npz", a=np.array([{}], object))
    refused(lambda: read_inputs(untrained("xs"), str(tmp_path / "in.npz")), "in.npz")
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as file,
    ):
        for _ in range(1100):
            file.write(bytes(1 << 20))
    refused(lambda: read_inputs(untrained("xs"), str(tmp_path / "bomb.npz")), "MB")


@pytest.mark.parametrize(
    "name",
    ["./gone", "../gone/model", "/gone/model", "gone.safetensors", "gone/model.pt", "a/b/c", "a--b/c", "", "~/m"]
)  # fmt: skip
def test_a_path_that_does_not_exist_is_not_asked_of_the_hub(tmp_path, name):
    with listener() as door:
        port = getattr(door, "port", door)
        run_cli(
            "embed", name, "--input", "a.npz", "--out", "b.npy", env={"HF_ENDPOINT": f"http://127.0.0.1:{port}"}
        ).refused()


def test_a_pull_that_was_killed_is_fetched_again(tmp_path, monkeypatch):
    from mainstem.core.openmodels import fetching

    asked = []
    monkeypatch.setattr(fetching, "_fetch_repo", lambda name, listing, target: asked.append(target))
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    half = tmp_path / "models" / "owner--model"
    half.mkdir(parents=True)
    (half / "config.json").write_text("{}")
    assert fetching.locate("owner/model") == half
    assert fetching.locate("owner/model") == half
    assert asked == [half]
    assert fetch("owner/model", tmp_path / "models") == half


def test_a_pipe_in_the_place_of_weights_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    run_cli("embed", str(tmp_path / "model.safetensors"), "--input", "a.npz", "--out", "b.npy", limit_s=30).refused()


HERE = "tests.hostile.test_open_models"


def pulled(root: Path, url: str, patience_s: float) -> str:
    """Stage a listed model of one small file from an address."""
    transport.PATIENCE_S = patience_s
    fetching.listings()["odd"] = fetching.Listing(
        name="odd", family="presto", files={"default.json": "default.json"}, million_parameters=0.01, licence="MIT",
        expects="", url=url,
    )  # fmt: skip
    return str(fetching.fetch("odd", root))


def endless(handler) -> None:
    """Answer in chunks without end."""
    handler._begin(200, {"Transfer-Encoding": "chunked"})
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


SERVED = {
    "slow": "bytes a second", "half": "stopped after", "huge": "larger than", "unsized": "does not say its size",
    "endless": "larger than", "redirect": "not allowed", "whole": "",
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("how", "words"), SERVED.items(), ids=SERVED)
def test_a_model_is_fetched_within_limits(tmp_path, server, certificate, how, words):  # noqa: F811 - fixtures
    (tmp_path / "item").mkdir()
    (tmp_path / "item" / "default.json").write_bytes(b"{}" + b" " * 4000)
    with listener() as port:
        server[1].elsewhere = port.url
        if how == "endless":
            server[1].do_GET = endless
        env = {"SSL_CERT_FILE": str(certificate[0]), "MAINSTEM_MIRROR": None}
        outcome = run_call(f"{HERE}:pulled", tmp_path / "to", f"{server[0]}/{how}", 0.5, env=env, limit_s=20)
    if how == "whole":
        outcome.taken()
        assert (tmp_path / "to" / "odd" / "default.json").stat().st_size == 4002
    else:
        outcome.refused("default.json", words)
        assert not [path for path in (tmp_path / "to").rglob("*") if path.is_file()]


def pulled_from_hub(root: Path, how: str) -> str:
    """Stage a hub repository of one file that comes a byte a second, or without end."""
    import huggingface_hub

    def download(*names: str, local_dir: Path, revision: str) -> None:
        with (local_dir / "config.json").open("wb") as file:
            while True:
                file.seek(1 << 26, 1) if how == "endless" else time.sleep(0.2)
                file.write(b" ")
                file.flush()
                time.sleep(0.05)

    info = type("Info", (), {"sha": "a" * 40, "siblings": [type("File", (), {"rfilename": "config.json"})]})
    huggingface_hub.HfApi.model_info = lambda self, repo, revision: info
    huggingface_hub.hf_hub_download = download
    fetching.STALL_S, fetching.LARGEST_REPO = 1.0, 1 << 28
    return str(fetching.fetch("test/odd", root))


@pytest.mark.parametrize(("how", "words"), [("slow", "bytes a second"), ("endless", "larger than")])
def test_a_hub_is_left_at_the_same_limits(tmp_path, how, words):
    env = {"MAINSTEM_MIRROR": None}
    run_call(f"{HERE}:pulled_from_hub", tmp_path, how, env=env, limit_s=20).refused("test/odd", words)


@pytest.mark.parametrize("name", ["presto", "dinov2-small", "test/small"])
def test_a_mirror_that_lacks_a_model_is_not_made_up_for_by_the_network(tmp_path, name):
    (tmp_path / "mirror").mkdir()
    with listener() as port:
        env = {"HF_ENDPOINT": port.url, "https_proxy": port.url, "HF_HOME": str(tmp_path / "hf")}
        asked = ("models", "pull", name, "--to", tmp_path / "to")
        run_cli(*asked, "--mirror", tmp_path / "mirror", env=env, limit_s=20).refused("mirror", "models pull")
    assert not [path for path in (tmp_path / "to").rglob("*") if path.is_file()]


def test_a_mirror_may_be_what_pull_staged(tmp_path):
    staged = tmp_path / "mirror" / "test--small"
    (staged / fetching.COMPLETE).parent.mkdir(parents=True)
    (staged / fetching.COMPLETE).touch()
    (staged / "config.json").write_text("{}")
    run_cli("models", "pull", "test/small", "--to", tmp_path / "to", "--mirror", tmp_path / "mirror").taken()
    assert (tmp_path / "to" / "test--small" / "config.json").read_text() == "{}"
    assert fetching.is_whole(tmp_path / "to" / "test--small")
