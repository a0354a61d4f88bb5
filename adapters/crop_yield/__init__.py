"""Crop yield. A package, because anchors and seasons are mathematics of the domain's own."""

from mainstem.adapters.crop_yield.regional import TASK

__all__ = ["TASK"]
