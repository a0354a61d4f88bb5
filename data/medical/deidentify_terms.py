"""Code strings are kept where their words are terms: of the standard's own names and codes, or of the list here.

A code string may hold what somebody typed, and the standard's lists of terms are open: so a word of more than three
letters that is found nowhere in the standard counts as typed.
"""

import re
from functools import cache

from mainstem.data.medical.deidentify_codes import meanings
from mainstem.data.medical.deidentify_rules import ANATOMY, LONG_NUMBER

CODE_STRING = re.compile(r"[A-Z0-9 _]{0,16}")  # PS3.5 table 6.2-1
WORD = re.compile(r"[a-z]+")
SHORT = 3  # letters that name nobody on their own
TERMS_TEXT = """
asymx asymy mlcx mlcy borelocal contains inferred cspine tspine lspine sspine ctspine lsspine tlspine jawzone
dcmr elec elliptical manu multicoil nrgy pname portrait landscape rcbf rcbv riesz rtdose rtplan rtstruct
rtrecord rtimage scoord tcoord scout semiautomatic separate stim uidref unapproved undefined unverified recon
mosaic norm fmri diffusion tracew csaparallel csamanipulated gems topogram subtraction composed monochrome
predecessor minip mprage tse gre epi swi flair resampled rescaled filtered distorted undistorted imagectrl fast
spgr
"""
TERMS = frozenset(TERMS_TEXT.split())


def is_term(text: str) -> bool:
    """True for a code string whose words are all terms, and none of whose numbers is long."""
    return CODE_STRING.fullmatch(text) is not None and has_terms(text)


def has_terms(text: str) -> bool:
    """True for text whose words are all terms, and none of whose numbers is long."""
    words = WORD.findall(text.lower())
    return text.isascii() and not LONG_NUMBER.search(text) and all(len(w) <= SHORT or w in _terms() for w in words)


@cache
def _terms() -> frozenset[str]:
    from pydicom._dicom_dict import DicomDictionary
    from pydicom._uid_dict import UID_dictionary

    texts = [*meanings().values(), *(entry[2] for entry in DicomDictionary.values())]
    texts += [" ".join(entry) for entry in UID_dictionary.values()]
    return frozenset(word for text in texts for word in WORD.findall(text.lower())) | ANATOMY | TERMS
