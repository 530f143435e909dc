"""The denial of one sentence of a report: a `no` or `not` put in or taken out, as reports write it.

Owns the rules, and refuses with a reason wherever a word more or less would not make the sentence's exact
denial: several statements at once, hedges, advice, denials in other words, wording without a rule. Changes as
few words as English allows, so that what changes in a match comes of the denial alone.
"""

from __future__ import annotations

import re

from timnet.errors import TimnetError

LONGEST = 600
"""Characters of a sentence beyond which no rule is tried."""
_SEVERAL = "it says several things at once, and its denial could mean any of them"
_WORDING = "no rule fits its wording"


class EditError(TimnetError):
    """An edit that cannot be made honestly; the message says why, in words for a reader of the report."""


def _either(words: str) -> str:
    return "|".join(word.replace("_", r"\s+") for word in words.split())


_LABEL = re.compile(
    r"\s*(?:\(?\d{1,2}[.)]\s+|[-*•–]\s+)?(?:[A-Z][A-Za-z ]{1,30}:\s+|(?:Specifically|Again|Otherwise),\s+)?"
)
_STOP = re.compile(r"[\s.!]*\Z")
_CUES = re.compile(
    rf"\b(?:{_either('no not nor neither none never without cannot absent absence excluded')}"
    r"|negative for|free of|free from|ruled? out)\b",
    re.IGNORECASE,
)
_HEDGES = re.compile(
    rf"\b(?:{_either('may might could can would perhaps presumably presumed possible possibly probable')}"
    rf"|{_either('probably likely unlikely questionable question equivocal versus vs suspected suspicious')}"
    rf"|{_either('concerning concern suspicion suggest suggests suggesting suggestive')})\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    rf"\b(?:{_either('recommend recommends recommended recommendation advised should correlate correlation')}"
    r"|follow-?\s?up)\b",
    re.IGNORECASE,
)
_TECHNIQUE = re.compile(r"\b(?:views?|radiographs?|examination|exam|study|technique)\b", re.IGNORECASE)
_JOINS = re.compile(
    rf"[;:(]|\b(?:{_either('but with however although though while whereas except which that who because')}"
    rf"|{_either('since otherwise elsewhere as_well_as other_than due_to secondary_to')}"
    rf"|{_either('consistent_with compatible_with')})\b",
    re.IGNORECASE,
)
_SCOPE = re.compile(r"\b(?:both|all|each|every|either|only|most|entire)\b", re.IGNORECASE)
_AND = re.compile(r"\b(?:and|or)\b", re.IGNORECASE)

_AUXILIARIES = "is are was were"
_BASE = {
    "shows": "show", "demonstrates": "demonstrate", "reveals": "reveal", "appears": "appear",
    "remains": "remain", "terminates": "terminate", "ends": "end", "projects": "project",
    "measures": "measure", "overlies": "overlie", "extends": "extend", "contains": "contain",
    "persists": "persist", "lies": "lie", "reaches": "reach", "has": "have", "occupies": "occupy",
    "displaces": "displace", "crosses": "cross", "obscures": "obscure",
}  # fmt: skip
_THIRD = {base: verb for verb, base in _BASE.items()}
_VERBS = re.compile(rf"\b(?:{_either(_AUXILIARIES)}|{'|'.join([*_BASE, *_THIRD])})\b", re.IGNORECASE)
_ANY = r"(?:an?|some|several|multiple|numerous|a few|few|two|three|many)"
_THERE = re.compile(
    rf"(there\s+(?:is|are|was|were)\s+(?:(?:also|again|now|still)\s+)?)(?:{_ANY}\s+)?(?!(?:the|this)\b)",
    re.IGNORECASE,
)
_INDEFINITE = re.compile(rf"{_ANY}\s+", re.IGNORECASE)
_STATE = re.compile(
    r"\b((?:within normal limits|normal|unremarkable|clear|intact|stable|enlarged|midline|seen|noted"
    r"|identified|present|visualized|visualised)(?:\s+(?:in|bilaterally)\b[^,]*)?)\Z",
    re.IGNORECASE,
)
_NORMAL = re.compile(r"(ab)?normal\s+(?=[a-z])", re.IGNORECASE)
_HEADS = (
    r"effusions?|pneumothora(?:x|ces)|consolidations?|opacit(?:y|ies)|opacifications?|edema|oedema"
    r"|cardiomegaly|atelectasis|atelectases|nodules?|mass(?:es)?|fractures?|infiltrates?|pneumonia|congestion"
    r"|emphysema|fibrosis|scarring|scars?|thickening|hyperinflation|scoliosis|hernia|lesions?|adenopathy"
    r"|lymphadenopathy|calcifications?|granulomas?|pneumomediastinum|pneumoperitoneum|cavit(?:y|ies)"
    r"|densit(?:y|ies)|enlargement|spondylosis|osteophytes?"
)
_MODIFIERS = (
    r"small|moderate|moderately|large|tiny|trace|minimal|mild|mildly|severe|marked|extensive|subtle|faint|focal|"
    r"patchy|diffuse|hazy|streaky|linear|dense|confluent|multifocal|scattered|bilateral|left|right|left-sided|"
    r"right-sided|bibasilar|basilar|basal|bibasal|apical|biapical|upper|middle|lower|mid|lobe|lobar|lung|"
    r"zone|retrocardiac|perihilar|hilar|pulmonary|pleural|interstitial|alveolar|airspace|space|air|vascular|acute|"
    r"chronic|new|old|residual|persistent|increased|decreased|worsening|rib|ribs|clavicular|vertebral|loculated|"
    r"layering|subpleural|subsegmental|plate-like|platelike|discoid|calcified|noncalcified|rounded|solitary|"
    r"spiculated|mediastinal|hiatal|cardiac|thoracic|degenerative|displaced|nondisplaced|tension|reticular|nodular|"
    r"ground-glass|parenchymal|centrilobular|prominent|fairly|very|slight|slightly|significant|healing|healed"
)
_PHRASE = re.compile(
    rf"(?:{_ANY}\s+)?(?:(?:{_MODIFIERS})\s+)*(?:{_HEADS})"
    r"(?:\s+(?:in|of|at|within|along|near|on|over|to|overlying)\s[^,]*)?",
    re.IGNORECASE,
)
_EXISTS = re.compile(
    r"\s+(?:again\s+|now\s+)?(?:seen|identified|noted|present|visuali[sz]ed|visible|evident|demonstrated|detected)\b",
    re.IGNORECASE,
)
_SIZE_AND = re.compile(r"\bsize\s+and\s+\w+\Z", re.IGNORECASE)
_LIST = re.compile(r"[^,]+(?:,\s+[^,]+)*,?\s+(?:or|nor)\s+[^,]+")
_SENTENCE_OF_NO = re.compile(r"\bno\s+(?!longer\b|more\b)", re.IGNORECASE)
_BEFORE_NO = re.compile(
    rf"(?:\A|\b(?:{_either(_AUXILIARIES)}|{'|'.join([*_BASE, *_THIRD])}|been|also|again|now|still)\s+)\Z",
    re.IGNORECASE,
)
_NOT = re.compile(r"\bnot\s+(?=\w)", re.IGNORECASE)
_DO = re.compile(r"\b(do|does|did)\s+not\s+(\w+)", re.IGNORECASE)


def negated(sentence: str) -> str:
    """Return the denial of a sentence: `No` taken out where it denies, put in where it states.

    Raises:
        EditError: the sentence has no denial that one word more or less makes; the message says why.
    """
    if len(sentence) > LONGEST:
        raise EditError("it is too long for one statement")
    start = _LABEL.match(sentence).end()  # type: ignore[union-attr]
    stop = _STOP.search(sentence, start).start()  # type: ignore[union-attr]
    body = sentence[start:stop]
    if not re.search(r"[A-Za-z]", body):
        raise EditError("it holds no words")
    if sentence.rstrip().endswith("?"):
        raise EditError("it is a question")
    if _ADVICE.search(body):
        raise EditError("it advises, and states nothing of the film")
    if _TECHNIQUE.search(body):
        raise EditError("it tells how or when the film was taken, or compares it")
    if _JOINS.search(body):
        raise EditError(_SEVERAL)
    cues = [cue[0].lower() for cue in _CUES.finditer(body) if cue[0].lower() != "nor"]
    denied = _stated(body, cues) if cues else _denied(body)
    if body.isupper():
        denied = denied.upper()
    elif body[0].isupper():
        denied = denied[0].upper() + denied[1:]
    return sentence[:start] + denied + sentence[stop:]


def _stated(body: str, cues: list[str]) -> str:
    """Return what a denial denies."""
    if len(cues) > 1:
        raise EditError("it denies more than once, and its denial could mean either")
    if re.search(r"\band\b", body, re.IGNORECASE) or len(_VERBS.findall(body)) > 1:
        raise EditError(_SEVERAL)
    if cues[0] == "no" and (cue := _SENTENCE_OF_NO.search(body)):
        rest = body[cue.end() :]
        if "," in rest and not _LIST.fullmatch(rest):
            raise EditError(_SEVERAL)
        if not _BEFORE_NO.search(body[: cue.start()]):
            raise EditError(_WORDING)
        return body[: cue.start()] + re.sub(r"\bnor\b", "or", rest)
    if cues[0] == "not":
        if "," in body:
            raise EditError(_SEVERAL)
        if done := _DO.search(body):
            verb = _THIRD.get(done[2].lower(), "") if done[1].lower() == "does" else done[2]
            if not verb or done[1].lower() == "did":
                raise EditError(_WORDING)
            return body[: done.start()] + verb + body[done.end() :]
        if not (cue := _NOT.search(body)):
            raise EditError(_WORDING)
        return body[: cue.start()] + body[cue.end() :]
    raise EditError(f"it denies by the word \u201c{cues[0]}\u201d, which has no plain opposite")


def _denied(body: str) -> str:
    """Return the denial of a statement."""
    if _HEDGES.search(body):
        raise EditError("it leaves the question open, so there is nothing to deny")
    if "," in body or _SCOPE.search(body):
        raise EditError(_SEVERAL)
    if there := _THERE.match(body):
        if _AND.search(body) or len(_VERBS.findall(body)) > 1:
            raise EditError(_SEVERAL)
        return f"{there[1]}no {body[there.end() :]}"
    verbs = list(_VERBS.finditer(body))
    if len(verbs) > 1:
        raise EditError(_SEVERAL)
    joined = _AND.search(_SIZE_AND.sub("size", body), verbs[0].end() if verbs else 0)
    if verbs:
        subject = body[: verbs[0].start()].strip()
        some = _INDEFINITE.match(body)
        if joined or (some and _AND.search(subject)):
            raise EditError(_SEVERAL)
        if some:
            return "no " + body[some.end() :]
        named = all(map(_PHRASE.fullmatch, re.split(r"\s+or\s+", subject)))
        if named and _EXISTS.match(body, verbs[0].end()):
            return "no " + _lowered(body)
        return _verb_denied(body, verbs[0])
    if (state := _STATE.search(body)) and state.start() and not _INDEFINITE.match(body):
        if _AND.search(state[0]):
            raise EditError(_SEVERAL)
        return f"{body[: state.start()]}not {state[0]}"
    if joined:
        raise EditError(_SEVERAL)
    if kind := _NORMAL.match(body):
        return ("normal " if kind[1] else "abnormal ") + body[kind.end() :]
    if _PHRASE.fullmatch(body):
        some = _INDEFINITE.match(body)
        return "no " + _lowered(body[some.end() :] if some else body)
    raise EditError(_WORDING)


def _verb_denied(body: str, verb: re.Match[str]) -> str:
    word, before, after = verb[0].lower(), body[: verb.start()], body[verb.end() :]
    if not before.strip() or re.search(r"\b(?:there|and)\s*\Z|\Aand\b", before, re.IGNORECASE):
        raise EditError(_WORDING)
    if word in _AUXILIARIES.split() or (word in ("has", "have") and re.match(r"\s+been\b", after)):
        return f"{before}{verb[0]} not{after}"
    if word in _BASE:
        return f"{before}does not {_BASE[word]}{after}"
    return f"{before}do not {word}{after}"


def _lowered(words: str) -> str:
    """Return words that no longer open their sentence; an abbreviation keeps its capitals."""
    first = words.split(maxsplit=1)[0]
    return words if first[1:] != first[1:].lower() or first.isupper() else words[0].lower() + words[1:]
