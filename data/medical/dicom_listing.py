"""Which files of a path are read as DICOM, and what the worker says of each."""

from dataclasses import dataclass, field
from pathlib import Path

from mainstem.core.errors import InputError
from mainstem.data.medical.archives import Place, Refused, leads_outside
from mainstem.data.medical.dicom_header import Header
from mainstem.data.medical.dicom_process import list_places, worker

OUTSIDE = "an entry whose name leads outside it"


def list_readable(path: Path) -> tuple[list[Place], list[Refused]]:
    """Files to be read, and those that are refused unread; a zip with one of those was made by no archive of images.

    Raises:
        InputError: if there is nothing at the path, or it is a zip that is refused.
    """
    places = list_places(path)
    for one in places:
        if one.member and (harm := one.refusal or (OUTSIDE if leads_outside(one.member) else "")):
            raise InputError(f"{path.name}: a zip that holds {harm}; it is refused")
    refused = [Refused(one.name, one.refusal) for one in places if one.refusal]
    return [one for one in places if not one.refusal], refused


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the worker says of a file: a header, or why not and of which series; and if its name names the patient."""

    header: Header | None = None
    reason: str = ""
    series_uid: str = ""
    is_named: bool = False
    patient: str = field(default="", repr=False)

    @property
    def kind(self) -> str:
        """What the standard calls the object, as far as it is told."""
        return self.reason.split(":")[0] if self.header is None else self.header.sop_class


def ask_header(one: Place) -> Answer:
    """Ask for a file's header; of one that is refused, why."""
    try:
        told, _ = worker().answer("header", one, {"name": one.name})
    except InputError as error:
        return Answer(reason=str(error).removeprefix(f"{one.name}: "))
    header = None if told["header"] is None else Header.of(told["header"])
    return Answer(
        header=header, reason=told["reason"], series_uid=told["series_uid"], is_named=told["is_named"],
        patient=told["patient"],
    )  # fmt: skip
