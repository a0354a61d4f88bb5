"""Launching: golden scripts for the five sites, and everything that no site can run refused, naming the limit."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.hostile.harness import run_cli

from mainstem.apps.launch_checks import check_names, check_site, machine_of
from mainstem.apps.launch_commands import LAUNCHABLE
from mainstem.apps.launch_plan import Ask, as_smoke, plan_job
from mainstem.apps.launch_script import render
from mainstem.apps.map_files import COLLECTION, NOTES
from mainstem.apps.run_spec import RunSpec, command_line, members, read_spec
from mainstem.apps.site_profiles import Site, read_site, site_names
from mainstem.apps.typed_files import as_time, seconds_of
from mainstem.core.errors import InputError
from mainstem.core.openmodels.fetching import COMPLETE, staged_folder
from mainstem.core.plain_yaml import read_yaml
from mainstem.core.records import RECORD_FILE
from mainstem.data.catalogue import read_catalogue

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "run.yaml"
GOLDEN = Path(__file__).parent / "golden"
LUMI = "project_465000001"
FIT = {"command": "finetune", "adapter": "crop-yield", "data": "simulated-maize", "out": "runs/a", "time": "02:00:00"}
MAP = {"command": "map", "adapter": "crop-yield", "scenes": ["a.tif"], "out": "maps/a", "time": "02:00:00"}
EVALUATE = {**FIT, "command": "evaluate"}
PRETRAIN = {"command": "pretrain", "corpora": "pretrain.yaml", "out": "runs/a", "time": "02:00:00"}
ASKS = {
    "local": Ask(),
    "generic-slurm": Ask(nodes=2, account="test"),
    "jupiter": Ask(nodes=16, account="hai"),
    "juwels-booster": Ask(nodes=2, account="hai"),
    "lumi-g": Ask(nodes=2, account=LUMI),
}
VARIANTS = {
    "example": read_yaml(EXAMPLE),
    "seeds-and-sweep": {**FIT, "seeds": 2, "sweep": {"training.lr_per_step": ["0.001", "0.0003"]}},
    "map-shards": {**MAP, "shards": 8},
    "evaluate": {**EVALUATE, "options": {"window": "3"}},
}
SCRIPTS = [
    *((site, "example") for site in ASKS),
    *(
        (site, variant)
        for site in ("local", "lumi-g", "juwels-booster")
        for variant in VARIANTS
        if variant != "example"
    ),
]


def spec_of(given: dict[str, object]) -> RunSpec:
    return RunSpec.model_validate(given)


def script(site: str, variant: str) -> str:
    spec = spec_of(VARIANTS[variant])
    ask = ASKS[site] if spec.is_distributed else Ask(account=ASKS[site].account)
    return render(plan_job(site, read_site(site), spec, ask))


@pytest.mark.parametrize(("site", "variant"), SCRIPTS)
def test_scripts_are_the_golden_ones(site, variant):
    """To accept a change: MAINSTEM_GOLDEN=write pytest tests/apps/test_launch.py, and read the difference."""
    path = GOLDEN / f"{site}-{variant}.sh"
    if os.environ.get("MAINSTEM_GOLDEN") == "write":
        path.write_text(script(site, variant))
    assert script(site, variant) == path.read_text()


def test_every_golden_script_is_one_that_is_made():
    assert {path.stem for path in GOLDEN.glob("*.sh")} == {f"{site}-{variant}" for site, variant in SCRIPTS}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.sh")), ids=lambda path: path.stem)
def test_scripts_are_sound_for_bash_and_shellcheck(path, tmp_path):
    inner = re.search(r"<< 'STEP'\n(.*?)\nSTEP\n", path.read_text(), re.DOTALL)
    step = tmp_path / "step.sh"
    step.write_text(f"#!/bin/bash\nenvironment=$1 image=$2\n{inner[1]}\n" if inner else "#!/bin/bash\n")
    for file in (path, step):
        assert subprocess.run(["bash", "-n", file], capture_output=True, check=False).returncode == 0
    if shutil.which("shellcheck") is None:
        missing = "shellcheck is not installed (apt-get install shellcheck)"
        pytest.fail(missing) if os.environ.get("MAINSTEM_REQUIRE_ALL") else pytest.skip(missing)
    checked = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    checked = subprocess.run(["shellcheck", "--exclude=SC2034", step], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_a_dry_run_prints_the_script_and_nothing_else(tmp_path):
    told = run_cli("launch", "jupiter", EXAMPLE, "--nodes", 16, "--account", "hai", "--dry-run").taken()
    assert told.out == (GOLDEN / "jupiter-example.sh").read_text()
    assert not told.err


def test_profiles_say_whether_anything_was_run_there():
    assert set(site_names()) == set(ASKS)
    for name in site_names():
        said = "never run there" if name not in ("local", "generic-slurm") else "run there on 2026-11-29"
        assert read_site(name).said == said
        assert said in script(name, "example").splitlines()[1]


def test_lumi_gets_masks_for_whole_nodes_alone_and_never_gpus_per_task():
    whole, part = script("lumi-g", "example"), script("lumi-g", "evaluate")
    assert whole.count("0x00fe000000000000,0xfe00000000000000,0x0000000000fe0000,0x00000000fe000000,") == 1
    assert "mask_cpu" not in part
    assert "--partition=small-g" in part
    for text in (whole, part):
        assert "gpus-per-task" not in text
        assert "ROCR_VISIBLE_DEVICES" not in text
        assert re.search(r'caches=\$\(mktemp -d .*\n(export .*\n)*export MIOPEN_USER_DB_PATH="\$caches', text)


def test_what_a_process_is_told_is_told_inside_the_step():
    for site in ("generic-slurm", "jupiter", "lumi-g"):
        text = script(site, "example")
        before, inside = text.split("<< 'STEP'")
        assert "SLURM_PROCID" not in before
        assert 'RANK="$SLURM_PROCID" LOCAL_RANK="$SLURM_LOCALID"' in inside


def test_this_machine_s_gpus_are_shared_out_by_torchrun():
    several = render(plan_job("local", read_site("local"), spec_of({**FIT, "gpus_per_node": 2}), Ask()))
    start = "timeout --foreground --kill-after=120 7200 torchrun --standalone --nproc-per-node=2 --no-python"
    assert f'{start} "${{command[@]}}" || ended=$?' in several
    assert "torchrun" not in script("local", "example")


def test_an_array_has_a_member_a_combination_and_requeues_one_at_a_time():
    text = script("lumi-g", "seeds-and-sweep")
    assert "#SBATCH --array=0-3" in text
    assert "3) own=(--set training.lr_per_step=0.0003 --seed 1 --out runs/a/sweep-1/seed-1) ;;" in text
    assert 'job="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"' in text


def test_what_a_spec_names_reaches_the_command_whatever_letters_it_has():
    spec = spec_of({**FIT, "data": "my $(touch x) 'set'", "options": {"crop": "a b"}, "frozen": "true"})
    text = render(plan_job("local", read_site("local"), spec, Ask()))
    line = next(line for line in text.splitlines() if line.startswith("command="))
    told = subprocess.run(
        ["bash", "-c", f'own=(); {line}; printf "%s\\n" "${{command[@]}}"'], capture_output=True, text=True
    )
    assert told.stdout.splitlines()[1:] == [*command_line(spec, members(spec)[0])[:-2]]


def test_a_smoke_is_ten_minutes_of_the_first_member_on_the_debug_nodes():
    spec = spec_of({**FIT, "seeds": 4})
    job = as_smoke(plan_job("lumi-g", read_site("lumi-g"), spec, Ask(nodes=64, account=LUMI)))
    text = render(job)
    for option in ("partition=dev-g", "nodes=32", "time=00:10:00", "output=runs/a.smoke.job/log.txt", "no-requeue"):
        assert f"#SBATCH --{option}\n" in text
    assert "--array" not in text
    assert "scontrol requeue" not in text
    assert "export MAINSTEM_REQUEUED_BY_SCRIPT=never\n" in text  # else the run itself would ask for it
    assert "own=(--seed 0 --out runs/a.smoke)" in text


@pytest.mark.parametrize(("text", "seconds"), [("00:05:00", 300), ("2-00:00:00", 172_800), ("36:00:00", 129_600)])
def test_times(text, seconds):
    assert seconds_of(text) == seconds
    assert seconds_of(as_time(seconds)) == seconds


JUPITER, JUWELS = {"account": "hai"}, {"account": "hai"}
ON_LUMI = {"account": LUMI}
IMPOSSIBLE = [
    ("lumi-g", FIT, {}, "account"),
    ("jupiter", FIT, {}, "account"),
    ("juwels-booster", FIT, {}, "account"),
    ("lumi-g", FIT, {"account": "465000001"}, "project_[0-9]{9}"),
    ("lumi-g", FIT, {"account": "project_465000001; reboot"}, "project_[0-9]{9}"),
    ("jupiter", FIT, {"account": "two words"}, "accounts of jupiter"),
    ("lumi-g", FIT, {**ON_LUMI, "nodes": 1025}, "1024 at most"),
    ("lumi-g", FIT, {**ON_LUMI, "nodes": 2979}, "has 2978"),
    ("lumi-g", FIT, {**ON_LUMI, "nodes": 5, "partition": "small-g"}, "4 at most; take standard-g or dev-g"),
    ("lumi-g", FIT, {**ON_LUMI, "nodes": 33, "partition": "dev-g"}, "32 at most"),
    ("lumi-g", FIT, {**ON_LUMI, "time": "2-00:00:01"}, "standard-g gives 2-00:00:00"),
    ("lumi-g", FIT, {**ON_LUMI, "time": "3-00:00:01", "partition": "small-g"}, "small-g gives 3-00:00:00"),
    ("lumi-g", FIT, {**ON_LUMI, "time": "03:00:01", "partition": "dev-g"}, "dev-g gives 03:00:00"),
    ("lumi-g", {**FIT, "seeds": 3}, {**ON_LUMI, "partition": "dev-g"}, "dev-g admits 2"),
    ("lumi-g", {**FIT, "seeds": 211}, ON_LUMI, "standard-g admits 210"),
    ("lumi-g", {**MAP, "shards": 210}, ON_LUMI, "211 jobs"),
    ("lumi-g", {**FIT, "sweep": {"a": ["1"] * 20, "b": ["1"] * 20}}, ON_LUMI, "400 jobs"),
    ("lumi-g", {**FIT, "partition": "standard"}, ON_LUMI, "did you mean standard-g"),
    ("lumi-g", {**FIT, "gpus_per_node": 9}, ON_LUMI, "has 8 MI250X"),
    ("lumi-g", {**FIT, "gpus_per_node": 0}, ON_LUMI, "GPU node"),
    ("lumi-g", {**FIT, "cores_per_node": 64}, ON_LUMI, "has 56 cores"),
    ("lumi-g", {**FIT, "memory_gb": 481}, ON_LUMI, "has 480 GB"),
    ("lumi-g", {**FIT, "gpu_memory_gb": 80}, ON_LUMI, "has 64 GB"),
    ("lumi-g", {**FIT, "architecture": "aarch64"}, ON_LUMI, "are x86_64"),
    ("jupiter", {**FIT, "architecture": "x86_64"}, JUPITER, "are aarch64"),
    ("jupiter", FIT, {**JUPITER, "nodes": 5885}, "has 5884"),
    ("jupiter", FIT, {**JUPITER, "time": "1-00:00:01"}, "booster gives 1-00:00:00"),
    ("jupiter", {**FIT, "gpus_per_node": 5}, JUPITER, "has 4 GH200"),
    ("jupiter", {**FIT, "gpu_memory_gb": 97}, JUPITER, "has 96 GB"),
    ("jupiter", {**FIT, "partition": "develbooster"}, JUPITER, "did you mean booster"),
    ("juwels-booster", FIT, {**JUWELS, "nodes": 385}, "384 at most; take largebooster"),
    ("juwels-booster", FIT, {**JUWELS, "nodes": 384, "partition": "largebooster"}, "385 at least; take booster"),
    ("juwels-booster", FIT, {**JUWELS, "nodes": 937, "partition": "largebooster"}, "has 936"),
    ("juwels-booster", FIT, {**JUWELS, "nodes": 5, "partition": "develbooster"}, "4 at most"),
    ("juwels-booster", FIT, {**JUWELS, "time": "02:00:01", "partition": "develbooster"}, "02:00:00 at most"),
    ("juwels-booster", {**FIT, "gpu_memory_gb": 64}, JUWELS, "has 40 GB a A100"),
    ("juwels-booster", {**FIT, "memory_gb": 800}, JUWELS, "has 512 GB"),
    ("generic-slurm", FIT, {"time": "00:04:59"}, "00:05:00 at least"),
    ("generic-slurm", {**FIT, "seeds": 1002}, {}, "1001"),
    ("generic-slurm", EVALUATE, {"nodes": 2}, "evaluate takes 1"),
    ("generic-slurm", {**MAP, "shards": 4}, {"nodes": 2}, "give shards"),
    ("local", {**FIT, "seeds": 1002}, {}, "got 1002 members, this machine takes 1001"),
    ("local", {**FIT, "sweep": {f"s{n}": ["1", "2"] for n in range(40)}}, {}, f"got {2**40} members"),
    ("lumi-g", {**FIT, "sweep": {f"s{n}": ["1", "2"] for n in range(40)}}, ON_LUMI, f"got {2**40} members"),
    ("local", FIT, {"nodes": 2}, "has 1"),
    ("local", FIT, {"partition": "booster"}, "has none"),
    ("local", FIT, {"time": "90"}, "HH:MM:SS"),
    ("local", FIT, {"time": "00:00:00"}, "no time"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("site", "given", "ask", "said"), IMPOSSIBLE, ids=[f"{row[0]}: {row[3]}" for row in IMPOSSIBLE]
)
def test_what_a_site_cannot_run_is_refused_naming_the_limit(site, given, ask, said):
    with pytest.raises(InputError, match=re.escape(said)):
        plan_job(site, read_site(site), spec_of(given), Ask(**ask))


@pytest.mark.parametrize("site", ASKS)
def test_the_largest_that_a_site_takes_is_taken(site):
    profile = read_site(site)
    for name, limits in profile.partitions.items():
        seeds = min(limits.max_jobs or 1, profile.max_array)
        account = ASKS[site].account
        ask = Ask(nodes=limits.max_nodes, account=account, partition=name, time=as_time(limits.max_time))
        job = plan_job(site, profile, spec_of({**FIT, "seeds": seeds}), ask)
        assert f"#SBATCH --nodes={limits.max_nodes}\n" in render(job)


BAD_SPECS = [
    ({"comand": "finetune"}, "did you mean command"),
    ({**FIT, "adaptor": "crop-yield"}, "did you mean adapter"),
    ({**FIT, "command": "train"}, "command is train"),
    ({key: value for key, value in FIT.items() if key != "time"}, "time is missing"),
    ({key: value for key, value in FIT.items() if key != "data"}, "needs data"),
    ({**FIT, "shards": 4}, "finetune does not read it"),
    ({**PRETRAIN, "i_have_the_rights": "true"}, "i_have_the_rights: the SPEC that corpora names says so itself"),
    ({**MAP, "i_have_the_rights": "true"}, "map does not read it"),
    ({**FIT, "options": {"i-have-the-rights": "true"}}, "launch sets it"),
    ({**MAP, "seeds": 4}, "map does not read it"),
    ({**FIT, "options": {"out": "x"}}, "launch sets it"),
    ({**FIT, "settings": {"a": ["1", "2"]}}, "swept under sweep"),
    ({**FIT, "sweep": {"a": []}}, "no value"),
    ({**FIT, "settings": {"a": "1"}, "sweep": {"a": ["2"]}}, "set and swept"),
    ({**FIT, "out": "runs/%j"}, "out is runs/%j"),
    ({**FIT, "out": "runs/a b"}, "out is"),
    ({**FIT, "time": "2 hours"}, "HH:MM:SS"),
    ({**FIT, "seeds": 0}, "seeds is 0"),
    ({**FIT, "adapter": "--help"}, "adapter is --help, which the command would take for an option"),
    ({**PRETRAIN, "corpora": "--help"}, "corpora is --help"),
    ({**MAP, "scenes": ["a.tif", "-h"]}, "scenes is -h"),
    ({**FIT, "data": "--json"}, "data is --json"),
    ({**FIT, "options": {"crop": "--help"}}, "options.crop is --help"),
    ({**FIT, "options": {"help": "true"}}, "launch sets it"),
    *(
        ({**FIT, "out": out}, f"out is {out}, which names no new folder")
        for out in ("/", ".", "..", "./", "a/.", "a/..", "a/./")
    ),
    ([1, 2], "want names with values"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), BAD_SPECS, ids=[said for _, said in BAD_SPECS])
def test_a_bad_spec_is_one_line(given, said, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(given))
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_spec(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"settings": {"training": {"epoch": "5"}}}, "did you mean training.epochs"),
        ({"sweep": {"training.epochs": ["5", "many"]}}, "training.epochs=many"),
        ({"adapter": "crop-yeld"}, "did you mean 'crop-yield'"),
        ({"task": "nothing"}, "nothing"),
        ({"data": "us-maze"}, "neither a data set's name nor a path"),
        ({"i_have_the_rights": ["other"]}, "does not use"),
    ],
)
def test_what_a_spec_names_is_known_before_anything_is_submitted(given, said):
    with pytest.raises(InputError, match=re.escape(said)):
        check_names(spec_of({**FIT, **given}), is_there=True)


def pretraining(folder: Path, changed: dict[str, object]) -> RunSpec:
    """Write a pretraining's SPEC, and return a run of it."""
    corpora = {"regions": {"adapter": "crop-yield", "data": "nl-maize"}}
    held = {"later": {"adapter": "fuel-moisture", "data": "fuel-moisture"}}
    path = folder / "pretrain.yaml"
    path.write_text(json.dumps({"trunk": "xs", "corpora": corpora, "evaluations": held, **changed}))
    return spec_of({**PRETRAIN, "corpora": str(path)})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trunk": "nosuch"}, "'nosuch', which is no file, folder, known model"),
        ({"trunk": "dinov2-small"}, "of the family dinov2; want xs"),
        ({"corpora": {"a": {"adapter": "crop-yeild", "data": "nl-maize"}}}, "did you mean 'crop-yield'"),
        (
            {"corpora": {"a": {"adapter": "crop-yield", "task": "none", "data": "nl-maize"}}},
            "corpora.a: got task 'none'",
        ),
        (
            {"corpora": {"a": {"adapter": "crop-yield", "data": "nl-maize", "options": {"crop": "unicorn"}}}},
            "not 'unicorn'",
        ),
        (
            {"corpora": {"a": {"adapter": "crop-yield", "data": "nl-maize", "options": {"cropp": "maize"}}}},
            "mean crop?",
        ),
        ({"evaluations": {"b": {"adapter": "crop-yeild", "data": "nl-maize"}}}, "evaluations.b"),
        ({"evaluations": {"b": {"adapter": "crop-yield", "data": "nl-maze"}}}, "neither a data set's name nor a path"),
    ],
)
def test_a_pretraining_that_cannot_start_is_refused_before_it_is_submitted(changed, said, tmp_path):
    check_names(pretraining(tmp_path, {}), is_there=True)
    with pytest.raises(InputError, match=re.escape(said)):
        check_names(pretraining(tmp_path, changed), is_there=True)


