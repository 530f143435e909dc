"""What tests of pages share: a page of the app without a browser, and runs as a worker leaves them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

from timnet import config, settings_file
from timnet.cohorts import tasks
from timnet.cohorts.store import Cohort
from timnet.evaluation import predictions
from timnet.evaluation.predictions import Predictions
from timnet.training import run_names, runs

PAGES = ("match", "diagnose", "audit", "explore", "fine_tune", "efficiency", "card")
TEXT = "There is an opacity in the left lung."
HOSTILE = (
    '<img src="http://evil.example/a.png" onerror="alert(1)"> ![x](http://evil.example/b.png) '
    "<script>alert(2)</script> :red[red] $x^2$ a nodule of ~1.5 cm~ **bold** `code`"
)
Open = Callable[[str], AppTest]


def open_at(page: str) -> AppTest:
    app = AppTest.from_file(str(config.REPOSITORY / "app.py"), default_timeout=60).run()
    return app.switch_page(f"pages/{page}.py").run()


def of_cohort(app: AppTest, film: int) -> AppTest:
    """Show an X-ray of the cohort on the Match page by its number."""
    app.number_input(key="match_film").set_value(film)
    return app.button(key="match_use").click().run()


def opened(app: AppTest, tab: str) -> AppTest:
    """Open a tab below the reading of the Match page."""
    app.session_state["match_more"] = tab
    return app.run()


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.text)


def framed(app: AppTest) -> bool:
    return any(config.RESEARCH_USE in str(element.value) for element in app.markdown)


def finished(root: Path, seed: int, value: float | None, fraction: float = 0.1, start: str = "base") -> None:
    settings = config.Finetune(
        cohort="synthetic", task="Opacity", fraction=fraction, seed=seed, initialisation=start
    )
    folder = root / run_names.folder_name(settings)
    folder.mkdir(parents=True)
    row = {"label": "Opacity", "metric": "auROC", "value": value, "low": None, "high": None, "n": 20}
    told = {
        "test": [row | {"positives": 9}],
        "films": round(80 * fraction),
        "patients": 7,
        "films_train": 80,
        "films_test": 20,
    }
    (folder / runs.CONFIG).write_text(settings_file.to_json(settings))
    (folder / runs.RESULT).write_text(json.dumps(told))
    (folder / runs.DONE).write_text("{}")


def keep(
    folder: Path, cohort: Cohort, validation: bool = True, label: str = "Opacity", doubt: float = 1.0
) -> Predictions:
    """Leave a run's predictions of a cohort's films, right more often than not."""
    films = cohort.films()
    heldout = np.flatnonzero(films["split"].isin(["test", "val"] if validation else ["test"]))
    truth = tasks.targets(cohort, label).y_NL[heldout].astype(float)
    noise = np.random.default_rng(len(folder.name)).normal(scale=doubt, size=truth.shape)
    kept = Predictions(
        cohort.fingerprint,
        (label,),
        heldout,
        (films["split"] == "val").to_numpy()[heldout],
        truth,
        2 * truth - 1 + noise,
    )
    (folder / predictions.FILE).write_bytes(kept.to_bytes())
    return kept


def stopped(root: Path, seed: int = 0) -> Path:
    """Leave a run that was stopped and can go on."""
    settings = config.Finetune(cohort="synthetic", task="Opacity", seed=seed)
    folder = root / run_names.folder_name(settings)
    (folder / runs.SNAPSHOTS).mkdir(parents=True)
    (folder / runs.SNAPSHOTS / "epoch00000-step000000000001.json").touch()
    (folder / runs.CONFIG).write_text(settings_file.to_json(settings))
    (folder / runs.CANCELLED).write_text("{}")
    return folder
