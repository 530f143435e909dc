"""Pre-training: film-report pairs of one or more cohorts -> a TIMNet and its matching metrics.

Paper Sec. III-A and IV-B. The paper's literal pairs come with negatives drawn anew each epoch; the other
objectives look at every pair of a batch, with false negatives left out. A frozen text encoder reads each
text once, and its token states are kept on disk. Matching is measured on held-out patients; the last epoch's
weights are kept, so nothing is chosen on them. A run that was stopped goes on from its last good snapshot.

Shapes: B batch, P pairs, S side, T tokens, D joint width.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from timnet import config
from timnet.checkpoints import TimnetSpec
from timnet.cohorts import store
from timnet.cohorts.pairs import Pairs, collect
from timnet.cohorts.readers import demo
from timnet.evaluation import held_out, matching, metrics, probe
from timnet.evaluation.maps import cam
from timnet.model import devices, encoders, initialisation, weights
from timnet.model.branches import FILM, IMAGENET
from timnet.model.image_encoders import Network
from timnet.model.timnet import TIMNet
from timnet.reports import prompts
from timnet.training import (
    batches,
    distributed,
    estimates,
    evaluation_hooks,
    hard_negatives,
    laterality_negatives,
    loop,
    objectives,
    pairing,
    run_plot,
    snapshots,
)
from timnet.training.events import Events
from timnet.training.runs import BEST
from timnet.training.text_batches import Reports, text_vectors

MAPPED = 64
"""Pairs whose maps set the checkpoint's scale."""


