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
from timnet.evaluation.calibration import record as certainty
from timnet.evaluation.calibration.probability import probabilities
from timnet.evaluation.calibration.record import MATCH, Certainty
from timnet.evaluation.maps import cam, grad_cam_library
from timnet.evaluation.maps.grad_cam_library import Method
from timnet.films import frontal_check
from timnet.films.film import Film
from timnet.films.letterbox import Letterbox
from timnet.films.read import read_film
from timnet.model import devices, weights
from timnet.model.classifier import Classifier, Probe
from timnet.model.encoders import TextEncoder
from timnet.model.timnet import TIMNet
from timnet.reading import Reading, ReadingError
from timnet.reports import edits, prompts, report_text
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
        return cls(folder.name, sha256, spec, sure, card, trust, timnet.to(chosen), encoder)

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

    def _seen(self, films: Iterable[Source], batch: int) -> Iterator[Seen]:
        """Take films through the trunk, `batch` at a time; files are decoded by threads meanwhile."""
        with ThreadPoolExecutor() as pool:
            waiting = iter(films)
            while part := list(itertools.islice(waiting, batch)):
                read = list(pool.map(_film, part))
                grids = self._grids(list(pool.map(self._square, read)))
                for film, grid_1Chw, doubt in zip(
                    read, grids.split(1), pool.map(frontal_check.doubt, read), strict=True
                ):
                    yield Seen(film, grid_1Chw, doubt)

    def read_many(
        self, films: Iterable[Source], findings: Iterable[str] | None = None, *, batch: int = 32
    ) -> list[Reading]:
        """Read films as `read` does, `batch` at a time through the trunk; errors as for `read`.

        Args:
            films: as of `read`.
            findings: for a TIMNet the findings of each film, in their order.
            batch: films at a time.
        """
        seen = self._seen(films, batch)
        if findings is None:
            return [self.read(each) for each in seen]
        return [self.read(each, text) for each, text in zip(seen, findings, strict=True)]

    def embed(self, films: Iterable[Source], *, batch: int = 32) -> NDArray[np.float32]:
        """Return a vector a film (N, D): v_i of a TIMNet, the features under the head of a classifier."""
        vectors = [
            self.film_vector(each)
            if isinstance(self._network, TIMNet)
            else each.grid_1Chw.mean((2, 3)).cpu().numpy()
            for each in self._seen(films, batch)
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
        if isinstance(self._network, TIMNet):
            if findings is None:
                raise ReadingError(f"findings: {self.name} matches X-rays with reports, it reads none alone")
            extract = _asked(findings)
            text, told = extract.findings, report_text.sentences(extract.findings)
            # One sentence is the whole: no second question.
            questions = [text, *told] if len(told) > 1 else [text]
            names = [MATCH, *told] if len(told) > 1 else [MATCH]
            reading, values = self._reading(
                start, film, self._match_head(self._network, questions, True), names
            )
            singly = values[1:] if len(told) > 1 else values
            return replace(
                reading,
                match=values[0],
                sentences=tuple(zip(told, singly, strict=True)),
                section=extract.section,
                trained_tokens=self._trained_tokens,
                beyond=self._beyond(told),
            )
        if findings:
            raise ReadingError(f"findings: {self.name} is a classifier, it reads X-rays without text")
        names = list(self.spec.labels)  # type: ignore[union-attr]
        reading, values = self._reading(start, film, self._network.head, names)
        return replace(reading, probabilities=dict(zip(names, values, strict=True)))

    def edited(self, film: Source | Seen, findings: str) -> Reading:
        """Read a film with its findings and with every edit of them (`reports.edits`), from one forward.

        Raises:
            ReadingError: findings are missing or empty, or this is a classifier.
        """
        start = time.perf_counter()
        if not isinstance(self._network, TIMNet):
            raise ReadingError(f"findings: {self.name} is a classifier, it reads X-rays without text")
        text = _asked(findings).findings
        made, _ = edits.every(text)
        head = self._match_head(self._network, [text, *(edit.text for edit in made)], True)
        names = [MATCH, *(edit.name for edit in made)]
        reading, values = self._reading(start, film, head, names)
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
            text = _asked(findings).findings if name == MATCH else name
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

    def _reading(
        self, start: float, film: Source | Seen, head: Callable[[Tensor], Tensor], names: list[str]
    ) -> tuple[Reading, list[float]]:
        """Return a Reading with its maps, and the probabilities in the order of the names.

        The head gives a logit for each name, and may give those of normal texts behind them: maps are linear
        in the logit, so each is taken over the normal ones' mean.
        """
        seen = film if isinstance(film, Seen) else self.see(film)
        logits_1L, maps_1Lhw = cam.evidence(seen.grid_1Chw, head)
        maps, number = maps_1Lhw[0].float().cpu().numpy(), len(names)
        alone, normal = maps[:number], maps[number:]
        over = alone - normal.mean(0) if len(normal) else alone
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
            maps=dict(zip(names, over, strict=True)),
            alone=dict(zip(names, alone, strict=True)),
            doubt=seen.doubt,
            certainty=self.certainty,
            card=self.card,
            trust=self.trust,
        )
        # Whatever is asked of the match head, a sentence or an edit, goes by the line of the match.
        asked = [MATCH if isinstance(self._network, TIMNet) else name for name in names]
        logits = logits_1L[0, :number].double().cpu().numpy()
        lines = [self.certainty.line(name) for name in asked]
        return reading, probabilities(lines, logits).tolist()

    def _match_head(
        self, timnet: TIMNet, texts: list[str], and_normal: bool = False
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
        states = self._encoder.states(texts, self.spec.tokens, literal, batch=_BATCH)
        with torch.no_grad():
            return timnet.text.project(*(each.to(self._device) for each in states.batch(range(len(texts)))))


def _film(source: Source) -> Film:
    """Return the film of whatever a caller has of it."""
    if isinstance(source, np.ndarray):
        return Film.from_array(source)
    if isinstance(source, Film):
        return source
    return read_film(Path(source) if isinstance(source, str) else source)


def _asked(findings: str | None) -> report_text.Extract:
    extract = report_text.extract(findings or "")
    if not extract.findings:
        held = ", ".join(filter(None, report_text.sections(findings or "")))
        got = f"only {held[:200]}" if held else "none"
        advice = "; write FINDINGS: before what the X-ray shows" if held else ""
        raise ReadingError(f"findings: expected the text that describes the X-ray, got {got}{advice}")
    return extract
