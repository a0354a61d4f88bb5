"""Which column of a log is what: by name, or as the user says; what could be two things is asked, not guessed."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests.units import IN_BRACKETS, UNITS, ask, known_unit, unit_in_name
from mainstem.data.tabular import shown

NAMES: Mapping[str, str] = {  # what a column's name begins with or is, in small letters with "_" for what is no letter
    "longitude": r"(lon|long|lng|longitude|laenge|laengengrad|longitud)(_deg)?",
    "latitude": r"(lat|latitude|breitengrad|latitud)(_deg)?",
    "x": r"x|easting|utm_x|rechtswert|x_coord",
    "y": r"y|northing|utm_y|hochwert|y_coord",
    "yield": r"((grain_|crop_|dry_|wet_)?(yield|yld)|(korn)?ertrag|rendement|rendimiento|rinde)(_.*)?",
    "moisture": r"(moist|mostr|feucht|kornfeuchte|humid|humed|grain_moist)\w*",
    "swath": r"(swath|swth|width|working_width|header_width|cut_?width|arbeitsbreite|schnittbreite|largeur|ancho)\w*",
    "distance": r"(dist|dstnc|strecke|wegstrecke)\w*",
    "speed": r"(speed|spd|vehicle_speed|ground_speed|geschwindigkeit|fahrgeschwindigkeit|vitesse|velocidad)\w*",
    "flow": r"(flow|flw|crop_flow|crop_flw|crp_flw|mass_flow|grain_flow|durchsatz|debit|flujo)\w*",
    "interval": r"(duration|durtn|dur|cycle|interval|logging_interval|intervall)\w*",
    "time": r"((iso_?|date_?)?time|time_?stamp|gps_?time\w*|zeit(stempel)?|datum_zeit)(_(s|ms|min|h|d))?",
    "heading": r"(heading|hdng|track|trck|course|bearing|kurs|fahrtrichtung)\w*",
    "section": r"section\w*|teilbreite\w*",
    "machine": r"machine\w*|combine\w*|harvester\w*|vehicle|dataset|device\w*|maschine\w*|maehdrescher\w*",
    "order": r"gid|fid|id|objectid|obj_+id|record\w*|row|seq\w*|log_?id|point_?id|nr|nummer",
}  # fmt: skip
NO_YIELD = re.compile(r"offset|ffst|target|goal|potential|class|zone|_id\b|year|std|error|map|rank")
WET, DRY, MASS = re.compile(r"wet|feucht|_w_?$"), re.compile(r"dry|trocken|_d_?$"), re.compile(r"mass|mss")
PLACES = ("longitude", "latitude", "x", "y")
SURE = {"moisture": "%", "heading": "deg"}  # what is logged in nothing else; a note says so
IGNORED = "-"
LONGEST_ANSWER = 1600  # letters of a refusal with all that is open


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a user says of a log: `units` and `columns` by quantity ("-": none), the crop, and the CRS of x and y."""

    units: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    crop: str | None = None
    crs: str | None = None

    def __post_init__(self) -> None:
        for quantity, unit in self.units.items():
            if quantity not in UNITS:
                raise InputError(f"got a unit of {shown(quantity)}, want one of {', '.join(UNITS)}")
            if not known_unit(unit, quantity):
                raise InputError(f"got the unit {shown(unit)} of {quantity}, want one of {', '.join(UNITS[quantity])}")
        for quantity in self.columns:
            if quantity not in NAMES:
                raise InputError(f"got a column for {shown(quantity)}, want one of {', '.join(NAMES)}")


def said_of(units: Iterable[str], columns: Iterable[str], crop: str | None = None, crs: str | None = None) -> Reading:
    """Return what options say: units as bu/ac, of the yield, or swath=ft; columns as yield=Ertrag.

    Raises:
        InputError: if one is none of these, or two are of one quantity.
    """
    return Reading(
        units=_by_quantity(units, "unit", "yield"), columns=_by_quantity(columns, "column"), crop=crop, crs=crs
    )


def _by_quantity(told: Iterable[str], what: str, alone: str = "") -> dict[str, str]:
    """What was said of each quantity, as QUANTITY=WORD; a word alone is of the quantity `alone`."""
    found: dict[str, str] = {}
    for text in told:
        quantity, mark, word = text.partition("=")
        if not mark and not alone:
            raise InputError(f"got --{what} {text[:40]!r}, want QUANTITY=NAME, as yield=Ertrag")
        quantity, word = (quantity, word) if mark else (alone, text)
        if quantity in found:
            raise InputError(f"got two of --{what} for {quantity[:40]!r}; give one")
        found[quantity] = word
    return found


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A log's columns by quantity, the unit of each that has one, and what has to be said of the choice."""

    columns: Mapping[str, str]
    units: Mapping[str, str]
    notes: tuple[str, ...]


class _Open:
    """What a log leaves open: a question each, and the options that answer them."""

    def __init__(self, where: str) -> None:
        self.where, self.questions, self.options = where, list[str](), list[str]()

    def ask(self, question: str, *options: str) -> None:
        """Keep a question; UNIT and NAME stand in its options where only the user knows."""
        self.questions.append(question)
        self.options += options

    def refuse(self) -> None:
        """Refuse the log if anything is open.

        Raises:
            InputError: one line with all questions, the options first, to be copied.
        """
        if not self.questions:
            return
        if len(self.questions) == 1:
            raise InputError(f"{self.where}: {self.questions[0]}"[:LONGEST_ANSWER])
        raise InputError(
            f"{self.where} leaves {len(self.questions)} things open; pass {' '.join(dict.fromkeys(self.options))} with "
            f"what is right: {'; '.join(self.questions)}"[:LONGEST_ANSWER]
        )


