"""The artefact of a fitted adapter: weights and arrays in safetensors, with a manifest that says what they are."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.adapter import Adapter
from mainstem.core.alarm import ShiftAlarm
from mainstem.core.calibration import IntervalCalibration
from mainstem.core.classification import ClassMember
from mainstem.core.errors import ArtifactError
from mainstem.core.files import write_atomically
from mainstem.core.heads import Head, ScalarHead
from mainstem.core.layout import Layout
from mainstem.core.lora import OWN, is_lora_key, load_lora, lora_alpha, lora_state
from mainstem.core.manifest import AdapterManifest, MemberFacts, parse_manifest
from mainstem.core.openmodels import restore_tokenizer
from mainstem.core.prediction import ModelRef
from mainstem.core.preparation import Preparation, RestorePreparation
from mainstem.core.records import check_record, expect_adapter
from mainstem.core.regression import Member, RegressionTask, Regressor
from mainstem.core.schema import printable
from mainstem.core.state import State
from mainstem.core.taught import Prints, Taught
from mainstem.core.training import TrainingPlan
from mainstem.core.trunk import Trunk, trunk_config
from mainstem.core.weights import (
    check_finite,
    check_room,
    file_sha256,
    fill,
    load_tensors,
    num_weights,
    save_tensors,
    state_sha256,
    tensors_content,
)

ADAPTER_FILE, TRUNK_FILE = "adapter.safetensors", "trunk.safetensors"
MANIFEST, CONTENT = "manifest", "sha256"  # of the adapter file's header
TAUGHT = "taught/"  # tensors of these names are hashes of samples
PREPARATION, ALARM = ".preparation.", "alarm/"  # tensors of these names may hold NaN, where a fact is not known


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


def trunk_tensors(trunks: Sequence[Trunk]) -> tuple[dict[str, Tensor], bool]:
    """Return the trunk weights by member, without LoRA, and whether one copy stands for all because none trained it."""
    states = [
        {name: tensor for name, tensor in trunk.state_dict().items() if not is_lora_key(name)} for trunk in trunks
    ]
    shared = len(states) > 1 and len({state_sha256(state) for state in states}) == 1
    kept = states[:1] if shared else states
    return {
        f"members.{index}.{name}": tensor for index, state in enumerate(kept) for name, tensor in state.items()
    }, shared


def adapter_tensors(index: int, adapter: Adapter, trunk: Trunk) -> dict[str, Tensor]:
    """Return what a member's adapter learned, and its LoRA on the trunk."""
    tensors = {f"members.{index}.adapter.{name}": tensor for name, tensor in adapter.state_dict().items()}
    if trunk.has_lora(OWN):
        tensors |= {f"members.{index}.lora.{name}": tensor for name, tensor in lora_state(trunk, OWN).items()}
    return tensors


def _member_tensors(index: int, member: Member) -> tuple[MemberFacts, dict[str, Tensor]]:
    plain, arrays = member.preparation.state()
    prepared = {
        f"members.{index}.preparation.{name}": torch.from_numpy(np.array(values)) for name, values in arrays.items()
    }
    described = MemberFacts(**member_facts(member), preparation=plain, std=member.std)
    return described, adapter_tensors(index, member.adapter, member.trunk) | prepared


def member_facts(member: Member | ClassMember) -> dict[str, Any]:
    """Return what the manifest says of any member."""
    return {
        "tokenizer": member.adapter.tokenizer.facts(),
        "lora_alpha": lora_alpha(member.trunk, OWN),
        "trained": None if member.plan is None else dataclasses.asdict(member.plan),
    }


