"""What is shipped: a checkpoint that reads offline, and a card whose numbers are those that were measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from timnet import config
from timnet.evaluation import matching
from timnet.model import weights

FOLDER = config.REPOSITORY / "checkpoints" / "open-pairs"


def test_the_checkpoint_is_small_enough_to_ship_and_names_the_shipped_encoder():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 30e6
    assert weights.load_timnet(FOLDER)[1].side == 224
    assert not (FOLDER / weights.OWN_ENCODER).exists()


def test_the_cards_numbers_are_those_that_were_measured():
    rows = json.loads((FOLDER / "metrics.json").read_text())["held_out"]
    measured = {(row["label"], row["metric"]): row for row in rows}
    names = {"Precision": "Prec"}
    seen = 0
    for line in (FOLDER / "card.md").read_text().splitlines():
        cells = re.findall(r"(\d\.\d\d) \((\d\.\d\d) to (\d\.\d\d)\)", line)
        if len(cells) != 2:
            continue
        metric = line.split("|")[1].strip()
        for label, cell in zip((matching.ONE, matching.MANY), cells, strict=True):
            row = measured[label, names.get(metric, metric)]
            assert cell == tuple(f"{row[name]:.2f}" for name in ("value", "low", "high"))
            seen += 1
    assert seen == len(measured) == 12


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
