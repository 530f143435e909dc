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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timnet import cards, checkpoints
from timnet.cards import Card
from timnet.checkpoints import ClassifierSpec, Spec, TimnetSpec
from timnet.evaluation import other_reports
from timnet.evaluation.calibration import record as certainty
from timnet.evaluation.calibration.probability import probabilities
from timnet.evaluation.calibration.record import MATCH, Certainty
from timnet.evaluation.maps import cam, grad_cam_library
from timnet.evaluation.maps.grad_cam_library import Method
from timnet.evaluation.other_reports import OtherReports
from timnet.films import frontal_check
from timnet.films.film import Film
from timnet.films.letterbox import Letterbox
from timnet.films.read import read_film
from timnet.model import devices, weights
from timnet.model.classifier import Classifier, Probe
from timnet.model.encoders import TextEncoder
from timnet.model.timnet import TIMNet
from timnet.reading import Question, Reading, ReadingError, findings_of
from timnet.reports import edits, prompts
from timnet.reports.prompts import Prompt

_BATCH = 4
"""Texts encoded at once: a whole report beside its sentences would pad each of them to its own length."""

Source = str | Path | bytes | NDArray[Any] | Film
"""What a film may be given as: a path, the bytes of a file, rows of greys, or a Film."""


@dataclass(frozen=True)
class Seen:
    """A film after one forward of a checkpoint's trunk: every further question about it starts here."""

    film: Film
    grid_1Chw: Tensor
    doubt: str
    """Why it may be no frontal chest film (`films.frontal_check`); empty where it looks like one."""


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
    _encoder: TextEncoder | None
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
        spec, sha256, sure = (
            checkpoints.describe(folder),
            checkpoints.weights_sha256(folder),
            certainty.of(folder),
        )
        card, trust = cards.of(folder), cards.trust_of(folder)
        chosen = torch.device(device) if device else devices.device()
        if isinstance(spec, ClassifierSpec):
            network = weights.load_classifier(folder)[0].to(chosen)
            return cls(folder.name, sha256, spec, sure, card, trust, network, None)
        timnet, spec, encoder = weights.load_timnet(folder)
        encoder.bert.to(chosen)
        others = other_reports.of(folder)
        return cls(folder.name, sha256, spec, sure, card, trust, timnet.to(chosen), encoder, others)

    def see(self, film: Source) -> Seen:
        """Take a film through the trunk, once for all that is asked about it."""
        read = _film(film)
        return Seen(read, self._grids([self._square(read)]), frontal_check.doubt(read))

    def _square(self, film: Film) -> NDArray[np.float32]:
        square = Letterbox.of(film, self.spec.side).apply(film.pixels)
        # Training saw films through uint8 rows of the pixel cache.
        return np.rint(square * 255).astype(np.float32) / 255

    def _grids(self, squares: Sequence[NDArray[np.float32]]) -> Tensor:
        network = self._network.image if isinstance(self._network, TIMNet) else self._network
        with torch.no_grad():
            return network.grid(torch.from_numpy(np.stack(squares)[:, None]).to(self._device))

    @property
    def _device(self) -> torch.device:
        return next(self._network.parameters()).device

    def _seen(self, films: Iterable[Source], batch: int) -> Iterator[list[Seen]]:
        """Take films through the trunk, `batch` at a time."""
        with ThreadPoolExecutor() as pool:
            waiting = iter(films)
            while part := list(itertools.islice(waiting, batch)):
                read = list(pool.map(_film, part))
                grids = self._grids(list(pool.map(self._square, read)))
                doubts = pool.map(frontal_check.doubt, read)
                yield list(map(Seen, read, grids.split(1), doubts))

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
        for seen in self._seen(films, batch):
            start = time.perf_counter()
            told = list(itertools.islice(texts, len(seen)))
            if len(told) < len(seen):
                raise ReadingError(f"findings: expected those of each X-ray, got {len(readings) + len(told)}")
            if maps:
                readings += map(self.read, seen, told)
                continue
            asked = [self._question(text) for text in told]
            grids_BChw = torch.cat([each.grid_1Chw for each in seen])
            logits = self._logits(grids_BChw, [each.texts for each in asked])
            readings += [self._answer(start, *each) for each in zip(seen, asked, logits, strict=True)]
        return readings

    def numbers(self, squares_BSS: NDArray[np.uint8], findings: Sequence[str] = ()) -> NDArray[np.float64]:
        """Return `read`'s numbers of films from one forward: (B, 1) matches, or (B, labels) probabilities.

        Args:
            squares_BSS: films as a pixel cache of this network's side holds them.
            findings: for a TIMNet those of each film, as `reading.findings_of` finds them in a report.
        """
        grids_BChw = self._grids(list(squares_BSS.astype(np.float32) / 255))
        logits_BL = np.stack(self._logits(grids_BChw, [[text] for text in findings]))
        names = [MATCH] if isinstance(self.spec, TimnetSpec) else self.spec.labels
        lines = [self.certainty.line(name) for name in names]
        return np.stack([probabilities(lines, logits_L) for logits_L in logits_BL])

    def embed(self, films: Iterable[Source], *, batch: int = 32) -> NDArray[np.float32]:
        """Return a vector a film (N, D): v_i of a TIMNet, the features under the head of a classifier."""
        vectors = [
            self.film_vector(each)
            if isinstance(self._network, TIMNet)
            else each.grid_1Chw.mean((2, 3)).cpu().numpy()
            for each in itertools.chain.from_iterable(self._seen(films, batch))
        ]
        return np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)

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
        asked = self._question(findings)
        seen = film if isinstance(film, Seen) else self.see(film)
        if isinstance(self._network, TIMNet):
            head = self._match_head(self._network, asked.texts, True)
        else:
            head = self._network.head
        return self._answer(start, seen, asked, *cam.with_maps(seen.grid_1Chw, head, asked.names))

    def edited(self, film: Source | Seen, findings: str) -> Reading:
        """Read a film with its findings and with every edit of them (`reports.edits`), from one forward.

        Raises:
            ReadingError: findings are missing or empty, or this is a classifier.
        """
        start = time.perf_counter()
        if not isinstance(self._network, TIMNet):
            raise ReadingError(f"findings: {self.name} is a classifier, it reads X-rays without text")
        text = findings_of(findings).findings
        made, _ = edits.every(text)
        head = self._match_head(self._network, [text, *(edit.text for edit in made)], True)
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
        if isinstance(self._network, TIMNet):
            text = findings_of(findings).findings if name == MATCH else name
            head, logit = self._match_head(self._network, [text]), 0
        else:
            head, logit = self._network.head, list(reading.maps).index(name)
        map_hw = grad_cam_library.stretched(method, self._network, seen.grid_1Chw, head, logit)
        return replace(reading, maps={name: map_hw}, alone={}, map_scale=1.0)

    @property
    def timnet(self) -> TIMNet:
        """Return the matching network; ReadingError where this is a classifier."""
        if not isinstance(self._network, TIMNet):
            raise ReadingError(f"findings: {self.name} is a classifier, it reads X-rays without text")
        return self._network

    def film_vector(self, seen: Seen) -> NDArray[np.float32]:
        """Return the film's vector v_i (1, D); ReadingError where this is a classifier."""
        with torch.no_grad():
            return self.timnet.image.fc(seen.grid_1Chw.mean((2, 3))).cpu().numpy()

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors v_t (M, D) of findings; ReadingError where this is a classifier."""
        return self._text_vectors(self.timnet, texts)

    def matches(self, seen: Seen, v_text_MD: Tensor) -> NDArray[np.float64]:
        """Return the match probabilities (M,) of a film with findings by their vectors.

        Raises:
            ReadingError: this is a classifier.
        """
        with torch.no_grad():
            v_image_1D = torch.from_numpy(self.film_vector(seen)).to(self._device)
            return self.matched(self.timnet.match_all(v_image_1D, v_text_MD)[0].double().cpu().numpy())

    def prompted(self, seen: Seen, asked: Sequence[Prompt]) -> list[float]:
        """Return for each prompt the share of its sentence for, of the two: zero-shot, not calibrated.

        Source: CheXzero (Tiu et al., Nature Biomedical Engineering 2022), with the match head's logits.

        Raises:
            ReadingError: this is a classifier.
        """
        texts = [text for each in asked for text in (each.positive, each.negative)]
        with torch.no_grad():
            v_image_1D = torch.from_numpy(self.film_vector(seen)).to(self._device)
            logits_L = self.timnet.match_all(v_image_1D, self.text_vectors(texts))[0].double()
        return (logits_L[0::2] - logits_L[1::2]).sigmoid().tolist()

    def matched(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the match probabilities of logits of the match head."""
        line = self.certainty.line(MATCH)
        return probabilities([line] * len(logits), logits)

    def _question(self, findings: str | None) -> Question:
        """Return what is asked of a film; ReadingError as for `read`."""
        if isinstance(self.spec, ClassifierSpec):
            if findings:
                raise ReadingError(f"findings: {self.name} is a classifier, it reads X-rays without text")
            return Question(self.spec.labels)
        if findings is None:
            raise ReadingError(f"findings: {self.name} matches X-rays with reports, it reads none alone")
        return Question.of(findings)

    def _logits(self, grids_BChw: Tensor, texts: Sequence[Sequence[str]]) -> list[NDArray[np.float64]]:
        """Return the logits of each film with its own texts, or of its labels, all from one forward."""
        with torch.no_grad():
            pooled_BC = grids_BChw.mean((2, 3))
            if not isinstance(self._network, TIMNet):
                return list(self._network.head(pooled_BC).double().cpu().numpy())
            films = [film for film, each in enumerate(texts) for _ in each]
            v_image_PD = self._network.image.fc(pooled_BC)[films]
            v_text_PD = self._text_vectors(self._network, list(itertools.chain.from_iterable(texts)))
            logits_P = self._network.match(v_image_PD, v_text_PD).double().cpu().numpy()
        return np.split(logits_P, np.cumsum([len(each) for each in texts])[:-1])

    def _answer(self, start: float, seen: Seen, asked: Question, *found: Any) -> Reading:
        """Return the Reading of a question's logits, and of its maps where they were made."""
        reading, values = self._reading(start, seen, asked.names, *found)
        if not asked.texts:
            return replace(reading, probabilities=dict(zip(asked.names, values, strict=True)))
        rank = None
        if self.others is not None:
            v_image_1D = torch.from_numpy(self.film_vector(seen)).to(self._device)
            rank = self.others.rank(self.timnet, v_image_1D, float(found[0][0]))
        singly = values[1:] if len(asked.sentences) > 1 else values
        return replace(
            reading,
            match=values[0],
            sentences=tuple(zip(asked.sentences, singly, strict=True)),
            section=asked.section,
            rank=rank,
            trained_tokens=self._trained_tokens,
            beyond=self._beyond(asked.sentences),
        )

    def _reading(
        self,
        start: float,
        seen: Seen,
        names: Sequence[str],
        logits_L: NDArray[np.float64],
        maps: cam.Maps = (),
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
        asked = [MATCH if isinstance(self._network, TIMNet) else name for name in names]
        return reading, probabilities([self.certainty.line(name) for name in asked], logits_L).tolist()

    def _match_head(
        self, timnet: TIMNet, texts: Sequence[str], and_normal: bool = False
    ) -> Callable[[Tensor], Tensor]:
        """Return pooled grid (1, C) -> match logits (1, number of texts); those of normal texts come last."""
        v_text_LD = self._text_vectors(timnet, texts)
        if and_normal:
            v_text_LD = torch.cat([v_text_LD, self._normal_KD])
        return lambda pooled_1C: timnet.match(timnet.image.fc(pooled_1C), v_text_LD).unsqueeze(0)

    @cached_property
    def _normal_KD(self) -> Tensor:
        """The vectors of the normal texts, read once.

        Raises:
            ReadingError: their file, which a department may change, cannot be used.
        """
        try:
            return self._text_vectors(self.timnet, prompts.normal())
        except prompts.PromptError as error:
            raise ReadingError(str(error)) from None

    @property
    def _trained_tokens(self) -> int:
        assert isinstance(self.spec, TimnetSpec)
        return self.spec.longest_text or self.spec.tokens

    def _beyond(self, sentences: Sequence[str]) -> tuple[int, ...]:
        """Return the numbers of the sentences that end beyond the longest text of the training."""
        assert self._encoder is not None
        special = self._encoder.tokenizer.num_special_tokens_to_add()
        ids = self._encoder.tokenizer(list(sentences), add_special_tokens=False, verbose=False)["input_ids"]
        ends = special + np.cumsum([len(each) for each in ids])
        return tuple((np.flatnonzero(ends > self._trained_tokens) + 1).tolist())

    def _text_vectors(self, timnet: TIMNet, texts: Sequence[str]) -> Tensor:
        assert self._encoder is not None and isinstance(self.spec, TimnetSpec)
        literal = self.spec.padding == "literal"
        # Reports share sentences: each is encoded once.
        once = list(dict.fromkeys(texts))
        states = self._encoder.states(once, self.spec.tokens, literal, batch=_BATCH)
        with torch.no_grad():
            v_text_LD = timnet.text.project(
                *(each.to(self._device) for each in states.batch(range(len(once))))
            )
        return v_text_LD[[once.index(text) for text in texts]]


def _film(source: Source) -> Film:
    """Return the film of whatever a caller has of it."""
    if isinstance(source, np.ndarray):
        return Film.from_array(source)
    if isinstance(source, Film):
        return source
    return read_film(Path(source) if isinstance(source, str) else source)
