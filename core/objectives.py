"""What pretraining learns from samples without labels: to say, of what it is not shown, what it would have seen.

Three losses, each told of a sample as a mean, so that a long series counts no more than a short one:
- latents: a predictor says, from tokens that are shown, what a teacher makes of those that are hidden. The teacher is
  the mean of the encoder's weights over the last steps, and sees everything.
- reconstruction: the same prediction gives back, by one linear layer a stream, what the hidden tokens were cut from.
- contrast: of samples that lack one stream whole, what is shown of the others tells whose the hidden stream is.
Sources: Assran et al. 2023, I-JEPA (arXiv 2301.08243), section 3 (latents, predictor on positions, smooth L1, teacher);
Baevski et al. 2022, data2vec (arXiv 2202.03555), section 3.3 (means of the last blocks, each normalised); He et al.
2022, Masked Autoencoders, section 3 (patches); van den Oord et al. 2018, CPC (arXiv 1807.03748), section 2.3, and Tian
et al. 2020, Contrastive Multiview Coding, section 3 (contrast between what was sensed together).
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.devices import Precision, in_precision
from mainstem.core.loop import Objective
from mainstem.core.masking import WHOLE_STREAM, Hidden, Masking, draw_hidden
from mainstem.core.packing import pack, unpacked
from mainstem.core.targets.parts import Loss
from mainstem.core.tokenizers.specs import StreamSpec
from mainstem.core.tokenizers.streams import StreamsTokenizer, module_name
from mainstem.core.tokens import Patches, TokenBatch, weights_device
from mainstem.core.trunk import Trunk

NotNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
FARTHEST = 5.0  # standard deviations: what lies beyond is no more to be told exactly than this
EMBEDDED = 128  # width in which streams are compared
SAME = 1e-6  # squared distance, relative: streams that lie nearer are one and the same, as the weather of one farm


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What the three losses count, and how.

    Attributes:
        reconstruction, contrast: weights beside the latents' 1.
        teacher_keeps: share of its weights that the teacher keeps at the first step; it rises to 1 at the last.
        predictor_depth: blocks.
        target_blocks: of the teacher, the last ones, whose mean is the target.
        temperature: of the contrast.
        row_length: tokens of packed rows; 0: a sample a row.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    reconstruction: NotNegative = 0.3
    contrast: NotNegative = 0.1
    teacher_keeps: Annotated[float, Field(ge=0, lt=1)] = 0.99
    predictor_depth: Annotated[int, Field(ge=1, le=64)] = 2
    target_blocks: Annotated[int, Field(ge=1, le=64)] = 3
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.1
    row_length: Annotated[int, Field(ge=0, le=1 << 20)] = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Latents (batch, tokens, dim) in their tokens' places, 0 where masked; pooled (batch, dim); inner blocks'."""

    tokens: Tensor
    pooled: Tensor
    layers: tuple[Tensor, ...] = ()


def encode(trunk: Trunk, tokens: TokenBatch, row_length: int = 0, layers: Sequence[int] = ()) -> Encoded:
    """Pass the valid tokens alone through a trunk: a sample a row, or several in rows of at least `row_length`."""
    counts = tokens.mask.sum(1).clamp(min=1)
    longest = int(counts.max())
    order = torch.argsort((~tokens.mask).to(torch.int8), dim=1, stable=True)[:, :longest]
    if row_length:
        packed = pack(tokens, max(row_length, longest))
        latents = trunk(packed, return_layers=layers)
        assert packed.sample is not None
        index, present = unpacked(packed.sample)
    else:
        latents = trunk(tokens.first(longest), return_layers=layers)
        index = torch.arange(order.numel(), device=order.device).view(order.shape)
        present = torch.ones_like(order, dtype=torch.bool)
    present = present & tokens.mask.gather(1, order)

    def placed(found: Tensor) -> Tensor:
        rows = torch.where(present[..., None], found.flatten(0, 1)[index], 0.0)
        empty = rows.new_zeros(*tokens.mask.shape, rows.shape[-1])
        return empty.scatter(1, order[..., None].expand_as(rows), rows)

    return Encoded(
        tokens=placed(latents.tokens), pooled=latents.pooled, layers=tuple(placed(layer) for layer in latents.layers)
    )


