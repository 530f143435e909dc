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
_UNDECIDED = "it leaves the question open, so there is nothing to deny"


class EditError(TimnetError):
    """An edit that cannot be made honestly; the message says why, in words for a reader of the report."""


def _either(words: str) -> str:
    return "|".join(word.replace("_", r"\s+") for word in words.split())


_LABEL = re.compile(
    r"\s*(?:\(?\d{1,2}[.)]\s+|[-*•–]\s+)?(?:[A-Z][A-Za-z ]{1,30}:\s+|(?:Specifically|Again|Otherwise),\s+)?"
)
_STOP = re.compile(r"[\s.!]*\Z")
_CUES = re.compile(
    rf"\b(?:{_either('no_longer no_more no_less no_doubt no_sooner no not nor neither none nothing nowhere')}"
    rf"|{_either('never without cannot absent absence excluded lack lacks lacking devoid fails failed')}"
    r"|hardly|barely|scarcely|negative for|negative|free of|free from|ruled? out)\b|\w+n['\u2019]t\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    rf"\b(?:{_either('may might perhaps possible possibly probable probably likely unlikely necessarily')}"
    r")\b",
    re.IGNORECASE,
)
"""Hedges that leave a denial as open as the statement: `may not be` denies nothing that `may be` says."""
_ONLY_DENIED = re.compile(
    rf"\b(?:{_either('anymore any_more any_longer anything anywhere at_all either ever until')})\b"
    r"|\bnot (?:only|just|merely|even|until|because|to mention)\b",
    re.IGNORECASE,
)
"""Words that need the denial beside them, or turn it into something else."""
_CONTRACTED = re.compile(
    r"\b(is|are|was|were|do|does|did|has|have|had|could|would)n['\u2019]t\b", re.IGNORECASE
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
    rf"|{_either('consistent_with compatible_with if when where what whether unless rather instead')})\b",
    re.IGNORECASE,
)
_SCOPE = re.compile(
    r"\b(?:both|all|each|every|either|only|most|entire|(?<!a )few|fewer|little)\b", re.IGNORECASE
)
_DEGREE = re.compile(
    rf"\b(?:{_either('still already yet almost nearly quite mostly largely partly partially mainly even')}"
    rf"|{_either('just incompletely predominantly essentially practically virtually')})\b",
    re.IGNORECASE,
)
"""Words that mean something else beside `not`: `is still seen` is denied by `is no longer seen`."""
_AND = re.compile(r"\b(?:and|or)\b", re.IGNORECASE)

_AUXILIARIES = "is are was were"
_PERFECT = "has have had"
_PARTICIPLE = re.compile(
    r"\s+((?:(?:now|since|also|again|further|not)\s+)*)(?:\w+ly\s+)*(?:been|become|grown|risen|fallen|gone|come"
    r"|shrunk|([\w-]+ed|shown|seen|taken|got|gotten|made|lost|begun|spread|broken|withdrawn|left|given|undergone"
    r"|swollen|healed))\b(?=\s*(\w*))",
    re.IGNORECASE,
)
"""After `has`: an auxiliary's participle, or an adjective before its noun (`has increased markings`)."""
_AFTER_PARTICIPLE = re.compile(
    r"|a|an|the|its|their|this|in|on|at|by|to|from|since|into|over|along|within|after|during|for|with"
    r"|between|beyond|compared|again|now|further|slightly|markedly|somewhat|completely|significantly|and|or|\w+ly",
    re.IGNORECASE,
)
_NO_SUBJECT = re.compile(
    rf"\A(?:{_either('in at on within along over behind near adjacent overlying above below beneath')}"
    rf"|{_either('under from to of with between again also now seen noted unchanged identified')}"
    rf"|{_either('visualized visualised present demonstrated evident redemonstrated incidentally included')}"
    r"|reidentified|today|here|and|nor|so)\b"
    rf"|\b(?:{_either('there and seen noted identified present visible evident demonstrated do does did')}"
    rf"|{_either('will would should shall must to be been being can could')})\s*\Z",
    re.IGNORECASE,
)
"""Words before a verb that are no subject: the order is turned, or another verb comes first."""
_BASE = {
    "shows": "show", "demonstrates": "demonstrate", "reveals": "reveal", "appears": "appear",
    "remains": "remain", "terminates": "terminate", "ends": "end", "projects": "project",
    "measures": "measure", "overlies": "overlie", "extends": "extend", "contains": "contain",
    "persists": "persist", "lies": "lie", "reaches": "reach", "has": "have", "occupies": "occupy",
    "displaces": "displace", "crosses": "cross", "obscures": "obscure", "looks": "look", "seems": "seem",
    "stays": "stay",
}  # fmt: skip
_THIRD = {base: verb for verb, base in _BASE.items()}
_VERBS = re.compile(rf"\b(?:{_either(_AUXILIARIES)}|had|{'|'.join([*_BASE, *_THIRD])})\b", re.IGNORECASE)
_ANY = r"(?:a few|an?|some|several|multiple|numerous|few|two|three|many)"
_THERE = re.compile(
    rf"(there\s+(?:is|are|was|were)\s+(?:(?:also|again|now|still)\s+)?)(?:{_ANY}\s+)?(?!(?:the|this)\b)",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    rf"(?:{_either('more less fewer at_least at_most up_to about approximately over under enough')})\b",
    re.IGNORECASE,
)
"""Words that `no` turns into something else: `there is no more effusion` says that it is gone."""
_INDEFINITE = re.compile(rf"{_ANY}\s+", re.IGNORECASE)
_STATE = re.compile(
    r"(?<![\w-])((?:\w+ly\s+|again\s+|now\s+)*(?:within normal limits|normal|unremarkable|clear|intact|stable"
    r"|enlarged|midline|seen|noted|identified|present|visualized|visualised)(?:\s+(?:in|bilaterally)\b[^,]*)?)\Z",
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
_NOT = re.compile(r"\bnot\s+(?:yet\s+)?(?=\w)", re.IGNORECASE)
_ANY_OF = re.compile(r"\bany\s+", re.IGNORECASE)
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
    body = _CONTRACTED.sub(r"\1 not", sentence[start:stop])
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
    cues = [" ".join(cue[0].lower().split()) for cue in _CUES.finditer(body)]
    if cues != ["nor"]:  # beside another word of denial it means `or`
        cues = [cue for cue in cues if cue != "nor"]
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
    if cues[0] in ("no", "not") and _OPEN.search(body):
        raise EditError(_UNDECIDED)
    if _ONLY_DENIED.search(body):
        raise EditError(_WORDING)
    if re.search(r"\band\b", body, re.IGNORECASE) or len(_VERBS.findall(body)) > 1:
        raise EditError(_SEVERAL)
    if cues[0] == "no" and (cue := _SENTENCE_OF_NO.search(body)):
        rest = body[cue.end() :]
        if "," in rest and not _LIST.fullmatch(rest):
            raise EditError(_SEVERAL)
        if not _BEFORE_NO.search(body[: cue.start()]):
            raise EditError(_WORDING)
        return body[: cue.start()] + re.sub(r"\bnor\b", "or", _ANY_OF.sub("", rest))
    if cues[0] == "not":
        if "," in body:
            raise EditError(_SEVERAL)
        if done := _DO.search(body):
            verb = _THIRD.get(done[2].lower(), "") if done[1].lower() == "does" else done[2]
            if not verb or done[1].lower() == "did":
                raise EditError(_WORDING)
            return body[: done.start()] + verb + _ANY_OF.sub("", body[done.end() :])
        if not (cue := _NOT.search(body)):
            raise EditError(_WORDING)
        return body[: cue.start()] + _ANY_OF.sub("", body[cue.end() :])
    raise EditError(f"it denies by the word \u201c{cues[0]}\u201d, which has no plain opposite")


def _denied(body: str) -> str:
    """Return the denial of a statement."""
    if _HEDGES.search(body):
        raise EditError(_UNDECIDED)
    if _DEGREE.search(body):
        raise EditError(_WORDING)
    if "," in body or _SCOPE.search(body):
        raise EditError(_SEVERAL)
    if there := _THERE.match(body):
        if _AMOUNT.match(body, there.end()):
            raise EditError(_WORDING)
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
        exists = _EXISTS.match(body, verbs[0].end())
        if joined or (some and _AND.search(subject)) or (exists and re.search(r"\band\b", subject)):
            raise EditError(_SEVERAL)
        if some:
            return "no " + body[some.end() :]
        named = all(map(_PHRASE.fullmatch, re.split(r"\s+or\s+", subject)))
        if named and exists:
            return "no " + _lowered(body)
        return _verb_denied(body, verbs[0])
    if (state := _STATE.search(body)) and state.start() and not _INDEFINITE.match(body):
        if re.search(r"(?:ed|became|very|more|less|too|not)\s+\Z", body[: state.start()], re.IGNORECASE):
            raise EditError(_WORDING)
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
    if not before.strip() or not after.strip() or _NO_SUBJECT.search(before.strip()):
        raise EditError(_WORDING)
    if word in _AUXILIARIES.split():
        return f"{before}{verb[0]} not{after}"
    if word in _PERFECT.split() and (participle := _PARTICIPLE.match(after)):
        if participle[1] or (participle[2] and not _AFTER_PARTICIPLE.fullmatch(participle[3])):
            raise EditError(_WORDING)
        return f"{before}{verb[0]} not{after}"
    if word in _PERFECT.split() and re.match(
        r"\s+(?:to|now|also|again|since|better|long)\b", after, re.IGNORECASE
    ):
        raise EditError(_WORDING)
    if word == "had":
        return f"{before}did not have{after}"
    if word in _BASE:
        return f"{before}does not {_BASE[word]}{after}"
    return f"{before}do not {word}{after}"


def _lowered(words: str) -> str:
    """Return words that no longer open their sentence; an abbreviation keeps its capitals."""
    first = words.split(maxsplit=1)[0]
    return words if first[1:] != first[1:].lower() or first.isupper() else words[0].lower() + words[1:]
