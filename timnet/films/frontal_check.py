"""Is this a frontal chest film at all? A light detector that speaks before any network reads.

Owns the judgement and its sentence: what a file's header says comes first (body part, lateral view), then a
small convolutional network on the film at 32 x 32 pixels tells frontal chest films from lateral ones and from
everything else. It refuses nothing by itself: callers do, and offer to go on. Weights and how they were made:
assets/chest. Judged by benchmarks/refusal.py.

Shapes: B films, such as one and its mirror image, C channels, S the detector's side.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from timnet import config
from timnet.errors import TimnetError
from timnet.films import hanging, jpeg_damage
from timnet.films.film import LOOKS_INVERTED, Film

SIDE = 32
WEIGHTS = config.ASSETS / "chest" / "chest.safetensors"
FRONTAL, LATERAL, OTHER = range(3)
"""Classes of the detector, in the order of its logits."""

# Defined terms of PS3.16 CID 4031 and PS3.3 Annex L that are seen in radiographs; what is not listed, such as
# PORTABLE or an empty word, says nothing.
_ELSEWHERE = (
    "ABDOMEN", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CLAVICLE", "COCCYX", "CSPINE", "ELBOW", "EXTREMITY",
    "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HIP", "HUMERUS", "JAW", "KNEE", "LEG", "LSPINE",
    "MANDIBLE", "NECK", "ORBIT", "PELVIS", "SHOULDER", "SINUS", "SKULL", "SPINE", "SSPINE", "TIBIA", "TOE",
    "TOOTH", "TSPINE", "WRIST",
)  # fmt: skip


class ChestError(TimnetError):
    """The detector's weights cannot be used; the message says why."""


class Detector(NamedTuple):
    """A small convolutional network, its normalisation folded into its weights."""

    grid: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    """Weights (out, in, 3, 3) and offsets of convolutions of stride 2, a ReLU behind each."""
    head: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    """Weights (out, in) and offsets of linear layers, a ReLU between them."""
    least_frontal: float
    """The probability of FRONTAL below which it doubts."""


def doubt(film: Film) -> str:
    """Return in one sentence why a film may be no frontal chest film; nothing where it looks like one.

    Nothing either where TIMNET_REFUSE is `never`: a site whose films the detector does not know can end it.
    """
    if not config.refusing():
        return ""
    part = film.body_part
    if part and part in _ELSEWHERE:
        return f"the file's header names another body part, {part}; timnet reads frontal chest X-rays only"
    if film.view == "LATERAL":
        return "the file or its cohort calls this a lateral view; timnet reads frontal chest X-rays only"
    if film.orientation and not hanging.is_frontal(film.orientation):
        stated = "\\".join(film.orientation)
        return f"the file's orientation, {stated}, is not frontal; timnet reads frontal chest X-rays only"
    p_3 = probabilities(film.hung)
    if p_3[FRONTAL] >= least():
        return ""
    # Of 1,710 real films, lateral ones among them, none looks inverted; of 907 frontal ones turned 906 do.
    if probabilities(1 - film.pixels)[FRONTAL] >= least():
        return LOOKS_INVERTED
    if p_3[LATERAL] > p_3[OTHER]:
        return "this looks like a lateral chest X-ray; timnet reads frontal ones only"
    return "this does not look like a frontal chest X-ray; timnet reads no others"


def remark(film: Film) -> str | None:
    """Return what an import counts: a film that looks inverted, or else one whose JPEG may be damaged."""
    return LOOKS_INVERTED if doubt(film) == LOOKS_INVERTED else jpeg_damage.remark(film)


def probabilities(pixels_HW: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what the detector gives FRONTAL, LATERAL and OTHER (3,): the film's and its mirror's mean."""
    # A mirrored chest is as much a chest, and what the detector errs on it rarely errs on twice.
    small_SS = standardised(pixels_HW)
    x_BC = logits(loaded(), np.stack([small_SS, small_SS[:, ::-1]]))
    exponentials = np.exp(x_BC.astype(np.float64) - x_BC.max(1, keepdims=True))
    mean: NDArray[np.float64] = (exponentials / exponentials.sum(1, keepdims=True)).mean(0)
    return mean


def logits(network: Detector, small_BSS: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a network's logits (B, classes) of films as `standardised` makes them."""
    x_BCHW = small_BSS[:, None]
    for weight, offset in network.grid:
        padded = np.zeros((*x_BCHW.shape[:2], x_BCHW.shape[2] + 2, x_BCHW.shape[3] + 2), np.float32)
        padded[..., 1:-1, 1:-1] = x_BCHW
        windows = sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
        found = np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))) + offset
        x_BCHW = np.maximum(found, 0).transpose(0, 3, 1, 2)
    x_BC = x_BCHW.reshape(len(small_BSS), -1)  # no pooling: where the dark fields lie is what makes a chest
    for number, (weight, offset) in enumerate(network.head):
        x_BC = (x_BC if number == 0 else np.maximum(x_BC, 0)) @ weight.T + offset
    return x_BC


def least() -> float:
    """Return the probability of FRONTAL below which the detector doubts."""
    return loaded().least_frontal


def standardised(pixels_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a film pressed into SIDE x SIDE, each pixel the mean of its own, with mean 0 and deviation 1."""
    small = np.asarray(Image.fromarray(pixels_HW).resize((SIDE, SIDE), Image.Resampling.BOX))
    return ((small - small.mean()) / (small.std() + np.float32(0.01))).astype(np.float32)


@lru_cache(maxsize=2)
def loaded(weights: Path = WEIGHTS) -> Detector:
    """Return the detector, or another network of its shape.

    Raises:
        ChestError: its weights cannot be used.
    """
    try:
        with safe_open(weights, framework="numpy") as file:
            state = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            least_frontal = float((file.metadata() or {}).get("least_frontal", "nan"))
        grid = []
        for conv, norm in ((0, 1), (3, 4), (6, 7)):
            gain = state[f"grid.{norm}.weight"] / np.sqrt(
                state[f"grid.{norm}.running_var"] + np.float32(1e-5)
            )
            offset = state[f"grid.{norm}.bias"] - state[f"grid.{norm}.running_mean"] * gain
            grid.append((state[f"grid.{conv}.weight"] * gain[:, None, None, None], offset))
        head = [(state[f"head.{layer}.weight"], state[f"head.{layer}.bias"]) for layer in (1, 3)]
        return Detector(tuple(grid), tuple(head), least_frontal)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ChestError(f"{weights.name}: cannot be used ({' '.join(str(error).split())[:200]})") from None
