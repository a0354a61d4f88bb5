"""Code strings are kept where their words are terms: of the standard's own names and codes, or of the list here.

A code string may hold what somebody typed, and the standard's lists of terms are open: so a word of more than two
letters that is found nowhere in the standard counts as typed. Makers' own words are kept where they are on a list.
"""

import re
from functools import cache

from mainstem.data.medical.deidentify_codes import meanings
from mainstem.data.medical.deidentify_rules import ANATOMY

CODE_STRING = re.compile(r"[A-Z0-9 _]{0,16}")  # PS3.5 table 6.2-1
WORD = re.compile(r"[a-z]+")
SHORT = 2  # letters that name nobody, unless the object gives them away
TERMS_TEXT = """
asymx asymy mlcx mlcy borelocal contains inferred cspine tspine lspine sspine ctspine lsspine tlspine jawzone
dcmr elec elliptical manu multicoil nrgy pname portrait landscape rcbf rcbv riesz rtdose rtplan rtstruct
rtrecord rtimage scoord tcoord scout semiautomatic separate stim uidref unapproved undefined unverified recon
mosaic norm fmri diffusion tracew csaparallel csamanipulated gems topogram subtraction composed monochrome
predecessor minip mprage tse gre epi swi flair resampled rescaled filtered distorted undistorted imagectrl fast
spgr
iso gbk utf rgb ybr rct ict hsv mpr mip csa dis mtc trss osp per ppg pff pfp tof adc dwi fse pet suv axl cor sag tra obl
loc mlo lmo rld lld llo rlo mrl eye ear hip arm leg toe jaw rib add sub lut num log lin pos neg low mid avg max min std
var raw mag pha pca csi svs fid tir dir ffe tfe hdr drr box cut off yes asl bold cbf cbv mtt ttp ivim fat out
hfs hfp ffs ffp hfd ffd hfv dlp tss ctp cta mra mrv mrs pdw fov snr dti cine kvp mas seg dyn sec max rec src res
rwv sms smr rms sar syn wsd som spi
"""
TERMS = frozenset(TERMS_TEXT.split())
# Words of makers, models, software, sequences and kernels.
MAKERS_TEXT = """
medical systems system healthcare health care siemens healthineers philips general electric toshiba canon hitachi
fujifilm fuji konica minolta agfa kodak carestream hologic varian elekta accuray shimadzu neusoft united imaging
mindray samsung bruker picker marconi elscint adac esaote planmeca sirona lumisys imatron technologies electronics
corporation company inc gmbh ltd software release version syngo numaris vendor research
lightspeed brightspeed hispeed discovery optima revolution signa excite horizon genesis advance aquilion asteion
vantage brilliance ingenuity ingenia achieva intera gyroscan gemini vereos ambition elition magnetom skyra prisma verio
avanto trio triotim aera vida symphony sonata espree allegra somatom definition sensation emotion force edge flash drive
biograph perspective scope spirit volume zoom plus artis axiom luminos ysio multix definium senographe selenia
digitaldiagnost essenta pixium mobilett apex ultra one prime pro edition supria scenaria oasis echelon airis
hdx hdxt hde mct ict vct tim dot adv premium select explorer gesys
dimensions
standard detail bone lung soft chst edge smooth sharp boneplus stnd body brain head detl convolution flat bowtie
wedge strip aluminum copper large small medium medi filter none coil array spine matrix neck flex knee shoulder breast
tfl fid fre flash fisp truefisp tfi tir tse epfid epse spc spcir spcr vibe twist haste hast mprage mp2rage medic ciss
memp fgre efgre efgrespgr gre fse frfse ssfse propeller blade merge bravo cube lava vasc fiesta ideal thrive vista
sense grase resolve ep2d diff trace ortho fast field echo spin turbo gradient recalled inversion recovery spoiled
pydicom dcmtk gdcm dcmqi highdicom slicer plastimatch monai itk mainstem itksnap nnunet totalsegmentator
slicereditor pixelmed qiicr logiq millennium
"""
MAKERS = frozenset(MAKERS_TEXT.split())
TECHNICAL_TEXT = re.compile(r"[A-Za-z0-9 .,:;/_+*#%()\[\]<>='&-]{0,64}")
DIGITS = re.compile(r"\d(?:[ ._/:,()+-]{0,2}\d)*")  # a number, or several that signs divide
LONG = 6  # digits of dates, telephone and record numbers


def is_term(text: str) -> bool:
    """True for a code string whose words are all terms, and none of whose numbers is long."""
    return CODE_STRING.fullmatch(text) is not None and has_terms(text)


def has_terms(text: str) -> bool:
    """True for text whose words are all terms, and none of whose numbers is long."""
    words = WORD.findall(text.lower())
    return text.isascii() and not _is_long(text) and all(len(w) <= SHORT or w in known_words() for w in words)


def is_technical(text: str) -> bool:
    """True for text of the usual letters without long numbers, whose words are terms or makers' own."""
    words = (word for word in WORD.findall(text.lower()) if len(word) > SHORT)
    is_plain = TECHNICAL_TEXT.fullmatch(text) is not None and not _is_long(text)
    return is_plain and all(word in MAKERS or word in known_words() for word in words)


def _is_long(text: str) -> bool:
    """True for text with so many digits in a row that they may be a date or number, whatever divides them."""
    return any(sum(map(str.isdigit, found)) >= LONG for found in DIGITS.findall(text))


@cache
def known_words() -> frozenset[str]:
    """The words of the standard's names and codes, in small letters."""
    from pydicom._dicom_dict import DicomDictionary
    from pydicom._uid_dict import UID_dictionary

    texts = [*meanings().values(), *(entry[2] for entry in DicomDictionary.values())]
    texts += [" ".join(entry) for entry in UID_dictionary.values()]
    return frozenset(word for text in texts for word in WORD.findall(text.lower())) | ANATOMY | TERMS
