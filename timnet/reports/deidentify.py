"""De-identification of an import: whose identifiers a DICOM header holds, and what of them a report repeats.

Owns the tags that name people, places and numbers (PS3.15 Annex E, basic profile; every element of VR PN),
and the marks [name], [date], [number] and [address] that replace them. Measurements, vertebrae and
the marks of MIMIC (___) and Open-I (XXXX) stay. It finds what the tags hold, what something announces and
what has a known form, and promises no more than that: docs/privacy.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from timnet.reports import identifier_forms as forms
from timnet.reports import name_cues, names, plain_text

OLDEST = 90.0
"""Years; whoever is older is stored as this old (45 CFR 164.514(b)(2)(i)(C))."""
_PERSON_TAGS = tuple(keyword for vr, _, _, _, keyword in DicomDictionary.values() if vr == "PN" and keyword)
ADDRESS_TAGS = ("PatientAddress", "InstitutionAddress", "PersonAddress", "ReferringPhysicianAddress")
PLACE_TAGS = ("InstitutionName", "ResponsibleOrganization", *ADDRESS_TAGS)
PATIENT_TAGS = ("PatientID", "OtherPatientIDs")
NUMBER_TAGS = (
    *PATIENT_TAGS, "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "PersonTelephoneNumbers",
    "ReferringPhysicianTelephoneNumbers", "AdmissionID", "MedicalRecordLocator", "RequestedProcedureID",
    "ScheduledProcedureStepID",
    "PerformedProcedureStepID", "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest", "DeviceSerialNumber", "StationName", "IssuerOfPatientID",
)  # fmt: skip

SEQUENCES = (
    "OtherPatientIDsSequence", "RequestAttributesSequence", "VerifyingObserverSequence",
    "AuthorObserverSequence", "ParticipantSequence", "ReferencedRequestSequence", "InstitutionCodeSequence",
)  # fmt: skip
TAGS = (*_PERSON_TAGS, *PLACE_TAGS, *NUMBER_TAGS, *SEQUENCES)
"""What to read of a header in order to know whom it speaks of."""
_DEEPEST = 16

NAME, DATE, NUMBER, ADDRESS = name_cues.MARK, "[date]", "[number]", "[address]"
MARKS = (NAME, DATE, NUMBER, ADDRESS)


@dataclass(frozen=True)
class Known:
    """What a study's own tags say of people and numbers, case folded."""

    names: frozenset[str] = frozenset()
    """Folded words of names and places (`names.keys`)."""
    numbers: frozenset[str] = frozenset()
    """Letters and digits only, without leading zeros."""

    def __or__(self, other: Known) -> Known:
        return Known(self.names | other.names, self.numbers | other.numbers)


def known(dataset: Dataset) -> Known:
    """Return the names and numbers that a data set's identifying tags hold, those of its items included."""
    return _known(dataset, _DEEPEST)


def _known(dataset: Dataset, deepest: int) -> Known:
    words, numbers, inside = set[str](), set[str](), Known()
    for element in dataset:
        keyword, values = element.keyword, element.value
        if element.VR == "SQ":
            for item in (values or ()) if deepest else ():
                inside |= _known(item, deepest - 1)
            continue
        for value in _values(values):
            if element.VR == "PN" or keyword in PLACE_TAGS:
                words |= names.keys(value, person=element.VR == "PN")
            elif keyword in PATIENT_TAGS and value.strip().isalpha():
                words |= names.keys(value)
            if keyword in ADDRESS_TAGS:
                numbers.update(re.findall(r"\d{5,}", value))
            elif keyword in NUMBER_TAGS:
                numbers.add(_squeezed(value))
    # A short number, or a word such as the name of a room, would be found in any sentence.
    long = {number for number in numbers if len(number) > 3 and any(sign.isdigit() for sign in number)}
    return Known(frozenset(words), frozenset(long)) | inside


def _squeezed(number: str) -> str:
    """Return the letters and digits of a number, without zeros before the first of four or more."""
    letters = re.sub(r"[\W_]", "", number).casefold()
    return letters.lstrip("0") if len(letters.lstrip("0")) > 3 else letters


def _values(value: object) -> list[str]:
    if value is None or isinstance(value, (str, PersonName)) or not isinstance(value, Iterable):
        return [str(value or "")]
    return [str(part) for part in value]


def mentions(path: str, identifiers: Known) -> bool:
    """Tell whether a path holds a name of at least three letters or a number, as a part of whatever word."""
    letters = "\0".join(map(plain_text.fold, re.split(r"[\W\d_]+", plain_text.clean(path))))
    joined = plain_text.fold(path)
    numbers = "\0".join(map(_squeezed, re.split("[/\\\\]", path)))
    return any(number in numbers for number in identifiers.numbers) or any(
        len(name) > 2 and (name in letters or (len(name) > 5 and name in joined))
        for name in identifiers.names
    )


def path_words(path: str) -> set[str]:
    """Return the folded words and the numbers of a path, to be looked up among those of `Known`."""
    words = re.split(r"[\W_]+", plain_text.clean(path))
    return {part for word in words for part in (plain_text.fold(word), _squeezed(word)) if len(part) > 2}


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


def scrub(report: str, identifiers: Known) -> tuple[str, Counter[str]]:
    """Replace names, dates, numbers and addresses of a report by marks, and count them by mark.

    Args:
        report: the whole text, header included; it comes back in NFC.
        identifiers: what the study's own tags hold.
    """
    counts: Counter[str] = Counter()
    text = plain_text.clean(report)
    if numbers := _numbers(identifiers.numbers):
        text = _replace(text, numbers, NUMBER, counts)
    for pattern, mark in (
        (forms.DATES, DATE), (forms.SHORT_DATES, DATE), (forms.MAIL, NAME), (forms.ADDRESSES, ADDRESS),
        (forms.LABELLED_NUMBERS, NUMBER), (forms.SERIALS, NUMBER), (forms.NUMBERS, NUMBER),
    ):  # fmt: skip
        text = _replace(text, pattern, mark, counts)
    text = _replace(text, forms.OLD, f"{OLDEST:.0f}", Counter())
    text = _cut(text, names.spans(text, identifiers.names), NAME, counts)
    announced = names.merged(name_cues.spans(plain_text.plain(text)))
    return _cut(text, announced, NAME, counts), counts


def _replace(text: str, pattern: re.Pattern[str], mark: str, counts: Counter[str]) -> str:
    """Replace what a pattern finds in the plain text, less its group `before`."""
    label = "before" in pattern.groupindex
    found = pattern.finditer(plain_text.plain(text))
    return _cut(
        text,
        ((match.end("before") if label else match.start(), match.end()) for match in found),
        mark,
        counts,
    )


def _cut(text: str, spans: Iterable[tuple[int, int]], mark: str, counts: Counter[str]) -> str:
    parts, end = list[str](), 0
    for start, after in spans:
        parts += [text[end:start], mark]
        end = after
        counts[mark] += 1
    return "".join(parts) + text[end:]


def _numbers(known: Iterable[str]) -> re.Pattern[str] | None:
    """Find known numbers; long ones however blanks, dashes, stops and leading zeros part or begin them."""
    patterns = []
    for number in sorted(known, key=lambda number: (-len(number), number)):
        between = "[ ./_-]{0,2}" if len(number) > 5 else ""
        patterns.append(between.join(map(re.escape, number)))
    return (
        re.compile(rf"(?<![^\W_])0{{0,8}}(?:{'|'.join(patterns)})(?![^\W_])", re.IGNORECASE)
        if patterns
        else None
    )
