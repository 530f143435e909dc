"""A Reading: what a checkpoint says of one film, in numbers and maps, and why it may not be believed.

Owns what is said of a film, wherever that is shown: evidence at the film's own pixels, the picture with a map
over it, and one object of numbers and of the findings' words. Made by `reader.Reader`.
Research use only, never a diagnosis.

Shapes: h w the last grid, H W the film's own pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from timnet import __version__, config, performance
from timnet.cards import Card
from timnet.checkpoints import ClassifierSpec, Spec
from timnet.counting import counted
from timnet.errors import TimnetError
from timnet.evaluation import explanation
from timnet.evaluation.calibration import record as certainty
from timnet.evaluation.calibration.probability import Verdict
from timnet.evaluation.calibration.record import MATCH, Certainty
from timnet.evaluation.explanation import Explanation
from timnet.evaluation.maps import cam
from timnet.evaluation.other_reports import Rank
from timnet.films.film import Film
from timnet.films.letterbox import Letterbox, square
from timnet.reports import report_text
from timnet.reports.edits import Edit

Strength = Literal["weak", "moderate", "strong"]
FAINT = 0.1
"""Share of a map's full strength below which the eye sees next to nothing."""


class ReadingError(TimnetError):
    """A question that this checkpoint cannot answer; the message says what it can."""


def not_matching(name: str) -> ReadingError:
    """Return what a classifier says that is given a text."""
    return ReadingError(f"findings: {name} is a classifier, it reads X-rays without text")


def not_alone(name: str) -> ReadingError:
    """Return what a matching network says that is given no text."""
    return ReadingError(f"findings: {name} matches X-rays with reports, it reads none alone")


@dataclass(frozen=True)
class Question:
    """What is asked of a film: texts, or the labels of a classifier."""

    names: tuple[str, ...]
    texts: tuple[str, ...] = ()
    """The findings, and each of their sentences where there are several."""
    sentences: tuple[str, ...] = ()
    section: str = ""
    """As of `Reading`."""

    @classmethod
    def of(cls, findings: str | None, spec: Spec, name: str) -> Question:
        """Return what a checkpoint is asked of a film, with findings or a report where it matches them.

        Raises:
            ReadingError: findings are missing, say nothing, or are given to a classifier.
        """
        if isinstance(spec, ClassifierSpec):
            if findings:
                raise not_matching(name)
            return cls(spec.labels)
        if findings is None:
            raise not_alone(name)
        extract = findings_of(findings)
        sentences = tuple(report_text.sentences(extract.findings))
        # One sentence is the whole: no second question.
        singly = sentences if len(sentences) > 1 else ()
        return cls((MATCH, *singly), (extract.findings, *singly), sentences, extract.section)


