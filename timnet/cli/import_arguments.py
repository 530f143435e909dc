"""Arguments of the imports, a dataclass a reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from timnet import config


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
class ImportChexpert(Import):
    """Make a cohort of CheXpert (train.csv, valid.csv) or CheXpert Plus (df_chexpert_plus_240401.csv)."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with the tables and the folders train and valid, or one above it."""
    name: str = "chexpert"
    """Name of the cohort."""


@dataclass(frozen=True)
class ImportPadchest(Import):
    """Make a cohort of PadChest: PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv and its images."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with the table, and the images in folders called as ImageDir says or any other."""
    name: str = "padchest"
    """Name of the cohort."""
    labels: tuple[str, ...] = ()
    """Labels to keep, or patterns of them ('*effusion'); by default the 40 most frequent."""


@dataclass(frozen=True)
class ImportVindr(Import):
    """Make a cohort of VinDr-CXR: annotations/image_labels_train.csv and train/*.dicom, or Kaggle's copy."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with annotations/, train/ and test/, or with train.csv and train/."""
    name: str = "vindr"
    """Name of the cohort."""


@dataclass(frozen=True)
class ImportRsna(Import):
    """Make a cohort of the RSNA pneumonia challenge: stage_2_train_labels.csv and stage_2_train_images/."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with the tables and stage_2_train_images/."""
    name: str = "rsna"
    """Name of the cohort."""


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
