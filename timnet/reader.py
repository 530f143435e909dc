"""Reader: a checkpoint that reads films. The facade of the command line, the pages and other programs.

One film and its findings go in, one Reading comes out: probabilities, calibrated where the checkpoint says
how, and the maps behind them, from a single forward of the trunk. A film that looks like no frontal chest
film is read all the same, with the doubt beside it: callers refuse. It works without gradients in the
network and without hooks (`by_library` aside, which locks), so several threads may share one Reader.
Research use only, never a diagnosis.

Shapes: h w the last grid, H W the film's own pixels.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet import cards, checkpoints, performance
from timnet.cards import Card
from timnet.checkpoints import ClassifierSpec, Spec, TimnetSpec
from timnet.evaluation import other_reports
from timnet.evaluation.calibration import record as certainty
from timnet.evaluation.calibration.probability import probabilities
from timnet.evaluation.calibration.record import MATCH, Certainty
from timnet.evaluation.maps import cam, grad_cam_library
from timnet.evaluation.maps.grad_cam_library import Method
from timnet.evaluation.other_reports import OtherReports
from timnet.model import devices, weights
from timnet.model import seen as films_seen
from timnet.model.branches import ImageBranch
from timnet.model.classifier import Classifier, Probe
from timnet.model.matcher import Matcher
from timnet.model.seen import Seen, Source
from timnet.model.timnet import TIMNet
from timnet.reading import Question, Reading, ReadingError, findings_of, not_matching
from timnet.reports import edits
from timnet.reports.prompts import Prompt, PromptError


@dataclass(frozen=True)
class Reader:
    """A loaded checkpoint; make one with `Reader.load`."""

    name: str
    weights_sha256: str
    spec: Spec
    certainty: Certainty
    card: Card | None
    trust: str
    _network: TIMNet | Classifier | Probe
    _matcher: Matcher | None = None
    """Of a matching network."""
    others: OtherReports | None = None
    """Reports of other patients that a match is ranked among."""

    @classmethod
    def load(cls, checkpoint: str | Path, device: str | None = None) -> Reader:
        """Load a checkpoint by folder or by its name under checkpoints/.

        Args:
            checkpoint: folder, or name of a run or of a checkpoint that comes with timnet.
            device: of torch, such as `cuda`; by default a GPU where there is one.

        Raises:
            CheckpointError: no such checkpoint, damaged, or its text encoder is not on this machine.
            CardError, ConfigError: what says of its worth is damaged.
        """
        folder = checkpoints.named(str(checkpoint))
        spec, sha256 = checkpoints.describe(folder), checkpoints.weights_sha256(folder)
        worth = cards.of(folder), performance.trust_of(folder)
        known = (folder.name, sha256, spec, certainty.of(folder), *worth)
        chosen = torch.device(device) if device else devices.device()
        if isinstance(spec, ClassifierSpec):
            return cls(*known, weights.load_classifier(folder)[0].to(chosen))
        timnet, spec, encoder = weights.load_timnet(folder)
        encoder.bert.to(chosen)
        matcher = Matcher(timnet.to(chosen), spec, encoder)
        return cls(*known, timnet, matcher, other_reports.of(folder))

    def see(self, film: Source) -> Seen:
        """Take a film through the trunk, once for all that is asked about it."""
        [[read]] = self._see([film], 1)
        return read

    def _see(self, films: Iterable[Source], batch: int) -> Iterator[list[Seen]]:
        return films_seen.see(self._image, self.spec.side, films, batch)

    @property
    def _image(self) -> ImageBranch | Classifier | Probe:
        return self._network.image if isinstance(self._network, TIMNet) else self._network

    def read_many(
        self,
        films: Iterable[Source],
        findings: Iterable[str] | None = None,
        *,
        batch: int = 16,
        maps: bool = False,
    ) -> list[Reading]:
        """Read films with the numbers that `read` gives, `batch` at a time.

        Args:
            films: as of `read`.
            findings: for a TIMNet the findings of each film, in their order.
            batch: films at a time.
            maps: make the maps of each reading too, for which every film is asked on its own.

        Raises:
            ReadingError: as for `read`, or there are not as many findings as films.
            FilmError: as for `read`.
        """
        texts = itertools.repeat(None) if findings is None else iter(findings)
        readings: list[Reading] = []
        for seen in self._see(films, batch):
            start = time.perf_counter()
            given = list(itertools.islice(texts, len(seen)))
            if len(given) < len(seen):
                came = len(readings) + len(given)
                raise ReadingError(f"findings: expected those of each X-ray, got {came}")
            if maps:
                readings += map(self.read, seen, given)
                continue
            questions = [Question.of(text, self.spec, self.name) for text in given]
            grids_BChw = torch.cat([each.grid_1Chw for each in seen])
            logits = self._logits(grids_BChw, [each.texts for each in questions])
            readings += [self._answer(start, *each) for each in zip(seen, questions, logits, strict=True)]
        return readings

    def numbers(self, squares_BSS: NDArray[np.uint8], findings: Sequence[str] = ()) -> NDArray[np.float64]:
        """Return `read`'s numbers of films from one forward: (B, 1) matches, or (B, labels) probabilities.

        Args:
            squares_BSS: films as a pixel cache of this network's side holds them.
            findings: for a TIMNet those of each film, as `reading.findings_of` finds them in a report.
        """
        grids_BChw = films_seen.grids(self._image, list(squares_BSS.astype(np.float32) / 255))
        logits_BL = np.stack(self._logits(grids_BChw, [[text] for text in findings]))
        names = [MATCH] if isinstance(self.spec, TimnetSpec) else self.spec.labels
        lines = [self.certainty.line(name) for name in names]
        return np.stack([probabilities(lines, logits_L) for logits_L in logits_BL])

    def embed(self, films: Iterable[Source], *, batch: int = 32) -> NDArray[np.float32]:
        """Return a vector a film (N, D): v_i of a TIMNet, the features under the head of a classifier."""
        vectors = [
            self._matcher.film_vectors(each.grid_1Chw) if self._matcher else each.grid_1Chw.mean((2, 3))
            for each in itertools.chain.from_iterable(self._see(films, batch))
        ]
        return torch.cat(vectors).cpu().numpy() if vectors else np.empty((0, 0), np.float32)

    def read(self, film: Source | Seen, findings: str | None = None) -> Reading:
        """Read one film; a TIMNet needs the findings, a classifier does without.

        Args:
            film: a path, the bytes of a file, rows of greys (`Film.from_array`), a Film, or one seen before.
            findings: the text that describes it, or a whole report.

        Raises:
            ReadingError: findings are missing, empty, or given to a classifier.
            FilmError: it is no film.
        """
        start = time.perf_counter()
        question = Question.of(findings, self.spec, self.name)
        seen = film if isinstance(film, Seen) else self.see(film)
        head = self._head(question.texts, True)
        return self._answer(start, seen, question, *cam.with_maps(seen.grid_1Chw, head, question.names))

    def edited(self, film: Source | Seen, findings: str) -> Reading:
        """Read a film with its findings and with every edit of them (`reports.edits`), from one forward.

        Raises:
            ReadingError: findings are missing or empty, or this is a classifier.
        """
        start = time.perf_counter()
        _ = self.matcher
        text = findings_of(findings).findings
        made, _ = edits.every(text)
        head = self._head([text, *(edit.text for edit in made)], True)
        names = [MATCH, *(edit.name for edit in made)]
        seen = film if isinstance(film, Seen) else self.see(film)
        reading, values = self._reading(start, seen, names, *cam.with_maps(seen.grid_1Chw, head, names))
        return replace(reading, match=values[0], edits=tuple(zip(made, values[1:], strict=True)))

    def by_library(
        self, reading: Reading, seen: Seen, name: str, method: Method, findings: str | None = None
    ) -> Reading:
        """Return a reading with one of its maps alone, made by pytorch-grad-cam and stretched to 0..1.

        Raises:
            ReadingError: no map of that name, or the findings of a match are missing.
        """
        if name not in reading.maps:
            raise ReadingError(f"map: expected one of {', '.join(reading.maps)}, got {name!r}")
        text = findings_of(findings).findings if self._matcher and name == MATCH else name
        head, logit = self._head([text]), 0 if self._matcher else list(reading.maps).index(name)
        map_hw = grad_cam_library.stretched(method, self._network, seen.grid_1Chw, head, logit)
        return replace(reading, maps={name: map_hw}, alone={}, map_scale=1.0)

    @property
    def matcher(self) -> Matcher:
        """Return the matching network with its text encoder; ReadingError where this is a classifier."""
        if self._matcher is None:
            raise not_matching(self.name)
        return self._matcher

    def matches(self, seen: Seen, v_text_MD: Tensor) -> NDArray[np.float64]:
        """Return the match probabilities (M,) of a film with findings by their vectors.

        Raises:
            ReadingError: this is a classifier.
        """
        return self.matched(self.matcher.logits(seen.grid_1Chw, v_text_MD))

    def prompted(self, seen: Seen, prompts: Sequence[Prompt]) -> list[float]:
        """Return for each prompt the share of its sentence for, of the two: zero-shot, not calibrated.

        Source: CheXzero (Tiu et al., Nature Biomedical Engineering 2022), with the match head's logits.

        Raises:
            ReadingError: this is a classifier.
        """
        texts = [text for each in prompts for text in (each.positive, each.negative)]
        logits_L = self.matcher.logits(seen.grid_1Chw, self.matcher.text_vectors(texts))
        return torch.from_numpy(logits_L[0::2] - logits_L[1::2]).sigmoid().tolist()

    def matched(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the match probabilities of logits of the match head."""
        line = self.certainty.line(MATCH)
        return probabilities([line] * len(logits), logits)

    def _logits(self, grids_BChw: Tensor, texts: Sequence[Sequence[str]]) -> list[NDArray[np.float64]]:
        """Return the logits of each film with its own texts, or of its labels, all from one forward."""
        if self._matcher:
            return self._matcher.paired(grids_BChw, texts)
        with torch.no_grad():
            return list(self._head(())(grids_BChw.mean((2, 3))).double().cpu().numpy())

    def _answer(self, start: float, seen: Seen, question: Question, *found: Any) -> Reading:
        """Return the Reading of a question's logits, and of its maps where they were made."""
        reading, values = self._reading(start, seen, question.names, *found)
        if not question.texts:
            return replace(reading, probabilities=dict(zip(question.names, values, strict=True)))
        rank = None
        if self.others is not None:
            v_image_1D = self.matcher.film_vectors(seen.grid_1Chw)
            rank = self.others.rank(self.matcher.timnet, v_image_1D, float(found[0][0]))
        singly = values[1:] if len(question.sentences) > 1 else values
        return replace(
            reading,
            match=values[0],
            sentences=tuple(zip(question.sentences, singly, strict=True)),
            section=question.section,
            rank=rank,
            trained_tokens=self.matcher.trained_tokens,
            beyond=self.matcher.beyond(question.sentences),
        )

    def _reading(
        self, start: float, seen: Seen, names: Sequence[str], logits_L: NDArray[Any], maps: cam.Maps = ()
    ) -> tuple[Reading, list[float]]:
        """Return a Reading of logits, with their maps where they were made, and the probabilities."""
        over, alone = maps or ({}, {})
        reading = Reading(
            checkpoint=self.name,
            weights_sha256=self.weights_sha256,
            film=seen.film,
            match=None,
            sentences=(),
            probabilities={},
            seconds=time.perf_counter() - start,
            side=self.spec.side,
            map_scale=self.spec.map_scale,
            maps=over,
            alone=alone,
            doubt=seen.doubt,
            certainty=self.certainty,
            card=self.card,
            trust=self.trust,
        )
        # Whatever is asked of the match head, a sentence or an edit, goes by the line of the match.
        scored = [MATCH if self._matcher else name for name in names]
        return reading, probabilities([self.certainty.line(name) for name in scored], logits_L).tolist()

    def _head(self, texts: Sequence[str], and_normal: bool = False) -> cam.Head:
        """Return pooled grid -> logits of texts, those of normal ones behind them, or of the labels."""
        if self._matcher is None:
            return self._network.head  # type: ignore[return-value]
        try:
            return self._matcher.head(texts, and_normal)
        except PromptError as error:
            raise ReadingError(str(error)) from None
