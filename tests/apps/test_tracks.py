"""Tasks of recordings: how the command line evaluates and predicts them, and takes options of every kind."""

import json
from pathlib import Path

import pytest
from tests.hostile.harness import run_cli

from mainstem.apps.task_options import help_line, take
from mainstem.core.errors import InputError
from mainstem.core.task import DataRequest, Option

TOY = Path(__file__).with_name("toy_tracks.py")
OPTIONS = (
    Option(name="smooth", help="Look back.", kind="flag"),
    Option(name="map", help="ROLE=TOPIC.", kind="several"),
    Option(name="crop", help="E.g. wheat."),
)


@pytest.fixture
def logs(tmp_path) -> Path:
    """Two recordings, and a run's record."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "slow-1.txt").write_text("1\n2\n3\n")
    (tmp_path / "logs" / "fast-1.txt").write_text("4\n8\n")
    (tmp_path / "run").mkdir()
    record = {
        "adapter": "toy", "task": "tracks", "data": "logs", "simulated": False, "adapter_sha256": "0" * 64,
        "trunk_sha256": "0" * 64, "held_out": {}, "seconds": 1.0, "seed": 0, "spec": {},
    }  # fmt: skip
    (tmp_path / "run" / "record.json").write_text(json.dumps(record))
    return tmp_path


def test_flags_and_repeated_options_are_taken_out_of_the_arguments():
    given = ["bag", "--map", "imu=/a", "--smooth", "--map=wheel=/b", "--out", "x", "--", "--smooth"]
    rest, found = take(OPTIONS, given)
    assert rest == ["bag", "--out", "x", "--", "--smooth"]
    assert found == {"map": "imu=/a\nwheel=/b", "smooth": "yes"}
    request = DataRequest(data="bag", options=found)
    assert request.values("map") == ("imu=/a", "wheel=/b")
    assert request.values("crop") == ()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--smooth=yes"], "takes none"),
        (["--smooth", "--smooth"], "twice"),
        (["--crop", "a", "--crop", "b"], "twice"),
        (["--map"], "without a value"),
        (["--map", "--smooth"], "without a value"),
        (["--map", "imu=/a\nwheel=/b"], "line break"),
    ],
)
def test_options_given_wrongly_are_refused(given, told):
    with pytest.raises(InputError, match=told):
        take(OPTIONS, given)


def test_help_tells_the_kinds_apart():
    assert [help_line(option) for option in OPTIONS] == [
        "--smooth  Look back.",
        "--map TEXT  ROLE=TOPIC. Repeat it for more.",
        "--crop TEXT  E.g. wheat.",
    ]
    shown = run_cli("evaluate", TOY, "--help").taken().out
    assert "--backward  The last first." in shown
    assert "--channel TEXT  As name=column. Repeat it for more." in shown


def test_recordings_are_evaluated_by_their_task(logs):
    asked = ["evaluate", TOY, "--data", "logs", "--dropout-seed", "3", "--json"]
    told = json.loads(run_cli(*asked, cwd=logs).taken().out)
    assert (told["adapter"], told["task"], told["data"], told["dropout_seed"]) == ("toy", "tracks", "logs", 3)
    assert told["licence"] == "licence not stated"
    assert told["i_have_the_rights"] == []
    assert told["metrics"]["rmse"] > 0  # numbers are missing
    assert json.loads(run_cli("evaluate", TOY, "--data", "logs", "--json", cwd=logs).taken().out)["metrics"] == {
        "rmse": 0.0
    }


def test_seeds_are_averaged_and_a_run_is_handed_on(logs):
    asked = ["evaluate", TOY, "--data", "logs", "--json", "--i-have-the-rights"]
    told = json.loads(run_cli(*asked, "--seeds", "3", cwd=logs).taken().out)
    assert told["metrics"] == {"rmse": 1.0}
    assert told["seeds"] == 3
    assert told["i_have_the_rights"] == ["logs"]
    assert told["coverage"]["by_group"] == {group: {"coverage": 1.0, "claim": "stated"} for group in ("fast", "slow")}
    assert told["trials"] == [{"name": "fast-1", "rmse": 1.0}, {"name": "slow-1", "rmse": 1.0}]
    assert told["adapter_sha256"] is None
    assert json.loads(run_cli(*asked, "--run", "run", cwd=logs).taken().out)["adapter_sha256"] == "0" * 64
    run_cli(*asked, "--run", "run", "--seeds", "2", cwd=logs).refused("--seeds", "--run")


def test_an_evaluation_of_recordings_reads_as_lines(logs):
    lines = run_cli("evaluate", TOY, "--data", "logs", "--seed", "1", cwd=logs).taken().out.splitlines()
    assert lines == [
        f"{'toy':33} rmse 1.000",
        f"{'mean':33} rmse 2.000",
        "apart from mean: rmse -1 (-2, +0)",
        "coverage at 90%: 100.0%",
        f"  {'fast':31} rmse 1.000  coverage 100.0%, stated",
        f"  {'slow':31} rmse 1.000  coverage 100.0%, stated",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--protocol", "holdout"], ["--protocol", "means nothing"]),
        (["--frozen", "--trunk", "s"], ["--trunk and --frozen", "mean nothing"]),
        (["--workers", "2"], ["--workers"]),
        (["--set", "training.epochs=2"], ["--set"]),
        (["--precision", "bf16"], ["--precision"]),
        (["--chanel", "a=b"], ["--channel"]),
        (["--backward=no"], ["takes none"]),
    ],
)
def test_options_that_mean_nothing_to_recordings_are_refused(logs, given, words):
    run_cli("evaluate", TOY, "--data", "logs", *given, cwd=logs).refused(*words)


def test_a_recording_is_predicted_and_never_written_over(logs):
    asked = ["predict", "--backward", TOY, "logs/fast-1.txt", "--run", "run", "--channel", "a=1", "--channel", "b=2"]
    told = run_cli(*asked, "--out", "est.trk", cwd=logs).taken().out.splitlines()
    assert told == ["2 numbers in est.trk", "channel a=1", "channel b=2"]
    assert (logs / "est.trk").read_text() == "6\n4"
    source = logs / "logs" / "fast-1.txt"
    run_cli(*asked, "--out", "logs/fast-1.txt", cwd=logs).refused("is what is read")
    (logs / "link.trk").symlink_to(source)
    run_cli(*asked, "--out", "link.trk", cwd=logs).refused("is what is read")
    assert source.read_text() == "4\n8\n"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["logs/fast-1.txt", "--out", "est.csv"], [".trk"]),
        (["logs/fast-1.txt", "logs/slow-1.txt", "--out", "est.trk"], ["second input"]),
        (["logs/fast-1.txt", "--out", "est.trk", "--below", "3"], ["--below"]),
        (["run/record.json", "--out", "est.trk"], ["give numbers"]),
    ],
)
def test_what_cannot_be_predicted_is_refused(logs, given, words):
    run_cli("predict", TOY, *given, "--run", "run", cwd=logs).refused(*words)


def test_a_prediction_without_a_run_says_that_none_comes_along(logs):
    run_cli("predict", TOY, "logs/fast-1.txt", "--out", "est.trk", cwd=logs).refused("no run", "--run RUN")
