"""The denial of one sentence of a report: a `no` or `not` put in or taken out, as reports write it.

Owns the rules, and refuses with a reason wherever a word more or less would not make the sentence's exact
denial: several statements at once, hedges, advice, denials in other words, wording without a rule. Changes as
few words as English allows, so that what changes in a match comes of the denial alone.
"""

from __future__ import annotations

import re

from timnet.errors import TimnetError
from timnet.reports.negation_words import (
    ADVICE,
    AFTER_PARTICIPLE,
    AMOUNT,
    AND,
    ANY_OF,
    AUXILIARIES,
    BASE,
    BEFORE_NO,
    CONTRACTED,
    CUES,
    DEGREE,
    DO,
    EXISTS,
    HEDGES,
    INDEFINITE,
    JOINS,
    LABEL,
    LIST,
    NO_SUBJECT,
    NORMAL,
    NOT,
    ONLY_DENIED,
    OPEN,
    PARTICIPLE,
    PERFECT,
    PHRASE,
    SCOPE,
    SENTENCE_OF_NO,
    SIZE_AND,
    STATE,
    STOP,
    TECHNIQUE,
    THERE,
    THIRD,
    VERBS,
)

LONGEST = 600
"""Characters of a sentence beyond which no rule is tried."""
_SEVERAL = "it says several things at once, and its denial could mean any of them"
_WORDING = "no rule fits its wording"
_UNDECIDED = "it leaves the question open, so there is nothing to deny"


class EditError(TimnetError):
    """An edit that cannot be made honestly; the message says why, in words for a reader of the report."""


def negated(sentence: str) -> str:
    """Return the denial of a sentence: `No` taken out where it denies, put in where it states.

    Raises:
        EditError: the sentence has no denial that one word more or less makes; the message says why.
    """
    if len(sentence) > LONGEST:
        raise EditError("it is too long for one statement")
    start = LABEL.match(sentence).end()  # type: ignore[union-attr]
    stop = STOP.search(sentence, start).start()  # type: ignore[union-attr]
    body = CONTRACTED.sub(r"\1 not", sentence[start:stop])
    if not re.search(r"[A-Za-z]", body):
        raise EditError("it holds no words")
    if sentence.rstrip().endswith("?"):
        raise EditError("it is a question")
    if ADVICE.search(body):
        raise EditError("it advises, and states nothing of the film")
    if TECHNIQUE.search(body):
        raise EditError("it tells how or when the film was taken, or compares it")
    if JOINS.search(body):
        raise EditError(_SEVERAL)
    cues = [" ".join(cue[0].lower().split()) for cue in CUES.finditer(body)]
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
    if cues[0] in ("no", "not") and OPEN.search(body):
        raise EditError(_UNDECIDED)
    if ONLY_DENIED.search(body):
        raise EditError(_WORDING)
    if re.search(r"\band\b", body, re.IGNORECASE) or len(VERBS.findall(body)) > 1:
        raise EditError(_SEVERAL)
    if cues[0] == "no" and (cue := SENTENCE_OF_NO.search(body)):
        rest = body[cue.end() :]
        if "," in rest and not LIST.fullmatch(rest):
            raise EditError(_SEVERAL)
        if not BEFORE_NO.search(body[: cue.start()]):
            raise EditError(_WORDING)
        return body[: cue.start()] + re.sub(r"\bnor\b", "or", ANY_OF.sub("", rest))
    if cues[0] == "not":
        if "," in body:
            raise EditError(_SEVERAL)
        if done := DO.search(body):
            verb = THIRD.get(done[2].lower(), "") if done[1].lower() == "does" else done[2]
            if not verb or done[1].lower() == "did":
                raise EditError(_WORDING)
            return body[: done.start()] + verb + ANY_OF.sub("", body[done.end() :])
        if not (cue := NOT.search(body)):
            raise EditError(_WORDING)
        return body[: cue.start()] + ANY_OF.sub("", body[cue.end() :])
    raise EditError(f"it denies by the word \u201c{cues[0]}\u201d, which has no plain opposite")


def _denied(body: str) -> str:
    """Return the denial of a statement."""
    if HEDGES.search(body):
        raise EditError(_UNDECIDED)
    if DEGREE.search(body):
        raise EditError(_WORDING)
    if "," in body or SCOPE.search(body):
        raise EditError(_SEVERAL)
    if there := THERE.match(body):
        if AMOUNT.match(body, there.end()):
            raise EditError(_WORDING)
        if AND.search(body) or len(VERBS.findall(body)) > 1:
            raise EditError(_SEVERAL)
        return f"{there[1]}no {body[there.end() :]}"
    verbs = list(VERBS.finditer(body))
    if len(verbs) > 1:
        raise EditError(_SEVERAL)
    joined = AND.search(SIZE_AND.sub("size", body), verbs[0].end() if verbs else 0)
    if verbs:
        subject = body[: verbs[0].start()].strip()
        some = INDEFINITE.match(body)
        exists = EXISTS.match(body, verbs[0].end())
        if joined or (some and AND.search(subject)) or (exists and re.search(r"\band\b", subject)):
            raise EditError(_SEVERAL)
        if some:
            return "no " + body[some.end() :]
        named = all(map(PHRASE.fullmatch, re.split(r"\s+or\s+", subject)))
        if named and exists:
            return "no " + _lowered(body)
        return _verb_denied(body, verbs[0])
    if (state := STATE.search(body)) and state.start() and not INDEFINITE.match(body):
        if re.search(r"(?:ed|became|very|more|less|too|not)\s+\Z", body[: state.start()], re.IGNORECASE):
            raise EditError(_WORDING)
        if AND.search(state[0]):
            raise EditError(_SEVERAL)
        return f"{body[: state.start()]}not {state[0]}"
    if joined:
        raise EditError(_SEVERAL)
    if kind := NORMAL.match(body):
        return ("normal " if kind[1] else "abnormal ") + body[kind.end() :]
    if PHRASE.fullmatch(body):
        some = INDEFINITE.match(body)
        return "no " + _lowered(body[some.end() :] if some else body)
    raise EditError(_WORDING)


def _verb_denied(body: str, verb: re.Match[str]) -> str:
    word, before, after = verb[0].lower(), body[: verb.start()], body[verb.end() :]
    if not before.strip() or not after.strip() or NO_SUBJECT.search(before.strip()):
        raise EditError(_WORDING)
    if word in AUXILIARIES.split():
        return f"{before}{verb[0]} not{after}"
    if word in PERFECT.split() and (participle := PARTICIPLE.match(after)):
        if participle[1] or (participle[2] and not AFTER_PARTICIPLE.fullmatch(participle[3])):
            raise EditError(_WORDING)
        return f"{before}{verb[0]} not{after}"
    if word in PERFECT.split() and re.match(
        r"\s+(?:to|now|also|again|since|better|long)\b", after, re.IGNORECASE
    ):
        raise EditError(_WORDING)
    if word == "had":
        return f"{before}did not have{after}"
    if word in BASE:
        return f"{before}does not {BASE[word]}{after}"
    return f"{before}do not {word}{after}"


def _lowered(words: str) -> str:
    """Return words that no longer open their sentence; an abbreviation keeps its capitals."""
    first = words.split(maxsplit=1)[0]
    return words if first[1:] != first[1:].lower() or first.isupper() else words[0].lower() + words[1:]
