"""Units of what a yield monitor logs, each to ours; none is ever guessed from the size of the numbers."""

import re
from collections.abc import Mapping

from mainstem.core.errors import InputError
from mainstem.data.earth.crops import ACRE_HA, POUND_KG, bushel_kg
from mainstem.data.tabular import shown

FOOT_M, INCH_M, MILE_M = 0.3048, 0.0254, 1609.344  # NIST Handbook 44, appendix C: exact
SHORT_TON_KG = 2000 * POUND_KG
HOUR_S, DAY_S = 3600.0, 86_400.0
LB_AC = POUND_KG / ACRE_HA / 1000  # t/ha
UNITS: Mapping[str, Mapping[str, float]] = {  # by quantity: a unit's size in ours, which comes first
    "yield": {"t/ha": 1.0, "kg/ha": 1e-3, "dt/ha": 0.1, "q/ha": 0.1, "g/m2": 0.01, "lb/ac": LB_AC,
              "short ton/ac": 2000 * LB_AC, "bu/ac": 0.0},
    "moisture": {"%": 1.0},
    "swath": {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": FOOT_M, "in": INCH_M},
    "distance": {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": FOOT_M, "in": INCH_M},
    "speed": {"m/s": 1.0, "km/h": 1 / 3.6, "mph": MILE_M / HOUR_S, "ft/s": FOOT_M, "mm/s": 0.001},
    "flow": {"kg/s": 1.0, "t/h": 1000 / HOUR_S, "g/s": 0.001, "mg/s": 1e-6, "lb/s": POUND_KG,
             "short ton/h": SHORT_TON_KG / HOUR_S, "bu/h": 0.0},
    "interval": {"s": 1.0, "ms": 0.001},
    "time": {"s": 1.0, "ms": 0.001, "min": 60.0, "h": HOUR_S, "d": DAY_S},
    "heading": {"deg": 1.0, "rad": 57.29577951308232},
}  # fmt: skip
SPELLINGS = {  # small letters without blanks; what a name ends in has "_" for "/"
    "t/ha": ("tha", "t_ha", "to/ha", "tonne/ha", "tonnes/ha", "tons/ha(metric)", "mg/ha(metric)"),
    "kg/ha": ("kgha", "kg_ha"), "dt/ha": ("dtha", "dt_ha"), "q/ha": ("qha", "q_ha", "qx/ha", "quintal/ha", "qq/ha"),
    "g/m2": ("g_m2", "g/m\u00b2"),
    "lb/ac": ("lb_ac", "lbs_ac", "lbs/ac", "lb/acre", "lbs/acre"), "bu/ac": ("bu_ac", "buac", "bu/acre", "bu/a"),
    "%": ("pct", "percent", "prozent"), "ft": ("feet", "foot"), "in": ("inch", "inches"),
    "m": ("metre", "meter", "metres", "meters"), "km/h": ("km_h", "kmh", "kph"), "mph": ("mi/h", "mi_h"),
    "m/s": ("m_s",), "kg/s": ("kg_s",), "t/h": ("t_h",), "lb/s": ("lb_s", "lbs/s", "lbs_s", "lb/sec", "lbs/sec"),
    "s": ("sec", "seconds", "second"), "deg": ("degrees", "degree", "\u00b0", "grad"), "d": ("day", "days"),
    "bu/h": ("bu_h", "bu/hr"),
}  # fmt: skip
IN_BRACKETS = re.compile(r"(?P<name>.*?)\s*[\[(](?P<unit>[^\[\]()]*)[\])]\s*")
DOUBTFUL = ("ton/ac", "tons/ac", "t/ac", "ton/acre", "tons/acre")  # a short ton, a long one or a tonne


def known_unit(text: str, quantity: str) -> str:
    """Return a quantity's unit in its one spelling, "" where the text is none of them."""
    small = "".join(text.lower().split())
    for unit in UNITS[quantity]:
        if small == "".join(unit.split()) or small in SPELLINGS.get(unit, ()):
            return unit
    return ""


def unit_in_name(column: str, quantity: str) -> str:
    """Return the unit that a column's name tells, in brackets or at its end, "" where it tells none.

    Raises:
        InputError: if it tells one in brackets that is not known, or could be two.
    """
    found = IN_BRACKETS.fullmatch(column)
    if found:
        unit, told = known_unit(found["unit"], quantity), "".join(found["unit"].lower().split())
        if not unit and told in DOUBTFUL:
            raise InputError(f"column {shown(column)}: a ton could be short, long or metric; {ask(quantity, column)}")
        if not unit and told not in ("dry", "wet", "mass", "vol", ""):
            raise InputError(
                f"column {shown(column)} comes in {shown(told)}, which is unknown; {ask(quantity, column)}"
            )
        return unit
    words = re.split(r"[_\s]+", column.lower())
    endings = ("_".join(words[-count:]) for count in (3, 2, 1) if len(words) > count)
    return next((unit for ending in endings if (unit := known_unit(ending, quantity))), "")


def ask(quantity: str, column: str) -> str:
    """Say what a user has to pass for a column whose unit nobody knows."""
    option = f"{quantity}=" if quantity != "yield" else ""
    return f"pass --unit {option}UNIT for {shown(column)}, one of {', '.join(UNITS[quantity])}"


def factor(unit: str, quantity: str, crop: str | None) -> float:
    """Return by what numbers in a unit are multiplied to be in ours.

    Raises:
        InputError: if the unit is none of the quantity's, or a bushel of an unknown crop.
    """
    spelled = known_unit(unit, quantity)
    if not spelled:
        raise InputError(f"got the unit {shown(unit)} of {quantity}, want one of {', '.join(UNITS[quantity])}")
    if spelled.startswith("bu/"):
        if crop is None:
            raise InputError(f"{spelled} needs the crop, whose bushel it counts; pass --crop wheat or another")
        return bushel_kg(crop) / (1000 * ACRE_HA if spelled == "bu/ac" else HOUR_S)
    return UNITS[quantity][spelled]
