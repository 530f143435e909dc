"""Which studies of a cohort are wanted: the search box and the filters, kept in the page's address.

Owns the widgets and their keys. A search may name a person: its words stay out of the address. A filter is
offered only where the cohort has something to filter by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from timnet.cohorts import search
from timnet.cohorts.search import Filters
from timnet.cohorts.store import Cohort
from timnet.counting import counted, verb
from timnet.ui import cache

ANY, NOT_STATED = "any", "not stated"
VALUES = {"present": 1.0, "absent": 0.0, "uncertain": -1.0, "not known": math.nan}
AGES = (0, 120)
LEFT_OUT = "words"
"""In the address where search words are left out of it."""
_SYNTAX = (
    'All words must occur. "A phrase", AND, OR, NOT or -word, brackets; effus* finds any ending. '
    "British and American spellings find each other, and so do abbreviations and what they stand for."
)


_ASSERTED = (
    "Leaves out studies whose report only denies the words, such as “No effusion”. Denials are recognised by "
    "simple rules, which can be wrong."
)


def denied(cohort: Cohort, wanted: Filters, found: int) -> str:
    """Return how many studies hold the searched words in denials alone, as a sentence; "" where none does."""
    query = wanted.get("query")
    if not query or "asserted" not in wanted:
        return ""
    other = cache.count(cohort, {**wanted, "asserted": not wanted["asserted"]})
    number = abs(other - found)
    words, is_complement = search.parsed(query)
    # Of a query with NOT the difference counts more than denials.
    if not number or is_complement or " NOT " in words:
        return ""
    studies = f"{counted(number, 'study')} that only {verb(number, 'denies', 'deny')} the words"
    return f"{'Left out' if wanted['asserted'] else 'Listed too'}: {studies}."


def choose(cohort: Cohort) -> Filters:
    """Ask for a search and filters; call it in a horizontal container."""
    summary, choices = cohort.summary(), cache.choices(cohort)
    query = st.text_input(
        "Words in the report",
        key="explore_query",
        type="search",
        placeholder='effusion -"pleural thickening"',
        help=_SYNTAX,
        disabled=not summary.with_findings,
        persist_state="session",
        width=260,
    )
    wanted: Filters = {"query": query or None}
    if query and cohort.tells_denials:
        wanted["asserted"] = st.toggle(
            "Not denied", value=True, key="explore_asserted", persist_state="session", help=_ASSERTED
        )
    wanted["label"] = _one("Label", summary.labels, "label", 165)
    if wanted["label"]:
        wanted["value"] = VALUES[
            st.selectbox("is", list(VALUES), key="value", bind="query-params", width=115)
        ]
    wanted["split"] = _one("Split", summary.splits, "split", 95)
    wanted["view"] = _one("View", choices.views, "view", 115)
    wanted["sex"] = _one("Sex", choices.sexes, "sex", 95)
    if choices.ages:
        ages = st.slider("Age in years", *AGES, AGES, key="age", bind="query-params", width=170)
        wanted["age"] = None if ages == AGES else ages
    if 0 < summary.with_findings < summary.studies:
        report = st.selectbox(
            "Report", [ANY, "with", "without"], key="report", bind="query-params", width=110
        )
        wanted["has_report"] = {"with": True, "without": False}.get(report)
    return wanted


def tell_left_out(wanted: Filters) -> None:
    """Mark an address whose search words are left out, and tell whoever opens it that they are."""
    state, address = st.session_state, st.query_params
    if wanted["query"]:
        address[LEFT_OUT] = "left-out"
        state["explore_searched"] = True
    elif state.get("explore_searched"):
        address.pop(LEFT_OUT, None)
    elif LEFT_OUT in address:
        st.info(
            "Search words were left out of this link, because they may name a person: it shows more studies "
            "than its sender saw. Ask for the words and search again.",
            icon=":material/search_off:",
        )


def _one(label: str, values: Sequence[str] | dict[str, int], key: str, width: int) -> str | None:
    """Ask for one value or any; "" is called by its meaning. Not asked where there is but one."""
    if (len(values) < 2 and key != "label") or not values:
        return None
    names = {value or NOT_STATED: value for value in values}
    chosen = st.selectbox(label, [ANY, *names], key=key, bind="query-params", width=width)
    return names.get(chosen)
