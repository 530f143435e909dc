"""Film-report pairs of one or more cohorts, and mismatched ones to contrast them with.

A pair is a film and its findings. Films without findings are counted and left out. Numbers restart between
sources, so studies and patients are told apart by source. A mismatched report is never of the same study,
patient or wording, and comes from the film's own source: between sources the style of the text alone would
give a pair away.

Reports of other patients (`draw_reports`) are for a film to be held against: one a patient, no two of the
same wording. What such a report says may fit the film all the same; no one has looked.

Shapes: N pairs, S side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timnet import config
from timnet.cohorts import store, tasks
from timnet.cohorts.records import match_name
from timnet.cohorts.store import Cohort

Progress = Callable[[int, int | None], None]
Codes = NDArray[np.int64]
LEAST_TRAIN, LEAST_HELD_OUT = 4, 2
"""Pairs without which there is no pre-training."""


@dataclass(frozen=True)
class Pairs:
    """N pairs; the codes are equal where source, study, patient or findings are."""

    pixels: tuple[NDArray[np.uint8], ...]
    row: NDArray[np.int64]
    source: Codes
    study: Codes
    patient: Codes
    text: Codes
    labels: Codes
    """Equal where all labels are; below 0 where one is not known."""
    normal: NDArray[np.bool_]
    """True where the label No Finding is 1."""
    texts: tuple[str, ...]
    """Distinct findings, numbered by `text`."""
    split: NDArray[np.str_]
    held_out: NDArray[np.bool_]
    without_text: int
    cohorts: tuple[Cohort, ...] = ()
    """Numbered by `source`."""

    def films(self, pairs: Sequence[int]) -> NDArray[np.uint8]:
        """Return the films (N, S, S) of the pairs asked for, in their order."""
        return np.stack([self.pixels[self.source[i]][self.row[i]] for i in pairs])

    def false_negatives(self, films: Codes, reports: Codes) -> NDArray[np.bool_]:
        """Return True where film i with report j may be a true pair after all; broadcasts."""
        return (
            (self.study[films] == self.study[reports])
            | (self.patient[films] == self.patient[reports])
            | (self.text[films] == self.text[reports])
        )

    def not_mismatched(self, films: Codes, reports: Codes, other_labels: bool) -> NDArray[np.bool_]:
        """Return True where film i with report j is no mismatch; `other_labels`: nor if labels are equal or
        of either not known."""
        alike = self.false_negatives(films, reports)
        if not other_labels:
            return alike
        known = (self.labels[films] >= 0) & (self.labels[reports] >= 0)
        return alike | ~known | (self.labels[films] == self.labels[reports])

    def mismatched(
        self, pairs: Sequence[int], rng: np.random.Generator, other_labels: bool = False
    ) -> list[tuple[int, int]]:
        """Draw one (film, report) a pair that does not belong together; a film that has none is left out.

        `other_labels` draws only reports of studies with other labels: two normal reports fit each other's
        films.
        """
        wanted = np.asarray(pairs, dtype=np.int64)
        drawn: list[tuple[int, int]] = []
        for source in np.unique(self.source[wanted]):
            group = wanted[self.source[wanted] == source]
            report = group[rng.integers(len(group), size=len(group))]
            for _ in range(32):
                false = np.flatnonzero(self.not_mismatched(group, report, other_labels))
                if not len(false):
                    break
                report[false] = group[rng.integers(len(group), size=len(false))]
            for film, other in zip(group, report, strict=True):
                if self.not_mismatched(film, other, other_labels):
                    # Bad luck or next to no choice: look at every report.
                    choice = group[~self.not_mismatched(film, group, other_labels)]
                    if not len(choice):
                        continue
                    other = rng.choice(choice)
                drawn.append((int(film), int(other)))
        return drawn


def collect(
    names: Sequence[str],
    held_out: Sequence[str],
    side: int,
    progress: Progress | None = None,
    measuring: bool = False,
    views: config.Views = "all",
) -> Pairs:
    """Gather the pairs of cohorts by name or path; of those that only measure, all may be held out.

    X-rays of other views than `views` take no part.

    Raises:
        CohortError: no such cohort, fewer than 4 pairs to train on or fewer than 2 held out, or nothing to
            contrast since every report is one patient's.
    """
    cohorts = tuple(Cohort.open(store.find(name)) for name in names)
    parts = [_part(source, cohort, views) for source, cohort in enumerate(cohorts)]
    pixels = tuple(cohort.pixels(side, progress=progress, checked=True) for cohort in cohorts)
    table = pd.concat([part for part, _ in parts], ignore_index=True)
    split = table["split"].to_numpy(str)
    held = np.isin(split, held_out)
    learned, measured = int((~held).sum()), int(held.sum())
    if (learned < LEAST_TRAIN and not measuring) or measured < LEAST_HELD_OUT:
        least = "" if measuring else f"{LEAST_TRAIN} pairs to train on and "
        raise store.CohortError(
            f"{', '.join(names)}: expected at least {least}{LEAST_HELD_OUT} held out in "
            f"{' or '.join(held_out)}, "
            f"got {'' if measuring else f'{learned} and '}{measured}"
        )
    texts, text = _codes(table["findings"].tolist())
    same = _codes(table["labelled"].tolist())[1]
    unknown = (table["labelled"] == "").to_numpy()
    same[unknown] = -1 - np.arange(int(unknown.sum()))
    found = Pairs(
        pixels=pixels,
        row=table["film"].to_numpy(np.int64),
        source=table["source"].to_numpy(np.int64),
        study=_codes(table["study"].tolist())[1],
        patient=_codes(table["patient"].tolist())[1],
        text=text,
        labels=same,
        normal=table["normal"].to_numpy(bool),
        texts=texts,
        split=split,
        held_out=held,
        without_text=sum(without for _, without in parts),
        cohorts=cohorts,
    )
    for part in (np.flatnonzero(held),) if measuring else (np.flatnonzero(~held), np.flatnonzero(held)):
        if not found.mismatched(part.tolist(), np.random.default_rng(0)):
            raise store.CohortError(
                f"{', '.join(names)}: no two reports of different patients and wording, nothing to contrast"
            )
    return found


def _part(source: int, cohort: Cohort, views: config.Views) -> tuple[pd.DataFrame, int]:
    """Return the pairs of one cohort, a row each, and how many of its films have no findings."""
    table = cohort.films()
    table = table[cohort.viewed(views)]
    kept = table[table["findings"].str.strip() != ""]
    labels = tasks.settle(cohort.labels(), "ignore").loc[kept.index]
    known = ~labels.isna().any(axis=1) if len(labels.columns) else np.zeros(len(labels), bool)
    rows_of = zip(known, labels.to_numpy(), strict=True)
    named = match_name(tasks.NO_FINDING, [str(label) for label in labels])
    part = kept[["film", "findings", "split"]].assign(
        source=source,
        study=[f"{source}/{study}" for study in kept["study"]],
        patient=[f"{source}/{patient}" for patient in kept["patient"]],
        labelled=[f"{source}/{values.tolist()}" if is_known else "" for is_known, values in rows_of],
        normal=labels[named] == 1 if named else False,
    )
    return part, len(table) - len(kept)


def _codes(values: Sequence[str]) -> tuple[tuple[str, ...], Codes]:
    index = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return tuple(index), np.array([index[value] for value in values], np.int64)


@dataclass(frozen=True)
class Report:
    """The findings of one study."""

    study: str
    patient: str
    findings: str


def draw_reports(cohort: Cohort, number: int, seed: int = 0) -> tuple[Report, ...]:
    """Return up to `number` reports of a cohort, one a patient, no two alike; the same ones for a seed."""
    table = cohort.films()[["study", "patient", "findings"]]
    table = table[table["findings"].str.strip() != ""].drop_duplicates("study")
    shuffled = table.iloc[np.random.default_rng(seed).permutation(len(table))]
    chosen = shuffled.drop_duplicates("patient").drop_duplicates("findings").head(number)
    return tuple(Report(*map(str, row)) for row in chosen.itertuples(index=False))


def other_reports(reports: Sequence[Report], patient: str | None, findings: str, number: int) -> list[int]:
    """Return the places of the first `number` reports of other patients and of other words than `findings`.

    Args:
        reports: as of `draw_reports`.
        patient: whose film it is; None where it is no patient of the cohort.
        findings: what is asked about, as of `reports.findings`.
        number: most places returned.
    """
    request = findings.casefold()
    fitting = (
        place
        for place, report in enumerate(reports)
        if report.patient != patient and report.findings.casefold() != request
    )
    return [place for place, _ in zip(fitting, range(number), strict=False)]
