"""Many X-rays into one table: the numbers of each alone, a row a refusal, the same table after a kill."""

from __future__ import annotations

import csv
import io
import json
import signal

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from radiographs import dataset, full_window, written

from timnet import batch, config
from timnet.__main__ import main
from timnet.cohorts import listed
from timnet.cohorts.store import Cohort
from timnet.films import sandbox
from timnet.films.read import read_film
from timnet.reader import Reader

TEXTS = ["Clear lungs.", "There is an opacity in the left lung. Normal heart.", "FINDINGS: Small effusion."]


def png(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def places(tmp_path, monkeypatch, cohort_folder, networks):
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(networks))
    monkeypatch.setattr(batch, "BATCH", 2)
    return tmp_path


@pytest.fixture
def folder(places):
    """Five X-rays, two of them below, a text, a damaged file, and a hidden one."""
    root = places / "films"
    (root / "b").mkdir(parents=True)
    for seed, name in enumerate(("a1.png", "a2.png", "b/c.png", "b/d.png", "e.png")):
        (root / name).write_bytes(png(seed))
    (root / "damaged.png").write_bytes(png(9)[:400])
    (root / "notes.pdf").write_bytes(b"%PDF-1.7")
    (root / ".hidden.png").write_bytes(png(8))
    return root


def read(path):
    return pd.read_csv(path, keep_default_na=False, na_values={batch.MATCH: "", "Effusion": "", "Edema": ""})


