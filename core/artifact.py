"""The artefact of a fitted adapter: weights and arrays in safetensors, with a manifest that says what they are."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
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
from mainstem.core.calibration import IntervalCalibration
from mainstem.core.errors import ArtifactError
from mainstem.core.heads import ScalarHead
from mainstem.core.layout import Layout
from mainstem.core.manifest import AdapterManifest, MemberFacts
from mainstem.core.prediction import ModelRef
from mainstem.core.preparation import Preparation, RestorePreparation
from mainstem.core.records import check_record
from mainstem.core.regression import Member, RegressionTask, Regressor
from mainstem.core.schema import printable
from mainstem.core.taught import Prints, Taught
from mainstem.core.weights import (
    file_sha256,
    state_sha256,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """A fitted regressor, its calibration and alarm by view, its manifest, and the hash of its file."""

    regressor: Regressor
    calibration: Mapping[str, IntervalCalibration]
    alarm: Mapping[str, ShiftAlarm]
    manifest: AdapterManifest
    adapter_sha256: str
    taught: Taught

    def reference(self) -> ModelRef:
        """Return what predictions carry of their model."""
        return self.manifest.reference(self.adapter_sha256)


def _member_tensors(index: int, member: Member) -> tuple[MemberFacts, dict[str, Tensor]]:
    plain, arrays = member.preparation.state()
    prepared = {
        f"members.{index}.preparation.{name}": torch.from_numpy(np.array(values)) for name, values in arrays.items()
    }
    described = MemberFacts(**member_facts(member), preparation=plain, std=member.std)
    return described, adapter_tensors(index, member.adapter, member.trunk) | prepared


def save_artifact(
    folder: Path,
    regressor: Regressor,
    calibration: Mapping[str, IntervalCalibration],
    alarm: Mapping[str, ShiftAlarm],
    facts: Mapping[str, Any],
    prints: Mapping[str, Prints] | None = None,
) -> Artifact:
    """Write adapter and trunk to a run folder; `facts` fills the manifest, `prints` are of what taught it."""
    trunk, shared = trunk_tensors([member.trunk for member in regressor.members])
    described: list[MemberFacts] = []
    tensors: dict[str, Tensor] = {}
    for index, member in enumerate(regressor.members):
        facts_of_member, found = _member_tensors(index, member)
        described.append(facts_of_member)
        tensors |= found
    known: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, views in (("calibration", calibration), ("alarm", alarm)):
        known[kind], found = view_tensors(kind, views)
        tensors |= found
    manifest = AdapterManifest(
        trunk=dataclasses.asdict(regressor.members[0].trunk.config),
        trunk_sha256=state_sha256(trunk),
        trunk_is_shared=shared,
        members=tuple(described),
        gates=dict(regressor.gates),
        shares=dict(regressor.shares),
        adjust=dict(regressor.adjust),
        channels=regressor.layout.state(),
        calibration=known["calibration"],
        alarm=known["alarm"],
        **facts,
    )
    taught = Taught(training=manifest.training, **(prints or {}))
    sha256 = write_artifact(folder, manifest, trunk, tensors | taught_tensors(taught))
    return Artifact(
        regressor=regressor,
        calibration=calibration,
        alarm=alarm,
        manifest=manifest,
        adapter_sha256=sha256,
        taught=taught,
    )


def recalibrated(
    folder: Path,
    artifact: Artifact,
    calibration: Mapping[str, IntervalCalibration],
    alarm: Mapping[str, ShiftAlarm],
    more: Mapping[str, Any] | None = None,
) -> Artifact:
    """Write the artefact again with another calibration and alarm, and other facts; its weights stay as they are."""
    kept = {"schema_version", "trunk", "trunk_sha256", "trunk_is_shared", "members", "gates", "shares", "adjust",
            "channels", "calibration", "alarm"}  # fmt: skip
    facts = {name: value for name, value in artifact.manifest if name not in kept}
    return save_artifact(
        folder, artifact.regressor, calibration, alarm, facts | dict(more or {}), artifact.taught.state()
    )


def load_run(folder: Path, task: RegressionTask) -> Artifact:
    """Read a run folder's adapter, as the task that asks for it.

    Raises:
        ArtifactError: if it is of another adapter or task, or `load_artifact` refuses it.
    """
    manifest = read_manifest_of(folder, task.name, task.task)
    lacking = sorted(set(task.views) - (set(manifest.gates) & set(manifest.shares)))
    if lacking and not manifest.classes:
        raise ArtifactError(f"{folder} knows nothing of the view {lacking[0]!r} of {task.task}; train it again")
    for name in ("lowest", "highest"):
        kept, own = getattr(manifest, name), getattr(task, name)
        if kept not in (None, own):  # runs of before bounds were kept have none
            wanted = "none" if own is None else f"{own:g}"
            raise ArtifactError(
                f"{folder} has {name} {kept:g}, the task {task.task} of {task.name} {wanted}; train it again"
            )
    return load_artifact(folder, task.restore)


def load_artifact(folder: Path, restore: RestorePreparation) -> Artifact:
    """Read a run folder's adapter onto its trunk.

    Raises:
        ArtifactError: if a file is absent or damaged, is not the one on record, or the trunk is not the one the adapter
            was fitted on.
    """
    manifest, tensors = read_manifest(folder)
    if manifest.classes:
        raise ArtifactError(f"{folder} names classes, not {manifest.task} quantities; name a run of a regression")
    adapter_sha256 = file_sha256(folder / ADAPTER_FILE)
    check_record(folder, adapter_sha256, manifest.trunk_sha256)
    trunks = read_trunks(folder, manifest)
    members = tuple(
        _load_member(manifest, below(tensors, f"members.{index}."), trunks, index, restore)
        for index in range(len(manifest.members))
    )
    alarm = {
        view: ShiftAlarm.restore(plain, view_arrays("alarm", view, tensors)) for view, plain in manifest.alarm.items()
    }
    return Artifact(
        regressor=Regressor(
            members=members,
            num_features=_num_features(alarm),
            gates=manifest.gates,
            shares=manifest.shares,
            adjust=manifest.adjust,
            layout=Layout.restore(manifest.channels),
        ),
        calibration={
            view: IntervalCalibration.restore(plain, view_arrays("calibration", view, tensors))
            for view, plain in manifest.calibration.items()
        },
        alarm=alarm,
        manifest=manifest,
        adapter_sha256=adapter_sha256,
        taught=read_taught(manifest, tensors),
    )


def _num_features(alarm: Mapping[str, ShiftAlarm]) -> int | None:
    """How many features the alarms of all views compare; None where there is none."""
    widths = {known.features.shape[1] for known in alarm.values()}
    if len(widths) > 1:
        raise ArtifactError(
            f"the shift alarms compare {' or '.join(map(str, sorted(widths)))} features, want as many; train it again"
        )
    return next(iter(widths), None)


def _load_member(
    manifest: AdapterManifest,
    tensors: Mapping[str, Tensor],
    trunks: Mapping[str, Tensor],
    index: int,
    restore: RestorePreparation,
) -> Member:
    facts = manifest.members[index]
    if facts.std is None:
        raise ArtifactError("the manifest does not say the standard deviation of a member's target; train it again")
    arrays = {name: tensor.numpy() for name, tensor in below(tensors, "preparation.").items()}
    return Member(
        trunk=load_trunk(manifest, trunks, tensors, index),
        adapter=load_adapter(manifest, tensors, index, ScalarHead),
        preparation=_restored(restore, facts.preparation, arrays),
        std=facts.std,
        plan=plan_of(facts),
    )


def _restored(restore: RestorePreparation, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Preparation:
    try:
        return restore(plain, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise ArtifactError(
            f"the adapter's preparation cannot be restored ({type(error).__name__}: {printable(error)}); "
            "name the adapter that the run was trained with, or train it again"
        ) from error
