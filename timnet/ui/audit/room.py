"""The chosen study as the reading room shows it: X-ray and map, why it stands here, its report by sentences.

Owns which map lies over the X-ray: the whole report's, or that of a sentence that was clicked.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from timnet import config
from timnet.counting import counted
from timnet.errors import TimnetError
from timnet.ui import cache, demo, notices, panels, report, sentence_list, viewer
from timnet.ui.audit.scoring import Asked

if TYPE_CHECKING:
    from timnet.cohorts.records import Study
    from timnet.films.film import Film
    from timnet.reading import Reading

HEIGHT = 480
"""Of the X-ray, in pixels of the page."""
_WARM = "audit_warm"
LEFT_TO_THE_PAGE = "wi"
"""Letters of the viewer's that are verdicts here."""


def show(asked: Asked, pair: pd.Series[Any]) -> None:
    """Show the study of a row of the list."""
    number = int(pair["film"])
    study, film = _opened(asked, number)
    # Side by side where there is room for both, else one below the other.
    room = st.grid(8, min_column_width=70, gap="small")
    pictures, words = room.cell(column_span=5).empty(), room.cell(column_span=3)
    with words:
        _named(asked, study)
    if not st.session_state.get(_WARM):
        # The network is loaded and the X-ray is looked at meanwhile.
        with pictures.container():
            viewer.show(viewer.View(film), key="audit_first", height=HEIGHT, leave=LEFT_TO_THE_PAGE)
    reading = cache.reading(asked.network, film, study.findings)
    st.session_state[_WARM] = True
    with words:
        why = st.container()
        _standing(pair, reading)
        name = _sentences(reading, number)
        panels.trust(reading)
        with st.expander("Whole report", icon=":material/article:"):
            report.show(study.report, None, key="audit_report")
        st.page_link(
            "pages/match.py",
            label="Open in Match",
            icon=":material/compare:",
            query_params={"match_cohort": asked.cohort.name, "match_film": str(number)},
        )
    with pictures.container():
        viewer.show(
            panels.painted(reading, name, ""),
            key="audit_viewer",
            height=HEIGHT,
            leave=LEFT_TO_THE_PAGE,
        )
        st.caption(f":material/info: {notices.MAP}")
    with why:
        _why(asked, pair, reading, film, study.findings)


def prepare(asked: Asked, film: int) -> None:
    """Read the study that comes next while this one is looked at."""
    # What is wrong with it is said when it comes.
    with suppress(TimnetError, OSError):
        study, picture = _opened(asked, film)
        cache.reading(asked.network, picture, study.findings)


def _opened(asked: Asked, film: int) -> tuple[Study, Film]:
    study = asked.cohort.study_of(film)
    view = next(each.view for each in study.films if each.film == film)
    return study, cache.cohort_film(asked.cohort, film, view)


def _named(asked: Asked, study: Study) -> None:
    """Show which study it is."""
    st.text(f"Study {study.study}, patient {study.patient}" + (f", {study.split}" if study.split else ""))
    if demo.simulated(asked.cohort):
        demo.badge()
    learned = asked.network.settings
    cohorts = learned.cohorts if isinstance(learned, config.Pretrain) else ()
    if study.split == "train" and asked.cohort.name in (Path(cohort).name for cohort in cohorts):
        st.caption("The network learned from this study, and perhaps its error, too.")


def _standing(pair: pd.Series[Any], reading: Reading) -> None:
    """Show the match, and how many strangers' reports and X-rays do worse."""
    assert reading.match is not None
    st.markdown(
        f"Match probability **{reading.match:.2f}**: better than **{pair['among_reports']:.0%}** of other "
        f"patients' reports with this X-ray, and than **{pair['among_films']:.0%}** of other patients' "
        "X-rays with this report."
    )


def _why(asked: Asked, pair: pd.Series[Any], reading: Reading, film: Film, findings: str) -> None:
    """Show in words why the pair may not fit; what the scoring did not look into is looked into now."""
    told = str(pair["told"])
    if not told:
        edited = cache.edited(asked.network, film, findings)
        explained = reading.explained(edited.edits).explanation
        told = explained.sentence if explained else ""
    lines = [f"**{notices.plain(told)}**"] if told else []
    for column, words in (("denied", "denied by the report"), ("not_named", "not named in the report")):
        if pair[column]:
            labels = notices.plain(str(pair[column]).replace("_", " ").lower())
            lines.append(f"Likely to the classifier, {words}: **{labels}**.")
    st.markdown("  \n".join(lines))


def _sentences(reading: Reading, film: int) -> str:
    """Show the sentences and return the map that is asked for."""
    st.caption(
        f"{reading.section.capitalize()} in {counted(len(reading.sentences), 'sentence')}, each with its own "
        "match. Click one to see its map."
    )
    chosen = sentence_list.show(reading.sentences, key=f"audit_sentences_{film}")
    if reading.long_text:
        st.caption(notices.plain(reading.long_text))
    if chosen is None:
        return "match"
    # A single sentence is the whole text and has no map of its own.
    sentence = reading.sentences[chosen][0]
    return sentence if sentence in reading.maps else "match"
