"""`mainstem pretrain`: a run folder that is a trunk to adapt, mixtures that seek, and specs that are refused."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tests.hostile.harness import run_cli

from mainstem.adapters import find_task
from mainstem.apps.bundle import bundle
from mainstem.apps.corpora import Mixture, open_corpora, read_streams
from mainstem.apps.evaluate import evaluate
from mainstem.apps.export_runs import export
from mainstem.apps.finetune import finetune
from mainstem.apps.pretrain import identity_of, pretrain
from mainstem.apps.pretrain_spec import PretrainSpec, read_spec
from mainstem.apps.pretrained import read_pretrained
from mainstem.apps.protocols import EvaluationSpec
from mainstem.apps.repeat import repeat
from mainstem.apps.runs import find_runs, run_at
from mainstem.core.errors import InputError
from mainstem.core.finetuning import spec_of
from mainstem.core.fitted import load_run
from mainstem.core.metrics_log import read_lines
from mainstem.core.objectives import MaskedPretraining
from mainstem.core.openmodels import load_open_model
from mainstem.core.records import read_record
from mainstem.core.settings import with_settings
from mainstem.core.task import DataRequest
from mainstem.core.tokenizers.streams import StreamsTokenizer
from mainstem.dashboards.research.board import curve_table

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "pretrain.yaml"
ADAPTER = '''
"""Waves: their next value. `waves` name a test part, `copies` are some of it, `pictures` are something else."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mainstem.core.preparation import from_the_mean
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, FitConfig, Task
from mainstem.core.training import TrainingConfig

ONE = (Channel(name="height", unit="m"),)


SEEDS = {'more': 1, 'years': 2, 'others': 3, 'simulated': 4}


def wave(name, row):
    rng = np.random.default_rng((row, SEEDS.get(name, 0)))
    phase, steps = rng.uniform(0, 6.28), np.arange(6.0 + row % 3)
    series = np.sin(phase + steps)[:, None]
    if name == "pictures":
        streams = {"waves": Stream(kind="image", values=np.tile(series.T[:, None], (1, 4, 1))[:, :, :6], channels=ONE)}
    else:
        streams = {"waves": Stream(kind="series", values=series, channels=ONE, times=steps),
                   "first": Stream(kind="scalar", values=series[0], channels=ONE)}
    if name == "cut":
        streams["first"] = replace(streams["first"], values=np.zeros(1))
    group = f"{2000 + row % 4}" if name in ("years", "others", "simulated") else f"beach {row % 8}"
    tested = {"waves": 7, "swapped": 0}.get(name)
    source = Provenance(data=name, item=f"{row}", group=group, licence="CC0-1.0", attribution="made",
                        part="test" if row % 8 == tested else "")
    return Sample(streams=streams, target=float(np.sin(phase - 1)), source=source)


def read(request):
    name = Path(request.data).name
    if name == "copies":
        samples = [wave("waves", row) for row in range(16)]
        samples = [replace(one, source=replace(one.source, data="copies", group="elsewhere " + one.source.item, part=""))
                   for one in samples]
    else:
        samples = [wave(name, row) for row in range(40)]
    return SampleSet(name=name, samples=tuple(samples), flagged={}, attribution="made", licence="CC0-1.0",
                     simulated=name == "simulated")


