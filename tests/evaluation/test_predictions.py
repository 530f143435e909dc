"""Kept predictions: what comes back is what was kept, damage is told, and nothing in them names anybody."""

from __future__ import annotations

import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timnet.cohorts import store
from timnet.cohorts.records import CohortError
from timnet.evaluation import predictions
from timnet.evaluation.predictions import FILE, TEST, VALIDATION, Predictions, PredictionsError, of_run


def made(number=9, labels=("Effusion", "Ödem"), seed=0, cohort="0123456789abcdef") -> Predictions:
    rng = np.random.default_rng(seed)
    truth = rng.choice([0.0, 1.0, np.nan], (number, len(labels)))
    logit = rng.normal(size=(number, len(labels))).astype(np.float32).astype(float)
    film = rng.permutation(100)[:number].astype(np.int64)
    return Predictions(cohort, labels, film, rng.random(number) < 0.4, truth, logit)


@given(number=st.integers(0, 40), labels=st.integers(1, 5), seed=st.integers(0, 9))
def test_what_comes_back_is_what_was_kept(tmp_path_factory, number, labels, seed):
    kept = made(number, tuple(f"label {i}" for i in range(labels)), seed)
    folder = tmp_path_factory.mktemp("run")
    (folder / FILE).write_bytes(kept.to_bytes())
    read = of_run(folder)
    for field in fields(Predictions):
        np.testing.assert_equal(getattr(read, field.name), getattr(kept, field.name))


def test_the_parts_are_the_whole_and_keep_their_order():
    kept = made()
    test, validation = kept.part(TEST), kept.part(VALIDATION)
    assert sorted([*test.film_N, *validation.film_N]) == sorted(kept.film_N)
    assert test.film_N.tolist() == kept.film_N[~kept.validation_N].tolist()
    np.testing.assert_allclose(test.p_NL, 1 / (1 + np.exp(-test.logit_NL)))


def test_a_run_of_an_earlier_version_kept_none(tmp_path):
    assert of_run(tmp_path) is None


def test_a_file_cut_short_is_refused(tmp_path):
    data = made().to_bytes()
    for length in range(0, len(data), 37):
        (tmp_path / FILE).write_bytes(data[:length])
        with pytest.raises(PredictionsError, match=tmp_path.name):
            of_run(tmp_path)


def test_a_flipped_byte_is_refused_or_changes_nothing(tmp_path):
    kept, refused = made(), 0
    data = kept.to_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        (tmp_path / FILE).write_bytes(flipped)
        try:
            read = of_run(tmp_path)
        except PredictionsError:
            refused += 1
        else:
            # Dates and attributes of the archive, which nobody reads.
            np.testing.assert_equal(read.logit_NL, kept.logit_NL)
            np.testing.assert_equal(read.film_N, kept.film_N)
    assert refused > len(data) / 2


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("a pickle was opened",)

    kept = made()
    with (tmp_path / FILE).open("wb") as file:
        np.savez(file, cohort=np.array([Bomb()], dtype=object), labels=np.array(kept.labels))
    with pytest.raises(PredictionsError):
        of_run(tmp_path)


def test_shapes_that_do_not_fit_are_refused(tmp_path):
    kept = made()
    for wrong in (
        replace(kept, logit_NL=kept.logit_NL[:-1]),
        replace(kept, labels=("one",)),
        replace(kept, logit_NL=np.full_like(kept.logit_NL, np.nan)),
    ):
        (tmp_path / FILE).write_bytes(wrong.to_bytes())
        with pytest.raises(PredictionsError, match="expected"):
            of_run(tmp_path)


def test_patients_are_told_only_for_the_films_that_were_tested(cohort_folder):
    cohort = store.Cohort.open(cohort_folder)
    kept = made(cohort=cohort.fingerprint)
    assert kept.patients(cohort) == cohort.films().set_index("film")["patient"][kept.film_N].tolist()
    with pytest.raises(CohortError, match="imported with others"):
        replace(kept, cohort="another").patients(cohort)


def test_the_file_holds_numbers_labels_and_a_fingerprint_alone(tmp_path):
    (tmp_path / FILE).write_bytes(made().to_bytes())
    with zipfile.ZipFile(tmp_path / FILE) as file:
        assert {name.removesuffix(".npy") for name in file.namelist()} == set(predictions._ARRAYS)
    with np.load(tmp_path / FILE) as held:
        text = {name: held[name].tolist() for name in held.files if held[name].dtype.kind not in "fiu"}
    assert text == {"cohort": "0123456789abcdef", "labels": ["Effusion", "Ödem"]}
    assert made().to_bytes() == made().to_bytes()
