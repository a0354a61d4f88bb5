"""Members: a trunk and an adapter fitted to a part of the samples, and what several of them say together."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.core.adapter import Adapter
from mainstem.core.devices import Compute, Precision, move
from mainstem.core.errors import ArtifactError
from mainstem.core.folds import drawn
from mainstem.core.layout import Layout
from mainstem.core.loader import by_length, cut_batches
from mainstem.core.lora import OWN
from mainstem.core.openmodels.base import OpenModel
from mainstem.core.preparation import HasLayout, Preparation, View, own_features, strangeness
from mainstem.core.stream import Sample
from mainstem.core.targets import Blend, Known, Outputs, Target
from mainstem.core.targets.parts import Reading
from mainstem.core.task import FitConfig, Order, Task
from mainstem.core.tokenizers.specs import Settings, StreamSpec
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.tokens import OpenTokenizer
from mainstem.core.training import TrainingConfig, TrainingPlan, train
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES
from mainstem.core.watch import Watch

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Prepared = tuple[Sequence[Sample], Array]  # what a preparation makes of samples
BATCH = 1024  # of prediction


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """One trunk and adapter fitted to what the target made of truths; `frame` turns what it says back into units.

    Members may hold the same trunk, each with a LoRA of its own, which its adapter names; and the same tokenizer. It
    computes where its weights are, in `precision`.
    """

    trunk: Trunk
    adapter: Adapter
    preparation: Preparation
    target: Target
    frame: Mapping[str, float] = field(default_factory=dict)
    plan: TrainingPlan | None = None  # None where it was not trained here
    precision: Precision = "float32"

    @property
    def lora(self) -> str | None:
        """The name of its LoRA on the trunk; None where it has none."""
        return self.adapter.lora_on(self.trunk)

    @property
    def encoder(self) -> tuple[int, int, str]:
        """What reads samples, but for a LoRA: the same for members that can read them together."""
        return id(self.trunk), id(self.adapter.tokenizer), self.precision

    def on(self, compute: Compute) -> "Member":
        """Return the member for a device, to which its weights are moved in place, and a precision."""
        move((self.trunk, self.adapter), compute.place())
        return replace(self, precision=compute.precision)

    def outputs(self, samples: Sequence[Sample]) -> Outputs:
        """Return what the member says of samples, part by part."""
        return self.outputs_beside((), samples)[0]

    def outputs_beside(self, others: Sequence["Member"], samples: Sequence[Sample]) -> list[Outputs]:
        """Return what it and others of its encoder say of samples; those that prepare them alike read them once."""
        members = (self, *others)
        prepared = [member.preparation(samples) for member in members]
        told: dict[int, Outputs] = {}
        for rows in _alike([shown for shown, _ in prepared]):
            asked = [(members[row], prepared[row]) for row in rows]
            told |= zip(rows, _said(asked, samples), strict=True)
        return [told[row] for row in range(len(members))]

    def known(self, samples: Sequence[Sample], past: Array) -> Known:
        """Return what its target knows of samples before the trunk has read them."""
        plain = self.preparation.fallback(samples, past)
        added = plain - past if plain.shape == past.shape else (plain.T - past).T  # findings share a case's one offset
        return Known(past=past, plain=added, frame=self.frame)

    def told(self, reading: Reading, known: Known) -> Outputs:
        """Return what the head says of what it reads."""
        with torch.no_grad():
            return self.target.outputs(self.adapter.told(reading, self.precision), known)


def _alike(prepared: Sequence[Sequence[Sample]]) -> Iterator[list[int]]:
    """Give the numbers of what holds the very same samples, time and again."""
    left = list(range(len(prepared)))
    while left:
        first = prepared[left[0]]
        yield (alike := [row for row in left if _are_same(first, prepared[row])])
        left = [row for row in left if row not in alike]


def _are_same(one: Sequence[Sample], other: Sequence[Sample]) -> bool:
    if one is other or not (isinstance(one, list) and isinstance(other, list)):
        return one is other
    return len(one) == len(other) and all(mine is its for mine, its in zip(one, other, strict=True))


def _said(asked: Sequence[tuple[Member, Prepared]], samples: Sequence[Sample]) -> list[Outputs]:
    """What members of one encoder say of samples that they prepared alike."""
    first, (shown, _) = asked[0]
    known = [member.known(samples, past) for member, (_, past) in asked]
    loras = list(dict.fromkeys(member.lora for member, _ in asked))
    parts: list[list[Outputs]] = [[] for _ in asked]
    order = []
    for rows, patches in cut_batches(first.adapter.tokenizer, shown, by_length(shown, BATCH)):
        with torch.no_grad():
            read = dict(zip(loras, first.adapter.readings(patches, first.trunk, loras, first.precision), strict=True))
        order.append(rows.numpy())
        for part, (member, _), its in zip(parts, asked, known, strict=True):
            part.append(member.told(read[member.lora], its.rows(order[-1])))
    back = np.argsort(np.concatenate(order))
    return [rows_of_outputs(join_outputs(part), back) for part in parts]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """Members that speak together.

    `blend` says by view what their parts are worth, as out-of-fold predictions taught, and local labels since. `layout`
    puts the channels of samples in the order of training, by name. `num_features` is how many the shift alarm of an
    artefact compares, None where there is no alarm.
    """

    members: tuple[Member, ...]
    target: Target
    blend: Mapping[str, Blend]
    layout: Layout = field(default_factory=lambda: Layout(channels={}))
    num_features: int | None = None

    def raw(self, samples: Sequence[Sample]) -> list[Outputs]:
        """Return what each member says of samples, part by part; members of one encoder read them together."""
        aligned = self.layout(samples)
        told: dict[int, Outputs] = {}
        for encoder in dict.fromkeys(member.encoder for member in self.members):
            rows = [row for row, member in enumerate(self.members) if member.encoder == encoder]
            first, *others = (self.members[row] for row in rows)
            told |= zip(rows, first.outputs_beside(others, aligned), strict=True)
        return [told[row] for row in range(len(self.members))]

    def outputs(self, samples: Sequence[Sample], view: str) -> Outputs:
        """Return what is told, before calibration, of samples that show what `view` shows."""
        return self.target.combine(self.raw(samples), self.blend[view])

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return the shift alarm's features (samples, features), averaged over members.

        Raises:
            ArtifactError: if the artefact's alarm compares another number of them.
        """
        aligned = self.layout(samples)
        averaged: Array = np.mean([member.preparation.features(aligned) for member in self.members], axis=0)
        if self.num_features not in (None, averaged.shape[1]):
            raise ArtifactError(
                f"the shift alarm compares {self.num_features} features, the adapter makes {averaged.shape[1]}; take "
                "the run from a copy, or train it again"
            )
        return averaged

    def own_features(self, samples: Sequence[Sample]) -> Array:
        """Return what the shift alarm judges single samples alone by (samples, own features), averaged over members."""
        aligned = self.layout(samples)
        averaged: Array = np.mean([own_features(member.preparation, aligned) for member in self.members], axis=0)
        return averaged

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return how unlike training each sample is (samples,), averaged over members; beyond 1 none is predicted."""
        aligned = self.layout(samples)
        averaged: Array = np.mean([strangeness(member.preparation, aligned) for member in self.members], axis=0)
        return averaged

    def on(self, compute: Compute) -> "Ensemble":
        """Return the ensemble with its members on a device, in a precision."""
        return replace(self, members=tuple(member.on(compute) for member in self.members))

    def alone(self, member: Member) -> "Ensemble":
        """Return an ensemble of one member, its parts weighed as here."""
        return replace(self, members=(member,))


@dataclass(frozen=True, kw_only=True, eq=False)
class MemberFit:
    """How members of a task are fitted, whatever part of the samples each is given."""

    task: Task
    target: Target
    config: FitConfig
    order: Order
    layout: Layout | None = None
    watch: Watch | None = None

    def seeded(self, seed: int) -> "MemberFit":
        """Return the same with another seed of training."""
        return replace(self, config=replace(self.config, training=replace(self.config.training, seed=seed)))

    def __call__(self, samples: Sequence[Sample], base: OpenModel | None, lora: str = OWN) -> Member:
        """Fit one trunk (or adapt the open model given) and adapter to the samples.

        The open model keeps its weights, so that members share it: each adds a LoRA of its own name, or nothing, and
        where training is of the whole trunk, it is that of a copy.

        Where there are several views, each sample is shown as it is and once more through a view drawn at random.
        `layout` is that of all members, where these samples are a part of theirs.
        """
        training, target = self.config.training, self.target
        samples = drawn(samples, self.task.holding.largest_group, training.seed)
        if not (teaches := target.teaches(target.truth(samples))).all():
            samples = [samples[row] for row in np.flatnonzero(teaches).tolist()]
        preparation = self.task.prepare(samples, self.order)
        if self.layout is not None and isinstance(preparation, HasLayout):
            preparation = preparation.laid_out(self.layout)
        shown = [*samples, *_random_views(samples, self.task.views, training.seed)]
        prepared, past = preparation(shown)
        truth = target.truth(shown)
        aims, frame = target.standardise(truth, past)
        weights = target.weights(truth)
        base = None if base is None else _to_train(base, training)
        trunk = base.trunk if base is not None else Trunk(SIZES[self.config.trunk_size], training.seed)
        torch.manual_seed(training.seed)
        specs = specs_to_read(base, prepared, self.config.stream_settings)
        head = target.head(trunk.config.project or trunk.config.dim, specs)  # first: seeds keep their meaning
        tokenizer = tokenizer_of(base, specs, trunk.config.dim)
        adapter = Adapter(tokenizer, head, lora, self.task.augment)
        counted = None if weights is None else torch.from_numpy(weights).float()
        train((adapter, trunk), prepared, torch.from_numpy(aims), target.loss, training, counted, watch=self.watch)
        plan = TrainingPlan.of(training, len(prepared))
        return Member(
            trunk=trunk,
            adapter=adapter,
            preparation=preparation,
            target=target,
            frame=frame,
            plan=plan,
            precision=training.precision,
        )


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Put several parts' cases together."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rows_of_outputs(outputs: Outputs, chosen: NDArray[np.intp]) -> Outputs:
    """Return the chosen cases."""
    return {name: values[chosen] for name, values in outputs.items()}


def _to_train(base: OpenModel, config: TrainingConfig) -> OpenModel:
    """Return the open model with copies of those of its parts whose own weights learn.

    Where a trunk of the project's own learns whole, the tokenizers that came with it learn as new ones do.
    """
    if config.trunk == "full":
        whole = copy.deepcopy(base)
        for tokenizer in whole.tokenizers.values():
            tokenizer.requires_grad_(isinstance(tokenizer, StreamsTokenizer))
        return whole
    if any(parameter.requires_grad for parameter in base.tokenizer.parameters()):
        return replace(base, tokenizers=copy.deepcopy(base.tokenizers))
    return base


def specs_to_read(
    base: OpenModel | None, samples: Sequence[Sample], wanted: Settings | None = None
) -> Mapping[str, StreamSpec]:
    """What the tokenizer of a trunk will read, by stream; {} where it is an open model's own."""
    if base is None:
        return read_specs(samples, wanted)
    own = base.tokenizer
    return own.joined(read_specs(samples, wanted)) if isinstance(own, StreamsTokenizer) else {}


