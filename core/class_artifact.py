"""The artefact of a fitted classifier: weights in safetensors, with a manifest that says what they are."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mainstem.core.adapter import Adapter
from mainstem.core.artifact import (
    ADAPTER_FILE,
    TRUNK_FILE,
    AdapterManifest,
    adapter_tensors,
    below,
    load_trunk,
    read_manifest,
    read_trunks,
    trunk_tensors,
    view_arrays,
    view_tensors,
)
from mainstem.core.calibration import ClassSetCalibration
from mainstem.core.classification import Classifier, ClassMember
from mainstem.core.errors import ArtifactError
from mainstem.core.heads import ClassHead
from mainstem.core.openmodels import restore_tokenizer
from mainstem.core.prediction import ModelRef
from mainstem.core.trunk import trunk_config
from mainstem.core.weights import file_sha256, save_tensors, state_sha256

WHOLE = "whole"  # the only view of a class


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassArtifact:
    """A fitted classifier, the calibration of its class sets, its manifest, and the hash of its file."""

    classifier: Classifier
    calibration: ClassSetCalibration
    manifest: AdapterManifest
    adapter_sha256: str

    def reference(self) -> ModelRef:
        """Return what predictions carry of their model."""
        return self.manifest.reference(self.adapter_sha256)


def save_class_artifact(
    folder: Path, classifier: Classifier, calibration: ClassSetCalibration, facts: Mapping[str, Any]
) -> ClassArtifact:
    """Write adapter and trunk to a run folder; `facts` fills the rest of the manifest."""
    members = classifier.members
    trunk, shared = trunk_tensors([member.trunk for member in members])
    tensors: dict[str, Tensor] = {}
    for index, member in enumerate(members):
        tensors |= adapter_tensors(index, member.adapter, member.trunk)
    known, found = view_tensors("calibration", {WHOLE: calibration})
    known[WHOLE]["temperature"] = classifier.temperature
    tensors |= found
    manifest = AdapterManifest(
        trunk=dataclasses.asdict(members[0].trunk.config),
        trunk_sha256=state_sha256(trunk),
        trunk_is_shared=shared,
        members=tuple({"tokenizer": member.adapter.tokenizer.facts()} for member in members),
        gates={},
        scope={},
        calibration=known,
        alarm={},
        **facts,
    )
    save_tensors(folder / TRUNK_FILE, trunk, {"format": "pt"})
    sha256 = save_tensors(folder / ADAPTER_FILE, tensors, {"manifest": manifest.model_dump_json()})
    return ClassArtifact(classifier=classifier, calibration=calibration, manifest=manifest, adapter_sha256=sha256)


def load_class_artifact(folder: Path) -> ClassArtifact:
    """Read a run folder's classifier onto its trunk.

    Raises:
        ArtifactError: if a file is absent or damaged, holds no classes, or the trunk is another than it was fitted on.
    """
    manifest, tensors = read_manifest(folder)
    if not manifest.classes:
        raise ArtifactError(f"{folder} predicts {manifest.units}, not classes; name a run of a classification")
    trunks = read_trunks(folder, manifest)
    config = trunk_config(manifest.trunk)
    members = []
    for index, plain in enumerate(manifest.members):
        own = below(tensors, f"members.{index}.")
        head = ClassHead(config.project or config.dim, len(manifest.classes))
        adapter = Adapter(restore_tokenizer(plain["tokenizer"], config.dim), head)
        adapter.load_state_dict(below(own, "adapter."))
        members.append(ClassMember(trunk=load_trunk(manifest, trunks, own, index), adapter=adapter.eval()))
    plain = manifest.calibration[WHOLE]
    return ClassArtifact(
        classifier=Classifier(
            members=tuple(members), classes=manifest.classes, temperature=float(plain["temperature"])
        ),
        calibration=ClassSetCalibration.restore(plain, view_arrays("calibration", WHOLE, tensors)),
        manifest=manifest,
        adapter_sha256=file_sha256(folder / ADAPTER_FILE),
    )
