"""What a network is worth stands beside its number, and the default network is the recommended one."""

import json
import os
import shutil
from pathlib import Path

import pytest
from driving import TEXT, open_at, png

from timnet import cards, config, performance, settings_file
from timnet.__main__ import main
from timnet.checkpoints import weights_sha256
from timnet.evaluation.calibration import record
from timnet.evaluation.calibration.probability import Line
from timnet.evaluation.calibration.record import Certainty
from timnet.training import run_names
from timnet.ui import checkpoints

MEASURED = {
    "dataset": "Theirs", "real": True, "external": True, "value": 0.55, "low": 0.53, "high": 0.57,
    "images": 735, "command": "python -m timnet evaluate old theirs",
}  # fmt: skip
SENTENCE = "On real X-rays (Theirs, 735 X-rays): auROC 0.55 (0.53 to 0.57), little better than chance."


@pytest.fixture
def root(tmp_path: Path, networks: Path, cohort_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints of each kind: an old one that its card recommends, and a newer run at chance."""
    for kind, task, label in (
        ("timnet", "match real X-rays", ""),
        ("classifier", "findings, adults", "Edema"),
    ):
        for name in ("old", "new"):
            shutil.copytree(networks / kind, tmp_path / "nets" / f"{name}-{kind}")
        old, new = (tmp_path / "nets" / f"{name}-{kind}" for name in ("old", "new"))
        card = {"format": 1, "summary": "s", "trained_on": [], "recommended_for": [task]}
        (old / cards.FILE).write_text(json.dumps(card | {"results": [MEASURED | {"label": label}]}))
        row = {
            "label": "1 mismatched report a film",
            "metric": "auROC",
            "value": 0.5,
            "low": 0.45,
            "high": 0.55,
        }
        (new / cards.METRICS).write_text(json.dumps({"held_out": [row], "pairs_held_out": 40}))
        (new / "config.json").write_text(settings_file.to_json(config.Pretrain(cohorts=("mine",))))
        for path in old.iterdir():
            os.utime(path, (1e9, 1e9))
    monkeypatch.setenv("TIMNET_HOME", str(cohort_folder.parent))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "nets"))
    return tmp_path / "nets"


def test_the_recommended_network_comes_first_and_one_at_chance_is_marked(root: Path) -> None:
    first, second = checkpoints.listed("timnet")
    assert (first.name, second.title) == ("old-timnet", "new-timnet · at chance on its own held-out pairs")
    assert checkpoints.listed("classifier")[0].name == "old-classifier"
    assert performance.recommended(root, performance.MATCH) == "old-timnet"
    assert performance.recommended(root, performance.DIAGNOSE) == "old-classifier"
    assert performance.recommended(root, ("initial weights",)) is None


def test_a_classifier_with_a_name_of_its_own_is_offered_by_it_and_another_by_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = config.REPOSITORY / "checkpoints" / "chest-findings"
    settings = settings_file.from_json((shipped / "config.json").read_text())
    for name in ("ours", run_names.folder_name(settings)):
        shutil.copytree(shipped, tmp_path / name)
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path))
    titles = {each.name: each.title for each in checkpoints.listed("classifier")}
    assert titles.pop("ours") == "ours"
    (by_settings,) = titles.values()
    assert by_settings.startswith("all · nih · 100 % of labels · ")


@pytest.mark.parametrize("page", ["match", "diagnose"])
def test_the_sentence_stands_beside_the_number(root: Path, page: str) -> None:
    app = open_at(page)
    app.file_uploader(key=f"{page}_upload").upload("film.png", png(), "image/png").run()
    if page == "match":
        app.text_area(key="match_findings").set_value(TEXT)
        app.button(key="match_go").click().run()
    assert not app.exception and not app.error
    said = [each.value.replace("\\", "") for each in app.markdown]
    assert sum(SENTENCE in each for each in said) == 1
    if page == "diagnose":
        table = app.dataframe[0].value.set_index("label")["worth"]
        assert dict(table) == {
            "Effusion": "not measured", "Edema": "0.55 (0.53 to 0.57), little better than chance",
        }  # fmt: skip
    app.selectbox(key=f"{page}_network").select(f"new-{'timnet' if page == 'match' else 'classifier'}").run()
    said = [each.value.replace("\\", "") for each in app.markdown]
    assert any("Never measured on real X-rays." in each and performance.AT_CHANCE in each for each in said)


def test_a_label_that_was_weak_on_real_x_rays_is_not_sure_whatever_its_number(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root / "old-classifier"
    lines = dict.fromkeys(("Effusion", "Edema"), Line(0.5, low=0.0, high=0.0, threshold=0.0, positives=9))
    record.keep(folder, Certainty(weights_sha256(folder), "here", "there", "so", lines))
    why = "Not sure whatever the number: Edema (auROC on real X-rays below 0.7, or possibly below 0.6)."
    film = tmp_path / "film.png"
    film.write_bytes(png())
    words = ["diagnose", str(film), "--checkpoint", "old-classifier"]
    assert main(words) == 0
    assert why in capsys.readouterr().out.splitlines()
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdicts"] == {"Effusion": "likely", "Edema": "not sure"}
    assert told["verdicts_too_weak"] == why
    app = open_at("diagnose")
    app.file_uploader(key="diagnose_upload").upload("film.png", png(), "image/png").run()
    assert dict(app.dataframe[0].value.set_index("label")["in words"]) == told["verdicts"]
    assert app.dataframe[0].value["not sure"].tolist() == ["none", "all"]
    assert why in [each.value.replace("\\", "") for each in app.caption]


@pytest.mark.parametrize(
    ("low", "value", "weak"), [(0.61, 0.69, True), (0.59, 0.8, True), (None, 0.7, False), (0.6, 0.7, False)]
)
def test_a_word_needs_an_auroc_of_seven_tenths_and_surely_of_six(low, value, weak) -> None:
    told = MEASURED | {"label": "Edema", "value": value, "low": low, "high": low and 0.9}
    card = cards.Card(format=1, summary="s", trained_on=(), results=(cards.Result(**told),))
    assert performance.too_weak(card, "Edema") is weak
    assert not performance.too_weak(card, "Effusion")


def test_the_command_line_says_it_in_words_and_in_json(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(png())
    for words in (["match", str(film), "--findings", TEXT, "--checkpoint", "old-timnet"],
                  ["diagnose", str(film), "--checkpoint", "old-classifier"]):  # fmt: skip
        assert main(words) == 0
        assert SENTENCE in capsys.readouterr().out.splitlines()[:2]
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["trust"] == SENTENCE


def test_a_damaged_card_is_one_sentence_on_page_and_command_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "old-timnet" / cards.FILE).write_text("[" * 100_000)
    film = tmp_path / "film.png"
    film.write_bytes(png())
    assert main(["match", str(film), "--findings", TEXT, "--checkpoint", "old-timnet"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("timnet: old-timnet/card.json: ") and told.count("\n") == 1
    app = open_at("card")
    app.selectbox(key="card_network").select("old-timnet").run()
    assert not app.exception and "card.json" in app.error[0].value.replace("\\", "")


def test_a_foreign_card_md_is_shown_nowhere(root: Path) -> None:
    (root / "old-timnet" / "card.md").write_text("![x](http://evil.example/a.png) <img src=x>")
    app = open_at("card")
    app.selectbox(key="card_network").select("old-timnet").run()
    assert not app.exception
    assert "evil" not in str([each.value for each in (*app.markdown, *app.text)])
