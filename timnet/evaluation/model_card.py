"""What must be known of a network before its numbers are believed, out of the files of its checkpoint.

The Model card page and `card.md` are both made of these sections. Items and order: the model card example of
FDA's draft guidance of January 2025 on AI-enabled device software, and the items of CLAIM (2024 update) that
apply to a checkpoint. What no file says is UNKNOWN, never guessed. Sections hold plain words, no markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timnet import cards, checkpoints, config, performance, settings_file
from timnet.cards import Card, Source
from timnet.checkpoints import ClassifierSpec, Spec, TimnetSpec
from timnet.counting import counted
from timnet.evaluation.calibration import record
from timnet.evaluation.calibration.record import Certainty

UNKNOWN = "not known"
NOT_DONE = "not done"
_WHOLE = ("macro", "micro")
_REAL = {True: "real X-rays", False: "simulated X-rays", None: f"real or simulated: {UNKNOWN}"}
_NOBODY = Card(format=1, summary="", trained_on=())
"""Of a checkpoint without card and run."""


@dataclass(frozen=True)
class Section:
    """A heading with its items, each a name and what is known."""

    title: str
    items: tuple[tuple[str, str], ...]


_UPKEEP = Section(
    "Upkeep",
    (
        ("Monitoring in use", NOT_DONE),
        ("Updates", "none by itself: a checkpoint never changes; a new training is a new fingerprint"),
        ("Security", "weights are read without pickle and proven by sha256; uploads are decoded apart"),
        ("Faults", "the project's issue tracker"),
    ),
)


def sections(folder: Path) -> tuple[Section, ...]:
    """Return the model card of a checkpoint.

    Raises:
        CheckpointError: no checkpoint there, or one whose description or calibration is damaged.
    """
    spec, sure, card = checkpoints.describe(folder), record.of(folder), cards.of(folder)
    settings, measured = cards.run_settings(folder), cards.measured(folder).model_dump(exclude_unset=True)
    return (
        _identity(folder, spec, card),
        _worth(card, performance.trust_of(folder)),
        _use(spec, card),
        _data(settings, measured, card),
        _training(settings, measured, card),
        _performance(measured, card),
        _probabilities(sure, spec),
        _limits(card),
        _UPKEEP,
    )


def markdown(folder: Path) -> str:
    """Return the text of a checkpoint's `card.md`: its sections as markdown tables.

    Raises:
        CheckpointError, CardError: as for `sections`.
    """
    blocks = [f"# {folder.name}", f"Made by `python -m timnet card {folder.name}`; do not edit."]
    for section in sections(folder):
        rows = [f"| {_cell(name)} | {_cell(words)} |" for name, words in section.items]
        blocks += [f"## {section.title}", "\n".join(["| | |", "|---|---|", *rows])]
    return "\n\n".join(blocks) + "\n"


def _cell(words: str) -> str:
    """Return words that a markdown table shows as they are: no link, image, tag or cell ends in them."""
    return re.sub(r"([\\|<>\[\]`*_!#])", r"\\\1", " ".join(words.split()))


def _worth(card: Card | None, sentence: str) -> Section:
    items = [("In one sentence", sentence)]
    for each in card.results if card else ():
        where = ("real" if each.real else "simulated") + (", another source" if each.external else "")
        named = ": ".join(filter(None, (each.dataset, each.label, each.task, each.group)))
        count = counted(each.images, "X-ray") + (
            f", {each.positives:,} positive" if each.positives not in (None, each.images) else ""
        )
        items.append(
            (f"{named} ({where})", f"{each.metric} {performance.figures(each)}; {count}; {each.command}")
        )
    external = [each for each in card.results if each.external and each.real] if card else []
    sets = ", ".join(dict.fromkeys(each.dataset for each in external))
    return Section("What it was worth", (*items, ("External test, of another hospital", sets or NOT_DONE)))


def _identity(folder: Path, spec: Spec, card: Card | None) -> Section:
    classifies = isinstance(spec, ClassifierSpec)
    kind = "classifier of labels" if classifies else "matching of X-rays and reports (TIMNet)"
    items = [
        ("Name", folder.name),
        ("Version: fingerprint of its weights (sha256)", checkpoints.weights_sha256(folder)),
        ("Kind", kind),
        ("Image branch", f"{spec.backbone}, {spec.width} channels before pooling"),
        ("Input", f"one frontal chest X-ray, letterboxed to {spec.side} x {spec.side} pixels, bone bright"),
    ]
    if isinstance(spec, TimnetSpec):
        held = "frozen, named by content" if spec.text_encoder_sha256 else "trained, inside the checkpoint"
        items += [
            ("Second input", f"findings text, {counted(spec.tokens, 'token')} at a time"),
            ("Text encoder", f"{spec.text_encoder}; {held}"),
            ("Output", "probability that the text belongs to the X-ray, and evidence maps"),
        ]
    else:
        items.append(("Output", f"probability of {', '.join(spec.labels)}, and evidence maps"))
    result = card or _NOBODY
    items += [("Origin of the text encoder", result.text_encoder)] if result.text_encoder else []
    items += [
        ("Developer", result.developer or "who trained it: " + UNKNOWN),
        ("Licence", result.licence or UNKNOWN),
        ("Citation", result.citation or UNKNOWN),
    ]
    return Section("Which network", tuple(items))


def _use(spec: Spec, card: Card | None) -> Section:
    result = card or _NOBODY
    task = "how well a text fits an X-ray" if isinstance(spec, TimnetSpec) else "labels on an X-ray"
    return Section(
        "Intended use",
        (
            ("Summary", result.summary or UNKNOWN),
            ("Recommended for", ", ".join(result.recommended_for) or "nothing in particular"),
            (
                "Intended for",
                result.purpose or f"research on {task}; teaching; initial weights for fine-tuning",
            ),
            ("Intended users", "researchers, and clinicians who take part in research"),
            ("Not intended for", result.not_for or "any decision about a patient"),
            ("Regulatory status", f"none: no medical device. {config.RESEARCH_USE}"),
            ("Place in the workflow", "none: beside it, without effect on a report"),
        ),
    )


def _data(settings: config.Run | None, measured: Mapping[str, Any], card: Card | None) -> Section:
    if isinstance(settings, config.Pretrain):
        cohorts = ", ".join(Path(name).name for name in settings.cohorts)
        counts = [
            ("Pairs of X-ray and report trained on", _count(measured, "pairs_train")),
            ("Patients trained on", _count(measured, "patients_train")),
            ("Pairs held out", _count(measured, "pairs_held_out")),
            ("Patients held out", _count(measured, "patients_held_out")),
            ("X-rays left out for want of text", _count(measured, "films_without_text")),
            ("Reference standard", "each X-ray's own report, as written; not read again"),
        ]
    else:
        cohorts = Path(settings.cohort).name if isinstance(settings, config.Finetune) else UNKNOWN
        positives = measured.get("positives") or {}
        counts = [
            ("X-rays trained on", _count(measured, "films")),
            ("Patients trained on", _count(measured, "patients")),
            ("X-rays tested on", _count(measured, "films_test")),
            ("X-rays validated on", _count(measured, "films_validation")),
            ("Positive X-rays trained on", ", ".join(f"{k} {v}" for k, v in positives.items()) or UNKNOWN),
            ("Reference standard", "the cohort's labels; who set them and how: " + UNKNOWN),
            ("Uncertain labels", settings.uncertain if isinstance(settings, config.Finetune) else UNKNOWN),
        ]
    return Section(
        "Data",
        (
            ("Cohorts", cohorts),
            *(_source(each) for each in (card.trained_on if card else ())),
            *counts,
            ("Split", "by patient: no patient in two parts"),
            ("Age, sex, origin and devices of these patients", UNKNOWN),
            ("How these patients were chosen", UNKNOWN),
        ),
    )


def _source(source: Source) -> tuple[str, str]:
    kind = _REAL[source.real]
    counts = [
        counted(number, word)
        for number, word in ((source.images, "image"), (source.patients, "patient"))
        if number is not None
    ]
    more = (source.labels, source.licence and f"licence: {source.licence}", source.citation)
    return f"Trained on: {source.dataset}", "; ".join(filter(None, (kind, ", ".join(counts), *more)))


def _training(settings: config.Run | None, measured: Mapping[str, Any], card: Card | None) -> Section:
    if settings is None:
        return Section("Training", (("Settings", UNKNOWN),))
    content = json.loads(settings_file.to_json(settings))
    words = ", ".join(
        f"{name} {value}" for name, value in content.items() if name not in ("command", "cohorts")
    )
    start = settings.image_weights if isinstance(settings, config.Pretrain) else settings.initialisation
    return Section(
        "Training",
        (
            ("Initial weights", Path(start).name),
            ("Settings", words),
            *(("Command", command) for command in (card.commands if card else ())),
            ("Device", str(measured.get("device", UNKNOWN))),
            ("Precision", str(measured.get("precision", UNKNOWN))),
            (
                "The same run again",
                "the same settings and cohort on the same kind of machine; see docs/guide.md",
            ),
        ),
    )


def _performance(measured: Mapping[str, Any], card: Card | None) -> Section:
    rows = measured.get("test") or measured.get("held_out") or []
    labels = [row["label"] for row in rows]
    whole = any(label in _WHOLE for label in labels)
    items = [
        (f"{row['label']}: {row['metric']}", _value(row))
        for row in rows
        if row["metric"] in ("auROC", "AP") or not whole
    ]
    return Section(
        "How good it is, on held-out patients",
        (
            *(items or [("Metrics", UNKNOWN)]),
            ("Intervals", "95 %, by a bootstrap over patients" if items else UNKNOWN),
            *_by_group(measured.get("subgroups") or [], (card or _NOBODY).not_stated),
            ("Against radiologists, or with them", NOT_DONE),
        ),
    )


def _by_group(rows: list[dict[str, Any]], missing: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the areas by sex, age and view, of several labels their average, and the largest gap."""
    if not rows:
        left = [name for name in ("sex", "age", "view", "device") if name not in missing]
        said = [(f"By {', '.join(missing)}", "not possible: not stated for its X-rays")] if missing else []
        return [*said, (f"By {', '.join(left)} or hospital", NOT_DONE)]
    from timnet.evaluation.subgroups import interval_text, largest_gap

    label = next((row["label"] for row in rows if row["label"] == "macro"), rows[0]["label"])
    items = [(f"{row['kind']}: {row['group']}", interval_text(row)) for row in rows if row["label"] == label]
    return [*items, ("Largest gap", largest_gap(rows)), ("By device or hospital", NOT_DONE)]


