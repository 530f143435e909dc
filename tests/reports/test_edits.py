"""Counterfactual findings: one thing changes, the rest stays word for word, sides swap and swap back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timnet.reports import edits, report_text
from timnet.reports.edits import EditError, mirrored, swapped

TEXT = "The heart is enlarged. Small left effusion. Right lung is clear, with scars. No pneumothorax."


def test_sides_are_swapped_with_their_case() -> None:
    assert mirrored("LEFT lung, Right-sided line, rightward; bright. RLL and LUL.") == (
        "RIGHT lung, Left-sided line, leftward; bright. LLL and RUL."
    )
    assert mirrored("The tube was left in place.") == "The tube was left in place."


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Rt. effusion. Left lung clear.", "Lt. effusion. Right lung clear."),
        ("R>L effusions, (L) scar.", "L>R effusions, (R) scar."),
        (
            "L basal opacity, R-sided line, right base clear.",
            "R basal opacity, L-sided line, left base clear.",
        ),
        ("RIJ line. LT BASE CLEAR.", "LIJ line. RT BASE CLEAR."),
    ],
)
def test_sides_in_short_are_swapped_with_those_in_words(text: str, other: str) -> None:
    assert swapped(text) == other
    assert edits.misplaced("Rt effusion. Left effusion.") is None
    assert edits.misplaced("R effusion.") == "L effusion."


def test_letters_that_name_no_side_stay() -> None:
    text = "L1 fracture, 2 L of oxygen, R/O mass, L spine and L-spine, &lt;3 cm."
    assert mirrored(text) == text
    with pytest.raises(EditError, match=r"rt middle lobe.* no counterpart"):
        swapped("Opacity in the rt middle lobe.")


SIDES = [
    "left",
    "Left",
    "Lt.",
    "R",
    "right",
    "Right",
    "RIGHT",
    "leftward",
    "Right-sided",
    "RLL",
    "LLL",
    "rul",
]
MIXED = st.lists(
    st.sampled_from([*SIDES, "LEFT", "bright", "lung", ",", ". ", "in place", "\n", "___", "écho"])
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(MIXED)
def test_swapping_the_sides_twice_gives_the_text_back(text: str) -> None:
    assert mirrored(mirrored(text)) == text
    assert len(mirrored(text).split()) == len(text.split())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The heart is enlarged.", "no side"),
        ("Opacity in the right middle lobe.", "right middle lobe.* no counterpart"),
        ("The line ends in the right atrium.", "right atrium.* no counterpart"),
        ("Left effusion and lingular opacity.", "lingular.* no counterpart"),
    ],
)
def test_a_side_without_a_counterpart_is_not_swapped(text: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        swapped(text)


def test_every_sentence_is_left_out_denied_and_swapped_where_that_is_honest() -> None:
    made, refused = edits.every(TEXT)
    assert [edit.name for edit in made] == [
        "remove 1", "negate 1",
        "remove 2", "negate 2", "swap 2",
        "remove 3", "swap 3",
        "remove 4", "negate 4",
        "swap",
    ]  # fmt: skip
    by_name = {edit.name: edit for edit in made}
    assert by_name["remove 2"].text == TEXT.replace("Small left effusion. ", "")
    assert by_name["negate 2"].text == TEXT.replace("Small", "No small")
    assert by_name["swap 2"].text == TEXT.replace("left", "right")
    assert by_name["swap"].text == mirrored(TEXT)
    assert [(refusal.kind, refusal.sentence) for refusal in refused] == [("negate", 2)]


def test_the_only_sentence_is_not_left_out_and_its_swap_is_the_texts() -> None:
    made, _ = edits.every("Small left effusion.")
    assert [edit.name for edit in made] == ["negate 1", "swap 1"]
    assert [edit.text for edit in made] == ["No small left effusion.", "Small right effusion."]


def test_a_text_without_findings_has_no_edits() -> None:
    assert edits.every("") == edits.every(" \n") == ([], [])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(report_text.sentences(TEXT)), max_size=edits.MOST + 5).map(" ".join))
def test_an_edit_changes_one_sentence_and_keeps_the_others(text: str) -> None:
    told = report_text.sentences(text)
    made, refused = edits.every(text)
    assert len({edit.name for edit in made}) == len(made)
    for edit in made:
        assert edit.text != text
        if edit.sentence is None:
            continue
        assert edit.before == told[edit.sentence] and edit.sentence < edits.MOST
        around = [told[: edit.sentence], told[edit.sentence + 1 :]]
        assert edit.text == " ".join([*around[0], *([edit.after] if edit.after else []), *around[1]])
    assert all(refusal.reason and refusal.before for refusal in refused)


@pytest.mark.parametrize(
    ("findings", "is_wrong_when_swapped"),
    [
        ("Small right effusion. Left effusion.", False),
        ("Right effusion. Left effusion.", False),
        ("There is a right pleural effusion. A left effusion is also seen.", False),
        ("Bilateral effusions. Right effusion.", False),
        ("Right and left effusion. Left effusion.", False),
        ("RLL opacity. LLL opacity.", False),
        ("Left effusion. Right effusion. The heart is large.", False),
        ("Right effusion. No left effusion.", True),
        ("Large right effusion. Small left effusion.", True),
        ("Right effusion. Left pneumothorax.", True),
        ("Right effusion. Left effusion. Left rib fracture.", True),
        ("Right upper opacity. Left lower opacity.", True),
        ("Small left effusion.", True),
        ("No left effusion.", False),
    ],
)
def test_swapped_sides_are_wrong_only_where_the_other_side_has_not_the_same(
    findings: str, is_wrong_when_swapped: bool
) -> None:
    assert edits.misplaced(findings) == (mirrored(findings) if is_wrong_when_swapped else None)


@given(
    st.sampled_from(["effusion", "rib fracture", "upper lobe mass"]),
    st.sampled_from(["Small ", "Large ", ""]),
)
def test_what_lies_on_either_side_alike_is_never_misplaced(finding: str, size: str) -> None:
    one = f"{size}left {finding}.".capitalize()
    assert edits.misplaced(f"{one} {mirrored(one)}") is None
    assert edits.misplaced(one) == mirrored(one)
