"""The import command: a line a source in SOURCES, and a dataclass where a source has options of its own."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from timnet import config
from timnet.cli import output, parsing
from timnet.cli.output import Refused
from timnet.cli.progress import ProgressLine


@dataclass(frozen=True, kw_only=True)
class Import:
    """What every import takes."""

    outside: tuple[Path, ...] = ()
    """Folders that film paths and links may lead into besides the export's own."""
    strict: bool = False
    """Refuse, instead of naming, patients and films that are in two splits."""
    json: bool = False
    """Print one JSON object."""
    root: Annotated[Path, tyro.conf.Positional]
    name: str
    """Name of the cohort."""


@dataclass(frozen=True, kw_only=True)
class Csv(Import):
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


@dataclass(frozen=True, kw_only=True)
class Mimic(Import):
    reports: Path | None = None
    """mimic-cxr-reports.zip or its folder, where it is neither in the folder nor beside it."""


@dataclass(frozen=True, kw_only=True)
class Nih(Import):
    tables_in: Path | None = None
    """Folder with the tables and lists, where they are not beside the images."""


@dataclass(frozen=True, kw_only=True)
class Padchest(Import):
    labels: tuple[str, ...] = ()
    """Labels to keep, or patterns of them ('*effusion'); by default the 40 most frequent."""


@dataclass(frozen=True, kw_only=True)
class Dicom(Import):
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
class Source:
    """A source of the import command: its module in `cohorts.readers`, what it is, and what its folder is."""

    reader: str
    described: str
    root: str
    name: str | None = None
    """Of the cohort, where none is given."""
    options: type[Import] = Import
    default: Path | None = None
    """Folder where none is given."""

    def arguments(self) -> type[Import]:
        """Return what the import takes, as a dataclass to parse."""
        folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help=self.root)]
        fields: list[Any] = [("root", folder, dataclasses.field(default=self.default or dataclasses.MISSING))]
        if self.name is not None:
            fields.append(("name", str, dataclasses.field(default=self.name)))
        made = dataclasses.make_dataclass("Asked", fields, bases=(self.options,), frozen=True, kw_only=True)
        made.__doc__ = f"Make a cohort of {self.described}."
        return made


SOURCES = {
    "mimic": Source(
        "mimic_cxr", "MIMIC-CXR-JPG: files/ and mimic-cxr-2.0.0-*.csv.gz, with the reports of MIMIC-CXR",
        "Folder with files/ and the tables.", "mimic", Mimic,
    ),
    "open_i": Source(
        "open_i", "Open-i: indiana_reports.csv and indiana_projections.csv, or ecgen-radiology/*.xml",
        "Folder with the reports and images/.", "open_i",
    ),
    "nih": Source(
        "nih", "NIH ChestX-ray14: images/ and Data_Entry_2017_v2020.csv, with boxes and lists",
        "Folder with images/, or images_001/ to images_012/.", "nih", Nih,
    ),
    "chexpert": Source(
        "chexpert", "CheXpert (train.csv, valid.csv) or CheXpert Plus (df_chexpert_plus_240401.csv)",
        "Folder with the tables and the folders train and valid, or one above it.", "chexpert",
    ),
    "padchest": Source(
        "padchest", "PadChest: PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv and its images",
        "Folder with the table, and the images in folders called as ImageDir says or any other.",
        "padchest", Padchest,
    ),
    "vindr": Source(
        "vindr", "VinDr-CXR: annotations/image_labels_train.csv and train/*.dicom, or Kaggle's copy",
        "Folder with annotations/, train/ and test/, or with train.csv and train/.", "vindr",
    ),
    "rsna": Source(
        "rsna", "the RSNA pneumonia challenge: stage_2_train_labels.csv and stage_2_train_images/",
        "Folder with the tables and stage_2_train_images/.", "rsna",
    ),
    "mendeley": Source(
        "mendeley", "Mendeley-V2: train|val|test / NORMAL|PNEUMONIA", "Folder of the archive.", "mendeley"
    ),
    "csv": Source(
        "csv_table", "a table: a row a film, with text, patient, split and label columns",
        "Folder with the table and the films, or the table itself.", options=Csv,
    ),
    "dicom": Source(
        "dicom_folder", "a PACS export: any folder of DICOM files, de-identified on the way",
        "Folder of the export; file names do not matter.", options=Dicom,
    ),
    "demo": Source(
        "demo", "simulated films: the ones that come with timnet, or what `simulate` wrote",
        "Folder of the simulated films.", "demo", default=config.DEMO,
    ),
}  # fmt: skip


def import_cohort(words: list[str]) -> None:
    """Import an export into a cohort under TIMNET_HOME."""
    from timnet.cohorts.importing import jobs

    kind = words[0].replace("-", "_") if words else ""
    line = ProgressLine("reading films")
    if kind == "page" and len(words) == 2:
        # What a page has started: its form's values are a file, and are checked here again.
        settings = jobs.settings(Path(words[1]))
        root, given = jobs.checked(settings)
        summary = _reader(settings.kind).run(root, settings.name, progress=line.done, **given)
        line.end()
        print("\n".join(output.summed_up(summary)))
        return
    if kind not in SOURCES:
        raise Refused(f"import: expected {' or '.join(SOURCES)}, got {kind or 'nothing'}")
    request = parsing.parse(SOURCES[kind].arguments(), f"import {kind}", words[1:])
    given = {key: value for key, value in vars(request).items() if value}
    for word in ("root", "name", "json"):
        given.pop(word, None)
    summary = _reader(kind).run(request.root, request.name, progress=line.done, **given)
    line.end()
    output.show(summary.as_dict(), request.json, output.summed_up(summary))


def _reader(kind: str) -> Any:
    return importlib.import_module(f"timnet.cohorts.readers.{SOURCES[kind].reader}")
