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
        (NAN, -1.0, NAN, NAN),  # perhaps an oedema, perhaps none
        (-1.0, NAN, NAN, NAN),
        (NAN, -1.0, 1.0, 1.0),
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
    known = cohort.labels()["Left opacity"].replace(-1, NAN)
    np.testing.assert_array_equal(found.y_NL[:, 0], known.to_numpy(np.float32))


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


class Labelled:
    """Stands in for a cohort: its label table alone."""

    def __init__(self, **columns: list[float]) -> None:
        self._table = pd.DataFrame(columns)

    def labels(self) -> pd.DataFrame:
        return self._table


def chexpert(rows: int = 3) -> Labelled:
    """Return a cohort with every CheXpert label: 1, uncertain and unknown in turn."""
    return Labelled(**{label: ([1.0, -1.0, NAN] * rows)[:rows] for label in tasks.CHEXPERT14})


@pytest.mark.parametrize(("policy", "counted"), [("ignore", NAN), ("zeros", 0.0), ("ones", 1.0)])
def test_a_policy_says_what_uncertain_labels_count_as_and_unknown_ones_stay_masked(
    policy: tasks.Policy, counted: float
) -> None:
    found = tasks.targets(chexpert(), "chexpert14", uncertain=policy)  # type: ignore[arg-type]
    assert found.labels == tasks.CHEXPERT14
    np.testing.assert_array_equal(found.y_NL, np.tile([[1.0], [counted], [NAN]], 14))


def test_per_label_takes_the_published_ones_and_zeros_and_masks_the_other_labels() -> None:
    found = tasks.targets(chexpert(), "chexpert14", uncertain="per-label")  # type: ignore[arg-type]
    uncertain = dict(zip(found.labels, found.y_NL[1].tolist(), strict=True))
    ones = {"Atelectasis", "Edema", "Pleural Effusion"}
    assert {label for label, value in uncertain.items() if value == 1} == ones
    assert {label for label, value in uncertain.items() if value == 0} == {"Cardiomegaly", "Consolidation"}
    assert sum(np.isnan(value) for value in uncertain.values()) == 9


def test_uncertain_labels_are_settled_before_abnormal_is_derived() -> None:
    cohort = Labelled(**{"No Finding": [NAN, NAN, 1.0], "Edema": [-1.0, NAN, -1.0]})
    for policy, expected in (("ignore", NAN), ("zeros", NAN), ("ones", 1.0), ("per-label", 1.0)):
        found = tasks.targets(cohort, "abnormal", uncertain=policy)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.y_NL[:, 0], [expected, NAN, 0.0])


def test_the_fourteen_labels_of_chexpert_are_a_task_only_where_all_are_there() -> None:
    assert tasks.available(Labelled(**{"Edema": [0.0, 1.0], "Mass": [0.0, 1.0]})) == ["Edema", "Mass", "all"]  # type: ignore[arg-type]
    whole = Labelled(**{label: [0.0, 1.0] for label in tasks.CHEXPERT14})
    assert tasks.available(whole)[-2:] == ["chexpert14", "all"]  # type: ignore[arg-type]
    with pytest.raises(CohortError, match="labels among Edema; got 'chexpert14'"):
        tasks.targets(Labelled(Edema=[0.0, 1.0]), "chexpert14")  # type: ignore[arg-type]


def test_another_policy_is_refused() -> None:
    with pytest.raises(CohortError, match="uncertain: expected ignore or zeros or ones or per-label"):
        tasks.targets(chexpert(), "Edema", uncertain="twos")  # type: ignore[arg-type]
