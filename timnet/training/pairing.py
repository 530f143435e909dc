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
import torch.nn.functional as F
from torch import Tensor

from timnet import config
from timnet.cohorts.pairs import Codes, Pairs
from timnet.training import augment, batches, distributed, hard_negatives, laterality_negatives, loop
from timnet.training.text_batches import Reports


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
    arrange = functools.partial(hard_negatives.together, partners=partners) if partners else None
    orders = batches.orders(train, settings.batch, settings.seed, epoch, arrange=arrange)
    for chosen, changes, parts in _left(settings, orders, epoch, done):
        yield {
            **_rows(pairs, chosen, chosen, changes, parts, reports, on, side_of(settings, epoch), mirrored),
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
    both = [(i, i) for i in train] + (hard_negatives.hardened(drawn, partners, draw) if partners else drawn)
    orders = batches.orders(range(len(both)), settings.batch, settings.seed, epoch)
    for places, changes, parts in _left(settings, orders, epoch, done):
        films, others = ([both[k][side] for k in places] for side in (0, 1))
        true = torch.tensor([film == other for film, other in zip(films, others, strict=True)], device=on)
        yield {
            **_rows(pairs, films, others, changes, parts, reports, on, side_of(settings, epoch)),
            "positive": true[distributed.share(len(places))],
        }


def _left(
    settings: config.Pretrain, orders: Iterable[list[int]], epoch: int, done: int
) -> Iterator[tuple[list[int], Tensor | None, Tensor | None]]:
    """Yield an epoch's batches but for the first `done`, with the changes of films and the parts of reports.

    Those of the first are drawn all the same: the others' are what they would have been behind them.
    """
    chance = batches.generator(settings.seed, epoch)
    for i, chosen in enumerate(orders):
        changes = augment.draw(len(chosen), chance, settings.erase) if settings.augment else None
        parts = torch.rand(len(chosen), 3, generator=chance) if settings.crop_text else None
        if i >= done:
            yield chosen, changes, parts


def _rows(
    pairs: Pairs,
    films: list[int],
    others: list[int],
    changes: Tensor | None,
    parts_B3: Tensor | None,
    reports: Reports,
    on: torch.device,
    side: int,
    mirrored: Codes | None = None,
) -> loop.Batch:
    """Return this process's rows of a batch: films, the reports shown with them, and how many all have."""
    mine = distributed.share(len(films))
    number = mine.stop - mine.start
    # A process without a row takes one and keeps nothing of it: the others wait for its part of the sums.
    some = mine if number else slice(0, 1)
    twins_B = np.full(len(films), laterality_negatives.NONE) if mirrored is None else mirrored[others]
    swapped = twins_B[mine][twins_B[mine] != laterality_negatives.NONE]
    first, mask = reports.batch(others[some], on, swapped.tolist())
    if parts_B3 is not None:
        whole = torch.from_numpy(twins_B[some] != laterality_negatives.NONE)
        own = mask[: len(whole)]
        mask = torch.cat([cropped(own, parts_B3[some], whole).to(on), mask[len(whole) :]])
    shown = _films(pairs, films[some], on, None if changes is None else changes[some], side)
    result = number + len(swapped)
    return {
        "films": shown[:number],
        "text": (first[-result:], mask[-result:]) if result else (first[:0], mask[:0]),
        "of": len(films),
        "rows": films,
        "mirrors": torch.from_numpy(np.flatnonzero(twins_B[mine] != laterality_negatives.NONE)).to(on),
        "mirrored": int((twins_B != laterality_negatives.NONE).sum()),
    }


def side_of(settings: config.Pretrain, epoch: int) -> int:
    """Return the side of an epoch's films: it grows over the first two thirds of the epochs."""
    if not settings.grow_from:
        return settings.side
    share = min(epoch / max(settings.epochs * 2 / 3, 1), 1.0)
    grown = settings.grow_from + share * (settings.side - settings.grow_from)
    return settings.side if share == 1 else max(int(grown) // 32 * 32, 32)


def cropped(mask_BT: Tensor, parts_B3: Tensor, whole_B: Tensor) -> Tensor:
    """Return the masks of reports of which a stretch alone is read; the first and last token always are.

    Args:
        mask_BT: 1 where a token counts.
        parts_B3: uniform numbers in 0 to 1: whether to crop (below a half), how much to keep, and where.
        whole_B: reports that are read whole all the same.
    """
    length_B = mask_BT.sum(1)
    crop_B, keep_B, place_B = parts_B3.to(mask_BT.device).unbind(1)
    kept_B = torch.ceil((0.3 + 0.7 * keep_B) * length_B)
    start_B = torch.floor(place_B * (length_B - kept_B + 1))
    place_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    inside_BT = (place_T >= start_B[:, None]) & (place_T < (start_B + kept_B)[:, None])
    ends_BT = (place_T == 0) | (place_T == length_B[:, None] - 1)
    all_BT = (whole_B.to(mask_BT.device) | (crop_B >= 0.5))[:, None]
    return mask_BT * (inside_BT | ends_BT | all_BT)


def _films(
    pairs: Pairs, chosen: Sequence[int], on: torch.device, changes: Tensor | None, side: int
) -> Tensor:
    films = batches.films(pairs.films(chosen), range(len(chosen)), on)
    if side < films.shape[-1]:
        films = F.interpolate(films, (side, side), mode="bilinear", antialias=True)
    return films if changes is None else augment.apply(films, changes)


def rng(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng((seed, epoch))
