"""`mainstem demo`: something to look at within minutes, and how far it is, told to the pages that wait for it."""

import sys
from pathlib import Path
from typing import Any

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.field_maps import ensure_demo, ensure_real
from mainstem.apps.finetune import fit_where_none
from mainstem.apps.jobs import telling
from mainstem.apps.region_sets import REAL, SIMULATED, RegionChoice, run_folder
from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.records import read_record
from mainstem.core.task import DataRequest
from mainstem.data.catalogue import pull

STUDIES, ARCHIVE, FIELDS, SCENES, MODEL = 0.1, 0.15, 0.2, 0.22, 0.8  # of the time, up to which each takes it
JOB = "demonstration"


def prepare(mirror: Path | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Have a trial, studies, an archive, a field map and a run to show: real where they can be pulled, else simulated.

    The trial and the studies come first: they take seconds, and who reads them needs no farm.

    Raises:
        InputError: if another process is at it.
    """
    from mainstem.apps.clinic_demo import ensure_studies  # late: pages of fields ask this module for their runs
    from mainstem.apps.media.demo import ensure_archive
    from mainstem.apps.robotics import bring_trial

    with telling(JOB, "the demonstration", progress) as report:
        try:
            bring_trial(mirror)
        except InputError as error:
            print(f"{plain(error)}\nthe robotics page shows a simulated cart", file=sys.stderr)
        report("studies, reading what there is", 0.0)
        try:
            ensure_studies(mirror, part_of(_named("studies", report), 0.0, STUDIES))
        except InputError as error:
            print(f"{plain(error)}\nthe clinic has no studies to show", file=sys.stderr)
        try:
            ensure_archive(mirror, part_of(_named("archive", report), STUDIES, ARCHIVE))
        except (InputError, MissingExtraError) as error:
            print(f"{plain(error)}\nthe media page has no archive to show", file=sys.stderr)
        ensure_demo(part_of(_named("field map", report), ARCHIVE, FIELDS))
        try:
            ensure_real(mirror, part_of(_named("real scenes", report), FIELDS, SCENES))
        except (InputError, MissingExtraError) as error:
            print(f"{plain(error)}\nthe field page shows a simulated farm alone", file=sys.stderr)
        report("getting the data", SCENES)
        data = REAL
        try:
            pull(REAL, mirror)
            pull("us-counties", mirror)
        except InputError as error:
            print(f"{plain(error)}\nusing simulated regions instead", file=sys.stderr)
            data = SIMULATED
        record = ensure_run(data, mirror, part_of(_named("yield model", report), SCENES, MODEL))
        choice = RegionChoice(name=data, title=data)
        if not choice.has_looked_back():
            choice.look_back(part_of(_named("looking back at past seasons", report), MODEL, 1.0))
        return record


def ensure_run(data: str, mirror: Path | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Return the record of the set's run with its folder; train it first where there is none that can be read."""
    request = DataRequest(data=data, mirror=mirror)
    folder = fit_where_none(TASK, run_folder(data), lambda: TASK.read(request), progress)
    return {**read_record(folder), "run": str(folder)}


def _named(part: str, progress: Progress) -> Progress:
    """Progress that names the part of the work before each stage."""
    return lambda stage, share: progress(f"{part}, {stage}", share)
