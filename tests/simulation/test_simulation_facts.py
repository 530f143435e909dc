"""What is drawn: shares, company and contradictions, counted over thousands of cases."""

import numpy as np
import pytest

from timnet.simulation import facts


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    return [facts.draw(rng) for _ in range(4000)]


def test_about_two_in_five_are_normal(cases):
    normal = np.mean([facts.labels(case.findings)["no_finding"] for case in cases])
    assert 0.36 < normal < 0.44  # 0.4 within five standard errors


def test_every_kind_side_and_device_occurs(cases):
    found = [finding for case in cases for finding in case.findings]
    assert {finding.kind for finding in found} == set(facts.KINDS)
    assert {finding.variant for finding in found if finding.kind == "support_devices"} == set(facts.DEVICES)
    for kind in ("consolidation", "nodule", "mass", "pneumothorax", "fracture", "atelectasis"):
        sides = [finding.side for finding in found if finding.kind == kind]
        assert set(sides) == {"right", "left"}
    places = {(f.side, f.place) for f in found if f.kind == "consolidation"}
    assert places == {(side, lobe) for side, lobes in facts.LOBES.items() for lobe in lobes}


def test_nothing_contradicts_itself(cases):
    for case in cases:
        kinds = [finding.kind for finding in case.findings]
        assert not {"edema", "emphysema"} <= set(kinds)
        assert kinds.count("cardiomegaly") <= 1 and kinds.count("edema") <= 1
        places = [(f.side, f.place) for f in case.findings if f.kind in ("consolidation", "mass", "nodule")]
        assert len(places) == len(set(places))
        air = {f.side for f in case.findings if f.kind == "pneumothorax"}
        fluid = {f.side for f in case.findings if f.kind == "pleural_effusion"}
        assert not air or not fluid & (air | {"both"})


def test_tubes_are_on_bedside_films(cases):
    for case in cases:
        bedside = {"endotracheal_tube", "enteric_tube", "central_line"}
        if bedside & {finding.variant for finding in case.findings}:
            assert case.view == "AP"


def test_oedema_brings_large_hearts(cases):
    def share(chosen):
        return np.mean([any(f.kind == "cardiomegaly" for f in case.findings) for case in chosen])

    with_edema = [case for case in cases if any(f.kind == "edema" for f in case.findings)]
    without = [case for case in cases if not any(f.kind == "edema" for f in case.findings)]
    assert share(with_edema) > 2 * share(without)


def test_labels_name_every_kind():
    values = facts.labels((facts.Finding("nodule", "left", "mid zone", 1, 12.0),))
    assert values["nodule"] == 1 and values["no_finding"] == 0 and sum(values.values()) == 1
    device = facts.labels((facts.Finding("support_devices", variant="pacemaker"),))
    assert device["support_devices"] == 1 and device["no_finding"] == 1
    assert set(values) == {*facts.KINDS, "no_finding"}
