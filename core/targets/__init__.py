"""Kinds of targets, one file each: a folder, because a new kind is a file beside the others and no line elsewhere."""

from mainstem.core.targets.base import Blend, Head, Known, Loss, Measure, Outputs, Region, Regions, Target
from mainstem.core.targets.classes import Classes, ClassSet
from mainstem.core.targets.findings import Findings, FindingSet
from mainstem.core.targets.quantity import Interval, Quantity, below_name

__all__ = [
    "Blend", "ClassSet", "Classes", "FindingSet", "Findings", "Head", "Interval", "Known", "Loss", "Measure",
    "Outputs", "Quantity", "Region", "Regions", "Target", "below_name",
]  # fmt: skip
