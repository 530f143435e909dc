"""Every page on exactly what a fresh clone holds, and every button there that starts something."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from driving import PAGES, framed, open_at, opened, png
from streamlit.testing.v1 import AppTest

from timnet import config, processes
from timnet.cohorts import audits, store, vectors
from timnet.cohorts.importing import jobs
from timnet.training import run_names, runs, worker


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the shipped checkpoints and room for an empty TIMNET_HOME."""
    root = tmp_path_factory.mktemp("clone")
    shipped = re.findall(r"(?m)^!checkpoints/(.+)/$", (config.REPOSITORY / ".gitignore").read_text())
    assert config.SHIPPED in shipped
    for name in shipped:
        shutil.copytree(config.REPOSITORY / "checkpoints" / name, root / "checkpoints" / name)
    return root


@pytest.fixture(autouse=True)
def fresh(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMNET_HOME", str(clone / "home"))
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(clone / "checkpoints"))
    for name in ("TIMNET_DEMO", "TIMNET_REFUSE", "TIMNET_IMPORTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_on_what_a_fresh_clone_holds(page: str) -> None:
    app = open_at(page)
    assert not app.exception and not app.error
    assert framed(app)


@pytest.mark.parametrize(
    ("page", "key", "what"),
    [
        ("fine_tune", "run", "run"),
        ("card", "network", "network"),
        ("match", "match_network", "network"),
        ("diagnose", "diagnose_network", "network"),
    ],
)
def test_a_link_to_what_is_not_here_says_that_another_is_shown(page: str, key: str, what: str) -> None:
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    app.query_params[key] = "gone"
    app.switch_page(f"pages/{page}.py").run()
    assert f"There is no {what} gone here" in " ".join(info.value for info in app.info)
    assert not app.exception


def test_the_page_of_every_shipped_run_has_its_command_and_the_list_of_all_runs(clone: Path) -> None:
    for state in runs.all_runs(clone / "checkpoints"):
        app = open_at("fine_tune")
        app.selectbox(key="ft_run").select(state.folder.name).run()
        assert not app.exception and not app.error
        assert run_names.command_line(state) in {code.value for code in app.code}
        assert any("Submitted" in table.value for table in app.dataframe)


def test_x_rays_are_read_with_a_network_that_is_meant_for_them_until_another_is_chosen() -> None:
    app = open_at("diagnose")
    # The example is simulated.
    assert app.selectbox(key="diagnose_network").value == "demo-findings"
    app.segmented_control(key="diagnose_how").set_value("Several X-rays").run()
    assert app.selectbox(key="diagnose_network").value == "chest-findings"
    app.segmented_control(key="diagnose_from").set_value("From a cohort").run()
    app.run()
    assert app.selectbox(key="diagnose_network").value == "demo-findings"
    app.selectbox(key="diagnose_network").set_value("pneumonia-children").run()
    app.segmented_control(key="diagnose_how").set_value("One X-ray").run()
    assert app.selectbox(key="diagnose_network").value == "pneumonia-children"
    match = open_at("match")
    assert match.selectbox(key="match_network").value == "open-cxr"
    match.pills(key="match_demo").set_value(None).run()
    # An image of its own: what is taken for an X-ray is cached, and other tests take all.
    match.file_uploader(key="match_upload").upload("film.png", png(7_001), "image/png").run()
    assert match.selectbox(key="match_network").value == "open-i"
    assert not app.exception and not match.exception


@pytest.fixture(params=["small", pytest.param("shipped", marks=pytest.mark.whole)])
def films(
    request: pytest.FixtureRequest,
    demo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clone: Path,
) -> str:
    """The demo cohort, by default of eight films: what is started then ends within seconds."""
    monkeypatch.setenv("TIMNET_HOME", str(tmp_path / "home"))
    shutil.copytree(clone / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "checkpoints"))
    if request.param == "small":
        monkeypatch.setenv("TIMNET_DEMO", str(demo_root))
        # These films are noise.
        monkeypatch.setenv("TIMNET_REFUSE", "never")
    monkeypatch.setenv("TIMNET_IMPORTS", str(config.DEMO.parent if request.param == "shipped" else demo_root))
    return str(request.param)


def ended(is_over: Callable[[], bool], told: Callable[[], object] = str, seconds: int = 540) -> None:
    """Wait until what a button has started is over; `told` says how it stands where it never is."""
    deadline = time.monotonic() + seconds
    while not is_over():
        assert time.monotonic() < deadline, f"it never ends: {told()}"
        time.sleep(0.2)


def completed(folder: Path) -> None:
    """Wait until the vectors of a folder are complete."""
    ended(folder.is_dir, seconds=60)
    ended(lambda: vectors.state(folder).name in ("complete", "stopped"), lambda: vectors.state(folder))
    assert vectors.state(folder).name == "complete", vectors.state(folder)


def shown(app: AppTest) -> None:
    assert not app.exception and not app.error


def test_films_are_read_then_previewed_and_labelled(films: str) -> None:
    app = open_at("fine_tune")
    app.session_state["ft_preview"] = True
    app.session_state["lm_open"] = True
    app.run()
    app.number_input(key="ft_side_small").set_value(32).run()
    app.button(key="ft_preview_read").click().run()
    shown(app)
    cohort = store.Cohort.open(store.find("demo"))
    (folder,) = (cohort.folder / "features").iterdir()
    completed(folder)
    app.run()
    shown(app)
    assert any("auROC" in text.value for text in app.markdown) or app.info
    # Both parts of the page use what was read.
    assert not [button.key for button in app.button if button.key in ("ft_preview_read", "lm_read")]


