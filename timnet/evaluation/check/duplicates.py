"""Near duplicates: the same X-ray twice, though re-compressed, scaled or brightened, in one split or two.

Features of a network are centred, and each film is held against all that stand before it, a block at a time.
What is alike there is compared as pixels: two normal X-rays of two patients have alike features, but not the
same ribs at the same places, which is what is left of 56 x 56 pixels without their blur.

Shapes: N films, C channels, B films of a block.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from timnet.cohorts.checks import DUPLICATE, LEAK
from timnet.cohorts.records import Progress
from timnet.cohorts.store import Cohort

COSINE, CORRELATION = 0.5, 0.9
"""Of features, from which pixels are compared, and of pixels, from which two films are the same."""
NEAREST = 3
"""Earlier films of the same split, and of others, that a film is compared with."""
_BLOCK, _SIDE, _BLUR = 1024, 56, 2.0


def found(cohort: Cohort, x_NC: NDArray[np.floating], result: Progress) -> Iterator[dict[str, object]]:
    """Yield each film that an earlier one repeats, as rows of a check; across splits comes first."""
    films, pixels_NSS = cohort.films(), cohort.pixels()
    studies, splits = films["study"].to_numpy(str), films["split"].to_numpy(str)
    for film, others in nearest(x_NC, pd.factorize(splits)[0], result):
        mine = sharp(pixels_NSS[film])
        alike = [(other, float((mine * sharp(pixels_NSS[other])).mean())) for other in others]
        same = [(splits[other] != splits[film], r, other) for other, r in alike if r >= CORRELATION]
        if same:
            crosses, r, other = max(same)
            where = f"in {splits[film]} and in {splits[other]}" if crosses else f"twice in {splits[film]}"
            yield {
                "kind": LEAK if crosses else DUPLICATE,
                "film": film,
                "other": studies[other],
                "score": r,
                "reason": f"nearly the same image as one of study {studies[other]}: {where}",
            }


def nearest(
    x_NC: NDArray[np.floating], split_N: NDArray[np.int64], result: Progress
) -> Iterator[tuple[int, list[int]]]:
    """Yield films with the earlier ones whose features are alike, the nearest first of each kind of split."""
    starts = range(0, len(x_NC), _BLOCK)
    sums = np.array([[part.sum(0), np.square(part).sum(0)] for part in (_block(x_NC, at) for at in starts)])
    mean_C, square_C = sums.sum(0) / max(len(x_NC), 1)
    scale_C = 1 / np.sqrt(np.maximum(square_C - mean_C**2, 1e-6))

    def unit(at: int) -> NDArray[np.float32]:
        x_BC = (_block(x_NC, at) - mean_C) * scale_C
        return (x_BC / np.maximum(np.linalg.norm(x_BC, axis=1, keepdims=True), 1e-6)).astype(np.float32)

    for at in starts:
        mine_BC, pairs = unit(at), pd.DataFrame()
        for before in range(0, at + 1, _BLOCK):
            cosine_BB = mine_BC @ unit(before).T
            film, other = np.nonzero(cosine_BB >= COSINE)
            hits = pd.DataFrame(
                {"film": film + at, "other": other + before, "cosine": cosine_BB[film, other]}
            )
            hits = hits[hits["other"] < hits["film"]]
            hits["crosses"] = split_N[hits["film"]] != split_N[hits["other"]]
            # Of hundreds of copies no film needs more than a few.
            pairs = pd.concat([pairs, hits]).sort_values("cosine", ascending=False, kind="stable")
            pairs = pairs.groupby(["film", "crosses"]).head(NEAREST)
        for name, part in pairs.groupby("film"):
            yield int(str(name)), part["other"].tolist()
        result(min(at + _BLOCK, len(x_NC)), len(x_NC))


def sharp(pixels_SS: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return a cached film at 56 x 56 pixels without its blur, of mean 0 and deviation 1."""
    step = pixels_SS.shape[0] // _SIDE
    cut = pixels_SS[: step * _SIDE, : step * _SIDE].astype(float)
    small = cut.reshape(_SIDE, step, _SIDE, step).mean((1, 3))
    edges = small - ndimage.gaussian_filter(small, _BLUR)
    return np.asarray((edges - edges.mean()) / (edges.std() + 1e-6))


def _block(x_NC: NDArray[np.floating], at: int) -> NDArray[np.float64]:
    return np.asarray(x_NC[at : at + _BLOCK], float)
