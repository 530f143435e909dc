"""Settings of every command, each declared once, and where things lie on disk. Knows no torch, no Streamlit.

`declared` says what a setting's declaration holds; `pretrain` and `finetune` are the settings; `places` the
folders. Numbers of the ``paper`` preset: Liang et al. 2022, Sec. III-C and IV-B.
"""

from pydantic import ConfigDict

from timnet.config.declared import ConfigError
from timnet.config.finetune import Finetune
from timnet.config.places import (
    ASSETS,
    BUNDLE,
    DEMO,
    FINDINGS,
    MAP_LIMITS,
    MATCHING,
    REPOSITORY,
    RESEARCH_USE,
    SHIPPED,
    TEXT_ENCODER,
    checkpoint_places,
    checkpoints,
    demo,
    home,
    importable,
    refusing,
)
from timnet.config.pretrain import COSINES, MIRRORING, Pretrain
from timnet.config.words import ClassWeights, Mode, Precision, Schedule, Views

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, str_max_length=4096)
Run = Pretrain | Finetune
