"""The command line. Heavy libraries are imported inside commands, so that --help stays quick."""

import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from mainstem.apps import ending
from mainstem.apps.cli_data import data_app
from mainstem.apps.cli_dicom import dicom_app
from mainstem.apps.cli_fields import fields_app
from mainstem.apps.cli_jobs import jobs_app
from mainstem.apps.cli_launch import env_app, launch_run
from mainstem.apps.cli_lists import AsJson, Mirror, models_app
from mainstem.apps.cli_maps import map_adapter, merge_shards, named_run
from mainstem.apps.cli_media import media_app
from mainstem.apps.cli_pretrain import pretrain_trunk
from mainstem.apps.cli_review import review_app
from mainstem.apps.cli_robot import robot_app
from mainstem.apps.cli_runs import runs_app
from mainstem.apps.ending import check_arguments, tell
from mainstem.apps.peaks import note_peaks
from mainstem.apps.progress import shown
from mainstem.apps.shared_options import (
    ComputeCommand,
    FitCommand,
    PredictCommand,
    compute_given,
    given_compute,
    given_fit,
    settings_given,
)
from mainstem.apps.task_options import RunCommand, given_options
from mainstem.core.errors import InputError
from mainstem.data.earth.gdal import keep_offline

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads of two jobs on shared cores starve each other
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
MOST_LINES = 20  # predictions that are told one by one
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")
app.add_typer(runs_app, name="runs")
app.add_typer(dicom_app, name="dicom")
app.add_typer(review_app, name="review")
app.add_typer(robot_app, name="robot")
app.add_typer(media_app, name="media")
app.add_typer(fields_app, name="fields")
app.add_typer(jobs_app, name="jobs")
app.add_typer(env_app, name="env")

Port = Annotated[int, typer.Option(min=1024, max=65535, help="Of 127.0.0.1.")]
Task = Annotated[str | None, typer.Option(help="Of the adapter's tasks, the first unless given.")]
TrunkName = Annotated[
    str | None, typer.Option(help="An open model, weights or size (xs, ti, s, b) to adapt by LoRA; see models list.")
]
Seeds = Annotated[int, typer.Option(min=1, max=1000, help="How many to train, each with its own seed.")]
Seed = Annotated[int | None, typer.Option(min=0, max=10**9, help="The first seed; else the task's, 0.")]
Rights = Annotated[
    bool,
    typer.Option("--i-have-the-rights", help="The data state no licence, and are yours to use: records keep that."),
]
Frozen = Annotated[bool, typer.Option("--frozen", help="Train the head alone, on features computed once.")]


@app.callback()
def mainstem() -> None:
    """Calibrated predictions from any data stream, on one open core."""
    check_arguments(sys.argv[1:])
    keep_offline()


