"""The check command: faults of a cohort, X-ray by X-ray, to the terminal and to a file."""

from __future__ import annotations

import os
import sys

from timnet import config
from timnet.cli import arguments, output, parsing
from timnet.cli.progress import Phases
from timnet.counting import counted

SHOWN = 5
"""Faults of a kind that are printed."""
FOUND = 3
"""Exit status where a fault was found that the caller does not take."""


def check(words: list[str]) -> None:
    """Look for wrong labels, duplicates, X-rays lying or mirrored, and empty reports."""
    request = parsing.parse(arguments.Check, "check", words)
    # Imported here: with it comes pandas, which other commands start without.
    from timnet import checkpoints, spreadsheet
    from timnet.cohorts import audits, checks, store, vectors
    from timnet.evaluation.check import run
    from timnet.training import features

    write = spreadsheet.writer(request.out) if request.out else None
    folder = checkpoints.named(request.checkpoint)
    # Pages stay quick meanwhile.
    os.nice(5)
    phases = Phases()
    with store.Cohort.open(store.find(request.cohort)) as cohort:
        place = checks.place(cohort, folder)
        with audits.holding(place) as lock:
            if lock is None:
                raise vectors.BusyError(f"{cohort.name}: is being checked by another process")
            done = checks.load(place)
            if done is None:
                reading = phases.of("reading X-rays")
                x_NC = features.build(cohort, checks.settings(folder), reading) if len(cohort) else None
                done = run.checked(cohort, x_NC, phases.step)
                checks.keep(place, done)
        phases.end()
        if write is not None:
            write(done.found)
        number = {kind: int((done.found["kind"] == kind).sum()) for kind in checks.KINDS}
        unchecked = spreadsheet.records(done.unchecked)
        lines = [f"{cohort.name}: {counted(len(cohort), 'X-ray')}, {counted(len(done.found), 'fault')}"]
        for kind, said in checks.KINDS.items():
            lines += [f"{number[kind]:>6}  {said} ({kind})"] if number[kind] else []
            for row in done.found[done.found["kind"] == kind].head(SHOWN).itertuples(index=False):
                lines.append(f"        {row.study}  {row.score:.3f}  {row.reason}")
    lines += [f"not checked: {each['kind']}: {each['reason']}" for each in unchecked]
    lines += [f"written: {request.out.name}"] if request.out else []
    summary = {
        "cohort": cohort.name,
        "checkpoint": folder.name,
        "found": number,
        "unchecked": unchecked,
        "out": request.out.name if request.out else None,
        "faults": spreadsheet.records(done.found),
    }
    output.show(summary, request.json, [*lines, config.RESEARCH_USE])
    if any(number[kind] for kind in checks.KINDS if {kind, "any"} & set(request.fail_on)):
        sys.exit(FOUND)
