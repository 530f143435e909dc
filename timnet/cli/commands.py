"""The commands of `python -m timnet`: each takes its words and prints what it made."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timnet import cards, config, files
from timnet.cli import arguments, output, parsing, readings
from timnet.cli.audit import audit
from timnet.cli.check import check
from timnet.cli.imports import import_cohort
from timnet.cli.output import Refused
from timnet.cli.progress import ProgressLine
from timnet.cli.trainings import curve, finetune, pretrain, run, show_runs
from timnet.counting import counted

Command = Callable[[list[str]], None]


TRAINING = ("pretrain", "finetune", "curve", "run")
"""Commands whose process trains."""


def match(words: list[str]) -> None:
    """Print the match probability of a film and its findings, or write those of many."""
    readings.read(parsing.parse(arguments.Match, "match", words))


def diagnose(words: list[str]) -> None:
    """Print a classifier's probabilities for a film, or write those of many."""
    readings.read(parsing.parse(arguments.Diagnose, "diagnose", words))


def embed(words: list[str]) -> None:
    """Prepare a cohort for searches by a matching network."""
    request = parsing.parse(arguments.Embed, "embed", words)
    from timnet import checkpoints
    from timnet.cohorts import store, stored_vectors, vectors
    from timnet.model import embed as embedding

    folder = checkpoints.named(request.checkpoint)
    # Pages stay quick meanwhile.
    os.nice(5)
    line = ProgressLine("films and reports")
    with store.Cohort.open(store.find(request.cohort)) as cohort:
        embedding.build(cohort, folder, line.done)
        line.end()
        if request.out:
            stored_vectors.write(request.out, cohort, vectors.load(vectors.place(cohort, folder)).films_ND)
        print(f"{cohort.name}: ready for searches by {folder.name}")


def label(words: list[str]) -> None:
    """Label a cohort's studies by the words of their reports."""
    request = parsing.parse(arguments.Label, "label", words)
    from timnet.cohorts import report_labels, store

    line = ProgressLine("reading reports")
    with store.Cohort.open(store.find(request.cohort)) as cohort:
        found = report_labels.label(cohort.folder, line.done)
        line.end()
        fields = {"cohort": cohort.name, "studies": len(found.signs), **dataclasses.asdict(found)}
    del fields["signs"]
    fields["first_left_out"] = list(found.first_left_out)
    output.show(fields, request.json, output.labelled(cohort.name, found))


def features(words: list[str]) -> None:
    """Read a cohort's films with a start, for probes and for labelling."""
    request = parsing.parse(arguments.Features, "features", words)
    from timnet.cohorts import store, stored_vectors
    from timnet.training import features as reading

    os.nice(5)
    line = ProgressLine("reading films")
    # Of a fine-tuning only what its trunk depends on; the task names nothing here.
    given = {key: value for key, value in dataclasses.asdict(request).items() if key not in ("out", "like")}
    settings = config.Finetune(task="none", **given)
    with store.Cohort.open(store.find(request.cohort)) as cohort:
        features_NC = reading.build(cohort, settings, line.done)
        films, channels = features_NC.shape
        line.end()
        if request.out:
            stored_vectors.write(request.out, cohort, features_NC)
        print(
            f"{cohort.name}: {counted(channels, 'feature')} of {counted(films, 'film')} by "
            f"{settings.initialisation}"
        )
        if request.like:
            film = next(iter(cohort.films_of([request.like])["film"]), -1)
            if film < 0:
                raise Refused(
                    f"like: expected a study of {cohort.name} with an X-ray, got {request.like!r:.80}"
                )
            likest = stored_vectors.nearest(features_NC, film)
            paths = cohort.films()["path"][likest.index]
            print("\n".join(f"{path}  {cosine:.3f}" for path, cosine in zip(paths, likest, strict=True)))