def test_a_folder_is_diagnosed_as_each_x_ray_alone_and_what_is_none_is_a_row(capsys, folder, networks):
    out = folder.parent / "out.csv"
    assert main(["diagnose", str(folder), "--checkpoint", "classifier", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": "out.csv", "x_rays": 7, "refused": 2, "resumed": 0}
    table = read(out)
    assert table["film"].tolist() == [
        "a1.png", "a2.png", "b/c.png", "b/d.png", "damaged.png", "e.png", "notes.pdf",
    ]  # fmt: skip
    reader = Reader.load("classifier")
    for row in table.to_dict("records"):
        if row["film"] in ("damaged.png", "notes.pdf"):
            assert row["refused"].startswith(row["film"] + ": ") and np.isnan(row["Effusion"])
            continue
        reading = reader.read(folder / row["film"])
        for label in reading.probabilities:
            assert row[label] == pytest.approx(reading.probabilities[label], abs=1e-4)
            assert row[f"{label}: word"] == reading.verdict(label)
        assert (row["film sha256"], row["refused"]) == (reading.film.sha256, "")
    assert set(table["weights sha256"]) == {reader.weights_sha256}
    assert set(table["note"]) == {config.RESEARCH_USE}
    assert [path.name for path in folder.parent.iterdir() if "out" in path.name] == ["out.csv"]


def test_a_list_is_matched_row_by_row_and_a_bad_row_is_named(folder):
    rows = [["a1.png", TEXTS[0]], ["b/c.png", TEXTS[1]], ["gone.png", TEXTS[0]], ["e.png", " "],
            ["", TEXTS[0]], ["a2.png", TEXTS[2]]]  # fmt: skip
    for suffix in (".csv", ".jsonl", ".parquet"):
        with (folder / "list.csv").open("w", newline="") as file:
            csv.writer(file, delimiter=";").writerows([["image", "report"], *rows])
        out = folder.parent / f"out{suffix}"
        assert main(["match", str(folder / "list.csv"), "--checkpoint", "timnet", "--out", str(out)]) == 0
        made = {
            ".csv": read,
            ".jsonl": lambda path: pd.read_json(path, lines=True),
            ".parquet": pd.read_parquet,
        }[suffix](out)
        reader = Reader.load("timnet")
        expected = [
            reader.read(folder / name, text).match if at in (0, 1, 5) else np.nan
            for at, (name, text) in enumerate(rows)
        ]
        np.testing.assert_allclose(made[batch.MATCH], expected, atol=1e-4)
        assert made["film"].tolist() == ["a1.png", "b/c.png", "gone.png", "e.png", "row 6", "a2.png"]
        assert made["section read"][5] == "findings"
        assert "there is no such file" in made["refused"][2]
        assert "findings: expected the text" in made["refused"][3]
        assert made["refused"][4] == "row 6: no X-ray in the row"


def test_findings_may_be_a_file_an_x_ray(folder):
    (folder / "t.txt").write_text(TEXTS[1])
    (folder / "a1.txt").write_text(TEXTS[1])
    (folder / "list.csv").write_text("path,findings_file\na1.png,t.txt\na2.png,none.txt\n")
    expected = Reader.load("timnet").read(folder / "a1.png", TEXTS[1]).match
    for source in (folder / "list.csv", folder):
        out = folder.parent / "out.csv"
        assert main(["match", str(source), "--checkpoint", "timnet", "--out", str(out)]) == 0
        table = read(out).set_index("film")
        assert table[batch.MATCH]["a1.png"] == pytest.approx(expected, abs=1e-4)
        assert table["refused"]["a2.png"]
        assert "a1.txt" not in table.index


def test_a_cohort_is_read_by_its_name_with_its_own_findings_and_no_word_of_them(places):
    out = places / "out.jsonl"
    assert main(["match", "synthetic", "--checkpoint", "timnet", "--out", str(out)]) == 0
    told = out.read_text()
    rows = [json.loads(line) for line in told.splitlines()]
    with Cohort.open("synthetic") as cohort:
        films = cohort.films()
        reader = Reader.load("timnet")
        for at in (0, 50, 119):
            expected = reader.read(cohort.read_film(at), films["findings"][at]).match
            assert rows[at]["film"] == f"{films['study'][at]}, X-ray {at}"
            assert rows[at][batch.MATCH] == pytest.approx(expected, abs=1e-4)
    assert len(rows) == 120 and {row["cohort"] for row in rows} == {"synthetic"}
    for word in ("opacity", "lungs", "patient"):
        assert word not in told


def test_names_in_a_file_are_not_in_the_table(places):
    made = dataset(np.arange(4800, dtype=np.uint16).reshape(60, 80), 12, **full_window(12))
    made.PatientName, made.PatientID, made.AccessionNumber = "Doe^Jane", "P777", "A888"
    (places / "x").mkdir()
    (places / "x" / "1.dcm").write_bytes(written(made))
    out = places / "out.jsonl"
    words = ["--checkpoint", "timnet", "--out", str(out)]
    assert main(["match", str(places / "x"), "--findings", "Mrs. Roe has clear lungs.", *words]) == 0
    told = out.read_text()
    assert json.loads(told)["refused"] == "" and json.loads(told)[batch.MATCH] is not None
    for name in ("Doe", "Jane", "P777", "A888", "Roe"):
        assert name not in told


@pytest.mark.parametrize("torn", ["", '{"numbers": [0.1'])
def test_a_run_that_is_stopped_goes_on_and_ends_with_the_same_table(folder, networks, monkeypatch, torn):
    listing, reader = listed.of(folder, None, False), Reader.load("classifier")
    whole, out = folder.parent / "whole.csv", folder.parent / "out.csv"
    batch.run(listing, reader, whole, matched=False)
    seen = []

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.run(listing, reader, out, matched=False, progress=stop)
    assert not out.exists()
    part = folder.parent / "out.csv.part"
    with part.open("a") as file:
        file.write(torn)
    taken = sandbox.read_row
    monkeypatch.setattr(sandbox, "read_row", lambda data, **rest: seen.append(data) or taken(data, **rest))
    told = []
    summary = batch.run(listing, reader, out, matched=False, progress=lambda *done: told.append(done))
    assert (summary.resumed, summary.xrays, summary.refused) == (4, 7, 2)
    assert len(seen) == 3 and told == [(2, 3), (3, 3)]
    assert out.read_bytes() == whole.read_bytes()
    assert not part.exists()


def test_a_part_of_another_request_is_not_gone_on_with(folder):
    listing, reader = listed.of(folder, None, False), Reader.load("classifier")
    out = folder.parent / "out.csv"
    part = folder.parent / "out.csv.part"
    part.write_text("another\n")
    with pytest.raises(batch.BatchError, match="got that of another"):
        batch.run(listing, reader, out, matched=False)
    assert part.read_text() == "another\n" and not out.exists()


def test_a_decoder_that_crashes_costs_one_row(folder, monkeypatch):
    listing, reader = listed.of(folder, None, False), Reader.load("classifier")
    ask, fatal = sandbox._ask, (folder / "b/c.png").read_bytes()

    def crash(child, name, data, request):
        if data == fatal:
            child.send_signal(signal.SIGSEGV)
        return ask(child, name, data, request)

    monkeypatch.setattr(sandbox, "_ask", crash)
    batch.run(listing, reader, folder.parent / "out.csv", matched=False)
    table = read(folder.parent / "out.csv").set_index("film")
    assert "its decoder crashed" in table["refused"]["b/c.png"]
    assert (table["refused"] != "").sum() == 3


def test_what_is_no_frontal_chest_x_ray_is_refused_and_read_anyway(folder, monkeypatch):
    monkeypatch.setenv("TIMNET_REFUSE", "doubtful")
    listing, reader = listed.of(folder / "a1.png", None, False), Reader.load("classifier")
    out = folder.parent / "out.csv"
    batch.run(listing, reader, out, matched=False)
    row = read(out).iloc[0]
    doubt = reader.see(folder / "a1.png").doubt
    assert doubt and (row["refused"], row["doubt"]) == (f"a1.png: {doubt}", doubt)
    batch.run(listing, reader, out, matched=False, anyway=True, invert=True)
    row = read(out).iloc[0]
    expected = reader.read(read_film(folder / "a1.png", invert=True))
    assert (row["refused"], row["doubt"]) == ("", expected.doubt)
    assert row["Edema"] == pytest.approx(expected.probabilities["Edema"], abs=1e-4)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["diagnose", "{folder}"], "out: expected --out FILE.csv, .parquet or .jsonl"),
        (["diagnose", "synthetic"], "out: expected --out FILE.csv, .parquet or .jsonl"),
        (["diagnose", "{folder}", "--out", "{at}/x.xlsx"], "out: expected a file ending in .csv"),
        (["diagnose", "{folder}", "--out", "{at}/no/x.csv"], "in a folder that exists"),
        (["diagnose", "nowhere", "--out", "{at}/x.csv"], "cohort: expected a folder of a cohort or one of"),
        (["diagnose", "{at}/none", "--out", "{at}/x.csv"], "none: expected X-rays, got none"),
        (["diagnose", "{at}/bad.csv", "--out", "{at}/x.csv"], "bad.csv: expected a header"),
        (["diagnose", "{at}/odd.csv", "--out", "{at}/x.csv"], "expected a column of X-rays among a, b"),
        (["match", "{at}/odd.csv", "--film-column", "a", "--out", "{at}/x.csv"], "a column of the findings"),
        (
            ["diagnose", "{at}/odd.csv", "--film-column", "c", "--out", "{at}/x.csv"],
            "odd.csv: film: expected a column among a, b; got 'c'",
        ),
        (["match", "{folder}", "--out", "{at}/x.csv", "--checkpoint", "classifier"], "is a classifier"),
        (["diagnose", "{folder}", "--out", "{at}/x.csv", "--checkpoint", "timnet"], "it reads none alone"),
        (["diagnose", "{folder}", "--out", "{at}/x.csv", "--cam", "x.png"], "cam: expected one X-ray"),
        (["match", "{folder}/a1.png"], "findings: expected --findings TEXT, got none"),
    ],
)
def test_what_cannot_be_asked_ends_with_one_sentence_and_leaves_nothing(capsys, folder, words, sentence):
    at = folder.parent
    (at / "none").mkdir()
    (at / "bad.csv").write_text("")
    (at / "odd.csv").write_text("a,b\n1,2\n")
    before = sorted(at.rglob("*"))
    network = "timnet" if words[0] == "match" else "classifier"
    checkpoint = [] if "--checkpoint" in words else ["--checkpoint", network]
    assert main([word.format(folder=folder, at=at) for word in words] + checkpoint) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("timnet: ")]
    assert len(told) == 1 and sentence in told[0]
    assert sorted(at.rglob("*")) == before


def test_a_table_that_another_command_writes_is_left_to_it(folder):
    listing, reader = listed.of(folder, None, False), Reader.load("classifier")
    out = folder.parent / "out.csv"

    def second(done, total):
        with pytest.raises(batch.BatchError, match="another command is writing it"):
            batch.run(listing, reader, out, matched=False)

    batch.run(listing, reader, out, matched=False, progress=second)
    assert len(read(out)) == 7
