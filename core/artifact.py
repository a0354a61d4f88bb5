"""The artefact of a fitted adapter: weights and arrays in safetensors, with a manifest that says what they are."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from mainstem.core.adapter import Adapter
from mainstem.core.calibration import IntervalCalibration, ShiftAlarm
from mainstem.core.errors import ArtifactError
from mainstem.core.heads import ScalarHead
from mainstem.core.lora import ALPHA_PER_RANK, OWN, is_lora_key, load_lora, lora_state
from mainstem.core.openmodels import restore_tokenizer
from mainstem.core.prediction import ModelRef
from mainstem.core.regression import Member, Regressor, RestorePreparation
from mainstem.core.state import State
from mainstem.core.trunk import Trunk, trunk_config
from mainstem.core.weights import file_sha256, load_tensors, save_tensors, state_sha256

SCHEMA_VERSION = 3  # 3: calibration and alarm are tensors
FEWEST_FIELDS = 20  # real ones, before an adapter of simulations may speak in its units
ADAPTER_FILE, TRUNK_FILE = "adapter.safetensors", "trunk.safetensors"


class AdapterManifest(BaseModel):
    """What an adapter file says of itself; unknown fields are refused, so that no newer promise is dropped.

    `classes` names what a classifier may say; `members` holds, for each, its tokenizer (of streams: kind, channels with
    units, normalisation statistics), its preparation and the standard deviation of its target; `scope` the facts a
    sample must have to be predicted; `calibration` and `alarm` what is known by view; `training` data, groups, seed
    and licence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    adapter: str
    task: str
    version: str
    units: str
    trunk: dict[str, Any]
    trunk_sha256: str
    trunk_is_shared: bool
    members: tuple[dict[str, Any], ...]
    gates: dict[str, float]
    adjust: tuple[float, float] = (1.0, 0.0)
    scope: dict[str, list[str]]
    calibration: dict[str, dict[str, Any]]
    alarm: dict[str, dict[str, Any]]
    training: dict[str, Any]
    licence: str
    attribution: str
    simulated: bool
    known_failures: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def reference(self, adapter_sha256: str) -> ModelRef:
        """Return what predictions carry of their model."""
        return ModelRef(
            adapter=self.adapter,
            task=self.task,
            version=self.version,
            adapter_sha256=adapter_sha256,
            trunk_sha256=self.trunk_sha256,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """A fitted regressor, its calibration and alarm by view, its manifest, and the hash of its file."""

    regressor: Regressor
    calibration: Mapping[str, IntervalCalibration]
    alarm: Mapping[str, ShiftAlarm]
    manifest: AdapterManifest
    adapter_sha256: str

    def reference(self) -> ModelRef:
        """Return what predictions carry of their model."""
        return self.manifest.reference(self.adapter_sha256)

    def speaks_of(self, *, is_simulated: bool) -> bool:
        """True where values may be given in the manifest's units.

        What was learned from simulations alone says nothing of the real world in units, until FEWEST_FIELDS fields or
        groups of it have calibrated the adapter.
        """
        local = int(self.manifest.training.get("local_fields", 0))
        return is_simulated or not self.manifest.simulated or local >= FEWEST_FIELDS


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


def _member_tensors(index: int, member: Member) -> tuple[dict[str, Any], dict[str, Tensor]]:
    plain, arrays = member.preparation.state()
    prepared = {
        f"members.{index}.preparation.{name}": torch.from_numpy(np.array(values)) for name, values in arrays.items()
    }
    described = {"tokenizer": member.adapter.tokenizer.facts(), "preparation": plain, "std": member.std}
    return described, adapter_tensors(index, member.adapter, member.trunk) | prepared


class Known(Protocol):
    """What is known of a view: its calibration, its alarm."""

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""


def view_tensors(kind: str, views: Mapping[str, Known]) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
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
) -> Artifact:
    """Write adapter and trunk to a run folder; `facts` fills the rest of the manifest."""
    trunk, shared = trunk_tensors([member.trunk for member in regressor.members])
    described: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for index, member in enumerate(regressor.members):
        plain, found = _member_tensors(index, member)
        described.append(plain)
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
        adjust=regressor.adjust,
        calibration=known["calibration"],
        alarm=known["alarm"],
        **facts,
    )
    save_tensors(folder / TRUNK_FILE, trunk, {"format": "pt"})
    sha256 = save_tensors(folder / ADAPTER_FILE, tensors, {"manifest": manifest.model_dump_json()})
    return Artifact(regressor=regressor, calibration=calibration, alarm=alarm, manifest=manifest, adapter_sha256=sha256)


