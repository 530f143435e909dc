"""Vectors of the demo's X-rays and reports that come with timnet: searches and audits of it need no wait.

Owns one file a matching network, bound to the network's weights and to the demo's table: of others nothing is
taken, and the vectors are worked out as for any cohort. `docs/demo_vectors.py` makes them.

Shapes: N films, M reports, D joint width.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from timnet import checkpoints, config, files
from timnet.cohorts import vectors
from timnet.cohorts.readers import demo
from timnet.cohorts.store import Cohort
from timnet.errors import TimnetError

FOLDER = config.ASSETS / "demo-vectors"


def take(cohort: Cohort) -> None:
    """Put the vectors that come with timnet into a new demo cohort, of the networks that are here."""
    for path in sorted(FOLDER.glob("*.safetensors")):
        checkpoint = config.checkpoints() / path.stem
        try:
            with safe_open(path, "np") as file:
                if (file.metadata() or {}) != _of(cohort, checkpoint):
                    continue
                films_ND, reports_MD = file.get_tensor("films"), file.get_tensor("reports")
        except (SafetensorError, OSError, TimnetError):
            # What cannot be taken is worked out when it is asked for.
            continue
        sizes = len(films_ND), len(reports_MD)
        with vectors.building(vectors.place(cohort, checkpoint), *sizes, films_ND.shape[1]) as build:
            build.append(films_ND.astype(np.float32))
            build.append(reports_MD.astype(np.float32))


def write(cohort: Cohort, checkpoint: Path) -> Path:
    """Write a demo cohort's complete vectors to where `take` finds them; CohortError where there are none."""
    found = vectors.load(vectors.place(cohort, checkpoint))
    both = {"films": np.asarray(found.films_ND), "reports": np.asarray(found.reports_MD)}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{checkpoint.name}.safetensors"
    files.write_whole(path, save(both, _of(cohort, checkpoint)))
    return path


def _of(cohort: Cohort, checkpoint: Path) -> dict[str, str]:
    """Return what vectors belong to: the weights, and the table of the demo."""
    table = (cohort.root / demo.TABLE).read_bytes()
    return {
        "weights_sha256": checkpoints.weights_sha256(checkpoint),
        "table_sha256": hashlib.sha256(table).hexdigest(),
    }
