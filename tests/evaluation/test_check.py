"""The check of a cohort: planted faults are found, what is right is let be, what is not checked is said."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from timnet import config
from timnet.cohorts import checks
from timnet.cohorts.readers import csv_table
from timnet.cohorts.store import Cohort
from timnet.evaluation.check import duplicates, labels, pictures, run

DEMO = config.REPOSITORY / "assets" / "demo"
Row = Mapping[str, object]
Made = Callable[..., Cohort]


def quiet(*_: object) -> None:
    pass


def films(view: str) -> list[Path]:
    table = pd.read_csv(DEMO / "studies.csv")
    table = table[(table["split"] == "test") & ((table["view"] == "LATERAL") == (view == "LATERAL"))]
    return [DEMO / path for path in table["path"]]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return what imports a cohort of pictures, one a patient, with other columns."""
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path))
    monkeypatch.delenv("TIMNET_REFUSE")

    def cohort(shown: list[Image.Image | Path], **columns: list[object]) -> Cohort:
        root = tmp_path / "export"
        root.mkdir(exist_ok=True)
        for place, each in enumerate(shown):
            image = Image.open(each) if isinstance(each, Path) else each
            image.convert("L").save(root / f"{place}.png")
        table = pd.DataFrame({"path": [f"{place}.png" for place in range(len(shown))], **columns})
        if "patient" not in table:
            table["patient"] = [f"p{place}" for place in range(len(shown))]
        table.to_csv(root / "films.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
        csv_table.run(root, "made", labels=[name for name in columns if name[0].isupper()])
        return Cohort.open("made")

    return cohort


def test_the_nearest_are_those_of_all_pairs_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x_NC, split_N = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    unit_NC = (x_NC - x_NC.mean(0)) / x_NC.std(0)
    unit_NC /= np.linalg.norm(unit_NC, axis=1, keepdims=True)
    cosine_NN = unit_NC @ unit_NC.T
    expected = {}
    for film in range(60):
        alike = [j for j in np.argsort(-cosine_NN[film]) if j < film and cosine_NN[film, j] >= 0.5]
        groups = [[j for j in alike if (split_N[j] != split_N[film]) == crosses] for crosses in (0, 1)]
        if alike:
            expected[film] = {int(j) for group in groups for j in group[: duplicates.NEAREST]}
    for block in (7, 16, 1024):
        monkeypatch.setattr(duplicates, "_BLOCK", block)
        assert {film: set(others) for film, others in duplicates.nearest(x_NC, split_N, quiet)} == expected


def test_changed_copies_are_found_and_told_apart_by_split_and_other_patients_are_let_be(made: Made) -> None:
    own = [Image.open(path).convert("L") for path in films("frontal")[:8]]
    file = io.BytesIO()
    own[0].save(file, "JPEG", quality=30)
    copies = [
        Image.open(file),
        own[1].resize((own[1].width * 2 // 3, own[1].height * 2 // 3)),
        Image.fromarray(np.rint(np.asarray(own[2]) * 0.8 + 20).astype(np.uint8)),
    ]
    split = ["train"] * 8 + ["test", "train", "test"]
    cohort = made([*own, *copies], split=split, study=[f"s{place}" for place in range(11)])
    told = {(row["film"], row["other"], row["kind"]) for row in duplicates.found(cohort, codes(), quiet)}
    assert told == {(8, "s0", checks.LEAK), (9, "s1", checks.DUPLICATE), (10, "s2", checks.LEAK)}


def codes() -> np.ndarray:
    """Features by which films 0, 1 and 2 are alike to their copies, and all others to each other in pairs."""
    rng = np.random.default_rng(1)
    one_NC = rng.normal(size=(8, 16))
    one_NC[4], one_NC[6] = one_NC[3], one_NC[5]
    return np.concatenate([one_NC, one_NC[:3]])


def test_labels_turned_round_are_found_and_no_others(cohort_folder: Path) -> None:
    cohort = Cohort.open(cohort_folder)
    truth = cohort.labels()["Opacity"].to_numpy() == 1
    x_NC = np.random.default_rng(0).normal(size=(len(truth), 300))
    wrong = np.array([3, 50, 80])
    shown = truth.copy()
    shown[wrong] = ~shown[wrong]
    x_NC += np.where(shown, 4.0, -4.0)[:, None]
    unchecked: list[tuple[str, str]] = []
    rows = list(labels.found(cohort, x_NC, unchecked, quiet))
    assert {row["film"] for row in rows if row["label"] == "Opacity"} == set(wrong)
    for row in rows:
        assert 0.9 < row["score"] <= 1
        assert ("present" if truth[row["film"]] else "absent") in row["reason"] or row["label"] != "Opacity"


def test_no_film_is_judged_by_its_own_patients_labels() -> None:
    # A feature a patient: whoever learned from the patient would know, and nobody else can.
    patients = np.repeat(np.arange(60), 4)
    is_N = np.random.default_rng(0).permutation(np.repeat([True, False], 30))[patients]
    p_N = labels.out_of_fold(np.eye(60)[patients], np.arange(240), is_N, patients.astype(str))
    assert np.ptp(p_N) < 0.2


def test_a_label_of_too_few_patients_and_a_cohort_without_labels_are_named(made: Made) -> None:
    cohort = made(films("frontal")[:3], Mass=[1, 0, 0])
    x_NC = np.random.default_rng(0).normal(size=(3, 4))
    kept = run.checked(cohort, x_NC, quiet)
    told = dict(kept.unchecked.itertuples(index=False))
    assert told[checks.LABEL] == "Mass: expected 10 patients with it and 10 without, got 1 and 2"
    assert told[checks.REPORT] == "the cohort has no reports"
    assert checks.LEAK not in told and not len(kept.found)


def test_what_one_split_no_labels_and_no_detector_leave_out_is_named(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = made(films("frontal")[:2], split=["test", "test"])
    monkeypatch.setenv("TIMNET_REFUSE", "never")
    told = run.checked(cohort, np.eye(2), quiet).unchecked
    assert dict(told.itertuples(index=False)).keys() == {
        checks.LEAK,
        checks.LABEL,
        checks.LYING,
        checks.VIEW,
        checks.REPORT,
    }


def test_x_rays_lying_mirrored_or_of_another_view_are_named(made: Made) -> None:
    own = [Image.open(path).convert("L") for path in films("frontal")[:8]]
    lateral = [Image.open(path).convert("L") for path in films("LATERAL")[:2]]
    shown = [
        *own[:3],
        own[3].transpose(Image.Transpose.ROTATE_180),
        own[4].transpose(Image.Transpose.ROTATE_90),
        own[5].transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        own[6],
        *lateral,
    ]
    view = ["PA", "AP", "", "PA", "PA", "PA", "LATERAL", "PA", "LATERAL"]
    rows = list(pictures.found(made(shown, view=view), [], quiet))
    assert [(row["film"], row["kind"]) for row in rows] == [
        (3, checks.LYING),
        (4, checks.LYING),
        (5, checks.MIRRORED),
        (6, checks.VIEW),
        (7, checks.VIEW),
    ]
    # Pillow turns to the left: a head that was up lies to the left.
    assert [row["reason"] for row in rows][:2] == ["upside down", "on its side, head to the left"]
    assert rows[3]["reason"] == "said to be lateral, looks frontal"
    assert "said to be PA; this looks like a lateral chest X-ray" in str(rows[4]["reason"])


def test_borders_of_the_square_are_cut_off() -> None:
    square = np.zeros((20, 20), np.uint8)
    square[:, 5:15] = 7
    assert pictures.unpadded(square).shape == (20, 10)
    assert pictures.unpadded(square.T).shape == (10, 20)


def test_reports_without_findings_and_templates_are_named(made: Made) -> None:
    number = run.MANY + 3
    texts = ["FINDINGS: Clear  lungs."] * run.MANY + ["FINDINGS: Small left effusion.", "", "FINDINGS: none"]
    colours = [Image.fromarray(np.full((40, 40), 9, np.uint8) + np.eye(40, dtype=np.uint8)) for _ in texts]
    cohort = made(colours, report=texts, study=[f"s{place:02}" for place in range(number)])
    rows = run.checked(cohort, np.random.default_rng(0).normal(size=(number, 3)), quiet).found
    rows = rows[rows["kind"] == checks.REPORT].set_index("study")["reason"]
    assert set(rows.index) == {f"s{place:02}" for place in range(number)} - {f"s{run.MANY}"}
    assert rows["s00"].endswith(f"as of {run.MANY - 1} other patients")
    assert rows[f"s{run.MANY + 1}"] == "no report"
    assert rows[f"s{run.MANY + 2}"] == "its report has no findings that can be used"
