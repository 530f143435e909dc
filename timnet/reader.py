"""Reader: a checkpoint that reads films. The facade of the command line, the pages and other programs.

One film and its findings go in, one Reading comes out: probabilities and the maps behind them, from a single
forward of the trunk. It works without gradients in the network and without hooks, so several threads may
share one Reader. Research use only, never a diagnosis.

Shapes: h w the last grid, H W the film's own pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from timnet import config
from timnet.cohorts import reports
from timnet.cohorts.films import Film, Letterbox
from timnet.evaluation import cam
from timnet.model import weights
from timnet.model.classifier import Classifier
from timnet.model.encoders import TextEncoder
from timnet.model.timnet import TIMNet

MATCH = "match"
"""Name of the match map among a Reading's maps."""


class ReadingError(ValueError):
    """A question that this checkpoint cannot answer; the message says what it can."""


@dataclass(frozen=True)
class Reading:
    """What a checkpoint says of one film."""

    checkpoint: str
    weights_sha256: str
    film: Film
    match: float | None
    """Probability that the findings belong to the film; None of a classifier."""
    sentences: tuple[tuple[str, float], ...]
    """Each sentence of the findings with its own match probability."""
    probabilities: Mapping[str, float]
    """Label -> probability; empty of a TIMNet."""
    seconds: float
    side: int
    map_scale: float
    """Evidence, in logits, at which a map is painted at full strength."""
    maps: Mapping[str, NDArray[np.float32]]
    """Name -> signed evidence (h, w), in logits: `match`, the sentences, or the labels."""

    def heat(self, name: str) -> NDArray[np.float32]:
        """Return a map's evidence at the film's own pixels (H, W), in logits."""
        if name not in self.maps:
            raise ReadingError(f"map: expected one of {', '.join(self.maps)}, got {name!r}")
        grid = torch.from_numpy(self.maps[name])[None, None]
        square = F.interpolate(grid, size=(self.side, self.side), mode="bilinear", align_corners=False)
        return Letterbox(self.film.rows, self.film.columns, self.side).invert(square[0, 0].numpy())

    def overlay(self, name: str, opacity: float = 0.6) -> NDArray[np.uint8]:
        """Return the film with a map over it, (H, W, 3)."""
        return cam.paint(self.film.pixels, self.heat(name), self.map_scale, opacity)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as one JSON object; no pixels and no text."""
        told: dict[str, Any] = {
            "film": {
                "rows": self.film.rows,
                "columns": self.film.columns,
                "kind": self.film.kind,
                "sha256": self.film.sha256,
            },
            "checkpoint": self.checkpoint,
            "weights_sha256": self.weights_sha256,
            "seconds": round(self.seconds, 3),
            "research_use": config.RESEARCH_USE,
        }
        if self.match is not None:
            told["match_probability"] = self.match
            told["sentence_probabilities"] = [probability for _, probability in self.sentences]
        if self.probabilities:
            told["probabilities"] = dict(self.probabilities)
        return told


@dataclass(frozen=True)
class Reader:
    """A loaded checkpoint; make one with `Reader.load`."""

    name: str
    weights_sha256: str
    spec: weights.Spec
    _network: TIMNet | Classifier
    _encoder: TextEncoder | None

    @classmethod
    def load(cls, checkpoint: str | Path) -> Reader:
        """Load a checkpoint by folder or by its name under checkpoints/.

        Raises:
            CheckpointError: no such checkpoint, damaged, or its text encoder is not on this machine.
        """
        folder = weights.checkpoint_folder(str(checkpoint))
        if folder is None:
            raise weights.CheckpointError(f"{Path(checkpoint).name}: no checkpoint of that name or path")
        spec, sha256 = weights.describe(folder), weights.weights_sha256(folder)
        if isinstance(spec, weights.ClassifierSpec):
            return cls(folder.name, sha256, spec, weights.load_classifier(folder)[0], None)
        timnet, spec, encoder = weights.load_timnet(folder)
        return cls(folder.name, sha256, spec, timnet, encoder)

    def read(self, film: Film, findings: str | None = None) -> Reading:
        """Read one film; a TIMNet needs the findings, a classifier does without.

        Raises:
            ReadingError: findings are missing, empty, or given to a classifier.
        """
        start = time.perf_counter()
        if isinstance(self._network, TIMNet):
            text = reports.findings(findings or "")
            if not text:
                raise ReadingError("findings: expected the text that describes the film, got none")
            told = reports.sentences(text)
            # One sentence is the whole: no second question.
            questions = [text, *told] if len(told) > 1 else [text]
            values, maps = self._evidence(film, self._match_head(self._network, questions))
            names = [MATCH, *told] if len(told) > 1 else [MATCH]
            match: float | None = float(values[0])
            sentences = tuple(zip(told, map(float, values[1:] if len(told) > 1 else values), strict=True))
            probabilities: dict[str, float] = {}
        else:
            if findings:
                raise ReadingError(f"findings: {self.name} is a classifier, it reads films without text")
            values, maps = self._evidence(film, self._network.head)
            names = list(self.spec.labels)  # type: ignore[union-attr]
            match, sentences = None, ()
            probabilities = dict(zip(names, map(float, values), strict=True))
        return Reading(
            checkpoint=self.name,
            weights_sha256=self.weights_sha256,
            film=film,
            match=match,
            sentences=sentences,
            probabilities=probabilities,
            seconds=time.perf_counter() - start,
            side=self.spec.side,
            map_scale=self.spec.map_scale,
            maps=dict(zip(names, maps, strict=True)),
        )

    def _evidence(
        self, film: Film, head: Callable[[Tensor], Tensor]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return probabilities (L,) and evidence maps (L, h, w) from one forward of the trunk."""
        square = Letterbox(film.rows, film.columns, self.spec.side).apply(film.pixels)
        # Training saw films through uint8 rows of the pixel cache.
        films = torch.from_numpy(np.rint(square * 255).astype(np.float32) / 255)[None, None]
        network = self._network.image if isinstance(self._network, TIMNet) else self._network
        with torch.no_grad():
            grid_1Chw = network.grid(films)
        logits_1L, maps_1Lhw = cam.evidence(grid_1Chw, head)
        return logits_1L[0].double().sigmoid().numpy(), maps_1Lhw[0].float().numpy()

    def _match_head(self, timnet: TIMNet, texts: list[str]) -> Callable[[Tensor], Tensor]:
        """Return pooled grid (1, C) -> match logits (1, number of texts)."""
        assert self._encoder is not None and isinstance(self.spec, weights.TimnetSpec)
        literal = self.spec.padding == "literal"
        states = self._encoder.states(texts, self.spec.tokens, literal)
        with torch.no_grad():
            v_text_LD = timnet.text.project(*states.batch(range(len(texts))))
        return lambda pooled_1C: timnet.match(timnet.image.fc(pooled_1C), v_text_LD).unsqueeze(0)
