"""Which checkpoints there are, without importing torch: folders with weights and a description.

Owns the listing for pages; what a checkpoint holds is judged when it is loaded. A folder whose description
cannot be read is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from timnet import cards, config, files, performance, settings_file
from timnet.cards import Card
from timnet.checkpoints import CALIBRATION, DESCRIPTION, OTHER_REPORTS, WEIGHTS
from timnet.counting import counted
from timnet.errors import TimnetError
from timnet.training import run_names

Kind = Literal["timnet", "classifier"]


class _Described(BaseModel):
    """What a listing needs of a description; loading checks all of it."""

    kind: Kind
    side: int
    labels: tuple[str, ...] = ()


_DESCRIPTION = TypeAdapter(_Described)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint folder, as its description tells it."""

    folder: Path
    kind: Kind
    stamp: int
    """Last change of its small files in nanoseconds: with the folder, the key of every cache."""
    side: int
    labels: tuple[str, ...]
    settings: config.Run | None
    """What it was trained with, where the folder is a run's."""
    card: Card | None = None
    at_chance: bool = False
    """Whether it is not better than chance on the held-out pairs of its own pre-training."""

    @property
    def name(self) -> str:
        """Return the folder's name."""
        return self.folder.name

    @property
    def title(self) -> str:
        """Return a line to choose by: a name that somebody gave it, else what it was trained with."""
        if isinstance(self.settings, config.Finetune) and self.name == run_names.folder_name(self.settings):
            settings = self.settings
            start = Path(settings.initialisation).name
            return (
                f"{settings.task} · {Path(settings.cohort).name} · {settings.fraction * 100:g} % of labels · "
                f"from {start} · {settings.side} px, "
                + ("probe" if settings.mode == "probe" else f"{counted(settings.epochs, 'epoch')}")
                + ("" if settings.mode != "last-layers" else ", last layers")
                + f" · seed {settings.seed}"
            )
        return f"{self.name} · at chance on its own held-out pairs" if self.at_chance else self.name


def listed(kind: Kind) -> list[Checkpoint]:
    """Return the checkpoints of one kind: recommended by their cards, others by age, at chance last."""
    found = [_read(path) for path in config.checkpoints().glob(f"*/{DESCRIPTION}")]
    wanted = [checkpoint for checkpoint in found if checkpoint and checkpoint.kind == kind]
    tasks = performance.MATCH if kind == "timnet" else performance.DIAGNOSE

    def key(each: Checkpoint) -> tuple[tuple[int, float], bool, int]:
        return performance.recommendation(each.card, tasks), each.at_chance, -each.stamp

    return sorted(wanted, key=key)


def meant(checkpoints: Sequence[Checkpoint], simulated: bool) -> Checkpoint:
    """Return the first checkpoint whose card recommends it for simulated X-rays, or for real ones."""
    for each in checkpoints:
        tasks = each.card.recommended_for if each.card else ()
        kinds = {task.endswith("simulated X-rays") for task in tasks if task != "initial weights"}
        if simulated in kinds:
            return each
    return checkpoints[0]


def settings(folder: Path) -> config.Run | None:
    """Return what a folder's checkpoint was trained with; None where it does not say."""
    try:
        return settings_file.from_json((folder / "config.json").read_text(encoding="utf-8", errors="replace"))
    except (OSError, TimnetError):
        return None


def _worth(folder: Path, kind: Kind) -> tuple[Card | None, bool]:
    try:
        return cards.read(folder), kind == "timnet" and performance.at_chance(folder)
    except cards.CardError:
        # Loading the checkpoint says what is wrong with it.
        return None, False


def _read(path: Path) -> Checkpoint | None:
    folder = path.parent
    try:
        described = files.read(path, _DESCRIPTION, TimnetError)
        if not (folder / WEIGHTS).is_file():
            return None
        names = (DESCRIPTION, CALIBRATION, OTHER_REPORTS, cards.FILE, cards.METRICS)
        times = [(folder / name).stat().st_mtime_ns for name in names if (folder / name).exists()]
        card, at_chance = _worth(folder, described.kind)
        facts = described.side, described.labels, settings(folder)
        return Checkpoint(folder, described.kind, max(times), *facts, card, at_chance)
    except (OSError, TimnetError):
        return None
