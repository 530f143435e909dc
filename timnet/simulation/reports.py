"""Free text for a simulated study: a radiologist's report that says the facts of a case and no others.

Owns what may be said together: a finding is named with its side, place and size, nothing present is denied,
and only an absent finding is. The words are in `phrases`; every fifth frame of a bank is kept for testing.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable

import numpy as np

from timnet.simulation import finding_words, phrases
from timnet.simulation.facts import Case, Finding
from timnet.simulation.frames import as_sentence, draw, listed, pick, spin

_TOPIC_OF = {
    "pleural_effusion": "pleura", "pneumothorax": "pleura", "cardiomegaly": "heart", "fracture": "bones",
    "support_devices": "devices",
}  # fmt: skip
_DIFFUSE = {"edema", "emphysema", "fibrosis"}
_FOCAL = {"consolidation", "atelectasis", "nodule", "mass"}
_PLEURAL = {"pleural_effusion", "pneumothorax"}
_LASTING = {"cardiomegaly", "emphysema", "fibrosis", "fracture", "support_devices"}
_LAYOUTS = {
    "full": 0.55, "labelled": 0.13, "findings": 0.1, "impression": 0.1, "plain": 0.07, "both": 0.05,
}  # fmt: skip
_WORDINESS = {0.15: 0.18, 0.45: 0.42, 0.75: 0.31, 1.0: 0.09}
"""Chance that a thing which may be said is said, and how often a report is so wordy."""


def sentence(finding: Finding, rng: np.random.Generator, phrasing: str = "train") -> str:
    """Say one finding in one sentence."""
    return as_sentence(finding_words.said([finding], rng, phrasing))


def normal(rng: np.random.Generator, phrasing: str = "train") -> str:
    """Say in one sentence that nothing is there."""
    return as_sentence(draw(phrases.NORMALS["normal" if rng.random() < 0.35 else "nothing"], rng, phrasing))


def write(case: Case, rng: np.random.Generator, phrasing: str = "train") -> str:
    """Write the report of a case.

    Args:
        case: the facts; everything in it is named, in what `reports.report_text.findings` reads at the least.
        phrasing: "train" or "test", which share no sentence frame for findings and for what is normal.
    """
    layout = str(rng.choice(list(_LAYOUTS), p=list(_LAYOUTS.values())))
    wordiness = float(rng.choice(list(_WORDINESS), p=list(_WORDINESS.values())))
    if wordiness == 1 and layout != "labelled":
        layout = "full"
    body = _body(case, rng, phrasing, wordiness, labelled=layout == "labelled")
    if layout == "plain":
        extra = _impression(case, rng, phrasing, wordiness) if rng.random() < 0.4 else []
        return " ".join([body, *extra])
    parts = []
    if rng.random() < 0.3 + 0.6 * wordiness:
        parts.append(("technique", f"{pick(phrases.TECHNIQUES[case.view], rng)}."))
    if rng.random() < 0.75:
        parts.insert(
            int(rng.integers(len(parts) + 1)), ("history", _history(case, rng, 4 if wordiness == 1 else 1))
        )
    if rng.random() < 0.75:
        parts.append(("comparison", pick(phrases.COMPARISONS["later" if case.prior else "first"], rng)))
    parts.append((layout if layout in ("impression", "both") else "findings", body))
    if layout in ("full", "labelled"):
        conclusions = _impression(case, rng, phrasing, wordiness)
        numbered = len(conclusions) > 1 and rng.random() < 0.4
        conclusion = "\n".join(f"{number}. {said}" for number, said in enumerate(conclusions, 1))
        conclusion = conclusion if numbered else " ".join(conclusions)
        signed = [as_sentence(draw(phrases.SIGNATURES, rng, phrasing))] if wordiness == 1 else []
        parts.append(("impression", "\n".join([conclusion, *signed])))
    return _laid_out(parts, rng)


def _laid_out(parts: Iterable[tuple[str, str]], rng: np.random.Generator) -> str:
    upper, below, wrap, one_line = rng.random(4) < (0.8, 0.25, 0.25, 0.1)
    texts = []
    for name, body in parts:
        header = pick(phrases.HEADERS[name], rng)
        header = header if upper else header.capitalize()
        text = f"{header}:{chr(10) if below and name in ('findings', 'impression', 'both') else ' '}{body}"
        lines = (
            textwrap.wrap(line, 79, break_on_hyphens=False) if wrap else [line] for line in text.splitlines()
        )
        texts.append("\n".join(line for group in lines for line in group))
    if one_line and upper:
        return " ".join(" ".join(texts).split())
    return ("\n\n" if below or rng.random() < 0.3 else "\n").join(texts)


def _history(case: Case, rng: np.random.Generator, length: int) -> str:
    age = str(case.age) if case.age < 90 and rng.random() < 0.6 else "___"
    first, second = (str(complaint) for complaint in rng.choice(phrases.COMPLAINTS, 2, replace=False))
    reason = pick(phrases.REASONS, rng).format(complaint=second)
    days = str(rng.integers(2, 15))
    opening = pick(phrases.HISTORIES, rng).format(complaint=first, age=age, days=days, reason=reason)
    courses = rng.choice(phrases.COURSES, length - 1, replace=False)
    return " ".join(
        as_sentence(said) for said in (opening, *(c.format(complaint=second, days=days) for c in courses))
    )


def _body(case: Case, rng: np.random.Generator, phrasing: str, wordiness: float, labelled: bool) -> str:
    """Say every finding and some of what is normal, topic by topic."""
    said: dict[str, list[str]] = {topic: [] for topic in phrases.TOPICS}
    led = labelled
    for group in _grouped(case.findings, rng):
        kind = group[0].kind
        is_device = kind == "support_devices"
        words, change = finding_words.said(group, rng, phrasing), []
        moved = kind not in _LASTING and rng.random() < 0.4
        if case.prior and rng.random() < 0.45:
            if not led and _VERB.search(words) and rng.random() < 0.6:
                words, led = pick(phrases.LEADS, rng) + words, True
            elif not is_device and not re.search("[,;]", words) and rng.random() < 0.5:
                words += spin(pick(phrases.CHANGED_TAILS if moved else phrases.TAILS, rng), rng)
            elif not is_device:
                change = [as_sentence(draw(phrases.CHANGED if moved else phrases.STEADY, rng, phrasing))]
        again = []
        if wordiness == 1 and not is_device:
            # Twice, in other words: the longest draw that opens differently, if there is one.
            draws = [finding_words.said(group, rng, phrasing) for _ in range(4)]
            others = [draw for draw in draws if draw[:12] != words[:12]]
            again = [as_sentence(max(others or draws, key=len))]
        said[_TOPIC_OF.get(kind, "lungs")] += [as_sentence(words), *again, *change]
    _add_normals(said, case, rng, phrasing, wordiness, labelled)

    first, last = ("heart" if rng.random() < 0.3 else ""), ("devices" if rng.random() < 0.4 else "")
    order = sorted(filter(said.get, said), key=lambda topic: (topic == last, topic != first))
    if labelled:
        return "\n".join(f"{pick(phrases.TOPICS[topic], rng)}: {' '.join(said[topic])}" for topic in order)
    opening = []
    if rng.random() < 0.05 + 0.15 * wordiness:
        opening = [as_sentence(draw(phrases.VIEWS, rng, phrasing, view=case.view))]
    return " ".join([*opening, *(text for topic in order for text in said[topic])])


def _impression(case: Case, rng: np.random.Generator, phrasing: str, wordiness: float) -> list[str]:
    """Sum up what counts, the findings in the order of the case and then devices that lie badly."""
    found = [finding for finding in case.findings if finding.kind != "support_devices"]
    misplaced = [finding for finding in case.findings if finding_words.bank(finding) in _MISPLACED]
    lines = []
    if not found:
        nothing = "nothing" if case.findings or rng.random() < 0.65 else "normal"
        words = draw(phrases.NORMALS[nothing], rng, phrasing)
        lines.append(
            as_sentence(pick(phrases.LEADS, rng) + words if case.prior and rng.random() < 0.2 else words)
        )
    for group in _grouped([*found, *misplaced], rng):
        briefest = sorted((finding_words.said(group, rng, phrasing) for _ in range(3)), key=len)
        lines.append(as_sentence(briefest[2 if wordiness == 1 else 0]))
        if group[0].kind in _ADVISED and rng.random() < 0.15 + 0.4 * wordiness:
            lines.append(as_sentence(draw(phrases.ADVICE[_ADVISED[group[0].kind]], rng, phrasing)))
    if found and rng.random() < 0.1 + 0.3 * wordiness:
        lines.append(as_sentence(draw(phrases.NORMALS["nothing else"], rng, phrasing)))
    return list(dict.fromkeys(lines))


def _add_normals(
    said: dict[str, list[str]],
    case: Case,
    rng: np.random.Generator,
    phrasing: str,
    wordiness: float,
    labelled: bool,
) -> None:
    """Add what is normal and what is absent, as far as the findings leave room for it."""
    kinds = {finding.kind for finding in case.findings}
    banks = {finding_words.bank(finding) for finding in case.findings}
    focal, pleural, diffuse = kinds & _FOCAL, kinds & _PLEURAL, kinds & _DIFFUSE
    large = any(finding.kind in _PLEURAL and finding.severity == 3 for finding in case.findings)
    collapsed = "lobar atelectasis" in banks
    is_shifted = collapsed or large
    sides = {finding.side for finding in case.findings if finding.kind in _FOCAL | _PLEURAL}
    at_base = any(finding.place in ("lower lobe", "lower zone") for finding in case.findings)

    def say(topic: str, bank: str, chance: float, **slots: str) -> None:
        if rng.random() < chance or wordiness == 1:
            said[topic].append(as_sentence(draw(phrases.NORMALS[bank], rng, phrasing, **slots)))

    often = 0.25 + 0.75 * wordiness
    if not focal | pleural | diffuse:
        say("lungs", "lungs", often + 0.2)
    elif not diffuse and len(sides) == 1 and "both" not in sides and rng.random() < 0.5:
        say("lungs", "one lung", often, clear="left" if sides == {"right"} else "right")
    elif focal and not diffuse and not large:
        say("lungs", "other places", 0.6 * often)
    if not diffuse and not is_shifted:
        say("lungs", "vessels", 0.6 * wordiness**2)
    if kinds.isdisjoint(_PLEURAL) and not at_base:
        say("pleura", "pleura", 0.5 * wordiness)
    if "cardiomegaly" not in kinds:
        if is_shifted or rng.random() < 0.6:
            say("heart", "heart", often)
        else:
            say("mediastinum", "heart and mediastinum", often)
    if not is_shifted and not said["mediastinum"]:
        say("mediastinum", "mediastinum", 0.7 * wordiness)
    if not is_shifted and "pneumothorax" in kinds:
        say("pleura", "no shift", 0.6 * often)
    if "fracture" not in kinds:
        say("bones", "bones", 0.8 * wordiness)
    if said["bones"] and "surgical clips" not in banks:
        say("bones", "soft tissue", 0.35 * wordiness**2)
    say("abdomen", "abdomen", 0.35 * wordiness)

    hidden = {
        "consolidation": collapsed or large or "mass" in kinds or "edema 3" in banks,
        "atelectasis": bool(pleural) or "consolidation" in kinds,
        "nodule": "mass" in kinds,
    }
    absent = [kind for kind in phrases.ABSENT if kind not in kinds and not hidden.get(kind)]
    _add_absent(say, absent, rng, wordiness, labelled)
    if not any(said.values()):
        said["lungs"].append(as_sentence(draw(phrases.NORMALS["nothing"], rng, phrasing)))


def _add_absent(
    say: Callable[..., None], kinds: list[str], rng: np.random.Generator, wordiness: float, labelled: bool
) -> None:
    """Deny some of the findings that are not there."""
    often = 0.25 + 0.75 * wordiness
    absent = [kind for kind in kinds if rng.random() < often * _DENIED[kind]]
    rng.shuffle(absent)
    split = {"pleura": absent}
    if labelled or rng.random() < 0.3:
        split = {}
        for kind in absent:
            split.setdefault(_TOPIC_OF.get(kind, "lungs"), []).append(kind)
    for topic, denied in split.items():
        at_once = 1 if wordiness == 1 else 3
        for start in range(0, len(denied), at_once):
            names = [spin(phrases.ABSENT[kind], rng) for kind in denied[start : start + at_once]]
            say(topic, "none of", 1.0, list=listed(names))


def _grouped(findings: Iterable[Finding], rng: np.random.Generator) -> list[list[Finding]]:
    """Put findings that keep company into one sentence now and then; a pair's bank is named by its first."""
    groups: list[list[Finding]] = []
    for finding in findings:
        together = [old for old in groups if len(old) == 1 and finding_words.pair(old[0], finding)]
        if together and rng.random() < 0.5:
            together[0].append(finding)
        else:
            groups.append([finding])
    return groups


_MISPLACED = ("low endotracheal tube", "high endotracheal tube", "enteric tube in esophagus")
_ADVISED = {
    "consolidation": "consolidation", "nodule": "nodule", "mass": "nodule", "pneumothorax": "pneumothorax",
}  # fmt: skip
_DENIED = {
    "consolidation": 0.8, "pleural_effusion": 1.0, "pneumothorax": 1.0, "edema": 0.4, "nodule": 0.12,
    "atelectasis": 0.06, "fracture": 0.12,
}  # fmt: skip
_VERB = re.compile(r"\b(is|are|shows?|measures|terminates|ends|appears|contains?)\b")