@app.command("embed", cls=ComputeCommand)
def embed(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A name of models list, a hub repository, a file or a folder.")],
    source: Annotated[str, typer.Option("--input", help=".npz of inputs by name, an image, .txt, or pixel series.")],
    out: Annotated[Path, typer.Option(help="A .npy, .npz, .csv or .parquet file.")],
    family: Annotated[str | None, typer.Option(help="Where the weights do not say it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one vector a sample, made by an open encoder."""
    from mainstem.apps.models import embed_file

    done = embed_file(model, source, out, family, given_compute(ctx))
    if as_json:
        print(json.dumps(done))
    else:
        tell(f"{done['num']} vectors of {done['dim']} ({done['family']}) in {out}")


@app.command("evaluate", cls=FitCommand)
def evaluate_adapter(
    ctx: typer.Context,
    adapter: str,
    data: Annotated[str, typer.Option(help="A data set's name, or a path.")],
    task: Task = None,
    run: Annotated[Path | None, typer.Option(help="Score this run instead of training by the protocol.")] = None,
    trunk: TrunkName = None,
    frozen: Frozen = False,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="holdout, official, leave-one-year-out, leave-one-group-out, grouped-folds or season-by-season."
        ),
    ] = None,
    window: Annotated[int, typer.Option(min=0, help="Season by season: groups to calibrate on, 0 for all.")] = 0,
    seeds: Seeds = 1,
    seed: Seed = None,
    dropout_seed: Annotated[
        int | None, typer.Option(min=0, max=10**9, help="Drop streams of test samples at random.")
    ] = None,
    with_flagged: Annotated[
        bool, typer.Option("--with-flagged", help="Train and score once more on rows with faults.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes that train parts; all cores unless given.")
    ] = None,
    i_have_the_rights: Rights = False,
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Train by the data set's own protocol and score beside the baselines, or score a run."""
    from mainstem.adapters import find_task, task_of_run
    from mainstem.apps.evaluate import evaluate
    from mainstem.apps.evaluation_text import describe, describe_tracks
    from mainstem.apps.protocols import EvaluationSpec
    from mainstem.apps.tracks import evaluate_tracks, is_tracked, refuse_idle
    from mainstem.core.task import DataRequest

    if run is not None:
        given = {"--with-flagged": with_flagged, "--trunk": trunk, "--frozen": frozen, "--seeds": seeds > 1}
        _check_untrained({**given, **settings_given(ctx)})
    found = find_task(adapter, task, data) if run is None else task_of_run(run, adapter, task)
    fit = given_fit(ctx, found, trunk, frozen, seed)
    options = given_options(ctx)
    request = DataRequest(data=data, options=options, mirror=mirror, i_have_the_rights=i_have_the_rights)
    spec = EvaluationSpec(
        fit=fit,
        protocol=protocol,
        seeds=seeds,
        dropout_seed=dropout_seed,
        window=window,
        with_flagged=with_flagged,
        workers=workers or 0,
    )
    tracked = is_tracked(found, data)
    if tracked:
        choices = {"--protocol": protocol, "--window": window, "--with-flagged": with_flagged, "--workers": workers}
        fitting = {"--trunk": trunk, "--frozen": frozen, **settings_given(ctx), **compute_given(ctx)}
        refuse_idle(found, {**fitting, **choices})
    with shown("evaluate", as_json) as report:
        if tracked:
            result = evaluate_tracks(found, request, spec, run, report)
        else:
            result = evaluate(found, request, spec, run=run, progress=report, adapter=adapter)
    if as_json:
        print(json.dumps(result))
        return
    tell(*(describe_tracks(result) if tracked else describe(result, found.target)).split("\n"))


def _check_untrained(given: Mapping[str, object]) -> None:
    """Refuse options of training where a run is scored; --seed is none: baselines are fitted with it."""
    idle = [name for name, value in given.items() if value]
    if idle:
        raise InputError(f"{', '.join(idle)} would train, and --run scores a run as it is; leave one of both out")


@app.command("finetune", cls=FitCommand)
def finetune_adapter(
    ctx: typer.Context,
    adapter: str,
    data: Annotated[str, typer.Option(help="A data set's name, or a path.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    task: Task = None,
    trunk: TrunkName = None,
    frozen: Frozen = False,
    seeds: Seeds = 1,
    seed: Seed = None,
    i_have_the_rights: Rights = False,
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Fit an adapter, calibrate it on groups never trained on, and write a run folder."""
    from mainstem.adapters import find_task
    from mainstem.apps.finetune import finetune, seeded_runs
    from mainstem.apps.sources import read_licensed
    from mainstem.core.task import DataRequest

    found = find_task(adapter, task, data)
    spec = given_fit(ctx, found, trunk, frozen, seed)
    options = given_options(ctx)
    request = DataRequest(data=data, options=options, mirror=mirror, i_have_the_rights=i_have_the_rights)
    source = read_licensed(found, request)
    with shown("finetune", as_json) as report:
        records = [
            finetune(found, source, each, folder, report, request) for each, folder in seeded_runs(spec, out, seeds)
        ]
    if not all(records):  # the first of several processes speaks for all
        return
    if as_json:
        print(json.dumps(records[0] if seeds == 1 else {"runs": records}))
        return
    for record in records:
        figures = ", ".join(f"{name} {value:.3g}" for name, value in record["held_out"].items())
        tell(f"adapter {record['adapter_sha256'][:12]} in {record['seconds']:.0f} s: {figures}")
        if record["tokenizer"]:
            tell(f"tokenizer: {record['tokenizer']}")
    tell(f"written: {out}", source.attribution)


@app.command("calibrate", cls=RunCommand)
def calibrate_run(
    ctx: typer.Context,
    run: Path,
    data: Annotated[str, typer.Option(help="Labelled data of groups that the run was not trained on.")],
    adapter: Annotated[
        str | None,
        typer.Option(help="The run's adapter, where it is none of mainstem's own: a name, or FILE.py to run."),
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.99)] = 0.9,
    append: Annotated[
        bool, typer.Option("--append", help="Add to what calibration knows; else it is replaced.")
    ] = False,
    window: Annotated[int, typer.Option(min=0, help="With --append: keep the last so many groups, 0 for all.")] = 0,
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Restore a run's claim of coverage with your own labels."""
    from mainstem.adapters import task_of_run
    from mainstem.apps.calibrate import CalibrationSpec, calibrate
    from mainstem.core.task import DataRequest

    task = task_of_run(run, adapter)
    spec = CalibrationSpec(level=level, is_appended=append, window=window)
    entry = calibrate(task, run, DataRequest(data=data, options=given_options(ctx), mirror=mirror), spec)
    if as_json:
        print(json.dumps(entry))
        return
    print(f"calibrated on {entry['cases']} cases of {len(entry['groups'])} groups; before, the {level:.0%} regions")
    change = f"{entry['width_after'] / entry['width_before'] - 1:+.0%}" if entry["width_before"] else "from nothing"
    print(f"covered {entry['coverage_before']:.1%} of them; widths change by {change}")
    if "left_out" in entry:
        of, num, rmse, bias = (entry["left_out"][name] for name in ("of", "n", "rmse", "bias"))
        tell(f"{of} means, each told without its own group's labels: RMSE {rmse:.3g}, bias {bias:+.3g} (n = {num})")
    tell(f"claim: {entry['claim']} {entry['reason']}".rstrip())
    if entry.get("means", {}).get("state", "stated") != "stated":
        tell(f"claim of means: {entry['means']['state']} {entry['means']['reason']}".rstrip())


@app.command("predict", cls=PredictCommand)
def predict_inputs(
    ctx: typer.Context,
    adapter: str,
    inputs: Annotated[list[str], typer.Argument(help="Data sets or paths.")],
    out: Annotated[
        Path, typer.Option(help="A .csv or .jsonl file; a folder, where predictions are files; of recordings, as told.")
    ],
    run: Annotated[Path | None, typer.Option(help="The run folder; else one that comes with the package.")] = None,
    task: Task = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.99)] = 0.9,
    below: Annotated[list[float] | None, typer.Option(help="Threshold whose probability is wanted; repeat it.")] = None,
    mirror: Mirror = None,
) -> None:
    """Predict with intervals, claims and origin, one row a sample; exit status 1 where some inputs were refused."""
    from mainstem.adapters import find_task, task_of_run
    from mainstem.apps.export import check_room, write_told
    from mainstem.apps.sources import read_each
    from mainstem.apps.tracks import is_tracked, predict_track, refuse_idle
    from mainstem.core.fitted import load_run
    from mainstem.core.predict import check_thresholds, predict, unread_in
    from mainstem.core.task import DataRequest, TrackAsk
    from mainstem.data.table import files_named

    run = named_run(run, adapter, find_task(adapter, task).task)
    check_thresholds(below or ())
    found = task_of_run(run, adapter, task)
    asked = [DataRequest(data=data, options=given_options(ctx), mirror=mirror) for data in inputs]
    if is_tracked(found, inputs[0]):
        refuse_idle(found, {"--below": below, "a second input": len(inputs) > 1, **compute_given(ctx)})
        tell(*predict_track(found, TrackAsk(request=asked[0], run=run, level=level), out))
        return
    check_room(found, out, [*inputs, run, *files_named(inputs)])
    samples, unread = read_each(found, asked)
    fitted = load_run(run, found).on(given_compute(ctx))
    predictions = predict(fitted, samples, found.view_of, level, below or ())
    write_told(found, predictions, samples, out, unread_in(fitted, unread, level))
    states = [prediction.claim.state for prediction in predictions]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("stated", "withdrawn", "none"))
    refused = sum(prediction.abstained for prediction in predictions)
    beside = f", of which {refused} say why nothing is predicted" if refused else ""
    tell(*(prediction.line() for prediction in predictions[:MOST_LINES]))
    tell(f"{len(predictions)} predictions in {out}{beside}; claims: {counts}")
    tell(*(f"refused: {name}: {why}" for name, why in unread.items()), to=sys.stderr)
    raise typer.Exit(1 if unread else 0)


app.command("launch")(launch_run)
app.command("pretrain")(pretrain_trunk)
app.command("map", cls=ComputeCommand)(map_adapter)
app.command("map-merge")(merge_shards)


@app.command("doctor")
def doctor(as_json: AsJson = False) -> None:
    """Check this installation: libraries, data, memory and whether the dashboards stay on this machine."""
    from mainstem.apps.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps(findings))
    else:
        for finding in findings:
            mark = {"ok": "ok  ", "warn": "note", "fail": "FAIL"}[finding["state"]]
            tell(f"{mark} {finding['what']}: {finding['found']}")
    raise typer.Exit(1 if any(finding["state"] == "fail" for finding in findings) else 0)


@app.command("new-adapter")
def new_adapter(
    name: str,
    data: Annotated[Path, typer.Option(help="A CSV or Parquet table with sample, target, group, licence.")],
    to: Annotated[Path, typer.Option(help="Where adapters/ and tests/ are written.")] = Path(),
) -> None:
    """Write an adapter and its test for a table of your own."""
    from mainstem.apps.new_adapter import write_adapter

    for path in write_adapter(name, data, to):
        tell(path)


@app.command("demo")
def demo(
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the dashboards meanwhile.")] = True,
    mirror: Mirror = None,
    port: Port = 8501,
) -> None:
    """Make a field map and a crop-yield model, of real regions where data can be had, and open the pages meanwhile."""
    from mainstem.apps.demo import prepare
    from mainstem.apps.serving import serve_beside

    if serve:
        where = ["--mirror", str(mirror)] if mirror else []
        serve_beside(["demo", "--no-serve", *where], port)
        return
    with shown("demo", quiet=False) as report:
        ready = prepare(mirror, report)
    tell(f"{ready['data']} ({'simulated' if ready['simulated'] else 'real'}): {ready['run']}")


@app.command("dashboard")
def dashboard(
    port: Port = 8501,
    opened: Annotated[
        Path | None, typer.Option("--open", metavar="DIR", help="A map, or a folder of maps, to open on its page.")
    ] = None,
) -> None:
    """Serve the dashboards on this machine."""
    from mainstem.apps.serving import serve_dashboards

    if opened is None:
        serve_dashboards(port)
        return
    from mainstem.apps.field_maps import offer_map

    serve_dashboards(port, f"/field_map?map={quote(offer_map(opened))}")


def main() -> None:
    """Run a command; a user's mistake is one line and exit status 2.

    No process that it starts imports from the folder that it stands in, which may hold anything.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    status = ending.run(partial(app, standalone_mode=False))
    note_peaks(status)
    sys.exit(status)
