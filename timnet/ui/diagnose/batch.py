"""Several films read by one classifier: which they are, how far it has come, their table, and the one opened.

Owns the choice (many uploads, or what filters leave of a cohort), the answers of this visitor's session, and
the table. A file that cannot be read, or that looks like no frontal chest film, is named in one sentence and
the others go on; the latter are read where that is wished. Answers hold no pixels: the film that is opened
is read again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import streamlit as st

from timnet import __version__, config, performance, spreadsheet
from timnet.cohorts.records import CohortError
from timnet.cohorts.search import Filters
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.films.film import INVERTED, LOOKS_INVERTED, Film, FilmError
from timnet.ui import cache, demo, download, filters, notices, panels, tables, uploaded
from timnet.ui.checkpoints import Checkpoint
from timnet.ui.film_picker import Chosen

UPLOAD, COHORT = "Upload", "From a cohort"
MOST = 500
"""Films of a cohort at a time."""
MOST_UPLOADS, MOST_MB = 50, 200
_KEPT = 5000
_NAMED = 8


@dataclass(frozen=True)
class Item:
    """A film that is to be read; `load` fetches it."""

    key: str
    """The same for the same film in one session."""
    name: str
    """What a reader knows it by: its file's name, or its study and number."""
    load: Callable[[], Film]
    simulated: bool = False
    cohort: str = ""
    """Its cohort's name; empty of an upload."""
    filters: str = ""
    """Those by which it was chosen from its cohort."""


@dataclass(frozen=True)
class Answer:
    """What came of a film: probabilities and fingerprints, why it was refused, or why it is in doubt."""

    sha256: str = ""
    weights_sha256: str = ""
    probabilities: Mapping[str, float] | None = None
    refused: str = ""
    doubt: str = ""


def choose(network: Checkpoint, key: str) -> Chosen:
    """Ask for films, read them when told to, show their table; the film is the opened row's, or None."""
    items = _items(key)
    if not items:
        return Chosen(None)
    answers = _answers(network)
    waiting = [each for each in items if each.key not in answers]
    if waiting:
        words = f"Read {counted(len(waiting), 'X-ray')}"
        if not _offer(network, waiting, answers, f"{key}_read_all", words):
            return Chosen(None)
        if len(answers) > _KEPT:
            for key_gone in set(answers) - {each.key for each in items}:
                del answers[key_gone]
    doubted = _doubted(items, answers)
    words = f"Read {counted(len(doubted), 'image')} that may not be a frontal chest X-ray anyway"
    _offer(network, doubted, answers, f"{key}_read_doubted", words, anyway=True)
    inverted = [each for each in _doubted(items, answers) if answers[each.key].doubt == LOOKS_INVERTED]
    words = f"Read {counted(len(inverted), 'X-ray')} that may be inverted (bone dark) with bone bright"
    _offer(network, inverted, answers, f"{key}_read_inverted", words, invert=True)
    results = [answers[each.key] for each in items]
    refused = [each.refused for each in results if each.refused]
    for sentence in refused[:_NAMED]:
        st.warning(notices.plain(sentence), icon=":material/block:")
    if len(refused) > _NAMED:
        st.caption(f"{len(refused) - _NAMED} more could not be read: the table's last column names each.")
    opened = _table(items, results, network, key)
    if opened is None:
        return Chosen(None)
    st.text(f"Opened: {opened.name}")
    return Chosen(opened.load(), simulated=opened.simulated)


def is_simulated(key: str) -> bool:
    """Say whether the films are simulated, as they were chosen last."""
    names = demo.cohorts()
    if st.session_state.get(f"{key}_from") != COHORT or not names:
        return False
    name = st.session_state.get(f"{key}_films_cohort")
    return demo.simulated(cache.cohort(name if name in names else names[0]))


def table(
    items: Sequence[Item], results: Sequence[Answer], labels: Sequence[str], network: str, worth: str
) -> pd.DataFrame:
    """Return one row a film: its name, a probability a label, why it was refused, and what it comes from.

    Args:
        worth: what the network was worth on real X-rays, in a sentence.
    """
    first: dict[str, list[object]] = {"film": [each.name for each in items]}
    last: dict[str, list[object]] = {
        "refused": [each.refused for each in results],
        "doubt": [each.doubt for each in results],
        "film sha256": [each.sha256 for each in results],
        "network": [network] * len(results),
        "weights sha256": [each.weights_sha256 for each in results],
        "worth": [worth] * len(results),
        "cohort": [each.cohort for each in items],
        "settings": [each.filters for each in items],
        "timnet": [__version__] * len(results),
        "note": [config.RESEARCH_USE] * len(results),
    }
    # A label of the name of another column keeps both.
    names = {label: f"label {label}" if label in first | last else label for label in labels}
    columns = {
        name: [(each.probabilities or {}).get(label, math.nan) for each in results]
        for label, name in names.items()
    }
    return pd.DataFrame(first | columns | last)


@st.cache_resource(max_entries=2, scope="session", hash_funcs=cache.KEYS, show_spinner=False)
def _answers(network: Checkpoint) -> dict[str, Answer]:
    """Return what a classifier has said of films in this session; what was broken off goes on from it."""
    return {}


