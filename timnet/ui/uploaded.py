"""A visitor's own X-rays: uploaded once, for Match and Diagnose alike.

They last until they are removed or the session ends. Streamlit forgets a file uploader when another page
opens, and cannot fill it again: the bytes are in the session's state, and files from before are listed with a
button that removes them. Nothing of them stands in the address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from timnet.counting import counted
from timnet.films import sandbox
from timnet.ui import notices

ONE, SECOND, SEVERAL = "own_image", "own_second_image", "own_images"
"""Keys of the session's state."""
UPLOAD, COHORT = "upload", "cohort"
"""Where the X-ray that a page shows comes from."""
SOURCES = ("match_source", "diagnose_source")
"""Keys of the session that hold it."""
_CLEARED = "own_cleared"


@dataclass(frozen=True)
class File:
    """An uploaded file."""

    id: str
    """Unique within a session."""
    name: str
    data: bytes


def upload(key: str) -> File | None:
    """Ask for an X-ray and return its file, or None while there is none."""
    files = _upload(f"{key}_upload", ONE, "Chest X-ray", "PNG, JPEG or DICOM, up to 32 MB.")
    if not files:
        # While somebody chooses a file.
        sandbox.prepare()
    return files[0] if files else None


def upload_second(key: str) -> File | None:
    """Ask for another X-ray of the same patient and return its file, or None while there is none."""
    files = _upload(
        f"{key}_second", SECOND, "Another X-ray of the patient", "PNG, JPEG or DICOM, up to 32 MB."
    )
    return files[0] if files else None


def uploads(key: str, most: int, megabytes: int) -> list[File]:
    """Ask for several X-rays, so many at most and of that size together, and return their files."""
    limits = f"PNG, JPEG or DICOM, up to {counted(most, 'file')} and {megabytes} MB together."
    return _upload(f"{key}_uploads", SEVERAL, "Chest X-rays", limits, (most, megabytes))


def list_anew() -> None:
    """List all uploads as uploaded before: an uploader that comes back on a page lists none."""
    if any(st.session_state.get(state) for state in (ONE, SECOND, SEVERAL)):
        st.session_state[_CLEARED] = st.session_state.get(_CLEARED, 0) + 1


def new(*texts: str) -> None:
    """Offer to remove all uploaded files and the texts of these keys."""
    held = [state for state in (ONE, SECOND, SEVERAL, *texts) if st.session_state.get(state)]

    def clear() -> None:
        st.session_state.update({state: "" if state in texts else [] for state in held})
        st.session_state.update(dict.fromkeys(SOURCES, UPLOAD))
        # An uploader can be emptied by another key alone.
        st.session_state[_CLEARED] = st.session_state.get(_CLEARED, 0) + 1

    st.button(
        "New",
        key="own_new",
        icon=":material/restart_alt:",
        on_click=clear,
        disabled=not held,
        help="Remove the uploaded X-rays and the pasted report",
    )


def _upload(
    widget: str, state: str, label: str, limits: str, bounds: tuple[int, int] | None = None
) -> list[File]:
    several, cleared = bounds is not None, st.session_state.get(_CLEARED, 0)
    widget = f"{widget}_{cleared}" if cleared else widget

    def changed() -> None:
        """Put the uploader's files into the state: those it had before give way to those it has now."""
        now = _listed(st.session_state[widget])
        before = st.session_state[listed]
        earlier = [each for each in st.session_state.get(state, []) if several and each.id not in before]
        wanted = earlier + [_file(each) for each in now]
        if state == ONE:
            st.session_state.update(dict.fromkeys(SOURCES, UPLOAD))
        # What is refused below is not held either.
        st.session_state[state] = wanted if _refusal(wanted, bounds) is None else earlier

    def remove() -> None:
        st.session_state[state] = [each for each in files if each.id in st.session_state[listed]]

    listed = f"{widget}_listed"
    uploader = st.file_uploader(
        label,
        label_visibility="visible" if several else "collapsed",
        # Any name is let in: DICOM files often have no extension, and what a file is, its content says.
        key=widget,
        accept_multiple_files=several,
        on_change=changed,
        help=f"{limits} It stays in this computer's memory until you remove it or close the app, and is not "
        "saved.",
    )
    notices.upload_refused()
    shown = _listed(uploader)
    # What this uploader itself lists, with a cross beside each.
    st.session_state[listed] = {each.file_id for each in shown}
    files: list[File] = st.session_state.get(state, [])
    earlier = [each for each in files if each.id not in st.session_state[listed]]
    if earlier:
        with st.container(horizontal=True, vertical_alignment="center", key=f"{widget}_earlier"):
            many = f"{counted(len(earlier), 'X-ray')} uploaded before"
            st.text(earlier[0].name if len(earlier) == 1 else many)
            st.button("Remove", key=f"{widget}_remove", icon=":material/close:", on_click=remove)
    if refusal := _refusal(earlier + [_file(each) for each in shown], bounds):
        notices.refused(refusal)
    return files


def _listed(value: Any) -> list[UploadedFile]:
    """Return an uploader's files, of whichever kind it is."""
    return value if isinstance(value, list) else [value] if value else []


def _file(uploaded: UploadedFile) -> File:
    # `getvalue` shares the bytes: nothing is held twice.
    return File(uploaded.file_id, uploaded.name, uploaded.getvalue())


def _refusal(files: list[File], bounds: tuple[int, int] | None) -> str | None:
    """Return why a session does not hold so many files, or such large ones; None where it does."""
    size = sum(len(each.data) for each in files) / 2**20
    if bounds is None or (len(files) <= bounds[0] and size <= bounds[1]):
        return None
    return (
        f"uploads: expected at most {counted(bounds[0], 'file')} of {bounds[1]} MB together, got "
        f"{len(files)} of {size:.0f} MB; X-rays on this computer's disk are better imported as a cohort"
    )
