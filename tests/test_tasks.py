"""Tasks: names become label matrices, and the abnormal/normal rule by its truth table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from timnet.cohorts import store, tasks
from timnet.cohorts.records import CohortError

NAN = np.nan


@pytest.fixture(scope="module")
def cohort(cohort_folder: Path) -> store.Cohort:
    return store.Cohort.open(cohort_folder)


def test_chexpert_has_fourteen_different_labels() -> None:
    assert len(set(tasks.CHEXPERT14)) == 14


@pytest.mark.parametrize(
    ("no_finding", "edema", "devices", "expected"),
    [
        (1.0, NAN, NAN, 0.0),
        (1.0, NAN, 1.0, 0.0),  # devices alone leave a film normal
        (0.0, NAN, NAN, 1.0),
        (0.0, 0.0, 0.0, 1.0),
        (NAN, 1.0, NAN, 1.0),
        (NAN, 1.0, 0.0, 1.0),
        (NAN, 0.0, 0.0, NAN),
        (NAN, NAN, NAN, NAN),
    ],
)
def test_a_film_is_abnormal_by_the_rule(
    no_finding: float, edema: float, devices: float, expected: float
) -> None:
    table = pd.DataFrame({"No Finding": [no_finding], "Edema": [edema], "Support Devices": [devices]})
    np.testing.assert_array_equal(tasks.abnormal(table), [expected])


def test_abnormal_needs_a_label_that_says_normal() -> None:
    with pytest.raises(CohortError, match="No Finding"):
        tasks.abnormal(pd.DataFrame({"Edema": [0.0, 1.0]}))


def test_a_label_is_found_whatever_its_case_and_spaces(cohort: store.Cohort) -> None:
    found = tasks.targets(cohort, "left_OPACITY")
    assert found.labels == ("Left opacity",)
    assert found.task == "Left opacity"
    assert found.y_NL.dtype == np.float32
    np.testing.assert_array_equal(found.y_NL[:, 0], cohort.labels()["Left opacity"].to_numpy(np.float32))


def test_labels_joined_by_commas_keep_their_order_and_stand_once(cohort: store.Cohort) -> None:
    found = tasks.targets(cohort, "opacity, No Finding,Opacity")
    assert found.labels == ("Opacity", "No Finding")
    assert found.task == "Opacity,No Finding"
    assert found.y_NL.shape == (len(cohort), 2)


def test_all_is_every_label(cohort: store.Cohort) -> None:
    found = tasks.targets(cohort, "all")
    assert (found.task, found.labels) == ("all", ("No Finding", "Opacity", "Left opacity"))


def test_abnormal_is_derived_where_the_cohort_has_no_such_label(cohort: store.Cohort) -> None:
    found = tasks.targets(cohort, "Abnormal")
    assert (found.task, found.labels) == ("abnormal", ("abnormal",))
    np.testing.assert_array_equal(found.y_NL[:, 0], cohort.labels()["Opacity"].to_numpy(np.float32))


def test_a_cohorts_own_abnormal_label_comes_first_and_is_left_out_of_all() -> None:
    table = pd.DataFrame({"Abnormal": [1.0, 0.0], "Edema": [0.0, 0.0], "No Finding": [1.0, 0.0]})

    class Labelled:
        def labels(self) -> pd.DataFrame:
            return table

    own = tasks.targets(Labelled(), "abnormal")  # type: ignore[arg-type]
    assert own.y_NL[:, 0].tolist() == [1.0, 0.0]
    assert tasks.targets(Labelled(), "all").labels == ("Edema", "No Finding")  # type: ignore[arg-type]
    assert tasks.available(Labelled()) == ["Abnormal", "No Finding", "all"]  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["pneumonia", "Opacity,pneumonia", "", " , "])
def test_an_unknown_task_is_refused_and_the_labels_are_named(cohort: store.Cohort, task: str) -> None:
    with pytest.raises(CohortError, match="No Finding, Opacity, Left opacity"):
        tasks.targets(cohort, task)


def test_available_lists_what_can_be_learned(cohort: store.Cohort) -> None:
    assert tasks.available(cohort) == ["No Finding", "Opacity", "Left opacity", "abnormal", "all"]
