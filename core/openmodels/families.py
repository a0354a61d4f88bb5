"""The families that are read: a new one is a file beside these and a line here."""

from mainstem.core.openmodels import dinov2, dinov3, galileo, own, presto, prithvi, siglip2
from mainstem.core.openmodels.base import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        presto.FAMILY,
        galileo.FAMILY,
        prithvi.FAMILY,
        dinov2.FAMILY,
        dinov3.FAMILY,
        siglip2.FAMILY,
        siglip2.TEXT_FAMILY,
        own.FAMILY,
    )
}
