"""A report on a page: its sections in order, and in them the words that were searched for.

Whatever a report says is shown as the text it is; browser/report.js sets it by textContent alone.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from timnet.cohorts import highlight
from timnet.reports import report_text

_BROWSER = Path(__file__).parent / "browser"
_REPORT = st.components.v2.component(
    "timnet_report",
    html='<article class="report"\n aria-label="Report of the study"></article>',
    css=(_BROWSER / "report.css").read_text(encoding="utf-8"),
    js=(_BROWSER / "report.js").read_text(encoding="utf-8"),
)


def show(text: str, query: str | None, key: str) -> None:
    """Show a report by its sections, with the words of a search marked.

    Raises:
        CohortError: the query cannot be read.
    """
    bodies = {title: body for title, body in report_text.sections(text).items() if body.strip()}
    # What is searched is findings and impression; a text without them is searched as a whole.
    searched = list(filter(report_text.is_searched, bodies)) or list(bodies)
    found = dict(zip(searched, highlight.found([bodies[title] for title in searched], query), strict=True))
    sections = [
        {"title": title.capitalize(), "pieces": found.get(title, [(body, False)])}
        for title, body in bodies.items()
    ]
    _REPORT(data={"sections": sections}, key=key)