def write_artifact(
    folder: Path, manifest: AdapterManifest, trunk: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> str:
    """Write trunk and adapter and return the adapter file's sha256, which the record learns of first."""
    text = manifest.model_dump_json()
    content = tensors_content(tensors, {MANIFEST: text, CONTENT: content_sha256(text, tensors)})
    sha256 = hashlib.sha256(content).hexdigest()
    save_tensors(folder / TRUNK_FILE, trunk, {"format": "pt"})
    path = folder / ADAPTER_FILE
    expect_adapter(folder, sha256, file_sha256(path) if path.is_file() else None)
    write_atomically(path, content)
    return sha256


def content_sha256(manifest: str, tensors: Mapping[str, Tensor]) -> str:
    """Hash of a manifest's text and all tensors, which the file carries to protect itself."""
    return hashlib.sha256(f"{manifest}\n{state_sha256(tensors)}".encode()).hexdigest()


class Kept(Protocol):
    """What is known of a view: its calibration, its alarm."""

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""


def view_tensors(kind: str, views: Mapping[str, Kept]) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    """Return what the manifest says of each view, and the tensors `<kind>/<view>/<name>`."""
    plain: dict[str, dict[str, Any]] = {}
    tensors: dict[str, Tensor] = {}
    for view, known in views.items():
        plain[view], arrays = known.state()
        tensors |= {f"{kind}/{view}/{name}": torch.from_numpy(np.array(values)) for name, values in arrays.items()}
    return plain, tensors


def view_arrays(kind: str, view: str, tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return a view's arrays, by name, of the tensors that `view_tensors` gave."""
    return {
        name.rpartition("/")[2]: tensor.numpy()
        for name, tensor in tensors.items()
        if name.rpartition("/")[0] == f"{kind}/{view}"
    }


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


def taught_tensors(taught: Taught) -> dict[str, Tensor]:
    """Return the tensors that hold what taught an adapter."""
    return {
        f"{TAUGHT}{name}": torch.from_numpy(np.array(values)) for name, values in taught.state().items() if len(values)
    }


def read_taught(manifest: AdapterManifest, tensors: Mapping[str, Tensor]) -> Taught:
    """Read what `taught_tensors` gave.

    Raises:
        ArtifactError: if it is damaged.
    """
    found = {name.removeprefix(TAUGHT): tensor for name, tensor in tensors.items() if name.startswith(TAUGHT)}
    odd = [name for name, tensor in found.items() if tensor.dtype != torch.int64 or tensor.ndim != 1]
    if odd or not set(found) <= set(Taught(training={}).state()):
        raise ArtifactError("the adapter file's hashes of what taught it are damaged; train it again")
    return Taught(training=manifest.training, **{name: tensor.numpy() for name, tensor in found.items()})


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


def read_manifest(folder: Path) -> tuple[AdapterManifest, dict[str, Tensor]]:
    """Read the adapter's manifest and tensors.

    Raises:
        ArtifactError: if there is no adapter, its manifest is of another schema or damaged, or its content is not what
            its own hash says.
    """
    path = folder / ADAPTER_FILE
    tensors, metadata = load_tensors(path)
    if MANIFEST not in metadata:
        raise ArtifactError(f"{path} carries no adapter manifest; name a run folder")
    manifest = parse_manifest(metadata[MANIFEST], str(folder))
    if metadata.get(CONTENT) != content_sha256(metadata[MANIFEST], tensors):
        raise ArtifactError(
            f"{path} is damaged: its content has not the hash that it carries; take it from a copy, or train again"
        )
    weights = {name: value for name, value in tensors.items() if PREPARATION not in name and not name.startswith(ALARM)}
    check_finite(weights, str(path))
    _check_owners(manifest, tensors, path)
    return manifest, tensors


def _check_owners(manifest: AdapterManifest, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse a tensor of no member and no view."""
    owners = {f"members.{index}" for index in range(len(manifest.members))}
    views = {f"{kind}/{view}" for kind in ("calibration", "alarm") for view in getattr(manifest, kind)}
    for name in tensors:
        if name.startswith(TAUGHT):
            continue
        if ".".join(name.split(".")[:2]) not in owners and name.rpartition("/")[0] not in views:
            raise ArtifactError(f"{path} holds {printable(name)}, which nothing reads; train it again")


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


def read_manifest_of(folder: Path, adapter: str, task: str) -> AdapterManifest:
    """Read the manifest of a run of this adapter and task.

    Raises:
        ArtifactError: if it is of another.
    """
    manifest, _ = read_manifest(folder)
    if (manifest.adapter, manifest.task) != (adapter, task):
        raise ArtifactError(
            f"{folder} is a run of {manifest.adapter}, task {manifest.task}, not of {adapter}, task {task}; "
            "name a run of that adapter and task"
        )
    return manifest


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


def read_trunks(folder: Path, manifest: AdapterManifest) -> dict[str, Tensor]:
    """Read the trunk's weights by member.

    Raises:
        ArtifactError: if they are not those that the adapter was fitted on.
    """
    trunks, _ = load_tensors(folder / TRUNK_FILE)
    found = state_sha256(trunks)
    if found != manifest.trunk_sha256:
        raise ArtifactError(
            f"{folder / TRUNK_FILE} has hash {found[:12]}, the adapter wants {manifest.trunk_sha256[:12]}; "
            "put back the trunk it was fitted on"
        )
    check_finite(trunks, str(folder / TRUNK_FILE))
    return trunks


def load_trunk(manifest: AdapterManifest, trunks: Mapping[str, Tensor], own: Mapping[str, Tensor], index: int) -> Trunk:
    """Return a member's trunk with its LoRA, which is among the member's `own` tensors.

    Raises:
        ArtifactError: if the config, the trunk's weights and the LoRA do not fit each other.
    """
    config = trunk_config(manifest.trunk)
    weights = below(trunks, f"members.{0 if manifest.trunk_is_shared else index}.")
    check_room(config.num_weights(), num_weights(weights), "the trunk's config")
    trunk = Trunk(config)
    fill(trunk, weights, "the trunk")
    lora, alpha = below(own, "lora."), manifest.members[index].lora_alpha
    if bool(lora) != (alpha is not None):
        raise ArtifactError("the manifest and the weights disagree on whether there is a LoRA; train it again")
    if alpha is not None:
        load_lora(trunk, OWN, lora, alpha=alpha)
    return trunk.eval()


def load_adapter(
    manifest: AdapterManifest, own: Mapping[str, Tensor], index: int, head_of: Callable[[int], Head]
) -> Adapter:
    """Return a member's adapter, its weights among the member's `own` tensors; `head_of` takes the trunk's width.

    Raises:
        ArtifactError: if its facts and its weights do not fit each other.
    """
    config = trunk_config(manifest.trunk)
    weights = below(own, "adapter.")
    width = config.project or config.dim
    check_room(width * max(len(manifest.classes), 1), num_weights(weights), "the adapter's head")
    tokenizer = restore_tokenizer(manifest.members[index].tokenizer, config.dim, num_weights(weights))
    adapter = Adapter(tokenizer, head_of(width))
    fill(adapter, weights, "the adapter")
    return adapter.eval()


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


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


def plan_of(facts: MemberFacts) -> TrainingPlan | None:
    """Return what a member's training used.

    Raises:
        ArtifactError: if the manifest says it in other words than this version.
    """
    if facts.trained is None:
        return None
    try:
        return TrainingPlan(**facts.trained)
    except TypeError as error:
        raise ArtifactError(f"the manifest says of the training {printable(facts.trained)}; train it again") from error


def _restored(restore: RestorePreparation, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Preparation:
    try:
        return restore(plain, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise ArtifactError(
            f"the adapter's preparation cannot be restored ({type(error).__name__}: {printable(error)}); "
            "name the adapter that the run was trained with, or train it again"
        ) from error
