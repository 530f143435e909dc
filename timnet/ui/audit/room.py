"""The chosen study as the reading room shows it: X-ray and map, why it stands here, its report by sentences.

Owns what stands beside the X-ray; which map lies over it is `reading_room`'s.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from timnet import config
from timnet.errors import TimnetError
from timnet.reports import report_text
from timnet.ui import cache, demo, notices, panels, reading_room, report, viewer
from timnet.ui.audit.scoring import Audit

if TYPE_CHECKING:
    from timnet.cohorts.records import Study
    from timnet.films.film import Film
    from timnet.reading import Reading

LEFT_TO_THE_PAGE = "wi"
"""Letters of the viewer's that are verdicts here."""


def show(audit: Audit, pair: pd.Series[Any]) -> None:
    """Show the study of a row of the list."""
    number = int(pair["film"])
    study, film = cache.study_film(audit.cohort, number)
    # Side by side where there is room for both beside the list, else one below the other.
    room = st.grid(8, min_column_width=70, gap="small")
    pictures, words = room.cell(column_span=5), room.cell(column_span=3)
    with words:
        _named(audit, study)
    place = pictures.empty()
    reading_room.first(place, film, "audit", leave=LEFT_TO_THE_PAGE)
    reading = cache.reading(audit.network, film, study.findings)
    # Its findings were taken from its report at the import.
    reading = replace(reading, section=report_text.extract(study.report).section)
    name = reading_room.chosen(reading, "audit")
    with words:
        why = st.container()
        _standing(pair, reading)
        reading_room.sentences(reading, "audit")
        panels.trust(reading.trust, reading.card)
        with st.expander("Whole report", icon=":material/article:"):
            report.show(study.report, None, key="audit_report")
        st.page_link(
            "pages/match.py",
            label="Open in Match",
            icon=":material/compare:",
            query_params={"match_cohort": audit.cohort.name, "match_film": str(number)},
        )
    with place.container():
        viewer.show(
            panels.painted(reading, name, ""),
            key="audit_viewer",
            height=reading_room.HEIGHT,
            leave=LEFT_TO_THE_PAGE,
        )
        st.caption(f":material/info: {notices.MAP}")
    with why:
        _why(audit, pair, reading, film, study.findings)


def prepare(audit: Audit, film: int) -> None:
    """Read the study that comes next while this one is looked at."""
    # What is wrong with it is said when it comes.
    with suppress(TimnetError, OSError):
        study, picture = cache.study_film(audit.cohort, film)
        cache.reading(audit.network, picture, study.findings)


def _named(audit: Audit, study: Study) -> None:
    """Show which study it is."""
    st.text(f"Study {study.study}, patient {study.patient}" + (f", {study.split}" if study.split else ""))
    demo.badge(demo.simulated(audit.cohort))
    learned = audit.network.settings
    cohorts = learned.cohorts if isinstance(learned, config.Pretrain) else ()
    if study.split == "train" and audit.cohort.name in (Path(cohort).name for cohort in cohorts):
        st.caption("The network learned from this study, and perhaps its error, too.")


def _standing(pair: pd.Series[Any], reading: Reading) -> None:
    """Show the match, and how many strangers' reports and X-rays do worse."""
    assert reading.match is not None
    st.markdown(
        f"Match probability **{reading.match:.2f}**: better than **{pair['among_reports']:.0%}** of other "
        f"patients' reports with this X-ray, and than **{pair['among_films']:.0%}** of other patients' "
        "X-rays with this report."
    )


def _why(audit: Audit, pair: pd.Series[Any], reading: Reading, film: Film, findings: str) -> None:
    """Show in words why the pair may not fit; what the scoring did not look into is looked into now."""
    sentence = str(pair["told"])
    if not sentence:
        edited = cache.edited(audit.network, film, findings)
        explained = reading.explained(edited.edits).explanation
        sentence = explained.sentence if explained else ""
    lines = [f"**{notices.plain(sentence)}**"] if sentence else []
    for column, words in (("denied", "denied by the report"), ("not_named", "not named in the report")):
        if pair[column]:
            labels = notices.plain(str(pair[column]).replace("_", " ").lower())
            lines.append(f"Likely to the classifier, {words}: **{labels}**.")
    st.markdown("  \n".join(lines))
