"""X-rays that lie on their side or upside down, are mirrored, or are of another view than is said.

Looks at the films as the pixel cache holds them, with the two small networks of `films`; none of timnet's own
is asked. How a film lies is told of frontal ones alone: turned back, it has to look like one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from timnet import config
from timnet.cohorts.checks import LYING, MIRRORED, VIEW
from timnet.cohorts.records import Progress
from timnet.cohorts.store import Cohort
from timnet.films import frontal_check, pose
from timnet.films.film import Film

SURELY_FRONTAL = 0.9
"""Probability of a frontal view from which a film that is said to be lateral is doubted."""


def found(cohort: Cohort, unchecked: list[tuple[str, str]], result: Progress) -> Iterator[dict[str, object]]:
    """Yield the films that are shown otherwise than is said, as rows of a check."""
    if not config.refusing():
        unchecked.append((VIEW, "TIMNET_REFUSE is never: the detector does not know this site's X-rays"))
        unchecked.append((LYING, "TIMNET_REFUSE is never"))
        return
    pixels_NSS, lateral_N = cohort.pixels(), ~cohort.viewed("frontal")
    views = cohort.films()["view"].fillna("").to_numpy(str)
    for film, is_lateral in enumerate(lateral_N):
        if film % 32 == 0:
            result(film, len(views))
        greys = unpadded(pixels_NSS[film])
        if greys.min() == greys.max():
            continue
        for kind, score, reason in judged(greys, bool(is_lateral), str(views[film])):
            yield {"kind": kind, "film": film, "score": score, "reason": reason}
    result(len(views), len(views))


def judged(greys_HW: NDArray[np.uint8], is_lateral: bool, view: str) -> Iterator[tuple[str, float, str]]:
    """Yield what is wrong with a film of a view, its probability, and the same in words."""
    film = Film.from_array(greys_HW)
    frontal = frontal_check.probabilities(film.pixels)[frontal_check.FRONTAL]
    if is_lateral:
        if frontal >= SURELY_FRONTAL:
            yield VIEW, frontal, "said to be lateral, looks frontal"
        return
    p_8 = pose.probabilities(frontal_check.standardised(film.pixels)[None])[0]
    turns = int((p_4 := p_8[:4] + p_8[4:]).argmax())
    back = frontal_check.probabilities(np.rot90(film.pixels, turns).copy())[frontal_check.FRONTAL]
    if p_4[0] < 1 - pose.TURNED and back >= frontal_check.least():
        yield LYING, p_4[turns], pose.TURNS[turns]
    elif frontal >= frontal_check.least():
        mirrored = p_8[4] / p_4[0]
        if mirrored >= pose.MIRRORED:
            yield MIRRORED, mirrored, "looks mirrored, or its heart lies on the right"
    elif doubt := frontal_check.doubt(film):
        said = f"said to be {view}" if view else "no view said, which counts as frontal"
        yield VIEW, 1 - frontal, f"{said}; {doubt.partition(';')[0]}"


def unpadded(pixels_SS: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a cached film without the black that fills its square up: as much on either side."""
    for _ in range(2):
        dark = np.logical_not(pixels_SS.max(1))
        border = min(int(dark.argmin()), int(dark[::-1].argmin()))
        pixels_SS = pixels_SS[border : len(pixels_SS) - border].T
    return pixels_SS
