"""Damaged, foreign and hostile run folders: each is one line, or read as it was written."""

import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mainstem.adapters import find_task, task_of_run
from mainstem.apps.finetune import finetune
from mainstem.core.errors import MainstemError
from mainstem.core.finetuning import spec_of
from mainstem.core.fitted import load_fitted, load_run
from mainstem.core.fitted_file import content_sha256
from mainstem.core.preparation import restore_plain
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest
from mainstem.core.weights import save_tensors
from tests.hostile.harness import Outcome, run_call, run_cli

ADAPTER = """
from dataclasses import replace
from mainstem.adapters.template import TASK as TEMPLATE
from mainstem.core.targets import Quantity
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig

TASK = replace(TEMPLATE, name="soil", target=Quantity(units="%"),
               config=FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1, batch_size=64), num_folds=2))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with an adapter file, tables and a run of it."""
    folder = tmp_path_factory.mktemp("artefacts")
    rng = np.random.default_rng(0)
    for name, groups in (("train.csv", range(6)), ("more.csv", range(6, 12))):
        rows = ["sample,target,group,licence,rain [mm],heat [degC]"]
        rows += [
            f"s{group}-{row},{rng.normal(5, 1):.4f},g{group},CC0-1.0,{rng.normal(60, 9):.3f},{rng.normal(9, 3):.3f}"
            for group in groups
            for row in range(12)
        ]
        (folder / name).write_text("\n".join(rows) + "\n")
    (folder / "soil.py").write_text(ADAPTER)
    task = find_task(str(folder / "soil.py"))
    finetune(task, task.read(DataRequest(data=str(folder / "train.csv"))), spec_of(task), folder / "run")
    return folder


@pytest.fixture
def run(whole, tmp_path) -> Path:
    """A copy of the run, to be damaged."""
    shutil.copytree(whole / "run", tmp_path / "run")
    return tmp_path / "run"


def load(folder: Path, whole: Path) -> Outcome:
    """Open the run in a child with limits, as its own task."""
    return run_call("tests.hostile.test_artefacts:open_run", str(folder), str(whole / "soil.py"))


def refuse(folder: Path, whole: Path, *words: str) -> None:
    """Open the run here, and see it refused in one line that holds these words."""
    with pytest.raises(MainstemError) as caught:
        open_run(str(folder), str(whole / "soil.py"))
    said = str(caught.value)
    assert len(said.splitlines()) == 1, said
    for word in words:
        assert word in said, said


def open_run(folder: str, adapter: str) -> str:
    """Load a run with its adapter, and say what it is."""
    return load_run(Path(folder), task_of_run(Path(folder), adapter)).manifest.task


