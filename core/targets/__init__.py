"""Kinds of targets, one file each: a folder, because a new kind is a file beside the others, and a line here."""

from mainstem.core.targets.ball import Ball
from mainstem.core.targets.base import Target
from mainstem.core.targets.classes import Classes, ClassSet
from mainstem.core.targets.detection import Detection
from mainstem.core.targets.ellipsoid import Ellipsoid
from mainstem.core.targets.finding_set import FindingSet
from mainstem.core.targets.findings import Findings
from mainstem.core.targets.interval import Interval, below_name
from mainstem.core.targets.labels import Labels
from mainstem.core.targets.mask import Mask, Masks
from mainstem.core.targets.one_class import OneClass
from mainstem.core.targets.parts import Blend, Head, Known, Loss, Measure, Outputs, Region, Regions, RegionWords
from mainstem.core.targets.pose import Pose
from mainstem.core.targets.quantity import Quantity
from mainstem.core.targets.rotation import Rotation

KINDS: tuple[type[Target], ...] = (  # in the order in which labels are held against them; no table has the last five
    Findings, Quantity, Classes, Detection, Mask, Rotation, Pose, OneClass,
)  # fmt: skip


def recognise(labels: Labels) -> Target:
    """Return the target that labels are of.

    Raises:
        InputError: if they are of none.
    """
    found = (kind.recognised(labels) for kind in KINDS)
    return next(target for target in found if target is not None)


__all__ = [
    "KINDS", "Ball", "Blend", "ClassSet", "Classes", "Detection", "Ellipsoid", "FindingSet", "Findings", "Head",
    "Interval", "Known", "Labels", "Loss", "Mask", "Masks", "Measure", "OneClass", "Outputs", "Pose", "Quantity",
    "Region", "RegionWords", "Regions", "Rotation", "Target", "below_name", "recognise",
]  # fmt: skip
