"""De-identification of an import: whose identifiers a DICOM header holds, and what of them a report repeats.

Owns the tags that name people, places and numbers (PS3.15 Annex E, basic profile), and the marks [name],
[date] and [number] that replace them in a report's text. Measurements, vertebrae and the marks of MIMIC (___)
and Open-I (XXXX) stay. It finds what it was told or what has a known form, and promises no more than that:
docs/privacy.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

OLDEST = 90.0
"""Years; whoever is older is stored as this old (45 CFR 164.514(b)(2)(i)(C))."""
NAME_TAGS = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson",
    "ReferringPhysicianName", "ConsultingPhysicianName", "PerformingPhysicianName", "RequestingPhysician",
    "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "OperatorsName", "ScheduledPerformingPhysicianName",
    "VerifyingObserverName", "PersonName", "InstitutionName", "ResponsibleOrganization",
)  # fmt: skip
NUMBER_TAGS = (
    "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "AdmissionID",
    "MedicalRecordLocator", "RequestedProcedureID", "ScheduledProcedureStepID",
    "PerformedProcedureStepID", "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest", "DeviceSerialNumber", "StationName", "IssuerOfPatientID",
)  # fmt: skip

SEQUENCES = (
    "OtherPatientIDsSequence", "RequestAttributesSequence", "VerifyingObserverSequence",
    "AuthorObserverSequence", "ParticipantSequence", "ReferencedRequestSequence", "InstitutionCodeSequence",
)  # fmt: skip
TAGS = (*NAME_TAGS, *NUMBER_TAGS, *SEQUENCES)
"""What to read of a header in order to know whom it speaks of."""
_DEEPEST = 16

NAME, DATE, NUMBER = "[name]", "[date]", "[number]"


@dataclass(frozen=True)
class Known:
    """What a study's own tags say of people and numbers, case folded."""

    names: frozenset[str] = frozenset()
    """Single words of names and places."""
    numbers: frozenset[str] = frozenset()

    def __or__(self, other: Known) -> Known:
        return Known(self.names | other.names, self.numbers | other.numbers)


def known(dataset: Dataset) -> Known:
    """Return the names and numbers that a data set's identifying tags hold, those of its items included."""
    return _known(dataset, _DEEPEST)


def _known(dataset: Dataset, deepest: int) -> Known:
    names, numbers, inside = set[str](), set[str](), Known()
    for element in dataset:
        if element.VR == "SQ":
            for item in (element.value or ()) if deepest else ():
                inside |= _known(item, deepest - 1)
        elif element.keyword in NAME_TAGS:
            names.update(*map(name_parts, _values(element.value)))
        elif element.keyword in NUMBER_TAGS:
            numbers.update(value.strip().casefold() for value in _values(element.value))
    # A short number, or a word such as the name of a room, would be found in any sentence.
    long = {number for number in numbers if len(number) > 3 and any(sign.isdigit() for sign in number)}
    return Known(frozenset(names), frozenset(long)) | inside


def name_parts(name: str) -> set[str]:
    """Return the words of a name (`DOE^Jane=...`) that have at least two letters, case folded."""
    words = re.findall(r"[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))+", name)
    parts = {part for word in words for part in (word, *re.split("[-‐-―]", word)) if len(part) > 1}
    return {part.casefold() for part in parts} - _NOT_NAMES


def _values(value: object) -> list[str]:
    if value is None or isinstance(value, (str, PersonName)) or not isinstance(value, Iterable):
        return [str(value or "")]
    return [str(part) for part in value]


def mentions(path: str, identifiers: Known) -> bool:
    """Tell whether a path holds a name of at least three letters or a number, as a part of whatever word."""
    text = path.casefold()
    return any(word in text for word in identifiers.numbers) or any(
        len(word) > 2 and word in text for word in identifiers.names
    )


def age_years(age: str, born: str, studied: str, oldest: float = OLDEST) -> float | None:
    """Return the age in years, at most `oldest`, from PatientAge (`058Y`) or the two dates, or None."""
    found = re.fullmatch(r"(\d{1,3})([DWMY])", age.strip().upper())
    if found:
        per_year = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}[found[2]]
        years = float(found[1]) / per_year
        # Whole years, as the header would say them; of an infant the fraction matters.
        years = round(years, 2) if years < 2 else float(int(years))
    else:
        dates = [re.fullmatch(r"(\d{4})[.-]?(\d\d)[.-]?(\d\d)", text.strip()) for text in (born, studied)]
        if dates[0] is None or dates[1] is None:
            return None
        (year, *birthday), (until, *day) = ([int(part) for part in date.groups()] for date in dates if date)
        years = float(until - year - (day < birthday))
    return min(years, oldest) if 0 <= years <= 130 else None


