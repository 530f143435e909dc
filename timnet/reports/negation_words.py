"""The words of denials: cues, verbs, heads and modifiers, and the patterns made of them."""

from __future__ import annotations

import re


def _either(words: str) -> str:
    return "|".join(word.replace("_", r"\s+") for word in words.split())


LABEL = re.compile(
    r"\s*(?:\(?\d{1,2}[.)]\s+|[-*•–]\s+)?(?:[A-Z][A-Za-z ]{1,30}:\s+|(?:Specifically|Again|Otherwise),\s+)?"
)
STOP = re.compile(r"[\s.!]*\Z")
CUES = re.compile(
    rf"\b(?:{_either('no_longer no_more no_less no_doubt no_sooner no not nor neither none nothing nowhere')}"
    rf"|{_either('never without cannot absent absence excluded lack lacks lacking devoid fails failed')}"
    r"|hardly|barely|scarcely|negative for|negative|free of|free from|ruled? out)\b|\w+n['\u2019]t\b",
    re.IGNORECASE,
)
OPEN = re.compile(
    rf"\b(?:{_either('may might perhaps possible possibly probable probably likely unlikely necessarily')}"
    r")\b",
    re.IGNORECASE,
)
"""Hedges that leave a denial as open as the statement: `may not be` denies nothing that `may be` says."""
ONLY_DENIED = re.compile(
    rf"\b(?:{_either('anymore any_more any_longer anything anywhere at_all either ever until')})\b"
    r"|\bnot (?:only|just|merely|even|until|because|to mention)\b",
    re.IGNORECASE,
)
"""Words that need the denial beside them, or turn it into something else."""
CONTRACTED = re.compile(
    r"\b(is|are|was|were|do|does|did|has|have|had|could|would)n['\u2019]t\b", re.IGNORECASE
)
HEDGES = re.compile(
    rf"\b(?:{_either('may might could can would perhaps presumably presumed possible possibly probable')}"
    rf"|{_either('probably likely unlikely questionable question equivocal versus vs suspected suspicious')}"
    rf"|{_either('concerning concern suspicion suggest suggests suggesting suggestive')})\b",
    re.IGNORECASE,
)
ADVICE = re.compile(
    rf"\b(?:{_either('recommend recommends recommended recommendation advised should correlate correlation')}"
    r"|follow-?\s?up)\b",
    re.IGNORECASE,
)
TECHNIQUE = re.compile(r"\b(?:views?|radiographs?|examination|exam|study|technique)\b", re.IGNORECASE)
JOINS = re.compile(
    rf"[;:(]|\b(?:{_either('but with however although though while whereas except which that who because')}"
    rf"|{_either('since otherwise elsewhere as_well_as other_than due_to secondary_to')}"
    rf"|{_either('consistent_with compatible_with if when where what whether unless rather instead')})\b",
    re.IGNORECASE,
)
SCOPE = re.compile(
    r"\b(?:both|all|each|every|either|only|most|entire|(?<!a )few|fewer|little)\b", re.IGNORECASE
)
DEGREE = re.compile(
    rf"\b(?:{_either('still already yet almost nearly quite mostly largely partly partially mainly even')}"
    rf"|{_either('just incompletely predominantly essentially practically virtually')})\b",
    re.IGNORECASE,
)
"""Words that mean something else beside `not`: `is still seen` is denied by `is no longer seen`."""
AND = re.compile(r"\b(?:and|or)\b", re.IGNORECASE)


