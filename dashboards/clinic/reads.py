"""What the clinician's page reads: the demonstration's studies once for all, a user's own once for their session."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import streamlit as st

from mainstem.apps.clinic import WHOLE, Study, clinic_folder, keep_files, known_studies, read_layer
from mainstem.apps.clinic_jobs import said_of_own, start_own
from mainstem.apps.clinic_listing import held_in
from mainstem.apps.clinic_reading import open_study
from mainstem.apps.review import ReviewStore
from mainstem.apps.review_places import review_home, review_url
from mainstem.core.errors import InputError
from mainstem.dashboards.clinic.pictures import Laid, overlay_of, picture_of_series, picture_of_volume
from mainstem.dashboards.components.reader import Overlay, Picture
from mainstem.data.medical.dicom_labels import ORIGIN, labels_on
from mainstem.data.medical.studies import Opened

OWN = "own studies"  # session key


@st.cache_resource(
    scope="session", on_release=lambda folder: shutil.rmtree(folder, ignore_errors=True), show_spinner=False
)
def session_folder() -> Path:
    """A folder of this session and of this user of the machine alone; it is deleted when the session ends."""
    return Path(tempfile.mkdtemp(prefix="mainstem-clinic-"))


def own_studies() -> list[Study]:
    """Studies that the user opened in this session."""
    found: list[Study] = st.session_state.setdefault(OWN, [])
    return found


def take_own(contents: Mapping[str, bytes]) -> Path:
    """Keep a user's files for the session, and begin to read them beside the pages; return their folder.

    Raises:
        InputError: if there are none, or too many.
    """
    folder = Path(tempfile.mkdtemp(dir=session_folder()))
    try:
        keep_files(folder, contents)
    except InputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    start_own(folder, own_studies())
    return folder


def taken_own(folder: Path) -> tuple[list[Study], list[str]] | None:
    """Return a folder's studies, which are the session's from now on, and why files were refused; None until then.

    Raises:
        InputError: if none of them can be read.
    """
    held = own_studies()
    said = said_of_own(folder, held)
    if said is None:
        return None
    found, refused = said
    new = [study for study in found if study.folder == folder]
    if not new:
        shutil.rmtree(folder, ignore_errors=True)  # none can be read, or all of them are open already
    if not found:
        raise InputError(f"no picture could be read: {refused[0] if refused else 'the files hold none'}")
    held.extend(new)
    return found, refused


def all_studies() -> list[Study]:
    """The user's own studies, then the demonstration's."""
    return [*own_studies(), *_demo(_stamp())]


def has_studies() -> bool:
    """True where there is one to show, the demonstration's rest being made or not."""
    return bool(own_studies()) or bool(_stamp())


@st.cache_resource(show_spinner=False, max_entries=2)
def _demo(stamp: str) -> list[Study]:
    assert stamp is not None
    return known_studies(clinic_folder())


def _stamp() -> str:
    """When the demonstration's studies last changed."""
    return "-".join(str(path.stat().st_mtime_ns) for path in sorted(clinic_folder().glob(WHOLE)))


@st.cache_resource(show_spinner="Opening the study", max_entries=6, scope="session")
def read_picture(_study: Study, id: str, with_layers: bool) -> Picture:
    """Open a study, with what the models lay over it or without."""
    assert id
    opened = open_study(_study)
    masks = laid_over(_study, opened) if with_layers else []
    if opened.series is not None:
        picture = picture_of_series(opened.series, id, masks)
        own, _ = contours_of(_study, id)
        return replace(picture, overlays=(*picture.overlays, *own))
    assert opened.volume is not None
    return picture_of_volume(opened.volume, id, masks)


@st.cache_resource(show_spinner="Reading the contours in the study's files", max_entries=6, scope="session")
def contours_of(_study: Study, id: str) -> tuple[tuple[Overlay, ...], tuple[str, ...]]:
    """What `marked_in` finds, read once."""
    assert id
    return marked_in(_study)


def marked_in(study: Study) -> tuple[tuple[Overlay, ...], tuple[str, ...]]:
    """What a study's own SEG and RTSTRUCT files mark on it, which is by no model; and why some cannot be shown."""
    series, masks = open_study(study).series, held_in(study.files).masks
    if series is None or not masks:
        return (), ()
    found, faults = labels_on(series, masks)
    more = [f" ({number})" if number > 1 else "" for number in range(1, len(found) + 1)]
    return tuple(
        replace(
            overlay_of(f"{ORIGIN[:1].upper()}{ORIGIN[1:]}{which}", one.names, one.planes, is_told=False),
            colours=one.colours,
        )
        for which, one in zip(more, found, strict=True)
    ), faults


def laid_over(study: Study, opened: Opened) -> list[Laid]:
    """What the models lay over a study's slices.

    Raises:
        InputError: if a layer is damaged, or of another study.
    """
    return [(layer.title, layer.names, read_layer(study, layer, opened.shape)) for layer in study.layers]


@st.cache_resource(show_spinner=False)
def _store(url: str, home: str) -> ReviewStore:
    Path(home).mkdir(parents=True, exist_ok=True)
    return ReviewStore.open(url, Path(home))


def review_store() -> ReviewStore:
    """The review store that `mainstem review` verifies; it is begun where there is none.

    Raises:
        InputError: if it cannot be opened.
    """
    home = review_home(Path(named) if (named := os.environ.get("MAINSTEM_REVIEW_HOME")) else None)
    return _store(review_url(os.environ.get("MAINSTEM_REVIEW_URL"), home), str(home))
