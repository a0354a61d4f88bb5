"""Commands that list and fetch open encoders; part of `apps.cli`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.ending import tell

Mirror = Annotated[Path | None, typer.Option(help="A folder to take files from instead of the network.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
models_app = typer.Typer(no_args_is_help=True, help="List and pull open encoders.")


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the open encoders: size, licence, gate, and what each expects."""
    from mainstem.apps.models import describe

    known = describe()
    if as_json:
        print(json.dumps({model["name"]: model for model in known}))
        return
    for model in known:
        mark = "staged" if model["staged"] else ""
        print(f"{model['name']:24} {model['megabytes']:7,.0f} MB  {model['licence']}  {mark}")
        print(f"{'':24} {model['expects']}")
        if model["gate"]:
            print(f"{'':24} gated: {model['gate']}")


@models_app.command("pull")
def pull_model(
    name: str,
    to: Annotated[Path | None, typer.Option(help="Where to stage it, for a machine without network.")] = None,
    mirror: Mirror = None,
) -> None:
    """Bring an open encoder's files here: a name of `models list`, or a hub repository owner/name."""
    from mainstem.apps.models import pull

    tell(pull(name, to, mirror))
