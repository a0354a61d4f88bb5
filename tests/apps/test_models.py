"""Open encoders from the command line: listed, staged with their hashes checked, embedded from files."""

import http.server
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from mainstem.adapters import template
from mainstem.apps.finetune import finetune
from mainstem.apps.models import embed_file, read_inputs
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_fitted
from mainstem.core.openmodels import load_open_model
from mainstem.core.openmodels.fetching import fetch, listings, pinned, revision_of
from mainstem.core.openmodels.own import save_own
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.tokenizers.specs import StreamSpec
from mainstem.core.tokenizers.streams import StreamsTokenizer
from mainstem.core.weights import file_sha256


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = "from mainstem.apps.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def dinov2(tmp_path) -> Path:
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "dinov2")
    return tmp_path / "dinov2"


@pytest.mark.long
def test_models_list_says_size_licence_gate_and_what_each_expects():
    listed = json.loads(run("models", "list", "--json").stdout)
    assert set(listed) == set(listings())
    assert listed["dinov3-small"]["gate"]
    assert all(model["licence"] and model["expects"] and model["megabytes"] > 0 for model in listed.values())
    assert {model["family"] for model in listed.values()} >= {
        "presto", "galileo", "prithvi", "dinov2", "dinov3", "siglip2",
    }  # fmt: skip
    table = run("models", "list").stdout
    assert "rad-dino" in table
    assert "gated" in table


@pytest.mark.long
@pytest.mark.mirror
def test_named_models_are_staged_from_a_mirror_and_their_hash_is_checked(tmp_path):
    staged = run("models", "pull", "presto", "--to", str(tmp_path / "stage"))
    assert staged.returncode == 0, staged.stderr
    assert load_open_model(tmp_path / "stage" / "presto").family == "presto"
    source = Path(os.environ["MAINSTEM_MIRROR"]) / "earth" / "galileo_nano"
    changed = tmp_path / "mirror" / "earth" / "galileo_nano"
    changed.mkdir(parents=True)
    for file in source.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    (changed / "encoder.pt").write_bytes((source / "encoder.pt").read_bytes() + b"x")
    with pytest.raises(ArtifactError, match="sha256"):
        fetch("galileo-nano", tmp_path / "other", tmp_path / "mirror")
    left = [path.name for path in (tmp_path / "other" / "galileo-nano").iterdir()]
    assert "encoder.pt" not in left
    assert not [name for name in left if name.startswith(".")]


@pytest.mark.mirror
def test_a_model_that_several_fetch_at_once_comes_whole_to_each(tmp_path):
    with ThreadPoolExecutor(6) as pool:
        folders = set(pool.map(lambda _: fetch("galileo-nano", tmp_path), range(6)))
    assert load_open_model(folders.pop()).family == "galileo"
    assert not list(tmp_path.rglob("*.part"))


