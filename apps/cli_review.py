"""`mainstem review`: verify, anchor, export, back up and restore the review store; part of `apps.cli`.

Whoever may run these on the store's machine is its administrator: the files' permissions decide that, not this program.
"""

import json
import sys
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.apps.review_places import review_home, review_url

if TYPE_CHECKING:
    from mainstem.apps.review import ReviewStore

review_app = typer.Typer(no_args_is_help=True, help="Verify, anchor, back up and restore the store of reviews.")
Url = Annotated[
    str | None,
    typer.Option(envvar="MAINSTEM_REVIEW_URL", help="sqlite:///FILE or postgresql://...; else reviews.db of the home."),
]
Home = Annotated[
    Path | None,
    typer.Option(envvar="MAINSTEM_REVIEW_HOME", help="Keys and anchors; else review/ below MAINSTEM_HOME/v1."),
]
Out = Annotated[Path, typer.Argument(help="A file that is not there yet.")]


@review_app.callback()
def check_installed() -> None:
    """Say which libraries lack."""
    from importlib.util import find_spec

    from mainstem.core.errors import MissingExtraError

    for library in ("sqlalchemy", "alembic", "cryptography"):
        if find_spec(library) is None:
            raise MissingExtraError(library, "review")


@review_app.command("verify")
def verify(
    url: Url = None,
    home: Home = None,
    anchors: Annotated[
        list[Path] | None,
        typer.Option(help="A copy of the anchors, instead of those that the store writes; repeat it."),
    ] = None,
    public_key: Annotated[
        list[Path] | None, typer.Option(help="A key to believe, instead of those in the home; repeat it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that every record is as it was written; exits with 1 and names the first that is not."""
    from dataclasses import asdict

    from mainstem.apps.review import KEYS
    from mainstem.apps.review_anchors import AnchorFile, anchor_files
    from mainstem.apps.review_database import Database
    from mainstem.apps.review_keys import PUBLIC, load_keys
    from mainstem.apps.review_verification import verify_store

    keys = load_keys(public_key or sorted((review_home(home) / KEYS).glob(PUBLIC)))
    files = [AnchorFile(path) for path in anchors or ()] or anchor_files(review_home(home))
    found = verify_store(Database(review_url(url, home)), files, keys)
    if as_json:
        print(json.dumps({**asdict(found), "keys": keys.fingerprints()}))
    elif found.ok:
        held = f"records 0 to {found.num} are as they were written" if found.num else "no review is recorded yet"
        tell(f"{held}; anchored up to {found.anchored}")
        tell(*(f"believed: key {fingerprint}" for fingerprint in keys.fingerprints()))
    else:
        tell(f"NOT as it was written: {found.why}", to=sys.stderr)
    raise typer.Exit(0 if found.ok else 1)


@review_app.command("anchor")
def anchor(
    url: Url = None,
    home: Home = None,
    to: Annotated[
        Path | None, typer.Option(help="A further copy, e.g. on a disk that can only be appended to.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="An auditor's private key, which signs the present time too.")
    ] = None,
) -> None:
    """Anchor the newest record now: append what the copies lack, or an auditor's own line."""
    from mainstem.apps.review_keys import load_signer

    num = _opened(url, home).anchor(load_signer(key) if key else None, to)
    tell(f"anchored up to record {num}")


@review_app.command("export")
def export_reviews(out: Out, url: Url = None, home: Home = None) -> None:
    """Write the records as JSON lines, exactly as they are stored."""
    from mainstem.apps.review_backup import export

    tell(f"records 0 to {export(_opened(url, home), out)} in {out}")


@review_app.command("backup")
def back_up(out: Out, url: Url = None, home: Home = None) -> None:
    """Copy the store while it is in use: an SQLite file, or an export of PostgreSQL; keys are not in it."""
    from mainstem.apps.review_backup import back_up

    tell(f"records 0 to {back_up(_opened(url, home), out)} in {out}")


@review_app.command("restore")
def restore_reviews(
    source: Annotated[Path, typer.Argument(help="What backup or export wrote.")],
    url: Url = None,
    home: Home = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Although the anchors know later records; they are set aside.")
    ] = False,
) -> None:
    """Restore a backup, verified whole, into a place where nothing is."""
    from mainstem.apps.review_backup import restore

    found = restore(source, review_url(url, home), review_home(home), accept_loss=accept_loss)
    tell(f"restored records 0 to {found.num}" if found.ok else f"restored, but {found.why}")
    raise typer.Exit(0 if found.ok else 1)


@review_app.command("forget")
def forget(
    home: Home = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="The site's secret, as when a study ends: nobody's can be told any more.")
    ] = False,
) -> None:
    """Destroy the key of a patient, named on standard input: their records can no longer be told from others'."""
    from mainstem.apps.review import PSEUDONYMS
    from mainstem.apps.review_pseudonyms import Pseudonyms
    from mainstem.core.errors import InputError

    asked = 'Write "all" to destroy the keys of all patients' if everybody else "Patient"
    said = typer.prompt(asked, hide_input=not everybody) if sys.stdin.isatty() else sys.stdin.readline().strip()
    pseudonyms = Pseudonyms(review_home(home) / PSEUDONYMS)
    if everybody and said != "all":
        raise InputError('nothing is destroyed: want the word "all" on standard input')
    if everybody and not pseudonyms.forget_all():
        raise InputError("there is no secret of a site here; name the home")
    if not everybody and not pseudonyms.forget(said):
        raise InputError(
            "there is no key of this patient here; give PatientID, with ^^^ and its issuer where files name one, or "
            "name the home"
        )
    tell("the key is destroyed; delete its copies in backups of the home, too")


def _opened(url: str | None, home: Path | None) -> "ReviewStore":
    from mainstem.apps.review import ReviewStore
    from mainstem.apps.review_roles import User

    return ReviewStore.open_there(review_url(url, home), review_home(home)).as_user(User(getuser(), "admin"))
