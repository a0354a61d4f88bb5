"""XMP, inside a file or in a sidecar: what photo desks, cameras and rights holders write.

Sources: ISO 16684-1 (the model and its RDF), IPTC Photo Metadata Standard 2023.1 (which property is which field), PRISM
3.0 (embargoDate). An entity or a document type in it is refused: XMP has neither.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import one_line, plain
from mainstem.data.media.embargoes import embargo_in, read_embargo
from mainstem.data.media.opt_outs import Saying, directives_in, plain_words, plus_mining, tdm_reservation
from mainstem.data.media.said import Said, kept, kept_keywords

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
DC, PHOTOSHOP = "{http://purl.org/dc/elements/1.1/}", "{http://ns.adobe.com/photoshop/1.0/}"
RIGHTS, PLUS = "{http://ns.adobe.com/xap/1.0/rights/}", "{http://ns.useplus.org/ldf/xmp/1.0/}"
XMP, EXIF = "{http://ns.adobe.com/xap/1.0/}", "{http://ns.adobe.com/exif/1.0/}"
TDM, PRISM = "{http://www.w3.org/ns/tdmrep", "{http://prismstandard.org/namespaces/"  # begins: versions differ
MOST_PROPERTIES = 20_000
Properties = dict[str, list[str]]


def read_xmp(data: bytes, most: int, origin: str = "xmp") -> Said:
    """What an XMP packet says.

    Raises:
        InputError: if it is larger than `most` bytes, no XML, or has entities.
    """
    return _said(properties(data, most), origin)


def properties(data: bytes, most: int) -> Properties:
    """Texts of every property of a packet, by its name in full: alternatives of a language, the default first.

    Raises:
        InputError: if it is larger than `most` bytes, no XML, or has entities.
    """
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    except ImportError as error:
        raise MissingExtraError("defusedxml", "media") from error
    if len(data) > most:
        raise InputError(f"its XMP has {len(data)} bytes, want at most {most}")
    try:
        root = fromstring(data.strip(b"\0 \t\r\n"), forbid_dtd=True)
    except DefusedXmlException as error:
        raise InputError("its XMP declares a document type or entities, which XMP has not; it is not read") from error
    except (ParseError, ValueError, LookupError) as error:
        raise InputError(f"its XMP is no XML ({plain(one_line(error))})") from error
    found: Properties = {}
    for num, (name, texts) in enumerate(_pairs(root)):
        if num >= MOST_PROPERTIES:
            raise InputError(f"its XMP has more than {MOST_PROPERTIES} properties")
        found.setdefault(name, []).extend(texts)
    return found


def _pairs(root: "Element") -> Iterator[tuple[str, list[str]]]:
    for description in root.iter(f"{RDF}Description"):
        for name, text in description.attrib.items():
            yield name, [text]
        for child in description:
            yield child.tag, _values(child)


def _values(element: "Element") -> list[str]:
    """Texts of a property: its own, those of its list, or the address that it names."""
    items = [item for kind in ("Alt", "Bag", "Seq") for item in element.findall(f"{RDF}{kind}/{RDF}li")]
    if items:
        items.sort(key=lambda item: item.get(LANG, "x-default") != "x-default")
        return [text for item in items if (text := _text(item))]
    return [text] if (text := _text(element)) else []


def _text(element: "Element") -> str:
    value = element.find(f"{RDF}value")
    if value is None:
        value = element.find(f"{RDF}Description/{RDF}value")
    found = (element if value is None else value).text or ""
    return found.strip() or element.get(f"{RDF}resource", "")


def _said(found: Properties, origin: str) -> Said:
    def first(*names: str) -> str:
        return next((found[name][0] for name in names if found.get(name)), "")

    instructions = first(f"{PHOTOSHOP}Instructions")
    embargoes = [read_embargo(text) for text in _of(found, PRISM, "embargoDate")]
    spoken = embargo_in(instructions)
    keywords = kept_keywords(found.get(f"{DC}subject", []))
    words = {
        "title": first(f"{PHOTOSHOP}Headline", f"{DC}title"),
        "caption": first(f"{DC}description"),
        "creator": "; ".join(found.get(f"{DC}creator", [])),
        "credit": first(f"{PHOTOSHOP}Credit"),
        "rights": first(f"{DC}rights", f"{RIGHTS}UsageTerms"),
        "captured": first(f"{PHOTOSHOP}DateCreated", f"{EXIF}DateTimeOriginal", f"{XMP}CreateDate"),
    }
    sayings = directives_in(keywords, "xmp keyword") + list(_sayings(found))
    for name in (f"{DC}rights", f"{RIGHTS}UsageTerms", f"{PHOTOSHOP}Instructions", f"{PLUS}OtherConstraints"):
        sayings += [saying for text in found.get(name, []) for saying in plain_words(text, name.split("}")[1])]
    return Said(
        origin=origin,
        words=kept(words),
        keywords=keywords,
        embargoes=tuple(embargoes + ([spoken] if spoken else [])),
        sayings=tuple(sayings),
    )


def _of(found: Properties, begin: str, name: str) -> list[str]:
    """Texts of a property whose namespace has versions."""
    return [text for full, texts in found.items() if full.startswith(begin) and full.endswith(name) for text in texts]


def _sayings(found: Properties) -> Iterator[Saying]:
    for text in found.get(f"{PLUS}DataMining", []):
        if saying := plus_mining(text):
            yield saying
    reservations = _of(found, TDM, "reservation")
    yield from map(tdm_reservation, reservations)
    for text in _of(found, TDM, "policy"):
        yield "reserved" if "1" in map(str.strip, reservations) else "unclear", f"tdm:policy: {text}"
