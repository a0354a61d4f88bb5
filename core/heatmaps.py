"""Where the trunk looked: how much what is told falls once a patch is hidden. Where the model looked, not evidence."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted
from mainstem.core.member import Member
from mainstem.core.stream import Sample
from mainstem.core.targets.parts import Reading
from mainstem.core.tokenizers.streams import StreamsTokenizer
from mainstem.core.tokens import weights_device

Array = NDArray[np.float64]


def heatmap(fitted: Fitted, sample: Sample, stream: str, column: int = 0) -> Array:
    """Return (y, x) of a sample's image: the fall of what the trunk tells, in its terms, without each patch's token.

    Averaged over members; `column` says of which class or finding. What a preparation adds besides the trunk, as a
    plain model's part, is not asked.
    Source: Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks, section 4.2 (occlusion); here a
    token is missing, as the trunk knows tokens to be, and nothing is painted over.

    Raises:
        InputError: if the sample has no such image.
    """
    (aligned,) = fitted.ensemble.layout([sample])
    if stream not in aligned.streams or aligned.streams[stream].kind != "image":
        raise InputError(f"{sample.source.item} has no image {stream!r:.60} that this adapter reads; give one")
    height, width = aligned.streams[stream].values.shape[1:]
    falls = [_of_member(member, aligned, stream, column) for member in fitted.ensemble.members]
    found: Array = np.mean(falls, axis=0)[:height, :width]
    return found


def _of_member(member: Member, sample: Sample, stream: str, column: int) -> Array:
    tokenizer = member.adapter.tokenizer
    if not isinstance(tokenizer, StreamsTokenizer):
        raise InputError(
            "patches of an open model's own tokenizer are not told apart yet; use a trunk of the project's"
        )
    prepared, past = member.preparation([sample])
    size, values = tokenizer.specs[stream].patch_size, prepared[0].streams[stream].values
    with torch.no_grad():
        tokens = tokenizer.project(tokenizer.cut(prepared).to(weights_device(member.adapter)))
        own = torch.nonzero(tokens.mask[0] & (tokens.stream[0] == list(tokenizer.specs).index(stream)))[:, 0]
        assert tokens.cell is not None
        cells = tokens.cell[0, own].cpu().numpy()
        rows = torch.zeros(len(own) + 1, dtype=torch.int64, device=own.device)
        every = tokens.rows(rows)
        mask = every.mask.clone()
        mask[torch.arange(1, len(rows), device=own.device), own] = False
        pooled = member.trunk(replace(every, mask=mask, is_dense=False), [member.lora] * len(rows)).pooled
    known = member.known([sample], past).rows(np.zeros(len(rows), np.intp))
    told = member.told(Reading(pooled=pooled.float()), known)[member.target.of_trunk]
    told = told if told.ndim == 1 else told[:, column]
    down, across = (-(-side // size) for side in values.shape[1:])
    falls = np.zeros(down * across)
    falls[cells] = told[0] - told[1:]
    return falls.reshape(down, across).repeat(size, 0).repeat(size, 1)
