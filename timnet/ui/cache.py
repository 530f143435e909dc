"""What pages load, cached: cohorts, checkpoints, films and readings.

Every key is made of names, times of change and sha256 of a file's bytes (`KEYS`); pixels are never hashed,
because Streamlit hashes large arrays by a sample and two films could share an answer. What belongs to a
visitor's own film lives in that visitor's session only. torch is imported by the first reading.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from timnet import config
from timnet.cohorts import schema, store, tasks
from timnet.cohorts.facets import Choices, Facets
from timnet.cohorts.facets import choices as choices_of
from timnet.cohorts.records import Study
from timnet.cohorts.search import Filters
from timnet.cohorts.store import Cohort
from timnet.cohorts.tasks import Share
from timnet.evaluation.label_efficiency.curve import FRACTIONS
from timnet.films import frontal_check, letterbox, sandbox
from timnet.films.film import Film
from timnet.films.hanging import view_of
from timnet.reports.prompts import Prompt
from timnet.training import run_results, runs
from timnet.ui import gc_freeze
from timnet.ui.checkpoints import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from timnet.reader import Reader, Seen
    from timnet.reading import Reading

THUMBNAIL = 112
SHOWN = 1024
"""Longest side of a film on a page, in pixels; readings are made from all pixels."""


KEYS: dict[str | type[Any], Callable[[Any], str]] = {
    Cohort: lambda of: f"{of.folder}\n{of.identity}",
    Checkpoint: lambda of: f"{of.folder}\n{of.stamp}",
    # Its bytes, its greys turned, and its view by its cohort.
    Film: lambda film: f"{film.key} {film.view or ''}",
    "timnet.reading.Reading": lambda reading: f"{reading.film.key} {reading.film.view or ''}",
}
"""What tells one thing from another in every cache of the pages; a reading stands beside its checkpoint."""


def cohort(name: str) -> Cohort:
    """Return a cohort by name; CohortError where there is none."""
    folder = store.find(name)
    return _cohort(str(folder), (folder / schema.DATABASE).stat().st_mtime_ns)


@st.cache_resource(max_entries=8, show_spinner=False)
def _cohort(folder: str, stamp: int) -> Cohort:
    return Cohort.open(Path(folder))


@st.cache_data(max_entries=32, hash_funcs=KEYS, show_spinner=False)
def choices(of: Cohort) -> Choices:
    """Return what a cohort can be filtered by."""
    return choices_of(of.folder)


@st.cache_data(max_entries=512, hash_funcs=KEYS, show_spinner=False)
def count(of: Cohort, wanted: Filters) -> int:
    """Return how many studies filters leave."""
    return of.count(**wanted)


@st.cache_resource(max_entries=64, hash_funcs=KEYS, show_spinner="Counting …")
def facets(of: Cohort, wanted: Filters) -> Facets:
    """Return what the studies that filters leave hold, in counts."""
    return of.facets(**wanted)


def uploaded(data: bytes, name: str) -> Film:
    """Return the film in an uploaded file; FilmError says why it is none."""
    sha256 = hashlib.sha256(data).hexdigest()
    return _uploaded(sha256, is_inverted(sha256), data, name)


def is_inverted(sha256: str) -> bool:
    """Say whether the visitor wants a film's greys turned; `doubts` asks."""
    return bool(st.session_state.get(invert_key(sha256)))


def invert_key(sha256: str) -> str:
    """Return the key of that wish in the session."""
    return f"invert_{sha256[:16]}"


@st.cache_resource(max_entries=2, scope="session", show_spinner="Reading the X-ray …")
def _uploaded(sha256: str, invert: bool, _data: bytes, _name: str) -> Film:
    return sandbox.read_untrusted(_data, name=_name, invert=invert)


def cohort_film(of: Cohort, film: int, view: str | None = None) -> Film:
    """Return a cohort's film as it was exported; `view` is the cohort's word where the file has none."""
    original = _cohort_film(of, film, False)
    if is_inverted(original.sha256):
        original = _cohort_film(of, film, True)
    return replace(original, view=view_of(view)) if original.view is None and view else original


def study_film(of: Cohort, film: int) -> tuple[Study, Film]:
    """Return a cohort's film by its number, with its study."""
    study = of.study_of(film)
    view = next(each.view for each in study.films if each.film == film)
    return study, cohort_film(of, film, view)


@st.cache_resource(max_entries=8, hash_funcs=KEYS, show_spinner="Reading the X-ray …")
def _cohort_film(of: Cohort, film: int, invert: bool) -> Film:
    return of.read_film(film, invert)


@st.cache_resource(
    max_entries=3, scope="session", hash_funcs=KEYS, show_spinner="Reading the X-ray with the network …"
)
def reading(checkpoint: Checkpoint, film: Film, findings: str | None = None) -> Reading:
    """Return what a checkpoint says of a film, worked out once for the same film, text and checkpoint."""
    return reader(checkpoint).read(seen(checkpoint, film), findings)


@st.cache_resource(
    max_entries=3, scope="session", hash_funcs=KEYS, show_spinner="Asking about each edit of the text …"
)
def edited(checkpoint: Checkpoint, film: Film, findings: str) -> Reading:
    """Return what a checkpoint says of a film and of every edit of its findings."""
    return reader(checkpoint).edited(seen(checkpoint, film), findings)


