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