def _probabilities(sure: Certainty, spec: Spec) -> Section:
    if not sure.lines:
        return Section("What its probabilities mean", (("Calibration", NOT_DONE + ": plain sigmoids"),))
    items = [("How", sure.how), ("Fitted on", sure.fitted_on), ("Checked on", sure.checked_on)]
    for name, line in sure.lines.items():
        if line.error_before is not None and line.error_after is not None:
            message = f"{line.error_after:.3f}, before {line.error_before:.3f}"
            items.append((f"Expected calibration error, {name}", message))
        if line.low is not None and line.high is not None:
            items.append((f"Not sure, {name}", f"from {line.low:.3f} to {line.high:.3f}"))
        elif line.why:
            items.append((f"Not sure, {name}", line.why))
    return Section("What its probabilities mean", tuple(items))


def _limits(card: Card | None) -> Section:
    return Section(
        "Limits",
        (
            *(("Known", limit) for limit in (card.limits if card else ())),
            ("Maps", config.MAP_LIMITS),
            (
                "X-rays",
                "frontal chest X-rays; others are refused by a light detector, which errs (docs/evidence.md)",
            ),
            ("Other hospitals", "numbers are of the cohorts above and need not hold elsewhere"),
            ("Bias", "whatever the reports and labels of those cohorts hold; not examined"),
        ),
    )


def _value(row: Mapping[str, Any]) -> str:
    if row.get("value") is None:
        return "undefined"
    low, high, n, positives = (row.get(name) for name in ("low", "high", "n", "positives"))
    interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
    of = "" if n is None or positives is None else f"; {positives:,.0f} positive of {n:,.0f}"
    return f"{row['value']:.3f}{interval}{of}"


def _count(measured: Mapping[str, Any], name: str) -> str:
    return f"{measured[name]:,}" if isinstance(measured.get(name), int) else UNKNOWN
