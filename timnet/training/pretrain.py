"""Pre-training: film-report pairs of one or more cohorts -> a TIMNet and its matching metrics.

Paper Sec. III-A and IV-B. The paper's literal pairs come with negatives drawn anew each epoch; the other
objectives look at every pair of a batch, with false negatives left out. A frozen text encoder reads each
text once, and its token states are kept on disk. Matching is measured on held-out patients; the last epoch's
weights are kept, so nothing is chosen on them. A run that was stopped goes on from its last good snapshot.

Shapes: B batch, P pairs, S side, T tokens, D joint width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from timnet import config
from timnet.cohorts.pairs import Pairs, collect
from timnet.evaluation import cam, held_out, matching, metrics, recall
from timnet.model import encoders, initialisation, weights
from timnet.model.timnet import TIMNet
from timnet.training import augment, batches, devices, loop, objectives, snapshots, watch
from timnet.training.events import Events
from timnet.training.reports import Reports, text_vectors
from timnet.training.runs import BEST

MAPPED = 64
"""Pairs whose maps set the checkpoint's scale."""


def train(settings: config.Pretrain, folder: Path, events: Events) -> dict[str, Any]:
    """Pre-train, write the checkpoint into the folder and return what was measured.

    Raises:
        ValueError: a cohort, encoder or initialisation cannot be used; the message says why.
    """
    on = devices.device()
    found = snapshots.newest(folder)
    # Timed anew, a busy device could give another answer than the one the run was trained with.
    precision = found.origin.precision if found else devices.precision(settings.precision, on)
    events.append("phase", phase="reading films", device=devices.describe(on), precision=precision)
    pairs = collect(settings.cohorts, settings.held_out, settings.side, events.phase("reading films"))
    if settings.shuffled:
        pairs = shuffled(pairs, settings.seed)
    seen = np.array(settings.repeats or [1] * len(settings.cohorts))[pairs.source]
    train_pairs = np.repeat(np.arange(len(seen)), seen * ~pairs.held_out).tolist()
    held_pairs = np.flatnonzero(pairs.held_out).tolist()

    encoder = encoders.load(settings.text_encoder)
    encoder.bert.to(on)
    reports = Reports(pairs, encoder, settings, events)
    trained = _trained(encoder, settings)
    spec = weights.TimnetSpec(
        backbone=settings.backbone,
        side=settings.side,
        tokens=settings.tokens,
        padding=settings.padding,
        width=settings.width,
        normalisation=settings.normalisation,
        text_encoder=settings.text_encoder,
        text_encoder_sha256=encoder.sha256 if trained is None else None,
        text_width=encoder.width,
        head=objectives.HEADS[settings.objective],
    )
    timnet = weights.build_timnet(spec, settings.seed, trained)
    matched = initialisation.initialise(timnet.image.trunk, settings.image_weights, settings.backbone)
    batches.channels_last(timnet, on)

    epoch_batches = _literal_pairs if settings.objective == "pairs" else _all_pairs
    num_pairs = len(train_pairs)
    if settings.objective == "pairs":
        num_pairs += len(pairs.mismatched(train_pairs, _rng(settings.seed, 0)))
    events.append("phase", phase="training", films=len(train_pairs))
    steps = batches.steps(num_pairs, settings.batch)
    objective = objectives.MatchObjective(timnet, settings.objective).to(on)
    optimizer = torch.optim.Adam(objective.parameters(), lr=settings.learning_rate, fused=True)
    codes = (pairs.row, pairs.source, pairs.study, pairs.patient, pairs.text, pairs.normal, pairs.held_out)
    trained_on = snapshots.fingerprint(*pairs.pixels, *codes, "\0".join(pairs.texts), str(encoder.sha256))
    own_encoder = encoder if trained is not None else None

    def save(to: Path) -> None:
        timnet.eval()
        scale = _map_scale(timnet, pairs, train_pairs[:MAPPED], reports, on)
        weights.save_checkpoint(to, timnet, replace(spec, map_scale=scale), own_encoder)

    def measure(chosen: list[int]) -> watch.Tables:
        timnet.eval()
        vectors = _vectors(timnet, pairs, chosen, reports, on, precision == "bf16", events)
        tables = [
            kind.evaluate(timnet, *vectors, pairs, chosen, settings.seed) for kind in (matching, recall)
        ]
        return tables[0], tables[1]

    def masked(epoch: int) -> float | None:
        return masked_share(settings, pairs, train_pairs, epoch)

    loop.fit(
        objective,
        lambda epoch, done: epoch_batches(settings, pairs, train_pairs, reports, on, epoch, done),
        optimizer,
        loop.accelerator(precision),
        events,
        epochs=settings.epochs,
        steps=steps,
        scheduler=cosine(optimizer, settings.epochs * steps) if settings.schedule == "cosine" else None,
        kept=snapshots.Snapshots(folder, snapshots.origin(settings, trained_on, precision), found),
        watch=watch.Watch(settings, folder, events, pairs, measure, masked, save),
    )

    events.append("phase", phase="testing", films=len(held_pairs))
    table, retrieved = measure(held_pairs)
    save(folder)
    return {
        "held_out": metrics.records(table),
        "retrieval": metrics.records(retrieved),
        "best": _best(settings, folder, events),
        "pairs_train": len(set(train_pairs)),
        "pairs_held_out": len(held_pairs),
        "patients_train": len(np.unique(pairs.patient[train_pairs])),
        "patients_held_out": len(np.unique(pairs.patient[held_pairs])),
        "films_without_text": pairs.without_text,
        "masked": masked(settings.epochs - 1),
        "truncated": encoder.truncated(pairs.texts, settings.tokens),
        "initialised": {"matched": len(matched.matched), "missing": len(matched.missing)},
        "device": devices.describe(on),
        "precision": precision,
    }