@st.cache_data(max_entries=64, scope="session", hash_funcs=KEYS, show_spinner=False)
def doubt(film: Film) -> str:
    """Return why a film may be no frontal chest film, in one sentence; nothing where it looks like one."""
    return frontal_check.doubt(film)


@st.cache_data(max_entries=8, scope="session", hash_funcs=KEYS, show_spinner="Asking for each finding …")
def prompted(checkpoint: Checkpoint, film: Film, prompts: tuple[Prompt, ...]) -> list[float]:
    """Return a film's zero-shot scores of prompts (`Reader.prompted`)."""
    return reader(checkpoint).prompted(seen(checkpoint, film), prompts)


@st.cache_resource(max_entries=4, scope="session", hash_funcs=KEYS, show_spinner="Asking pytorch-grad-cam …")
def by_library(
    checkpoint: Checkpoint, reading: Reading, name: str, method: str, findings: str | None = None
) -> Reading:
    """Return a reading with one map by a method of pytorch-grad-cam (`Reader.by_library`)."""
    seen_before = seen(checkpoint, reading.film)
    return reader(checkpoint).by_library(reading, seen_before, name, method, findings)  # type: ignore[arg-type]


@st.cache_resource(max_entries=3, scope="session", hash_funcs=KEYS, show_spinner=False)
def matches(checkpoint: Checkpoint, film: Film, texts: str, _vectors: Tensor) -> np.ndarray:
    """Return the match probabilities of a film with reports by their vectors; `texts` says which they are."""
    return reader(checkpoint).matches(seen(checkpoint, film), _vectors)


@st.cache_resource(max_entries=3, scope="session", hash_funcs=KEYS, show_spinner=False)
def seen(checkpoint: Checkpoint, film: Film) -> Seen:
    """Take a film through the trunk once, whatever is asked about it afterwards."""
    return reader(checkpoint).see(film)


@st.cache_resource(max_entries=2, hash_funcs=KEYS, show_spinner="Loading the network …")
def reader(checkpoint: Checkpoint) -> Reader:
    """Return a checkpoint's reader; CheckpointError says why it cannot be loaded."""
    from timnet.reader import Reader

    loaded = Reader.load(checkpoint.folder, "cpu")
    gc_freeze.set_aside()
    return loaded


def shown(film: Film, longest: int = SHOWN) -> Film:
    """Return the film of square pixels, at most so many long, for the page; its spacing stays the whole's."""
    whole = max(film.rows, film.columns) <= longest and film.aspect == 1
    return film if whole else _shown(film, longest)


@st.cache_resource(max_entries=8, scope="session", hash_funcs=KEYS, show_spinner=False)
def _shown(film: Film, longest: int) -> Film:
    return letterbox.smaller(film, longest)


def png(pixels: np.ndarray) -> bytes:
    """Return greys in [0, 1] (H, W) or colours uint8 (H, W, 3) as a PNG file."""
    file = io.BytesIO()
    image = Image.fromarray(pixels if pixels.dtype == np.uint8 else letterbox.to_uint8(pixels))
    image.save(file, format="PNG", compress_level=1)
    return file.getvalue()


def thumbnails(of: Cohort, rows: list[int]) -> list[str]:
    """Return small JPEGs of a cohort's films as data URLs, from its pixel cache."""
    pixels_NSS = of.pixels(2 * THUMBNAIL)
    urls = []
    for row in rows:
        file = io.BytesIO()
        Image.fromarray(np.asarray(pixels_NSS[row])).reduce(2).save(file, format="JPEG", quality=80)
        urls.append("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode())
    return urls


@st.cache_data(max_entries=32, hash_funcs=KEYS, show_spinner=False)
def available_tasks(of: Cohort) -> list[str]:
    """Return what can be learned from a cohort's labels."""
    return tasks.available(of)


@st.cache_data(max_entries=32, hash_funcs=KEYS, show_spinner=False)
def sizes(of: Cohort, task: str, uncertain: tasks.Policy) -> dict[float, int]:
    """Return how many films each of the paper's fractions of a task's labels is (`tasks.share_sizes`)."""
    return tasks.share_sizes(of, task, FRACTIONS, uncertain)


@st.cache_data(max_entries=64, hash_funcs=KEYS, show_spinner=False)
def share(of: Cohort, task: str, fraction: float, seed: int, uncertain: tasks.Policy) -> Share:
    """Return what a fraction of the labels means in films (`tasks.share`)."""
    return tasks.share(of, task, fraction, seed, uncertain)


@st.cache_data(max_entries=64, hash_funcs=KEYS, show_spinner=False)
def uncertain(of: Cohort, task: str) -> int:
    """Return how many training films of a task have an uncertain label (`tasks.uncertain_films`)."""
    return tasks.uncertain_films(of, task)


def points(part: str = run_results.TEST) -> pd.DataFrame:
    """Return what finished fine-tuning runs measured (`run_results.points`), read anew when one ends."""
    ends = sorted(
        (str(path), path.stat().st_mtime_ns) for path in config.checkpoints().glob(f"*/{runs.DONE}")
    )
    return _points(str(config.checkpoints()), tuple(ends), part)


@st.cache_data(max_entries=4, show_spinner="Collecting results …")
def _points(root: str, ends: tuple[tuple[str, int], ...], part: str) -> pd.DataFrame:
    return run_results.points(Path(root), part)
