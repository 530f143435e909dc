"""Model cards: the fields of a checkpoint's `card.json`, and what a run's own files say in its place.

The one source of `card.md` (`python -m timnet card CHECKPOINT` writes it) and of the Model card page. To
write one, put `card.json` beside `model.json`:

    {
      "format": 1,
      "summary": "One or two sentences: what it is good for, and what not.",
      "purpose": "research on ...",
      "not_for": "any decision about a patient; children",
      "recommended_for": ["match real X-rays"],
      "trained_on": [{"dataset": "Open-i", "real": true, "images": 2400, "patients": 2350,
                      "labels": "reports by radiologists", "licence": "...", "citation": "..."}],
      "results": [{"dataset": "Open-i, test studies", "real": true, "external": false,
                   "label": "", "task": "one mismatched report per X-ray", "metric": "auROC",
                   "value": 0.80, "low": 0.78, "high": 0.82, "images": 735, "positives": 735,
                   "command": "python -m timnet evaluate open-i open_i --held-out test"}],
      "licence": "...", "citation": "...", "text_encoder": "...", "developer": "...",
      "limits": ["..."], "commands": ["python -m timnet pretrain ..."]
    }

Only `format`, `summary` and `trained_on` must be there. Order the results by weight: the first auROC on real
X-rays without `group` (of a classifier: with label `macro`, or its only label) is the one that stands beside
every number. `group` holds a subgroup ("women", "PA view"), `external` is true where no image of that source
was trained on. Leave `results` empty where nothing was measured: then the sentence says so.
A checkpoint without `card.json` gets what its run's own files say (`of`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from timnet import config, files, settings_file
from timnet.errors import TimnetError

FILE, WRITTEN, METRICS = "card.json", "card.md", "metrics.json"
MACRO = "macro"

Task = Literal[
    "match real X-rays",
    "match simulated X-rays",
    "findings, adults",
    "findings, simulated X-rays",
    "pneumonia, children",
    "initial weights",
]
Line = Annotated[str, Field(max_length=2000)]


class CardError(TimnetError):
    """A card that cannot be used; the message names the file, the field, what was expected and what came."""


class Source(BaseModel):
    """A data set that the network was trained on."""

    model_config = files.STRICT
    dataset: Line
    real: bool | None
    """False for simulated X-rays; None where nobody says."""
    images: int | None = Field(None, ge=0)
    patients: int | None = Field(None, ge=0)
    labels: Line = ""
    """Reference standard: who wrote the reports or labels, and how."""
    licence: Line = ""
    citation: Line = ""


def _in_order(low: float | None, high: float | None) -> None:
    """Check the two ends of an interval."""
    if (low is None) != (high is None):
        raise ValueError("expected low and high, or neither")
    if low is not None and high is not None and low > high:
        raise ValueError(f"expected low at most high, got {low} and {high}")


class Result(BaseModel):
    """A measurement on X-rays that the network was not trained on."""

    model_config = files.STRICT
    dataset: Line
    real: bool
    external: bool = False
    """Whether no image of this source was trained on."""
    label: Line = ""
    """A label of the classifier, or `macro`; empty for a match."""
    task: Line = ""
    """What was measured, in words."""
    group: Line = ""
    metric: Line = "auROC"
    value: float
    low: float | None = None
    high: float | None = None
    """95 % interval."""
    images: int = Field(ge=1)
    positives: int | None = Field(None, ge=0)
    command: Line
    """What measures it again."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _in_order(self.low, self.high)
        if self.metric == "auROC" and not 0 <= self.value <= 1:
            raise ValueError(f"expected an auROC from 0 to 1, got {self.value}")
        return self


class Card(BaseModel):
    """What is known of a checkpoint beyond the files of its run."""

    model_config = files.STRICT
    format: files.Format
    summary: Line
    purpose: Line = ""
    not_for: Line = ""
    recommended_for: tuple[Task, ...] = ()
    trained_on: tuple[Source, ...]
    results: tuple[Result, ...] = ()
    licence: Line = ""
    citation: Line = ""
    text_encoder: Line = ""
    """Origin and licence of the text encoder."""
    developer: Line = ""
    limits: tuple[Line, ...] = ()
    not_stated: tuple[Line, ...] = ()
    """What of sex, age and view the data of its X-rays do not state."""
    commands: tuple[Line, ...] = ()
    """What trains it again."""


