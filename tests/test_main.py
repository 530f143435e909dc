"""The command line: the Reading of the pages, exit status 2 with one sentence, and a run from end to end."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from radiographs import dataset, full_window, quantised, written

from timnet import config, files, legend, settings_file
from timnet.__main__ import main
from timnet.cli import parsing
from timnet.cli.commands import COMMANDS
from timnet.cli.parsing import Unusable
from timnet.films.read import read_film
from timnet.model import weights
from timnet.reader import Reader
from timnet.training import run_names, run_results, runs

CURVE = ["--fractions", "0.5", "--seeds", "1", "--initialisations", "base"]
TINY = ["--side", "48", "--width", "16", "--epochs", "1", "--precision", "fp32"]


@pytest.fixture
def places(tmp_path, monkeypatch, cohort_folder):
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "checkpoints"))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


@pytest.fixture
def timnet(places, networks):
    shutil.copytree(networks / "timnet", places / "checkpoints" / "open")
    return "open"


@pytest.fixture
def film(places):
    path = places / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)).save(path)
    return path


def told(capsys):
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words) -> str:
    assert main(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("timnet: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


def test_match_prints_the_readers_own_number_digit_for_digit(capsys, timnet, film, places):
    words = ["match", str(film), "--findings", "Clear lungs. Normal heart.", "--checkpoint", timnet]
    assert main([*words, "--cam", str(places / "cam.png"), "--json"]) == 0
    answer = told(capsys)
    reading = Reader.load(timnet).read(read_film(film), "Clear lungs. Normal heart.")
    assert answer["match_probability"] == reading.match
    assert [each["sentence"] for each in answer["sentences"]] == ["Clear lungs.", "Normal heart."]
    explained = reading.explained(
        Reader.load(timnet).edited(reading.film, "Clear lungs. Normal heart.").edits
    )
    assert answer["explanation"] == explained.explanation.sentence
    assert answer["film"]["rows"] == 60
    assert answer["film"]["columns"] == 50
    assert answer["film"]["kind"] == "png"
    assert answer["checkpoint"] == "open"
    assert answer["seconds"] > 0
    with Image.open(places / "cam.png") as written:
        assert written.size == legend.picture(reading, "match").size
        margin = 2 * legend.letters(50)
        picture = np.asarray(written)[margin : margin + 60, margin : margin + 50]
        assert (picture == reading.overlay("match")).all()
    assert (answer["cam"]["map"], answer["cam"]["over"]) == ("match", "normal texts")


def test_without_json_a_person_reads_it(capsys, timnet, film):
    assert main(["match", str(film), "--findings", "Clear lungs.", "--checkpoint", timnet]) == 0
    out = capsys.readouterr().out
    assert out.startswith("match probability 0.") and "section read: whole text" in out
    assert "The match rests on sentence 1." in out or "No sentence fits." in out or "Check sentence 1:" in out
    assert config.RESEARCH_USE in out


def test_what_a_reader_should_know_of_a_film_is_in_numbers_and_words(capsys, timnet, film, tmp_path):
    path = tmp_path / "mirrored.dcm"
    path.write_bytes(written(dataset(quantised(12), 12, PatientOrientation=["R", "F"], **full_window(12))))
    words = ["match", "--findings", "Clear lungs.", "--checkpoint", timnet]
    assert main([*words, str(path), "--json"]) == 0
    answer = told(capsys)
    assert answer["sides"] == {"left": "L", "top": "H", "right": "R", "bottom": "F", "stated": True}
    note = "orientation in the file is R\\F, not L\\F: shown as stored, read in the usual hanging"
    assert answer["notes"][0] == note
    assert main([*words, str(path)]) == 0
    assert f"note: {note}" in capsys.readouterr().out.splitlines()
    assert main([*words, str(film), "--json"]) == 0
    answer = told(capsys)
    assert (answer["notes"], answer["sides"]["stated"], answer["sides"]["left"]) == ([], False, "R")


def test_a_match_says_which_section_was_read_or_which_ones_it_found(capsys, timnet, film):
    words = ["match", str(film), "--checkpoint", timnet, "--json", "--findings"]
    assert main([*words, "History: cough. Impresson: Clear lungs."]) == 0
    assert told(capsys)["section_read"] == "impression"
    assert "got only history, technique; write FINDINGS: before what the X-ray shows" in refused(
        capsys, *words, "HISTORY: Cough.\nTECHNIQUE: PA."
    )


def test_import_fine_tune_diagnose_and_list_from_end_to_end(capsys, places, csv_root, film):
    home = places / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMNET_HOME", str(home))
        assert main(["import", "csv", str(csv_root), "--name", "mine", "--labels", "Opacity", "--json"]) == 0
        summary = told(capsys)
        assert (summary["studies"], summary["films"], summary["patients"]) == (120, 120, 60)
        assert set(summary) >= {"labels", "skipped", "splits"}
        words = ["finetune", "mine", "--task", "Opacity", "--fraction", "0.2", "--seed", "1", *TINY, "--json"]
        assert main(words) == 0
        result = told(capsys)
    assert {row["metric"] for row in result["test"]} == {"ACC", "auROC", "Prec", "Recall", "F1", "AP"}
    assert result["settings"]["fraction"] == 0.2
    assert main(["diagnose", str(film), "--checkpoint", result["run"], "--json"]) == 0
    assert list(told(capsys)["probabilities"]) == ["Opacity"]
    assert main(["runs", "--json"]) == 0
    assert [(run["run"], run["state"]) for run in told(capsys)["runs"]] == [(result["run"], "done")]


def test_an_import_ends_with_what_came_in_and_what_was_left_out_and_why(capsys, places, film, monkeypatch):
    monkeypatch.setenv("TIMNET_HOME", str(places / "home"))
    rows = ["path,report,patient,split,sick", "film.png,Clear lungs.,1,train,1", "gone.png,Clear.,2,test,0"]
    (places / "films.csv").write_text("\n".join([*rows, "other.png,Clear.,3,fold7,0"]))
    assert main(["import", "csv", str(places), "--name", "mine", "--labels", "si*", "--sex", "sick"]) == 0
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()[:-1]) == sorted(
        [
            "mine: 1 study of 1 patient, 1 film",
            "studies with findings: 1",
            "films by split: train 1",
            "patients in two splits: 0",
            "films positive by label: sick 1",
            "left out: 2",
            "        1  split is none of train, val, test",
            "        1  film is missing",
            "  such as row 4: split is none of train, val, test",
            "  such as gone.png: film is missing",
        ]
    )
    assert "reading films: 1 of 3, " in err


def test_pretrain_leaves_a_checkpoint_that_matches(capsys, places, film):
    words = ["pretrain", "synthetic", "--out", str(places / "timnet"), "--batch", "56", *TINY, "--json"]
    assert main(words) == 0
    result = told(capsys)
    assert {row["metric"] for row in result["held_out"]} == {"ACC", "auROC", "Prec", "Recall", "F1", "AP"}
    assert main(["match", str(film), "--findings", "Clear.", "--checkpoint", str(places / "timnet")]) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["match", "no.png", "--findings", "x"], "no.png"),
        (["match", "{film}", "--findings", "x", "--checkpoint", "none"], "none: no checkpoint of that name"),
        (["match", "{film}", "--findings", "  ", "--checkpoint", "open"], "findings: expected the text"),
        (
            ["match", "{text}", "--findings", "x", "--checkpoint", "open"],
            "notes.txt: expected a PNG, JPEG or DICOM",
        ),
        (["diagnose", "{film}", "--checkpoint", "open"], "matches X-rays with reports, it reads none alone"),
        (
            ["match", "{film}", "--findings", "x", "--cam", "none/map.png"],
            "cam: expected a file ending in .png",
        ),
        (
            ["match", "{film}", "--findings", "x", "--cam", "map.gif"],
            "cam: expected a file ending in",
        ),
        (["evaluate", "open"], "cohorts: expected at least one cohort, got none"),
        (["calibrate", "open"], "cohorts: expected at least one cohort, got none"),
        (["pretrain"], "cohorts: expected at least one cohort, got none"),
        (
            ["import", "pacs", "x"],
            "import: expected mimic or open_i or nih or chexpert or padchest or vindr or rsna or mendeley or "
            "csv or dicom or demo, got pacs",
        ),
        (
            ["import"],
            "import: expected mimic or open_i or nih or chexpert or padchest or vindr or rsna or mendeley or "
            "csv or dicom or demo, got nothing",
        ),
        (["import", "csv", "nowhere", "--name", "x"], "nowhere"),
        (["import", "mimic", "{folder}"], "mimic_cxr: expected mimic-cxr-2.0.0-metadata.csv.gz in empty"),
        (
            ["import", "open-i", "{folder}"],
            "open_i: expected indiana_reports.csv or a folder ecgen-radiology",
        ),
        (["import", "nih", "{folder}"], "nih: expected Data_Entry_2017_v2020.csv in empty, found none"),
        (["import", "chexpert", "{folder}"], "chexpert: expected train.csv, valid.csv or df_chexpert_plus"),
        (["import", "padchest", "{folder}"], "padchest: expected PADCHEST_chest_x_ray_images_labels_160K"),
        (["import", "vindr", "{folder}"], "vindr: expected annotations/image_labels_train.csv or Kaggle's"),
        (["import", "rsna", "{folder}"], "rsna: expected stage_2_train_labels.csv in empty, found none"),
        (["import", "csv", "{folder}", "--name", "x", "--mapping", "no.toml"], "no.toml: expected a mapping"),
        (["import", "mendeley", "{folder}", "--name", "../x"], "x"),
        (["finetune", "nowhere", "--task", "Opacity"], "nowhere"),
        (["finetune", "synthetic", "--task", "Opacity", "--fraction", "2"], "fraction: expected above 0"),
        (["finetune", "synthetic", "--task", "Gout", "--epochs", "1"], "Gout"),
        (
            ["finetune", "synthetic", "--task", "Opacity", "--initialisation", "nope", *TINY],
            "nope: expected base",
        ),
        (
            ["finetune", "synthetic", "--task", "Opacity", "--backbone", "no-such-network", *TINY],
            "backbone: expected one of",
        ),
        (["pretrain", "synthetic", "--text-encoder", "{folder}", *TINY], "text encoder: expected"),
        (["pretrain", "nowhere", *TINY], "nowhere"),
        (["pretrain", "synthetic", "--start", "nope", *TINY], "start: expected a TIMNet checkpoint"),
        (["pretrain", "synthetic", "--image-weights", "nope", *TINY], "nope: expected base"),
        (["pretrain", "synthetic", "--backbone", "no-such-network", *TINY], "backbone: expected one of"),
        (["curve", "nowhere", "--task", "Opacity", *CURVE, *TINY], "nowhere"),
        (["curve", "synthetic", "--task", "Opacity", *CURVE, "nope", *TINY], "nope: expected base"),
        (["evaluate", "nope", "synthetic"], "nope: no checkpoint"),
        (["calibrate", "nope", "synthetic"], "nope: no checkpoint"),
        (["embed", "nowhere", "--checkpoint", "{timnet}"], "nowhere"),
        (["features", "nowhere"], "nowhere"),
        (["card", "nope"], "nope: no checkpoint"),
        (["export", "nope", "--onnx", "{folder}"], "nope: no checkpoint"),
        (
            ["import", "dicom", "{folder}", "--name", "x", "--reports", "missing.csv"],
            "missing.csv: cannot be read as a table (there is no such file)",
        ),
        (["finetune"], "--task"),
        (["finetune", "synthetic", "--task", "Opacity", "--side", "wide"], "wide"),
        (["match", "{film}", "--findings", "x", "--shell"], "--shell"),
        (["runs-all"], "expected one of"),
        (["run"], "run: expected one run folder"),
    ],
)
def test_bad_input_ends_with_status_2_and_one_sentence(capsys, timnet, film, places, words, sentence):
    (places / "notes.txt").write_text("no film at all")
    (places / "empty").mkdir()
    names = {"{film}": film, "{text}": places / "notes.txt", "{folder}": places / "empty", "{timnet}": timnet}
    before = sorted(places.rglob("*"))
    assert sentence in refused(capsys, *[str(names.get(word, word)) for word in words])
    assert sorted(places.rglob("*")) == before


def test_the_paper_preset_sets_the_numbers_and_other_words_override_them():
    settings, out, as_json, fresh = parsing.training(
        config.Pretrain, ["a", "b", "--preset", "paper", "--side", "224"]
    )
    assert settings == config.Pretrain(
        cohorts=("a", "b"), **{**settings_file.numbers(config.Pretrain, "paper"), "side": 224}
    )
    assert (out, as_json, fresh) == (None, False, False)
    same, *_ = parsing.training(config.Pretrain, ["a", "b", "--preset=paper", "--side", "224"])
    assert same == settings


def test_what_uncertain_labels_count_as_is_a_word_of_finetune():
    settings, *_ = parsing.training(config.Finetune, ["c", "--task", "t", "--uncertain", "per-label"])
    assert (settings.uncertain, config.Finetune(cohort="c", task="t").uncertain) == ("per-label", "ignore")
    with pytest.raises(Unusable, match="twos"):
        parsing.training(config.Finetune, ["c", "--task", "t", "--uncertain", "twos"])


def test_the_surface_of_the_training_commands_is_the_settings():
    with pytest.raises(Unusable, match="--shell"):
        parsing.training(config.Finetune, ["cohort", "--task", "t", "--shell", "rm"])


def test_a_run_from_the_command_line_and_one_submitted_have_the_same_settings_file(places, capsys):
    from timnet.training import run_names, worker

    words = ["synthetic", "--task", "Opacity", "--fraction", "0.1", *TINY]
    settings, *_ = parsing.training(config.Finetune, words)
    assert main(["finetune", *words]) == 0
    capsys.readouterr()
    folder = config.checkpoints() / run_names.folder_name(settings)
    assert (folder / runs.CONFIG).read_text() == settings_file.to_json(settings)
    # The same settings submitted from a page are the same run: nothing starts anew.
    assert worker.submit(settings, config.checkpoints()) == folder
    assert runs.state(folder).name == "done"


def test_a_curve_is_done_once_and_leaves_one_table(places, capsys):
    words = ["curve", "synthetic", "--task", "Opacity", "--fractions", "0.2", "0.1", "--seeds", "1", *TINY]
    assert main([*words, "--json"]) == 0
    made = told(capsys)
    table = pd.read_parquet(made["table"])
    assert table["fraction"].unique().tolist() == [0.1, 0.2]
    assert sorted(table["run"].unique()) == made["runs"] and len(made["runs"]) == 2
    settings, *_ = parsing.training(
        config.Finetune, ["synthetic", "--task", "Opacity", "--fraction", "0.1", *TINY]
    )
    folder = config.checkpoints() / run_names.folder_name(settings)
    measured = {row["metric"]: row["value"] for row in run_results.result(folder)["test"]}
    row = next(row for row in made["curve"] if row["fraction"] == 0.1 and row["metric"] == "auROC")
    assert (row["value"], row["draws"], row["low"]) == (measured["auROC"], 1, None)
    kept = [
        run_results.result(folder)["subgroups"],
        [each for each in made["subgroups"] if each["fraction"] == 0.1],
    ]
    groups = [{(each["kind"], each["group"]): each["images"] for each in rows} for rows in kept]
    assert groups[0] == groups[1] and ("sex", "women") in groups[0]
    written = pd.read_parquet(made["table"].replace(".parquet", "-subgroups.parquet"))
    assert set(written["run"]) == set(made["runs"]) and {"kind", "group", "images"} <= set(written)
    ends = [path.stat().st_mtime_ns for path in config.checkpoints().glob("*/done.json")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "base  10.0%" in said and "base with 10.0% of the labels  sex" in said
    assert [path.stat().st_mtime_ns for path in config.checkpoints().glob("*/done.json")] == ends


def test_a_classifiers_groups_are_kept_for_its_card_and_nothing_else_changes(places, networks, capsys):
    spec = dataclasses.replace(weights.load_classifier(networks / "classifier")[1], labels=("Opacity",))
    folder = places / "checkpoints" / "own"
    weights.save_checkpoint(folder, weights.build_classifier(spec, seed=0), spec)
    (folder / "metrics.json").write_text('{"films": 3, "other": [1]}')
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "metrics.json"}
    assert main(["evaluate", "own", "synthetic", "--json"]) == 0
    made = told(capsys)
    assert json.loads((folder / "metrics.json").read_text()) == {"films": 3, "other": [1]}
    assert main(["evaluate", "own", "synthetic", "--keep"]) == 0
    capsys.readouterr()
    kept = json.loads((folder / "metrics.json").read_text())
    assert kept == {"films": 3, "other": [1], "subgroups": made["subgroups"]} and kept["subgroups"]
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.name in before}
    refused(capsys, "evaluate", "own", "synthetic", "--held-out", "val")
    refused(capsys, "evaluate", "own", "synthetic", "synthetic")


def test_a_curve_of_no_such_task_ends_before_its_first_run(places, capsys):
    assert "Scoliosis" in refused(capsys, "curve", "synthetic", "--task", "Scoliosis")
    assert not list(config.checkpoints().glob("*/config.json"))


@pytest.mark.whole
def test_the_same_command_resumes_a_stopped_run_and_fresh_starts_it_anew(places, capsys, monkeypatch):
    from timnet.training import loop, run_names, worker

    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(loop, "TELL_SECONDS", 0)
    words = ["synthetic", "--task", "Opacity", "--fraction", "0.1", "--batch", "2", *TINY]
    settings, *_ = parsing.training(config.Finetune, words)
    folder = config.checkpoints() / run_names.folder_name(settings)
    write = loop._keep

    def stopping(kept, parts, at, events):
        write(kept, parts, at, events)
        if at.step == 1:
            worker.cancel(folder)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_keep", stopping)
        said = refused(capsys, "finetune", *words)
        assert said == "timnet: stopped on request; the same command goes on where it stopped"
        first = runs.events(folder)
        assert first[first["event"] == "step"]["step"].tolist() == [1]
        said = refused(capsys, "finetune", *words, "--fresh")
        assert runs.events(folder)["event"].tolist().count("started") == 1
    assert main(["finetune", *words]) == 0
    steps = runs.events(folder)[runs.events(folder)["event"] == "step"]
    assert steps["step"].tolist() == list(range(1, int(steps["steps"].iloc[0]) + 1))
    assert runs.events(folder)["event"].tolist().count("started") == 2
    assert not (folder / runs.SNAPSHOTS).exists()


def test_the_module_runs_from_any_folder_and_help_ends_well(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "timnet", "--help"], cwd=config.REPOSITORY, capture_output=True, text=True
    )
    assert ended.returncode == 0
    assert "pretrain" in ended.stdout


def test_a_terminal_that_knows_ascii_alone_gets_the_sentence(tmp_path):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "timnet", "import", "csv", str(tmp_path / "Röntgen"), "--name", "c"]
    ended = subprocess.run(command, cwd=config.REPOSITORY, env=environment, capture_output=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"timnet: ") and b"Traceback" not in ended.stderr


def test_a_very_long_error_is_cut(capsys, monkeypatch):
    def fail(words):
        raise ValueError("what and where " + "x" * 100_000)

    monkeypatch.setitem(COMMANDS, "runs", fail)
    assert main(["runs"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("timnet: what and where xxx") and len(shown) < 700


def test_a_fault_of_our_own_is_one_sentence_too(capsys, monkeypatch):
    def fail(words):
        raise RuntimeError("size mismatch")

    monkeypatch.setitem(COMMANDS, "runs", fail)
    assert main(["runs"]) == 1
    assert (
        capsys.readouterr().err
        == "timnet: unexpected error, TIMNET_DEBUG=1 shows where: RuntimeError: size mismatch\n"
    )
    monkeypatch.setenv("TIMNET_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main(["runs"])


def test_a_command_that_is_asked_to_end_says_so(capsys, monkeypatch):
    def wait(words):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setitem(COMMANDS, "runs", wait)
    assert main(["runs"]) == 143
    assert "stopped by SIGTERM" in capsys.readouterr().err


def test_a_map_that_the_disk_does_not_take_leaves_no_empty_file(capsys, timnet, film, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_whole", full)
    words = ["match", str(film), "--findings", "Clear.", "--checkpoint", str(timnet), "--anyway"]
    assert main([*words, "--cam", str(tmp_path / "map.png")]) == 2
    assert capsys.readouterr().err == "timnet: map.png: No space left on device\n"
    assert not (tmp_path / "map.png").exists()


def test_a_text_typed_in_a_c_locale_is_the_text_that_was_typed(networks, film, capsys):
    text = "Kein Pleuraerguß — möglich."
    words = ["match", str(film), "--findings", text, "--checkpoint", str(networks / "timnet"), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "timnet", *words]
    ended = subprocess.run(
        command,
        cwd=config.REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["match_probability"] == told["match_probability"]


def test_a_name_of_any_length_makes_a_sentence_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "x" * 100_000]) == 2
    assert len(capsys.readouterr().err) < 1000