# What a word of a name means in a report far more often; replaced only beside the rest of the name.
_REPORT_WORDS = """
    able acute air apex april august barrel base best bird black blunt bone bones bright brook brown burns
    case chance change chest christian clear cross day december dense dull early english fair field fields
    film foot french gold good grace grant gray green grey hand hardy head heart high hill hope house joint
    june kidney king lake land large last late left line lines little lobe long low lung lungs mark marks may
    mild mitral moody moore needle new noble normal north old page park parks peak pearl pleural power price
    ray reed rich right rib ribs rose round sharp shields short sides silver single small south spine stable
    stent stone strong study summer swan tip town trace tube upper valve view waters wedge week weeks west
    white will winter wise wood woods young
"""
_COMMON = frozenset(_REPORT_WORDS.split())
# Suffixes, titles and the words that names of places are made of.
_PLACE_WORDS = """
    and cancer care center centre children childrens clinic clinical college community county department dept
    der des dr emergency general health healthcare hospital ii iii imaging institute iv jr md medical medicine
    memorial mr mrs ms national of phd portable prof radiology regional research room san santa school
    services sr st state station the trauma unit university van von women womens xray
"""
_NOT_NAMES = frozenset(_PLACE_WORDS.split())

_LETTER = r"[^\W\d_]"
_WORD = rf"(?!X{{2,}}\b)[A-Z](?:{_LETTER}|['’-](?={_LETTER}))*"  # begins with a capital, and is no XXXX
_NOT_IN_NAME = (
    r"(?!(?i:at|on|the|by|and|via|with|for|who|of|in|to|is|was|has|per|from|no|there)\b|[A-Za-z]+[ \t]*:)"
)
_PART = rf"{_NOT_IN_NAME}(?:[A-Z]\.|{_WORD})"
_PERSON = rf"{_PART}(?:,?[ \t]+{_PART}){{0,3}}"
_FULL_NAME = rf"{_PART}(?:,?[ \t]+{_PART}){{1,3}}"
_TITLES = r"(?:[Dd]rs?\.?|DRS?\.|Mrs?\.?|MRS?\.?|Ms\.?|MS\.|Miss|[Pp]rof\.?|PROF\.?|Doctor|Professor)"
# No comma after a title: `told Dr. Roe, Right lung clear` goes on with something else.
_TITLE_AND_NAME = _PERSON.replace(",?", "")
_TITLED = re.compile(rf"\b({_TITLES}[ \t]+){_TITLE_AND_NAME}")
# Without its stop, DR is digital radiography as well: `DR CHEST`.
_TOLD = re.compile(rf"\b((?i:with|by|to|from|per)[ \t]+DRS?[ \t]+){_TITLE_AND_NAME}")
_SIGNED = re.compile(
    r"\b((?i:dictated|electronically signed|signed|approved|verified|transcribed|interpreted|reviewed|"
    rf"reported|authenticated|finalized|finalised|attested)(?i:[ \t]+by)[ \t]*:?[ \t]*){_PERSON}"
)
_LABELLED = re.compile(
    r"\b((?i:patient(?:['’]s)?(?:[ \t]+name)?|name|referring(?:[ \t]+(?:physician|doctor|provider))?|"
    r"ordering(?:[ \t]+(?:physician|provider))?|attending(?:[ \t]+physician)?|radiologist|resident|physician|"
    rf"requested by|technologist|dictator)[ \t]*:[ \t]*){_FULL_NAME}"
)
_MAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\b|\bhttps?://\S+|\bwww\.\S+")

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|"
    r"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_MONTHS = rf"(?:{_MONTH}|{_MONTH.upper()})\b"