def tokenizer_of(base: OpenModel | None, specs: Mapping[str, StreamSpec], dim: int) -> OpenTokenizer:
    """The open model's own tokenizer; those of the project's own trunks with parts for streams that they do not know.

    `tokenizer_words` says which streams are new.
    """
    own = StreamsTokenizer({}, dim) if base is None else base.tokenizer
    return own.widened(specs) if isinstance(own, StreamsTokenizer) else own


def tokenizer_words(base: OpenModel | None, used: Sequence[OpenTokenizer]) -> str:
    """Say what members kept of the tokenizer of a trunk of the project's own; "" where it has none."""
    if base is None or not isinstance(base.tokenizer, StreamsTokenizer) or not base.tokenizer.specs:
        return ""
    own, others = base.tokenizer, [found for found in used if isinstance(found, StreamsTokenizer)]
    new = {name: why for found in others for name, why in own.misfits(found.specs).items()}
    kept = ", ".join(name for name in own.specs if name not in new)
    words = f"the trunk's own for {kept}, new" if kept else "new"
    return f"{words} for " + "; ".join(f"{name} ({why})" for name, why in new.items()) if new else "the trunk's own"


def _random_views(samples: Sequence[Sample], views: Mapping[str, View], seed: int) -> list[Sample]:
    if len(views) < 2:
        return []
    drawn_views = np.random.default_rng(seed).integers(len(views), size=len(samples))
    choices = list(views.values())
    return [choices[index](sample) for index, sample in zip(drawn_views.tolist(), samples, strict=True)]
