"""What is done beside the clinician's page for it: a user's own files are read, and the models asked about them.

What comes of it lies beside the files, in the folder of the user's session; name and words of a job tell nothing.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainstem.apps.clinic import INPUT, Study, facts_of, opaque, study_of
from mainstem.apps.clinic_listing import held_in
from mainstem.apps.clinic_reading import studies_in
from mainstem.apps.jobs import start, work_on
from mainstem.core.errors import InputError, MainstemError
from mainstem.core.files import write_atomically
from mainstem.core.progress import Progress
from mainstem.core.schema import read_object

CODE = "from mainstem.apps.clinic_jobs import main; main()"
OWN = "own studies "  # beginning of jobs' names
KNOWN, SAID = "known.json", "said.json"  # ids of studies that are open already; what came of the files


def own_job(folder: Path) -> str:
    """Name of the job that reads the files in a folder."""
    return f"{OWN}{opaque(str(folder))}"


def start_own(folder: Path, known: Sequence[Study]) -> None:
    """Begin to read the files that `keep_files` put into a folder, and to ask the models about those not known yet."""
    write_atomically(folder / KNOWN, json.dumps([study.id for study in known]).encode())
    start(own_job(folder), CODE, [str(folder)])


def main() -> None:
    """Do what the arguments of this process name."""
    folder = Path(sys.argv[1])
    raise SystemExit(work_on(own_job(folder), "studies of one's own", lambda report: read_own(folder, report)))


def read_own(folder: Path, report: Progress) -> None:
    """Read a folder's files, ask the models, and keep what came of it; nothing where the session ended meanwhile."""
    if not (folder / KNOWN).is_file():
        return
    report("reading, and asking the models", 0.1)
    known = json.loads((folder / KNOWN).read_text(encoding="utf-8"))
    stand_ins = [Study(id=str(id), folder=folder, title="", kind="", facts={}) for id in known]
    try:
        found, refused = studies_in(folder, stand_ins)
        told: Mapping[str, Any] = {"studies": [_told(study, set(known)) for study in found], "refused": refused}
    except MainstemError as error:  # which may name a file: told to the user's session alone, and not to the jobs' list
        told = {"studies": [], "refused": [str(error)]}
    except OSError:
        if folder.is_dir():
            raise
        return  # the session ended under it
    if folder.is_dir():
        write_atomically(folder / SAID, json.dumps(told).encode())


def _told(study: Study, known: set[str]) -> dict[str, Any]:
    """A study's facts; of one that is known, its id alone. Whose it is is never written."""
    if study.id in known:
        return {"id": study.id}
    return facts_of(study)


def said_of_own(folder: Path, known: Sequence[Study]) -> tuple[list[Study], list[str]] | None:
    """Return the studies of a folder's files and why files were refused; None where nothing has come of them yet.

    Raises:
        InputError: if what came of them is damaged.
    """
    if not (folder / SAID).is_file():
        return None
    told = read_object(folder / SAID, InputError)
    open_already = {study.id: study for study in known}
    listed = held_in(folder / INPUT).listed if told["studies"] else ()
    patients = {opaque(one.key): one.patient() for one in listed}
    found = [
        open_already.get(one["id"]) or replace(study_of(folder, one), patient=patients.get(one["id"], ""))
        for one in told["studies"]
    ]
    return found, [str(why) for why in told["refused"]]