def choose_columns(
    names: Iterable[str], said: Reading, where: str, *, has_places: bool, is_number: Callable[[str], bool] | None = None
) -> Chosen:
    """Choose the column of each quantity and its unit; `is_number` says of a time's column whether it needs one.

    Raises:
        InputError: if one that is needed is absent or could be several, or a unit is told by nobody; one line names all
            that has to be passed.
    """
    known, notes, left = list(names), list[str](), _Open(where)
    for quantity, named in said.columns.items():
        if named != IGNORED and named not in known:
            raise InputError(f"{where} has no column {shown(named)} for {quantity}; it has {shown(', '.join(known))}")
    chosen: dict[str, str] = {}
    for quantity in NAMES:
        column = said.columns.get(quantity) or _found(quantity, known, has_places, left, notes) or ""
        if column and column != IGNORED and not (has_places and quantity in PLACES):
            chosen[quantity] = column
    _check_needed(chosen, known, said, left, has_places=has_places)
    units = {
        quantity: _unit(quantity, column, said, left, notes) for quantity, column in chosen.items() if quantity in UNITS
    }
    if units.get("time") == "" and is_number is not None and is_number(chosen["time"]):
        left.ask(ask("time", chosen["time"]) + ", or --column time=- to leave it out", "--unit time=UNIT")
    left.refuse()
    return Chosen(columns=chosen, units=units, notes=tuple(notes))


def _unit(quantity: str, column: str, said: Reading, left: _Open, notes: list[str]) -> str:
    """The unit of a column; "" where it is asked for, and of times, which can be dates."""
    option = f"--unit {'' if quantity == 'yield' else f'{quantity}='}UNIT"
    try:
        unit = said.units.get(quantity) or unit_in_name(column, quantity)
    except InputError as error:
        left.ask(str(error), option)
        return ""
    if not unit and quantity in SURE:
        unit = SURE[quantity]
        notes.append(f"{shown(column)} is read as {quantity} in {unit}")
    if not unit and quantity != "time":  # dates need none
        left.ask(ask(quantity, column), option)
    if known_unit(unit, quantity).startswith("bu/") and said.crop is None:
        left.ask(f"{unit} needs the crop, whose bushel it counts; pass --crop wheat or another", "--crop CROP")
    return unit


def _found(quantity: str, names: Iterable[str], has_places: bool, left: _Open, notes: list[str]) -> str | None:
    """The one column that a quantity's names fit."""
    fitting = [name for name in names if re.fullmatch(NAMES[quantity], _key(name))]
    if quantity == "yield":
        return _of_yield([name for name in fitting if not NO_YIELD.search(name.lower())], left)
    if quantity in ("machine", "order", "section", "time") or len(fitting) < 2:
        return fitting[0] if fitting else None
    exact = [name for name in fitting if _tells(name, quantity)] if quantity in UNITS else []
    if len(exact) == 1:
        return exact[0]
    if has_places and quantity in PLACES:
        return None
    if quantity in ("swath", *PLACES):
        left.ask(
            f"{_listed(fitting)} could each be {quantity}; pass --column {quantity}=NAME", f"--column {quantity}=NAME"
        )
        return fitting[0]
    notes.append(f"{_listed(fitting)} could each be {quantity}: none is used, unless --column {quantity}=NAME says so")
    return None


def _tells(name: str, quantity: str) -> bool:
    """True where a column's name tells a unit that is known."""
    try:
        return bool(unit_in_name(name, quantity))
    except InputError:
        return False


def _of_yield(fitting: list[str], left: _Open) -> str | None:
    """Dry rather than wet, mass rather than volume; else it has to be said."""
    likely = fitting
    for words, is_wanted in ((WET, False), (DRY, True), (MASS, True)):
        some = [name for name in fitting if bool(words.search(_key(name))) == is_wanted]
        if len(fitting) > 1 and some and all(_tells(name, "yield") for name in some):
            fitting = likely = some
        likely = [name for name in likely if name in some] or likely
    if len(fitting) > 1:
        left.ask(f"{_listed(fitting)} could each be the yield; pass --column yield=NAME", f"--column yield={likely[0]}")
        return likely[0]
    return fitting[0] if fitting else None


def _check_needed(chosen: Mapping[str, str], names: list[str], said: Reading, left: _Open, *, has_places: bool) -> None:
    lacking = [] if "yield" in chosen else ["yield"]
    has_degrees = {"longitude", "latitude"} <= set(chosen)
    if not has_places and not has_degrees and not {"x", "y"} <= set(chosen):
        lacking += [name for name in ("longitude", "latitude") if name not in chosen]
    if lacking:
        left.ask(
            f"no column for {' and '.join(lacking)} among {shown(', '.join(names), 120)}; pass --column "
            f"{lacking[0]}=NAME, or export it too",
            *(f"--column {name}=NAME" for name in lacking),
        )
    if not has_places and not has_degrees and {"x", "y"} <= set(chosen) and said.crs is None:
        x, y = shown(chosen["x"]), shown(chosen["y"])
        left.ask(f"{x} and {y} are in a CRS that it does not name; pass --crs EPSG:n", "--crs EPSG:n")


def _key(name: str) -> str:
    """A column's name in small letters, without what stands in brackets at its end but for dry and wet."""
    bare = IN_BRACKETS.fullmatch(name)
    text = bare["name"] if bare else name
    return re.sub(r"[^a-z0-9]+", "_", text.lower().translate(UMLAUTS)).strip("_")


UMLAUTS = str.maketrans({"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue", "\u00df": "ss", "\u00e9": "e"})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(shown(name, 30) for name in names)