AUXILIARIES = "is are was were"
PERFECT = "has have had"
PARTICIPLE = re.compile(
    r"\s+((?:(?:now|since|also|again|further|not)\s+)*)(?:\w+ly\s+)*(?:been|become|grown|risen|fallen|gone|come"
    r"|shrunk|sunk|slid|lain|swung|arisen|crept|sprung|([\w-]+ed|shown|seen|taken|got|gotten|made|lost|begun|spread|broken|withdrawn|left|given|undergone"
    r"|swollen|healed|split|burst|torn|bent))\b(?=\s*(\w*))",
    re.IGNORECASE,
)
"""After `has`: an auxiliary's participle, or an adjective before its noun (`has increased markings`)."""
AFTER_PARTICIPLE = re.compile(
    r"|a|an|the|its|their|this|in|on|at|by|to|from|since|into|over|along|within|after|during|for|with"
    r"|between|beyond|compared|again|now|further|slightly|markedly|somewhat|completely|significantly|and|or|\w+ly",
    re.IGNORECASE,
)
NO_SUBJECT = re.compile(
    rf"\A(?:{_either('in at on within along over behind near adjacent overlying above below beneath')}"
    rf"|{_either('under from to of with between again also now seen noted unchanged identified')}"
    rf"|{_either('visualized visualised present demonstrated evident redemonstrated incidentally included')}"
    r"|reidentified|today|here|and|nor|so)\b"
    rf"|\b(?:{_either('there and seen noted identified present visible evident demonstrated do does did')}"
    rf"|{_either('will would should shall must to be been being can could')})\s*\Z",
    re.IGNORECASE,
)
"""Words before a verb that are no subject: the order is turned, or another verb comes first."""
BASE = {
    "shows": "show", "demonstrates": "demonstrate", "reveals": "reveal", "appears": "appear",
    "remains": "remain", "terminates": "terminate", "ends": "end", "projects": "project",
    "measures": "measure", "overlies": "overlie", "extends": "extend", "contains": "contain",
    "persists": "persist", "lies": "lie", "reaches": "reach", "has": "have", "occupies": "occupy",
    "displaces": "displace", "crosses": "cross", "obscures": "obscure", "looks": "look", "seems": "seem",
    "stays": "stay",
}  # fmt: skip
THIRD = {base: verb for verb, base in BASE.items()}
VERBS = re.compile(rf"\b(?:{_either(AUXILIARIES)}|had|{'|'.join([*BASE, *THIRD])})\b", re.IGNORECASE)
ANY = r"(?:a few|an?|some|several|multiple|numerous|few|two|three|many)"
THERE = re.compile(
    rf"(there\s+(?:is|are|was|were)\s+(?:(?:also|again|now|still)\s+)?)(?:{ANY}\s+)?(?!(?:the|this)\b)",
    re.IGNORECASE,
)
AMOUNT = re.compile(
    rf"(?:{_either('more less fewer at_least at_most up_to about approximately over under enough')})\b",
    re.IGNORECASE,
)
"""Words that `no` turns into something else: `there is no more effusion` says that it is gone."""
INDEFINITE = re.compile(rf"{ANY}\s+", re.IGNORECASE)
STATE = re.compile(
    r"(?<![\w-])((?:\w+ly\s+|again\s+|now\s+)*(?:within normal limits|normal|unremarkable|clear|intact|stable"
    r"|enlarged|midline|seen|noted|identified|present|visualized|visualised)(?:\s+(?:in|bilaterally)\b[^,]*)?)\Z",
    re.IGNORECASE,
)
NORMAL = re.compile(r"(ab)?normal\s+(?=[a-z])", re.IGNORECASE)
HEADS = (
    r"effusions?|pneumothora(?:x|ces)|consolidations?|opacit(?:y|ies)|opacifications?|edema|oedema"
    r"|cardiomegaly|atelectasis|atelectases|nodules?|mass(?:es)?|fractures?|infiltrates?|pneumonia|congestion"
    r"|emphysema|fibrosis|scarring|scars?|thickening|hyperinflation|scoliosis|hernia|lesions?|adenopathy"
    r"|lymphadenopathy|calcifications?|granulomas?|pneumomediastinum|pneumoperitoneum|cavit(?:y|ies)"
    r"|densit(?:y|ies)|enlargement|spondylosis|osteophytes?"
)
MODIFIERS = (
    r"small|moderate|moderately|large|tiny|trace|minimal|mild|mildly|severe|marked|extensive|subtle|faint|focal|"
    r"patchy|diffuse|hazy|streaky|linear|dense|confluent|multifocal|scattered|bilateral|left|right|left-sided|"
    r"right-sided|bibasilar|basilar|basal|bibasal|apical|biapical|upper|middle|lower|mid|lobe|lobar|lung|"
    r"zone|retrocardiac|perihilar|hilar|pulmonary|pleural|interstitial|alveolar|airspace|space|air|vascular|acute|"
    r"chronic|new|old|residual|persistent|increased|decreased|worsening|rib|ribs|clavicular|vertebral|loculated|"
    r"layering|subpleural|subsegmental|plate-like|platelike|discoid|calcified|noncalcified|rounded|solitary|"
    r"spiculated|mediastinal|hiatal|cardiac|thoracic|degenerative|displaced|nondisplaced|tension|reticular|nodular|"
    r"ground-glass|parenchymal|centrilobular|prominent|fairly|very|slight|slightly|significant|healing|healed"
)
PHRASE = re.compile(
    rf"(?:{ANY}\s+)?(?:(?:{MODIFIERS})\s+)*(?:{HEADS})"
    r"(?:\s+(?:in|of|at|within|along|near|on|over|to|overlying)\s[^,]*)?",
    re.IGNORECASE,
)
EXISTS = re.compile(
    r"\s+(?:again\s+|now\s+)?(?:seen|identified|noted|present|visuali[sz]ed|visible|evident|demonstrated|detected)\b",
    re.IGNORECASE,
)
SIZE_AND = re.compile(r"\bsize\s+and\s+\w+\Z", re.IGNORECASE)
LIST = re.compile(r"[^,]+(?:,\s+[^,]+)*,?\s+(?:or|nor)\s+[^,]+")
SENTENCE_OF_NO = re.compile(r"\bno\s+(?!longer\b|more\b)", re.IGNORECASE)
BEFORE_NO = re.compile(
    rf"(?:\A|\b(?:{_either(AUXILIARIES)}|{'|'.join([*BASE, *THIRD])}|been|also|again|now|still)\s+)\Z",
    re.IGNORECASE,
)
NOT = re.compile(r"\bnot\s+(?:yet\s+)?(?=\w)", re.IGNORECASE)
ANY_OF = re.compile(r"\bany\s+", re.IGNORECASE)
DO = re.compile(r"\b(do|does|did)\s+not\s+(\w+)", re.IGNORECASE)
