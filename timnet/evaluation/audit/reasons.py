"""Why a report may not fit its film: the side, one sentence, or a finding that it denies or does not name.

Owns the reasons of the pairs at the head of an audit's list: the match of edited texts (`reports.edits`) in
the words of `explanation`, and a classifier's likely labels held against the report's words. They are noted
in the cohort, a film each, and not worked out twice; no report text is in them. A film that looks like no
frontal chest film, or cannot be read any more, gets that as its doubt.

Shapes: D joint width, T texts, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timnet import cards, performance
from timnet.cohorts import audits, vectors
from timnet.cohorts.records import CohortError, Progress
from timnet.cohorts.store import Cohort
from timnet.evaluation import explanation
from timnet.evaluation.calibration import record
from timnet.evaluation.calibration.probability import probabilities, said
from timnet.films import frontal_check
from timnet.films.letterbox import Letterbox
from timnet.model import weights
from timnet.reports import edits, label_words, report_text

FITS = "The report fits this X-ray, but no better than many reports of other patients."
_AT_ONCE = 8
"""Films that are looked into together, and after which what was found is noted."""


def add(
    cohort: Cohort,
    checkpoint: Path,
    films: Sequence[int],
    classifier: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Note the reasons of films that have none yet; one that was stopped goes on.

    Noted under `audits.REASONS`: why (side, sentence or report) and told, the same in a sentence; match;
    swapped, the highest match with sides exchanged, and swapped_sentence, whose (from 1; 0 the whole text);
    without, the highest match with one sentence left out, and sentence, which; doubt, why it may be no
    frontal chest film. Under `audits.labels` of the classifier: denied and not_named, its likely labels that
    the report denies or does not name.

    Raises:
        CheckpointError: no TIMNet, or no classifier there.
        CohortError: the cohort has no vectors under the checkpoint, or cannot be written.
    """
    folder = audits.place(cohort, checkpoint)
    work: list[tuple[str, Callable[[], Callable[[list[int]], list[dict[str, Any]]]]]] = [
        (audits.REASONS, lambda: _texts(cohort, checkpoint))
    ]
    if classifier is not None:
        chosen = classifier
        work.append((audits.labels(classifier), lambda: _labels(cohort, chosen)))
    noted = {name: audits.notes(folder, name) for name, _ in work}
    todo = {name: [film for film in films if film not in noted[name]] for name in noted}
    done, total = 0, sum(map(len, todo.values()))
    for name, made in work:
        if not todo[name]:
            continue
        request = made()
        for at in range(0, len(todo[name]), _AT_ONCE):
            part = todo[name][at : at + _AT_ONCE]
            audits.note(folder, name, request(part))
            done += len(part)
            if progress is not None:
                progress(done, total)


def _texts(cohort: Cohort, checkpoint: Path) -> Callable[[list[int]], list[dict[str, Any]]]:
    """Return what asks a TIMNet for the reasons of some films."""
    timnet, spec, encoder = weights.load_timnet(checkpoint)
    line, table = record.of(checkpoint).line(record.MATCH), cohort.films()
    films_ND = vectors.load(vectors.place(cohort, checkpoint)).films_ND

    @torch.inference_mode()
    def explain_films(films: list[int]) -> list[dict[str, Any]]:
        texts: list[str] = []
        cases = []
        for film in films:
            findings = table["findings"].iloc[film]
            sentences, (made, _) = report_text.sentences(findings), edits.every(findings)
            cases.append((film, sentences, made, len(texts)))
            texts += [findings, *sentences, *(edit.text for edit in made)]
        states = encoder.states(texts, spec.tokens, spec.padding == "literal")
        v_text_TD = torch.cat(
            [
                timnet.text.project(*states.batch(range(at, min(at + 32, len(texts)))))
                for at in range(0, len(texts), 32)
            ]
        )
        notes: list[dict[str, Any]] = []
        for film, sentences, made, at in cases:
            v_image_D = torch.from_numpy(films_ND[film].astype(np.float32))
            logits_T = timnet.match(v_image_D, v_text_TD[at : at + 1 + len(sentences) + len(made)])
            match, *others = said(line, logits_T.double().numpy()).tolist()
            singly = list(zip(sentences, others[: len(sentences)], strict=True))
            edited = list(zip(made, others[len(sentences) :], strict=True))
            head = {"film": film, "study": table["study"].iloc[film], "match": match}
            notes.append({**head, **reason(match, singly, edited), "doubt": _doubt(cohort, film)})
        return notes

    return explain_films


def reason(
    match: float, sentences: Sequence[tuple[str, float]], edited: Sequence[tuple[edits.Edit, float]]
) -> dict[str, Any]:
    """Return why a report may not fit, as `add` notes it, from the matches of its sentences and edits."""
    found = explanation.explain(match, sentences, edited)
    why = "report"
    if match < explanation.FITS and found.edit is not None:
        why = "side" if found.edit.kind == "swap" else "sentence"
    best: dict[str, tuple[edits.Edit, float]] = {}
    for edit, after in edited:
        if edit.kind not in best or after > best[edit.kind][1]:
            best[edit.kind] = (edit, after)
    noted: dict[str, Any] = {"why": why, "told": found.sentence if match < explanation.FITS else FITS}
    for kind, number, value in (("swap", "swapped_sentence", "swapped"), ("remove", "sentence", "without")):
        noted |= {number: None, value: None}
        if kind in best:
            edit, after = best[kind]
            noted |= {number: 0 if edit.sentence is None else edit.sentence + 1, value: after}
    return noted


def _doubt(cohort: Cohort, film: int) -> str:
    try:
        return frontal_check.doubt(cohort.read_film(film))
    except CohortError as error:
        return f"cannot be read: {error}"


def _labels(cohort: Cohort, classifier: Path) -> Callable[[list[int]], list[dict[str, Any]]]:
    """Return what asks a classifier for the likely labels that some films' reports do not assert."""
    network, spec = weights.load_classifier(classifier)
    card, sure, findings = cards.of(classifier), record.of(classifier), cohort.films()["findings"]
    lines = [sure.line(name) for name in spec.labels]

    @torch.inference_mode()
    def likely(film: int) -> list[str]:
        try:
            read = cohort.read_film(film)
        except CohortError:
            return []
        square_SS = Letterbox.of(read, spec.side).apply(read.pixels)
        x_11SS = torch.from_numpy(np.rint(square_SS * 255).astype(np.float32) / 255)[None, None]
        logits_L: NDArray[np.float64] = network(x_11SS)[0].double().numpy()
        p_L = probabilities(lines, logits_L)
        return [
            name
            for name, line, p in zip(spec.labels, lines, p_L, strict=True)
            if line.verdict(p) == "likely" and not performance.too_weak(card, name)
        ]

    def explain_films(films: list[int]) -> list[dict[str, Any]]:
        notes: list[dict[str, Any]] = []
        for film in films:
            words = {name: label_words.said(name, findings.iloc[film]) for name in likely(film)}
            found = {
                key: [name for name, how in words.items() if how == what]
                for key, what in (("denied", "denied"), ("not_named", "not named"))
            }
            notes.append({"film": film, **found})
        return notes

    return explain_films