def train(
    settings: config.Pretrain, folder: Path, events: Events, gather: Callable[..., Pairs] = collect
) -> dict[str, Any]:
    """Pre-train, write the checkpoint into the folder and return what was measured.

    Args:
        settings: what is trained, on what and how.
        folder: of the run.
        events: told of how far it is.
        gather: where the pairs come from, called like `pairs.collect`.

    Raises:
        ValueError: a cohort, encoder or initialisation cannot be used; the message says why.
    """
    distributed.join()
    on = devices.device()
    found = snapshots.newest(folder)
    # Timed anew, a busy device could give another answer than the one the run was trained with.
    precision = found.origin.precision if found else devices.precision(settings.precision, on)
    # Once all have read what there is, the first may remove what it goes on from.
    precision = distributed.agreed(precision)
    distributed.wait()
    told = {"processes": distributed.count()} if distributed.count() > 1 else {}
    events.append("phase", phase="reading films", device=devices.describe(on), precision=precision, **told)
    with distributed.first_goes_first():
        pairs = gather(
            settings.cohorts,
            settings.held_out,
            settings.side,
            events.phase("reading films"),
            views=settings.views,
        )
    if settings.shuffled:
        pairs = shuffled(pairs, settings.seed)
    probed = (
        probe.for_task(settings.cohorts, settings.probe, pairs, settings.seed) if settings.probe else None
    )
    seen = np.array(settings.repeats or [1] * len(settings.cohorts))[pairs.source]
    train_pairs = np.repeat(np.arange(len(seen)), seen * ~pairs.held_out).tolist()
    held_pairs = np.flatnonzero(pairs.held_out).tolist()

    encoder = encoders.load(settings.text_encoder)
    encoder.bert.to(on)
    told_of, mirrored = laterality_negatives.of(pairs) if settings.mirrored else (pairs, None)
    # Behind the cohorts' own, for the scale of the maps alone.
    own = told_of.texts
    told_of = replace(told_of, texts=(*own, *prompts.normal()))
    normal = range(len(own), len(told_of.texts))
    with distributed.first_goes_first():
        reports = Reports(told_of, encoder, settings, events)
    trained = _trained(encoder, settings)
    # A frozen encoder that has no folder here to be found in again is kept like a trained one.
    own_encoder = encoder if trained is not None or encoder.sha256 is None else None
    made = initialisation.network_of(settings.image_weights, settings.backbone, settings.normalisation)
    if made.normalisation in (FILM, IMAGENET):
        # A checkpoint of such a network must be of the backbone that is asked for.
        made = Network(settings.backbone, settings.normalisation)
    spec = TimnetSpec(
        backbone=made.backbone,
        side=settings.side,
        tokens=settings.tokens,
        padding=settings.padding,
        width=settings.width,
        normalisation=made.normalisation,
        image_encoder=made.image_encoder,
        text_encoder=settings.text_encoder,
        text_encoder_sha256=None if own_encoder else encoder.sha256,
        text_width=encoder.width,
        head=objectives.head(settings.objective, settings.h_cls),
    )
    timnet = weights.build_timnet(spec, settings.seed, trained)
    matched = initialisation.initialise(timnet.image.trunk, settings.image_weights, made.backbone)
    if settings.start:
        initialisation.continue_from(timnet, spec, settings.start)
    timnet.image.trunk.recompute = settings.recompute
    if settings.recompute and trained is not None:
        encoders.recompute(trained)
    batches.channels_last(distributed.shared_norms(timnet, on), on)
    partners = hard_negatives.Partners(len(pairs.row)) if settings.negatives == "mined" else None

    literal = functools.partial(pairing.literal_pairs, settings, pairs, train_pairs, reports, on)
    every = functools.partial(pairing.all_pairs, settings, pairs, train_pairs, reports, on, mirrored=mirrored)
    epoch_batches = literal if settings.objective == "pairs" else every
    num_pairs = len(train_pairs)
    if settings.objective == "pairs":
        num_pairs += len(pairs.mismatched(train_pairs, pairing.rng(settings.seed, 0)))
    lengths = np.array(encoder.lengths(pairs.texts, settings.tokens))
    several_windows = float((lengths > settings.tokens).mean())
    longest = int(lengths[pairs.text[train_pairs]].max())
    events.append("phase", phase="training", films=len(train_pairs), several_windows=several_windows)
    steps = estimates.steps_an_epoch(num_pairs, settings.batch)
    objective = objectives.MatchObjective(timnet, settings.objective, settings.chunk).to(on)
    optimizer = torch.optim.Adam(_groups(objective, settings), lr=settings.learning_rate, fused=True)
    codes = (pairs.row, pairs.source, pairs.study, pairs.patient, pairs.text, pairs.normal, pairs.held_out)
    trained_on = snapshots.fingerprint(*pairs.pixels, *codes, "\0".join(pairs.texts), str(encoder.sha256))

    def save(to: Path) -> None:
        timnet.eval()
        scale = _map_scale(timnet, pairs, train_pairs[:MAPPED], normal, reports, on)
        weights.save_checkpoint(to, timnet, replace(spec, map_scale=scale, longest_text=longest), own_encoder)

    def measure(chosen: list[int]) -> evaluation_hooks.Tables:
        timnet.eval()
        vectors = _vectors(timnet, pairs, chosen, reports, on, precision == "bf16", events)
        tables = [
            measured(timnet, *vectors, pairs, chosen, settings.seed)
            for measured in (matching.evaluate, matching.recall)
        ]
        return tables[0], tables[1]

    def probe_of(chosen: list[int]) -> list[dict[str, Any]] | None:
        if probed is None:
            return None
        timnet.eval()
        tested = probed.known(chosen)
        x = [_pooled(timnet, pairs, rows, on, events) for rows in (probed.fitted, tested)]
        return metrics.records(probe.evaluate(probed, x[0], x[1], tested, pairs, settings.seed))

    def masked(epoch: int) -> float | None:
        return pairing.masked_share(settings, pairs, train_pairs, epoch)

    def mined(epoch: int, done: int) -> list[int] | None:
        """Return the partners of an epoch: looked for at its start, with a snapshot where it goes on."""
        if partners is None or not epoch:
            return None
        if not done:
            timnet.eval()
            chosen = sorted(set(train_pairs))
            mine = chosen[distributed.share(len(chosen))]
            own_image, own_text = _vectors(timnet, pairs, mine, reports, on, precision == "bf16", events)
            rows = len(chosen)
            looked_at = hard_negatives.mine(
                timnet,
                distributed.gathered(own_image, rows),
                distributed.gathered(own_text, rows),
                pairs,
                chosen,
                functools.partial(pairing.no_mismatch, settings, pairs),
                pairing.rng(settings.seed, epoch),
            )
            partners.put(distributed.agreed(looked_at))
            timnet.train()
        return partners.numbers()

    def epoch_of(epoch: int, done: int) -> Iterator[loop.Batch]:
        hard = mined(epoch, done)
        yield from epoch_batches(epoch, done, hard)

    loop.fit(
        objective,
        epoch_of,
        optimizer,
        loop.accelerator(precision),
        events,
        epochs=settings.epochs,
        steps=steps,
        scheduler=loop.cosine(optimizer, settings.epochs * steps) if settings.schedule == "cosine" else None,
        kept=snapshots.Snapshots(
            folder, snapshots.origin(settings, trained_on, precision), found, writes=not distributed.number()
        ),
        watch=evaluation_hooks.Watch(settings, folder, events, pairs, measure, masked, save, probe_of),
        beside=partners,
    )
    first = not distributed.number()
    distributed.leave()
    if not first:
        return {}

    events.append("phase", phase="testing", films=len(held_pairs))
    timnet.eval()
    vectors = _vectors(timnet, pairs, held_pairs, reports, on, precision == "bf16", events)
    table, retrieved, by_group = (
        measured(timnet, *vectors, pairs, held_pairs, settings.seed)
        for measured in (matching.evaluate, matching.recall, matching.by_group)
    )
    save(folder)
    run_plot.draw(folder)
    return {
        "held_out": metrics.records(table),
        "subgroups": metrics.records(by_group),
        "retrieval": metrics.records(retrieved),
        "probe": probe_of(held_pairs),
        "best": _best(settings, folder, events),
        "real": [store.Cohort.open(store.find(name)).source != demo.SOURCE for name in settings.cohorts],
        "pairs_train": len(set(train_pairs)),
        "pairs_held_out": len(held_pairs),
        "patients_train": len(np.unique(pairs.patient[train_pairs])),
        "patients_held_out": len(np.unique(pairs.patient[held_pairs])),
        "films_without_text": pairs.without_text,
        "masked": masked(settings.epochs - 1),
        "several_windows": several_windows,
        "initialised": {"matched": len(matched.matched), "missing": len(matched.missing)},
        "device": devices.describe(on),
        "precision": precision,
    }


