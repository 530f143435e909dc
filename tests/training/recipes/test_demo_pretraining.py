"""The demo cohort, pre-trained by the command line and by the page, killed on the way and let go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from streamlit.testing.v1 import AppTest

from timnet import config
from timnet.checkpoints import DESCRIPTION, WEIGHTS
from timnet.training import runs
from timnet.training.events import EVENTS

# Each run is a process of its own that trains.
pytestmark = pytest.mark.whole
SECONDS = "0.5"
"""From one snapshot to the next, so that there is one early on."""
NUMBERS = {"side": 32, "epochs": 1, "tokens": 16, "evaluate_every": 1}


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """Return the folder of the runs; the demo cohort is imported beside it."""
    home, root = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("runs")
    given = {"TIMNET_HOME": str(home), "TIMNET_CHECKPOINTS": str(root), "OMP_NUM_THREADS": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        subprocess.run([sys.executable, "-m", "timnet", "import", "demo"], cwd=config.REPOSITORY, check=True)
        yield root


def command(folder):
    """Return the command line of the run, into a folder."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in NUMBERS.items()]
    return [sys.executable, "-m", "timnet", "pretrain", "demo", *words, "--precision=fp32", f"--out={folder}"]


def kept(folder):
    """Say whether a run has taken a snapshot."""
    return (folder / EVENTS).exists() and '"event": "snapshot"' in (folder / EVENTS).read_text()


def killed(process, folder):
    """Kill a run's process once it has taken a snapshot, and return how the run stands."""
    deadline = time.monotonic() + 600
    while process.poll() is None and not kept(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return runs.state(folder)


@pytest.fixture(scope="module")
def whole(surroundings):
    """The run that nothing stopped."""
    folder = surroundings / "whole"
    subprocess.run(command(folder), cwd=config.REPOSITORY, check=True)
    return folder


def same(folder, whole):
    """Compare what was trained and what was measured of it."""
    for name in (WEIGHTS, DESCRIPTION, runs.RESULT):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def test_killed_on_the_command_line_it_goes_on_with_the_same_command_and_ends_the_same(
    surroundings, whole, monkeypatch
):
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", SECONDS)
    folder = surroundings / "killed"
    state = killed(subprocess.Popen(command(folder), cwd=config.REPOSITORY), folder)
    assert (state.name, state.resumable) == ("lost", True)
    subprocess.run(command(folder), cwd=config.REPOSITORY, check=True)
    same(folder, whole)


def test_started_on_the_page_killed_and_resumed_it_ends_the_same_and_is_there_to_use(
    surroundings, whole, monkeypatch
):
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", SECONDS)
    started, popen = [], subprocess.Popen

    def recorded(*words, **options):
        started.append(popen(*words, **options))
        return started[-1]

    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    app = app.switch_page("pages/fine_tune.py").run()
    app.button_group(key="ft_learn").set_value("reports").run()
    for name in ("side", "epochs", "tokens"):
        app.number_input(key=f"pt_{name}_small").set_value(NUMBERS[name])
    app.number_input(key="pt_evaluate_every_small").set_value(NUMBERS["evaluate_every"])
    app.selectbox(key="pt_precision_small").select("fp32").run()
    monkeypatch.setattr(subprocess, "Popen", recorded)
    app.button(key="pt_start").click().run()
    assert not app.exception and not app.error
    folder = surroundings / app.selectbox(key="ft_run").value
    state = killed(started[-1], folder)
    assert (state.name, state.resumable) == ("lost", True)
    app.run().button(key="ft_resume").click().run()
    assert started[-1].wait(timeout=600) == 0
    same(folder, whole)
    app.run()
    assert "Done: learned from 406 X-rays" in app.success[0].value
    app.button_group(key="ft_learn").set_value("labels").run()
    assert f"{folder.name} (learned from reports)" in app.selectbox(key="ft_initialisation").options
    app = app.switch_page("pages/match.py").run()
    options = app.selectbox(key="match_network").options
    assert any(each.startswith(f"{folder.name} · ") for each in options), options