def _items(key: str) -> list[Item]:
    names = demo.cohorts()
    source = UPLOAD
    if names:
        source = st.segmented_control(
            "X-rays",
            [UPLOAD, COHORT],
            default=UPLOAD,
            required=True,
            key=f"{key}_from",
            persist_state="session",
        )
    if source == UPLOAD:
        return _uploads(key)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Cohort", names, key=f"{key}_films_cohort", width=150)
        cohort = cache.cohort(name)
        wanted = filters.choose(cohort)
    return _of_cohort(cohort, wanted)


def _uploads(key: str) -> list[Item]:
    files = uploaded.uploads(key, MOST_UPLOADS, MOST_MB)
    if not files:
        st.info("Next: upload X-rays.", icon=":material/arrow_upward:")
    return [Item(file.id, file.name, partial(cache.uploaded, file.data, file.name)) for file in files]


def _of_cohort(cohort: Cohort, wanted: Filters) -> list[Item]:
    found = cache.count(cohort, wanted)
    studies = cohort.studies(**wanted, limit=MOST)["study"]
    rows = cohort.films_of(studies.tolist())
    frontal = rows[rows["view"].fillna("").str.upper() != "LATERAL"]
    first = frontal[:MOST]
    words = f"{counted(found, 'study')}; {counted(len(first), 'X-ray')} to read here, lateral ones left out."
    if found > MOST or len(frontal) > MOST:
        words += f" At most {MOST} at a time: narrow down by the filters."
    st.caption(words)
    if not len(first):
        st.info("No X-ray fits. Use fewer words or another filter.", icon=":material/search_off:")
    demo.badge(demo.simulated(cohort))
    return [
        Item(
            f"{cohort.folder} {cohort.identity} {film}",
            f"{study}, X-ray {film}",
            partial(cache.cohort_film, cohort, film, view),
            demo.simulated(cohort),
            cohort.name,
            spreadsheet.in_words(wanted),
        )
        for film, study, view in zip(
            first["film"].tolist(), first["study"], first["view"].fillna(""), strict=True
        )
    ]


def _doubted(items: Sequence[Item], answers: Mapping[str, Answer]) -> list[Item]:
    """Return the films that were not read because they are in doubt."""
    return [each for each in items if answers[each.key].doubt and not answers[each.key].probabilities]


def _offer(
    network: Checkpoint,
    items: Sequence[Item],
    answers: dict[str, Answer],
    key: str,
    words: str,
    *,
    anyway: bool = False,
    invert: bool = False,
) -> bool:
    """Offer to read films, where there are some, and read them when told to; say whether that was done."""
    if not items:
        return False
    place, icon = st.empty(), "invert_colors" if invert else "play_arrow"
    first = not (anyway or invert)
    if not place.button(words, key=key, type="primary" if first else "secondary", icon=f":material/{icon}:"):
        return False
    if invert:
        st.session_state.update({cache.invert_key(answers[each.key].sha256): True for each in items})
    with place:
        _read(network, items, answers, anyway)
    return True


def _read(
    network: Checkpoint, waiting: Sequence[Item], answers: dict[str, Answer], anyway: bool = False
) -> None:
    """Read films one by one; what is done stays done when the page is left meanwhile."""
    bar = st.progress(0.0, "Loading the network …")
    reader = cache.reader(network)
    for done, each in enumerate(waiting):
        bar.progress(done / len(waiting), f"X-ray {done + 1} of {len(waiting)} …")
        try:
            film = each.load()
            doubt = cache.doubt(film)
            if doubt and not anyway:
                answers[each.key] = Answer(film.sha256, refused=f"{each.name}: {doubt}", doubt=doubt)
                continue
            reading = reader.read(film)
        except (FilmError, CohortError) as error:
            answers[each.key] = Answer(refused=str(error))
        else:
            doubt = doubt or INVERTED * (INVERTED in film.notes)
            answers[each.key] = Answer(
                reading.film.sha256, reading.weights_sha256, reading.probabilities, doubt=doubt
            )
    bar.empty()


def _table(items: Sequence[Item], results: Sequence[Answer], network: Checkpoint, key: str) -> Item | None:
    """Show the table and return the film whose row is open: at first the first that could be read."""
    worth = performance.trust_of(network.folder)
    panels.trust(worth, network.card)
    whole = table(items, results, network.labels, network.name, worth)
    readable = [row for row, each in enumerate(results) if each.probabilities is not None]
    labels = [name for name in whole.columns if pd.api.types.is_float_dtype(whole[name])]
    rows = tables.show(
        whole,
        f"{key}_films",
        "X-rays that were read, one row an X-ray, with the probability of each label",
        column_order=["film", *(["refused"] if len(readable) < len(results) else []), *labels],
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": readable[:1] or [0]}},
        column_config={
            "film": st.column_config.TextColumn("X-ray", pinned=True),
            "refused": st.column_config.TextColumn("Why it was not read"),
            **{name: st.column_config.NumberColumn(format="%.3f") for name in labels},
        },
    ).selection.rows
    with st.container(horizontal=True, vertical_alignment="center"):
        table_csv = partial(spreadsheet.safe_csv, whole)
        download.offer("Table (CSV)", table_csv, "timnet-diagnose.csv", f"{key}_films_csv")
        st.caption(
            f"{len(readable)} of {counted(len(results), 'X-ray')} read. Choose a row to see its X-ray and "
            "maps below; click a heading to sort. The CSV names each X-ray as its file was named."
        )
    row = rows[0] if rows and rows[0] < len(items) else (readable or [0])[0]
    if row not in readable:
        st.info("This X-ray could not be read: choose another row.", icon=":material/block:")
        return None
    return items[row]
