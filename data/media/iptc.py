"""IPTC-IIM of JPEG and TIFF: what news agencies write into pictures.

Source: IPTC-NAA Information Interchange Model 4.2, records 1 and 2.
"""

from typing import TYPE_CHECKING

from mainstem.data.media.embargoes import embargo_in, read_embargo
from mainstem.data.media.opt_outs import directives_in, plain_words
from mainstem.data.media.said import Said, kept, kept_keywords

if TYPE_CHECKING:
    from PIL.Image import Image

UTF8 = b"\x1b%G"  # 1:90, ISO 2022's escape to UTF-8
CHARSET = (1, 90)
OBJECT_NAME, HEADLINE, CAPTION, BYLINE, CREDIT, COPYRIGHT = (2, 5), (2, 105), (2, 120), (2, 80), (2, 110), (2, 116)
KEYWORDS, INSTRUCTIONS = (2, 25), (2, 40)
CREATED, RELEASE = ((2, 55), (2, 60)), ((2, 30), (2, 35))  # date CCYYMMDD and time HHMMSS±HHMM
Records = dict[tuple[int, int], bytes | list[bytes]]


def read_iptc(image: "Image") -> Said | None:
    """What a picture's IPTC block says; None where it has none.

    Raises:
        Exception: whatever Pillow raises of a damaged block.
    """
    from PIL.ImageFile import ImageFile
    from PIL.IptcImagePlugin import getiptcinfo

    found = getiptcinfo(image) if isinstance(image, ImageFile) else None
    return _said(found) if found else None


def _said(records: Records) -> Said:
    texts, is_guessed = _texts(records)
    first = {name: found[0] for name, found in texts.items() if found}
    instructions = first.get(INSTRUCTIONS, "")
    release = "T".join(first[name].strip() for name in RELEASE if first.get(name))
    embargoes = [read_embargo(release)] if release else []
    spoken = embargo_in(instructions)
    keywords = kept_keywords(texts.get(KEYWORDS, []))
    rights = first.get(COPYRIGHT, "")
    words = {
        "title": first.get(HEADLINE) or first.get(OBJECT_NAME),
        "caption": first.get(CAPTION),
        "creator": "; ".join(texts.get(BYLINE, [])),
        "credit": first.get(CREDIT),
        "rights": rights,
        "captured": _captured(*(first.get(name, "") for name in CREATED)),
    }
    sayings = directives_in(keywords, "iptc keyword")
    sayings += plain_words(rights, "iptc copyright") + plain_words(instructions, "iptc instructions")
    note = "its IPTC names no character set and is no UTF-8; letters are read as Latin-1 and may be others"
    return Said(
        origin="iptc",
        words=kept(words),
        keywords=keywords,
        embargoes=tuple(embargoes + ([spoken] if spoken else [])),
        sayings=tuple(sayings),
        notes=(note,) if is_guessed else (),
    )


def _texts(records: Records) -> tuple[dict[tuple[int, int], list[str]], bool]:
    """Records as texts, and whether their letters are a guess."""
    held = {name: found if isinstance(found, list) else [found] for name, found in records.items()}
    charset = b"".join(held.pop(CHARSET, []))
    every = [part for parts in held.values() for part in parts]
    is_utf8 = charset.startswith(UTF8) or all(map(_is_utf8, every))
    encoding, errors = ("utf-8", "replace") if is_utf8 else ("latin-1", "strict")
    return {name: [part.decode(encoding, errors) for part in parts] for name, parts in held.items()}, not is_utf8


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _captured(date: str, time: str) -> str | None:
    """ISO 8601 of a date CCYYMMDD and a time HHMMSS±HHMM; None where there is no such date."""
    if len(date) != 8 or not date.isdecimal() or "00" in (date[4:6], date[6:]):
        return None
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    if len(time) < 6 or not time[:6].isdecimal():
        return day
    offset = f"{time[6:9]}:{time[9:11]}" if len(time) == 11 and time[6] in "+-" else ""
    return f"{day}T{time[:2]}:{time[2:4]}:{time[4:6]}{offset}"