def header(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def rewrite(run: Path, change: Callable[[dict, dict], None], file: str = "adapter.safetensors") -> None:
    """Change manifest and tensors and sign the file again, as one who knows how would; the record follows."""
    path = run / file
    metadata = header(path)[0]["__metadata__"]
    tensors, manifest = load_file(path), json.loads(metadata.get("manifest", "{}"))
    changed = change(manifest, tensors)
    text = json.dumps(manifest if changed is None else changed)
    signed = {"manifest": text, "sha256": content_sha256(text, tensors)} if "manifest" in metadata else metadata
    sha256 = save_tensors(path, tensors, signed)
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(
        json.dumps(record | ({"adapter_sha256": sha256} if "manifest" in metadata else {}))
    )


def put(path: str, value: object) -> Callable[[dict, dict], None]:
    """Set a manifest's field by dotted path."""

    def change(manifest: dict, tensors: dict) -> None:
        *outer, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        at = manifest
        for part in outer:
            at = at[part]
        at[last] = value

    return change


def tensor(name: str, make: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[dict, dict], None]:
    """Change or drop the first tensor whose name ends so."""

    def change(manifest: dict, tensors: dict) -> None:
        key = next(key for key in sorted(tensors) if key.endswith(name))
        made = make(tensors.pop(key))
        if made is not None:
            tensors[key] = made

    return change


def own_of_three(manifest: dict, tensors: dict) -> None:
    tensors["alarm/whole/own"] = torch.zeros((3, 1))


def own_of_text(manifest: dict, tensors: dict) -> None:
    cases = len(tensors["alarm/whole/features"])
    tensors["alarm/whole/own"] = torch.zeros((cases, 1), dtype=torch.uint8)


def extra(manifest: dict, tensors: dict) -> None:
    tensors["members.0.adapter.more"] = torch.zeros(2)


def stranger(manifest: dict, tensors: dict) -> None:
    tensors["members.9.adapter.more"] = torch.zeros(2)


MANIFESTS = {
    "a list": lambda manifest, tensors: [],
    "a number": lambda manifest, tensors: 7,
    "nothing": lambda manifest, tensors: {},
    "older schema": put("schema_version", 3),
    "newer schema": put("schema_version", 99),
    "schema is text": put("schema_version", "4"),
    "gate NaN": put("blend.whole.gate", float("nan")),
    "gate 1000": put("blend.whole.gate", 1000.0),
    "gate negative": put("blend.whole.gate", -0.5),
    "gate text": put("blend.whole.gate", "0.5"),
    "gate null": put("blend.whole.gate", None),
    "no blend": put("blend", {}),
    "share NaN": put("blend.whole.share", float("nan")),
    "share 1000": put("blend.whole.share", 1000.0),
    "a blend without share": put("blend", {"whole": {"gate": 0.0}}),
    "a blend of something else": put("blend.whole.temperature", 1.0),
    "slope NaN": put("blend.whole.slope", float("nan")),
    "slope 0": put("blend.whole.slope", 0.0),
    "slope 10^6": put("blend.whole.slope", 1e6),
    "intercept infinite": put("blend.whole.intercept", float("inf")),
    "blend a list": put("blend.whole", [1.0, 0.0]),
    "lowest NaN": put("target.lowest", float("nan")),
    "lowest of another": put("target.lowest", 2.0),
    "lowest text": put("target.lowest", "0"),
    "highest a list": put("target.highest", [1.0]),
    "target of classes": put("target", {"kind": "classes", "units": "class", "names": ["a"]}),
    "target a text": put("target", "quantity"),
    "target empty": put("target", {}),
    "units of another": put("target.units", "t/ha"),
    "salt of text": put("salt", "a secret"),
    "dim 10^9": put("trunk.dim", 10**9),
    "dim 0": put("trunk.dim", 0),
    "dim text": put("trunk.dim", "64"),
    "dim beyond the file": put("trunk.dim", 8192),
    "depth 10^6": put("trunk.depth", 10**6),
    "depth 0": put("trunk.depth", 0),
    "depth 200": put("trunk.depth", 200),
    "heads 0": put("trunk.num_heads", 0),
    "heads 3": put("trunk.num_heads", 3),
    "hidden 10^12": put("trunk.hidden", 10**12),
    "streams of the trunk": put("trunk.num_streams", 64),
    "registers 10^9": put("trunk.num_registers", 10**9),
    "registers negative": put("trunk.num_registers", -1),
    "epsilon NaN": put("trunk.norm_eps", float("nan")),
    "dropout 1": put("trunk.dropout", 1.0),
    "pooling unknown": put("trunk.pooling", "attention"),
    "pooling a list": put("trunk.pooling", ["cls"]),
    "activation unknown": put("trunk.activation", "__import__"),
    "project 10^9": put("trunk.project", 10**9),
    "rotary pairs 10^9": put("trunk.time.pairs", 10**9),
    "rotary period 0": put("trunk.time.shortest", 0.0),
    "trunk a list": put("trunk", []),
    "trunk unknown field": put("trunk.code", "os.system"),
    "members none": put("members", []),
    "members a dict": put("members", {"0": {}}),
    "std 0": put("members.0.frame.std", 0.0),
    "std NaN": put("members.0.frame.std", float("nan")),
    "std absent": put("members.0.frame", {}),
    "std infinite": put("members.0.frame.std", float("inf")),
    "tokenizer unknown": put("members.0.tokenizer.kind", "pickle"),
    "tokenizer a number": put("members.0.tokenizer", 3),
    "streams a list": put("members.0.tokenizer.streams", []),
    "channels none": put("members.0.tokenizer.streams.table.channels", []),
    "mean NaN": put("members.0.tokenizer.streams.table.statistics", {"rain": [float("nan"), 1.0]}),
    "preparation empty": put("members.0.preparation", {}),
    "preparation of text": put("members.0.preparation", {"mean": "five", "channels": {}}),
    "alpha without LoRA": put("members.0.lora_alpha", 16.0),
    "alpha NaN": put("members.0.lora_alpha", float("nan")),
    "calibration a list": put("calibration", []),
    "calibration of no view": put("calibration", {}),
    "training a list": put("training", []),
    "groups a number": put("training.groups", 5),
    "local places negative": put("training.local_places", -4),
    "local places text": put("training.local_places", "many"),
    "scope a text": put("scope", "maize"),
    "simulated text": put("simulated", "no"),
    "hash of text": put("trunk_sha256", "abc"),
    "channels of training": put("channels", {"table": [{"name": 5}]}),
    "control letters": put("adapter", "\x1b[2Jsoil"),
    "unknown field": put("promise", "none"),
}
TENSORS = {
    "scores zero": tensor("/scores", torch.zeros_like),
    "scores NaN": tensor("/scores", lambda scores: scores * float("nan")),
    "scores empty": tensor("/scores", lambda scores: scores[:0]),
    "scores dropped": tensor("/scores", lambda scores: None),
    "scores of two dims": tensor("/scores", lambda scores: scores[:, None]),
    "scores float16": tensor("/scores", lambda scores: scores.half()),
    "codes beyond": tensor("/group_codes", lambda codes: codes + 1000),
    "codes fewer": tensor("/group_codes", lambda codes: codes[:3]),
    "names no JSON": tensor("/group_names", lambda names: torch.full_like(names, 255)),
    "alarm of one case": tensor("alarm/whole/group_codes", lambda codes: codes[:1]),
    "alarm of one group": tensor("alarm/whole/group_codes", torch.zeros_like),
    "alarm with own features of three cases": own_of_three,
    "alarm with own features of bytes": own_of_text,
    "weights NaN": tensor("head.linear.weight", lambda weight: weight * float("nan")),
    "weights infinite": tensor("head.linear.bias", lambda bias: bias + float("inf")),
    "weights dropped": tensor("head.linear.bias", lambda bias: None),
    "weights reshaped": tensor("head.linear.weight", lambda weight: weight.T.contiguous()),
    "weights double": tensor("head.linear.weight", lambda weight: weight.double()),
    "weights integers": tensor("head.linear.weight", lambda weight: weight.long()),
    "weights complex": tensor("head.linear.weight", lambda weight: weight.to(torch.complex64)),
    "tensor too many": extra,
    "tensor of no member": stranger,
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_is_damaged_is_one_line(run, whole, change):
    rewrite(run, change)
    refuse(run, whole)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in MANIFESTS if "10^" in name])