def evaluate(words: list[str]) -> None:
    """Measure a checkpoint on the held-out films of cohorts."""
    request = parsing.parse(arguments.Evaluate, "evaluate", words)
    from timnet import checkpoints
    from timnet.evaluation import held_out, metrics
    from timnet.evaluation.calibration import fit

    folder = checkpoints.named(request.checkpoint)
    progress = ProgressLine("reading films").done
    if isinstance(checkpoints.describe(folder), checkpoints.TimnetSpec):
        found = held_out.measure(
            folder, request.cohorts, request.held_out, request.seed, progress, request.views
        )
    elif (request.held_out, request.views) == (arguments.Evaluate.held_out, arguments.Evaluate.views):
        found = fit.measure_groups(folder, request.cohorts, request.seed, progress)
    else:
        raise Refused(
            f"{folder.name}: --held-out and --views are for matching; a classifier has frontal test X-rays"
        )
    table, by_group = map(metrics.records, found)
    if request.keep:
        _keep_groups(folder, by_group)
    lines = [f"{row['label']}  {row['metric']:<7}{output.number(row)}" for row in table]
    fields = {"checkpoint": folder.name, "cohorts": request.cohorts, "held_out": table, "subgroups": by_group}
    output.show(fields, request.json, [*lines, *output.subgroups(by_group)])


def _keep_groups(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Put rows by sex, age and view into a checkpoint's `metrics.json`; all else there stays as it is.

    Raises:
        CardError: its metrics are damaged.
    """
    there = cards.measured(folder).model_fields_set
    content = json.loads((folder / cards.METRICS).read_bytes()) if there else {}
    text = json.dumps(content | {"subgroups": rows}, indent=2) + "\n"
    files.write_whole(folder / cards.METRICS, text.encode())


def calibrate(words: list[str]) -> None:
    """Fit a checkpoint's probabilities on held-out films."""
    request = parsing.parse(arguments.Calibrate, "calibrate", words)
    from timnet import checkpoints
    from timnet.evaluation.calibration import fit, record

    folder = checkpoints.named(request.checkpoint)
    progress = ProgressLine("reading films").done
    found = fit.fitted(folder, request.cohorts, request.seed, progress)
    record.keep(folder, found)
    fields = {"checkpoint": folder.name, **dataclasses.asdict(found)}
    lines = [f"{folder.name}: fitted on {found.fitted_on}, checked on {found.checked_on}"]
    if request.other_reports:
        from timnet.evaluation import other_reports

        kept = other_reports.keep(folder, request.cohorts, request.other_reports, request.seed, progress)
        fields, lines = {**fields, "other_reports": kept}, [*lines, f"  matches are ranked among {kept}"]
    output.show(
        fields,
        request.json,
        lines + [f"  {name}: {output.calibration(line)}" for name, line in found.lines.items()],
    )


def card(words: list[str]) -> None:
    """Write a checkpoint's card.md from its card.json and the files of its run."""
    request = parsing.parse(arguments.Card, "card", words)
    from timnet import checkpoints
    from timnet.evaluation import model_card

    folder = checkpoints.named(request.checkpoint)
    text, path = model_card.markdown(folder).encode(), folder / cards.WRITTEN
    if request.check and not (path.is_file() and path.read_bytes() == text):
        raise Refused(f"{folder.name}: {path.name} differs from its card.json and run; write it again")
    if not request.check:
        files.write_whole(path, text)
    print(f"{folder.name}: {path.name} {'is up to date' if request.check else 'written'}")


def export(words: list[str]) -> None:
    """Write a checkpoint as ONNX files for other software."""
    request = parsing.parse(arguments.Export, "export", words)
    from timnet import checkpoints
    from timnet.model import onnx_export

    folder = checkpoints.named(request.checkpoint)
    differences = onnx_export.export(folder, request.onnx)
    lines = [f"{name}  differs from the network by {worst:.1g}" for name, worst in differences.items()]
    output.show(
        {"checkpoint": folder.name, "differences": differences}, request.json, [*lines, config.RESEARCH_USE]
    )


def simulate(words: list[str]) -> None:
    """Make simulated radiographs with findings and reports from one CT."""
    request = parsing.parse(arguments.Simulate, "simulate", words)
    from timnet.simulation import cohort

    plan = cohort.Plan(
        request.studies, request.side, request.seed, request.lateral, request.train, request.quality
    )
    line = ProgressLine("simulating films")
    cohort.write(request.ct, request.out, plan, request.workers, line.done)
    print(f"{counted(request.studies, 'study')} in {request.out}")


COMMANDS: dict[str, Command] = {
    "match": match,
    "diagnose": diagnose,
    "import": import_cohort,
    "embed": embed,
    "audit": audit,
    "label": label,
    "check": check,
    "features": features,
    "pretrain": pretrain,
    "evaluate": evaluate,
    "finetune": finetune,
    "calibrate": calibrate,
    "export": export,
    "card": card,
    "curve": curve,
    "simulate": simulate,
    "runs": show_runs,
    "run": run,
}
