"""The audit command: a whole cohort's reports, the worst matches first, to the terminal and to a file."""

from __future__ import annotations

import os
from typing import Any

from timnet import config
from timnet.cli import arguments, output, parsing
from timnet.cli.output import Refused
from timnet.cli.progress import Phases
from timnet.counting import counted

SHOWN = 10
"""Pairs that are printed."""
_WORDS = {
    "side": "check the side",
    "sentence": "check a sentence",
    "finding": "finding denied or not named",
    "report": "report of another patient?",
}


def audit(words: list[str]) -> None:
    """Rank a cohort's reports by how badly they fit their X-rays."""
    request = parsing.parse(arguments.Audit, "audit", words)
    # Imported here: with it comes pandas, which other commands start without.
    from timnet import checkpoints, spreadsheet
    from timnet.checkpoints import CheckpointError, ClassifierSpec, TimnetSpec
    from timnet.cohorts import audits, store
    from timnet.evaluation.audit import reasons, run

    write = spreadsheet.writer(request.out) if request.out else None
    folder = checkpoints.named(request.checkpoint)
    classifier = checkpoints.named(request.classifier) if request.classifier else None
    for path, shape in ((folder, TimnetSpec), (classifier, ClassifierSpec)):
        if path is not None and not isinstance(checkpoints.describe(path), shape):
            raise CheckpointError(f"{path.name}: expected a {shape.kind} checkpoint")
    # Pages stay quick meanwhile.
    os.nice(5)
    result = Phases()
    with store.Cohort.open(store.find(request.cohort)) as cohort:
        found = _part(run.ranked(cohort, folder, result.step), request.split)
        if not len(found.ranked):
            raise Refused(
                f"{cohort.name}: expected frontal X-rays with findings in {request.split}, got none"
            )
        first = found.ranked["film"].head(request.top).tolist()
        reasons.add(cohort, folder, first, classifier, result.of("looking for reasons"))
        result.end()
        found = audits.explained(audits.place(cohort, folder), found, classifier)
        table = found.ranked.drop(columns=["report", "logit"])
        table.insert(0, "rank", range(1, len(table) + 1))
        if request.texts:
            texts = cohort.films()["findings"]
            table["findings"] = texts.iloc[table["film"]].to_numpy()
        if write is not None:
            write(table)
        left_out = found.left_out["reason"].value_counts().to_dict()
        left_out |= {f"{reason} (not imported)": n for reason, n in cohort.summary().skipped.items()}
        worst = spreadsheet.records(table.head(SHOWN))
        summary = {
            "cohort": cohort.name,
            "checkpoint": folder.name,
            "classifier": classifier.name if classifier else None,
            "split": request.split,
            "pairs": len(table),
            "studies": int(table["study"].nunique()),
            "left_out": left_out,
            "out": request.out.name if request.out else None,
            "worst": worst,
        }
    output.show(summary, request.json, [*_lines(summary, worst, request.texts), config.RESEARCH_USE])


def _part(found: Any, split: str | None) -> Any:
    if split is None:
        return found
    kept = [table[table["split"] == split].reset_index(drop=True) for table in vars(found).values()]
    return type(found)(*kept)


def _lines(summary: dict[str, Any], worst: list[dict[str, Any]], texts: bool) -> list[str]:
    part = f" of {summary['split']}" if summary["split"] else ""
    lines = [
        f"{summary['cohort']} by {summary['checkpoint']}: {counted(summary['pairs'], 'X-ray')} of "
        f"{counted(summary['studies'], 'study')}{part}, the worst matches first"
    ]
    for row in worst:
        said = [_WORDS.get(row["why"], ""), row["told"]]
        said += [f"denied: {row['denied']}"] if row["denied"] else []
        said += [f"not named: {row['not_named']}"] if row["not_named"] else []
        lines.append(
            f"{row['rank']:>4}  {row['study']}  misfit {row['misfit']:.3f}  match {row['probability']:.2f}, "
            f"better than {row['among_reports']:.0%} of other reports  {'; '.join(filter(None, said))}"
        )
        lines += [f"      {row['findings']}"] if texts else []
    lines += [f"left out: {count}  {reason}" for reason, count in summary["left_out"].items()]
    return lines + ([f"written: {summary['out']}"] if summary["out"] else [])