def test_labelling_reads_the_films_and_then_asks_about_one(films: str) -> None:
    app = open_at("fine_tune")
    app.session_state["lm_open"] = True
    app.run()
    app.number_input(key="ft_side_small").set_value(32).run()
    app.button(key="lm_read").click().run()
    cohort = store.Cohort.open(store.find("demo"))
    (folder,) = (cohort.folder / "features").iterdir()
    completed(folder)
    app.run()
    shown(app)
    # All labels of the demo are known: take one back to be asked about it.
    assert any("Every training X-ray has the label" in info.value for info in app.info)
    assert app.button(key="lm_undo")


@pytest.mark.whole
@pytest.mark.parametrize("films", ["shipped"], indirect=True)
@pytest.mark.parametrize("learn", ["labels", "reports"])
def test_a_training_is_started_and_ends(films: str, learn: str) -> None:
    app = open_at("fine_tune")
    app.segmented_control(key="ft_learn").set_value(learn).run()
    short = "ft" if learn == "labels" else "pt"
    app.number_input(key=f"{short}_side_small").set_value(32)
    app.number_input(key=f"{short}_epochs_small").set_value(1)
    if learn == "reports":
        app.number_input(key="pt_batch_small").set_value(4)
    app.run()
    app.button(key=f"{short}_start").click().run()
    shown(app)
    folder = config.checkpoints() / app.selectbox(key="ft_run").value
    ended(lambda: not runs.state(folder).active)
    assert runs.state(folder).name == "done", processes.tail(folder / runs.LOG, 30)
    app.run()
    shown(app)
    assert any(done.value.startswith("Done: ") for done in app.success)
    # The other pages take it as they took the shipped ones.
    for page in ("match", "diagnose", "efficiency", "card"):
        shown(open_at(page))


@pytest.mark.whole
@pytest.mark.parametrize("films", ["shipped"], indirect=True)
def test_the_missing_points_of_a_curve_are_started_and_end(films: str) -> None:
    open_at("fine_tune")
    asked = config.Finetune(cohort="demo", task="pleural_effusion", side=32, epochs=1)
    folder = worker.submit(asked, config.checkpoints())
    ended(lambda: not runs.state(folder).active)
    app = open_at("efficiency")
    app.selectbox(key="eff_task").select("pleural_effusion").run()
    app.number_input(key="eff_draws").set_value(2).run()
    app.button(key="eff_start").click().run()
    shown(app)
    ended(
        lambda: (
            len(
                [
                    run
                    for run in runs.all_runs(config.checkpoints())
                    if run.settings == replace(asked, seed=1) and run.name == "done"
                ]
            )
            == 1
        )
    )
    app.run()
    shown(app)


def test_a_cohort_is_prepared_for_similar_cases_then_scored(
    films: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_at("match")
    app.pills(key="match_demo").set_value("Pleural effusion").run()
    shown(app)
    opened(app, "Other patients")
    if films == "shipped":
        # The vectors of the demo come with timnet.
        assert "match_prepare" not in {button.key for button in app.button}
    else:
        app.button(key="match_prepare").click().run()
        shown(app)
    cohort = store.Cohort.open(store.find("demo"))
    network = app.selectbox(key="match_network").value
    folder = vectors.place(cohort, config.checkpoints() / network)
    completed(folder)
    app.run()
    shown(app)
    assert any("Reports that match" in text.value for text in app.markdown)

    # Reasons take a second a pair: of a few only.
    monkeypatch.setattr(audits, "TOP", 3)
    app = open_at("audit")
    shown(app)
    asked = app.button(key="audit_start")
    assert re.fullmatch(r"Score [\d,]+ studies", asked.label)
    asked.click().run()
    shown(app)
    folder = audits.place(cohort, config.checkpoints() / network)
    for known in (3, 6):
        ended(lambda: audits.state(folder).name in ("complete", "stopped"), lambda: audits.state(folder))
        assert audits.state(folder).name == "complete", audits.state(folder)
        app.run()
        shown(app)
        assert any("Misfit" in table.value.columns for table in app.dataframe)
        assert any("better than" in text.value for text in app.markdown)
        assert len(audits.notes(folder, audits.REASONS)) == known
        assert app.button(key="audit_more").label.startswith("Look for reasons of ")
        app.button(key="audit_more").click().run()
        shown(app)
    ended(lambda: audits.state(folder).name != "working", lambda: audits.state(folder))


def test_columns_of_known_labels_are_chosen_at_first(
    films: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMNET_IMPORTS", str(tmp_path))
    (tmp_path / "films.csv").write_text(
        "path,report,pleural effusion,Ward,Pleural_Thickening\na.png,x,1,2,0\n"
    )
    app = open_at("import_cohort")
    app.selectbox(key="import_kind").select("csv").run()
    app.text_input(key="import_folder").set_value(str(tmp_path)).run()
    (labels,) = [each for each in app.multiselect if each.label == "Label columns"]
    assert not app.exception and labels.value == ["pleural effusion", "Pleural_Thickening"]


def test_an_export_is_imported(films: str) -> None:
    app = open_at("import_cohort")
    app.selectbox(key="import_kind").select("demo").run()
    app.text_input(key="import_folder").set_value(str(config.demo()))
    app.text_input(key="import_name").set_value("again").run()
    app.button(key="import_go").click().run()
    shown(app)
    ended(lambda: jobs.jobs()[0].state != "running")
    app.run()
    shown(app)
    assert "Imported: again" in [each.value for each in app.success]
