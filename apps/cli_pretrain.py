"""`mainstem pretrain`; part of `apps.cli`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson, Mirror
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown


def pretrain_trunk(
    spec: Annotated[Path, typer.Argument(help="A YAML file, as docs/examples/pretrain.yaml.")],
    out: Annotated[Path, typer.Option(help="The run folder to write, which --trunk takes.")],
    seed: Annotated[int | None, typer.Option(min=0, max=10**9, help="Else the spec's.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, as training.steps=500; goes before the spec.")
    ] = None,
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Teach a trunk and its tokenizers from what mixed corpora hold, without aims, and write a run folder."""
    from mainstem.apps.pretrain import describe_losses, pretrain
    from mainstem.apps.pretrain_spec import read_spec

    found = read_spec(spec, settings or (), seed)
    with shown("pretrain", as_json) as report:
        record = pretrain(found, out, mirror, report)
    if not record:  # one of several processes, of which the first speaks
        return
    if as_json:
        print(json.dumps(record))
        return
    last = describe_losses(record["last"])
    tell(f"trunk {record['trunk_sha256'][:12]} in {record['seconds']:.0f} s: {last}", f"written: {out}")
    tell(*dict.fromkeys(one["attribution"] for one in record["corpora"].values()))
