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

Workers = Annotated[int | None, typer.Option(min=1, max=256, help="Processes that read; else one a core.")]
Retry = Annotated[bool, typer.Option("--retry", help="Read what was refused once more.")]


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
    from mainstem.apps.media.provenance import lines_of, look

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
    from mainstem.apps.media.provenance import sign
    from mainstem.data.media.signing import Credentials

    before, after = sign(path, Credentials(certificate, key, timestamp), out)
    if as_json:
        print(json.dumps({"before": before.told(), "after": after.told()}))
        return
    tell(f"before: {before.verdict}: {before.words}", f"written: {out}", f"now: {after.verdict}: {after.words}")


@media_app.command("duplicates")
def group_copies(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of pictures, sound and video; folders in it, too.")],
    workers: Workers = None,
    retry: Retry = False,
    as_json: AsJson = False,
) -> None:
    """Group files that are copies of one another, edited, cut or re-encoded, and say by what; delete nothing."""
    from mainstem.apps.media.duplicates import find_duplicates, lines_of
    from mainstem.apps.media.index import IndexOptions

    with shown("duplicates", as_json) as report:
        found = find_duplicates(folder, report, IndexOptions(workers=workers, retry=retry))
    if as_json:
        print(json.dumps(found.told()))
    else:
        tell(*lines_of(found))
    tell(*(f"refused: {why}" for why in found.refused.values()), to=sys.stderr)
    raise typer.Exit(1 if found.refused else 0)


Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="That holds the archive; nothing is written into it.")]


@media_app.command("index")
def index_archive(
    folder: Folder,
    model: Annotated[
        str | None,
        typer.Option(help="That embeds pictures: of models list, a path, or built-in; else the best pulled."),
    ] = None,
    workers: Workers = None,
    retry: Retry = False,
    as_json: AsJson = False,
) -> None:
    """Bring the index of a folder up to date; a second run over unchanged files reads none of them.

    What is said of photo.jpg is read from it, and from photo.jpg.json, photo.json, photo.jpg.xmp and photo.xmp beside
    it; what is said in clip.mp4 from clip.srt, clip.en.vtt or clip.txt. What of these is not understood is named.

    Fields of .json are title, caption, creator, credit, rights and transcript (texts), keywords (a list of texts),
    captured (2024-05-31 or 2024-05-31T18:00+02:00), embargo (the same, the moment at which it ends; a time without an
    offset is taken at UTC-12, the last on earth) and opt_out, of text and data mining (reserved, allowed or unclear).
    Names that other programs give them are listed in docs/archivist.md. An example:

    {"title": "Harbour", "keywords": ["boats"], "embargo": "2026-11-30T18:00+01:00", "opt_out": "reserved"}
    """
    from mainstem.apps.media.index import IndexOptions, index_folder, lines_of

    with shown("index", as_json) as report:
        told = index_folder(folder, IndexOptions(model=model, workers=workers, retry=retry), report)
    if as_json:
        print(json.dumps(told))
    else:
        tell(*lines_of(told))


@media_app.command("search")
def search_archive(
    folder: Folder,
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUERY...", help="Words, '\"phrases\"', beginnings*; after --, -words to leave out."),
    ] = None,
    like: Annotated[list[Path] | None, typer.Option(help="A file that shows what is wanted; repeat it.")] = None,
    unlike: Annotated[list[Path] | None, typer.Option(help="A file that shows what is not; repeat it.")] = None,
    kind: Annotated[str | None, typer.Option(help="image, sound, video or text.")] = None,
    since: Annotated[str | None, typer.Option(help="Taken on this date or later, as 2024-05-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Taken on this date or earlier.")] = None,
    credit: Annotated[str | None, typer.Option(help="Words of the credit line.")] = None,
    rights: Annotated[str | None, typer.Option(help="Words of the rights.")] = None,
    opt_out: Annotated[str | None, typer.Option(help="Of mining: reserved, unclear, allowed or none.")] = None,
    embargo: Annotated[str | None, typer.Option(help="held: under embargo now; free: not.")] = None,
    below: Annotated[str | None, typer.Option(help="A folder of the archive.")] = None,
    limit: Annotated[int, typer.Option(help="Results at most.")] = 20,
    level: Annotated[float, typer.Option(min=0.5, max=0.99, help="Of what is shown: nominal coverage.")] = 0.9,
    run: Annotated[
        list[Path] | None, typer.Option(help="A run of media's relevance or likeness on pairs of your own.")
    ] = None,
    with_irrelevant: Annotated[bool, typer.Option("--all", help="Show what is judged irrelevant too.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the results as a table into this new file.")] = None,
    edl: Annotated[
        Path | None, typer.Option(help="Write the shots that were found as an edit list, one a frame rate.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search what was indexed by words, pictures and filters; nothing found is an answer.

    A word of a transcript (.srt, .vtt) is found at the time at which it is said; the edit list is cut there.
    """
    from mainstem.apps.media.query import Filters, Query
    from mainstem.apps.media.relevance import Runs
    from mainstem.apps.media.results import lines_of
    from mainstem.apps.media.search import MediaSearch

    filters = Filters(
        kind=kind, since=since, until=until, credit=credit, rights=rights, opt_out=opt_out, embargo=embargo, below=below
    )
    asked = Query(
        text=" ".join(query or ()), like=like or (), unlike=unlike or (), filters=filters, limit=limit, level=level,
        runs=Runs(given=tuple(run or ())), with_irrelevant=with_irrelevant,
    )  # fmt: skip
    search = MediaSearch(folder)
    told = search.search(asked)
    if csv or edl:
        from mainstem.apps.media.exports import write_results

        told["written"] = [str(path) for path in write_results(search.catalogue, told["results"], csv, edl)]
    search.close()
    if as_json:
        print(json.dumps(told))
    else:
        tell(*lines_of(told), *(f"written: {path}" for path in told.get("written", ())))