class Hub(http.server.BaseHTTPRequestHandler):
    """What huggingface_hub asks a hub for: a repository's files and each file's bytes."""

    root: Path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        files = sorted(path for path in self.root.iterdir())
        if parts[:2] == ["api", "models"]:
            if parts[2:4] != ["test", "small"] or parts[5:6] not in ([], ["a" * 40]):
                self.send_response(404)
                is_known = parts[2:4] == ["test", "small"]
                self.send_header("X-Error-Code", "RevisionNotFound" if is_known else "RepoNotFound")
                self.end_headers()
                return
            body = json.dumps({
                "id": "test/small", "modelId": "test/small", "sha": "a" * 40, "private": False, "tags": [],
                "downloads": 0, "likes": 0, "siblings": [{"rfilename": path.name} for path in files],
            }).encode()  # fmt: skip
            if "tree" in parts:
                body = json.dumps([
                    {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": "b" * 40} for path in files
                ]).encode()  # fmt: skip
            self._answer(body, {"Content-Type": "application/json"})
            return
        path = self.root / parts[-1]
        self._answer(path.read_bytes(), {"ETag": f'"{file_sha256(path)}"', "X-Repo-Commit": "a" * 40})

    def _answer(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture
def hub(dinov2):
    """A hub on this machine that holds one repository, test/small."""
    (dinov2 / "modeling_evil.py").write_text("raise SystemExit")
    handler = type("OneRepository", (Hub,), {"root": dinov2})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.long
def test_a_hub_repository_is_staged_without_its_code_and_loads_offline(hub, dinov2, tmp_path):
    stage = tmp_path / "stage"
    done = run("models", "pull", "test/small", "--to", str(stage), HF_ENDPOINT=hub, HF_HOME=str(tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    folder = stage / "test--small"
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"config.json", "model.safetensors"}
    image = {"pixel_values": np.zeros((1, 3, 28, 28), np.float32)}
    np.testing.assert_array_equal(load_open_model(folder).embed(image), load_open_model(dinov2).embed(image))


@pytest.mark.long
def test_a_revision_is_pinned_where_it_was_staged_and_asked_for_by_name(hub, dinov2, tmp_path, monkeypatch):
    given = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hf"), "MAINSTEM_HOME": str(tmp_path / "home")}
    done = run("models", "pull", "test/small", **given)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    assert pinned("test/small") == f"test/small@{'a' * 40}"
    assert pinned(f"test/small@{'a' * 40}") == f"test/small@{'a' * 40}"
    for own in ("xs", str(dinov2), "galileo-nano"):
        assert pinned(own) == own
    image = {"pixel_values": np.zeros((1, 3, 28, 28), np.float32)}
    again = load_open_model(f"test/small@{'a' * 40}")  # staged, so that no hub is asked
    np.testing.assert_array_equal(again.embed(image), load_open_model(dinov2).embed(image))
    mirror = fetch(f"test/small@{'a' * 40}", tmp_path / "copy", tmp_path / "home" / "models")
    assert revision_of(mirror) == "a" * 40
    for name, told in (
        ("test/small@main", "40 digits of a commit"),
        ("galileo-nano@" + "a" * 40, "known by their sha256"),
        ("test/small@" + "c" * 40, "no revision cccc"),
    ):
        refused = run("models", "pull", name, **given)
        assert refused.returncode == 2
        assert told in refused.stderr


@pytest.mark.long
def test_a_repository_that_is_not_there_and_a_hub_out_of_reach_are_one_line_each(hub, tmp_path):
    missing = run("models", "pull", "test/none", "--to", str(tmp_path), HF_ENDPOINT=hub, HF_HOME=str(tmp_path / "hf"))
    away = run("embed", "dinov2-small", "--input", "a.png", "--out", str(tmp_path / "a.npy"),
               HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hf"), MAINSTEM_HOME=str(tmp_path))  # fmt: skip
    for done, word in ((missing, "test/none"), (away, "models pull")):
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert word in done.stderr
    unknown = run("embed", "dinov9", "--input", "a.png", "--out", str(tmp_path / "a.npy"))
    assert "models list" in unknown.stderr


@pytest.mark.long
def test_embed_writes_images_as_vectors_with_the_weights_hash(dinov2, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 42, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "leaf.png")
    model = load_open_model(dinov2)
    wanted = model.embed({"image": pixels[None]})
    for suffix in (".npy", ".npz", ".csv", ".parquet"):
        out = tmp_path / f"vectors{suffix}"
        done = run("embed", str(dinov2), "--input", str(tmp_path / "leaf.png"), "--out", str(out), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["weights_sha256"] == model.sha256()
        assert out.is_file()
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), wanted, atol=1e-6)
    with np.load(tmp_path / "vectors.npz", allow_pickle=False) as archive:
        assert archive["items"].tolist() == ["leaf.png"]
        assert str(archive["weights_sha256"]) == model.sha256()


def test_embed_refuses_16_bits_pickled_arrays_and_unknown_files(dinov2, tmp_path):
    Image.fromarray(np.full((28, 28), 4000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match="16 bits"):
        embed_file(str(dinov2), str(tmp_path / "deep.png"), tmp_path / "a.npy")
    np.savez(tmp_path / "code.npz", image=np.array([print], dtype=object), allow_pickle=True)
    model = load_open_model(dinov2)
    with pytest.raises(InputError, match="plain arrays"):
        read_inputs(model, str(tmp_path / "code.npz"))
    with pytest.raises(InputError, match=r"\.npz"):
        read_inputs(model, "leaf.gif")
    with pytest.raises(InputError, match=r"vectors\.txt"):
        embed_file(str(dinov2), "leaf.png", tmp_path / "vectors.txt")


@pytest.mark.mirror
def test_embed_reads_pixel_series_by_name(tmp_path, home):
    done = embed_file("presto", "fuel-moisture", tmp_path / "a.npz")
    assert (done["num"], done["dim"]) == (2313, 128)
    folder = Path(os.environ["MAINSTEM_MIRROR"]) / "earth" / "presto" / "fuel_moisture"
    wanted = np.load(folder / "presto_encoder_emb_ref.npy", allow_pickle=False)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_allclose(archive["embeddings"], wanted, atol=1e-5, rtol=0)


def test_own_trunks_are_saved_and_loaded_like_any_other(tmp_path):
    model = load_open_model("xs", seed=4)
    save_own(model, tmp_path)
    again = load_open_model(tmp_path)
    assert again.family == "mainstem"
    assert again.sha256() == model.sha256()
    with pytest.raises(InputError, match="no stream"):
        again.embed({"samples": []})


def season(number: int, name: str = "rain", stream: str = "season") -> Sample:
    values = np.array([float(number % 7)])
    streams = {stream: Stream(kind="scalar", values=values, channels=(Channel(name=name, unit="mm"),))}
    source = Provenance(data="made", item=f"s{number}", group=f"g{number % 3}", licence="CC0-1.0")
    return Sample(streams=streams, target=2.0 * (number % 7), source=source)


@pytest.fixture
def own_trunk(tmp_path) -> Path:
    """A trunk with the tokenizer of one stream, each of whose weights is 0.123."""
    model = load_open_model("xs", seed=4)
    channels = (Channel(name="rain", unit="mm"), Channel(name="heat", unit="degC"))
    spec = StreamSpec(kind="scalar", channels=channels, statistics={"rain": (1.0, 2.0), "heat": (20.0, 5.0)})
    tokenizer = StreamsTokenizer({"season": spec}, model.trunk.config.dim)
    for weights in tokenizer.parameters():
        weights.data.fill_(0.123)
    save_own(replace(model, tokenizers={"streams": tokenizer}), tmp_path / "own")
    return tmp_path / "own"


@pytest.mark.parametrize("part", ["lora", "frozen"])
def test_an_own_trunk_s_tokenizer_is_kept_where_it_reads_the_samples(own_trunk, tmp_path, part, home):
    training = replace(template.TASK.config.training, epochs=1, trunk=part)
    config = replace(template.TASK.config, training=training, num_folds=2)
    samples = tuple(season(number) for number in range(24))
    source = SampleSet(name="made", samples=samples, flagged={}, attribution="")
    record = finetune(template.TASK, source, FitSpec(config=config, trunk=str(own_trunk)), tmp_path / "run")
    assert record["tokenizer"] == "the trunk's own"
    artifact = load_fitted(tmp_path / "run", template.TASK.target, template.TASK.restore)
    for member in artifact.ensemble.members:
        for weights in member.adapter.tokenizer.parameters():
            assert torch.equal(weights, torch.full_like(weights, 0.123))


@pytest.mark.parametrize(
    ("name", "stream", "words"),
    [
        ("rain", "table", "the trunk's own for season, new for table (not known)"),
        (
            "depth",
            "season",
            "new for season (got channel 'depth', want rain, heat; rename or drop it)",
        ),
    ],
)
def test_parts_of_a_tokenizer_that_are_new_are_said_to_be(own_trunk, tmp_path, name, stream, words, home):
    training = replace(template.TASK.config.training, epochs=1, trunk="lora")
    config = replace(template.TASK.config, training=training, num_folds=2)
    samples = tuple(season(number, name, stream) for number in range(24))
    source = SampleSet(name="made", samples=samples, flagged={}, attribution="")
    record = finetune(template.TASK, source, FitSpec(config=config, trunk=str(own_trunk)), tmp_path / "run")
    assert record["tokenizer"].startswith(words)
    assert record["tokenizer"] in (tmp_path / "run" / "card.md").read_text()
