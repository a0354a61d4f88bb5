"""The artefact of a fitted classifier: weights in safetensors, with a manifest that says what they are."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.artifact_file import (
    ADAPTER_FILE,
    adapter_tensors,
    below,
    load_adapter,
    load_trunk,
    member_facts,
    plan_of,
    read_manifest,
    read_manifest_of,
    read_taught,
    read_trunks,
    taught_tensors,
    trunk_tensors,
    view_arrays,
    view_tensors,
    write_artifact,
)
from mainstem.core.class_sets import ClassSetCalibration
from mainstem.core.classification import ClassificationTask, Classifier, ClassMember
from mainstem.core.errors import ArtifactError
from mainstem.core.heads import ClassHead
from mainstem.core.layout import Layout
from mainstem.core.manifest import AdapterManifest, MemberFacts
from mainstem.core.prediction import ModelRef
from mainstem.core.records import check_record
from mainstem.core.regression import check_features
from mainstem.core.stream import Sample
from mainstem.core.taught import Prints, Taught, no_prints
from mainstem.core.weights import file_sha256, state_sha256

LARGEST_TEMPERATURE = 100.0  # twelve times what `fit_temperature` tries
ONLY_VIEW = "whole"  # the only view of a class


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassArtifact:
    """A fitted classifier, the calibration of its class sets, its manifest, and the hash of its file."""

    classifier: Classifier
    calibration: ClassSetCalibration
    manifest: AdapterManifest
    adapter_sha256: str
    taught: Taught
    alarm: ShiftAlarm | None = None

    def features(self, samples: Sequence[Sample]) -> NDArray[np.float64] | None:
        """Return what the shift alarm compares of prepared samples (samples, features); None without an alarm."""
        if self.alarm is None:
            return None
        found = self.classifier.features(samples)
        check_features(self.alarm.features.shape[1], found)
        return found

    def reference(self) -> ModelRef:
        """Return what predictions carry of their model."""
        return self.manifest.reference(self.adapter_sha256)


def alarm_of(classifier: Classifier, samples: Sequence[Sample]) -> ShiftAlarm | None:
    """Return the shift alarm of prepared samples' channel means, or None where there are too few groups."""
    groups = [sample.source.group or "" for sample in samples]
    if len(set(groups)) < ShiftAlarm.FEWEST:
        return None
    return ShiftAlarm.fit(classifier.features(samples), groups)


def save_class_artifact(
    folder: Path,
    classifier: Classifier,
    calibration: ClassSetCalibration,
    prepared: Sequence[Sample],
    facts: Mapping[str, Any],
    trained: Prints | None = None,
) -> ClassArtifact:
    """Write adapter and trunk to a run folder; the alarm is of `prepared` samples, `facts` fills the manifest.

    `trained` are prints of the samples trained on.
    """
    members = classifier.members
    trunk, shared = trunk_tensors([member.trunk for member in members])
    tensors: dict[str, Tensor] = {}
    for index, member in enumerate(members):
        tensors |= adapter_tensors(index, member.adapter, member.trunk)
    known, found = view_tensors("calibration", {ONLY_VIEW: calibration})
    known[ONLY_VIEW] |= {"temperature": classifier.temperature}
    alarm = alarm_of(classifier, prepared)
    warned, more = view_tensors("alarm", {} if alarm is None else {ONLY_VIEW: alarm})
    tensors |= found | more
    manifest = AdapterManifest(
        trunk=dataclasses.asdict(members[0].trunk.config),
        trunk_sha256=state_sha256(trunk),
        trunk_is_shared=shared,
        members=tuple(MemberFacts(**member_facts(member)) for member in members),
        gates={},
        shares={},
        channels=classifier.layout.state(),
        calibration=known,
        alarm=warned,
        **facts,
    )
    taught = Taught(training=manifest.training, trained=no_prints() if trained is None else trained)
    sha256 = write_artifact(folder, manifest, trunk, tensors | taught_tensors(taught))
    return ClassArtifact(
        classifier=classifier,
        calibration=calibration,
        manifest=manifest,
        adapter_sha256=sha256,
        taught=taught,
        alarm=alarm,
    )


def load_class_run(folder: Path, task: ClassificationTask) -> ClassArtifact:
    """Read a run folder's classifier, as the task that asks for it.

    Raises:
        ArtifactError: if it is of another adapter or task, or `load_class_artifact` refuses it.
    """
    read_manifest_of(folder, task.name, task.task)
    return load_class_artifact(folder)


def load_class_artifact(folder: Path) -> ClassArtifact:
    """Read a run folder's classifier onto its trunk.

    Raises:
        ArtifactError: if a file is absent or damaged, holds no classes, or the trunk is another than it was fitted on.
    """
    manifest, tensors = read_manifest(folder)
    if not manifest.classes:
        raise ArtifactError(f"{folder} predicts {manifest.units}, not classes; name a run of a classification")
    adapter_sha256 = file_sha256(folder / ADAPTER_FILE)
    check_record(folder, adapter_sha256, manifest.trunk_sha256)
    trunks = read_trunks(folder, manifest)
    members = []
    for index in range(len(manifest.members)):
        own = below(tensors, f"members.{index}.")
        adapter = load_adapter(manifest, own, index, lambda width: ClassHead(width, len(manifest.classes)))
        trunk, plan = load_trunk(manifest, trunks, own, index), plan_of(manifest.members[index])
        members.append(ClassMember(trunk=trunk, adapter=adapter, plan=plan))
    plain = manifest.calibration.get(ONLY_VIEW, {})
    calibration = ClassSetCalibration.restore(plain, view_arrays("calibration", ONLY_VIEW, tensors))
    if tuple(calibration.scores) != manifest.classes:
        raise ArtifactError(f"{folder} calibrates other classes than it names; train it again")
    warned = manifest.alarm.get(ONLY_VIEW)
    if warned is not None and not manifest.channels:
        raise ArtifactError(f"{folder} has an alarm, and does not say which channels it compares; train it again")
    return ClassArtifact(
        classifier=Classifier(
            members=tuple(members),
            classes=manifest.classes,
            temperature=_temperature(plain),
            layout=Layout.restore(manifest.channels),
        ),
        calibration=calibration,
        manifest=manifest,
        adapter_sha256=adapter_sha256,
        taught=read_taught(manifest, tensors),
        alarm=None if warned is None else ShiftAlarm.restore(warned, view_arrays("alarm", ONLY_VIEW, tensors)),
    )


def _temperature(plain: Mapping[str, Any]) -> float:
    found = plain.get("temperature")
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= LARGEST_TEMPERATURE:
        raise ArtifactError(
            f"got temperature {found!r:.40}, want above 0, {LARGEST_TEMPERATURE:.0f} at most; train again"
        )
    return float(found)