_NO_UNIT = r"(?![ \t]*(?:mm|cm|ml|cc|x|×|%)\b|[ \t]*[%×])"
_DAY, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:(?:19|20)\d\d)"
_DATES = re.compile(
    r"(?<![\w./-])(?:"
    rf"{_YEAR}([-/.])\d{{1,2}}\1{_DAY}(?!\d)"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"
    rf"|{_DAY}([-/.]){_DAY}\2(?:{_YEAR}|\d\d)(?![\d/-])(?!\.\d){_NO_UNIT}"
    rf"|(?:0?[1-9]|1[0-2])/{_YEAR}(?![\d/])|{_YEAR}-(?:0[1-9]|1[0-2])(?![\d-])"
    rf"|{_DAY}(?:st|nd|rd|th)?(?:[ \t]+of)?[ \t/-]{{1,2}}{_MONTHS}"
    rf"(?:\.?[ \t,/-]{{1,2}}(?:{_YEAR}|['’]?\d\d(?!\d|\.\d)))?"
    rf"|{_MONTHS}\.?[ \t/-]{{1,2}}{_DAY}(?:st|nd|rd|th)?\b(?![.]\d)(?:[ \t,/-]{{1,2}}{_YEAR})?{_NO_UNIT}"
    rf"|{_MONTHS}[.,]?[ \t-]{{1,2}}(?:of[ \t]+)?{_YEAR}"
    r")"
)
_SHORT_DATE = re.compile(
    rf"\b((?i:on|dated|date|since|from|comparison|compared to)[ \t]*:?[ \t]+)"
    rf"(?:0?[1-9]|1[0-2])/{_DAY}(?![\d/])(?!\.\d){_NO_UNIT}"
)
_OLD = re.compile(r"\b(?:9\d|1[0-2]\d)(?=[- ]?(?:years?|yrs?|y/?o)\b)", re.IGNORECASE)
_LABELLED_NUMBER = re.compile(
    r"\b((?i:mrn|medical record(?:[ \t]+(?:number|no\.?))?|accession(?:[ \t]+(?:number|no\.?))?|acc|ssn|"
    r"patient[ \t]+id|id|phone|tel|telephone|fax|pager|extension|ext|beeper)"
    r"[ \t]*(?:\#|no\.?)?[ \t]*[:#.]?[ \t]*)"
    r"(?=[A-Za-z()+-]{0,8}\d)(?!\d{1,3}[- ]?(?i:y|m|f))"  # and no age
    r"[A-Za-z0-9()+][A-Za-z0-9()+./-]{2,}(?:[ \t]\d{3,}(?:[- \t]\d{3,})?)?"
)
_NUMBERS = re.compile(
    r"(?<![^\W_])(?<!\.)(?:"
    r"\d{1,40}(?:\.\d{1,40}){4,40}"  # a UID
    r"|\+?\(?\d{3}\)?[-. \t]{1,2}\d{3}[-. ]\d{4}|\d{3}-\d{4}"  # telephone
    r"|\d{3}-\d{2}-\d{4}"  # social security
    r"|[A-Za-z]{0,4}-?\d{6,}[A-Za-z]{0,2}"
    r")(?![^\W_]|\.\d)"
)


def scrub(report: str, identifiers: Known) -> tuple[str, Counter[str]]:
    """Replace names, dates and long numbers of a report by marks, and count them by mark.

    Args:
        report: the whole text, header included.
        identifiers: what the study's own tags hold.
    """
    counts: Counter[str] = Counter()

    def mark(pattern: re.Pattern[str], replacement: str, text: str, keep: bool = False) -> str:
        text, number = pattern.subn(rf"\g<1>{replacement}" if keep else replacement, text)
        if number:
            counts[replacement] += number
        return text

    text = report
    if literal := _literal(identifiers.numbers):
        text = mark(literal, NUMBER, text)
    text = mark(_DATES, DATE, text)
    text = mark(_SHORT_DATE, DATE, text, keep=True)
    text = mark(_MAIL, NAME, text)
    text = mark(_LABELLED_NUMBER, NUMBER, text, keep=True)
    text = mark(_NUMBERS, NUMBER, text)
    text = _OLD.sub(f"{OLDEST:.0f}", text)
    text = _mark_names(text, identifiers.names, counts)
    for pattern in (_TITLED, _TOLD, _SIGNED, _LABELLED):
        text = mark(pattern, NAME, text, keep=True)
    return text, counts


def _literal(words: Iterable[str]) -> re.Pattern[str] | None:
    found = sorted(words, key=lambda word: (-len(word), word))
    return (
        re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, found))})(?![^\W_])", re.IGNORECASE)
        if found
        else None
    )


def _mark_names(text: str, names: frozenset[str], counts: Counter[str]) -> str:
    """Mark the words of known names; of words that reports use anyway only those beside another one."""
    every = _literal(names)
    if every is None:
        return text
    found = list(every.finditer(text))
    chosen = [match[0].casefold() not in _COMMON for match in found]
    for at, match in enumerate(found):
        if chosen[at] or not match[0][0].isupper():
            continue
        beside = [other for other in (at - 1, at + 1) if 0 <= other < len(found)]
        gaps = [text[min(match.end(), found[o].end()) : max(match.start(), found[o].start())] for o in beside]
        near = any(re.fullmatch(r"[ \t,.^]{1,3}(?:[A-Z]\.?[ \t]{1,2})?", gap) for gap in gaps)
        chosen[at] = near and any(found[other][0][0].isupper() for other in beside)
    parts, end = [], 0
    for match, is_name in zip(found, chosen, strict=True):
        if is_name:
            parts += [text[end : match.start()], NAME]
            end = match.end()
            counts[NAME] += 1
    return "".join(parts) + text[end:]
