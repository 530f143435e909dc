"""What is audited and by what, and the process that scores it: chosen, started and followed here.

Owns the choices of cohort, network and classifier, which the address holds too, and the line that says how
far the scoring is. The scoring is a process of its own: the page never waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from timnet.cohorts import audits
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.ui import background, cache, checkpoints, demo, notices
from timnet.ui.checkpoints import Checkpoint

NONE = "none"
LINK = ("cohort", "network", "study")
"""What the address holds."""
LINKED = "audit_linked"
"""Key of the session: the study that is to be opened, "" for the first of the list."""
_SHOWN = "audit_told"


@dataclass(frozen=True)
class Audit:
    """One audit: a cohort by a network, and a classifier whose labels are held against the reports."""

    cohort: Cohort
    network: Checkpoint
    classifier: Checkpoint | None

    @property
    def folder(self) -> Path:
        """Return where the audit is kept."""
        return audits.place(self.cohort, self.network.folder)

    def start(self, top: int) -> None:
        """Start the process that scores it, and gives reasons of the first `top` pairs."""
        classifier = self.classifier.folder if self.classifier else None
        audits.start(self.cohort, self.network.folder, classifier, top)


def choose(cohorts: list[str], networks: list[Checkpoint]) -> tuple[Audit, Any]:
    """Ask for cohort, network and classifier, in a bar that is returned; a link may have chosen before."""
    _handed_over(cohorts, [each.name for each in networks])
    if st.session_state.get("audit_cohort") not in cohorts:
        st.session_state["audit_cohort"] = demo.NAME if demo.NAME in cohorts else cohorts[0]
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="audit_choices")
    with bar:
        name = st.selectbox(
            "Cohort", cohorts, key="audit_cohort", persist_state="session", width=110, on_change=_anew
        )
        cohort = cache.cohort(name)
        network = _network(cohort, networks)
        classifiers = checkpoints.listed("classifier")
        classifier = _classifier(cohort, classifiers) if classifiers else None
        audit = Audit(cohort, network, classifier)
        _start(audit)
    return audit, bar


def tell(audit: Audit, study: str) -> None:
    """Put what is shown into the address: a reload, or whoever gets the link, comes back to it."""
    shown = dict(zip(LINK, (audit.cohort.name, audit.network.name, study), strict=True))
    st.session_state[_SHOWN] = shown
    if st.query_params.to_dict() != shown:
        st.query_params.from_dict(shown)


def follow(audit: Audit) -> audits.State:
    """Show how far the scoring is, or why it stopped; return its state."""
    state = audits.state(audit.folder)
    if state.name == "working":
        background.follow(
            lambda: audits.state(audit.folder), background.phase, lambda now: now.ranked != state.ranked
        )
    elif state.name == "stopped":
        background.stopped(state, "The scoring stopped; nothing that is done is lost.")
    return state


def offer_more(audit: Audit, pairs: int) -> None:
    """Offer the reasons of the next pairs of the list, where some of it has none."""
    known = len(audits.notes(audit.folder, audits.REASONS))
    if known >= pairs or audits.state(audit.folder).name != "complete":
        return
    st.button(
        f"Look for reasons of {min(audits.TOP, pairs - known):,} more",
        key="audit_more",
        help=f"Why a report may not fit is worked out for the first {known:,} of the list.",
        on_click=audit.start,
        args=(known + audits.TOP,),
    )


def _start(audit: Audit) -> None:
    """Offer to start the scoring, or what is missing of it."""
    state = audits.state(audit.folder)
    if state.name == "working":
        return
    label, kind = f"Score {counted(audit.cohort.summary().studies, 'study')}", "primary"
    if state.name == "stopped" and state.message:
        label = "Go on"
    elif state.name == "complete":
        if audit.classifier is None or audits.notes(audit.folder, audits.labels(audit.classifier.folder)):
            return
        label, kind = "Look for findings", "secondary"
    # Started before the page is drawn: what stands above may run the page anew before it comes to here.
    st.button(
        label,
        key="audit_start",
        type=kind,  # type: ignore[arg-type]
        icon=":material/play_arrow:",
        on_click=audit.start,
        args=(audits.TOP,),
    )


def _anew() -> None:
    """Forget which study is open: another list has others."""
    st.session_state[LINKED] = ""


def _network(cohort: Cohort, networks: list[Checkpoint]) -> Checkpoint:
    by_name = {each.name: each for each in networks}
    if "audit_network" not in st.session_state:
        st.session_state["audit_network"] = checkpoints.meant(networks, demo.simulated(cohort)).name
    name = st.selectbox(
        "Matching network",
        list(by_name),
        format_func=lambda each: by_name[each].title,
        key="audit_network",
        persist_state="session",
        width=150,
        on_change=_anew,
    )
    return by_name.get(str(name), networks[0])


def _classifier(cohort: Cohort, classifiers: list[Checkpoint]) -> Checkpoint | None:
    by_name = {each.name: each for each in classifiers}
    wanted = "findings, simulated X-rays" if demo.simulated(cohort) else "findings, adults"
    meant = [each.name for each in classifiers if each.card and wanted in each.card.recommended_for]
    names = [*meant, *(name for name in by_name if name not in meant), NONE]
    name = st.selectbox(
        "Classifier",
        names,
        format_func=lambda each: by_name[each].title if each in by_name else "None",
        # Of the cohort: another one's X-rays may need another classifier.
        key=f"audit_classifier_{'simulated' if demo.simulated(cohort) else 'real'}",
        persist_state="session",
        width=160,
        help="What it finds likely is held against the reports at the head of the list.",
    )
    return by_name.get(str(name))


def _handed_over(cohorts: list[str], networks: list[str]) -> None:
    """Take what the address names, unless this page has put it there itself."""
    linked = {name: st.query_params.get(name, "") for name in LINK}
    if linked == st.session_state.get(_SHOWN):
        return
    for name, known in (("cohort", cohorts), ("network", networks)):
        if linked[name] in known:
            st.session_state[f"audit_{name}"] = linked[name]
        elif linked[name]:
            notices.not_here(name, linked[name])
            return
    if any(linked.values()):
        st.session_state[LINKED] = linked["study"]
