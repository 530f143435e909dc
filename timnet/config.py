"""Frozen settings of every command: one declaration becomes the command line, the page's form and the file.

Owns the settings, the presets and where things live on disk. Knows nothing of torch or Streamlit.
Numbers of the ``paper`` preset: Liang et al. 2022, Sec. III-C and IV-B.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from timnet.counting import counted
from timnet.errors import TimnetError

_PACKAGE = Path(str(resources.files("timnet"))).resolve()
REPOSITORY = _PACKAGE.parent
"""The clone; of an installed timnet the folder that holds its package."""
_INSTALLED = (_PACKAGE / "shipped").is_dir()
BUNDLE = _PACKAGE / "shipped" if _INSTALLED else REPOSITORY
"""What holds assets/ and the shipped checkpoints/: the clone, or the package as setup.py installs it."""
ASSETS = BUNDLE / "assets"
DEMO = ASSETS / "demo"
TEXT_ENCODER = ASSETS / "text-encoder"
SHIPPED = "open-cxr"
"""The initial weights that come with timnet, by their name under checkpoints/."""
MATCHING, FINDINGS = "open-i", "chest-findings"
"""The shipped checkpoints that read a real X-ray: a report's match, and findings of adults."""

RESEARCH_USE = "Research use only. Not a medical device, never a diagnosis."
MAP_LIMITS = (
    "The map shows what moved the score. It is not a localisation of disease and falls short of a "
    "radiologist's eye."
)

Precision = Literal["auto", "fp32", "bf16"]
MIRRORING = ("all-pairs", "sigmoid", "infonce")
"""Objectives that know what to do with reports whose sides are swapped."""
ClassWeights = Literal["none", "balanced"]
Mode = Literal["full", "last-layers", "probe"]
Schedule = Literal["constant", "cosine"]
Views = Literal["frontal", "lateral", "all"]
COSINES = ("sigmoid", "infonce")
"""Matching objectives that compare by a cosine; the others train h_cls."""
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, str_max_length=4096)


class ConfigError(TimnetError):
    """A setting that cannot be used; the message names it, what was expected and what came."""


def home() -> Path:
    """Return the folder of the cohorts: ``TIMNET_HOME``, by default ``data/`` in the clone."""
    return _folder("TIMNET_HOME", "data")


def checkpoints() -> Path:
    """Return the folder of runs and checkpoints: ``TIMNET_CHECKPOINTS``, by default ``checkpoints/``."""
    return _folder("TIMNET_CHECKPOINTS", "checkpoints")


def _folder(variable: str, name: str) -> Path:
    """Return the folder that a variable names; where none is set and timnet is installed, one of the user."""
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "timnet"
    default = (data if _INSTALLED else REPOSITORY) / name
    return Path(os.environ.get(variable) or default).expanduser().resolve()


def checkpoint_places(source: str) -> tuple[Path, ...]:
    """Return where a checkpoint may lie by its path or name: the user's runs come before shipped ones."""
    return Path(source).expanduser(), checkpoints() / source, BUNDLE / "checkpoints" / source


def demo() -> Path | None:
    """Return the folder of the demo films: ``TIMNET_DEMO``, by default the shipped one; None for ``none``."""
    asked = os.environ.get("TIMNET_DEMO", "")
    if asked == "none":
        return None
    return Path(asked).expanduser().resolve() if asked else DEMO


def refusing() -> bool:
    """Return whether what looks like no frontal chest film is refused: ``TIMNET_REFUSE=never`` ends that."""
    return os.environ.get("TIMNET_REFUSE", "") != "never"


