"""What an owner says of mining a file for text and data, or of training models on it.

Sources:
    IPTC Photo Metadata Standard 2023.1, Data Mining (XMP plus:DataMining), values of the PLUS vocabulary
    http://ns.useplus.org/LDF/ldf-XMPSpecification; IPTC Video Metadata Hub 1.5 has the same property.
    W3C Community Group, TDM Reservation Protocol (TDMRep), final report: tdm:reservation 1 or 0, tdm:policy.
    DeviantArt's directives noai and noimageai (2022), a convention of robots' tags.
    Directive (EU) 2019/790, article 4(3): reservations "in an appropriate manner"; whether words in plain language are
    one is disputed, so they are told as unclear, to be asked about.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["reserved", "allowed", "unclear"]
Saying = tuple[State, str]
ORDER: tuple[State, ...] = ("reserved", "unclear", "allowed")  # the strictest first
DIRECTIVES = ("noai", "noimageai", "noml")
PLUS = re.compile(r"(?:^|/)DMI-([A-Z-]+)$", re.IGNORECASE)
PLAIN_WORDS = re.compile(
    r"\b(text[ -]and[ -]data[ -]mining|data[ -]mining|tdm|machine[ -]learning|ai[ /-]*(ml[ -])?training|"
    r"train(ing)? (of |an? |any )?(ai|generative|machine|models?)|2019/790|no[ -]ai|ai[ -]opt[ -]?out)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class OptOut:
    """What an owner says of mining a file.

    Attributes:
        state: "reserved": not without leave; "allowed": said to be; "unclear": words that are neither, to be asked.
        words: what says so, as it stands in the file, "plus:DataMining: DMI-PROHIBITED".
    """

    state: State
    words: tuple[str, ...]


def plus_mining(value: str) -> Saying | None:
    """What a value of plus:DataMining says; None where it says that nothing is said."""
    words = f"plus:DataMining: {value}"
    if found := PLUS.search(value.strip()):
        code = found[1].upper()
        if code == "UNSPECIFIED":
            return None
        return ("allowed" if code == "ALLOWED" else "reserved" if code.startswith("PROHIBITED") else "unclear"), words
    first = value.split()[0].lower().strip(",.") if value.split() else ""
    if first == "unspecified":
        return None
    return ("reserved" if first == "prohibited" else "allowed" if first == "allowed" else "unclear"), words


def tdm_reservation(value: object) -> Saying:
    """What a value of tdm:reservation says: 1 and 0 are the only ones there are."""
    text = str(int(value) if isinstance(value, bool) else value).strip()
    return ("reserved" if text == "1" else "allowed" if text == "0" else "unclear"), f"tdm:reservation: {text}"


def directives_in(words: Iterable[str], where: str) -> list[Saying]:
    """Directives that stand as words of their own in keywords or robots' tags."""
    found = {part for word in words for part in re.split(r"[\s,;]+", word.lower()) if part in DIRECTIVES}
    return [("reserved", f"{where}: {name}") for name in sorted(found)]


def plain_words(text: str, where: str) -> list[Saying]:
    """Sentences about rights that speak of mining or training: unclear, whatever they say."""
    return [("unclear", f"{where}: {text.strip()}")] if PLAIN_WORDS.search(text) else []


def opt_out(sayings: Iterable[Saying]) -> OptOut | None:
    """Everything that is said, under the strictest of it; None where nothing is."""
    held = list(dict.fromkeys(sayings))
    states = {state for state, _ in held}
    state = next((state for state in ORDER if state in states), None)
    return None if state is None else OptOut(state=state, words=tuple(words for _, words in held))
