"""Settings of a pre-training: paper Sec. III-A, III-C and IV-B, and what goes beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from typing_extensions import Doc

from timnet.config import words
from timnet.config.declared import Before, Limits, Paper, Shown, bring_weights, check, require
from timnet.counting import counted

MIRRORING = ("all-pairs", "sigmoid", "infonce")
"""Objectives that know what to do with reports whose sides are swapped."""
COSINES = ("sigmoid", "infonce")
"""Matching objectives that compare by a cosine; the others train h_cls."""

_COMPARED, _STEPS, _REPORTS = "What is compared", "Steps", "Reports"
_MEMORY, _ON_THE_WAY = "Memory and speed", "Measurements on held-out images"


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """Pre-train TIMNet on the pairs of X-ray and report of one or more cohorts."""

    cohorts: Annotated[tuple[str, ...], Doc("Cohorts by name (a folder of TIMNET_HOME) or by path.")]
    repeats: Annotated[
        tuple[int, ...],
        Doc("How often an epoch sees each cohort's pairs, in the cohorts' order; by default once."),
        Limits(1, 1000),
    ] = ()
    preset: Annotated[
        Literal["small", "paper"],
        Doc("`small` fits two CPU cores; `paper` holds every number of Liang et al., Sec. III-C and IV-B."),
        Paper("paper"),
    ] = "small"
    backbone: Annotated[
        str,
        Doc(
            "Image branch: a ResNet, DenseNet, EfficientNet, MobileNet or EfficientNet-Lite by name, a "
            "network of timm, or an image encoder's folder or hub id (with a / in it), which brings its "
            "weights."
        ),
    ] = "resnet18"
    text_encoder: Annotated[
        str,
        Doc("BERT of the text branch: a local folder (also relative to the repository) or a hub id."),
        Paper("bert-base-uncased"),
    ] = "assets/text-encoder"
    text_mode: Annotated[
        Literal["frozen", "partial", "full"],
        Doc(
            "`frozen`: token states are computed once and kept; `partial`: the last `text_layers` layers are "
            "trained on the kept states below them; `full`: every layer is trained."
        ),
        Paper("full"),
    ] = "frozen"
    width: Annotated[int, Doc("Channels of the 1x1 convolutions."), Limits(8, 4096)] = 512
    side: words.Side = 224
    epochs: Annotated[int, Doc("Passes over the training pairs."), Limits(1, 10_000), Paper(50)] = 40
    seed: Annotated[
        int, Doc("Seed of initial weights, order, negatives and augmentation."), Limits(0, 2**32 - 1)
    ] = 0
    normalisation: Annotated[words.Normalisation, Doc(words.NORMALISATION)] = "film"
    held_out: Annotated[
        tuple[str, ...], Doc("Splits that are never trained on and on which the matching is measured.")
    ] = ("val", "test")
    shuffled: Annotated[bool, Doc("A control: each training X-ray gets another's report.")] = False

    views: Annotated[
        words.Views, Doc(words.VIEWS), Before("all"), Paper("all"),
        Shown(
            _COMPARED, "X-rays",
            (("frontal", "Frontal, and those of unknown view"), ("lateral", "Lateral"), ("all", "All")),
        ),
    ] = "frontal"  # fmt: skip
    objective: Annotated[
        Literal["all-pairs", "pairs", "sigmoid", "infonce"],
        Doc(
            "`pairs`: the paper's, one true and one mismatched report an X-ray; `all-pairs`: all X-rays with "
            "all reports of a batch, so that larger batches teach more. `sigmoid`, `infonce`: every pair "
            "too, by the cosine of the vectors, with no layers that compare; `infonce` was best in short "
            "trainings on simulated X-rays."
        ),
        Paper("pairs"),
        Shown(
            _COMPARED, "Objective",
            (
                ("all-pairs", "Every X-ray with every report of a batch"),
                ("pairs", "Each X-ray with its own report and one other, as in the paper"),
                ("sigmoid", "Every pair of a batch, by the cosine of their vectors (sigmoid)"),
                ("infonce", "Pick an X-ray's report out of the batch's, by the cosine (InfoNCE)"),
            ),
        ),
    ] = "all-pairs"  # fmt: skip
    h_cls: Annotated[
        Literal["mlp", "linear", "product"],
        Doc(
            "The layers that turn an X-ray's and a report's vectors into a match. `mlp`: one hidden layer of "
            "512 on the absolute difference, as in the paper; `linear`: no hidden layer; `product`: one that "
            "sees the product of the vectors too. The cosine objectives have none of these."
        ),
        Before("mlp"),
        Shown(
            _COMPARED, "How two vectors are compared",
            (
                ("mlp", "The paper's: a layer on the difference"),
                ("linear", "A weighted sum of the difference"),
                ("product", "A layer on difference and product"),
            ),
            ("objective", ("all-pairs", "pairs")),
        ),
    ] = "mlp"  # fmt: skip
    negatives: Annotated[
        Literal["drawn", "mined"],
        Doc(
            "`mined`: from the second epoch on, half the mismatched reports are those that the last epoch's "
            "network took for an X-ray's own (hard negatives), drawn as its pair or put into its batch; an "
            "epoch then takes longer."
        ),
        Before("drawn"),
        Shown(
            _COMPARED, "Mismatched reports",
            (("drawn", "As they come"), ("mined", "Half of them the hardest found")),
        ),
    ] = "drawn"  # fmt: skip
    mirrored: Annotated[
        bool,
        Doc(
            "Half of the mismatched pairs' weight goes to X-rays with their own report, left and right "
            "swapped, where that makes it wrong: else a network may match well and know nothing of sides."
        ),
        Before(False),
        Shown(
            _COMPARED, "Its own report with left and right swapped is a mismatch, too",
            only=("objective", MIRRORING),
        ),
    ] = False  # fmt: skip
    both_normal: Annotated[
        Literal["contrast", "ignore"],
        Doc(
            "`ignore`: one normal X-ray with another's normal report counts as neither true nor mismatched; "
            "whether both are normal is told by the label No Finding."
        ),
        Shown(
            _COMPARED, "A normal X-ray with another's normal report",
            (("contrast", "Counts as mismatched"), ("ignore", "Is left out")),
        ),
    ] = "contrast"  # fmt: skip

    batch: Annotated[
        int,
        Doc("X-rays a step: more of them mean more mismatched reports to tell apart, and more memory."),
        Limits(2, 65_536),
        Paper(16),
        Shown(_STEPS, "Batch size"),
    ] = 32
    learning_rate: Annotated[words.Rate, Shown(_STEPS, "Learning rate")] = 1e-4
    schedule: Annotated[
        words.Schedule, Doc(words.SCHEDULE),
        Shown(
            _STEPS, "Learning rate over the run",
            (("constant", "The same throughout"), ("cosine", "Rises at first, falls to 0 at the end")),
        ),
    ] = "constant"  # fmt: skip
    start: Annotated[
        str,
        Doc(
            "A TIMNet checkpoint of this shape that is trained on as a whole, head and text branch too; "
            "empty: new weights around `image_weights`."
        ),
        Before(""),
        Shown(_STEPS, "Goes on from the network"),
    ] = ""
    image_weights: Annotated[
        str,
        Doc(
            "Initial weights of the image branch: base (random), imagenet (must be on this computer, or is "
            "fetched by torchvision), a checkpoint folder, an image encoder's folder or hub id (Hugging "
            "Face, timm), or a state-dict file."
        ),
        Paper("imagenet"),
        Shown(_STEPS, "Initial weights of the image branch", only=("start", ("",))),
    ] = "base"
    trunk_rate: Annotated[
        float,
        Doc("The image trunk's step size as a share of `learning_rate`: pre-trained layers want less."),
        Limits(1e-6, 1, said="above 0 and at most 1"),
        Before(1.0),
        Shown(_STEPS, "Learning rate of the image trunk, as a share"),
    ] = 1.0
    grow_from: Annotated[
        int,
        Doc(
            "Side of the first epoch in pixels; it grows to `side` over the first two thirds of the epochs, "
            "in steps of 32. Early epochs are then several times faster. 0: every epoch at `side`."
        ),
        Limits(32, 1024, "pixels", zero=True),
        Before(0),
        Shown(_STEPS, "Image size of the first epoch, pixels (0: the same)"),
    ] = 0
    augment: Annotated[bool, Doc(words.AUGMENT), Paper(False), Shown(_STEPS, "Augment the X-rays")] = True
    erase: Annotated[
        bool,
        Doc("With `augment`: noise too, and a rectangle of one grey over up to an eighth of the X-ray."),
        Before(False),
        Shown(_STEPS, "Add noise and cover a part of each X-ray", only=("augment", (True,))),
    ] = False

    tokens: Annotated[
        int,
        Doc("Tokens that the text encoder reads at a time; longer texts are read in several windows."),
        Limits(4, 512),
        Paper(256),
        Shown(_REPORTS, "Tokens read at a time"),
    ] = 256
    text_layers: Annotated[
        int,
        Doc("Layers of the text encoder that `partial` trains, the last ones; the shipped encoder has six."),
        Limits(1, 96),
        Before(3),
        Shown(_REPORTS, "Layers trained", only=("text_mode", ("partial",))),
    ] = 3
    padding: Annotated[
        Literal["masked", "literal"],
        Doc("`masked`: padding changes nothing; `literal`: zeros up to `tokens` take part, as in the paper."),
        Paper("literal"),
        Shown(
            _REPORTS, "Padding behind a short report",
            (("masked", "Left out"), ("literal", "Zeros that take part, as in the paper")),
        ),
    ] = "masked"  # fmt: skip
    crop_text: Annotated[
        bool,
        Doc(
            "Half of the training reports are read in part, from 30 % of their words on, a new part each "
            "epoch; a report with a swapped twin (`mirrored`) is always whole."
        ),
        Before(False),
        Shown(_REPORTS, "Read half of the reports in part", only=("text_mode", ("frozen",))),
    ] = False

    chunk: Annotated[
        int,
        Doc(
            "X-rays and reports encoded at a time, for a batch that does not fit in memory; 0: all at once. "
            "Every pair of the batch counts all the same, but batch norm sees a chunk, and each is encoded "
            "twice: about a third slower."
        ),
        Limits(2, 65_536, "X-rays", zero=True),
        Before(0),
        Shown(_MEMORY, "X-rays computed at a time (0: the whole batch)"),
    ] = 0
    recompute: Annotated[
        bool,
        Doc(
            "Compute the layers of both encoders again for their gradients rather than keep them: less "
            "memory, about a third more time, the same result."
        ),
        Before(False),
        Shown(_MEMORY, "Recompute layers rather than keep them"),
    ] = False
    precision: Annotated[
        words.Precision, Doc(words.PRECISION),
        Shown(
            _MEMORY, "Precision",
            (("auto", "Whichever is faster here"), ("fp32", "32 bits"), ("bf16", "16 bits (bfloat16)")),
        ),
    ] = "auto"  # fmt: skip

    evaluate_every: Annotated[
        int,
        Doc("Epochs between measurements on held-out pairs; 0: at the end alone. Changes no weight."),
        Limits(0, 10_000),
        Before(5),
        Shown(_ON_THE_WAY, "Every so many epochs (0: only at the end)"),
    ] = 5
    probe: Annotated[
        str,
        Doc(
            "A task of the first cohort, as in fine-tuning: at every measurement, what a linear probe learns "
            "of it from the image branch's features of up to 256 labelled X-rays. Changes no weight; none "
            "where nothing is said."
        ),
        Before(""),
        Shown(_ON_THE_WAY, "Linear probe of a label"),
    ] = ""

    def __post_init__(self) -> None:
        bring_weights(self, "image_weights")
        check(self)
        require(bool(self.cohorts), "cohorts", "at least one cohort", self.cohorts)
        fits = not self.repeats or len(self.repeats) == len(self.cohorts)
        require(fits, "repeats", f"a number for each of {counted(len(self.cohorts), 'cohort')}", self.repeats)
        require(self.grow_from <= self.side, "grow_from", f"0, or 32 to {self.side} pixels", self.grow_from)
        if self.crop_text:
            require(self.text_mode == "frozen", "crop_text", "text_mode frozen", self.text_mode)
        swaps = not self.mirrored or self.objective in MIRRORING
        require(swaps, "mirrored", f"the objective {' or '.join(MIRRORING)}", self.objective)
