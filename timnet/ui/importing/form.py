"""Bringing a cohort in from a page: from a folder of this computer, or uploaded.

Owns the form and the progress of imports that pages have started. The work is done by a process of its own
(`cohorts.importing.jobs`), so that no other visitor waits, and closing the page ends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from timnet import config
from timnet.cohorts.importing import jobs, uploads
from timnet.cohorts.records import CohortError
from timnet.errors import TimnetError
from timnet.ui import notices
from timnet.ui.importing import columns

FOLDER, UPLOAD = "A folder of this computer", "Upload"
READERS = {
    "csv": ("A table and its X-rays", "A CSV or TSV table, one row per X-ray: path, report, patient, labels"),
    "mimic": ("MIMIC-CXR-JPG", "files/ and mimic-cxr-2.0.0-*.csv.gz, with the reports of MIMIC-CXR"),
    "dicom": ("A PACS export (DICOM)", "Any folder of DICOM files; reports as structured reports or a table"),
    "nih": ("NIH ChestX-ray14", "images/ and Data_Entry_2017_v2020.csv"),
    "open_i": ("Open-i", "indiana_reports.csv and indiana_projections.csv, or ecgen-radiology/"),
    "chexpert": ("CheXpert, CheXpert Plus", "train.csv and valid.csv, or df_chexpert_plus_240401.csv"),
    "padchest": ("PadChest", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv and its images"),
    "vindr": ("VinDr-CXR", "annotations/ with train/ and test/, or Kaggle's train.csv and train/"),
    "rsna": ("RSNA pneumonia challenge", "stage_2_train_labels.csv and stage_2_train_images/"),
    "mendeley": ("Mendeley-V2", "train, val or test / NORMAL or PNEUMONIA"),
    "demo": ("Simulated X-rays", "What `python -m timnet simulate` wrote"),
}
_PLACE = "X-rays are not copied; uploaded ones are stored with the cohorts. "
_FACTS = f"{_PLACE}Report texts and identifiers are stored as they are: remove names before."
_FACTS_DICOM = (
    f"{_PLACE}Patients' and studies' numbers are replaced by keyed hashes; names, dates and long numbers "
    "that are recognised in reports are replaced by marks. What is burned into an X-ray's pixels stays."
)


def ask() -> None:
    """Show how imports stand, and a form for the next one."""
    for job in jobs.jobs():
        if job.state == "running":
            _running()
        elif job.state == "done":
            st.success(f"Imported: {notices.plain(job.name)}", icon=":material/check_circle:")
            st.text(job.message)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.page_link(
                    "pages/explore.py",
                    label=f"Explore {notices.plain(job.name)}",
                    icon=":material/search:",
                    query_params={"cohort": job.name},
                )
                _forget(job.name)
        else:
            # Many a reason begins with the cohort's name already.
            reason = job.message.removeprefix(f"{job.name}: ")
            st.error(f"{notices.plain(job.name)}: {notices.plain(reason)}", icon=":material/error:")
            _forget(job.name)
    _form()


def _forget(name: str) -> None:
    st.button("Dismiss", key=f"import_forget_{name}", on_click=jobs.forget, args=(name,))


@st.fragment(run_every=1.0)
def _running() -> None:
    for job in jobs.jobs():
        if job.state == "running":
            st.progress(job.share, f"Importing {notices.plain(job.name)}: {notices.plain(job.message)}")
            return
    # It has ended: the page shows its summary, and the cohort among the others.
    st.rerun()


def _form() -> None:
    if not config.importable():
        st.info("The operator of this app has turned imports from pages off.", icon=":material/block:")
        return
    kind = st.selectbox(
        "What it is", list(READERS), format_func=lambda each: READERS[each][0], key="import_kind"
    )
    st.caption(f"Expected: {notices.plain(READERS[kind][1])}")
    source = st.segmented_control(
        "Where it is", [FOLDER, UPLOAD], default=FOLDER, required=True, key="import_from"
    )
    folder, files = "", []
    if source == FOLDER:
        folder = st.text_input(
            "Folder, or the table in it" if kind == "csv" else "Folder",
            key="import_folder",
            placeholder=str(config.importable()[0]),
        )
    else:
        limit = f"{uploads.MAX_FILES:,} files, {uploads.MAX_TOTAL >> 20} MB unpacked"
        files = st.file_uploader(
            "X-rays and table, or a ZIP archive of them",
            accept_multiple_files=True,
            key="import_files",
            help=f"At most 32 MB a file, {limit}.",
        )
        notices.upload_refused()
    try:
        root = jobs.allowed_export(folder) if source == FOLDER and folder.strip() else None
        if root is not None and root.is_file() and kind != "csv":
            raise CohortError(f"import: expected a folder, got the file {root.name}")
        options = _options(kind, root, files)
    except TimnetError as error:
        st.error(notices.plain(str(error)), icon=":material/error:")
        return
    name = st.text_input("Name of the cohort", key="import_name", placeholder="our-x-rays", max_chars=64)
    st.caption(_FACTS_DICOM if kind == "dicom" else _FACTS)
    if st.button(
        "Start the import",
        key="import_go",
        type="primary",
        icon=":material/play_arrow:",
        disabled=options is None,
    ):
        with notices.sentences():
            if source == UPLOAD:
                root = uploads.keep([(file.name, file.getvalue()) for file in files], name)
            elif root is None:
                root = jobs.allowed(folder)
            jobs.start(kind, root.parent if root.is_file() else root, name, options)
        st.rerun()


def _options(kind: str, root: Path | None, files: Sequence[Any]) -> columns.Options | None:
    """Ask for a table and its columns where this kind of export has one; None while some are missing."""
    if kind not in ("csv", "dicom") or not (root or files):
        return {}
    if root is None:
        found: Mapping[str, columns.Head | Path] = columns.of_upload(files)
    else:
        found = {root.name: root} if root.is_file() else columns.of_folder(root)
    return columns.films(found) if kind == "csv" else columns.reports(found)
