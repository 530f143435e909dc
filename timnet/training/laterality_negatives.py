"""Reports with left and right swapped, as mismatches of their own films: what teaches a network sides.

Between patients a finding's side is rarely what tells two reports apart, so that a network may match well and
know nothing of sides. Owns which reports have such a twin; only of those that the swap makes wrong.

Shapes: N pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from timnet.cohorts.pairs import Codes, Pairs
from timnet.reports import edits

NONE = -1


def of(pairs: Pairs) -> tuple[Pairs, Codes]:
    """Return the pairs with their swapped texts behind the others, and the number of each pair's or NONE."""
    known = {text: i for i, text in enumerate(pairs.texts)}
    twin = np.full(len(pairs.texts), NONE, np.int64)
    for i in np.unique(pairs.text[~pairs.held_out]):
        swapped = edits.misplaced(pairs.texts[i])
        if swapped is not None:
            twin[i] = known.setdefault(swapped, len(known))
    return replace(pairs, texts=tuple(known)), np.where(pairs.held_out, NONE, twin[pairs.text])
