"""Where a match stands among mismatched reports: the same film with reports of other patients of a cohort.

Owns the sample of reports and their vectors, which are worked out once for a cohort and a network, a few at
each look, so that no page waits for all of them. The film's own study is never among them.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from timnet.cohorts import pairs
from timnet.cohorts.store import Cohort
from timnet.counting import counted
from timnet.plots import bars
from timnet.reports import report_text as reports
from timnet.ui import cache, chart, film_picker, notices
from timnet.ui.checkpoints import Checkpoint

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from torch import Tensor

    from timnet.films.film import Film
    from timnet.reader import Reader
    from timnet.reading import Reading

NUMBER = 200
"""Reports that a film is held against, where the cohort has so many."""
FEWEST = 20
"""Reports below which no share is told."""
SECONDS = 1.0
"""How long one look may work out vectors."""
_AT_ONCE = 8


@dataclass
class Sample:
    """Reports of a cohort and, as far as they are worked out, their vectors; shared by all visitors."""

    reports: tuple[pairs.Report, ...]
    _parts: list[Tensor] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def done(self) -> int:
        """Return how many reports have their vector."""
        return sum(len(part) for part in self._parts)

    @property
    def complete(self) -> bool:
        """Return whether all have."""
        return self.done == len(self.reports)

    def grow(self, reader: Reader, seconds: float) -> None:
        """Work out vectors for about so long; who finds another at it leaves it to that one."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.complete and self._lock.acquire(blocking=False):
            try:
                part = self.reports[self.done : self.done + _AT_ONCE]
                if part:
                    self._parts.append(reader.matcher.text_vectors([report.findings for report in part]))
            finally:
                self._lock.release()

    def vectors(self) -> Tensor:
        """Return the vectors worked out so far, in the order of the reports."""
        import torch

        return torch.cat(self._parts)


def show(
    network: Checkpoint,
    film: Film,
    reading: Reading,
    findings: str,
    chosen: film_picker.Chosen,
    cohort: Cohort,
) -> None:
    """Show where the match stands among those of other patients' reports with the same film."""
    sample = _sample(cohort, network)
    if len(sample.reports) <= FEWEST:
        st.caption(
            f"{notices.plain(cohort.name)} has {counted(len(sample.reports), 'different report')} of other "
            "patients: too few."
        )
        return
    sample.grow(cache.reader(network), SECONDS)
    if not sample.complete:
        _growing(network, sample)
        return
    is_own = chosen.cohort is not None and chosen.cohort.folder == cohort.folder
    patient = chosen.study.patient if is_own and chosen.study else None
    places = pairs.other_reports(sample.reports, patient, reports.findings(findings), NUMBER)
    others = cache.matches(network, film, f"{cohort.folder} {cohort.identity}", sample.vectors())[places]
    _standing(reading, others)


@st.cache_resource(max_entries=8, hash_funcs=cache.KEYS, show_spinner=False)
def _sample(cohort: Cohort, network: Checkpoint) -> Sample:
    # A few more than are shown: the film's own patient and its own words drop out.
    return Sample(pairs.draw_reports(cohort, NUMBER + 2))


@st.fragment(run_every=0.5)
def _growing(network: Checkpoint, sample: Sample) -> None:
    sample.grow(cache.reader(network), SECONDS)
    done, number = sample.done, len(sample.reports)
    st.progress(
        done / number, f"Reading reports of other patients, once for this network: {done} of {number}"
    )
    if sample.complete:
        st.rerun()


@st.cache_resource(max_entries=3, scope="session", show_spinner=False)
def _figure(others: tuple[float, ...], own: float) -> Figure:
    return bars.standing(others, own)


def _standing(reading: Reading, others: np.ndarray) -> None:
    from timnet.evaluation import metrics

    assert reading.match is not None
    share = metrics.percentile_rank(reading.match, others)
    number, standing = st.columns([1, 2], gap="large", vertical_alignment="center")
    number.metric("Better than", f"{share:.0%} of {len(others)}", border=True, help="A tie counts half.")
    below, equal = (int(each.sum()) for each in metrics.compared(reading.match, others))
    number.caption(
        f"Less well than the text given: {below} of {counted(len(others), 'report')} of other patients"
        f"{f'; equally well: {equal}' if equal else ''}. "
        "A text that has nothing to do with the X-ray stands at about 50 %. Some of the others may fit the "
        "X-ray as well: two healthy chests share their findings."
    )
    chart.show(
        _figure(tuple(others.tolist()), reading.match),
        "match_standing",
        "Match probabilities of other patients' reports with this X-ray, and that of the text above",
        standing,
    )
