"""Is this a frontal chest film at all? A light detector that speaks before any network reads.

Owns the judgement and its sentence: what a file's header says comes first (body part, lateral view), then a
small convolutional network on the film at 32 x 32 pixels tells frontal chest films from lateral ones and from
everything else. It refuses nothing by itself: callers do, and offer to go on. Weights and how they were made:
assets/chest. Judged by benchmarks/refusal.py.

Shapes: B films, S the detector's side.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from timnet import config
from timnet.cohorts import hanging
from timnet.cohorts.films import LOOKS_INVERTED, Film
from timnet.errors import TimnetError

SIDE = 32
WEIGHTS = config.REPOSITORY / "assets" / "chest" / "chest.safetensors"
FRONTAL, LATERAL, OTHER = range(3)
"""Classes of the detector, in the order of its logits."""

_CHEST = ("CHEST", "THORA", "TORAX", "TORACE", "LUNG", "CXR", "RIB")
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


class Detector(nn.Module):
    """Film at 32 x 32, standardised -> logits of FRONTAL, LATERAL and OTHER."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = [1, width, 2 * width, 4 * width]
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.grid = nn.Sequential(*layers)
        # No pooling: where the dark fields lie is what makes a chest.
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(4 * width * (SIDE // 8) ** 2, 32), nn.ReLU(), nn.Linear(32, 3)
        )

    def forward(self, x_B1SS: Tensor) -> Tensor:
        """Return logits (B, 3)."""
        logits: Tensor = self.head(self.grid(x_B1SS))
        return logits


def doubt(film: Film) -> str:
    """Return in one sentence why a film may be no frontal chest film; nothing where it looks like one.

    Nothing either where TIMNET_REFUSE is `never`: a site whose films the detector does not know can end it.
    """
    if not config.refusing():
        return ""
    part = film.body_part
    if part and part in _ELSEWHERE:
        return f"expected a frontal chest film, but the file's header names another body part: {part}"
    if film.view == "LATERAL":
        return "expected a frontal chest film, but the file or its cohort calls this a lateral view"
    if film.orientation and not hanging.is_frontal(film.orientation):
        stated = "\\".join(film.orientation)
        return (
            f"expected a frontal chest film, but the file's orientation, {stated}, is that of no frontal one"
        )
    p_3 = probabilities(film.hung)
    if p_3[FRONTAL] >= least():
        return ""
    # Of 1,710 real films, lateral ones among them, none looks inverted; of 907 frontal ones turned 906 do.
    if probabilities(1 - film.pixels)[FRONTAL] >= least():
        return LOOKS_INVERTED
    if p_3[LATERAL] > p_3[OTHER]:
        return "expected a frontal chest film, but this looks like a lateral one"
    return "expected a frontal chest film, but this does not look like one"


def probabilities(pixels_HW: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what the detector gives FRONTAL, LATERAL and OTHER (3,)."""
    x_11SS = torch.from_numpy(standardised(pixels_HW))[None, None]
    return judged(loaded()[0], x_11SS)[0].numpy()


@torch.inference_mode()
def judged(detector: Detector, x_B1SS: Tensor) -> Tensor:
    """Return the probabilities of the classes (B, 3), the mean of each film's and its mirror image's."""
    # A mirrored chest is as much a chest, and what the detector errs on it rarely errs on twice.
    return torch.stack([detector(x).double().softmax(1) for x in (x_B1SS, x_B1SS.flip(-1))]).mean(0)


def least() -> float:
    """Return the probability of FRONTAL below which the detector doubts."""
    return loaded()[1]


def standardised(pixels_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a film pressed into SIDE x SIDE, each pixel the mean of its own, with mean 0 and deviation 1."""
    small = np.asarray(Image.fromarray(pixels_HW).resize((SIDE, SIDE), Image.Resampling.BOX))
    return ((small - small.mean()) / (small.std() + np.float32(0.01))).astype(np.float32)


@lru_cache(maxsize=1)
def loaded() -> tuple[Detector, float]:
    """Return the detector and the probability of FRONTAL below which it doubts."""
    try:
        with safe_open(WEIGHTS, framework="pt") as file:
            told = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        detector = Detector()
        detector.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
        )
        return detector.eval(), float(told["least_frontal"])
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise ChestError(f"{WEIGHTS.name}: cannot be used ({' '.join(str(error).split())[:200]})") from None
