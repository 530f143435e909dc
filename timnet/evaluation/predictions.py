"""What a classifier said of the films it was not trained on: the numbers that every later judgement needs.

Owns `predictions.npz` in a run's folder: for each film of the test and of the validation part its row in the
cohort, truth and logits, with the fingerprint of the cohort's films. Holds no patient, path or report, and no
pickle. Refuses a file that is damaged or of another shape, and rows read against a cohort of other films.

Shapes: N films, L labels.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timnet.cohorts.records import CohortError
from timnet.errors import TimnetError
from timnet.evaluation.calibration import probability

if TYPE_CHECKING:
    from timnet.cohorts.store import Cohort

FILE = "predictions.npz"
VALIDATION, TEST = "validation", "test"
# What numpy and zipfile raise where bytes were flipped or are missing.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zlib.error, zipfile.BadZipFile)
_ARRAYS = ("cohort", "labels", "film", "part", "truth", "logit")


class PredictionsError(TimnetError):
    """A run's predictions that cannot be used; the message says whose and why."""


@dataclass(frozen=True)
class Predictions:
    """Truth and logits of films that a run was not trained on.

    Attributes:
        cohort: fingerprint of the cohort's films (`Cohort.fingerprint`).
        film_N: rows of the cohort.
        validation_N: whether a film is of the validation part; the others are of the test part.
        truth_NL: 0 to 1, nan where unknown.
        logit_NL: as the network gave them.
    """

    cohort: str
    labels: tuple[str, ...]
    film_N: NDArray[np.int64]
    validation_N: NDArray[np.bool_]
    truth_NL: NDArray[np.float64]
    logit_NL: NDArray[np.float64]

    @property
    def p_NL(self) -> NDArray[np.float64]:
        """Return the logits' own sigmoids, before any calibration: what the run's metrics were taken from.

        Of one label, calibration changes neither their order nor which side of 0.5 they are on.
        """
        return probability.probabilities([probability.PLAIN] * len(self.labels), self.logit_NL)

    def part(self, name: str) -> Predictions:
        """Return the films of one part, VALIDATION or TEST."""
        rows = self.validation_N == (name == VALIDATION)
        return Predictions(
            self.cohort,
            self.labels,
            self.film_N[rows],
            self.validation_N[rows],
            self.truth_NL[rows],
            self.logit_NL[rows],
        )

    def known(self, column: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return truth in {0, 1} and logits of the films where the label of a column is known."""
        truth_N = self.truth_NL[:, column]
        known = ~np.isnan(truth_N)
        return (truth_N[known] == 1).astype(float), self.logit_NL[known, column]

    def patients(self, cohort: Cohort) -> list[str]:
        """Return whose films these are.

        Raises:
            CohortError: the cohort was imported anew, with other films.
        """
        if cohort.fingerprint != self.cohort:
            raise CohortError(
                f"{cohort.name}: expected the films that the run was tested on; since then the cohort was "
                "imported with others"
            )
        return [str(patient) for patient in cohort.films()["patient"].iloc[self.film_N]]

    def to_bytes(self) -> bytes:
        """Return the file's content; the same predictions give the same bytes."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            cohort=np.array(self.cohort),
            labels=np.array(self.labels),
            film=self.film_N.astype(np.int32),
            part=self.validation_N.astype(np.uint8),
            truth=self.truth_NL.astype(np.float32),
            logit=self.logit_NL.astype(np.float32),
        )
        return file.getvalue()


def of_run(folder: Path) -> Predictions | None:
    """Return what a run kept; None for one of an earlier version, which kept nothing.

    Raises:
        PredictionsError: the file is damaged or of another shape.
    """
    try:
        data = io.BytesIO((folder / FILE).read_bytes())
        with np.load(data, allow_pickle=False) as held:
            cohort, labels, film, part, truth, logit = (held[name] for name in _ARRAYS)
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        raise PredictionsError(f"{folder.name}: {FILE} cannot be read ({type(error).__name__})") from None
    shape = (*film.shape, *labels.shape)
    if not film.ndim == labels.ndim == 1 or truth.shape != shape or logit.shape != shape:
        raise PredictionsError(
            f"{folder.name}: {FILE}: expected truths and logits of shape {shape}, got {truth.shape} and "
            f"{logit.shape}"
        )
    if part.shape != film.shape or not np.isfinite(logit).all():
        raise PredictionsError(f"{folder.name}: {FILE}: expected a part and finite logits for every film")
    return Predictions(
        cohort=str(cohort),
        labels=tuple(str(label) for label in labels),
        film_N=film.astype(np.int64),
        validation_N=part.astype(bool),
        truth_NL=truth.astype(float),
        logit_NL=logit.astype(float),
    )
