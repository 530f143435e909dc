"""Events: a log of JSON lines, told at a bearable pace."""

from __future__ import annotations

import json

from timnet.training import events


def test_events_of_a_phase_come_at_most_twice_a_second_but_always_its_end(tmp_path):
    told = []
    progress = events.Events(tmp_path, told.append).phase("reading films")
    for done in range(1, 1001):
        progress(done, 1000)
    assert len(told) < 20
    assert told[-1]["done"] == 1000


def test_metrics_are_valid_json_lines(tmp_path):
    log = events.Events(tmp_path)
    log.append("started")
    log.append("step", loss=0.5)
    first, second = map(json.loads, (tmp_path / events.EVENTS).read_text().splitlines())
    assert first["event"] == "started"
    assert second["loss"] == 0.5
    assert 0 <= first["seconds"] <= second["seconds"]
