"""What a reader makes of the chosen study: one key a verdict, the next open study at once, undo.

Owns the reader's name in the session and the count of errors confirmed so far. Verdicts are kept in the
cohort (`cohorts.verdicts`).
"""

from __future__ import annotations

import streamlit as st

from timnet.cohorts import verdicts
from timnet.cohorts.records import CohortError
from timnet.counting import counted
from timnet.ui import notices
from timnet.ui.audit import listing
from timnet.ui.audit.listing import Listed
from timnet.ui.audit.scoring import Audit

KEYS = {
    verdicts.FITS: "f",
    verdicts.WRONG_REPORT: "w",
    verdicts.WRONG_SIDE: "s",
    verdicts.MISSED: "m",
    verdicts.INVENTED: "i",
    # A shortcut of Streamlit is a letter or a digit: no question mark.
    verdicts.CANNOT_TELL: "q",
}
UNDO = "u"
HELP = {
    verdicts.FITS: "The report describes this X-ray",
    verdicts.WRONG_REPORT: "The report is another patient's, or of another X-ray",
    verdicts.WRONG_SIDE: "The report says left where the X-ray shows right, or the other way round",
    verdicts.MISSED: "The X-ray shows something that the report does not say",
    verdicts.INVENTED: "The report says something that the X-ray does not show",
    verdicts.CANNOT_TELL: "This X-ray alone does not tell",
}
READER = "reader"
_REFUSED = "audit_refused"


def ask(audit: Audit, listed: Listed, row: int) -> None:
    """Show a button a verdict for the chosen study, and undo."""
    # It stays until the next key: a run that is cut short would show it to nobody.
    if refused := st.session_state.get(_REFUSED):
        st.error(notices.plain(refused), icon=":material/error:")
    study, film = str(listed.table["study"].iloc[row]), int(listed.table["film"].iloc[row])
    given = listed.judged.get(study)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="audit_verdicts"):
        for word, letter in KEYS.items():
            st.button(
                word.capitalize(),
                # Keys of this very film: one pressed twice says nothing of the next, which nobody has seen.
                key=f"audit_{letter}_{film}",
                shortcut=letter,
                type="primary" if word == given else "secondary",
                help=HELP[word],
                on_click=_judge,
                args=(audit, study, word, listed.following(row)),
            )
        st.button(
            "Undo",
            key="audit_undo",
            icon=":material/undo:",
            shortcut=UNDO,
            help="Take back your last verdict and see its study again",
            on_click=_undo,
            args=(audit,),
        )


def name() -> None:
    """Ask for the reader's name."""
    st.text_input(
        "Your name",
        key="audit_reader",
        placeholder=READER,
        max_chars=verdicts.LONGEST,
        persist_state="session",
        width=115,
        help="It is kept with your verdicts.",
    )


def score(audit: Audit, listed: Listed) -> None:
    """Show how many of the studies read so far are confirmed errors."""
    found = verdicts.precision(verdicts.latest(audit.cohort.folder), listed.table["study"].tolist())
    if not found.read:
        st.caption("No study of this list has a verdict yet.")
        return
    st.markdown(
        f"**{found.read:,} read, {found.confirmed:,} confirmed: precision so far {found.value:.2f} "
        f"({found.low:.2f} to {found.high:.2f})**",
        help="The share of the studies read whose report or side is wrong, with its 95 % interval. A study "
        "counts by its last verdict; one that nobody could tell is read and not confirmed.",
    )
    left = len(set(listed.table["study"]) - set(listed.judged)) if len(listed.table) < 10_000 else None
    if left is not None:
        st.caption(f"{counted(left, 'study')} of the list without a verdict.")


def reader() -> str:
    """Return the name that verdicts are kept under."""
    return str(st.session_state.get("audit_reader") or "").strip() or READER


def _judge(audit: Audit, study: str, word: str, following: int | None) -> None:
    st.session_state.pop(_REFUSED, None)
    try:
        verdicts.add(audit.cohort.folder, study, word, reader(), audit.network.name)
    except (CohortError, OSError) as error:
        st.session_state[_REFUSED] = f"{error}."
        return
    if following is not None:
        listing.go(following)


def _undo(audit: Audit) -> None:
    st.session_state.pop(_REFUSED, None)
    try:
        taken = verdicts.undo(audit.cohort.folder, reader())
    except (CohortError, OSError) as error:
        st.session_state[_REFUSED] = f"{error}."
        return
    if taken is None:
        st.session_state[_REFUSED] = f"There is no verdict by {reader()} to take back."
        return
    st.session_state[listing.LINKED] = taken.study
