"""What can be done with run folders: compared, repeated to the bit, packed for a paper, exported to other trackers."""

import json
import zipfile
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mainstem.adapters import find_task, shipped_runs
from mainstem.apps.bundle import bundle
from mainstem.apps.cli import app
from mainstem.apps.compare_runs import compare
from mainstem.apps.export_runs import export
from mainstem.apps.finetune import finetune
from mainstem.apps.repeat import repeat
from mainstem.apps.run_spec import RunSpec, members
from mainstem.apps.runs import find_runs, run_at
from mainstem.core.errors import InputError
from mainstem.core.finetuning import spec_of
from mainstem.core.records import METRICS_FILE, RECORD_FILE, read_record, write_json
from mainstem.core.task import DataRequest

RECORD = read_record(shipped_runs("diagnostics")["pneumonia"])
GUIDE = Path(__file__).parents[2] / "docs" / "researcher.md"
ADAPTER = """
from dataclasses import replace
from mainstem.adapters.template import TASK as TEMPLATE
from mainstem.core.targets import Quantity
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig

TASK = replace(TEMPLATE, name="soil", target=Quantity(units="%"),
               config=FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1, batch_size=64), num_folds=2))
"""


def write_table(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    rows = ["sample,target,group,licence,rain [mm],heat [degC]"]
    rows += [
        f"s{row},{rng.normal(5, 1):.4f},g{row % 6},CC0-1.0,{rng.normal(60, 9):.3f},{rng.normal(9, 3):.3f}"
        for row in range(72)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def soil(tmp_path_factory) -> Path:
    """A folder with an adapter file, a table and two runs of it, the second with another seed."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "soil.py").write_text(ADAPTER)
    task = find_task(str(folder / "soil.py"))
    request = DataRequest(data=str(write_table(folder / "train.csv", 0)))
    for seed in (0, 1):
        spec = spec_of(task).seeded(seed)
        finetune(task, task.read(request), spec, folder / f"run-{seed}", request=request)
    return folder


def again(soil: Path, out: Path):
    return repeat(soil / "run-0", out, adapter=str(soil / "soil.py"))


def test_five_of_five_repeats_give_the_same_bits(soil, tmp_path):
    found = [again(soil, tmp_path / str(number)) for number in range(5)]
    assert [one.is_same for one in found] == [True] * 5
    adapters = {sha256((one.out / "adapter.safetensors").read_bytes()).hexdigest() for one in found}
    assert adapters == {read_record(soil / "run-0")["adapter_sha256"]}


def test_other_data_under_the_same_name_are_told_as_the_cause(soil, tmp_path):
    before = (soil / "train.csv").read_bytes()
    try:
        write_table(soil / "train.csv", 7)
        found = again(soil, tmp_path / "out")
    finally:
        (soil / "train.csv").write_bytes(before)
    assert not found.is_same
    assert {"trained_sha256", "data_sha256"} <= set(found.differs)
    assert any(line.startswith("data_sha256: ") for line in found.describe())


def test_a_calibrated_run_is_compared_as_it_was_trained(soil, tmp_path):
    record = read_record(soil / "run-0")
    write_json(soil / "run-0" / RECORD_FILE, {**record, "adapter_sha256": "0" * 64})
    try:
        assert again(soil, tmp_path / "out").is_same
    finally:
        write_json(soil / "run-0" / RECORD_FILE, record)


def test_a_run_that_names_no_request_is_refused_before_it_trains(soil, tmp_path):
    record = read_record(soil / "run-0")
    (tmp_path / "old").mkdir()
    write_json(tmp_path / "old" / RECORD_FILE, {key: value for key, value in record.items() if key != "request"})
    with pytest.raises(InputError, match="does not say what was asked of the data"):
        repeat(tmp_path / "old", tmp_path / "out", adapter=str(soil / "soil.py"))
    assert not (tmp_path / "out").exists()


def test_what_tells_runs_apart_is_listed_and_nothing_else(soil):
    found = compare([soil / "run-0", soil / "run-1"])
    assert found["settings"]["spec.config.training.seed"] == [0, 1]
    assert found["settings"]["seed"] == [0, 1]
    assert not {"data", "data_sha256", "spec.config.training.epochs"} & set(found["settings"])
    assert all(len(row) == 2 for row in found["figures"].values())


def test_a_bundle_is_the_same_bytes_twice_and_its_sums_are_right(soil, tmp_path):
    names = bundle(soil / "run-0", tmp_path / "one.zip", with_weights=True)
    bundle(soil / "run-0", tmp_path / "two.zip", with_weights=True)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        assert sorted(packed.namelist()) == names
        sums = dict(reversed(line.split("  ")) for line in packed.read("SHA256SUMS").decode().splitlines())
        assert set(sums) == set(names) - {"SHA256SUMS"}
        assert all(sha256(packed.read(name)).hexdigest() == told for name, told in sums.items())
        citation = yaml.safe_load(packed.read("CITATION.cff"))
        assert citation["cff-version"] == "1.2.0"
        assert "CC0-1.0" in packed.read("LICENCES.md").decode()
        assert any(line.startswith("torch==") for line in packed.read("environment.txt").decode().splitlines())


def test_a_bundle_without_weights_names_them_by_their_hash(soil, tmp_path):
    names = bundle(soil / "run-0", tmp_path / "one.zip")
    assert "adapter.safetensors" not in names
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        assert json.loads(packed.read("record.json")) == read_record(soil / "run-0")
    with pytest.raises(InputError, match=r"want a \.zip file"):
        bundle(soil / "run-0", tmp_path / "one.tar")


@pytest.fixture
def curves(soil, tmp_path) -> Path:
    """A run folder with a curve of three steps."""
    folder = tmp_path / "curves"
    folder.mkdir()
    (folder / RECORD_FILE).write_bytes((soil / "run-0" / RECORD_FILE).read_bytes())
    rows = [{"step": step, "loss": 1 / (1 + step), "stage": "training"} for step in range(3)]
    (folder / METRICS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_tensorboard_s_files_hold_the_curve(curves, tmp_path):
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    assert export(curves, "tensorboard", tmp_path / "tb") == 3
    (path,) = (tmp_path / "tb" / "curves").glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:  # a record: length in 8 bytes, its checksum in 4, the event, its checksum in 4
        size = int.from_bytes(data[:8], "little")
        event = proto.Event.FromString(data[12 : 12 + size])
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value if value.tag == "loss"]
        data = data[16 + size :]
    assert found == [(step, "loss", pytest.approx(1 / (1 + step))) for step in range(3)]


@pytest.mark.long
def test_mlflow_reads_the_curve_back(curves, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    assert export(curves, "mlflow", tmp_path / "ml") == 3
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'ml' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("soil-table")
    (run,) = client.search_runs([experiment.experiment_id])
    told = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")]
    assert told == [(step, 1 / (1 + step)) for step in range(3)]
    assert run.data.params["epochs"] == "1"


def test_damaged_metrics_are_named_by_their_line(curves, tmp_path):
    for line, said in (
        (b"{half", r"line 4 is no JSON"),
        (b"[1]", r"line 4 holds a list, want one JSON object"),
        (b"\xff\xfe{}", r"line 4 is no JSON"),
        (b"[" * 5000, r"line 4 is no JSON"),
        (b"", r"line 4 is no JSON"),
        (b'{"step": "x"}', r"line 4: the step is x, want a whole number"),
        (b'{"step": [1]}', r"line 4: the step is \[1\]"),
        (b'{"step": true}', r"line 4: the step is True"),
        (b'{"step": NaN}', r"line 4: the step is nan"),
        (b'{"step": 1e999}', r"line 4: the step is inf"),
        (b'{"step": 9223372036854775808}', r"line 4: the step is 9223372036854775808"),
        (b'{"step": -1}', r"line 4: the step is -1"),
        (b'{"loss": 1' + b"0" * 400 + b"}", r"line 4: loss is 1000.*, which no float holds"),
        (b'{"loss": 1' + b"0" * 5000 + b"}", r"line 4 is no JSON"),
    ):
        (curves / METRICS_FILE).write_bytes(b'{"loss": 1}\n' * 3 + line + b"\n")
        with pytest.raises(InputError, match=f"{METRICS_FILE}, {said}") as caught:
            export(curves, "tensorboard", tmp_path / "tb")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", [{}, {"config": 7}, {"config": {}}, {"training": [1]}])
def test_a_record_without_settings_is_refused(curves, tmp_path, spec):
    record = json.loads((curves / RECORD_FILE).read_text())
    (curves / RECORD_FILE).write_text(json.dumps({**record, "spec": spec}))
    with pytest.raises(InputError, match=r"record\.json is damaged: spec has no training"):
        export(curves, "tensorboard", tmp_path / "tb")


@pytest.mark.long
def test_odd_curves_are_exported_or_refused_in_one_line(curves, tmp_path):
    pytest.importorskip("tensorboardX")
    tracking = pytest.importorskip("mlflow.tracking")
    lines = ['{"a/b c": NaN, "s": -Infinity}', '{"step": 9223372036854775807, "n": 1e308}']
    (curves / METRICS_FILE).write_text("\n".join(lines))
    assert [export(curves, tracker, tmp_path / tracker) for tracker in ("tensorboard", "mlflow")] == [3, 3]
    (curves / METRICS_FILE).write_text('{"../x": 1}')
    assert export(curves, "tensorboard", tmp_path / "odd") == 1
    with pytest.raises(InputError, match="MLflow takes no such run") as caught:
        export(curves, "mlflow", tmp_path / "odd")
    assert "\n" not in str(caught.value)
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'odd' / 'mlflow.db'}")
    assert client.search_runs([client.get_experiment_by_name("soil-table").experiment_id]) == []


def test_settings_of_another_version_are_refused(soil, tmp_path):
    record = read_record(soil / "run-0")
    training = {**record["spec"]["config"]["training"], "epochs": "many"}
    spec = {**record["spec"], "config": {**record["spec"]["config"], "training": training}}
    (tmp_path / "odd").mkdir()
    write_json(tmp_path / "odd" / RECORD_FILE, {**record, "spec": spec})
    with pytest.raises(InputError, match="settings that this version does not know"):
        repeat(tmp_path / "odd", tmp_path / "out", adapter=str(soil / "soil.py"))


def listed(folder: Path) -> str:
    done = CliRunner().invoke(app, ["runs", "list", str(folder)])
    assert done.exit_code == 0, done.output
    return done.output.replace(f"{folder}/", "")


def test_an_array_tells_how_many_of_its_members_have_written_wherever_one_looks_from(tmp_path):
    given = {
        "command": "finetune",
        "adapter": "soil",
        "data": "train.csv",
        "out": "runs/array",
        "time": "00:10:00",
        "seeds": 2,
    }
    spec = RunSpec.model_validate(given)
    job = tmp_path / "runs" / "array.job"
    job.mkdir(parents=True)
    own = [asdict(member) for member in members(spec)]
    facts = {"site": "generic-slurm", "nodes": 1, "gpus_per_node": 0, "log": f"{spec.out}.job/log-%a.txt"}
    write_json(job / "launch.json", {**facts, "job_id": "7", "spec": given, "out": spec.out, "members": own})
    for done, told in ((0, "launched, 0 of 2 written"), (1, "launched, 1 of 2 written"), (2, "written, 2 of 2")):
        for seed in range(done):
            folder = tmp_path / spec.out / f"seed-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / RECORD_FILE, {**RECORD, "seed": seed})
        assert f"array: {told}\n" in listed(tmp_path / "runs")
        (array,) = [run for run in find_runs(tmp_path)[0] if run.path.name == "array"]
        assert array == run_at(tmp_path / "runs" / "array")
    assert listed(tmp_path / "runs").count("array/seed-") == 2


LAST = {"loss": 0.5, "latents": 0.25, "reconstruction": 0.4, "contrast": 0.6, "spread": 0.35}


def test_a_pretraining_is_listed_and_compared_by_how_it_ended(tmp_path):
    for name, spread in (("one", 0.35), ("two", 0.02)):
        (tmp_path / name).mkdir()
        last = {**LAST, "spread": spread}
        record = {**RECORD, "adapter": "pretrain", "task": "trunk", "data": "a, b", "held_out": {}, "last": last}
        write_json(tmp_path / name / RECORD_FILE, record)
    (tmp_path / "three").mkdir()
    write_json(tmp_path / "three" / RECORD_FILE, {**RECORD, "adapter": "soil", "data": "a", "held_out": {}})
    lines = listed(tmp_path).splitlines()
    assert lines[1:] == [
        "three: soil on a",
        "two: pretrain on a, b, last_contrast 0.6, last_latents 0.25, last_loss 0.5, last_reconstruction 0.4, "
        "last_spread 0.02",
    ]
    found = compare([tmp_path / "one", tmp_path / "two"])
    assert found["figures"] == {f"last_{name}": [LAST[name]] * 2 for name in LAST} | {"last_spread": [0.35, 0.02]}
    assert found["settings"] == {}


def test_the_guide_lists_the_six_commands_in_order_and_no_paragraph_twice():
    text = GUIDE.read_text()
    commands = [line.split() for line in text.split("| command |")[0].splitlines() if line.startswith("    mainstem ")]
    assert [" ".join(words[1 : 2 + (words[1] == "runs")]) for words in commands] == [
        "pretrain", "finetune", "launch", "runs compare", "runs repeat", "runs bundle",
    ]  # fmt: skip
    trunk, fitted = (words[words.index("--out") + 1] for words in commands[:2])
    assert commands[1][commands[1].index("--trunk") + 1] == trunk
    assert all(fitted in words for words in commands[3:])
    for said in ("predicted is a type", "salted", "must stay whole", "one group in"):
        assert text.count(said) == 1, said
