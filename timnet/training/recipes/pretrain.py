"""Pre-training: film-report pairs of one or more cohorts -> a TIMNet and its matching metrics.

Paper Sec. III-A and IV-B. The paper's literal pairs come with negatives drawn anew each epoch; the other
objectives look at every pair of a batch, with false negatives left out. A frozen text encoder reads each
text once, and its token states are kept on disk. Matching is measured on held-out patients; the last epoch's
weights are kept, so nothing is chosen on them. A run that was stopped goes on from its last good snapshot.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from timnet import config
from timnet.cohorts import store
from timnet.cohorts.pairs import Pairs, collect
from timnet.cohorts.readers import demo
from timnet.evaluation import held_out, matching, metrics, probe
from timnet.model import devices, encoders
from timnet.reports import prompts
from timnet.training import (
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
from timnet.training.recipes import pretrain_network
from timnet.training.recipes.pretrain_measures import Measures
from timnet.training.runs import BEST
from timnet.training.text_batches import Reports


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
    precision = _precision(settings, found, on)
    several = {"processes": distributed.count()} if distributed.count() > 1 else {}
    events.append("phase", phase="reading films", device=devices.describe(on), precision=precision, **several)
    pairs = _pairs(settings, events, gather)
    train_pairs = _train_pairs(settings, pairs)
    probed = (
        probe.for_task(settings.cohorts, settings.probe, pairs, settings.seed) if settings.probe else None
    )

    encoder = encoders.load(settings.text_encoder)
    encoder.bert.to(on)
    with_twins, mirrored = laterality_negatives.of(pairs) if settings.mirrored else (pairs, None)
    # Behind the cohorts' own, for the scale of the maps alone.
    own = with_twins.texts
    with_twins = replace(with_twins, texts=(*own, *prompts.normal()))
    with distributed.first_goes_first():
        reports = Reports(with_twins, encoder, settings, events)
    built = pretrain_network.build(settings, encoder, on)
    normal = range(len(own), len(with_twins.texts))
    bf16 = precision == "bf16"
    measures = Measures(settings, built, pairs, train_pairs, reports, normal, probed, on, bf16, events)
    lengths = np.array(encoder.lengths(pairs.texts, settings.tokens))
    longest = int(lengths[pairs.text[train_pairs]].max())
    several_windows = float((lengths > settings.tokens).mean())
    events.append("phase", phase="training", films=len(train_pairs), several_windows=several_windows)

    literal = functools.partial(pairing.literal_pairs, settings, pairs, train_pairs, reports, on)
    every = functools.partial(pairing.all_pairs, settings, pairs, train_pairs, reports, on, mirrored=mirrored)
    _fit(
        measures,
        folder,
        literal if settings.objective == "pairs" else every,
        snapshots.Snapshots(
            folder,
            snapshots.origin(settings, _fingerprint(pairs, encoder.sha256), precision),
            found,
            writes=not distributed.number(),
        ),
        functools.partial(measures.save, longest=longest),
        precision,
    )
    first = not distributed.number()
    distributed.leave()
    if not first:
        return {}
    measured = _tested(measures, folder, longest)
    return {
        **measured,
        "several_windows": several_windows,
        "initialised": {
            "matched": len(built.matched.matched), "missing": len(built.matched.missing),
        },
        "device": devices.describe(on),
        "precision": precision,
    }  # fmt: skip


def _precision(settings: config.Pretrain, found: snapshots.Snapshot | None, on: torch.device) -> str:
    """Return the precision that all processes train with: that of the run that goes on, where one does."""
    # Timed anew, a busy device could give another answer than the one the run was trained with.
    precision = found.origin.precision if found else devices.precision(settings.precision, on)
    # Once all have read what there is, the first may remove what it goes on from.
    precision = distributed.agreed(precision)
    distributed.wait()
    return precision


def _pairs(settings: config.Pretrain, events: Events, gather: Callable[..., Pairs]) -> Pairs:
    """Return the pairs of the cohorts, their reports shuffled where that is asked for."""
    with distributed.first_goes_first():
        pairs = gather(
            settings.cohorts,
            settings.held_out,
            settings.side,
            events.phase("reading films"),
            views=settings.views,
        )
    return shuffled(pairs, settings.seed) if settings.shuffled else pairs


def _train_pairs(settings: config.Pretrain, pairs: Pairs) -> list[int]:
    """Return the pairs of an epoch, those of a cohort as often as it is repeated."""
    seen = np.array(settings.repeats or [1] * len(settings.cohorts))[pairs.source]
    return np.repeat(np.arange(len(seen)), seen * ~pairs.held_out).tolist()


def _fit(
    measures: Measures,
    folder: Path,
    epoch_batches: Callable[[int, int, list[int] | None], Iterator[loop.Batch]],
    kept: snapshots.Snapshots,
    save: Callable[[Path], None],
    precision: str,
) -> None:
    """Train the network, looking at held-out pairs on the way."""
    settings, pairs, train_pairs = measures.settings, measures.pairs, list(measures.train_pairs)
    number = len(train_pairs)
    if settings.objective == "pairs":
        number += len(pairs.mismatched(train_pairs, pairing.rng(settings.seed, 0)))
    steps = estimates.steps_an_epoch(number, settings.batch)
    objective = objectives.MatchObjective(measures.built.timnet, settings.objective, settings.chunk)
    objective = objective.to(measures.on)
    optimizer = torch.optim.Adam(_groups(objective, settings), lr=settings.learning_rate, fused=True)
    partners = hard_negatives.Partners(len(pairs.row)) if settings.negatives == "mined" else None

    def epoch_of(epoch: int, done: int) -> Iterator[loop.Batch]:
        hard = None
        if partners is not None and epoch:
            if not done:
                partners.put(_mined(measures, epoch))
            hard = partners.numbers()
        yield from epoch_batches(epoch, done, hard)

    masked = functools.partial(pairing.masked_share, settings, pairs, train_pairs)
    loop.fit(
        objective,
        epoch_of,
        optimizer,
        loop.accelerator(precision),
        measures.events,
        epochs=settings.epochs,
        steps=steps,
        scheduler=loop.cosine(optimizer, settings.epochs * steps) if settings.schedule == "cosine" else None,
        kept=kept,
        watch=evaluation_hooks.Watch(
            settings, folder, measures.events, pairs, measures.tables, masked, save, measures.probe
        ),
        beside=partners,
    )


def _mined(measures: Measures, epoch: int) -> torch.Tensor:
    """Return the partners of an epoch, looked for at its start by the network as it is."""
    settings, pairs, timnet = measures.settings, measures.pairs, measures.built.timnet
    chosen = sorted(set(measures.train_pairs))
    vectors = measures.shared_vectors(chosen)
    left_out = functools.partial(pairing.no_mismatch, settings, pairs)
    rng = pairing.rng(settings.seed, epoch)
    found = hard_negatives.mine(timnet, *vectors, pairs, chosen, left_out, rng)
    timnet.train()
    return distributed.agreed(found)


def _tested(measures: Measures, folder: Path, longest: int) -> dict[str, Any]:
    """Write the checkpoint, and return what it was trained on and what held-out pairs say of it."""
    settings, pairs, events = measures.settings, measures.pairs, measures.events
    held_pairs = np.flatnonzero(pairs.held_out).tolist()
    events.append("phase", phase="testing", films=len(held_pairs))
    table, retrieved, by_group = measures.measured(
        held_pairs, matching.evaluate, matching.recall, matching.by_group
    )
    measures.save(folder, longest)
    run_plot.draw(folder)
    train_pairs = list(measures.train_pairs)
    return {
        "held_out": metrics.records(table),
        "subgroups": metrics.records(by_group),
        "retrieval": metrics.records(retrieved),
        "probe": measures.probe(held_pairs),
        "best": _best(settings, folder, events),
        "real": [store.Cohort.open(store.find(name)).source != demo.SOURCE for name in settings.cohorts],
        "pairs_train": len(set(train_pairs)),
        "pairs_held_out": len(held_pairs),
        "patients_train": len(np.unique(pairs.patient[train_pairs])),
        "patients_held_out": len(np.unique(pairs.patient[held_pairs])),
        "films_without_text": pairs.without_text,
        "masked": pairing.masked_share(settings, pairs, train_pairs, settings.epochs - 1),
    }


def _fingerprint(pairs: Pairs, encoder_sha256: str | None) -> str:
    """Return what a run is trained on, in a hash: it goes on from a snapshot of the same alone."""
    codes = (pairs.row, pairs.source, pairs.study, pairs.patient, pairs.text, pairs.normal, pairs.held_out)
    return snapshots.fingerprint(*pairs.pixels, *codes, "\0".join(pairs.texts), str(encoder_sha256))


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


def _best(settings: config.Pretrain, folder: Path, events: Events) -> dict[str, Any] | None:
    """Return which network was chosen on `val` and how it does on `test`; None where none was."""
    kept = evaluation_hooks.chosen_best(folder)
    if not kept:
        return None
    progress = events.phase("testing the best")
    table, _ = held_out.measure(
        folder / BEST, settings.cohorts, (evaluation_hooks.TEST,), settings.seed, progress, settings.views
    )
    return {**kept, "test": metrics.records(table)}
