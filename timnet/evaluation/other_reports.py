"""Reports of other patients that a match is ranked among: their vectors, kept beside a network's weights.

Owns the file of a checkpoint, its making from held-out reports of cohorts, and the rank. Vectors alone are
kept, no text. Refuses vectors of other weights, and so few that a rank would say little.

Shapes: M reports, D joint width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from timnet import checkpoints, files
from timnet.checkpoints import OTHER_REPORTS, CheckpointError, TimnetSpec
from timnet.counting import counted
from timnet.model.timnet import TIMNet

MOST, FEWEST = 1000, 20
HELD_OUT = ("val", "test")


@dataclass(frozen=True)
class Rank:
    """Where a match stands among those of other patients' reports with the same X-ray."""

    share: float
    """Share of the reports that fit less well; a tie counts half."""
    reports: int
    source: str
    """Which reports, in words."""

    @property
    def sentence(self) -> str:
        """Return the rank in words."""
        return f"This report fits better than {self.share:.0%} of {self.source}."


@dataclass(frozen=True)
class OtherReports:
    """Vectors of reports."""

    vectors_MD: Tensor
    source: str

    def rank(self, timnet: TIMNet, v_image_1D: Tensor, logit: float) -> Rank:
        """Return where the logit of a film's own report stands among these reports with the film."""
        with torch.no_grad():
            logits_M = timnet.match_all(v_image_1D, self.vectors_MD.to(v_image_1D))[0].double().cpu()
        share = float((logits_M < logit).double().mean() + 0.5 * (logits_M == logit).double().mean())
        return Rank(share, len(logits_M), self.source)


def of(folder: Path) -> OtherReports | None:
    """Return what is kept beside a checkpoint's weights; None where nothing is.

    Raises:
        CheckpointError: the file is damaged, or of other weights.
    """
    path = folder / OTHER_REPORTS
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            result, vectors_MD = file.metadata() or {}, file.get_tensor("vectors").float()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder.name}: {path.name} cannot be read ({error})") from None
    if result.get("weights_sha256") != checkpoints.weights_sha256(folder):
        raise CheckpointError(
            f"{folder.name}: {path.name} is of other weights; calibrate again with --other-reports, or "
            "remove it"
        )
    if vectors_MD.ndim != 2 or len(vectors_MD) < FEWEST or not vectors_MD.isfinite().all():
        raise CheckpointError(f"{folder.name}: {path.name}: expected {FEWEST} or more finite vectors")
    return OtherReports(vectors_MD, result.get("source", "other reports"))


def keep(
    folder: Path,
    cohorts: Sequence[str],
    named: str,
    seed: int = 0,
    progress: Callable[[int, int | None], None] | None = None,
) -> str:
    """Keep the vectors of held-out reports beside a checkpoint's weights; return which, in words.

    Args:
        folder: of a TIMNet.
        cohorts: whose validation and test reports are taken, no two of the same wording, up to MOST.
        named: what users read as their source.

    Raises:
        CheckpointError: no TIMNet there. CohortError: no such cohort, or fewer than FEWEST reports.
    """
    # With them comes pandas, which a reading does without.
    from timnet.cohorts.pairs import collect
    from timnet.cohorts.records import CohortError
    from timnet.evaluation import held_out
    from timnet.model import weights

    spec = checkpoints.describe(folder)
    if not isinstance(spec, TimnetSpec):
        raise CheckpointError(f"{folder.name}: other reports: expected a matching network, got a classifier")
    pairs = collect(cohorts, HELD_OUT, spec.side, measuring=True, views="frontal")
    chosen = np.flatnonzero(pairs.held_out)
    distinct: NDArray[np.int64] = chosen[np.unique(pairs.text[chosen], return_index=True)[1]]
    if len(distinct) < FEWEST:
        raise CohortError(
            f"{', '.join(cohorts)}: other reports: expected {FEWEST} or more held-out reports, no two of the "
            f"same wording, got {len(distinct)}"
        )
    drawn = np.sort(np.random.default_rng(seed).permutation(distinct)[:MOST]).tolist()
    _, _, v_text_MD = held_out.vectors(weights.load_timnet(folder), pairs, drawn, progress)
    source = f"{counted(len(drawn), 'report')} of other patients ({named})"
    fields = {"weights_sha256": checkpoints.weights_sha256(folder), "source": source}
    files.write_whole(folder / OTHER_REPORTS, save({"vectors": v_text_MD.half().contiguous()}, fields))
    return source
