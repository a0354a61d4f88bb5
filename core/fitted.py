"""A fitted adapter: weights and arrays in safetensors, with a manifest that says what they are."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.alarm import ShiftAlarm
from mainstem.core.conformal import Calibration
from mainstem.core.devices import Compute
from mainstem.core.errors import ArtifactError
from mainstem.core.fitted_file import (
    ADAPTER_FILE,
    adapter_tensors,
    below,
    load_adapter,
    load_own_lora,
    load_trunks,
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
from mainstem.core.layout import Layout
from mainstem.core.manifest import AdapterManifest, MemberFacts
from mainstem.core.member import Ensemble, Member
from mainstem.core.prediction import ModelRef
from mainstem.core.preparation import Preparation, RestorePreparation
from mainstem.core.records import check_record
from mainstem.core.schema import printable
from mainstem.core.stream import Sample
from mainstem.core.targets import Outputs, Target
from mainstem.core.task import Task
from mainstem.core.taught import Prints, Taught
from mainstem.core.tokens import OpenTokenizer
from mainstem.core.trunk import Trunk
from mainstem.core.weights import file_sha256, state_sha256


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A fitted ensemble, its calibration and alarm by view, its manifest, and the hash of its file."""

    ensemble: Ensemble
    calibration: Mapping[str, Calibration]
    alarm: Mapping[str, ShiftAlarm]
    manifest: AdapterManifest
    adapter_sha256: str
    taught: Taught

    @property
    def target(self) -> Target:
        """What is predicted."""
        return self.ensemble.target

    def outputs(self, samples: Sequence[Sample], view: str) -> Outputs:
        """Return what is told, before calibration, of samples that show what `view` shows."""
        return self.ensemble.outputs(samples, view)

    def on(self, compute: Compute) -> "Fitted":
        """Return the adapter for a device, to which its weights are moved in place, and a precision."""
        return dataclasses.replace(self, ensemble=self.ensemble.on(compute))

    def reference(self) -> ModelRef:
        """Return what predictions carry of their model."""
        return self.manifest.reference(self.adapter_sha256)


def _member_tensors(index: int, member: Member) -> tuple[MemberFacts, dict[str, Tensor]]:
    plain, arrays = member.preparation.state()
    prepared = {
        f"members.{index}.preparation.{name}": torch.from_numpy(np.array(values)) for name, values in arrays.items()
    }
    return member_facts(member, plain), adapter_tensors(index, member) | prepared


def save_fitted(
    folder: Path,
    ensemble: Ensemble,
    known: tuple[Mapping[str, Calibration], Mapping[str, ShiftAlarm]],
    facts: Mapping[str, Any],
    prints: Mapping[str, Prints] | None = None,
) -> Fitted:
    """Write adapter and trunk to a run folder.

    `known` is calibration and alarm by view; `facts` fills the manifest, `prints` are of what taught it.
    """
    trunk, shared = trunk_tensors([member.trunk for member in ensemble.members])
    described: list[MemberFacts] = []
    tensors: dict[str, Tensor] = {}
    for index, member in enumerate(ensemble.members):
        facts_of_member, found = _member_tensors(index, member)
        described.append(facts_of_member)
        tensors |= found
    calibration, alarm = known
    (calibrated, more), (warned, features) = view_tensors("calibration", calibration), view_tensors("alarm", alarm)
    manifest = AdapterManifest(
        target=ensemble.target.facts(),
        trunk=dataclasses.asdict(ensemble.members[0].trunk.config),
        trunk_sha256=state_sha256(trunk),
        trunk_is_shared=shared,
        members=tuple(described),
        blend={view: dict(blend) for view, blend in ensemble.blend.items()},
        channels=ensemble.layout.state(),
        calibration=calibrated,
        alarm=warned,
        **facts,
    )
    taught = Taught(training=manifest.training, keys=manifest.keys, **(prints or {}))
    sha256 = write_artifact(folder, manifest, trunk, {**tensors, **more, **features, **taught_tensors(taught)})
    return Fitted(
        ensemble=ensemble, calibration=calibration, alarm=alarm, manifest=manifest, adapter_sha256=sha256, taught=taught
    )


def save_again(folder: Path, fitted: Fitted, more: Mapping[str, Any] | None = None) -> Fitted:
    """Write a fitted adapter again with what it learned since, and other facts; its weights stay as they are."""
    kept = {"schema_version", "target", "trunk", "trunk_sha256", "trunk_is_shared", "members", "blend", "channels",
            "calibration", "alarm"}  # fmt: skip
    facts = {name: value for name, value in fitted.manifest if name not in kept}
    known = fitted.calibration, fitted.alarm
    return save_fitted(folder, fitted.ensemble, known, facts | dict(more or {}), fitted.taught.state())


