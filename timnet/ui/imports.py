"""Bringing a cohort in from a page: from a folder of this computer, or uploaded.

Owns the form and the progress of imports that pages have started. The work is done by a process of its own
(`cohorts.jobs`), so that no other visitor waits, and closing the page ends nothing.
"""

from __future__ import annotations

import streamlit as st

from timnet import config
from timnet.cohorts import jobs, uploads
from timnet.ui import notices

FOLDER, UPLOAD = "A folder of this computer", "Upload"
READERS = {
    "csv": ("A table and its films", "A CSV or TSV table, one row a film: path, report, patient, labels"),
    "mimic": ("MIMIC-CXR-JPG", "files/ and mimic-cxr-2.0.0-*.csv.gz, with the reports of MIMIC-CXR"),
    "dicom": ("A PACS export (DICOM)", "Any folder of DICOM files; reports as structured reports or a table"),
    "nih": ("NIH ChestX-ray14", "images/ and Data_Entry_2017_v2020.csv"),
    "open_i": ("Open-i", "indiana_reports.csv and indiana_projections.csv, or ecgen-radiology/"),
    "mendeley": ("Mendeley-V2", "train, val or test / NORMAL or PNEUMONIA"),
    "demo": ("Simulated films", "What `python -m timnet simulate` wrote"),
}
_PLACE = "Films stay where they are; uploaded ones are kept beside the cohorts. "
_FACTS = (
    f"{_PLACE}Report texts and identifiers of the export go into the cohort as they are: take names out "
    "before."
)
_FACTS_DICOM = (
    f"{_PLACE}Patients' and studies' numbers are replaced by keyed hashes; names, dates and long numbers "
    "that are recognised in reports are replaced by marks. What is burned into a film's pixels stays."
)


def ask() -> None:
    """Show how imports stand, and a form for the next one."""
    for job in jobs.jobs():
        if job.state == "running":
            _running()
        elif job.state == "done":
            with st.expander(f"Imported: {notices.plain(job.name)}", icon=":material/check_circle:"):
                st.text(job.told)
                _forget(job.name)
        else:
            st.error(f"{notices.plain(job.name)}: {notices.plain(job.told)}", icon=":material/error:")
            _forget(job.name)
    shown = st.expander(
        "Import a cohort", icon=":material/create_new_folder:", key="import_open", on_change="rerun"
    )
    if shown.open:
        with shown:
            _form()


def _forget(name: str) -> None:
    st.button("Take off this list", key=f"import_forget_{name}", on_click=jobs.forget, args=(name,))


@st.fragment(run_every=1.0)
def _running() -> None:
    for job in jobs.jobs():
        if job.state == "running":
            st.progress(job.share, f"Importing {notices.plain(job.name)}: {notices.plain(job.told)}")
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
        folder = st.text_input("Folder", key="import_folder", placeholder=str(config.importable()[0]))
    else:
        limit = f"{uploads.MAX_FILES:,} files, {uploads.MAX_TOTAL >> 20} MB unpacked"
        files = st.file_uploader(
            "Films and table, or a ZIP archive of them",
            accept_multiple_files=True,
            key="import_files",
            help=f"At most 32 MB a file, {limit}.",
        )
    name = st.text_input("Name of the cohort", key="import_name", placeholder="our-films", max_chars=64)
    options: dict[str, str | list[str]] = {}
    if kind == "csv":
        labels = st.text_input(
            "Label columns, separated by commas", key="import_labels", placeholder="Effusion, Pneumonia"
        )
        listed = [label.strip() for label in labels.split(",") if label.strip()]
        options = {"labels": listed} if listed else {}
    if kind == "dicom":
        table = st.text_input(
            "File name of the table of reports, if there is one in the folder",
            key="import_reports",
            placeholder="reports.csv",
            help="A row a report: accession number or study UID, and the text.",
        )
        options = {"reports": table.strip()} if table.strip() else {}
    st.caption(_FACTS_DICOM if kind == "dicom" else _FACTS)
    if st.button("Start the import", key="import_go", type="primary", icon=":material/play_arrow:"):
        with notices.sentences():
            if source == FOLDER:
                root = jobs.allowed(folder)
            else:
                root = uploads.keep([(file.name, file.getvalue()) for file in files], name)
            jobs.start(kind, root, name, options)
        st.rerun()
