"""Studies made in code, and what models would say of them, for the tests of the clinician's page."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mainstem.apps.clinic import INPUT, Layer, Study, opaque, write_layer, write_study
from mainstem.apps.clinic_demo import write_phantom, write_radiograph
from mainstem.core.prediction import Claim, ModelRef, Prediction
from mainstem.core.stream import Provenance
from mainstem.core.targets import ClassSet
from mainstem.dashboards.clinic.words import Words, words_of

MODEL = ModelRef(adapter="diagnostics", task="pneumonia", version="1", adapter_sha256="a" * 64, trunk_sha256="b" * 64)
STATED = Claim(state="stated", population="children of one hospital")
NONE = Claim(state="none", reason="modality is CT, the adapter was trained on radiograph alone")


def prediction(region=None, value="normal", claim=STATED, probabilities=None, units="class", **more) -> dict:
    """What a model says, as JSON."""
    return Prediction(
        value=value, region=region, level=0.9, units=units, claim=claim, model=MODEL,
        source=Provenance(data="d", item="i"), probabilities=probabilities or {}, **more,
    ).to_dict()  # fmt: skip


def said(region, *told, **more) -> Words:
    """The same in words."""
    return words_of(prediction(region, *told, **more))


def shares(pneumonia: float) -> dict[str, float]:
    return {"normal": 1 - pneumonia, "pneumonia": pneumonia}


SURE = prediction(ClassSet(classes=("pneumonia",)), "pneumonia", probabilities=shares(0.96))
BOTH = prediction(ClassSet(classes=("normal", "pneumonia")), probabilities=shares(0.4))
NORMAL = prediction(ClassSet(classes=("normal",)), probabilities=shares(0.01))
REFUSED = prediction(None, None, NONE, abstained=True, reasons=(NONE.reason,))


def made_clinic(home: Path) -> dict[str, str]:
    """Write four studies below a MAINSTEM_HOME; return their ids by title."""
    made = {"Sure": SURE, "Both": BOTH, "Normal": NORMAL, "Head": REFUSED}
    ids = {}
    for seed, (title, says) in enumerate(made.items()):
        ids[title] = opaque("made", title)
        folder = home / "v1" / "clinic" / ids[title]
        (folder / INPUT).mkdir(parents=True)
        layers = ()
        if title == "Head":
            write_phantom(folder / INPUT)
        else:
            image = np.random.default_rng(seed).integers(0, 255, (64, 64)).astype(np.uint8)
            write_radiograph(folder / INPUT / "00000.dcm", image)
            mask = np.zeros((1, 64, 64), np.uint8)
            mask[0, 20:40, 20:40] = 1
            layers = (Layer(file="", title="Opacity mask", names=("opacity",)),)
        study = Study(
            id=ids[title], folder=folder, title=title, kind="CT, 24 images" if title == "Head" else "DX, 1 image",
            note="made in a test", simulated=True, attribution="Simulated by Mainstem", facts={}, predictions=(says,),
            pixel_sha256="c" * 64,
        )  # fmt: skip
        layers = tuple(replace(layer, file=write_layer(study, 0, mask)) for layer in layers)
        write_study(replace(study, layers=layers))
    return ids