def importable() -> tuple[Path, ...]:
    """Return the folders that a page may import from: ``TIMNET_IMPORTS``, separated as in ``PATH``.

    By default the user's home and the folder that holds ``TIMNET_HOME``; none for ``none``.
    """
    asked = os.environ.get("TIMNET_IMPORTS", "")
    if asked == "none":
        return ()
    listed = [Path(each).expanduser() for each in asked.split(os.pathsep) if each.strip()]
    folders = dict.fromkeys(path.resolve() for path in listed or (Path.home(), home().parent))
    # Never everything by default: a cohort's folder may lie at the top of a disk.
    return tuple(path for path in folders if listed or path != Path(path.anchor))


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """Pre-train TIMNet on the film-report pairs of one or more cohorts."""

    cohorts: tuple[str, ...]
    """Cohorts by name (a folder of TIMNET_HOME) or by path."""
    repeats: tuple[int, ...] = ()
    """How often an epoch sees each cohort's pairs, in the cohorts' order; once where nothing is said."""
    preset: Literal["small", "paper"] = "small"
    """`small` fits two CPU cores; `paper` holds every number of Liang et al., Sec. III-C and IV-B."""
    views: Views = "frontal"
    """X-rays to train and measure on: `frontal` leaves lateral ones out and takes unknown views."""
    backbone: str = "resnet18"
    """Image branch: a ResNet, DenseNet, EfficientNet or MobileNet of torchvision, efficientnet_lite0, a
    network of timm, or an image encoder's folder or hub id (with a / in it), which brings its weights."""
    image_weights: str = "base"
    """Start of the image branch: base (random), imagenet, a checkpoint folder, an image encoder's folder or
    hub id (Hugging Face, timm), or a state-dict file."""
    start: str = ""
    """A TIMNet checkpoint that is trained on as a whole, head and text branch too; empty: new weights around
    `image_weights`."""
    text_encoder: str = "assets/text-encoder"
    """BERT of the text branch: a local folder (also relative to the repository) or a hub id."""
    text_mode: Literal["frozen", "partial", "full"] = "frozen"
    """`frozen`: token states are computed once and kept; `partial`: the last `text_layers` layers are trained
    on the kept states below them; `full`: every layer is trained."""
    text_layers: int = 3
    """Layers of the text encoder that `partial` trains: half of the shipped one's six."""
    objective: Literal["all-pairs", "pairs", "sigmoid", "infonce"] = "all-pairs"
    """`pairs`: the paper's, one true and one mismatched report a film; `all-pairs`: every pair of a batch.
    `sigmoid`, `infonce`: every pair too, by the cosine of the vectors rather than by the paper's head."""
    h_cls: Literal["mlp", "linear", "product"] = "mlp"
    """`mlp`: one hidden layer of 512 on the absolute difference, as in the paper; `linear`: none; `product`:
    one that sees the product of the vectors too. The cosine objectives have no h_cls."""
    negatives: Literal["drawn", "mined"] = "drawn"
    """`mined`: from the second epoch on, half the mismatched reports are those that the network of the epoch
    before took for a film's own: drawn as its pair, or put into its batch."""
    mirrored: bool = False
    """Half of the mismatched pairs' weight goes to films with their own report, left and right swapped, where
    that makes it wrong: else a network may match well and know nothing of sides."""
    padding: Literal["masked", "literal"] = "masked"
    """`masked`: padding changes nothing; `literal`: zeros up to `tokens` take part, as in the paper."""
    side: int = 224
    """Films are letterboxed to side x side pixels."""
    grow_from: int = 0
    """Side of the first epoch in pixels; it grows to `side` over the first two thirds of the epochs, in steps
    of 32. Early epochs are then several times faster. 0: every epoch at `side`."""
    tokens: int = 256
    """Tokens that the text encoder reads at a time; a longer text is read window by window, none is cut."""
    width: int = 512
    """Channels of the 1x1 convolutions."""
    epochs: int = 40
    """Passes over the training pairs."""
    batch: int = 32
    """Films a step."""
    chunk: int = 0
    """Films and reports encoded at a time, for a batch that does not fit in memory; 0: all at once. Every
    pair of the batch counts all the same, but batch norm sees a chunk, and each is encoded twice."""
    recompute: bool = False
    """Compute the layers of both encoders again for their gradients rather than keep them: less memory, and
    a second forward pass."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    trunk_rate: float = 1.0
    """Step size of the image trunk as a share of `learning_rate`: pre-trained layers want smaller steps."""
    schedule: Schedule = "constant"
    """`cosine`: the step size rises over the first twentieth of the steps and falls to 0 at the last."""
    both_normal: Literal["contrast", "ignore"] = "contrast"
    """`ignore`: one normal film with another's normal report counts as neither true nor mismatched."""
    shuffled: bool = False
    """A control: each training film gets another's report, so that only the films are learned from."""
    augment: bool = True
    """Small rotations, scalings, shifts and contrast changes; never a left-right flip."""
    erase: bool = False
    """With `augment`: noise too, and a rectangle of one grey over up to an eighth of the film."""
    crop_text: bool = False
    """Half of the training reports are read in part, from 30 % of their words on, a new part each epoch; a
    report with a swapped twin (`mirrored`) is always whole."""
    held_out: tuple[str, ...] = ("val", "test")
    """Splits that are never trained on and on which the matching is measured."""
    evaluate_every: int = 5
    """Epochs from one look at held-out pairs to the next; 0 looks at the end alone. Changes no weight."""
    probe: str = ""
    """A task of the first cohort, as in fine-tuning: at every look, what a straight line reads of it off the
    image branch with up to 256 labelled films. Changes no weight; none where nothing is said."""
    normalisation: Literal["film", "imagenet"] = "film"
    """`film`: each film by its own mean and deviation, exposure does not count; `imagenet`: all alike."""
    precision: Precision = "auto"
    """`auto` times both on the device and takes the faster."""
    seed: int = 0
    """Seed of initial weights, order, negatives and augmentation."""

    def __post_init__(self) -> None:
        _bring_weights(self, "image_weights")
        _require(bool(self.cohorts), "cohorts", "at least one cohort", self.cohorts)
        fits = not self.repeats or len(self.repeats) == len(self.cohorts)
        _require(
            fits, "repeats", f"a number for each of {counted(len(self.cohorts), 'cohort')}", self.repeats
        )
        _require(all(1 <= n <= 1000 for n in self.repeats), "repeats", "1 to 1000", self.repeats)
        _require(32 <= self.side <= 1024, "side", "32 to 1024 pixels", self.side)
        grows = self.grow_from == 0 or 32 <= self.grow_from <= self.side
        _require(grows, "grow_from", f"0, or 32 to {self.side} pixels", self.grow_from)
        _require(1 <= self.text_layers <= 96, "text_layers", "1 to 96", self.text_layers)
        _require(4 <= self.tokens <= 512, "tokens", "4 to 512", self.tokens)
        _require(8 <= self.width <= 4096, "width", "8 to 4096", self.width)
        _require(1 <= self.epochs <= 10_000, "epochs", "1 to 10000", self.epochs)
        _require(0 <= self.evaluate_every <= 10_000, "evaluate_every", "0 to 10000", self.evaluate_every)
        _require(0 <= self.seed < 2**32, "seed", "0 to 4294967295", self.seed)
        _require(2 <= self.batch <= 65_536, "batch", "2 to 65536", self.batch)
        chunks = self.chunk == 0 or 2 <= self.chunk <= 65_536
        _require(chunks, "chunk", "0, or 2 to 65536 films", self.chunk)
        _require(0 < self.learning_rate < 1, "learning_rate", "above 0 and below 1", self.learning_rate)
        _require(0 < self.trunk_rate <= 1, "trunk_rate", "above 0 and at most 1", self.trunk_rate)
        whole = self.text_mode == "frozen" or not self.crop_text
        _require(whole, "crop_text", "text_mode frozen", self.text_mode)
        _require(
            not self.mirrored or self.objective in MIRRORING,
            "mirrored",
            f"the objective {' or '.join(MIRRORING)}",
            self.objective,
        )


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Fine-tune a classifier on a share of a cohort's labelled training films."""

    cohort: str
    """Cohort by name (a folder of TIMNET_HOME) or by path."""
    task: str
    """A label column, several joined by commas, `abnormal`, `chexpert14`, or `all` for every label."""
    views: Views = "frontal"
    """X-rays to train and test on: `frontal` leaves lateral ones out and takes unknown views."""
    uncertain: Literal["ignore", "zeros", "ones", "per-label"] = "ignore"
    """What a label that its source calls uncertain (-1) counts as; `ignore`: unknown, it is masked."""
    initialisation: str = "base"
    """base (random) | imagenet | a checkpoint folder | an image encoder's folder or hub id | a state-dict
    file (.safetensors, .pt, .pth) | vectors of another program (.npz, .parquet): a probe of them."""
    fraction: float = 1.0
    """Share of the labelled training films that is used, 0.005 to 1."""
    seed: int = 0
    """Seed of the draw of labels, of the new layers, of order and augmentation."""
    preset: Literal["small", "paper"] = "small"
    """`paper`: 100 epochs, batch 16, Adam 1e-4, 500 px, all films an epoch; `small`: 224 px, augmented."""
    mode: Mode = "full"
    """`full`: every layer is trained; `last-layers`: the trunk's last stage and the layers after it;
    `probe`: the trunk stays as it is, a logistic line is fitted on its features, in seconds once they are
    kept; epochs, batch, step size and augmentation then mean nothing."""
    backbone: str = "resnet18"
    """As of pretrain's --backbone; the initialisation's own where it brings one."""
    side: int = 224
    """Films are letterboxed to side x side pixels."""
    width: int = 512
    """Channels of the 1x1 convolution."""
    epochs: int = 100
    """Passes over the films drawn."""
    least_steps: int = 0
    """Few films are passed over more often than `epochs`, until so many steps are done."""
    batch: int = 16
    """Films a step."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    schedule: Schedule = "constant"
    """`cosine`: the step size rises over the first twentieth of the steps and falls to 0 at the last."""
    augment: bool = True
    """Small rotations, scalings, shifts and contrast changes; never a left-right flip."""
    normalisation: Literal["film", "imagenet"] = "film"
    """`film`: each film by its own mean and deviation; `imagenet`: all alike. A checkpoint keeps its own."""
    drop_last: bool = True
    """Leave out an epoch's last batch where it is not full; every film has its turn over the epochs."""
    class_weights: ClassWeights = "none"
    """`balanced`: films with a label and films without it weigh alike in all, however rare one kind is."""
    looks: int = 20
    """Looks at films of the split `val` while it trains, spread over the epochs; 0: none."""
    patience: int = 0
    """Looks without a lower loss on validation films after which it stops, with the best look's weights; 0:
    it trains to the last epoch. Without a split `val`, a fifth of the films drawn is held back for it."""
    shuffled_labels: bool = False
    """A control: the films drawn get each other's labels, so that the test films must stay at chance."""
    precision: Precision = "auto"
    """`auto` times both on the device and takes the faster."""

    def __post_init__(self) -> None:
        _bring_weights(self, "initialisation")
        _require(bool(self.cohort.strip()), "cohort", "a cohort", self.cohort)
        _require(bool(self.task.strip()), "task", "a task", self.task)
        _require(0 <= self.seed < 2**32, "seed", "0 to 4294967295", self.seed)
        _require(0 < self.fraction <= 1, "fraction", "above 0 and at most 1", self.fraction)
        _require(32 <= self.side <= 1024, "side", "32 to 1024 pixels", self.side)
        _require(8 <= self.width <= 4096, "width", "8 to 4096", self.width)
        _require(1 <= self.epochs <= 10_000, "epochs", "1 to 10000", self.epochs)
        _require(0 <= self.least_steps <= 1_000_000, "least_steps", "0 to 1000000", self.least_steps)
        _require(0 <= self.looks <= 10_000, "looks", "0 to 10000", self.looks)
        least = "0 to 10000, and looks of 1 or more where it is above 0"
        _require(0 <= self.patience <= 10_000 * bool(self.looks), "patience", least, self.patience)
        _require(2 <= self.batch <= 65_536, "batch", "2 to 65536", self.batch)
        _require(0 < self.learning_rate < 1, "learning_rate", "above 0 and below 1", self.learning_rate)


Run = Pretrain | Finetune


def _bring_weights(settings: Run, field: str) -> None:
    """Let a backbone that is a folder or hub id start from its own weights, never from random ones."""
    if "/" in settings.backbone and getattr(settings, field) == "base":
        object.__setattr__(settings, field, settings.backbone)


def _require(holds: bool, field: str, expected: str, came: object) -> None:
    if not holds:
        raise ConfigError(f"{field}: expected {expected}, got {repr(came)[:60]}")