def shuffled(pairs: Pairs, seed: int) -> Pairs:
    """Return the pairs with the reports of the training films shuffled within each source."""
    rng, text = _rng(seed, -1 % 2**32), pairs.text.copy()
    for source in np.unique(pairs.source):
        rows = np.flatnonzero((pairs.source == source) & ~pairs.held_out)
        text[rows] = rng.permutation(text[rows])
    return replace(pairs, text=text)


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Raise the step size over the first twentieth of the steps, then let it fall to 0 as half a cosine."""
    warm = max(steps // 20, 1)

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min((step - warm) / max(steps - warm, 1), 1.0)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _trained(encoder: encoders.TextEncoder, settings: config.Pretrain) -> nn.Module | None:
    """Return the layers of the text encoder that are trained; None where it is frozen."""
    if settings.text_mode == "partial":
        return encoders.Upper(encoder.bert, settings.text_layers)
    return encoder.bert if settings.text_mode == "full" else None


def masked_share(settings: config.Pretrain, pairs: Pairs, train: list[int], epoch: int) -> float | None:
    """Return the share of an epoch's mismatched pairs that are left out; None where they are drawn."""
    if settings.objective == "pairs":
        return None
    left_out = counted = 0
    for chosen in batches.orders(train, settings.batch, settings.seed, epoch):
        left_out += int(_left_out(settings, pairs, np.array(chosen)).sum())
        counted += len(chosen) * (len(chosen) - 1)
    return left_out / max(counted, 1)


def _left_out(settings: config.Pretrain, pairs: Pairs, index: np.ndarray) -> np.ndarray:
    """Return True where a film of a batch with another's report is no mismatch to learn from."""
    own = np.eye(len(index), dtype=bool)
    left_out = pairs.false_negatives(index[:, None], index[None, :])
    # The style of a text alone would tell a source's films from another's.
    left_out |= pairs.source[index][:, None] != pairs.source[index][None, :]
    if settings.both_normal == "ignore":
        left_out |= pairs.normal[index][:, None] & pairs.normal[index][None, :]
    return left_out & ~own