def recalibrated(
    folder: Path,
    artifact: Artifact,
    calibration: Mapping[str, IntervalCalibration],
    alarm: Mapping[str, ShiftAlarm],
    more: Mapping[str, Any] | None = None,
) -> Artifact:
    """Write the artefact again with another calibration and alarm, and other facts; its weights stay as they are."""
    kept = {"schema_version", "trunk", "trunk_sha256", "trunk_is_shared", "members", "gates", "adjust", "calibration",
            "alarm"}  # fmt: skip
    facts = {name: value for name, value in artifact.manifest if name not in kept}
    return save_artifact(folder, artifact.regressor, calibration, alarm, facts | dict(more or {}))


def read_manifest(folder: Path) -> tuple[AdapterManifest, dict[str, Tensor]]:
    """Read the adapter's manifest and tensors.

    Raises:
        ArtifactError: if there is no adapter, or its manifest is of another schema.
    """
    tensors, metadata = load_tensors(folder / ADAPTER_FILE)
    try:
        plain = json.loads(metadata["manifest"])
        if plain.get("schema_version") != SCHEMA_VERSION:
            raise ArtifactError(
                f"{folder} has manifest schema {plain.get('schema_version')}, want {SCHEMA_VERSION}; train it again"
            )
        return AdapterManifest(**plain), tensors
    except (KeyError, json.JSONDecodeError, ValidationError) as error:
        raise ArtifactError(f"{folder / ADAPTER_FILE} carries no adapter manifest; name a run folder") from error


def load_artifact(folder: Path, restore: RestorePreparation) -> Artifact:
    """Read a run folder's adapter onto its trunk.

    Raises:
        ArtifactError: if a file is absent or damaged, or the trunk is not the one the adapter was fitted on.
    """
    manifest, tensors = read_manifest(folder)
    if manifest.classes:
        raise ArtifactError(f"{folder} names classes, not {manifest.task} quantities; name a run of a regression")
    trunks = read_trunks(folder, manifest)
    members = tuple(
        _load_member(manifest, plain, below(tensors, f"members.{index}."), trunks, index, restore)
        for index, plain in enumerate(manifest.members)
    )
    return Artifact(
        regressor=Regressor(members=members, gates=manifest.gates, adjust=manifest.adjust),
        calibration={
            view: IntervalCalibration.restore(plain, view_arrays("calibration", view, tensors))
            for view, plain in manifest.calibration.items()
        },
        alarm={
            view: ShiftAlarm.restore(plain, view_arrays("alarm", view, tensors))
            for view, plain in manifest.alarm.items()
        },
        manifest=manifest,
        adapter_sha256=file_sha256(folder / ADAPTER_FILE),
    )


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
    return trunks


def load_trunk(manifest: AdapterManifest, trunks: Mapping[str, Tensor], own: Mapping[str, Tensor], index: int) -> Trunk:
    """Return a member's trunk with its LoRA, which is among the member's `own` tensors."""
    trunk = Trunk(trunk_config(manifest.trunk))
    trunk.load_state_dict(below(trunks, f"members.{0 if manifest.trunk_is_shared else index}."))
    lora = below(own, "lora.")
    if lora:
        rank = next(tensor for name, tensor in lora.items() if "lora_A" in name).shape[0]
        load_lora(trunk, OWN, lora, alpha=ALPHA_PER_RANK * rank)
    return trunk.eval()


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_member(
    manifest: AdapterManifest,
    plain: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    trunks: Mapping[str, Tensor],
    index: int,
    restore: RestorePreparation,
) -> Member:
    config = trunk_config(manifest.trunk)
    adapter = Adapter(restore_tokenizer(plain["tokenizer"], config.dim), ScalarHead(config.project or config.dim))
    adapter.load_state_dict(below(tensors, "adapter."))
    arrays = {name: tensor.numpy() for name, tensor in below(tensors, "preparation.").items()}
    return Member(
        trunk=load_trunk(manifest, trunks, tensors, index),
        adapter=adapter.eval(),
        preparation=restore(plain["preparation"], arrays),
        std=float(plain["std"]),
    )