@dataclass(frozen=True)
class Reading:
    """What a checkpoint says of one film."""

    checkpoint: str
    weights_sha256: str
    film: Film
    match: float | None
    """Probability that the findings belong to the film; None of a classifier."""
    sentences: tuple[tuple[str, float], ...]
    """Each sentence of the findings with its own match probability."""
    probabilities: Mapping[str, float]
    """Label -> probability; empty of a TIMNet."""
    seconds: float
    side: int
    map_scale: float
    """Evidence, in logits, at which a map is painted at full strength."""
    maps: Mapping[str, NDArray[np.float32]]
    """Name -> signed evidence (h, w), in logits: `match`, the sentences, the edits, or the labels. That of a
    text is for this text rather than for a normal report."""
    trained_tokens: int | None = None
    """Tokens of the longest text that the network was trained on; None of a classifier."""
    beyond: tuple[int, ...] = ()
    """Numbers, from 1, of the sentences that end beyond `trained_tokens`."""
    edits: tuple[tuple[Edit, float], ...] = ()
    """Each edit of the findings with the edited text's match probability; of `Reader.edited` alone."""
    explanation: Explanation | None = None
    """What the match rests on, or what to check (`explained`)."""
    doubt: str = ""
    """Why the film may be no frontal chest film; empty where it looks like one."""
    alone: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """The maps of the logits themselves, compared with nothing (paper Fig. 7); of a classifier, `maps`."""
    section: str = ""
    """Which section of the report was read (`reports.Extract.section`); "" of a classifier."""
    card: Card | None = None
    """What the network was trained on and worth."""
    trust: str = ""
    """How good it was on real X-rays (`performance.trust_of`): it stands beside every number."""
    certainty: Certainty = certainty.UNKNOWN
    """How logits became these probabilities, and which of them are too close to call."""
    rank: Rank | None = None
    """Where the match stands among other patients' reports; None where the network comes without any."""

    def verdict(self, name: str) -> Verdict:
        """Return what a label's probability means in words, as the function `verdict` does."""
        return verdict(self.certainty, self.card, name, self.probabilities[name])

    @property
    def too_weak(self) -> str:
        """Say which labels are not sure whatever their numbers, and why; empty where none is."""
        weak = [
            name
            for name in self.probabilities
            if self.verdict(name) and performance.too_weak(self.card, name)
        ]
        if not weak:
            return ""
        return (
            f"Not sure whatever the number: {', '.join(weak)} (auROC on real X-rays below 0.7, or possibly "
            "below 0.6)."
        )

    def calibrated(self, name: str) -> bool:
        """Say whether a label's probability, or `match`, was fitted on held-out films."""
        return self.certainty.line(name).fitted

    @property
    def long_text(self) -> str:
        """Say which sentences lie beyond what the network was trained on; empty where none does."""
        if not self.beyond or self.trained_tokens is None:
            return ""
        first, last = self.beyond[0], self.beyond[-1]
        which = f"Sentence {first} ends" if first == last else f"Sentences {first} to {last} end"
        return (
            f"{which} beyond the first {counted(self.trained_tokens, 'token')} (words or parts of words), "
            f"the longest text that {self.checkpoint} was trained on. They count, but the network has not "
            "learned from texts of this length."
        )

    def explained(self, edits: Sequence[tuple[Edit, float]]) -> Reading:
        """Return this reading of a match with its edits and with what they say of it."""
        assert self.match is not None
        found = explanation.explain(self.match, self.sentences, edits)
        return replace(self, edits=tuple(edits), explanation=found)

    def heat(self, name: str) -> NDArray[np.float32]:
        """Return a map's evidence at the film's own pixels (H, W), in logits."""
        if name not in self.maps:
            made = ", ".join(self.maps) or "those of a reading with maps=True"
            raise ReadingError(f"map: expected one of {made}, got {name!r}")
        grid = torch.from_numpy(self.maps[name])[None, None]
        map_SS = F.interpolate(grid, size=(self.side, self.side), mode="bilinear", align_corners=False)
        return Letterbox.of(self.film, self.side).invert(map_SS[0, 0].numpy())

    def shows(self, name: str) -> str:
        """Return in one sentence what a map shows."""
        if self.match is None:
            return f"Map: areas that raise the probability of {name}."
        what = "this report" if name == MATCH else f"\u201c{marked(name)}\u201d"
        return f"Map: areas that support {what} compared with a normal report."

    def number(self, name: str) -> str:
        """Return the number that a map belongs to, in words."""
        if self.match is None:
            verdict = self.verdict(name)
            return f"{name}: probability {self.probabilities[name]:.3f}" + f", {verdict}" * bool(verdict)
        alone = dict(self.sentences).get(name)
        of_sentence = "" if alone is None else f"; the sentence of this map alone {alone:.3f}"
        return f"Match probability {self.match:.3f}{of_sentence}"

    def strength(self, name: str) -> Strength:
        """Return in a word how strong the strongest evidence of a map is, on the network's scale."""
        peak = float(self.maps[name].max()) / self.map_scale
        return "weak" if peak < FAINT else "moderate" if peak < 0.5 else "strong"

    def overlay(self, name: str, opacity: float = 0.6) -> NDArray[np.uint8]:
        """Return the film as it lies, of square pixels, with a map over it, (rows, columns, 3)."""
        even = replace(self, film=square(self.film))
        return cam.paint(even.film.pixels, even.heat(name), self.map_scale, opacity)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers and the words of the findings as one JSON object; no pixels.

        Names, dates and numbers of known forms are marked in the words (`deidentify.scrub`).
        """
        numbers: dict[str, Any] = {
            "film": {
                "rows": self.film.rows,
                "columns": self.film.columns,
                "kind": self.film.kind,
                "sha256": self.film.sha256,
            },
            "sides": asdict(self.film.sides),
            "notes": list(self.film.notes),
            "timnet": __version__,
            "checkpoint": self.checkpoint,
            "weights_sha256": self.weights_sha256,
            "seconds": round(self.seconds, 3),
            "trust": self.trust,
            "research_use": config.RESEARCH_USE,
            "doubt": self.doubt or None,
        }
        if self.match is not None:
            numbers["match_calibrated"] = self.calibrated(MATCH)
            numbers["match_probability"] = self.match
            numbers["rank_among_other_reports"] = asdict(self.rank) if self.rank else None
            numbers["section_read"] = self.section
            numbers["explanation"] = self.explanation.sentence if self.explanation else None
            numbers["sentences"] = [
                {"sentence": marked(sentence), "probability": probability}
                for sentence, probability in self.sentences
            ]
            numbers["sentence_probabilities"] = [probability for _, probability in self.sentences]
            numbers["sentences_beyond_training"] = list(self.beyond)
        if self.edits:
            numbers["edits"] = {edit.name: probability for edit, probability in self.edits}
        if self.probabilities:
            numbers["probabilities"] = dict(self.probabilities)
            numbers["worth_on_real_x_rays"] = {
                name: performance.label_worth(self.card, name) for name in self.probabilities
            }
            numbers["calibrated"] = {name: self.calibrated(name) for name in self.probabilities}
            numbers["verdicts"] = {name: self.verdict(name) or None for name in self.probabilities}
            numbers["verdicts_too_weak"] = self.too_weak or None
        return numbers


def marked(words: str) -> str:
    """Return words of a report with names, dates and numbers of known forms marked."""
    from timnet.reports import deidentify  # with pydicom and its dictionary

    return deidentify.scrub(words, deidentify.Known())[0]


def verdict(certainty: Certainty, card: Card | None, name: str, probability: float) -> Verdict:
    """Return what a label's probability means in words; nothing where no zone is known.

    A label that was too weak on real X-rays (`performance.too_weak`) is not sure, whatever its number.
    """
    said = certainty.line(name).verdict(probability)
    return "not sure" if said and performance.too_weak(card, name) else said


def findings_of(findings: str | None) -> report_text.Extract:
    """Return what a network reads of findings or of a whole report.

    Raises:
        ReadingError: nothing.
    """
    extract = report_text.extract(findings or "")
    if not extract.findings:
        held = ", ".join(filter(None, report_text.sections(findings or "")))
        got = f"only {held[:200]}" if held else "none"
        advice = "; write FINDINGS: before what the X-ray shows" if held else ""
        raise ReadingError(f"findings: expected the text that describes the X-ray, got {got}{advice}")
    return extract
