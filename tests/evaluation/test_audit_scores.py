"""The order of an audit: its formula, what a report is never held against, and what changes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from timnet.cohorts.records import CohortError
from timnet.evaluation.audit import scores
from timnet.evaluation.calibration.probability import Line
from timnet.model.branches import ImageBranch, TextBranch, seeded
from timnet.model.timnet import COSINE, DIFFERENCE, TIMNet

JOINT, PAIRS = 32, 90


def network(head: str = COSINE) -> TIMNet:
    with seeded(0):
        return TIMNet(
            ImageBranch(width=8, joint=JOINT), TextBranch(24, width=8, joint=JOINT), hidden=16, head=head
        ).eval()


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Film and report vectors that are alike where they belong together."""
    rng = np.random.default_rng(0)
    films_ND = rng.standard_normal((PAIRS, JOINT))
    reports_ND = films_ND + 0.7 * rng.standard_normal((PAIRS, JOINT))
    return films_ND.astype(np.float16), reports_ND.astype(np.float16)


def pairs(number: int = PAIRS, **columns) -> pd.DataFrame:
    rows = np.arange(number)
    table = {"study": [f"s{row:03}" for row in rows], "patient": rows, "film": rows, "report": rows}
    return pd.DataFrame(table | {"text": rows} | columns)


def by_study(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("study").sort_index()


@pytest.mark.parametrize("head", [COSINE, DIFFERENCE])
def test_the_numbers_are_those_of_the_formula_over_every_other_patient(vectors, head):
    timnet, line = network(head), Line(slope=0.7, offset=-0.3)
    found = by_study(scores.rank(timnet, *vectors, pairs(), line=line, sample=PAIRS))
    with torch.inference_mode():
        logits = timnet.match_all(*(torch.from_numpy(each).float() for each in vectors)).double().numpy()
    own, others = np.diag(logits), logits[~np.eye(PAIRS, dtype=bool)].reshape(PAIRS, -1)
    other_films = logits.T[~np.eye(PAIRS, dtype=bool)].reshape(PAIRS, -1)
    z = sum((own - each.mean(1)) / each.std(1, ddof=1) for each in (others, other_films)) / 2
    np.testing.assert_allclose(found["misfit"], stats.norm.cdf(-z), rtol=2e-3)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(0.3 - 0.7 * own)), rtol=1e-4)
    for column, each in (("among_reports", others), ("among_films", other_films)):
        np.testing.assert_allclose(found[column], (each < own[:, None]).mean(1), atol=0.02)


def test_a_swapped_report_ranks_above_its_own_pair(vectors):
    swapped = pairs()
    report = swapped["report"].to_numpy().copy()
    report[[4, 40]] = report[[40, 4]]
    right, wrong = (scores.rank(network(), *vectors, each) for each in (pairs(), pairs(report=report)))
    assert set(wrong["study"][:2]) == {"s004", "s040"}
    for study in ("s004", "s040"):
        assert by_study(wrong).loc[study, "misfit"] > by_study(right).loc[study, "misfit"] + 0.3
    assert wrong["misfit"].is_monotonic_decreasing


def test_a_network_that_says_the_same_of_everything_puts_every_pair_in_the_middle():
    same_ND = np.ones((PAIRS, JOINT), np.float16)
    found = scores.rank(network(), same_ND, same_ND, pairs())
    assert (found[["among_reports", "among_films", "misfit"]] == 0.5).all(axis=None)


@pytest.mark.parametrize(("other", "column"), [(1, "patient"), (3, "text")])
def test_nothing_is_compared_with_the_same_patient_or_the_very_same_text(vectors, other, column):
    table = pairs()
    table.loc[other, column] = 0
    before = by_study(scores.rank(network(), *vectors, table, sample=PAIRS))
    films_ND, reports_MD = (each.copy() for each in vectors)
    films_ND[other], reports_MD[other] = vectors[1][0], vectors[0][0]
    after = by_study(scores.rank(network(), films_ND, reports_MD, table, sample=PAIRS))
    pd.testing.assert_frame_equal(before.loc[["s000"]], after.loc[["s000"]])
    # Of the two only one is in the sample, and it may be the first.
    drawn = table["study"].iloc[scores.sampled(table, PAIRS, 0, ("patient",))]
    assert f"s{other:03}" not in set(drawn) or not np.isclose(
        before.loc["s007", "misfit"], after.loc["s007", "misfit"], rtol=1e-9
    )


def test_neither_the_order_of_rows_nor_the_chunk_changes_a_number(vectors):
    shuffled = pairs().sample(frac=1, random_state=1)
    first = scores.rank(network(), *vectors, pairs(), sample=40, chunk=1024)
    for table, chunk in ((shuffled, 1024), (shuffled, 7), (pairs(), 1)):
        again = scores.rank(network(), *vectors, table, sample=40, chunk=chunk)
        pd.testing.assert_frame_equal(first, again, rtol=1e-4, atol=1e-5)


def test_a_seed_draws_its_own_sample_with_one_report_a_patient_and_none_twice():
    table = pairs(patient=np.arange(PAIRS) // 2, text=np.arange(PAIRS) // 3)
    drawn = [scores.sampled(table, 20, seed) for seed in (0, 0, 1)]
    assert drawn[0].tolist() == drawn[1].tolist() != drawn[2].tolist()
    for places in drawn:
        assert len(places) == 20
        for column in ("patient", "text"):
            assert not table[column].iloc[places].duplicated().any()
    assert len(scores.sampled(table, PAIRS, 0)) <= PAIRS // 3
    assert len(scores.sampled(table, PAIRS, 0, ("patient",))) == PAIRS // 2


def test_no_more_than_a_chunk_of_the_sample_is_ever_matched_at_once(vectors, monkeypatch):
    asked, timnet = [], network()
    whole = timnet.match_all
    monkeypatch.setattr(timnet, "match_all", lambda *v: asked.append([len(each) for each in v]) or whole(*v))
    told = []
    scores.rank(timnet, *vectors, pairs(), sample=20, chunk=16, progress=lambda *done: told.append(done))
    assert max(films * reports for films, reports in asked) == 20 * 16
    assert told[-1] == (PAIRS, PAIRS) and len(told) == 6


def test_a_pair_without_others_is_left_out_and_a_cohort_of_them_refused(vectors):
    # Three wordings; one patient has a report of two of them, so that one of the two has a single other.
    text, patient = np.zeros(PAIRS, int), np.arange(PAIRS)
    text[[0, 2]], patient[1] = (1, 2), 0
    table = pairs(text=text, patient=patient)
    seed = next(seed for seed in range(20) if {0, 2} <= set(scores.sampled(table, PAIRS, seed)))
    found = scores.rank(network(), *vectors, table, seed=seed)
    assert set(table["study"]) - set(found["study"]) == {"s001"} and not found["misfit"].isna().any()
    text[0] = 0
    with pytest.raises(CohortError, match="nothing to hold a report against"):
        scores.rank(network(), *vectors, pairs(text=text))


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_pairs_are_refused_in_a_sentence(vectors, number):
    with pytest.raises(CohortError, match="expected at least 3 reports"):
        scores.rank(network(), *vectors, pairs(number))
