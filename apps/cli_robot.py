"""Commands on recordings of robots; part of `apps.cli`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown

robot_app = typer.Typer(
    no_args_is_help=True,
    help="Look into recordings of robots. Not for protective functions (ISO 13849, ISO 10218).",
)
MsgPaths = Annotated[
    list[Path] | None, typer.Option("--msg-path", help="A folder of PACKAGE/msg/NAME.msg of your own; repeat it.")
]
Maps = Annotated[
    list[str] | None, typer.Option("--map", help="A sensor as ROLE=TOPIC, as imu=/imu/data; repeat it; else proposed.")
]


@robot_app.command("doctor")
def examine_recording(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A bag, .ulg, .csv, .npz, .mat, or a folder.")],
    msg_path: MsgPaths = None,
    as_json: AsJson = False,
) -> None:
    """Say what a recording holds and what is wrong with it; exits with 1 where a filter must not trust it."""
    from mainstem.apps.robot import examine, lines_of

    with shown("doctor", as_json):
        told = examine(path, msg_path or ())
    if as_json:
        print(json.dumps(told))
    else:
        tell(*lines_of(told))
    raise typer.Exit(0 if told["is_trusted"] else 1)


@robot_app.command("selfcheck")
def check_against_itself(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A recording, as predict sensor-fusion reads it.")],
    mapping: Maps = None,
    extrinsics: Annotated[Path | None, typer.Option(help="A YAML file of where sensors are mounted.")] = None,
    assume_identity: Annotated[
        bool, typer.Option("--assume-identity", help="Take sensors of unknown mounting for the body's own frame.")
    ] = False,
    msg_path: MsgPaths = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.99, help="Nominal coverage.")] = 0.9,
    out: Annotated[Path | None, typer.Option(help="A .json for predict --verified.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hide each sensor of a recording in turn, and hold what the filter then says against what was measured."""
    from mainstem.apps.robot_selfcheck import check_itself, lines_of_check
    from mainstem.core.task import YES, DataRequest

    options = {
        "map": "\n".join(mapping or ()),
        "msg-path": "\n".join(map(str, msg_path or ())),
        "extrinsics": "" if extrinsics is None else str(extrinsics),
        "assume-identity": YES if assume_identity else "",
    }
    request = DataRequest(data=str(path), options={name: value for name, value in options.items() if value})
    with shown("selfcheck", as_json):
        told = check_itself(request, level, out)
    if as_json:
        print(json.dumps(told))
    else:
        tell(*lines_of_check(told))
