"""Report text: its sections, the findings that stand for a study, and sentences.

Owns which words of a report go with a film (the findings; where they are empty, the impression) and where
a sentence ends. Pure text, in one pass, linear in its length whatever it holds. Changes white space and the
marks of lists and tables alone (an item without a full stop gets one): the `___` and `XXXX` of de-identified
reports stay. Leaves out sentences that tell who was informed and nothing of the film.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from timnet.reports import section_names as names
from timnet.reports.sections import is_header, sections
from timnet.reports.sentence_ends import CLOSERS, ITEM, sentences

__all__ = ["Extract", "extract", "findings", "is_header", "is_searched", "sections", "sentences"]

_NARROW = 50
"""Characters of a line below which nobody wraps."""

_LABEL = re.compile(r"[ \t]*+[A-Z][A-Za-z /&-]{2,30}+:(?=\s)")
_BULLET = re.compile(r"[ \t]*+(?:[-*•·▪–]|#{1,6}|>)[ \t]++")
_RULE = re.compile(r"[ \t]*+(?:[-=~*]{3,}+)?[ \t]*")
_UNFINISHED = {
    "a", "an", "the", "of", "to", "with", "and", "or", "is", "are", "was", "were", "in", "on", "for", "by",
    "at", "no", "than", "from", "as",
}  # fmt: skip
_TITLE = re.compile(r"\s*(?:FINAL|PRELIMINARY|RADIOLOGY) REPORT\b[ \t]*:?")
_VIEWS = re.compile(r"(?:\A|\n)[ \t]*+([A-Z][A-Za-z0-9 ,/&()-]{2,80}+):(?=\s)")
_VIEW_WORD = re.compile(r"\bCHEST\b|(?i:\b(?:views?|radiographs?|x-rays?)\b)")
_TITLES_SAID = """
    chest thorax xr cxr x-ray x-rays x ray xray radiograph radiographs radiography film films view views
    pa ap lateral lat frontal portable mobile upright erect supine semi-erect single one two and of the a
    radiographie radiographies thoracique pulmonaire de face et profil röntgen röntgenaufnahme des in zwei
    ebenen radiografía tórax y proyecciones dos rtg klatki piersiowej zdjęcie
"""
_TITLE_WORDS = frozenset(_TITLES_SAID.split())
"""Words of which a title is made: it says what was taken, and nothing of what is seen."""
_PURPOSE = re.compile(r"\?|\b(?:evaluate|eval|assess|rule out|r/o|exclude|please)\b", re.IGNORECASE)
"""Words of why an X-ray was taken, not of what it shows."""
_THANKS = re.compile(
    r"(?:many )?thanks? (?:you|for|in advance)\b|vielen dank|(?:wir )?danken? für|(?:je|nous) vous remerci"
    r"|merci d|(?:muchas )?gracias por|dziękuj",
    re.IGNORECASE,
)
"""How a sentence of courtesy begins."""
_FAREWELL = re.compile(
    r"(?:mit (?:freundlichen|besten|kollegialen) grüßen|mfg|(?:kind|best) regards|yours sincerely"
    r"|cordialement|bien confraternellement|atentamente|z poważaniem)\b",
    re.IGNORECASE,
)
_SIGNED = re.compile(
    r"(?i:(?:dear|sehr geehrter?|liebe[rs]?|ch[eè]re?|estimad[oa]|szanown[yai]) .{1,80}[,:!]\Z"
    r"|(?:electronically |e-?)?signed by\b|/signed/|(?:dictated|transcribed|reported|read) by\b"
    r"|(?:consultant|reporting|attending|staff|specialist|resident|facharzt für)? ?"
    r"(?:radiologist|radiographer|registrar|radiology|radiologie)\Z)"
    r"|(?:Drs?|Prof|Mrs?|Ms|Miss)\b\.?(?: (?:Dr|med|habil)\.)*(?: [^\W\d_a-z][\w.'’-]*){1,4}(?:,[^.]*)?\Z"
)
"""Lines of whom a letter addresses, and of who has read the X-ray."""
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")
_NOTHING_SAID = """
    none nil n a na nan null nothing not no text tbd pending ditto idem same deferred unavailable applicable
    available given provided stated dictated reported described noted documented entered detailed mentioned
    discussed please see refer to as per in under for and with the this is are above below impression
    impressions conclusion conclusions findings finding opinion comment comments report reports section body
    details full separate final follow follows to-follow images reviewed combined
    keine keiner entfällt siehe s o u oben unten unter beurteilung befund befunde wie vgl
    néant aucun aucune voir ci-dessous ci-dessus dans le la les rapport résultats résultat
    ninguno ninguna no aplica ver en el impresión conclusión hallazgos informe
    brak jak wyżej niżej patrz wnioski opis
