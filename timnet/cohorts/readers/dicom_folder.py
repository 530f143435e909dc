"""A PACS export: any folder of DICOM files becomes a cohort, de-identified unless told otherwise.

Owns how such an import is put together: key, table of reports, what is admitted, what is remarked of films.
Which files make a study is in `dicom_studies`; what the de-identification promises, in docs/privacy.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from timnet.cohorts import store
from timnet.cohorts.importing import pseudonyms
from timnet.cohorts.readers.dicom_studies import Folder
from timnet.cohorts.readers.report_tables import Reports
from timnet.cohorts.records import Progress, Rules, Summary
from timnet.films import burned_in_text
from timnet.films.film import Admit


def run(
    root: Path,
    name: str,
    progress: Progress | None = None,
    *,
    reports: Path | None = None,
    report_key: str | None = None,
    report_text: str | None = None,
    frame: str | None = None,
    any_modality: bool = False,
    keep_identifiers: bool = False,
    **rules: Unpack[Rules],
) -> Summary:
    """Import the DICOM files below `root` as the cohort `name`.

    Args:
        root: folder of the export; file names do not matter.
        name: of the cohort.
        progress: see `records.Progress`.
        reports: table of reports; without one those among the DICOM files are used.
        report_key: its column of accession numbers or study UIDs, where it has no usual name.
        report_text: its column of texts.
        frame: `first` takes the first of several frames.
        any_modality: take CT, MR, US and others too.
        keep_identifiers: keep patients' and studies' numbers and the reports as they are.
        rules: see `records.Rules`.

    Raises:
        CohortError: no such folder or table, no usable key, or nothing that could be imported.
    """
    folder = store.place(name)
    wanted: dict[Admit, bool] = {"first-frame": frame == "first", "any-modality": any_modality}
    admit = tuple(what for what, is_wanted in wanted.items() if is_wanted)
    key = None if keep_identifiers else pseudonyms.read_key()
    table = Reports(reports, report_key, report_text) if reports else None
    found = Folder(root, admit, key, reports, progress, rules.get("outside", ()))
    found.notes += table.notes if table else ()
    return store.write(
        folder,
        source="dicom_folder",
        root=root,
        records=found.studies(table),
        notes=found.notes,
        reading=store.Reading(admit, burned_in_text.remark),
        progress=progress,
        **rules,
        num_films=found.num_films,
    )
