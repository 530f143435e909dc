"""How does a frontal chest film lie: upright, on its side, upside down, mirrored? No torch.

Owns the judgement. A small network says how upright a film looks at 32 x 32 pixels; what it says of the eight
poses of one film, turned back to upright, is held against each other. Weights and how they were made:
assets/chest. Says nothing of lateral films, which it has not learned from.

Shapes: N films, S side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timnet import config
from timnet.films import frontal_check

WEIGHTS = config.ASSETS / "chest" / "pose.safetensors"
TURNS = ("upright", "on its side, head to the right", "upside down", "on its side, head to the left")
"""What a film of the first four poses looks like before it is turned back."""
TURNED, MIRRORED = 0.99, 0.999
"""Probabilities from which a film is said to lie so."""


def poses(small_NSS: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return films (N, 8, S, S): as they are, turned by one to three quarters to the left, these mirrored."""
    both = (small_NSS, small_NSS[:, :, ::-1])
    return np.stack([np.rot90(each, turns, (1, 2)) for each in both for turns in range(4)], 1)


def probabilities(small_NSS: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what each of `poses` is worth as the upright one (N, 8), summing to 1.

    Args:
        small_NSS: as of `frontal_check.standardised`.
    """
    posed_N8SS = poses(small_NSS)
    size = posed_N8SS.shape[2:]
    logits = frontal_check.logits(frontal_check.loaded(WEIGHTS), posed_N8SS.reshape(-1, *size))
    logits_N8 = logits.reshape(-1, 8).astype(np.float64)
    exponentials = np.exp(logits_N8 - logits_N8.max(1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(1, keepdims=True))
