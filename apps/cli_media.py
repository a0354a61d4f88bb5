"""Commands on archives of pictures, sound, video and text; part of `apps.cli`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown

media_app = typer.Typer(
    no_args_is_help=True,
    help="Find, compare and verify in archives. Originals are never written to.",
)


@media_app.callback()
def media() -> None:
    """Find, compare and verify in archives. Originals are never written to."""


@media_app.command("provenance")
def look_at_provenance(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, or folders of them.")],
    trust: Annotated[
        Path | None,
        typer.Option(help="Who may sign: certificates in PEM, or a C2PA trust list in JSON; else the one that ships."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what files tell of where they come from (C2PA), and whether they are still what was signed; fetch nothing."""
    from mainstem.apps.media_provenance import lines_of, look

    with shown("provenance", as_json) as report:
        looked = look(paths, trust, report)
    is_one = len(paths) == 1 and not paths[0].is_dir()
    if as_json:
        print(json.dumps(looked.found[0].told() if is_one else looked.told()))
    else:
        tell(*lines_of(looked))
    tell(*(f"refused: {why}" for why in looked.refused.values()), to=sys.stderr)
    raise typer.Exit(1 if looked.refused else 0)


@media_app.command("sign")
def sign_copy(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A picture, sound, video or document.")],
    certificate: Annotated[Path, typer.Option(help="Your certificate in PEM, then those it was issued under.")],
    key: Annotated[Path, typer.Option(help="Its private key in PEM, without a passphrase.")],
    out: Annotated[Path, typer.Option(help="The signed copy, a new file.")],
    timestamp: Annotated[
        str | None, typer.Option(help="A service that stamps the time (RFC 3161), http(s)://...; else nothing is sent.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a copy of a file signed with your own certificate (C2PA); the file itself stays as it is."""
    from mainstem.apps.media_provenance import sign
    from mainstem.data.media.signing import Credentials

    before, after = sign(path, Credentials(certificate, key, timestamp), out)
    if as_json:
        print(json.dumps({"before": before.told(), "after": after.told()}))
        return
    tell(f"before: {before.verdict}: {before.words}", f"written: {out}", f"now: {after.verdict}: {after.words}")


@media_app.command("duplicates")
def group_copies(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of pictures, sound and video; folders in it, too.")],
    as_json: AsJson = False,
) -> None:
    """Group files that are copies of one another, edited, cut or re-encoded, and say by what; delete nothing."""
    from mainstem.apps.media_duplicates import find_duplicates, lines_of

    with shown("duplicates", as_json) as report:
        found = find_duplicates(folder, report)
    if as_json:
        print(json.dumps(found.told()))
    else:
        tell(*lines_of(found))
    tell(*(f"refused: {why}" for why in found.refused.values()), to=sys.stderr)
    raise typer.Exit(1 if found.refused else 0)