def shuffled(pairs: Pairs, seed: int) -> Pairs:
    """Return the pairs with the reports of the training films shuffled within each source."""
    rng, text = pairing.rng(seed, -1 % 2**32), pairs.text.copy()
    for source in np.unique(pairs.source):
        rows = np.flatnonzero((pairs.source == source) & ~pairs.held_out)
        text[rows] = rng.permutation(text[rows])
    return replace(pairs, text=text)


def _groups(objective: objectives.MatchObjective, settings: config.Pretrain) -> list[dict[str, Any]]:
    """Return what is trained, the trunk apart where it takes smaller steps."""
    if settings.trunk_rate == 1:
        return [{"params": list(objective.parameters())}]
    trunk = list(objective.timnet.image.trunk.parameters())
    apart = set(map(id, trunk))
    others = [each for each in objective.parameters() if id(each) not in apart]
    return [{"params": others}, {"params": trunk, "lr": settings.learning_rate * settings.trunk_rate}]


def _trained(encoder: encoders.TextEncoder, settings: config.Pretrain) -> nn.Module | None:
    """Return the layers of the text encoder that are trained; None where it is frozen."""
    if settings.text_mode == "partial":
        return encoders.Upper(encoder.bert, settings.text_layers)
    return encoder.bert if settings.text_mode == "full" else None


def _best(settings: config.Pretrain, folder: Path, events: Events) -> dict[str, Any] | None:
    """Return which network was chosen on `val` and how it does on `test`; None where none was."""
    kept = evaluation_hooks.chosen_best(folder)
    if not kept:
        return None
    progress = events.phase("testing the best")
    table = held_out.measure(
        folder / BEST, settings.cohorts, (evaluation_hooks.TEST,), settings.seed, progress, settings.views
    )
    return {**kept, "test": metrics.records(table)}


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


@torch.inference_mode()
def _pooled(
    timnet: TIMNet, pairs: Pairs, chosen: list[int], on: torch.device, events: Events
) -> NDArray[np.float64]:
    """Return the pooled last grids (P, C) of the pairs' films."""
    parts = []
    for start in range(0, len(chosen), 32):
        events.check()
        shown = pairs.films(chosen[start : start + 32])
        films = batches.films(shown, range(len(shown)), on)
        parts.append(timnet.image.grid(films).mean((2, 3)).double().cpu())
    return torch.cat(parts).numpy()


def _map_scale(
    timnet: TIMNet, pairs: Pairs, chosen: list[int], normal: Sequence[int], reports: Reports, on: torch.device
) -> float:
    """Return the evidence at which this network's match maps are painted at full strength.

    `normal`: the numbers of the texts that the maps compare a report with.
    """
    with torch.no_grad():
        grid = timnet.image.grid(batches.films(pairs.films(chosen), range(len(chosen)), on))
        v_text, v_normal = text_vectors(timnet, reports.batch(chosen, on, normal)).tensor_split([len(chosen)])

    def head(pooled: Tensor) -> Tensor:
        v_image = timnet.image.fc(pooled)
        over = timnet.match(v_image, v_text) - timnet.match_all(v_image, v_normal).mean(1)
        return over.unsqueeze(1)

    return cam.scale_of(cam.evidence(grid, head)[1])