def _best(settings: config.Pretrain, folder: Path, events: Events) -> dict[str, Any] | None:
    """Return which network was chosen on `val` and how it does on `test`; None where none was."""
    kept = watch.chosen(folder)
    if not kept:
        return None
    progress = events.phase("testing the best")
    table = held_out.measure(folder / BEST, settings.cohorts, (watch.TEST,), settings.seed, progress)
    return {**kept, "test": metrics.records(table)}


def _rng(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng((seed, epoch))


def _films(pairs: Pairs, chosen: Sequence[int], on: torch.device, changes: Tensor | None) -> Tensor:
    films = batches.films(pairs.films(chosen), range(len(chosen)), on)
    return films if changes is None else augment.apply(films, changes)


def _changes(settings: config.Pretrain, films: int, chance: torch.Generator) -> Tensor | None:
    return augment.draw(films, chance) if settings.augment else None


def _all_pairs(
    settings: config.Pretrain,
    pairs: Pairs,
    train: list[int],
    reports: Reports,
    on: torch.device,
    epoch: int,
    done: int = 0,
) -> Iterator[loop.Batch]:
    """Yield batches of true pairs, but for the first `done`; every film meets every report of its batch."""
    chance = batches.generator(settings.seed, epoch)
    for i, chosen in enumerate(batches.orders(train, settings.batch, settings.seed, epoch)):
        changes = _changes(settings, len(chosen), chance)
        if i < done:
            continue
        yield {
            "films": _films(pairs, chosen, on, changes),
            "text": reports.batch(chosen, on),
            "own": torch.eye(len(chosen), dtype=torch.bool, device=on),
            "false_negative": torch.from_numpy(_left_out(settings, pairs, np.array(chosen))).to(on),
            "rows": chosen,
        }


def _literal_pairs(
    settings: config.Pretrain,
    pairs: Pairs,
    train: list[int],
    reports: Reports,
    on: torch.device,
    epoch: int,
    done: int = 0,
) -> Iterator[loop.Batch]:
    """Yield batches of single pairs, but for the first `done`.

    Each film comes once with its report and once with another's, drawn anew each epoch.
    """
    chance = batches.generator(settings.seed, epoch)
    both = [(i, i) for i in train] + pairs.mismatched(train, _rng(settings.seed, epoch))
    for i, places in enumerate(batches.orders(range(len(both)), settings.batch, settings.seed, epoch)):
        changes = _changes(settings, len(places), chance)
        if i < done:
            continue
        chosen = [both[k][0] for k in places]
        yield {
            "films": _films(pairs, chosen, on, changes),
            "text": reports.batch([both[k][1] for k in places], on),
            "positive": torch.tensor([both[k][0] == both[k][1] for k in places], device=on),
            "rows": chosen,
        }


@torch.inference_mode()
def _vectors(
    timnet: TIMNet,
    pairs: Pairs,
    chosen: list[int],
    reports: Reports,
    on: torch.device,
    bf16: bool,
    events: Events,
) -> tuple[Tensor, Tensor]:
    """Return film and report vectors (P, D) of the pairs."""
    v_image, v_text = [], []
    for start in range(0, len(chosen), 32):
        events.check()
        part = chosen[start : start + 32]
        films = batches.films(pairs.films(part), range(len(part)), on)
        with torch.autocast(on.type, torch.bfloat16, enabled=bf16):
            v_image.append(timnet.image(films)[1].float())
            v_text.append(text_vectors(timnet, reports.batch(part, on)).float())
    return torch.cat(v_image), torch.cat(v_text)


def _map_scale(timnet: TIMNet, pairs: Pairs, chosen: list[int], reports: Reports, on: torch.device) -> float:
    """Return the evidence at which this network's match maps are painted at full strength."""
    with torch.no_grad():
        grid = timnet.image.grid(batches.films(pairs.films(chosen), range(len(chosen)), on))
        v_text = text_vectors(timnet, reports.batch(chosen, on))
    maps = cam.evidence(grid, lambda pooled: timnet.match(timnet.image.fc(pooled), v_text).unsqueeze(1))[1]
    return cam.scale_of(maps)
