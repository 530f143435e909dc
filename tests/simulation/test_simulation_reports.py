"""Reports of simulated studies say their facts, read back by a small reader of clinical words."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest
from tokenizers import Tokenizer

from timnet.reports import edits
from timnet.reports import report_text as cohort_reports
from timnet.simulation import facts, frames, phrases, reports
from timnet.simulation.facts import Case, Finding
from timnet.simulation.frames import PHRASINGS

WORDS = {
    "pleural_effusion": r"effusions?\b|pleural fluid|(?<=space contains ).*fluid|spaces contain.*fluid"
    r"|fluid in the \w+ pleural",
    "consolidation": r"consolidat|airspace (opaci|disease)|pneumonia|infiltrate",
    "atelectasis": r"atelecta|collapse",
    "nodule": r"nodul",
    "mass": r"\bmass\b|\bmass-?like",
    "cardiomegaly": r"cardiomegaly|cardiac enlargement|enlargement of the (cardiac|heart)"
    r"|(heart|cardiac|cardiopericardial|cardiothoracic)[\w ]* (enlarged|increased|above|greater)"
    r"|(enlarged|increased) (heart|cardiac)",
    "edema": r"edema|congestion|kerley|fluid overload|venous hypertension|redistribution",
    "pneumothorax": r"pneumothora|pleural air",
    "emphysema": r"emphysem|\bcopd|chronic obstructive|hyperinflat",
    "fibrosis": r"fibro|interstitial lung disease|reticula|honeycomb",
    "fracture": r"fracture",
    "shift": r"shift|displac\w+ (to|the heart)|mediastinal displacement|tracheal deviation|\btension",
    "endotracheal_tube": r"endotracheal|\bett?\b",
    "enteric_tube": r"enteric|gastric tube|\b[no]g tube",
    "central_line": r"central (venous )?(line|catheter)",
    "pacemaker": r"pacemaker|pacing device",
    "sternotomy_wires": r"sternotomy|sternal wires",
    "surgical_clips": r"\bclips\b",
}
IN_LUNG = ("consolidation", "atelectasis", "nodule", "mass", "edema", "emphysema", "fibrosis")
ALL = (*IN_LUNG, "pleural_effusion", "pneumothorax", "cardiomegaly", "fracture")
REST = r"otherwise|elsewhere|remain(ing|der)|other|additional|further"
NORMAL_WORDS = {
    r"\blungs?\b.*\bclear\b|\bclear\b.*\blungs?\b|lung parenchyma is|without focal abnormality": IN_LUNG,
    r"(heart|cardi\w+).*\b(normal|unremarkable)|normal.*(heart|cardi(ac|omed))": ("cardiomegaly",),
    r"(mediastin\w+|trachea).*(normal|midline|unremarkable)|midline trachea|not shifted": ("shift",),
    r"costophrenic.*(sharp|clear)|sharp.*costophrenic": ("pleural_effusion",),
    r"(osseous|bony|bones).*(intact|unremarkable)|no acute (osseous|bony)": ("fracture",),
    r"(vascular\w*|vasculature|vessels|markings).*(normal|unremarkable)|normal.*vascularity": ("edema",),
    r"(no|negative for|of|for) (acute|active|significant) (cardio|intrathor|cardiac|chest|dis|proc|find)"
    r"|no acute (pulmonary|abnormality\.|abnormality in)|shows no acute|no acute findings": ALL,
    r"(normal|unremarkable|negative)[\w ()]* chest|chest(?! wall).*(normal|unremarkable|without abnorm)": ALL,
}
LEVELS = {
    "upper": r"\bupper\b",
    "mid": r"\bmid(dle)?\b",
    "lower": r"\blower\b|\bbas(e|al|ilar)\b|retrocardiac|behind",
}
PRIOR = (
    r"\bprior\b|previous|compar|unchanged|stable|(?<!short-)interval|since|similar|changed|creased from"
    r"|\bnew\b|___"
)


@dataclass
class Reading:
    """What a text says of one kind: sides affirmed and denied, and the sentences that affirm it."""

    sides: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    affirmed: list[str] = field(default_factory=list)


def said(text: str) -> dict[str, Reading]:
    """Read a text back, sentence by sentence: a mention behind `no` or `not` is a denial, others affirm."""
    readings: dict[str, Reading] = defaultdict(Reading)
    for sentence in cohort_reports.sentences(text):
        for clause in re.sub("^[A-Z ]+: ", "", sentence).lower().split(";"):
            own = re.sub(
                r"(shift|displac|deviat)[^,.]*? to the (left|right)|(left|right)ward", "shift", clause
            )
            sides = set(re.findall(r"\b(left|right)\b(?! atrium)", own))
            if re.search(r"bilateral|\bboth\b|each side", own):
                sides |= {"left", "right"}
            cue = re.search(r"\b(no|not|without|negative for)\b(?! excluded)", own)
            for kind, words in WORDS.items():
                for mention in re.finditer(words, own):
                    if cue and cue.start() < mention.end():
                        readings[kind].denied |= sides or {"left", "right"}
                    else:
                        readings[kind].affirmed.append(sentence.lower())
                        readings[kind].sides |= sides
            if not re.search(REST, own):
                for words, kinds in NORMAL_WORDS.items():
                    for kind in kinds if re.search(words, own) else ():
                        readings[kind].denied |= sides or {"left", "right"}
    return readings


def names(finding: Finding) -> str:
    return finding.variant if finding.kind == "support_devices" else finding.kind


def sides_of(findings: list[Finding]) -> set[str]:
    return set().union(*({"left", "right"} if f.side == "both" else {f.side} - {""} for f in findings))


def millimetres(text: str) -> set[float]:
    return {
        round(float(number) * (10 if unit == "cm" else 1), 1)
        for number, unit in re.findall(r"(?<!by )(?<!to )\b(\d+(?:\.\d)?) (mm|cm)\b", text)
    }


def level(place: str) -> str:
    return place.split()[0].removesuffix("dle")


def check(case: Case, text: str, complete: bool = True) -> None:
    """Hold a text against the facts; raise AssertionError on the first that is wrong, missing or made up."""
    text = " ".join(text.split())
    readings, by_name = said(text), defaultdict(list)
    for finding in case.findings:
        by_name[names(finding)].append(finding)
    banned = {name for name, reading in readings.items() if reading.affirmed} - by_name.keys() - {"shift"}
    assert not banned, banned
    for name, findings in by_name.items():
        reading, sides = readings[name], sides_of(findings)
        assert reading.affirmed or not complete, f"{name} is missing"
        if findings[0].kind in ("edema", "emphysema", "fibrosis"):
            assert reading.sides in (set(), sides), name
            assert not reading.denied, name
            continue
        assert reading.sides == sides or not complete, (name, reading.sides)
        assert reading.sides <= sides, name
        assert not (reading.denied & sides or (reading.denied and not sides)), (name, reading.denied)
        for sentence in reading.affirmed:
            assert not sides or re.search(r"left|right|bilateral|both|each side", sentence), sentence
        joined = " ".join(reading.affirmed)
        if name in ("consolidation", "atelectasis", "nodule", "mass"):
            spoken = {key for key, words in LEVELS.items() if re.search(words, joined)}
            assert spoken == {level(f.place) for f in findings} or not complete, (name, joined)
        if name in ("nodule", "mass", "endotracheal_tube") and reading.affirmed:
            assert millimetres(joined) == {findings[0].size_mm}, joined
    shifted = any(f.variant == "tension" or (f.variant == "lobar" and f.severity == 3) for f in case.findings)
    assert not readings["shift"].affirmed or shifted
    assert not readings["shift"].denied or not shifted
    for fracture in by_name["fracture"]:
        ribs = set(re.findall(r"(\d+th|\w+th) (?:left |right )?rib\b", text.lower()))
        expected = {f"{fracture.place}th", phrases.ORDINALS.get(fracture.place)}
        assert ribs <= expected
        if readings["fracture"].affirmed:
            assert (fracture.place == "clavicle") == bool(re.search("clavic", text.lower())) == (not ribs)
        told = " ".join(readings["fracture"].affirmed).replace("non-", "non")
        assert bool(re.search(r"\bdisplaced", told)) <= (fracture.variant == "displaced")
        assert ("nondisplaced" in told) <= (fracture.variant == "")
    for tube in by_name["endotracheal_tube"]:
        words = " ".join(readings["endotracheal_tube"].affirmed)
        if not words:
            continue
        is_low, is_high = tube.size_mm < 25, tube.size_mm > 60
        assert bool(re.search(r"\blow\b|low-|retract|withdraw|pulled", words)) == is_low
        assert bool(re.search(r"high-|\bhigh\b(?= position|,|;|\.| with)|advanc", words)) == is_high
        assert is_low + is_high + bool(re.search(r"tube.{0,30} (satisf|approp|good|adequate)", words)) < 2
    for kind, landmark in (("enteric_tube", "esophagus|esophageal"), ("central_line", "right atrium")):
        for device in by_name[kind]:
            is_there = bool(re.search(landmark, text.lower()))
            assert is_there == (device.place in ("esophagus", "right atrium")) or not complete, text


def drawn(seed: int, count: int, phrasing: str = "train") -> list[tuple[Case, str]]:
    rng = np.random.default_rng(seed)
    return [(case, reports.write(case, rng, phrasing)) for case in (facts.draw(rng) for _ in range(count))]


def one_of_each() -> list[Finding]:
    """Every kind of finding in every variant, side and severity that a draw brings."""
    rng = np.random.default_rng(5)
    found: dict[tuple[object, ...], Finding] = {}
    for _ in range(6000):
        for finding in facts.draw(rng).findings:
            key = (
                *dataclasses.astuple(finding)[:4],
                finding.variant,
                finding.size_mm < 25,
                finding.size_mm > 60,
            )
            found.setdefault(key, finding)
    return list(found.values())


DRAWN = {phrasing: drawn(7, 1500, phrasing) for phrasing in PHRASINGS}
EVERY = one_of_each()


def test_reader_reads_hand_written_reports() -> None:
    text = "Small right effusion. No pneumothorax. Heart is not enlarged. The left lung is clear."
    readings = said(text)
    assert readings["pleural_effusion"].sides == {"right"}
    assert readings["pneumothorax"].denied and not readings["pneumothorax"].affirmed
    assert readings["cardiomegaly"].denied and readings["consolidation"].denied == {"left"}
    assert said("Large left pneumothorax with mediastinal shift to the right.")["pneumothorax"].sides == {
        "left"
    }


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_findings_hold_every_fact_and_no_other(phrasing: str) -> None:
    for case, text in DRAWN[phrasing]:
        found = cohort_reports.findings(text)
        assert found, text
        try:
            check(case, found)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{case}\n{text}") from error


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_impression_contradicts_no_fact(phrasing: str) -> None:
    for case, text in DRAWN[phrasing]:
        bodies = cohort_reports.sections(text)
        told = bodies.get("impression", bodies.get("conclusion", ""))
        try:
            check(case, told, complete=False)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{case}\n{text}") from error


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_one_sentence_says_its_finding(phrasing: str) -> None:
    rng = np.random.default_rng(3)
    for finding in EVERY:
        for _ in range(12):
            text = reports.sentence(finding, rng, phrasing)
            check(Case(50, "PA", (finding,)), text)
            weak = re.search(
                r"\b(small|tiny|trace|mild\w*|minimal\w*|faint\w*|subtle|slight\w*)\b", text, re.I
            )
            strong = re.search(
                r"\b(large|severe\w*|marked\w*|extensive\w*|frank|florid|sizable)\b", text, re.I
            )
            if finding.kind not in ("support_devices", "nodule", "mass"):
                assert not (weak and finding.severity > 1 and finding.variant != "linear"), text
                assert not (strong and finding.severity < 3), text


def test_reader_finds_a_mirrored_report_wrong() -> None:
    sided = [
        (case, text)
        for case, text in DRAWN["train"]
        if any(f.side in facts.SIDES for f in case.findings)
        and sides_of(list(case.findings)) != {"left", "right"}
    ]
    assert len(sided) > 200
    for case, text in sided:
        with pytest.raises(AssertionError):
            check(case, cohort_reports.findings(edits.mirrored(text)))


def test_what_a_denied_sentence_says_is_read_as_denied_and_the_other_way_round() -> None:
    rng = np.random.default_rng(9)
    turned = 0
    for finding in EVERY:
        for text in (reports.sentence(finding, rng) for _ in range(6)):
            try:
                denial = edits.negated(text)
            except edits.EditError:
                continue
            name = names(finding)
            # `said` reads a denial before the mention; behind it (`is not seen`) it is looked for here.
            behind = re.search(rf"({WORDS[name]}).*\b(is|are|was|were|does|do) not\b", denial, re.IGNORECASE)
            assert said(text)[name].affirmed, text
            assert behind or not said(denial)[name].affirmed, (text, denial)
            assert said(edits.negated(denial))[name].affirmed, (text, denial)
            turned += 1
    assert turned > 200


def test_mirroring_undoes_itself_on_every_report() -> None:
    for _, text in DRAWN["train"]:
        assert edits.mirrored(edits.mirrored(text)) == text


def test_view_and_comparison_match_the_case() -> None:
    views = 0
    for case, text in DRAWN["train"] + DRAWN["test"]:
        spoken = set(re.findall(r"\b(PA|AP)\b", text))
        views += bool(spoken)
        assert spoken <= {case.view}
        assert not (case.view == "PA" and re.search("portable|bedside", text, re.I))
        bodies = cohort_reports.sections(text)
        compared = bodies.get("comparison", bodies.get("comparisons"))
        if compared is not None:
            assert ("___" in compared) == case.prior
        told = cohort_reports.findings(text) + " " + bodies.get("impression", bodies.get("conclusion", ""))
        assert case.prior or not re.search(PRIOR, told, re.I), text
    assert views > 1000


def test_normal_text_denies_everything() -> None:
    rng = np.random.default_rng(0)
    for phrasing in PHRASINGS:
        for _ in range(200):
            text = reports.normal(rng, phrasing)
            readings = said(text)
            assert not any(reading.affirmed for reading in readings.values())
            assert all(readings[kind].denied for kind in ALL), text


def test_phrasings_share_no_sentence() -> None:
    spoken = {}
    for phrasing in PHRASINGS:
        rng = np.random.default_rng(11)
        lists = [[reports.sentence(finding, rng, phrasing) for _ in range(40)] for finding in EVERY]
        normals = [reports.normal(rng, phrasing) for _ in range(300)]
        full = [sentence for _, text in DRAWN[phrasing] for sentence in told_in(text)]
        spoken[phrasing] = {*(sentence for texts in lists for sentence in texts), *normals, *full}
    assert sorted(spoken["train"] & spoken["test"]) == []


def told_in(text: str) -> list[str]:
    bodies = cohort_reports.sections(text)
    told = [cohort_reports.findings(text), bodies.get("impression", bodies.get("conclusion", ""))]
    return [re.sub(r"^([A-Z ]+: |\d\. )", "", s) for body in told for s in cohort_reports.sentences(body)]


def test_every_bank_keeps_frames_for_either_phrasing() -> None:
    banks = {**phrases.FINDINGS, **phrases.NORMALS, **phrases.ADVICE}
    banks |= {"steady": phrases.STEADY, "changed": phrases.CHANGED, "views": phrases.VIEWS}
    for name, bank in banks.items():
        assert len(set(bank)) == len(bank), name
        train, test = (frames.frames(bank, phrasing) for phrasing in PHRASINGS)
        assert len(test) >= 2 and len(train) > len(test) and sorted([*train, *test]) == sorted(bank), name
    with pytest.raises(ValueError, match="phrasing"):
        frames.frames(phrases.STEADY, "valid")


def test_one_finding_is_said_in_many_ways() -> None:
    rng = np.random.default_rng(2)
    for finding in EVERY:
        ways = {reports.sentence(finding, rng) for _ in range(200)}
        assert len(ways) >= (8 if finding.kind == "support_devices" else 12), finding


def test_lengths_are_those_of_real_reports_with_a_tail() -> None:
    texts = [text for _, text in drawn(13, 2000)]
    tokenizer = Tokenizer.from_file("assets/text-encoder/tokenizer.json")
    tokenizer.no_truncation()
    tokens = np.array([len(encoded.ids) for encoded in tokenizer.encode_batch(texts)])
    assert 50 <= np.median([len(text.split()) for text in texts]) <= 60
    assert 0.01 <= np.mean(tokens > 256) <= 0.03


def test_reports_differ_and_repeat_with_their_seed() -> None:
    texts = [text for _, text in drawn(13, 2000)]
    assert len(set(texts)) > 0.95 * len(texts)
    assert texts[:100] == [text for _, text in drawn(13, 100)]


def test_text_is_clean() -> None:
    for _, text in DRAWN["train"] + DRAWN["test"]:
        assert not re.search(r"[{}\[\]|]|  | [.,;:]|\.\.|,\.|\bnone\b(?!\.)(?! available)", text), text
        assert not re.search(r"\b(\w+) \1\b", text, re.I), text
        assert not re.search(r"\ba [aeio]|\ban [bcdfgjkpqtvwz]|\ba (11|18) |\ban (1[02-79]|[2-7]) ", text), (
            text
        )
        for sentence in told_in(text):
            assert re.match(r"[A-Z]", sentence), sentence
            assert sentence.endswith("."), sentence