def test_what_a_pretraining_and_its_evaluations_read_must_be_staged_for_nodes_without_network(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    monkeypatch.delenv("MAINSTEM_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    job = plan_job("jupiter", read_site("jupiter"), pretraining(tmp_path, {"trunk": "us/own-trunk"}), ASKS["jupiter"])
    found = {finding.what: finding.state for finding in check_site(job)}
    wanted = ("data nl-maize", "data fuel-moisture", "model us/own-trunk")
    assert [found[what] for what in wanted] == ["fail"] * 3


def test_a_trunk_s_config_alone_says_whether_it_can_be_pretrained(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mainstem"}))
    check_names(pretraining(tmp_path, {"trunk": str(tmp_path)}), is_there=True)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(InputError, match="of the family vit"):
        check_names(pretraining(tmp_path, {"trunk": str(tmp_path)}), is_there=True)


def test_a_fit_is_told_whose_data_they_are_and_a_result_is_known_by_its_file(tmp_path):
    assert command_line(mine := spec_of({**FIT, "i_have_the_rights": "true"}), members(mine)[0])[-3:-2] == (
        "--i-have-the-rights",
    )
    assert "--i-have-the-rights" not in command_line(spec_of(FIT), members(spec_of(FIT))[0])
    assert LAUNCHABLE["map"].writes == (NOTES, COLLECTION)
    assert {RECORD_FILE} == {name for one in ("finetune", "pretrain") for name in LAUNCHABLE[one].writes}


def test_an_option_that_the_command_does_not_have_is_refused_by_the_command_s_own_parser(tmp_path):
    for given, word in (({"options": {"cropp": "wheat"}}, "did you mean --crop"), ({"protocol": "x"}, "finetune")):
        (tmp_path / "run.yaml").write_text(json.dumps({**FIT, **given}))
        run_cli("launch", "local", tmp_path / "run.yaml", "--dry-run").refused(word)


def test_a_check_tells_all_that_it_tested(tmp_path):
    (tmp_path / "run.yaml").write_text(json.dumps({**FIT, "sweep": {"training.epochs": ["5", "6"]}}))
    told = run_cli("launch", "local", tmp_path / "run.yaml", "--check").taken().out.splitlines()
    assert told[:-1] == [
        "ok   data simulated-maize: rights: CC0-1.0",
        "ok   task: finetune crop-yield",
        "ok   settings: 0 given, 1 swept, 2 members",
    ]
    assert told[-1].startswith("ok   room: ")


def test_a_wrong_setting_is_told_by_the_spec_that_it_stands_in(tmp_path):
    pretraining(tmp_path, {})
    corpora = {**PRETRAIN, "corpora": str(tmp_path / "pretrain.yaml")}
    for given, part in (
        ({"sweep": {"training.lr_per_stp": ["1"]}}, "sweep"),
        ({"settings": {"training": {"lr_per_stp": "1"}}}, "settings"),
    ):
        for spec in (corpora, FIT):
            (tmp_path / "bad.yaml").write_text(json.dumps({**spec, **given}))
            told = run_cli("launch", "local", tmp_path / "bad.yaml", "--dry-run").refused("training.lr_per_stp")
            assert told.err.startswith(f"mainstem: {tmp_path / 'bad.yaml'}, {part}: there is no setting")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'pretrain.yaml'}: ")):
        check_names(pretraining(tmp_path, {"corpra": {}}), is_there=True)


def test_data_without_a_licence_is_refused_unless_the_spec_says_whose_it_is(tmp_path):
    (tmp_path / "mine.csv").write_text("sample,target,group\n")
    spec = {**FIT, "data": str(tmp_path / "mine.csv")}
    for is_there in (True, False):
        with pytest.raises(InputError, match="i_have_the_rights"):
            check_names(spec_of(spec), is_there=is_there)
    check_names(spec_of({**spec, "i_have_the_rights": "true"}), is_there=True)
    check_names(spec_of({**spec, "i_have_the_rights": [spec["data"]]}), is_there=True)


def test_sets_that_are_made_of_others_launch_by_the_rights_of_these():
    spec = {**FIT, "adapter": "media", "task": "digit-pairs", "data": "digit-pairs"}
    for is_there in (True, False):
        found = check_names(spec_of(spec), is_there=is_there)
        assert found[0].what == "data digit-pairs"
        assert found[0].found == "rights: CC BY-SA 4.0 and CC BY 4.0"


def test_data_that_a_node_without_network_could_not_fetch_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    monkeypatch.delenv("MAINSTEM_MIRROR", raising=False)
    spec = spec_of({**FIT, "data": "us-maize", "trunk": "dinov2-small"})
    job = plan_job("jupiter", read_site("jupiter"), spec, ASKS["jupiter"])

    def told() -> tuple[str, ...]:
        found = {finding.what: finding for finding in check_site(job)}
        return tuple(found[what].state for what in ("data us-maize", "model dinov2-small", "Slurm"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert told() == ("fail", "fail", "fail")  # nor is there a scheduler
    folder = tmp_path / "v1" / read_catalogue()["us-maize"].folder
    folder.mkdir(parents=True)
    for file in read_catalogue()["us-maize"].files:
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.name).touch()
    staged = staged_folder("dinov2-small", tmp_path / "models")
    (staged / COMPLETE).parent.mkdir(parents=True)
    (staged / COMPLETE).touch()
    assert told() == ("ok", "ok", "fail")


def test_a_profile_of_one_s_own_is_read_and_its_mistakes_are_named(tmp_path):
    own = tmp_path / "our-cluster.yaml"
    own.write_text(
        (ROOT / "apps" / "sites" / "generic-slurm.yaml").read_text().replace("max_array: 1001", "max_array: 2")
    )
    with pytest.raises(InputError, match="takes 2 at once"):
        plan_job("our-cluster", read_site(str(own)), spec_of({**FIT, "seeds": 3}), Ask())
    own.write_text(own.read_text() + "gpu_per_node: 4\n")
    with pytest.raises(InputError, match="did you mean gpus_per_node"):
        read_site(str(own))
    with pytest.raises(InputError, match="did you mean lumi-g"):
        read_site("lumi")
    assert Site.model_validate(read_yaml(ROOT / "apps" / "sites" / "local.yaml")).said


def test_which_machine_a_program_is_for_is_read_from_its_head(tmp_path):
    head = bytearray(Path("/bin/true").read_bytes()[:64])
    (tmp_path / "a").write_bytes(head)
    assert machine_of(tmp_path / "a") == os.uname().machine
    head[18:20] = (0xB7).to_bytes(2, "little")
    (tmp_path / "b").write_bytes(head)
    assert machine_of(tmp_path / "b") == "aarch64"
    assert machine_of(tmp_path / "none") is None