class MaskedPretraining(Objective):
    """A trunk with the tokenizers of its streams, taught by what is hidden from them.

    `told` holds the three losses of the last batch, and how much the teacher's pooled latents differ from sample to
    sample, in their own standard deviations: near 0 all samples look alike, and nothing is learned.
    """

    def __init__(
        self,
        parts: tuple[StreamsTokenizer, Trunk],
        config: ObjectiveConfig,
        masking: Masking,
        steps: int,
        seed: int = 0,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.tokenizer, self.trunk = parts
        self.config, self.masking, self.steps, self.precision = config, masking, steps, precision
        self.teacher = nn.ModuleList(copy.deepcopy(list(parts))).requires_grad_(False)
        shape = self.trunk.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.enter, self.leave = nn.Linear(shape.dim, shape.dim), nn.Linear(shape.dim, shape.dim)
            self.decoders = nn.ModuleDict(
                {module_name(name): nn.Linear(shape.dim, width_of(spec)) for name, spec in self.tokenizer.specs.items()}
            )
            pooled = shape.project or shape.dim
            self.asks, self.answers = nn.Linear(pooled, EMBEDDED), nn.Linear(pooled, EMBEDDED)
        self.predictor = Trunk(replace(shape, depth=config.predictor_depth, pooling="norm_mean", project=None), seed)
        self.query = nn.Parameter(torch.zeros(shape.dim))
        first = max(shape.depth - config.target_blocks, 0)
        self.target_blocks = tuple(range(first, shape.depth))
        self.told: dict[str, Tensor] = {}
        self.report: Callable[[int], None] = lambda step: None

    def kept(self) -> dict[str, Tensor]:
        """Return the teacher's weights."""
        return {f"teacher.{name}": weight for name, weight in self.teacher.named_parameters()}

    def train(self, mode: bool = True) -> "MaskedPretraining":
        """Let the encoder learn; the teacher neither drops nor adds noise."""
        super().train(mode)
        self.teacher.eval()
        return self

    def loss(self, rows: Tensor, patches: Patches, generator: torch.Generator) -> Loss:
        """Return the sum over samples of the three losses; those of one token alone tell nothing, and do not count."""
        device = weights_device(self.trunk)
        patches = patches.to(device)
        tokenizer = self.tokenizer.of({name.rpartition(".")[0] for name in patches.parts})
        with in_precision(device, self.precision):
            tokens = tokenizer.project(patches)
            hidden = draw_hidden(tokens, self.masking, generator)
            target, answers = self._taught(patches, tokens, hidden)
            shown = encode(self.trunk, replace(tokens, mask=tokens.mask & ~hidden.tokens), self.config.row_length)
            said = self._predicted(tokenizer, tokens, hidden, shown.tokens)
        return self._joined(
            hidden,
            _of_samples(F.smooth_l1_loss(self.leave(said), target, reduction="none").mean(-1), hidden.tokens),
            self._reconstructed(tokenizer, patches, tokens, (said, hidden)),
            self._contrasted(hidden, shown.pooled.float(), answers, tokens),
        )

    def after_step(self, step: int) -> None:
        """Let the teacher follow: it keeps more and more of what it has (Grill et al. 2020, BYOL, section 3.3)."""
        keeps = 1 - (1 - self.config.teacher_keeps) * (1 - step / max(self.steps, 1))
        with torch.no_grad():
            own: list[Tensor] = [weight for part in (self.tokenizer, self.trunk) for weight in part.parameters()]
            torch._foreach_lerp_([*self.teacher.parameters()], own, 1 - keeps)
        self.report(step)

    def noted(self) -> dict[str, float]:
        """Return the three losses of the last batch, and the spread."""
        return {name: float(value) for name, value in self.told.items()}

    @torch.no_grad()
    def _taught(self, patches: Patches, tokens: TokenBatch, hidden: Hidden) -> tuple[Tensor, Tensor]:
        """What the teacher makes of all tokens (batch, tokens, dim), and (batch, dim) of streams hidden whole."""
        tokenizer, trunk = self.teacher
        assert isinstance(tokenizer, StreamsTokenizer)
        assert isinstance(trunk, Trunk)
        seen = tokenizer.of({name.rpartition(".")[0] for name in patches.parts}).project(patches)
        whole = encode(trunk, seen, self.config.row_length, self.target_blocks)
        shape = whole.tokens.shape[-1:]
        layers = [F.layer_norm(layer.float(), shape) for layer in whole.layers]
        target = F.layer_norm(torch.stack(layers).mean(0), shape)
        pooled = whole.pooled.float()
        self.told["spread"] = (
            (pooled.std(0) / pooled.std(1).mean().clamp(min=1e-6)).mean() if len(pooled) > 1 else pooled.new_zeros(())
        )
        if not self.config.contrast:
            return target, pooled
        is_whole = hidden.tokens & (hidden.kind == WHOLE_STREAM)[:, None]
        return target, encode(trunk, replace(seen, mask=is_whole), self.config.row_length).pooled.float()

    def _predicted(self, tokenizer: StreamsTokenizer, tokens: TokenBatch, hidden: Hidden, shown: Tensor) -> Tensor:
        """What the predictor says of every token (batch, tokens, dim): of hidden ones it knows stream and place."""
        codes = torch.stack([tokenizer.part(name).stream_code for name in tokenizer.specs])
        asked = self.query + codes[tokens.stream]
        values = torch.where(hidden.tokens[..., None], asked.to(shown.dtype), self.enter(shown).to(shown.dtype))
        return encode(self.predictor, replace(tokens, values=values), self.config.row_length).tokens

    def _reconstructed(
        self, tokenizer: StreamsTokenizer, patches: Patches, tokens: TokenBatch, predicted: tuple[Tensor, Hidden]
    ) -> Tensor:
        """How far what hidden tokens were cut from is missed (batch,), over the values that were observed."""
        said, hidden = predicted
        missed = torch.zeros_like(tokens.mask, dtype=torch.float32)
        if not self.config.reconstruction:
            return missed.sum(1)
        assert tokens.cell is not None
        for index, name in enumerate(tokenizer.specs):
            wanted = hidden.tokens & (tokens.stream == index)
            row, column = wanted.nonzero(as_tuple=True)
            if not len(row):
                continue
            cut = tokenizer.part(name).content(patches.below(f"{name}."))[row, tokens.cell[row, column]]
            known = cut.isfinite()
            given_back = self.decoders[module_name(name)](said[row, column]).float()
            off = F.smooth_l1_loss(given_back, cut.nan_to_num().clamp(-FARTHEST, FARTHEST), reduction="none")
            missed[row, column] = (off * known).sum(1) / known.sum(1).clamp(min=1)
        return _of_samples(missed, hidden.tokens)

    def _contrasted(self, hidden: Hidden, shown: Tensor, answers: Tensor, tokens: TokenBatch) -> Tensor:
        """How badly a hidden stream is told from the same stream of other samples (batch,); 0 where there is none.

        Samples that hold the very same stream are no others.
        """
        rows = (hidden.kind == WHOLE_STREAM).nonzero()[:, 0]
        found = shown.new_zeros(len(shown))
        if not self.config.contrast or len(rows) < 2:
            return found
        stream, own = hidden.stream[rows], hidden.tokens[rows, :, None]
        content = torch.where(own, tokens.values[rows].detach().float(), 0.0).sum(1)
        near = torch.cdist(content, content).square() <= SAME * content.square().sum(1)[:, None]
        is_self = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        others = (stream[:, None] == stream[None]) & ~near & ~is_self
        asks, given = F.normalize(self.asks(shown[rows]), dim=1), F.normalize(self.answers(answers[rows]), dim=1)
        logits = (asks @ given.T / self.config.temperature).masked_fill(~(others | is_self), -torch.inf)
        lost = F.cross_entropy(logits, torch.arange(len(rows), device=rows.device), reduction="none")
        return found.index_put((rows,), torch.where(others.any(1), lost, 0.0))

    def _joined(self, hidden: Hidden, latents: Tensor, given_back: Tensor, contrast: Tensor) -> Loss:
        """Add up the losses of samples (batch,) that hide anything."""
        count = hidden.tokens.any(1).sum().clamp(min=1)
        parts: Mapping[str, tuple[float, Tensor]] = {
            "latents": (1.0, latents),
            "reconstruction": (self.config.reconstruction, given_back),
            "contrast": (self.config.contrast, contrast),
        }
        for name, (_, of_samples) in parts.items():
            its = (of_samples > 0).sum().clamp(min=1) if name == "contrast" else count  # the others contrast nothing
            self.told[name] = (of_samples.detach().sum() / its).float()
        total = torch.stack([weight * of_samples.sum() for weight, of_samples in parts.values()]).sum()
        return Loss(total=total, count=count)


def width_of(spec: StreamSpec) -> int:
    """How many values a token of a stream is cut from."""
    return len(spec.channels) * spec.steps_per_token * spec.patch_depth * spec.patch_size**2


def _of_samples(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen tokens' values (batch, tokens) by sample (batch,), 0 where none is chosen."""
    return (values.float() * chosen).sum(1) / chosen.sum(1).clamp(min=1)
