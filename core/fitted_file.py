"""The files of an artefact: tensors by member and view, and the manifest that says what they are."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.adapter import Adapter
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import write_atomically
from mainstem.core.lora import is_lora_key, load_lora, lora_alpha, lora_state, numbered
from mainstem.core.manifest import AdapterManifest, MemberFacts, parse_manifest
from mainstem.core.member import Member
from mainstem.core.openmodels import restore_tokenizer
from mainstem.core.records import expect_adapter
from mainstem.core.schema import printable
from mainstem.core.state import State
from mainstem.core.targets import Target
from mainstem.core.taught import Taught
from mainstem.core.tokenizers.streams import specs_of
from mainstem.core.training import TrainingPlan
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import trunk_config
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


def trunk_tensors(trunks: Sequence[Trunk]) -> tuple[dict[str, Tensor], bool]:
    """Return the trunk weights by member, without LoRA, and whether one copy stands for all because none trained it."""
    held = {id(trunk): trunk.state_dict() for trunk in trunks}
    bare = {key: {k: tensor for k, tensor in state.items() if not is_lora_key(k)} for key, state in held.items()}
    shared = len(trunks) > 1 and (len(bare) == 1 or len({state_sha256(state) for state in bare.values()}) == 1)
    kept = [bare[id(trunk)] for trunk in (trunks[:1] if shared else trunks)]
    return {
        f"members.{index}.{name}": tensor for index, state in enumerate(kept) for name, tensor in state.items()
    }, shared


def adapter_tensors(index: int, member: Member) -> dict[str, Tensor]:
    """Return what a member's adapter learned, and its LoRA on the trunk."""
    state = {name: tensor.clone() for name, tensor in member.adapter.state_dict().items()}  # members may share some
    tensors = {f"members.{index}.adapter.{name}": tensor for name, tensor in state.items()}
    if member.lora is not None:
        learned = lora_state(member.trunk, member.lora)
        tensors |= {f"members.{index}.lora.{name}": tensor for name, tensor in learned.items()}
    return tensors


def member_facts(member: Member, preparation: dict[str, Any]) -> MemberFacts:
    """Return what the manifest says of a member, whose preparation keeps `preparation`."""
    return MemberFacts(
        tokenizer=member.adapter.tokenizer.facts(),
        preparation=preparation,
        frame=dict(member.frame),
        lora_alpha=None if member.lora is None else lora_alpha(member.trunk, member.lora),
        trained=None if member.plan is None else dataclasses.asdict(member.plan),
    )


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
    return Taught(
        training=manifest.training, keys=manifest.keys, **{name: tensor.numpy() for name, tensor in found.items()}
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


def load_trunks(manifest: AdapterManifest, trunks: Mapping[str, Tensor]) -> list[Trunk]:
    """Return each member's trunk, without LoRA: the same one for all where none trained it.

    Raises:
        ArtifactError: if the config and the weights do not fit each other.
    """
    config = trunk_config(manifest.trunk)
    found = []
    for index in range(1 if manifest.trunk_is_shared else len(manifest.members)):
        weights = below(trunks, f"members.{index}.")
        check_room(config.num_weights(), num_weights(weights), "the trunk's config")
        trunk = Trunk(config)
        fill(trunk, weights, "the trunk")
        found.append(trunk.eval())
    return found * len(manifest.members) if manifest.trunk_is_shared else found


def load_own_lora(trunk: Trunk, manifest: AdapterManifest, own: Mapping[str, Tensor], index: int) -> None:
    """Put a member's LoRA, which is among its `own` tensors, on its trunk.

    Raises:
        ArtifactError: if it does not fit the trunk, or is lacking.
    """
    lora, alpha = below(own, "lora."), manifest.members[index].lora_alpha
    if bool(lora) != (alpha is not None):
        raise ArtifactError("the manifest and the weights disagree on whether there is a LoRA; train it again")
    if alpha is not None:
        load_lora(trunk, numbered(index), lora, alpha=alpha)


def load_adapter(manifest: AdapterManifest, own: Mapping[str, Tensor], index: int, target: Target) -> Adapter:
    """Return a member's adapter, its weights among the member's `own` tensors.

    Raises:
        ArtifactError: if its facts and its weights do not fit each other.
    """
    config = trunk_config(manifest.trunk)
    weights = below(own, "adapter.")
    width = config.project or config.dim
    check_room(width * target.num_values, num_weights(weights), "the adapter's head")
    tokenizer = restore_tokenizer(manifest.members[index].tokenizer, config.dim, num_weights(weights))
    try:
        head = target.head(width, specs_of(tokenizer))
    except InputError as error:
        raise ArtifactError(f"its head does not fit what it reads: {error}") from error
    adapter = Adapter(tokenizer, head, numbered(index))
    fill(adapter, weights, "the adapter")
    return adapter.eval()


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


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
