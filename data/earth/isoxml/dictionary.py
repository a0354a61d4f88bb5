"""Entities of the ISO 11783-11 data dictionary (DDI) that harvests and rates need, with the unit they are read in.

Source: the online data base of ISO 11783-11 (isobus.net, export of 2024-03-10), entity by number: its unit and bit
resolution stand in the comment, `scale` goes from the raw integer to `unit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a logged integer measures: value = (raw + offset) * scale, in `unit`; `source` says who defines it."""

    name: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0
    source: str = "ISO 11783-11"


MASS_AREA = 1e-5  # mg/m² to t/ha: 1 t/ha = 1e9 mg / 1e4 m²
DICTIONARY: Mapping[int, Measure] = {
    0x0001: Measure(name="setpoint volume per area", unit="l/ha", scale=1e-4),  # DDE 1: mm³/m², 0.01
    0x0002: Measure(name="actual volume per area", unit="l/ha", scale=1e-4),  # DDE 2: mm³/m², 0.01
    0x0006: Measure(name="setpoint mass per area", unit="kg/ha", scale=1e-2),  # DDE 6: mg/m², 1
    0x0007: Measure(name="actual mass per area", unit="kg/ha", scale=1e-2),  # DDE 7: mg/m², 1
    0x000B: Measure(name="setpoint count per area", unit="1/ha", scale=10.0),  # DDE 11: 1/m², 0.001
    0x000C: Measure(name="actual count per area", unit="1/ha", scale=10.0),  # DDE 12: 1/m², 0.001
    0x0043: Measure(name="actual working width", unit="m", scale=1e-3),  # DDE 67: mm, 1
    0x0044: Measure(name="default working width", unit="m", scale=1e-3),  # DDE 68: mm, 1
    0x0046: Measure(name="maximum working width", unit="m", scale=1e-3),  # DDE 70: mm, 1
    0x0053: Measure(name="volume per area yield", unit="l/ha", scale=10.0),  # DDE 83: ml/m², 1
    0x0054: Measure(name="mass per area yield", unit="t/ha", scale=MASS_AREA),  # DDE 84: mg/m², 1; moist
    0x0056: Measure(name="volume per time yield", unit="l/h", scale=3.6),  # DDE 86: ml/s, 1
    0x0057: Measure(name="mass per time yield", unit="t/h", scale=3.6e-6),  # DDE 87: mg/s, 1
    0x0059: Measure(name="yield total volume", unit="l"),  # DDE 89: l, 1
    0x005A: Measure(name="yield total mass", unit="t", scale=1e-3),  # DDE 90: kg, 1
    0x0063: Measure(name="crop moisture", unit="%", scale=1e-4),  # DDE 99: ppm, 1
    0x0074: Measure(name="total area", unit="ha", scale=1e-4),  # DDE 116: m², 1
    0x0075: Measure(name="effective total distance", unit="m", scale=1e-3),  # DDE 117: mm, 1
    0x0076: Measure(name="ineffective total distance", unit="m", scale=1e-3),  # DDE 118: mm, 1
    0x0077: Measure(name="effective total time", unit="s"),  # DDE 119: s, 1
    0x0078: Measure(name="ineffective total time", unit="s"),  # DDE 120: s, 1
    0x0086: Measure(name="device element offset x", unit="m", scale=1e-3),  # DDE 134: mm, 1; forward
    0x0087: Measure(name="device element offset y", unit="m", scale=1e-3),  # DDE 135: mm, 1; to the right
    0x008D: Measure(name="actual work state", unit="1"),  # DDE 141: 1 where it works
    0x00B5: Measure(name="dry mass per area yield", unit="t/ha", scale=MASS_AREA),  # DDE 181: mg/m², 1
    0x00B8: Measure(name="reference moisture for dry mass", unit="%", scale=1e-4),  # DDE 184: ppm, 1
    0x0106: Measure(name="average crop moisture", unit="%", scale=1e-4),  # DDE 262: ppm, 1
    0x0107: Measure(name="average yield mass per area", unit="t/ha", scale=MASS_AREA),  # DDE 263: mg/m², 1
    0x018D: Measure(name="actual speed", unit="m/s", scale=1e-3),  # DDE 397: mm/s, 1
}