def test_a_size_that_takes_all_memory_is_refused_before_it_is_taken(run, whole, name):
    rewrite(run, MANIFESTS[name])
    load(run, whole).refused()


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS)
def test_tensors_that_do_not_fit_are_one_line(run, whole, change):
    rewrite(run, change)
    refuse(run, whole)


@pytest.mark.parametrize("file", ["adapter.safetensors", "trunk.safetensors"])
@pytest.mark.parametrize("where", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("has_record", [True, False])
def test_a_flipped_bit_is_seen_with_and_without_a_record(run, whole, file, where, has_record):
    content = bytearray((run / file).read_bytes())
    content[int(where * (len(content) - 1))] ^= 0x40
    (run / file).write_bytes(content)
    if not has_record:
        (run / "record.json").unlink()
    with pytest.raises(MainstemError):
        load_fitted(run, Quantity(units="%"), restore_plain)


@pytest.mark.parametrize("file", ["adapter.safetensors", "trunk.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 8, b"\xff" * 64, b"PK\x03\x04", b"{" * 5000], ids=repr)
def test_what_is_no_safetensors_is_one_line(run, whole, file, content):
    (run / file).write_bytes(content)
    refuse(run, whole, file)


def test_a_header_nested_ten_thousand_deep_is_one_line(run, whole):
    text = b'{"__metadata__":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001
    (run / "adapter.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    refuse(run, whole, "adapter.safetensors")


def test_a_manifest_nested_ten_thousand_deep_is_one_line(run, whole):
    deep = "[" * 100_000
    tensors = load_file(run / "adapter.safetensors")
    save_tensors(run / "adapter.safetensors", tensors, {"manifest": deep, "sha256": content_sha256(deep, tensors)})
    refuse(run, whole, "manifest")


def test_another_run_s_file_is_not_the_one_on_record(run, whole):
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"adapter_sha256": hashlib.sha256(b"other").hexdigest()}))
    refuse(run, whole, "record", "adapter")


def test_a_kill_between_artefact_and_record_leaves_a_run_that_can_be_read(run, whole):
    record = json.loads((run / "record.json").read_text())
    known = {"adapter_sha256": hashlib.sha256(b"old").hexdigest(), "next_adapter_sha256": record["adapter_sha256"]}
    (run / "record.json").write_text(json.dumps(record | known))
    assert open_run(str(run), str(whole / "soil.py")) == "table"


RECORDS = {
    "a list": "[]", "empty": "", "no JSON": "{", "bytes": "\udcff\udcfe", "text": '"run"', "deep": "[" * 100_000,
    "NaN figure": {"held_out": {"rmse": float("nan")}}, "figures a list": {"held_out": [1]},
    "adapter a number": {"adapter": 5}, "adapter absent": {"adapter": None}, "seed negative": {"seed": -1},
    "hash of text": {"adapter_sha256": "x"}, "calibrations a text": {"calibrations": "none"},
    "spec a list": {"spec": []},
    "control letters": {"adapter": "\x1b]0;soil\x07"}, "seconds text": {"seconds": "long"},
}  # fmt: skip


def damage_record(run: Path, content: str | dict) -> None:
    path = run / "record.json"
    text = content if isinstance(content, str) else json.dumps(json.loads(path.read_text()) | content)
    path.write_bytes(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("content", RECORDS.values(), ids=RECORDS)
def test_a_record_that_is_damaged_is_one_line(run, whole, content):
    damage_record(run, content)
    refuse(run, whole, "record.json")


@pytest.mark.long
@pytest.mark.parametrize("name", ["a list", "deep", "NaN figure"])
def test_damaged_runs_do_not_hide_the_others(run, whole, name):
    shutil.copytree(run, run.parent / "other")
    damage_record(run, RECORDS[name])
    listed = run_cli("runs", "list", str(run.parent)).taken()
    assert "other: soil on" in listed.out
    assert "record.json" in listed.err
    run_cli("runs", "show", str(run)).refused("record.json")


def test_runs_of_no_folder_and_a_card_that_is_a_folder_are_one_line(run):
    run_cli("runs", "list", str(run.parent / "nowhere")).refused("no folder")
    (run / "card.md").unlink()
    run_cli("runs", "show", str(run)).refused("card.md")
    (run / "card.md").mkdir()
    run_cli("runs", "show", str(run)).refused("card.md")


def test_a_pipe_in_the_place_of_a_record_does_not_hang(run):
    (run / "record.json").unlink()
    os.mkfifo(run / "record.json")
    run_cli("runs", "show", str(run), limit_s=20).refused("no run folder")


def test_a_record_never_names_code_that_runs(run, whole, tmp_path):
    canary, trap = tmp_path / "ran", tmp_path / "trap.py"
    trap.write_text(f"open({str(canary)!r}, 'w').write('ran')\n")
    for name in (str(trap), "trap.py", "soil"):
        damage_record(run, {"adapter": name})
        outcome = run_cli("calibrate", str(run), "--data", str(whole / "more.csv"), cwd=tmp_path)
        outcome.refused("--adapter")
    assert not canary.exists()


def test_an_adapter_given_as_a_file_serves_every_command(run, whole, tmp_path):
    adapter, more = str(whole / "soil.py"), str(whole / "more.csv")
    run_cli("evaluate", adapter, "--data", more, "--run", str(run)).taken()
    run_cli("predict", adapter, more, "--run", str(run), "--out", str(tmp_path / "a.csv")).taken()
    run_cli("calibrate", str(run), "--data", more, "--adapter", adapter).taken()
    run_cli("predict", adapter, more, "--run", str(run), "--out", str(tmp_path / "b.csv")).taken()
    run_cli("map", adapter, more, "--run", str(run), "--out", str(tmp_path / "map")).refused()


def test_a_run_loads_into_no_other_adapter_or_task(run, whole, tmp_path):
    more, out = str(whole / "more.csv"), str(tmp_path / "out.csv")
    run_cli("predict", "crop-yield", more, "--run", str(run), "--out", out).refused("task")
    (tmp_path / "clay.py").write_text(ADAPTER.replace('"soil"', '"clay"'))
    run_cli("predict", str(tmp_path / "clay.py"), more, "--run", str(run), "--out", out).refused("run of soil")
    run_cli("evaluate", str(tmp_path / "clay.py"), "--data", more, "--run", str(run)).refused("run of soil")
    run_cli("calibrate", str(run), "--data", more, "--adapter", str(tmp_path / "clay.py")).refused("run of soil")
    assert not Path(out).exists()


@pytest.mark.parametrize("case", ["every target", "a group's targets"])
def test_figures_relative_to_nothing_are_unknown(run, whole, tmp_path, case):
    rows = (whole / "more.csv").read_text().splitlines()
    is_nothing = [case == "every target" or row.startswith("s7-") for row in rows]
    mended = [
        re.sub(r",[^,]*", ",0", row, count=1) if nothing else row for row, nothing in zip(rows, is_nothing, strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join([rows[0], *mended[1:]]) + "\n")
    asked = ["evaluate", str(whole / "soil.py"), "--data", str(tmp_path / "t.csv"), "--run", str(run)]
    found = json.loads(run_cli(*asked, "--json").taken().out, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert found["by_group"]["g7"]["nrmse_percent"] is None
    assert all(value > 0 for name, value in found["by_group"]["g7"].items() if name.startswith("rmse"))
    assert all(each["by_group"]["g7"] is None for each in found["difference"].values())
    said = run_cli(*asked).taken().out
    assert "nan" not in said
    if case == "every target":
        assert found["metrics"]["nrmse_percent"] is None
        assert "nrmse_percent -" in said
        assert {each["verdict"] for each in found["difference"].values()} <= {"not distinguishable"}
    else:
        assert found["metrics"]["nrmse_percent"] > 0
        assert found["by_group"]["g8"]["nrmse_percent"] > 0


NUMBERS = {
    "evaluate": [("--dropout-seed", "-1"), ("--seed", "-1"), ("--seeds", "0"), ("--window", "-1"), ("--window", "x")],
    "predict": [("--level", "nan"), ("--level", "1.5"), ("--level", "-0.9"), ("--below", "nan"), ("--below", "inf")],
    "calibrate": [("--level", "nan"), ("--level", "0"), ("--window", "-1"), ("--window", "1e3")],
    "map": [("--level", "nan"), ("--workers", "0"), ("--workers", "-1"), ("--workers", "1000000")],
    "finetune": [("--seed", "-1"), ("--seed", "99999999999"), ("--seeds", "0"), ("--seeds", "nan")],
    "data": [("--to", "farm", "--", "-1")],
}


@pytest.mark.parametrize(
    ("command", "given"),
    [pytest.param(name, each, id=f"{name} {' '.join(each)}") for name in NUMBERS for each in NUMBERS[name]],
)
def test_numbers_out_of_range_are_one_line(whole, tmp_path, command, given):
    adapter, more, run = str(whole / "soil.py"), str(whole / "more.csv"), str(whole / "run")
    asked = {
        "evaluate": ["evaluate", adapter, "--data", more, "--run", run],
        "predict": ["predict", adapter, more, "--run", run, "--out", "out.csv"],
        "calibrate": ["calibrate", str(tmp_path / "none"), "--adapter", adapter, "--data", more],
        "map": ["map", adapter, more, "--run", run, "--out", "map"],
        "finetune": ["finetune", adapter, "--data", more, "--out", "run"],
        "data": ["data", "simulate-farm"],
    }[command]
    number = "number" if command == "data" else given[0]
    run_cli(*asked, *given, cwd=tmp_path).refused(number)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [["--with-flagged"], ["--trunk", "xs"], ["--frozen"], ["--seeds", "2"]], ids=" ".join)
def test_options_of_training_are_not_ignored_where_a_run_is_scored(whole, given):
    asked = ["evaluate", str(whole / "soil.py"), "--data", str(whole / "more.csv"), "--run", str(whole / "run")]
    run_cli(*asked, *given).refused(given[0], "--run")


@pytest.mark.long
@pytest.mark.parametrize("named", [".", "./", "sub/..", "absolute"])
@pytest.mark.parametrize("command", ["finetune", "simulate-farm"])
def test_an_empty_folder_that_one_is_in_is_filled_and_stays_the_same_folder(whole, tmp_path, command, named):
    here = tmp_path / "here"
    here.mkdir()
    inode, out = here.stat().st_ino, str(here) if named == "absolute" else named
    train = ["finetune", str(whole / "soil.py"), "--data", str(whole / "train.csv"), "--out", out]
    outcome = run_cli(*(train if command == "finetune" else ["data", "simulate-farm", "1", "--to", out]), cwd=here)
    if named == "sub/..":
        outcome.refused("sub/..")
        return
    outcome.taken()
    assert here.stat().st_ino == inode  # a shell that stands there would see nothing of another
    assert (here / ("record.json" if command == "finetune" else "fields.gpkg")).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    again = run_cli(*(train if command == "finetune" else ["data", "simulate-farm", "1", "--to", out]), cwd=here)
    again.refused("exists already")


BOUNDS = {
    "minus infinity": "lowest=-math.inf", "infinity": "highest=math.inf", "NaN": "lowest=math.nan",
    "a flag": "lowest=False",
    "a text": "lowest='0'", "a list": "highest=[1.0]", "beyond floats": "lowest=10**5000",
    "swapped": "lowest=9.0, highest=1.0",
    "equal": "lowest=5.0, highest=5", "complex": "lowest=1j",
}  # fmt: skip


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
def test_bounds_that_are_none_are_refused_before_any_training(whole, tmp_path, bounds):
    (tmp_path / "soil.py").write_text("import math\n" + ADAPTER.replace('units="%"', f'units="%", {bounds}'))
    asked = ["finetune", str(tmp_path / "soil.py"), "--data", str(whole / "train.csv"), "--out", "run"]
    outcome = run_cli(*asked, cwd=tmp_path).refused("lowest" if "lowest" in bounds else "highest", "soil")
    assert "sample" not in outcome.err


@pytest.mark.parametrize("bounds", ["lowest=np.float32(0.0)", "lowest=np.int64(-3), highest=10**6", "highest=1e308"])
def test_bounds_of_any_real_number_are_kept(whole, tmp_path, bounds):
    (tmp_path / "soil.py").write_text("import numpy as np\n" + ADAPTER.replace('units="%"', f'units="%", {bounds}'))
    task = find_task(str(tmp_path / "soil.py"))
    assert all(type(bound) is float for bound in (task.target.lowest, task.target.highest) if bound is not None)


@pytest.mark.parametrize(
    "change", [{"lowest": 50.0}, {"highest": 1e308}, {"lowest": -1e308, "highest": 1e308}], ids=str
)
def test_a_run_of_other_bounds_than_its_task_s_is_refused(run, whole, change):
    rewrite(run, lambda manifest, tensors: manifest | {"target": manifest["target"] | change})
    refuse(run, whole, "lowest" if "lowest" in change else "highest", "train it again")


@pytest.mark.parametrize("keep", [lambda features: features[:, :1], lambda features: torch.cat([features] * 2, 1)])
@pytest.mark.parametrize("command", ["predict", "evaluate", "calibrate"])
def test_an_alarm_of_another_width_is_one_line(run, whole, tmp_path, keep, command):
    rewrite(run, tensor("alarm/whole/features", lambda features: keep(features).contiguous()))
    adapter, more = str(whole / "soil.py"), str(whole / "more.csv")
    asked = {
        "predict": ["predict", adapter, more, "--run", str(run), "--out", str(tmp_path / "out.csv")],
        "evaluate": ["evaluate", adapter, "--data", more, "--run", str(run)],
        "calibrate": ["calibrate", str(run), "--data", more, "--adapter", adapter, "--append"],
    }[command]
    run_cli(*asked).refused("alarm", "features")


ADAPTERS = {
    "no Python": "this is no Python", "no task": "TASK = 5", "empty": "", "raises": "raise RuntimeError('no')",
    "divides": "1 / 0", "imports what is not there": "import nothing_of_this_name",
}  # fmt: skip


@pytest.mark.parametrize("code", ADAPTERS.values(), ids=ADAPTERS)
def test_an_adapter_file_that_is_none_is_one_line(whole, tmp_path, code):
    (tmp_path / "mine.py").write_text(code)
    run_cli("finetune", str(tmp_path / "mine.py"), "--data", str(whole / "train.csv"), "--out", "run").refused(
        "mine.py"
    )


def test_several_seeds_go_on_from_the_first_and_records_say_what_was_used(whole, tmp_path):
    done = run_cli(
        "finetune", str(whole / "soil.py"), "--data", str(whole / "train.csv"), "--out", str(tmp_path / "runs"),
        "--seed", "5", "--seeds", "2", "--json",
    ).taken()  # fmt: skip
    records = json.loads(done.out)["runs"]
    assert [record["seed"] for record in records] == [5, 6]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["seed-5", "seed-6"]
    used = records[0]["trained"][0]
    assert used == {"samples": 36, "batch_size": 16, "epochs": 1, "steps": 3}
    run_cli("finetune", str(whole / "soil.py"), "--data", "x", "--out", "y", "--seed", "-1").sound()
