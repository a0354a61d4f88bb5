"""A field's rates: the area of each treatment by a signed rule, its mean, and the same on a grid of cells."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.fields import overlay
from mainstem.data.earth.raster import Grid
from mainstem.data.earth.rate_rules import RateRule
from mainstem.data.earth.zone_polygons import polygonal

SHARE_OF_WIDTH = (
    0.02  # of a headland's width that its inner edge may be off by: an offset of every wiggle takes gigabytes
)
CLOSE_M = 0.02  # over which neighbours that reprojection parted are joined again
OVERLAP = 1e-3  # of a field's area that zones may overlap by: what is more is drawn twice
SLIVER_M2 = 0.5  # what cutting leaves behind
TRUE_TO = 1e-3  # share of the mean within which every export must come back


@dataclass(frozen=True, kw_only=True, eq=False)
class Treatment:
    """One rate and where it holds: code from 1, name, rate in the rule's unit, area in the field's metric CRS."""

    code: int
    name: str
    rate: float
    area: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldRates:
    """The treatments of one field, which fill it, and its border, in a metric CRS."""

    field: str
    crs: str
    border: Any
    treatments: tuple[Treatment, ...]
    outside: float

    @property
    def area_ha(self) -> float:
        """The sum of the treatments' areas, on the plane."""
        return float(sum(one.area.area for one in self.treatments)) / 1e4

    @property
    def mean(self) -> float:
        """The area-weighted mean rate."""
        return float(sum(one.rate * one.area.area for one in self.treatments)) / 1e4 / self.area_ha

    def rates(self) -> NDArray[np.float64]:
        """Rates by code, that of 0 being the one outside."""
        return np.array([self.outside, *(one.rate for one in self.treatments)])


def treat(name: str, zones: dict[int, Any], crs: str, rule: RateRule) -> FieldRates:
    """Give each zone of a field its rate by a rule; `zones` are areas by number in a metric CRS, 0 of no zone.

    Raises:
        InputError: if zones overlap, or the rule lacks one of them.
    """
    import shapely

    border = shapely.unary_union(list(zones.values()))
    total = sum(area.area for area in zones.values())
    if total - border.area > OVERLAP * border.area:
        raise InputError(
            f"the zones of field {name!r:.60} overlap by {(total - border.area) / 1e4:.2f} ha; draw each place once"
        )
    border = border.simplify(CLOSE_M).buffer(CLOSE_M, join_style="mitre").buffer(-CLOSE_M, join_style="mitre")
    border = polygonal(border)
    parts = [(f"zone {zone}" if zone else "no zone", rule.rate(name, zone), area) for zone, area in zones.items()]
    if rule.headland is not None:
        width, rate = rule.headland
        inner = border.simplify(SHARE_OF_WIDTH * width).buffer(-width)
        strips = [polygonal(area.difference(inner)) for _, _, area in parts]
        parts = [(label, known, polygonal(area.intersection(inner))) for label, known, area in parts]
        parts.append((f"headland {width:g} m", rate, polygonal(shapely.unary_union(strips))))
    kept = [part for part in parts if part[2].area > SLIVER_M2]
    return FieldRates(
        field=name,
        crs=crs,
        border=border,
        treatments=tuple(
            Treatment(code=code, name=label, rate=rate, area=area) for code, (label, rate, area) in enumerate(kept, 1)
        ),
        outside=rule.outside,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class RateGrid:
    """Codes of treatments (y, x) on a grid, 0 outside, and the share of each cell that lies in the field."""

    grid: Grid
    codes: NDArray[np.uint8]
    share: NDArray[np.float64]


def on_cells(field: FieldRates, grid: Grid, areas: list[Any]) -> RateGrid:
    """Give each cell that touches the field the treatment that has most of it; `areas` are in the grid's CRS.

    No cell gets a mixture: 0 and 160 kg/ha shall not become 80 where they meet.
    """
    most = np.zeros((grid.height, grid.width))
    total = np.zeros_like(most)
    codes = np.zeros(most.shape, dtype=np.uint8)
    for treatment, area in zip(field.treatments, areas, strict=True):
        laid = overlay(grid, area)
        window = (laid.rows, laid.columns)
        total[window] += laid.share
        is_more = laid.share > most[window]
        codes[window][is_more] = treatment.code
        most[window][is_more] = laid.share[is_more]
    return RateGrid(grid=grid, codes=codes, share=np.minimum(total, 1.0))


def mean_on_cells(rates: NDArray[np.float64], share: NDArray[np.float64], grid: Grid, is_degrees: bool) -> float:
    """Mean of rates (y, x) over the field; cells of degrees count by the cosine of their latitude."""
    rows = grid.transform[5] + grid.transform[4] * (np.arange(grid.height) + 0.5)
    weight = share * (np.cos(np.radians(rows)) if is_degrees else np.ones(len(rows)))[:, None]
    return float((rates * weight).sum() / weight.sum())


def is_true_to(found: float, wanted: float) -> bool:
    """True where a mean came back within TRUE_TO of what it was."""
    return abs(found - wanted) <= TRUE_TO * abs(wanted)
