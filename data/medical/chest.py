"""Chest radiographs of adults with findings mined from reports: a part of NIH ChestX-ray14 of 64 x 64 pixels."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.stream import NO_LICENCE, Provenance, Sample, Stream
from mainstem.data.catalogue import find_data_set, own_name, pull
from mainstem.data.images import GREY, read_image
from mainstem.data.medical.pneumonia import image_set
from mainstem.data.medical.radiographs import MODALITY, USE, Told, facts_of, grey
from mainstem.data.tabular import Table, open_table, shown

CHEST = "nih-cxr64"
TABLE = "meta.csv"
SIDE = 64
# those of the 14 that 20 patients or more show; the others are told in the catalogue
FINDINGS = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Nodule")
# the others (Wang et al. 2017, ChestX-ray8, section 3, and its release of 14)
UNASKED = ("Consolidation", "Mass", "Pneumothorax", "Edema", "Fibrosis", "Emphysema", "Pleural_Thickening", "Pneumonia",
           "Hernia")  # fmt: skip
NONE, SEPARATOR = "No Finding", "|"
COLUMNS = {"age": "Patient Age", "sex": "Patient Gender", "view": "View Position"}
NORMAL = "0_normal"


def open_chest(data: str, mirror: Path | None = None, told: Told | None = None) -> SampleSet:
    """Read the set by name, a folder in its layout, or images and DICOM, of which no finding is known.

    Raises:
        InputError: if it is none of them.
    """
    if data == CHEST:
        data_set = find_data_set(CHEST)
        return read_folder(pull(data, mirror), CHEST, data_set.licence, data_set.attribution)
    path = Path(data)
    if (path / TABLE).is_file():
        return read_folder(path, own_name(path.name), NO_LICENCE, "")
    if not path.exists():
        raise InputError(f"got {shown(data)}; want {CHEST}, a folder with {TABLE}, an image (.png, .jpg) or DICOM")
    return image_set(path, SIDE, FINDINGS, told)


def read_folder(folder: Path, name: str, licence: str, attribution: str) -> SampleSet:
    """Read a folder of images with a table of their patients, findings and views; persons are the groups."""
    table = open_table(folder / TABLE)
    table.need("file", "Finding Labels", "Patient ID", *COLUMNS.values())
    columns = {column: table.names(column) for column in ("file", "Patient ID", *COLUMNS.values())}
    columns["Finding Labels"] = table.names("Finding Labels", is_needed=False)
    origin = Provenance(data=name, item="", licence=licence, attribution=attribution)
    samples = tuple(
        _sample(folder, {column: str(values[row]) for column, values in columns.items()}, origin)
        for row in range(len(table))
    )
    return SampleSet(
        name=name,
        samples=samples,
        flagged=_contradicted(table, columns["file"].tolist(), columns["Finding Labels"].tolist()),
        attribution=attribution,
        licence=licence,
        classes=FINDINGS,
        unsound_split=_leak(table, columns["Patient ID"].tolist()),
    )


def _sample(folder: Path, row: dict[str, str], origin: Provenance) -> Sample:
    path = folder / row["file"]
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{TABLE} names {shown(row['file'])}, which lies outside the folder; mend it")
    values = grey(read_image(path).values)
    if values.shape != (SIDE, SIDE):
        raise InputError(f"{path.name} has {values.shape} pixels, want {SIDE} x {SIDE} as all of the set; resize it")
    facts = {
        **facts_of({name: row[column] for name, column in COLUMNS.items()}, path.name),
        "modality": MODALITY,
        "use": USE,
    }
    return Sample(
        streams={"image": Stream(kind="image", values=values[None], channels=GREY)},
        target=_read(row["Finding Labels"], path.name),
        source=replace(
            origin, item=path.stem, group=row["Patient ID"], facts={**facts, "modality": MODALITY, "use": USE}
        ),
    )


def _read(mark: str, image: str) -> NDArray[np.float64] | None:
    """What is there (findings,), 1 or 0, of a mark such as "Effusion|Nodule"; None where nobody read the image.

    Raises:
        InputError: if it names what is no finding, or one beside none.
    """
    if not mark:
        return None
    found = mark.split(SEPARATOR)
    odd = [name for name in found if name not in (*FINDINGS, *UNASKED, NONE)]
    if odd or (NONE in found and len(found) > 1):
        raise InputError(
            f"{image}: got the finding {shown(odd[0] if odd else mark)}, want {NONE!r}, or any of "
            f"{', '.join((*FINDINGS, *UNASKED))} with {SEPARATOR!r} between; mend {TABLE}"
        )
    return np.array([float(name in found) for name in FINDINGS])


def _contradicted(table: Table, files: list[str], labels: list[str]) -> dict[str, str]:
    """Items whose folder says normal where the table names a finding, or the other way round."""
    if "folder_label" not in table.columns:
        return {}
    folders = table.names("folder_label").tolist()
    return {
        Path(file).stem: f"its folder says {folder}, the table {label}"
        for file, folder, label in zip(files, folders, labels, strict=True)
        if label and (folder == NORMAL) != (label == NONE)
    }


def _leak(table: Table, persons: list[str]) -> str:
    """Why the split that the table names is none; "" where no person is in two of its parts, or it names no split."""
    if "split" not in table.columns:
        return ""
    parts = table.names("split").tolist()
    of_person: dict[str, set[str]] = {}
    for person, part in zip(persons, parts, strict=True):
        of_person.setdefault(person, set()).add(part)
    shared = Counter(" and ".join(sorted(own)) for own in of_person.values() if len(own) > 1)
    if not shared:
        return ""
    seen = [
        person for person, part in zip(persons, parts, strict=True) if part == "test" and len(of_person[person]) > 1
    ]
    told = ", ".join(f"{count} patients are in {names}" for names, count in sorted(shared.items()))
    return (
        f"its own split leaks: {told}, so that {len(seen)} of {parts.count('test')} test images are of patients seen "
        "elsewhere; use --protocol grouped-folds, which keeps patients whole"
    )
