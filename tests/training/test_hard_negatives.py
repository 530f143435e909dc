"""Hard negatives: the hardest of what is no true pair, an order that loses nobody, and where it goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timnet import config
from timnet.cohorts.pairs import collect
from timnet.training import hard_negatives, pairing, runs, snapshots, worker
from timnet.training.recipes import pretrain


class Dot:
    """A head whose logit is the product of the vectors."""

    @staticmethod
    def match(v_image, v_text):
        return (v_image * v_text).sum(-1)


def test_a_partner_is_the_hardest_report_that_is_no_true_pair(cohort_folder, monkeypatch):
    # So many are drawn that each report of the few is among them.
    monkeypatch.setattr(hard_negatives, "LOOKED_AT", 2000)
    pairs = collect([str(cohort_folder)] * 2, ("val", "test"), side=32)
    chosen = np.flatnonzero(~pairs.held_out)[::3].tolist()
    draw = torch.Generator().manual_seed(0)
    v_image, v_text = (torch.randn(len(chosen), 8, generator=draw) for _ in range(2))
    settings = config.Pretrain(cohorts=("a", "b"), both_normal="ignore")

    def left_out(films, reports):
        return pairing.no_mismatch(settings, pairs, films, reports)

    found = hard_negatives.mine(
        Dot, v_image, v_text, pairs, chosen, left_out, np.random.default_rng(0)
    ).tolist()
    logits = v_image @ v_text.T
    for i, film in enumerate(chosen):
        mismatched = [j for j, other in enumerate(chosen) if not left_out(np.array(film), np.array(other))]
        expected = chosen[max(mismatched, key=lambda j: logits[i, j])]
        # Two reports of one wording have vectors of their own here: the hardest is one.
        assert found[film] == expected
        assert pairs.source[film] == pairs.source[expected]
    assert {found[i] for i in range(len(found)) if i not in chosen} == {hard_negatives.NONE}


@given(
    order=st.lists(st.integers(0, 9), max_size=40),
    partners=st.lists(st.integers(-1, 9), min_size=10, max_size=10),
)
def test_an_order_with_partners_holds_everyone_as_often_as_before(order, partners):
    assert Counter(hard_negatives.together(order, partners)) == Counter(order)


def test_a_partner_stands_behind_its_pair():
    assert hard_negatives.together([0, 1, 2, 3], [2, 3, 0, 1]) == [0, 2, 1, 3]
    assert hard_negatives.together([0, 1, 2], [hard_negatives.NONE, 0, 0]) == [0, 1, 2]


def test_half_of_the_mismatched_reports_are_mined_and_none_where_there_is_no_partner():
    drawn = [(film, 100) for film in range(1000)]
    partners = [hard_negatives.NONE if film % 10 == 0 else film + 1 for film in range(1000)]
    made = hard_negatives.hardened(drawn, partners, np.random.default_rng(0))
    assert [film for film, _ in made] == list(range(1000))
    assert all(report in (100, film + 1) and (film % 10 or report == 100) for film, report in made)
    # Of 900 with a partner, half: 3 deviations of a fair coin are 45.
    assert sum(report != 100 for _, report in made) == pytest.approx(450, abs=45)


@pytest.mark.whole
@pytest.mark.parametrize("objective", ["all-pairs", "pairs"])
def test_a_run_with_mined_negatives_that_stopped_ends_bit_for_bit_the_same(
    objective, cohort_folder, tiny_bert, tmp_path, monkeypatch
):
    settings = config.Pretrain(
        cohorts=(str(cohort_folder),), side=32, width=8, tokens=16, epochs=2, batch=20, objective=objective,
        text_encoder=str(tiny_bert), negatives="mined", precision="fp32", evaluate_every=0,
    )  # fmt: skip

    def result(name, stop_at=None):
        def listen(event):
            if event["event"] == "snapshot" and event["step"] == stop_at:
                worker.cancel(tmp_path / name)

        # A snapshot a step costs more than the step.
        monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0" if stop_at else "1000")
        worker.prepare(settings, tmp_path / name)
        state = worker.work(tmp_path / name, pretrain.train, listen)
        assert state.name == ("cancelled" if stop_at else "done"), state.reason
        return (tmp_path / name / "model.json").read_text() if not stop_at else None

    whole = result("whole")
    result("parts", stop_at={"all-pairs": 7, "pairs": 13}[objective])
    # In the middle of the second epoch, which is the first that is mined.
    found = snapshots.newest(tmp_path / "parts")
    assert found.place.epoch == 1 and found.place.batch
    assert set(found.state["beside"]["of"].tolist()) != {hard_negatives.NONE}
    assert result("parts") == whole
    drawn = replace(settings, negatives="drawn")
    worker.prepare(drawn, tmp_path / "drawn")
    assert worker.work(tmp_path / "drawn", pretrain.train).name == "done"
    assert runs.events(tmp_path / "drawn")["loss"].dropna().iloc[-1] > 0
    assert (tmp_path / "drawn" / "model.json").read_text() != whole
