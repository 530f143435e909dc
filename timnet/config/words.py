"""Types and help of the settings that pre-training and fine-tuning share."""

from __future__ import annotations

from typing import Annotated, Literal

from typing_extensions import Doc

from timnet.config.declared import Limits, Paper

Precision = Literal["auto", "fp32", "bf16"]
ClassWeights = Literal["none", "balanced"]
Mode = Literal["full", "last-layers", "probe"]
Schedule = Literal["constant", "cosine"]
Views = Literal["frontal", "lateral", "all"]

VIEWS = "X-rays to train and measure on: `frontal` leaves lateral ones out and takes unknown views."
SCHEDULE = (
    "`cosine`: the step size rises over the first twentieth of the steps and falls to 0 at the last; a "
    "larger one can then be taken, and such a run is at its best at its end."
)
AUGMENT = "Small random rotations, scalings, shifts and contrast changes; never a left-right flip."
NORMALISATION = (
    "`film`: each X-ray by its own mean and deviation, exposure does not count; `imagenet`: all alike."
)
PRECISION = "`auto` times 32 and 16 bits on the device and takes the faster; 16 bits take less memory."

Side = Annotated[
    int, Doc("X-rays are letterboxed to side x side pixels."), Limits(32, 1024, "pixels"), Paper(500)
]
Rate = Annotated[float, Doc("Adam's step size."), Limits(1e-15, 0.999, said="above 0 and below 1")]
Normalisation = Annotated[Literal["film", "imagenet"], Paper("imagenet")]
