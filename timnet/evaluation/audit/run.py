"""The audit of a cohort from end to end: vectors, the ranked list, and what is kept of them.

Owns which films are asked about and the reason why the others are not: none is lost in silence. Every step is
kept in the cohort (`cohorts.audits`) and found there by the next run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from timnet import checkpoints
from timnet.cohorts import audits, schema, vectors
from timnet.cohorts.audits import Kept
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation.audit import scores
from timnet.evaluation.calibration import record
from timnet.model import embed, weights

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""
PIXELS, EMBEDDING, RANKING = "preparing X-rays", "reading X-rays and reports", "comparing reports"
LATERAL, NO_FINDINGS = "lateral view", "report without findings"
NO_FILM, NO_OTHERS = "study without X-rays", "too few other patients' reports to compare with"


def pairs_of(cohort: Cohort) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a cohort's frontal pairs, and what is left out.

    Returns:
        A row a pair: study, patient, split, film, report (row of its vector), text (equal where the findings
        are, whatever their case). A row a film, or a study without films, left out: study, film (-1), split,
        reason.
    """
    table = cohort.films()[["study", "patient", "split", "film", "findings"]]
    reports = vectors.reports(cohort)
    row = pd.Series(np.arange(len(reports)), index=reports["study"])
    report_N = row.reindex(table["study"]).to_numpy(float)
    reason = np.where(np.isnan(report_N), NO_FINDINGS, np.where(cohort.viewed("frontal"), "", LATERAL))
    request = reason == ""
    pairs = table[request].assign(
        report=report_N[request].astype(np.int64),
        text=pd.factorize(table["findings"][request].str.casefold())[0],
    )
    with schema.connect(cohort.folder) as connection:
        without = pd.read_sql_query("SELECT study, split FROM studies WHERE film IS NULL", connection)
    left_out = pd.concat(
        [
            table[~request][["study", "film", "split"]].assign(reason=reason[~request]),
            without.assign(film=-1, reason=NO_FILM)[["study", "film", "split", "reason"]],
        ]
    )
    return pairs.drop(columns="findings").reset_index(drop=True), left_out.reset_index(drop=True)


def ranked(cohort: Cohort, checkpoint: Path, progress: Progress | None = None) -> Kept:
    """Return the ranked pairs of a cohort under a checkpoint, worked out and kept where they are missing.

    Raises:
        CheckpointError: no TIMNet there.
        CohortError: a film is gone, nothing can be compared, or another process is at it.
    """
    folder = audits.place(cohort, checkpoint)
    with audits.holding(folder) as lock:
        if lock is None:
            raise vectors.BusyError(f"{cohort.name}: this audit is being worked out by another process")
        found = audits.load(folder)
        if found is None:
            found = _ranked(cohort, checkpoint, progress)
            audits.keep(folder, found)
            vectors.remove_older(folder)
    return found


def _ranked(cohort: Cohort, checkpoint: Path, progress: Progress | None) -> Kept:
    pairs, left_out = pairs_of(cohort)
    if not len(pairs):
        raise CohortError(f"{cohort.name}: expected frontal X-rays with findings, found none")
    kept = vectors.place(cohort, checkpoint)
    if vectors.state(kept).name != "complete":
        cohort.pixels(checkpoints.describe(checkpoint).side, _told(progress, PIXELS))
        embed.build(cohort, checkpoint, _told(progress, EMBEDDING))
    held = vectors.load(kept)
    timnet = weights.load_timnet(checkpoint)[0]
    line = record.of(checkpoint).line(record.MATCH)
    result = _told(progress, RANKING)
    table = scores.rank(timnet, held.films_ND, held.reports_MD, pairs, line=line, progress=result)
    alone = pairs[~pairs["film"].isin(table["film"])]
    left_out = pd.concat([left_out, alone[["study", "film", "split"]].assign(reason=NO_OTHERS)])
    return Kept(table.drop(columns=["text"]), left_out.reset_index(drop=True))


def _told(progress: Progress | None, phase: str) -> Callable[[int, int | None], None] | None:
    return None if progress is None else lambda done, total: progress(phase, done, total or 0)
