"""Which films to label next: those that a probe is least sure of, or those least like any labelled film.

Owns the candidates, of which none is ever tested or validated on, and two orders of them. Margin: the least
distance of the probability from one half (Lewis and Gale, SIGIR 1994). K-centre, greedily: the film farthest
from all that is labelled or was chosen before (Sener and Savarese, ICLR 2018), on standardised features.
Whether either saves labels is measured in `benchmarks/active_learning.py`; refuses nothing.

Shapes: M candidates, K labelled films, C channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timnet.cohorts.schema import APP
from timnet.cohorts.store import Cohort
from timnet.cohorts.tasks import settle

TRAIN = "train"


def candidates(cohort: Cohort, label: str) -> NDArray[np.int64]:
    """Return the first film of every training study whose label nobody knows.

    A label that the cohort does not have yet is known of none. A study that was called uncertain in the app
    is left out: somebody has looked at it.
    """
    table = cohort.films()
    open_N = (table["split"] == TRAIN).to_numpy() & ~table["study"].duplicated().to_numpy()
    labels = settle(cohort.labels(), "ignore")
    if label in labels:
        open_N &= labels[label].isna().to_numpy()
    if APP in cohort.label_sources():
        said = cohort.labels(APP)
        if label in said:
            open_N &= said[label].isna().to_numpy()
    return np.flatnonzero(open_N)


def known(cohort: Cohort, label: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the training films whose label is known, and what it is (K, 1)."""
    labels = settle(cohort.labels(), "ignore")
    if label not in labels:
        return np.empty(0, np.int64), np.empty((0, 1))
    y_N = labels[label].to_numpy(float)
    rows = np.flatnonzero((cohort.films()["split"] == TRAIN).to_numpy() & ~np.isnan(y_N))
    return rows, y_N[rows][:, None]


def uncertain(p_M: NDArray[np.floating], number: int) -> NDArray[np.int64]:
    """Return the places of the `number` least sure probabilities, the least sure first."""
    return np.argsort(np.abs(np.asarray(p_M, float) - 0.5), kind="stable")[:number]


def diverse(
    candidate_MC: NDArray[np.floating], labelled_KC: NDArray[np.floating], number: int
) -> NDArray[np.int64]:
    """Return the places of `number` candidates, each the farthest from what is labelled and chosen so far.

    Where nothing is labelled, the first is the one farthest from the mean.
    """
    together = np.concatenate([candidate_MC, labelled_KC]).astype(np.float32)
    deviation_C = together.std(0)
    scaled = (together - together.mean(0)) / np.where(deviation_C > 0, deviation_C, 1)
    films_MC, centres_KC = scaled[: len(candidate_MC)], scaled[len(candidate_MC) :]
    nearest_M = np.linalg.norm(films_MC, axis=1)
    if len(centres_KC):
        nearest_M = np.full(len(films_MC), np.inf, np.float32)
        for centre_C in centres_KC:
            nearest_M = np.minimum(nearest_M, np.linalg.norm(films_MC - centre_C, axis=1))
    chosen: list[int] = []
    for _ in range(min(number, len(films_MC))):
        chosen.append(int(np.argmax(nearest_M)))
        away_M = np.linalg.norm(films_MC - films_MC[chosen[-1]], axis=1)
        # The first of a cohort without labels was measured from the mean: from here on, from films.
        nearest_M = away_M if len(chosen) == 1 and not len(centres_KC) else np.minimum(nearest_M, away_M)
        nearest_M[chosen] = -1
    return np.array(chosen, np.int64)