def load_run(folder: Path, task: Task) -> Fitted:
    """Read a run folder's adapter, as the task that asks for it.

    Raises:
        ArtifactError: if it is of another adapter, task or target, or `load_fitted` refuses it.
    """
    manifest = read_manifest_of(folder, task.name, task.task)
    fitted = load_fitted(folder, task.target, task.restore)
    lacking = sorted(set(task.views) - set(manifest.blend))
    if lacking:
        raise ArtifactError(f"{folder} knows nothing of the view {lacking[0]!r} of {task.task}; train it again")
    return fitted


def load_fitted(folder: Path, target: Target, restore: RestorePreparation) -> Fitted:
    """Read a run folder's adapter onto its trunk.

    Raises:
        ArtifactError: if a file is absent or damaged, is not the one on record, holds another kind of target, or the
            trunk is not the one the adapter was fitted on.
    """
    manifest, tensors = read_manifest(folder)
    try:
        target = target.restored(manifest.target)
    except ArtifactError as error:
        raise ArtifactError(f"{folder} is of another target: {error}") from error
    adapter_sha256 = file_sha256(folder / ADAPTER_FILE)
    check_record(folder, adapter_sha256, manifest.trunk_sha256)
    trunks = load_trunks(manifest, read_trunks(folder, manifest))
    members = share_tokenizers(
        _load_member(manifest, below(tensors, f"members.{index}."), trunk, index, (target, restore))
        for index, trunk in enumerate(trunks)
    )
    alarm = {
        view: ShiftAlarm.restore(plain, view_arrays("alarm", view, tensors)) for view, plain in manifest.alarm.items()
    }
    if alarm and not manifest.channels:
        raise ArtifactError(f"{folder} has an alarm, and does not say which channels it compares; train it again")
    calibration = {
        view: Calibration.restore(plain, view_arrays("calibration", view, tensors))
        for view, plain in manifest.calibration.items()
    }
    _check_strata(calibration, target, folder)
    return Fitted(
        ensemble=Ensemble(
            members=members,
            target=target,
            blend={view: target.check_blend(blend, view) for view, blend in manifest.blend.items()},
            layout=Layout.restore(manifest.channels),
            num_features=_num_features(alarm),
        ),
        calibration=calibration,
        alarm=alarm,
        manifest=manifest,
        adapter_sha256=adapter_sha256,
        taught=read_taught(manifest, tensors),
    )


def _check_strata(calibration: Mapping[str, Calibration], target: Target, folder: Path) -> None:
    """Refuse calibrations of other strata than the target's, or of scores that it cannot have."""
    wanted = set(target.strata_names())
    for known in calibration.values():
        if (known.strata is None) != (not wanted) or not set(known.strata or ()) <= wanted:
            raise ArtifactError(f"{folder} does not calibrate each {target.kind} that it names; train it again")
        if wanted and known.scores.max() > target.most_score:
            raise ArtifactError(f"{folder} has calibration scores beyond {target.most_score:g}; train it again")


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
    trunk: Trunk,
    index: int,
    kind: tuple[Target, RestorePreparation],
) -> Member:
    (target, restore), facts = kind, manifest.members[index]
    if set(facts.frame) != target.frame_names:
        raise ArtifactError(
            f"the manifest does not say {', '.join(sorted(target.frame_names)) or 'nothing'} of a member's target; "
            "train it again"
        )
    arrays = {name: tensor.numpy() for name, tensor in below(tensors, "preparation.").items()}
    load_own_lora(trunk, manifest, tensors, index)
    return Member(
        trunk=trunk,
        adapter=load_adapter(manifest, tensors, index, target),
        preparation=_restored(restore, facts.preparation, arrays),
        target=target,
        frame=facts.frame,
        plan=plan_of(facts),
    )


def share_tokenizers(members: Iterable[Member]) -> tuple[Member, ...]:
    """Let members whose tokenizers are the same, as those of a frozen model are, hold one."""
    known: dict[str, OpenTokenizer] = {}
    found = []
    for member in members:
        own = member.adapter.tokenizer
        member.adapter.tokenizer = known.setdefault(f"{own.facts()}{state_sha256(own.state_dict())}", own)
        found.append(member)
    return tuple(found)


def _restored(restore: RestorePreparation, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Preparation:
    try:
        return restore(plain, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise ArtifactError(
            f"the adapter's preparation cannot be restored ({type(error).__name__}: {printable(error)}); "
            "name the adapter that the run was trained with, or train it again"
        ) from error