class Row(BaseModel):
    """One row of a metrics table; others stand beside these fields."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    label: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: float | None = None
    positives: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _in_order(self.low, self.high)
        return self


class GroupRow(Row):
    """A row of a metrics table by subgroup."""

    kind: str
    group: str
    images: int
    note: str


class EarlyStopping(BaseModel):
    """Which epoch early stopping kept, and the validation images that it used."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    epoch: int
    epochs: int
    films: int
    held_back: int
    """How many of the training images drawn were held back; 0 where the cohort has a split `val`."""


class Measured(BaseModel):
    """What a run measured at its end: `metrics.json`."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    test: list[Row] | None = None
    subgroups: list[GroupRow] | None = None
    """Of the X-rays of `test`, else of `held_out`, by sex, age and view (`evaluation.subgroups`)."""
    held_out: list[Row] | None = None
    real: list[bool] | None = None
    """Whether each of its cohorts holds real X-rays."""
    positives: dict[str, int] | None = None
    films: int | None = None
    films_test: int | None = None
    films_validation: int | None = None
    patients: int | None = None
    pairs_train: int | None = None
    pairs_held_out: int | None = None
    patients_train: int | None = None
    patients_held_out: int | None = None
    films_without_text: int | None = None
    early_stopping: EarlyStopping | None = None


_CARD, MEASURED = TypeAdapter(Card), TypeAdapter(Measured)


def read(folder: Path) -> Card | None:
    """Return the content of a checkpoint's `card.json`; None where there is none.

    Raises:
        CardError: damaged, or a field of another type.
    """
    try:
        return files.read(folder / FILE, _CARD, CardError)
    except FileNotFoundError:
        return None


def measured(folder: Path) -> Measured:
    """Return what a checkpoint's run measured at its end; empty where there is no `metrics.json`.

    Raises:
        CardError: damaged, or a field of another type.
    """
    try:
        return files.read(folder / METRICS, MEASURED, CardError)
    except FileNotFoundError:
        return Measured()


def run_settings(folder: Path) -> config.Run | None:
    """Return what a checkpoint's run was asked to do; None where no file says so.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        text = (folder / "config.json").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return settings_file.from_json(text, f"{folder.name}/config.json")


def of(folder: Path) -> Card | None:
    """Return a checkpoint's `card.json`, else what its run's files say; None where neither is there.

    Raises:
        CardError, ConfigError: one of the files is damaged.
    """
    if (card := read(folder)) is not None:
        return card
    if (settings := run_settings(folder)) is None:
        return None
    found = measured(folder)
    pretrained = isinstance(settings, config.Pretrain)
    cohorts = settings.cohorts if isinstance(settings, config.Pretrain) else (settings.cohort,)
    names = [Path(cohort).name for cohort in cohorts]
    real = found.real if found.real and len(found.real) == len(names) else [None] * len(names)
    images, patients = (
        (found.pairs_train, found.patients_train) if pretrained else (found.films, found.patients)
    )
    alone = len(names) == 1
    return Card(
        format=1,
        summary=f"Trained on this computer, on {', '.join(names)}.",
        trained_on=tuple(
            Source(
                dataset=name,
                real=each,
                images=images if alone else None,
                patients=patients if alone else None,
                labels="each X-ray's own report" if pretrained else "the cohort's labels",
            )
            for name, each in zip(names, real, strict=True)
        ),
        results=own_results(found, names),
    )


def own_results(found: Measured, cohorts: Sequence[str] = ()) -> tuple[Result, ...]:
    """Return the auROCs on a run's own held-out patients: of the match, or of all labels, then of each."""
    images = found.films_test if found.test else found.pairs_held_out
    rows = [row for row in found.test or found.held_out or () if row.metric == "auROC"]
    rows = sorted(rows, key=lambda row: row.label != MACRO) if found.test else rows[:1]
    return tuple(
        Result(
            dataset=f"held-out patients of {', '.join(cohorts)}",
            real=bool(found.real) and all(found.real or ()),
            label=row.label if found.test else "",
            task="" if found.test else row.label,
            value=row.value,
            low=row.low if row.high is not None else None,
            high=row.high if row.low is not None else None,
            images=images,
            positives=None if row.positives is None else int(row.positives),
            command="its own training",
        )
        for row in rows
        if row.value is not None and images
    )
