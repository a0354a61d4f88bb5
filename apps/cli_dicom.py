"""Commands on DICOM files; part of `apps.cli`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown

dicom_app = typer.Typer(
    no_args_is_help=True,
    help="Describe DICOM files, de-identify them, write their masks. Research use only, no medical device.",
)


@dicom_app.command("describe")
def describe_files(
    path: Annotated[Path, typer.Argument(help="A file, a folder or a .zip.")],
    as_json: AsJson = False,
) -> None:
    """Say which series there are, where their slices lie, and what is refused; never who the patient is."""
    from mainstem.data.medical.dicom_describe import describe, lines_of

    with shown("describe", as_json) as report:
        told = describe(path, report)
    if as_json:
        print(json.dumps(told))
        return
    tell(*lines_of(told))


@dicom_app.command("masks")
def write_masks(
    path: Annotated[Path, typer.Argument(help="A folder or a .zip of images and of their SEG or RTSTRUCT files.")],
    out: Annotated[Path, typer.Option(help="The folder to write, new or empty.")],
    as_json: AsJson = False,
) -> None:
    """Write what people's contours and segmentations mark as label NIfTI on their images' grid, and names.csv."""
    from mainstem.data.medical import dicom_labels

    with shown("masks", as_json):
        done = dicom_labels.write_masks(path, out)
    if as_json:
        print(json.dumps(done))
        return
    tell(f"{len(done['written'])} structures in {out}: {done['origin']}")
    for reason in done["refused"]:
        tell(f"refused: {reason}")
    tell(done["note"])


@dicom_app.command("deidentify")
def deidentify_files(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file, a folder or a .zip; it is not changed.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write, outside of IN.")],
    key: Annotated[Path, typer.Option(help="The project's secret: the same key gives the same pseudonyms.")],
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key file, which must not exist yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write copies without who the patient is: PS3.15 Basic Profile, dates moved, intervals and safe private kept."""
    from mainstem.data.medical.deidentify_files import deidentify_tree
    from mainstem.data.medical.deidentify_key import make_key, read_key

    secret = make_key(key) if new_key else read_key(key)
    with shown("deidentify", as_json) as report:
        done = deidentify_tree(source, out, secret, report)
    if as_json:
        print(json.dumps(done))
        return
    counts = f"{done['num_quarantined']} quarantined, {done['num_duplicates']} twice, {done['num_refused']} refused"
    tell(f"{done['num_written']} written to {out}, {counts}")
    for each in done["quarantined"]:
        tell(f"{out / each['file']}: {each['reason']}")
    for each in done["refused"]:
        tell(f"refused file {each['number']} in the order of names ({each['name']}): {each['reason']}")
    tell(done["note"])