"""
_NOTHING = frozenset(_NOTHING_SAID.split())
"""Words of which sections are made that say nothing of the film, in lower case."""
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NOTHING_FOUND = re.compile(r"no (?:findings?|report)|(?:no|sin) hallazgos|(?:ohne|keine[nr]?) befunde?")
"""They are made of these words, too, and state a result."""
_TOLD = re.compile(
    r"\b(?:discussed|communicated|conveyed|relayed|telephoned|phoned|called|paged|informed|notified|e-?mailed|messaged"
    r"|reported|aware|acknowledged|contacted|message|alerted|signed|dictated|transcribed|reviewed)\b",
    re.IGNORECASE,
)
_WHOM = re.compile(
    r"\b(?:drs?|doctor|md|physician|surgeon|nurse|rn|team|clinicians?|consultant|registrar|resident"
    r"|house ?officer|gp|ed|icu|ward|service|provider|patient|(?:tele)?phone|pager|e-?mail|dashboard)\b"
    r"|\d:\d\d|\b[ap]\.?m\b|___",
    re.IGNORECASE,
)
_OF_THE_FILM = re.compile(
    r"effusion|pneumo|consolid|opaci|o?edema|fractur|nodul|\bmass|cardi|atelect|tub(?:e|ing)|cathet|\blines?\b"
    r"|lead|device|\bair\b|lung|heart|pleur|position|hilar|hila\b|mediast|infiltrat|lesion|lobe|normal|clear|right"
    r"|(?<!message )left|aort|rib|bone|lymph|emphysem|congest|disease|process|diaphragm|unremarkable|thorac"
    r"|chest|spine|osseous|interstit|scarr|fibros|herni|intubat|foreign|swallow|stomach|gastr|bowel|abdom|peritone"
    r"|calcif|granulom|cavit|abscess|h(?:a)?ematoma|tumou?r|malignan|metasta|cancer|carcin|sarcoid|tubercul"
    r"|embol|o?esophag|trache|thyroid|goit|vessel|aneurysm|dissect|dislocat|scoliosis|hardware"
    r"|pacemaker|\b(?:et|ng|og) |drain|stent|clips?\b|wires?\b|widen|perforat|shadow|soft tissue|diverticul"
    r"|screw|valve",
    re.IGNORECASE,
)
_SEEN = re.compile(
    r"\b(?:lungs?|heart|cardiac|cardiomediastin\w+|mediastin\w+|hila|pleural?|bones|bony|osseous"
    r"|diaphragms?|costophrenic \w+|lungen|herz|poumons?|c(?:œ|oe)ur|pulm[oó]n\w*|coraz[oó]n|płuca)\b"
    r".{0,99}\b(?:is|are|appears?|remains?|clear|normal|unremarkable|intact|enlarged|frei|ist|sind"
    r"|normale?s?|libres?|clairs?|limpios|bez|w normie)\b"
    r"|\b(?:no|without|small|large|tiny|trace|mild|moderate|severe|left|right|bilateral|there (?:is|are)"
    r"|keine?n?|pas d[e']|sin|brak|bez)\b.{0,99}(?:effusion|pneumothora|consolidat|opaci|infiltrat"
    r"|o?edema\b|atelecta|cardiomegaly|cardiopulmonary|erguss|épanchement|derrame|odmy|płynu)",
    re.IGNORECASE,
)
"""Sentences that say what an X-ray shows, for where no header says it."""
_PAST = re.compile(
    r"\b(?:history|known|prior|previous\w*|status post|s/p|pain|patient|he|she|old|diagnosed|treated"
    r"|recent)\b",
    re.IGNORECASE,
)
"""Words of sentences that may tell of the patient before this X-ray."""


@dataclass(frozen=True)
class Extract:
    """What of a report stands for its study."""

    findings: str
    """On one line; "" where the report says nothing of the film."""
    section: str
    """Where it was found: findings, views (as `FRONTAL VIEW OF THE CHEST:`), text before the headers,
    impression, comment, text after the headers, wet read, addendum or whole text; "" where nowhere. An
    addendum that speaks of the film is read with it ("findings and addendum")."""
    impression: str
    """On one line; "" where there is none."""


def findings(text: str) -> str:
    """Return the words that stand for the study, on one line; "" where the report says nothing.

    The findings section, or what a header of views (`FRONTAL VIEW OF THE CHEST:`) opens, or what stands
    before the first header if it speaks of the chest; where these are empty, the impression; where there is
    none either, a comment, or what follows the last section's first paragraph, or the sentences from the
    first behind it that says what is seen, or a wet read. An addendum that speaks of the film is added. A
    text without headers is its own findings.
    """
    return extract(text).findings


def is_searched(header: str) -> bool:
    """Tell whether the section of a header, as of `sections`, may stand for a study."""
    return header in names.of("findings", "report", "impression", "comment")


def extract(text: str) -> Extract:
    """Return what stands for the study, as `findings`, with where it was found, and the impression."""
    bodies = sections(text)
    if bodies.keys() == {""}:
        whole = _collapsed(_TITLE.sub("", bodies[""], count=1) if _TITLE.match(bodies[""]) else bodies[""])
        return Extract(whole, "whole text" if whole else "", "")
    impression = _merged(bodies, names.of("impression"))
    places = {
        "findings": _merged(bodies, names.of("findings")) or _merged(bodies, names.of("report")),
        "views": _of_views(bodies),
        "text before the headers": _leading(bodies),
        "impression": impression,
        "comment": _merged(bodies, names.of("comment")),
        "text after the headers": _closing(bodies),
        "wet read": _merged(bodies, names.of("preliminary")),
    }
    addendum = _merged(bodies, names.of("addendum"))
    if _OF_THE_FILM.search(addendum) or not any(places.values()):
        places["addendum"] = addendum
    first = next((place for place, words in places.items() if words), "")
    read = [place for place in dict.fromkeys((first, "addendum")) if places.get(place)]
    return Extract(" ".join(places[place] for place in read), " and ".join(read), impression)


def _of_views(bodies: dict[str, str]) -> str:
    for header in (*names.of("circumstances"), ""):
        for opening in _VIEWS.finditer(bodies.get(header, "")):
            if _VIEW_WORD.search(opening[1]):
                return _collapsed(bodies[header][opening.end() :])
    return ""


def _leading(bodies: dict[str, str]) -> str:
    """Return the sentences before the first header; a title is none."""
    leading = sentences(_collapsed(bodies.get("", "")))
    text = " ".join(each for each in leading if not _TITLE_WORDS.issuperset(_WORD.findall(each.casefold())))
    return text if text.endswith((".", "!")) and not text.isupper() and _OF_THE_FILM.search(text) else ""


def _closing(bodies: dict[str, str]) -> str:
    last = next((header for header in reversed(bodies) if header not in names.of("other")), "")
    paragraphs = _BLANK_LINE.split(bodies[last]) if last in names.of("circumstances") else []
    text = _collapsed("\n\n".join(paragraphs[1:])) or _seen(paragraphs)
    return "" if _PURPOSE.search(text) else text


def _seen(paragraphs: list[str]) -> str:
    """Return the sentences behind the first of a history, from the one that says what is seen."""
    message = sentences(_collapsed("\n\n".join(paragraphs)))[1:]
    first = next(
        (at for at, each in enumerate(message) if _SEEN.search(each) and not _PAST.search(each)), None
    )
    return "" if first is None else " ".join(message[first:])


def _merged(bodies: dict[str, str], wanted: tuple[str, ...]) -> str:
    return " ".join(filter(None, (_collapsed(body) for header, body in bodies.items() if header in wanted)))


def _collapsed(body: str) -> str:
    """Return a body on one line without the marks of its lists; "" where it says nothing of the film.

    What a line break alone has ended (an item, a paragraph, a labelled line) gets a full stop.
    """
    blocks: list[list[str]] = []
    starts, is_wrapped = True, _is_wrapped(body)
    for line in body.splitlines():
        if _THANKS.match(line.strip()):
            line = " ".join(sentences(line)[1:])
        if _FAREWELL.match(line.strip()):
            break
        if _RULE.fullmatch(line) or _SIGNED.match(line.strip()):
            starts = True
            continue
        bullet = _BULLET.match(line)
        words = line[bullet.end() if bullet else 0 :].replace("**", "").split()
        starts = starts or not (is_wrapped or (words[:1] and words[0][0].islower()))
        if words and (starts or bullet or ITEM.fullmatch(words[0]) or _LABEL.match(line)):
            blocks.append([])
        if words:
            blocks[-1] += words
            starts = False
    for words, following in pairwise(blocks):
        last = words[-1].rstrip(CLOSERS)
        if last[-1:].isalnum() and last.lower() not in _UNFINISHED and not following[0][0].islower():
            words[-1] += "."
    text = " ".join(word for words in blocks for word in words)
    if _TOLD.search(text):
        text = " ".join(sentence for sentence in sentences(text) if not _is_message(sentence))
    said = [word for word in _WORD.findall(text.casefold()) if any(map(str.isalpha, word))]
    return "" if _NOTHING.issuperset(said) and not _NOTHING_FOUND.fullmatch(" ".join(said)) else text


def _is_wrapped(body: str) -> bool:
    """Tell whether lines end where they are full, and not where statements do.

    A line that a program has wrapped is too long for the next line's first word. The first line is as long as
    its header makes it, so where it ends says nothing.
    """
    lines = [line.strip() for line in body.splitlines()]
    width = max(map(len, lines), default=0)
    breaks = [
        (line, after) for line, after in pairwise(lines[1:]) if line[-1:].isalnum() and after[:1].isupper()
    ]
    return width >= _NARROW and all(len(line) + len(after.split()[0]) >= width for line, after in breaks)


def _is_message(sentence: str) -> bool:
    """Tell whether a sentence says who was informed, or who signed, and nothing of the film."""
    return bool(_TOLD.search(sentence) and _WHOM.search(sentence) and not _OF_THE_FILM.search(sentence))
