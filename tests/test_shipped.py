"""What is shipped: checkpoints that read offline, cards whose numbers were measured, demo films in bounds."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest

from timnet import cards, config, performance
from timnet.__main__ import main
from timnet.checkpoints import OWN_ENCODER
from timnet.cohorts import records as store
from timnet.cohorts.readers import demo
from timnet.model import weights
from timnet.simulation.facts import KINDS

CHECKPOINTS = config.REPOSITORY / "checkpoints"
MATCHING, FINDINGS = CHECKPOINTS / config.SHIPPED, CHECKPOINTS / "demo-findings"


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_checkpoints_are_small_enough_to_ship_and_name_the_shipped_encoder():
    assert size(MATCHING) < 30e6 and size(FINDINGS) < 25e6
    weights.load_timnet(MATCHING)
    assert not (MATCHING / OWN_ENCODER).exists()
    assert "pleural_effusion" in weights.load_classifier(FINDINGS)[1].labels


SHIPPED = sorted(path.parent for path in CHECKPOINTS.glob("*/card.json"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_card_md_is_what_the_command_makes_of_the_fields(folder, capsys):
    assert main(["card", str(folder), "--check"]) == 0
    written = (folder / "card.md").read_text()
    assert performance.trust(cards.read(folder)) in written.replace("\\", "")
    assert folder.name in capsys.readouterr().out


def test_a_card_that_was_edited_by_hand_is_named(tmp_path, capsys):
    for name in ("card.json", "card.md", "model.json", "config.json", "metrics.json", "calibration.json"):
        shutil.copy(FINDINGS / name, tmp_path / name)
    (tmp_path / "model.safetensors").touch()
    assert main(["card", str(tmp_path)]) == 0
    assert main(["card", str(tmp_path), "--check"]) == 0
    (tmp_path / "card.md").write_text("It is wonderful.")
    assert main(["card", str(tmp_path), "--check"]) == 2
    assert "card.md differs from its card.json" in capsys.readouterr().err


def test_the_cards_own_results_are_those_of_the_run(capsys):
    """Results that card.json repeats from metrics.json are the same numbers."""
    told = json.loads((MATCHING / "metrics.json").read_text())
    measured = {
        tuple(round(row[name], 6) for name in ("value", "low", "high"))
        for table in told.values()
        if isinstance(table, list)
        for row in table
        if row.get("low") is not None
    }
    results = cards.read(MATCHING).results
    here = [each for each in results if not each.dataset.startswith("Open-i")]
    assert len(here) >= 4
    assert {(each.value, each.low, each.high) for each in here} <= measured


def test_the_demo_films_are_within_their_bounds_and_belong_together():
    assert size(config.DEMO) < 12e6
    truth = demo.truth(config.DEMO)
    with (config.DEMO / demo.TABLE).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["study"] for row in rows}) == 600
    assert {row["path"] for row in rows} == set(truth)
    patients = {split: {row["patient"] for row in rows if row["split"] == split} for split in store.SPLITS}
    assert not patients["train"] & patients["test"] and not patients["train"] & patients["val"]
    for row in rows:
        placed = truth[row["path"]].findings
        for kind in KINDS:
            assert float(row[kind]) == float(kind in {finding.kind for finding in placed})
    assert 0.35 < sum(row["no_finding"] == "1" for row in rows) / len(rows) < 0.47


@pytest.mark.whole
def test_it_matches_with_the_network_cut_off(csv_root):
    """Sockets are forbidden in the process; the film and the words are all it needs."""
    code = """
import socket, sys
def refused(*given, **options):
    raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from timnet.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    film = csv_root / "films" / "000.png"
    ended = subprocess.run(
        [sys.executable, "-c", code, "match", str(film), "--findings", "Clear lungs.", "--json"],
        cwd=config.REPOSITORY,
        env={**os.environ, "TIMNET_CHECKPOINTS": str(config.REPOSITORY / "checkpoints")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert 0 < json.loads(ended.stdout)["match_probability"] < 1
