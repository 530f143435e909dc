"""Films -> features of a frozen trunk, kept beside the cohort: what `cohorts.features` opens.

Single precision, in evaluation mode, one forward pass a film, pooled over the grid; kept in half precision.
Goes on where an earlier reading stopped, and waits for another process that is at the same films.

Shapes: N films, C channels of the trunk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from timnet import config, files, spreadsheet
from timnet.cohorts import features, stored_vectors, vectors
from timnet.cohorts.records import CohortError, Progress
from timnet.cohorts.store import Cohort
from timnet.model import devices, initialisation, weights
from timnet.model.branches import Trunk, seeded
from timnet.training import batches

LEFT_OVER = "not-joined.csv"
_BATCH, _MEASURED = 32, 256
"""Films of a batch, and those that the batch norm of a random trunk is measured on."""

_log = logging.getLogger(__name__)


def trunk(settings: config.Finetune) -> tuple[Trunk, initialisation.Matched]:
    """Return the trunk that a fine-tuning starts from, and which of its keys the start filled.

    Raises:
        CohortError: no start of that name or path.
        CheckpointError: it is damaged, or nothing of it fits.
    """
    start = features.start_of(settings)
    network = initialisation.network_of(settings.initialisation, settings.backbone, settings.normalisation)
    with seeded(start.seed):
        made = weights.build_trunk(network)
    return made.eval(), initialisation.initialise(made, settings.initialisation, network.backbone)


def normalise(network: Trunk, cohort: Cohort, settings: config.Finetune) -> None:
    """Give the batch norm of a random trunk the means and variances of a cohort's films; no label is read.

    Nobody has trained it, so its own say 0 and 1, under which the signal of a deep network vanishes: features
    that are all zero would be a floor that any start is above. Every other start keeps its own.
    """
    if settings.initialisation != "base" or len(cohort) < 2:
        return
    pixels_NSS, on = cohort.pixels(settings.side), next(network.parameters()).device
    rows = np.unique(np.linspace(0, len(cohort) - 1, _MEASURED).astype(int))
    parts = np.array_split(rows, -(-len(rows) // _BATCH))
    with seeded(settings.seed):
        torch.optim.swa_utils.update_bn(
            (batches.films(pixels_NSS, part.tolist(), on) for part in parts), network
        )


def build(
    cohort: Cohort,
    settings: config.Finetune,
    progress: Progress | None = None,
    check: Callable[[], None] | None = None,
) -> NDArray[np.float16]:
    """Return a cohort's features (N, C) under a start, those that are missing being worked out first.

    Args:
        progress: called with films done and films in all while they are read.
        check: called now and then while another process is at them; what it raises ends the wait.

    Raises:
        CohortError: no such start, a film is gone, or the disk does not take them.
        CheckpointError: the start is damaged, or nothing of it fits.
    """
    folder = features.place(cohort, settings)
    if not len(cohort):
        raise CohortError(f"{cohort.name}: expected films, found none")
    read = _join if stored_vectors.is_stored(settings.initialisation) else _read
    while vectors.state(folder).name != "complete":
        # Only the lock of a process that writes counts: the page that started this process holds the other
        # one through it, and waiting for that would be waiting for itself.
        if not vectors.is_written(folder):
            with suppress(vectors.BusyError):
                read(cohort, settings, progress)
                break
        if check:
            check()
        time.sleep(0.5)
    return features.load(folder)


def _join(cohort: Cohort, settings: config.Finetune, progress: Progress | None) -> None:
    """Take the vectors of a file, zeros where a film has none; what did not join is written beside them."""
    folder, path = features.place(cohort, settings), Path(settings.initialisation).expanduser()
    joined = stored_vectors.join(cohort, path)
    with vectors.building(folder, len(cohort), 0, joined.vectors_NC.shape[1]) as built:
        files.write_whole(folder / LEFT_OVER, spreadsheet.safe_csv(joined.left_over))
        if built.done < len(cohort):
            built.append(joined.vectors_NC[built.done :])
    if left := len(joined.left_over):
        _log.warning("%s: %d names not joined by %s: %s", path.name, left, joined.by, folder / LEFT_OVER)


@torch.inference_mode()
def _read(cohort: Cohort, settings: config.Finetune, progress: Progress | None) -> None:
    network, _ = trunk(settings)
    on = devices.device()
    batches.channels_last(network, on)
    pixels_NSS = cohort.pixels(settings.side, progress=progress, checked=True)
    normalise(network, cohort, settings)
    with vectors.building(features.place(cohort, settings), len(cohort), 0, network.channels) as built:
        while built.done < len(cohort):
            rows = range(built.done, min(built.done + _BATCH, len(cohort)))
            grid_BChw = network(batches.films(pixels_NSS, rows, on))
            built.append(grid_BChw.mean((2, 3)).float().cpu().numpy())
            if progress is not None:
                progress(built.done, len(cohort))
