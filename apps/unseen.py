"""What is told of groups that training never saw, beside the figures of a split whose groups it knows."""

from collections.abc import Mapping
from typing import Any

from mainstem.apps.protocols import HOLDOUT, EvaluationSpec
from mainstem.core.task import Task

TOLD = ("protocol", "n", "num_folds", "metrics", "parts", "baselines", "difference", "coverage", "by_group")


def is_followed(task: Task, protocol: str, spec: EvaluationSpec) -> bool:
    """True where the data's own split is to be followed by fits that leave each group out: nobody asked for one."""
    return bool(task.holding.unseen_folds) and protocol == HOLDOUT and spec.protocol is None


def beside_unseen(body: Mapping[str, Any], unseen: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Return an evaluation with what another says of groups left out: its metrics under names of their own."""

    def joined(known: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        return {**known, **{f"unseen_{group}_{name}": value for name, value in other.items()}}

    own = {name: joined(body[name], unseen[name]) for name in ("metrics", "exact_intervals") if name in body}
    baselines = {name: joined(found, unseen["baselines"][name]) for name, found in body["baselines"].items()}
    return {**body, **own, "baselines": baselines, "unseen": {name: unseen[name] for name in TOLD}}
