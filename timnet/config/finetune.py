"""Settings of a fine-tuning: paper Sec. III-D and IV-C, and what goes beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from typing_extensions import Doc

from timnet.config import words
from timnet.config.declared import Before, Limits, Paper, Shown, bring_weights, check, require

TRAINING = "Training settings"


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Fine-tune a classifier on a share of a cohort's labelled training X-rays."""

    cohort: Annotated[str, Doc("Cohort by name (a folder of TIMNET_HOME) or by path.")]
    task: Annotated[
        str,
        Doc("A label column, several joined by commas, `abnormal`, `chexpert14`, or `all` for every label."),
    ]
    views: Annotated[words.Views, Doc(words.VIEWS), Before("all"), Paper("all")] = "frontal"
    uncertain: Annotated[
        Literal["ignore", "zeros", "ones", "per-label"],
        Doc("What a label that its source calls uncertain (-1) counts as; `ignore`: unknown, it is masked."),
    ] = "ignore"
    initialisation: Annotated[
        str,
        Doc(
            "base (random) | imagenet | a checkpoint folder | an image encoder's folder or hub id | a "
            "state-dict file (.safetensors, .pt, .pth) | vectors of another program (.npz, .parquet): a "
            "probe of them."
        ),
    ] = "base"
    fraction: Annotated[
        float,
        Doc("Share of the labelled training X-rays that is used, 0.005 to 1."),
        Limits(1e-6, 1, said="above 0 and at most 1"),
    ] = 1.0
    preset: Annotated[
        Literal["small", "paper"],
        Doc("`paper`: 100 epochs, batch 16, 500 px, all X-rays an epoch; `small`: 224 px, augmented."),
        Paper("paper"),
    ] = "small"
    mode: Annotated[
        words.Mode,
        Doc(
            "`full`: every layer is trained; `last-layers`: the trunk's last stage and what follows it: "
            "faster, and better with few labels at times; `probe`: the trunk stays as it is and a logistic "
            "line is fitted on its features, in seconds once they are kept: epochs, batch, step size and "
            "augmentation then mean nothing. Modes are separate curves."
        ),
        Before("full"),
        Shown(
            TRAINING, "Layers to train",
            (
                ("full", "The whole network"),
                ("last-layers", "Its last layers (faster)"),
                ("probe", "A linear probe (seconds)"),
            ),
        ),
    ] = "full"  # fmt: skip
    seed: Annotated[
        int,
        Doc(
            "Seed of the draw of labels, of the new layers, of order and augmentation. Repeat with other "
            "seeds for an interval."
        ),
        Limits(0, 2**32 - 1),
        Shown(TRAINING, "Random seed"),
    ] = 0
    backbone: Annotated[
        str, Doc("As of pretrain's --backbone; the initialisation's own where it brings one.")
    ] = "resnet18"
    width: Annotated[int, Doc("Channels of the 1x1 convolution."), Limits(8, 4096)] = 512
    side: Annotated[words.Side, Shown(TRAINING, "Image size in pixels")] = 224
    epochs: Annotated[
        int,
        Doc("Passes over the X-rays drawn."),
        Limits(1, 10_000),
        Paper(100),
        Shown(TRAINING, "Epochs", only=("mode", ("full", "last-layers"))),
    ] = 100
    least_steps: Annotated[
        int,
        Doc("Few X-rays are passed over more often than `epochs`, until so many steps are done."),
        Limits(0, 1_000_000),
        Before(0),
    ] = 0
    batch: Annotated[
        int,
        Doc("X-rays a step."),
        Limits(2, 65_536),
        Paper(16),
        Shown(TRAINING, "Batch size", only=("mode", ("full", "last-layers"))),
    ] = 16
    learning_rate: words.Rate = 1e-4
    schedule: Annotated[words.Schedule, Doc(words.SCHEDULE), Before("constant")] = "constant"
    augment: Annotated[bool, Doc(words.AUGMENT), Paper(False)] = True
    normalisation: Annotated[
        words.Normalisation, Doc(f"{words.NORMALISATION} A checkpoint keeps its own.")
    ] = "film"
    drop_last: Annotated[
        bool,
        Doc("Leave out an epoch's last batch where it is not full; X-rays take turns."),
        Paper(False),
    ] = True
    class_weights: Annotated[
        words.ClassWeights,
        Doc("`balanced`: X-rays with a label weigh as much in all as those without it."),
        Before("none"),
    ] = "none"
    looks: Annotated[
        int,
        Doc("Measurements on X-rays of the split `val` while it trains, spread over the epochs; 0: none."),
        Limits(0, 10_000),
        Before(20),
        Paper(0),
    ] = 20
    patience: Annotated[
        int,
        Doc(
            "Measurements without a lower loss on validation X-rays after which it stops, with the best's "
            "weights (early stopping); 0: it trains to the last epoch. Without a split `val`, a fifth of the "
            "X-rays drawn is held back for it."
        ),
        Limits(0, 10_000),
        Before(0),
    ] = 0
    shuffled_labels: Annotated[
        bool,
        Doc("A control: the X-rays drawn get each other's labels, so that the test must stay at chance."),
        Before(False),
    ] = False
    precision: Annotated[words.Precision, Doc(words.PRECISION)] = "auto"

    def __post_init__(self) -> None:
        bring_weights(self, "initialisation")
        check(self)
        require(bool(self.cohort.strip()), "cohort", "a cohort", self.cohort)
        require(bool(self.task.strip()), "task", "a task", self.task)
        measured = not self.patience or bool(self.looks)
        require(measured, "patience", "0, or looks of 1 or more beside it", self.patience)
