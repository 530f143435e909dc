"""How good a network was on real X-rays: the sentence beside its numbers, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from timnet import cards
from timnet.cards import MACRO, Card, Result, Task
from timnet.counting import counted

SIDES = "sides: own report, not the same with sides swapped"
"""Task of a result: the share of X-rays that prefer their report to the same with its sides exchanged."""
AT_CHANCE = "On the held-out patients of its own training it is not better than chance."
MATCH: tuple[Task, ...] = ("match real X-rays", "match simulated X-rays")
DIAGNOSE: tuple[Task, ...] = ("findings, adults", "pneumonia, children", "findings, simulated X-rays")
"""What the pages Match and Diagnose are opened for, most wanted first."""


def headline(card: Card | None, label: str = "") -> Result | None:
    """Return the auROC on real X-rays of a network or of one of its labels; None where unmeasured.

    Args:
        label: one label of a classifier; empty for the whole network.
    """
    found = [
        each for each in card.results if each.real and each.metric == "auROC" and not each.group
    ] if card else []  # fmt: skip
    if label:
        return next((each for each in found if each.label == label), None)
    labels = {each.label for each in found}
    wanted = labels if len(labels) == 1 else {"", MACRO}
    return next((each for each in found if each.label in wanted), None)


def recommendation(card: Card | None, tasks: Sequence[Task]) -> tuple[int, float]:
    """Return a key that sorts checkpoints by the first task they are recommended for, then by worth."""
    places = [place for place, task in enumerate(tasks) if card and task in card.recommended_for]
    result = headline(card)
    return min(places, default=len(tasks)), -result.value if result else 0.0


def recommended(root: Path, tasks: Sequence[Task]) -> str | None:
    """Return the checkpoint under a folder that is recommended for the first task that any is, or None."""
    found = []
    for path in sorted(root.glob(f"*/{cards.FILE}")):
        try:
            found.append((*recommendation(cards.read(path.parent), tasks), path.parent.name))
        except cards.CardError:
            continue
    return min(found)[2] if found and min(found)[0] < len(tasks) else None


def trust(card: Card | None) -> str:
    """Return in one sentence what the network was worth on real X-rays, or that nobody measured it."""
    result = headline(card)
    if result is None:
        return "Never measured on real X-rays."
    mean = "mean " if result.label == MACRO else ""
    where = "On real X-rays" if result.external else "On real X-rays of its own source"
    number = f"{mean}auROC {figures(result)}, {verdict(result)}"
    return f"{where} ({result.dataset}, {counted(result.images, 'X-ray')}): {number}."


def sides(card: Card | None) -> str:
    """Say that a network was seen not to tell sides on real X-rays; empty where it was not.

    What says so is a share of X-rays with the task SIDES whose interval does not lie above one half.
    """
    for result in card.results if card else ():
        if result.real and result.task == SIDES and _at_least(result) <= 0.5:
            return (
                f"It does not tell left from right ({100 * result.value:.0f} % right, where 50 % is chance)."
            )
    return ""


def trust_of(folder: Path) -> str:
    """Return what stands beside every number of a checkpoint: `trust`, and warnings.

    They are that it does not tell sides (`sides`) or is at chance (AT_CHANCE).

    Raises:
        CardError, ConfigError: one of its files is damaged.
    """
    card = cards.of(folder)
    parts = (trust(card), sides(card), AT_CHANCE if at_chance(folder) else "")
    return " ".join(filter(None, parts))


def doubtful(card: Card | None) -> bool:
    """Return whether a network was not measured on real X-rays, or was little better than chance there."""
    result = headline(card)
    return result is None or _at_least(result) < 0.6


def too_weak(card: Card | None, label: str) -> bool:
    """Return whether a label was measured on real X-rays and tells them apart too poorly for a word."""
    result = headline(card, label)
    return result is not None and (result.value < 0.7 or _at_least(result) < 0.6)


def label_worth(card: Card | None, label: str) -> str:
    """Return what one label of a classifier was worth on real X-rays, in a few words."""
    result = headline(card, label)
    return f"{figures(result)}, {verdict(result)}" if result else "not measured"


def _at_least(result: Result) -> float:
    """Return the lower end of a result's interval; the value where there is none."""
    return result.value if result.low is None else result.low


def figures(result: Result) -> str:
    """Return a value with its interval, such as `0.55 (0.53 to 0.57)`."""
    interval = "" if result.low is None else f" ({result.low:.2f} to {result.high:.2f})"
    return f"{result.value:.2f}{interval}"


def verdict(result: Result) -> str:
    """Return an auROC in words, by the lower end of its interval: what few X-rays show counts for less."""
    low = _at_least(result)
    high = result.value if result.high is None else result.high
    if high < 0.5:
        return "worse than chance"
    if low <= 0.5:
        return "not better than chance"
    words = ((0.6, "little better than chance"), (0.7, "weak"), (0.8, "fair"), (0.9, "good"))
    return next((word for bound, word in words if low < bound), "very good")


def at_chance(folder: Path) -> bool:
    """Return whether a network does not beat chance on the held-out patients of its own training.

    Raises:
        CardError: its metrics are damaged.
    """
    return any(_at_least(result) <= 0.5 for result in cards.own_results(cards.measured(folder))[:1])
