"""Packed rows: several samples in one row of tokens, and how they are told apart."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mainstem.core.errors import InputError
from mainstem.core.tokens import TokenBatch


def pack(batch: TokenBatch, length: int) -> TokenBatch:
    """Put the valid tokens of several samples into each row of at most `length` tokens; `sample` tells them apart.

    A sample without any keeps one masked token, so that the trunk still pools it.

    Raises:
        InputError: if a sample is longer than a row.
    """
    counts: list[int] = batch.mask.sum(1).clamp(min=1).tolist()
    if max(counts) > length:
        raise InputError(f"got a sample of {max(counts)} tokens for rows of {length}; give longer rows")
    rows = _fill_rows(counts, length)
    width = max(sum(counts[member] for member in row) for row in rows)
    source, sample = torch.zeros(len(rows), width, dtype=torch.int64), torch.full((len(rows), width), -1)
    for index, row in enumerate(rows):
        start = 0
        for member in row:
            its = slice(start, start + counts[member])
            source[index, its] = member * max(counts) + torch.arange(counts[member])
            sample[index, its] = member
            start = its.stop
    front, device = batch.first(max(counts)), batch.mask.device
    source, sample = source.to(device), sample.to(device)
    return TokenBatch(
        values=front.values.flatten(0, 1)[source],
        positions=front.positions.flatten(0, 1)[source],
        stream=front.stream.flatten()[source],
        mask=front.mask.flatten()[source] & (sample >= 0),
        cell=None if front.cell is None else front.cell.flatten()[source],
        sample=sample,
    )


def _fill_rows(counts: Sequence[int], length: int) -> list[list[int]]:
    """Deal samples of these many tokens to rows, the longest first, each to the first row that has room.

    Source: Johnson 1973, Near-optimal bin packing algorithms (first fit decreasing).
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for member in sorted(range(len(counts)), key=lambda member: -counts[member]):
        place = next((row for row, free in enumerate(room) if free >= counts[member]), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(length)
        rows[place].append(member)
        room[place] -= counts[member]
    return rows


def unpacked(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Where the tokens of each sample of packed rows lie, in order: index (samples, longest) into all rows' tokens.

    The second is True where a sample has so many tokens.
    """
    flat = sample.flatten()
    order = torch.argsort(flat, stable=True)[int((flat < 0).sum()) :]
    counts = torch.bincount(flat[order])
    within = torch.arange(len(order), device=flat.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    index = torch.zeros(len(counts), int(counts.max()), dtype=torch.int64, device=flat.device)
    index[flat[order], within] = order
    return index, torch.arange(index.shape[1], device=flat.device) < counts[:, None]


def within(sample: Tensor, mask: Tensor) -> Tensor:
    """Which keys (batch, 1, queries, keys) a token of a packed row attends to: its own sample's valid ones.

    Each attends to itself as well, so that what is masked or padded has something to attend to.
    """
    itself = torch.eye(sample.shape[1], dtype=torch.bool, device=sample.device)
    return ((sample[:, :, None] == sample[:, None]) & mask[:, None] | itself).unsqueeze(1)


def owners_of(sample: Tensor) -> Tensor:
    """The samples of each packed row (batch, most of a row), -1 where a row has fewer."""
    held = [sorted(set(row) - {-1}) for row in sample.tolist()]
    most = max(map(len, held))
    return torch.tensor([row + [-1] * (most - len(row)) for row in held], device=sample.device)