TASK = Task(
    name="waves", task="waves", version="1", target=Quantity(units="m"),
    config=FitConfig(training=TrainingConfig(epochs=1), num_folds=2), read=read, prepare=from_the_mean,
)
PRIVATE = replace(TASK, task="private", grouping=replace(TASK.grouping, are_persons=True))
TASKS = {"waves": TASK, "private": PRIVATE}
'''  # noqa: E501


NAMES = ("waves", "copies", "pictures", "more", "cut", "years", "others", "simulated", "swapped")


@pytest.fixture
def made(tmp_path) -> Path:
    (tmp_path / "waves.py").write_text(ADAPTER)
    for name in NAMES:
        (tmp_path / name).mkdir()
    return tmp_path


def spec_in(made: Path, **changed) -> PretrainSpec:
    adapter = str(made / "waves.py")
    corpora = {"one": {"adapter": adapter, "data": str(made / "waves")}}
    corpora |= changed.pop("corpora", {"more": {"adapter": adapter, "data": str(made / "more"), "weight": 3}})
    plain = {
        "trunk": "xs",
        "corpora": corpora,
        "evaluations": {"score": {"adapter": adapter, "data": str(made / "waves"), "groups": ["beach 2"]}},
        "i_have_the_rights": [str(made / name) for name in NAMES],
        "training": {"steps": 6, "batch_size": 8},
    }
    return PretrainSpec.model_validate(plain | changed)


def corpus(made: Path, name: str, **more) -> dict[str, object]:
    return {name: {"adapter": str(made / "waves.py"), "data": str(made / name), **more}}


def test_a_run_is_a_trunk_whose_tokenizers_are_kept_when_it_is_adapted(made):
    out = made / "run"
    record = pretrain(spec_in(made), out)
    assert json.loads((out / "record.json").read_text())["trunk_sha256"] == record["trunk_sha256"]
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 6
    assert {"latents", "reconstruction", "contrast", "spread"} <= set(rows[-1])
    card = (out / "card.md").read_text()
    assert "CC0-1.0" in card
    assert "score: 10 samples" in card  # beach 7, the test part, and beach 2
    model, drawn = load_open_model(out), load_open_model("xs")
    assert model.sha256() == record["trunk_sha256"]
    assert not torch.equal(model.trunk.blocks[0].mlp.up.weight, drawn.trunk.blocks[0].mlp.up.weight)
    assert isinstance(model.tokenizer, StreamsTokenizer)
    assert set(model.tokenizer.specs) == {"waves", "first"}
    task = find_task(str(made / "waves.py"))
    fitting = with_settings(spec_of(task, str(out)), {"training.trunk": "full"})
    adapted = finetune(task, task.read(DataRequest(data=str(made / "waves"))), fitting, made / "adapted")
    assert adapted["tokenizer"] == "the trunk's own"
    member = load_run(made / "adapted", task).ensemble.members[0]
    assert not torch.equal(member.trunk.blocks[0].mlp.up.weight, model.trunk.blocks[0].mlp.up.weight)
    found, was = member.adapter.tokenizer.state_dict(), model.tokenizer.state_dict()
    changed = {name.rpartition(".")[2] for name, weight in was.items() if not torch.equal(found[name], weight)}
    assert changed == {"weight", "bias", "stream_code"}  # the statistics are those of pretraining


def test_a_seed_says_all_and_a_run_goes_on_from_another(made):
    first, again = pretrain(spec_in(made), made / "a"), pretrain(spec_in(made), made / "b")
    other = pretrain(spec_in(made, seed=1), made / "c")
    on = pretrain(spec_in(made, trunk=str(made / "a")), made / "d")
    assert first["trunk_sha256"] == again["trunk_sha256"] != other["trunk_sha256"]
    assert on["trunk_sha256"] != first["trunk_sha256"]
    assert on["last"]["latents"] < first["last"]["latents"]
    names = bundle(made / "a", made / "a.zip", with_weights=True)
    assert {"LICENCES.md", "CITATION.cff", "model.safetensors"} <= set(names)
    with zipfile.ZipFile(made / "a.zip") as packed:
        assert packed.read("LICENCES.md").decode().count("CC0-1.0. made") == 2
    assert export(made / "a", "tensorboard", made / "curves") >= 6 * 5
    curves = curve_table(find_runs(made)[0], made)
    assert curves[curves.run == "a"]["step"].tolist() == [1, 2, 3, 4, 5, 6]
    repeated = repeat(made / "a", made / "e")
    assert repeated.is_same
    assert not repeated.differs
    assert not repeat(made / "c", made / "f").differs  # with its own seed


def test_settings_on_the_command_line_go_before_the_spec(tmp_path):
    found = read_spec(EXAMPLE, ["training.steps=7", "corpora.regions.weight=3", "checkpoint.every_s=5"], seed=4)
    assert (found.training.steps, found.seed, found.checkpoint.every_s) == (7, 4, 5.0)
    assert {name: corpus.weight for name, corpus in found.corpora.items()} == {"regions": 3.0, "moisture": 1.0}
    assert found.training.batch_size == read_spec(EXAMPLE).training.batch_size
    for given, told in (
        (["training.step=7"], "did you mean training.steps?"),
        (["trunk.size=xs"], "one value there"),
        (["steps"], "want NAME=VALUE"),
        (["seed=1", "seed=2"], "twice"),
        (["training.steps=none"], "training.steps"),
    ):
        with pytest.raises(InputError, match=re.escape(told)):
            read_spec(EXAMPLE, given)


def test_a_killed_run_goes_on_where_it_was_and_ends_alike(made, monkeypatch):
    spec = spec_in(made, checkpoint={"every_steps": 2})
    whole = pretrain(spec, made / "whole")
    take = MaskedPretraining.after_step

    def killed(objective: MaskedPretraining, step: int) -> None:
        take(objective, step)
        if step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MaskedPretraining, "after_step", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(spec, made / "killed")
    assert not (made / "killed").exists()
    assert (made / "killed.state").is_dir()
    told = run_at(made / "killed")
    assert told is not None
    assert told.state == "training"
    assert (told.asked()["task"], told.asked()["data"]) == ("trunk", f"{made / 'more'}, {made / 'waves'}")
    steps: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(MaskedPretraining, "after_step", lambda one, step: (steps.append(step), take(one, step)))
        again = pretrain(spec, made / "killed")
    assert steps == [2, 3, 4, 5]
    assert again["trunk_sha256"] == whole["trunk_sha256"]
    assert not (made / "killed.state").exists()
    assert read_record(made / "killed")["data"]
    assert [row["step"] for row in read_lines(made / "killed" / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_a_pretraining_goes_on_spread_otherwise_but_not_with_other_settings(made):
    own = identity_of(spec_in(made))
    assert identity_of(spec_in(made, training={"steps": 6, "batch_size": 8, "spread": "shard"})) == own
    assert identity_of(spec_in(made, checkpoint={"every_steps": 2})) == own
    assert identity_of(spec_in(made, training={"steps": 7, "batch_size": 8})) != own


@pytest.mark.parametrize("spread", ["replicate", pytest.param("shard", marks=pytest.mark.slow)])
def test_the_command_in_two_processes_ends_well_and_writes_one_trunk(made, spread):
    spec = spec_in(made).model_dump(mode="json", exclude_none=True)
    (made / "spec.yaml").write_text(yaml.safe_dump(spec))
    beside = Path(sys.executable).parent
    command = [str(beside / "torchrun"), "--standalone", "--nproc-per-node=2", "--no-python", str(beside / "mainstem")]
    command += ["pretrain", str(made / "spec.yaml"), "--set", f"training.spread={spread}", "--out", str(made / "run")]
    told = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trunk ") == 1
    assert load_open_model(made / "run").sha256() == read_record(made / "run")["trunk_sha256"]


def test_a_mixture_seeks_and_keeps_to_its_weights(made):
    spec = spec_in(made, training={"steps": 200, "batch_size": 8, "batches_per_step": 2})
    corpora, _ = open_corpora(spec)
    mixture = Mixture(corpora=corpora, tokenizer=StreamsTokenizer(read_streams(corpora), 64), spec=spec)
    whole = list(mixture(0))
    assert len(whole) == 400
    for (rows, patches), (wanted, others) in zip(islice(mixture(150), 100), whole[300:], strict=True):
        assert torch.equal(rows, wanted)
        assert torch.equal(patches["waves.values"].nan_to_num(), others["waves.values"].nan_to_num())
    sizes = {len(one.samples): one.spec.weight for one in corpora}  # 30 of the first, 40 of the second
    of_second = np.mean([int(rows.max()) >= min(sizes) for rows, _ in whole])
    assert of_second > 0.6  # weight 3 of 4; a batch of 8 in 40 shows a row past 30 nine times in ten
    seen = np.concatenate([rows.numpy() for rows, _ in whole])
    assert set(seen.tolist()) == set(range(40))


def test_what_evaluations_score_is_in_no_corpus(made):
    (more, one), held = open_corpora(spec_in(made))
    groups = {sample.source.group for sample in one.samples}
    assert groups == {f"beach {number}" for number in (0, 1, 3, 4, 5, 6)}
    assert one.num_excluded == 5  # the test part is no training part anyway
    assert len(more.samples) == 40  # other data, whose groups have the same names
    told = held[0].facts()
    assert told["groups"] == ["beach 2", "beach 7"]
    assert told["num_samples"] == 10
    folds = {
        "adapter": str(made / "waves.py"),
        "data": str(made / "waves"),
        "folds": [1],
        "num_folds": 7,
        "test": False,
    }
    (_, one), held = open_corpora(spec_in(made, evaluations={"fold": folds}))
    assert {sample.source.group for sample in one.samples} == {f"beach {number}" for number in (0, 2, 3, 4, 5, 6)}
    assert [one.facts()["folds"] for one in held] == [(1,), ()]  # and the test part


def test_a_copy_of_what_is_scored_is_refused_whatever_it_is_called(made):
    with pytest.raises(InputError, match=r"corpora\.copies holds 2, on which evaluations\.score is scored"):
        open_corpora(spec_in(made, corpora=corpus(made, "copies")))


def test_another_export_of_what_is_scored_is_refused_by_any_of_its_streams(made):
    with pytest.raises(
        InputError, match=r"corpora\.cut holds, as waves, a stream on which evaluations\.score is scored"
    ):
        open_corpora(spec_in(made, corpora=corpus(made, "cut")))


def test_years_that_are_held_out_are_held_out_of_all_that_is_real(made):
    (one, years), _ = open_corpora(
        spec_in(made, evaluations=held(made, "years", "2003"), corpora=corpus(made, "years"))
    )
    assert {sample.source.group for sample in years.samples} == {"2000", "2001", "2002"}
    spec = spec_in(made, evaluations=held(made, "years", "2003"), corpora=corpus(made, "others"))
    other = open_corpora(spec)[0][1]
    assert {sample.source.group for sample in other.samples} == {"2000", "2001", "2002"}
    assert other.num_excluded == 10
    assert len(one.samples) == 35  # its own test part alone
    spec = spec_in(made, evaluations=held(made, "years", "2003"), corpora=corpus(made, "simulated"))
    made_up = open_corpora(spec)[0][1]
    assert made_up.num_excluded == 0


def held(made: Path, name: str, *groups: str) -> dict[str, object]:
    return {"score": {"adapter": str(made / "waves.py"), "data": str(made / name), "groups": list(groups)}}


def test_an_adapter_s_record_names_what_its_trunk_saw_and_is_not_scored_on_it(made, capsys):
    blind = spec_in(made, corpora={}, evaluations={})
    pretrain(blind, made / "trunk")
    task = find_task(str(made / "waves.py"))
    source = task.read(DataRequest(data=str(made / "waves")))
    fitting = with_settings(spec_of(task, str(made / "trunk")), {"training.trunk": "full"})
    record = finetune(task, source, fitting, made / "adapted")
    assert record["trunk"]["num_seen"] == 35  # all but the test part, which no corpus holds
    assert record["trunk"]["corpora"]["one"]["licence"] == "CC0-1.0"
    assert "it saw 35 of the samples adapted on" in capsys.readouterr().err
    assert "it saw 35 of" in (made / "adapted" / "card.md").read_text()
    assert record["trunk"]["sha256"] == read_record(made / "trunk")["trunk_sha256"]
    bundle(made / "adapted", made / "adapted.zip", title="Waves", authors=["A. Person"])
    with zipfile.ZipFile(made / "adapted.zip") as packed:
        licences, cited = packed.read("LICENCES.md").decode(), yaml.safe_load(packed.read("CITATION.cff"))
    assert licences.count("CC0-1.0. made") == 2  # its own data, and the corpus of its trunk
    assert str(made) not in licences.replace(str(made / "waves"), "")
    assert (cited["title"], cited["authors"]) == ("Waves", [{"name": "A. Person"}])
    shutil.copytree(made / "trunk", made / "forgetful")
    for left in (b"", b"no array", None):
        (made / "forgetful" / "seen.npy").unlink() if left is None else (
            (made / "forgetful" / "seen.npy").write_bytes(left)
        )
        with pytest.raises(InputError, match="nobody knows what the trunk saw"):
            read_pretrained(made / "forgetful")
    pretrain(spec_in(made, corpora={}, evaluations={}, seed=1), made / "other")
    shutil.move(made / "trunk", made / "moved")
    shutil.copytree(made / "other", made / "trunk")
    request = DataRequest(data=str(made / "waves"))
    asked = finetune(
        task, source, with_settings(spec_of(task, str(made / "moved")), {}), made / "asked", request=request
    )
    assert asked["trunk"]["num_seen"] == 35
    shutil.rmtree(made / "moved")
    shutil.copytree(made / "other", made / "moved")
    with pytest.raises(InputError, match="name its folder by --trunk"):
        repeat(made / "asked", made / "again", adapter=str(made / "waves.py"))
    other = task.read(DataRequest(data=str(made / "swapped")))  # what was trained on there is the test part here
    with pytest.raises(InputError, match="saw 5 of the 5 samples on which swapped is scored"):
        finetune(task, other, replace(fitting, trunk=str(made / "moved")), made / "never")
    request, fitting = DataRequest(data=str(made / "swapped")), replace(fitting, trunk=str(made / "moved"))
    with pytest.raises(InputError, match="pretrain without them"):
        evaluate(task, request, EvaluationSpec(fit=fitting))


def test_labels_are_among_the_data_that_a_record_hashes(made):
    task = find_task(str(made / "waves.py"))
    first = task.read(DataRequest(data=str(made / "more")))
    other = replace(first, samples=tuple(replace(one, target=one.target * 1.3) for one in first.samples))
    hashes = {
        finetune(task, source, spec_of(task), made / name)["data_sha256"]
        for name, source in (("a", first), ("b", other), ("c", first))
    }
    assert len(hashes) == 2


def test_groups_of_persons_are_not_named(made):
    private = {"adapter": str(made / "waves.py"), "task": "private", "data": str(made / "waves")}
    with pytest.raises(InputError, match="groups of private are persons"):
        open_corpora(spec_in(made, evaluations={"score": {**private, "groups": ["beach 2"]}}))
    _, held = open_corpora(spec_in(made, evaluations={"score": {**private, "folds": [0]}}))
    assert "beach" not in json.dumps({**held[0].facts(), "data": "", "adapter": ""})


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"groups": ["beach 22"]}, "has no group 'beach 22'; did you mean 'beach 2'"),
        ({"folds": [9]}, "got fold 9, want 0 to 4"),
        ({"test": False}, "brings no test part; hold out groups or folds by name"),
    ],
)
def test_an_evaluation_that_holds_out_nothing_known_is_refused(made, evaluation, said):
    score = {"adapter": str(made / "waves.py"), "data": str(made / "waves"), **evaluation}
    with pytest.raises(InputError, match=said):
        open_corpora(spec_in(made, evaluations={"score": score}))


def test_one_name_for_streams_of_two_kinds_is_refused_unless_one_is_renamed(made):
    corpora, _ = open_corpora(spec_in(made, corpora=corpus(made, "pictures")))
    with pytest.raises(InputError, match=r"corpora one, pictures: .*rename: {waves: other}"):
        read_streams(corpora)
    corpora, _ = open_corpora(spec_in(made, corpora=corpus(made, "pictures", rename={"waves": "beach"})))
    assert {name: spec.kind for name, spec in read_streams(corpora).items()} == {
        "beach": "image", "first": "scalar", "waves": "series",
    }  # fmt: skip
    with pytest.raises(InputError, match="no stream becomes 'sea'; there are waves"):
        open_corpora(spec_in(made, corpora=corpus(made, "pictures", rename={"wave": "sea"})))


def test_data_without_rights_are_refused_before_anything_is_read(made):
    with pytest.raises(InputError, match=r"without licence and record.*i_have_the_rights"):
        open_corpora(spec_in(made, i_have_the_rights=()))


def test_the_example_is_a_spec():
    spec = read_spec(EXAMPLE)
    assert spec.trunk == "xs"
    assert set(spec.corpora) == {"regions", "moisture"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("training: {stepz: 5}", "there is no setting training.stepz; did you mean training.steps?"),
        ("objective: {contrasts: 5}", "did you mean objective.contrast?"),
        ("masking: {bursts: 5}", "did you mean masking.burst?"),
        ("checkpoint: {every: 5}", "did you mean checkpoint.every_s?"),
        ("corpus: {}", "did you mean corpora?"),
        ("training: {steps: many}", "training.steps is many"),
        ("masking: {least: 0.9, most: 0.5}", "the least first"),
        ("trunk: 5.5.5\nevaluation: {}", "did you mean evaluations?"),
    ],
)
def test_a_spec_that_is_not_understood_is_one_line(tmp_path, line, said):
    path = tmp_path / "spec.yaml"
    base = "corpora:\n  a: {adapter: land-cover, data: eolearn-ndvi}\nevaluations: {}\n"
    path.write_text(base + line + "\n")
    run_cli("pretrain", str(path), "--out", str(tmp_path / "run")).refused(said)
    assert not (tmp_path / "run").exists()
    path.write_text(base.replace("data:", "dato:") + "\n")
    run_cli("pretrain", str(path), "--out", str(tmp_path / "run")).refused("did you mean corpora.NAME.data?")
