"""What commands print: a summary in lines, or one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from timnet import files
from timnet.cohorts.records import Summary
from timnet.counting import counted
from timnet.errors import TimnetError

if TYPE_CHECKING:
    from timnet.cohorts.report_labels import Labelled
    from timnet.evaluation.calibration.record import Line


class Refused(TimnetError):
    """Something that cannot be done; the message is the sentence for standard error."""


def summed_up(summary: Summary) -> list[str]:
    """Return an import's summary as lines for a person."""

    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"

    lines = [
        f"{summary.name}: {counted(summary.studies, 'study')} of "
        f"{counted(summary.patients, 'patient')}, {counted(summary.films, 'film')}",
        f"studies with findings: {summary.with_findings}",
        f"films by split: {listed(summary.splits)}",
        f"patients in two splits: {summary.crossing}",
        f"films positive by label: {listed(summary.labels)}",
        f"left out: {sum(summary.skipped.values())}",
        *(f"  {count:>7}  {reason}" for reason, count in summary.skipped.items()),
        *(f"  such as {example}" for example in summary.first_skipped),
        *(f"note: {note}" for note in summary.notes),
    ]
    return [*lines, f"seconds: {summary.seconds}"]


def labelled(name: str, found: Labelled) -> list[str]:
    """Return what labelling by reports found as lines for a person."""
    languages = ", ".join(f"{language} {count}" for language, count in found.languages.items())
    lines = [f"{name}: {counted(len(found.signs), 'study')} labelled by the report ({languages})"]
    for label, counts in found.labels.items():
        lines.append(f"  {label:<28}" + "  ".join(f"{value} {count:>6}" for value, count in counts.items()))
    lines += [f"left out: {count}  {reason}" for reason, count in found.left_out.items()]
    lines += [f"  such as {study}" for study in found.first_left_out]
    return [*lines, f"seconds: {found.seconds}"]


def calibration(line: Line) -> str:
    """Return a label's calibration for a person."""
    if line.why:
        return f"not calibrated: {line.why}"
    message = f"{line.slope:.3f} x logit {line.offset:+.3f}, {line.positives} positive of {line.films}"
    if line.error_before is not None and line.error_after is not None:
        message += f"; calibration error {line.error_before:.3f} before, {line.error_after:.3f} after"
    if line.low is not None:
        message += f"; grey zone {line.low:.3f} to {line.high:.3f}"
    return message


def number(row: dict[str, Any]) -> str:
    """Return a metric with its interval."""
    if row["value"] is None:
        return "undefined"
    interval = "" if row["low"] is None else f"  ({row['low']:.3f} to {row['high']:.3f})"
    return f"{row['value']:.3f}{interval}"


def subgroups(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a table by sex, age and view, and its largest gap; none where there is no table."""
    from timnet.evaluation.subgroups import interval_text, largest_gap, point

    if not rows:
        return []
    lines = [
        "  ".join(
            filter(
                None, (row["label"], point(row), f"{row['kind']} {row['group']}", "auROC", interval_text(row))
            )
        )
        for row in rows
    ]
    return [*lines, largest_gap(rows)]


def show(fields: dict[str, Any], as_json: bool, lines: Sequence[str]) -> None:
    """Print what a command found: one JSON object, or lines for a person."""
    print(files.to_json(fields, "result", Refused) if as_json else "\n".join(lines))
