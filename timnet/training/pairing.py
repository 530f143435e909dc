"""An epoch's batches of film-report pairs, and which mismatched pairs of them are left out.

Owns what a batch of each objective holds. All of it is drawn for the whole batch by every process, and films
and reports are then this process's rows. A mismatch is never of the same study, patient, wording or another
source.

Shapes: B batch, S side.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from timnet import config
from timnet.cohorts.pairs import Codes, Pairs
from timnet.training import augment, batches, loop, mining, mirrors, ranks
from timnet.training.reports import Reports


def masked_share(settings: config.Pretrain, pairs: Pairs, train: list[int], epoch: int) -> float | None:
    """Return the share of an epoch's mismatched pairs that are left out; None where they are chosen."""
    if settings.objective == "pairs" or settings.negatives == "mined":
        return None
    left_out = counted = 0
    for chosen in batches.orders(train, settings.batch, settings.seed, epoch):
        left_out += int(_left_out(settings, pairs, np.array(chosen)).sum())
        counted += len(chosen) * (len(chosen) - 1)
    return left_out / max(counted, 1)


def no_mismatch(settings: config.Pretrain, pairs: Pairs, films: Codes, reports: Codes) -> np.ndarray:
    """Return True where a film with a report, by their pairs, is no mismatch to learn from; broadcasts."""
    left_out = pairs.false_negatives(films, reports)
    # The style of a text alone would tell a source's films from another's.
    left_out |= pairs.source[films] != pairs.source[reports]
    if settings.both_normal == "ignore":
        left_out |= pairs.normal[films] & pairs.normal[reports]
    return left_out


def _left_out(settings: config.Pretrain, pairs: Pairs, index: np.ndarray) -> np.ndarray:
    """Return True where a film of a batch with another's report is no mismatch to learn from."""
    return no_mismatch(settings, pairs, index[:, None], index[None, :]) & ~np.eye(len(index), dtype=bool)


def all_pairs(
    settings: config.Pretrain,
    pairs: Pairs,
    train: list[int],
    reports: Reports,
    on: torch.device,
    epoch: int,
    done: int = 0,
    partners: list[int] | None = None,
    mirrored: Codes | None = None,
) -> Iterator[loop.Batch]:
    """Yield batches of true pairs, but for the first `done`; every film meets every report of its batch.

    Films and reports are this process's rows, the masks those of all. With `partners`, these stand beside
    their pairs; with `mirrored` (`mirrors.of`), swapped reports stand behind the others, those of `mirrors`.
    """
    arrange = functools.partial(mining.together, partners=partners) if partners else None
    orders = batches.orders(train, settings.batch, settings.seed, epoch, arrange=arrange)
    for chosen, changes in _left(settings, orders, epoch, done):
        yield {
            **_rows(pairs, chosen, chosen, changes, reports, on, mirrored),
            "own": torch.eye(len(chosen), dtype=torch.bool, device=on),
            "false_negative": torch.from_numpy(_left_out(settings, pairs, np.array(chosen))).to(on),
        }


def literal_pairs(
    settings: config.Pretrain,
    pairs: Pairs,
    train: list[int],
    reports: Reports,
    on: torch.device,
    epoch: int,
    done: int = 0,
    partners: list[int] | None = None,
) -> Iterator[loop.Batch]:
    """Yield batches of single pairs, this process's rows of them, but for the first `done`.

    Each film comes once with its report and once with another's, drawn anew each epoch, or its partner's.
    """
    draw = rng(settings.seed, epoch)
    drawn = pairs.mismatched(train, draw)
    both = [(i, i) for i in train] + (mining.hardened(drawn, partners, draw) if partners else drawn)
    orders = batches.orders(range(len(both)), settings.batch, settings.seed, epoch)
    for places, changes in _left(settings, orders, epoch, done):
        films, others = ([both[k][side] for k in places] for side in (0, 1))
        true = torch.tensor([film == other for film, other in zip(films, others, strict=True)], device=on)
        yield {
            **_rows(pairs, films, others, changes, reports, on),
            "positive": true[ranks.share(len(places))],
        }


def _left(
    settings: config.Pretrain, orders: Iterable[list[int]], epoch: int, done: int
) -> Iterator[tuple[list[int], Tensor | None]]:
    """Yield an epoch's batches but for the first `done`, each with the changes of its films.

    Those of the first are drawn all the same: the others' are what they would have been behind them.
    """
    chance = batches.generator(settings.seed, epoch)
    for i, chosen in enumerate(orders):
        changes = augment.draw(len(chosen), chance, settings.erase) if settings.augment else None
        if i >= done:
            yield chosen, changes


def _rows(
    pairs: Pairs,
    films: list[int],
    others: list[int],
    changes: Tensor | None,
    reports: Reports,
    on: torch.device,
    mirrored: Codes | None = None,
) -> loop.Batch:
    """Return this process's rows of a batch: films, the reports shown with them, and how many all have."""
    mine = ranks.share(len(films))
    number = mine.stop - mine.start
    # A process without a row takes one and keeps nothing of it: the others wait for its part of the sums.
    some = mine if number else slice(0, 1)
    twins_B = np.full(len(films), mirrors.NONE) if mirrored is None else mirrored[others]
    swapped = twins_B[mine][twins_B[mine] != mirrors.NONE]
    first, mask = reports.batch(others[some], on, swapped.tolist())
    shown = _films(pairs, films[some], on, None if changes is None else changes[some])
    told = number + len(swapped)
    return {
        "films": shown[:number],
        "text": (first[-told:], mask[-told:]) if told else (first[:0], mask[:0]),
        "of": len(films),
        "rows": films,
        "mirrors": torch.from_numpy(np.flatnonzero(twins_B[mine] != mirrors.NONE)).to(on),
        "mirrored": int((twins_B != mirrors.NONE).sum()),
    }


def _films(pairs: Pairs, chosen: Sequence[int], on: torch.device, changes: Tensor | None) -> Tensor:
    films = batches.films(pairs.films(chosen), range(len(chosen)), on)
    return films if changes is None else augment.apply(films, changes)


def rng(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng((seed, epoch))
