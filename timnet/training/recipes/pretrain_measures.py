"""What is measured of a network while and after it is pre-trained, and the checkpoint it is kept as.

Shapes: P pairs, C channels, D joint width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet import config
from timnet.cohorts.pairs import Pairs
from timnet.evaluation import matching, metrics, probe
from timnet.evaluation.maps import cam
from timnet.model import weights
from timnet.training import batches, distributed
from timnet.training.evaluation_hooks import Tables
from timnet.training.events import Events
from timnet.training.recipes.pretrain_network import Built
from timnet.training.text_batches import Reports, text_vectors

MAPPED = 64
"""Pairs whose maps set the checkpoint's scale."""
_BATCH = 32


@dataclass(frozen=True)
class Measures:
    """A network that is trained, and what it is measured on."""

    settings: config.Pretrain
    built: Built
    pairs: Pairs
    train_pairs: Sequence[int]
    reports: Reports
    normal: Sequence[int]
    """Numbers of the texts that a report's map is compared with."""
    probed: probe.Probe | None
    on: torch.device
    bf16: bool
    events: Events

    @torch.inference_mode()
    def vectors(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return film and report vectors (P, D) of the pairs."""
        timnet = self.built.timnet
        timnet.eval()
        v_image, v_text = [], []
        for part, films in self._films(chosen):
            with torch.autocast(self.on.type, torch.bfloat16, enabled=self.bf16):
                v_image.append(timnet.image(films)[1].float())
                v_text.append(text_vectors(timnet, self.reports.batch(part, self.on)).float())
        return torch.cat(v_image), torch.cat(v_text)

    def shared_vectors(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the vectors of pairs (P, D), each process having worked out its share of them."""
        mine = self.vectors(chosen[distributed.share(len(chosen))])
        return distributed.gathered(mine[0], len(chosen)), distributed.gathered(mine[1], len(chosen))

    def tables(self, chosen: Sequence[int]) -> Tables:
        """Return the matching and retrieval tables of the pairs."""
        matched, found = self.measured(chosen, matching.evaluate, matching.recall)
        return matched, found

    def measured(
        self, chosen: Sequence[int], *measures: Callable[..., pd.DataFrame]
    ) -> Iterator[pd.DataFrame]:
        """Yield the tables that functions of `matching` give of the pairs, from one look at them."""
        vectors = self.vectors(chosen)
        for measure in measures:
            yield measure(self.built.timnet, *vectors, self.pairs, list(chosen), self.settings.seed)

    def probe(self, chosen: list[int]) -> list[dict[str, Any]] | None:
        """Return what a linear probe reads off the image branch; None where none is asked for."""
        if self.probed is None:
            return None
        tested = self.probed.known(chosen)
        x = [self._pooled(rows) for rows in (self.probed.fitted, tested)]
        table = probe.evaluate(self.probed, x[0], x[1], tested, self.pairs, self.settings.seed)
        return metrics.records(table)

    def save(self, to: Path, longest: int) -> None:
        """Write the network as it is as a checkpoint, with the scale of its maps.

        `longest`: tokens of the longest text that it learns from.
        """
        self.built.timnet.eval()
        spec = replace(self.built.spec, map_scale=self._map_scale(), longest_text=longest)
        weights.save_checkpoint(to, self.built.timnet, spec, self.built.own_encoder)

    def _films(self, chosen: Sequence[int]) -> Iterator[tuple[list[int], Tensor]]:
        """Yield pairs and their films, a batch at a time."""
        for start in range(0, len(chosen), _BATCH):
            self.events.check()
            part = list(chosen[start : start + _BATCH])
            yield part, batches.films(self.pairs.films(part), range(len(part)), self.on)

    @torch.inference_mode()
    def _pooled(self, chosen: Sequence[int]) -> NDArray[np.float64]:
        """Return the pooled last grids (P, C) of the pairs' films."""
        image = self.built.timnet.eval().image
        parts = [image.grid(films).mean((2, 3)).double().cpu() for _, films in self._films(chosen)]
        return torch.cat(parts).numpy()

    def _map_scale(self) -> float:
        """Return the evidence at which this network's match maps are painted at full strength."""
        timnet, chosen = self.built.timnet, list(self.train_pairs[:MAPPED])
        with torch.no_grad():
            grid = timnet.image.grid(batches.films(self.pairs.films(chosen), range(len(chosen)), self.on))
            texts = text_vectors(timnet, self.reports.batch(chosen, self.on, self.normal))
        v_text, v_normal = texts.tensor_split([len(chosen)])

        def head(pooled: Tensor) -> Tensor:
            v_image = timnet.image.fc(pooled)
            over = timnet.match(v_image, v_text) - timnet.match_all(v_image, v_normal).mean(1)
            return over.unsqueeze(1)

        return cam.scale_of(cam.evidence(grid, head)[1])
