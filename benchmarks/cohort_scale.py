"""Does a cohort of MIMIC's size go in, and can it be searched and explored as quickly as a small one?

Writes MIMIC-CXR-JPG's layout (tables, splits, labels of two labellers, reports in their zip, small JPEGs as
films) with made-up reports, imports it as a user would, and removes it again. Every size has a process of its
own, so that memory and times are its own. The bars stand in BARS.

    .venv/bin/python benchmarks/cohort_scale.py 2000 20000 227835 --place /mnt/scratch
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.metadata
import io
import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["TIMNET_DEMO"] = "none"

from timnet.cohorts import store  # noqa: E402
from timnet.cohorts.readers import mimic_cxr  # noqa: E402
from timnet.cohorts.tasks import CHEXPERT14  # noqa: E402

FULL = 227_835
BARS = {
    "index_seconds": 60.0,
    "query_p95_ms": 100.0,
    "explore_rerun_seconds": 1.0,
    "first_paint_seconds": 2.0,
}
NUM_QUERIES, PAGE = 200, 6
SIDE = 64  # of a film, in pixels
FINDINGS = (
    "The lungs are clear", "There is no focal consolidation", "No pleural effusion or pneumothorax",
    "Heart size is normal", "The cardiomediastinal silhouette is within normal limits",
    "There is a small left pleural effusion", "Bibasilar atelectasis is unchanged",
    "Moderate right pleural effusion with adjacent atelectasis", "Mild pulmonary vascular congestion",
    "Moderate pulmonary edema has worsened", "Opacity in the right lower lobe may represent pneumonia",
    "The endotracheal tube ends above the carina", "A right jugular line ends in the superior vena cava",
    "Median sternotomy wires are intact", "Low lung volumes accentuate the bronchovascular markings",
    "There is a tiny apical pneumothorax on the left", "Severe cardiomegaly is stable",
    "Degenerative changes are seen in the thoracic spine", "Old right rib fractures are noted",
    "A nodule projects over the left upper lung", "The hilar contours are normal",
    "The aorta is tortuous and calcified", "The stomach is distended below a raised left hemidiaphragm",
)  # fmt: skip
IMPRESSIONS = (
    "No acute cardiopulmonary process", "Small left effusion, unchanged", "Worsening edema",
    "Right lower lobe pneumonia", "Stable support devices", "Cardiomegaly without edema",
)  # fmt: skip
RARE = 20_000  # made-up words, each in few reports, as names of devices and misspellings are
COMMON_WORDS = ("effusion", "edema", "atelectasis", "pneumonia", "pneumothorax", "right", "left", "stable")


def main() -> None:
    """Print one line a figure and size, and keep them under benchmarks/results/."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[2_000, 20_000, FULL])
    parser.add_argument("--place", type=Path, help="where there is room: 50 GB for the largest size")
    parser.add_argument("--one", action="store_true", help="measure one size in this process")
    words = parser.parse_args()
    if words.one:
        print(json.dumps(measure(words.sizes[0], words.place)))
        return
    items: list[dict[str, Any]] = []
    for size in words.sizes:
        with tempfile.TemporaryDirectory(prefix="cohort-scale-", dir=words.place) as place:
            script = [sys.executable, __file__, str(size), "--one", "--place", place]
            ended = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True)
        items.append(json.loads(ended.stdout.splitlines()[-1]))
        for key, value in items[-1].items():
            bar = f"  (bar: below {BARS[key]:g})" if key in BARS else ""
            print(f"{size:>7} studies  {key}: {value}{bar}", flush=True)
        keep(items)


def keep(items: list[dict[str, Any]]) -> None:
    """Write the figures with a description of the machine."""
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "pandas", "pillow", "streamlit")}
    machine = {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **versions,
    }
    text = json.dumps({"machine": machine, "bars": BARS, "sizes": items}, indent=1)
    (folder / "cohort_scale.json").write_text(text + "\n", encoding="utf-8")


def processor() -> str:
    """Return the processor's name where the system tells it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def measure(size: int, place: Path) -> dict[str, Any]:
    """Return the figures of one size, in a folder that the caller removes."""
    os.environ["TIMNET_HOME"] = str(place / "home")
    began = time.monotonic()
    say(size, "writing films and reports")
    write_export(place / "export", size)
    fields: dict[str, Any] = {"studies": size, "layout_seconds": round(time.monotonic() - began, 1)}
    say(size, "importing")
    began, busy = time.monotonic(), processor_seconds()
    summary = mimic_cxr.run(place / "export", "scale")
    seconds = time.monotonic() - began
    fields |= {
        "films": summary.films,
        "patients": summary.patients,
        "import_seconds": round(seconds, 1),
        "import_processor_seconds": round(processor_seconds() - busy, 1),
        "import_films_a_second": round(summary.films / seconds),
        "index_seconds": summary.index_seconds,
        "import_peak_mib": peak_mib(),
    }
    say(size, "importing again")
    began = time.monotonic()
    again = mimic_cxr.run(place / "export", "scale")
    fields["second_import_seconds"] = round(time.monotonic() - began, 1)
    assert (again.films, again.studies) == (summary.films, size) == (summary.films, summary.studies)
    folder = store.place("scale")
    fields["database_mib"] = round((folder / "cohort.sqlite").stat().st_size / 2**20, 1)
    say(size, "searching and opening the page")
    cohort = store.Cohort.open(folder)
    fields |= search(cohort) | facets(cohort)
    fields |= explore()
    return fields | {
        "load_average": round(os.getloadavg()[0], 1)
    }  # above the cores: figures of a shared machine


def say(size: int, phase: str) -> None:
    """Tell on standard error what is being done: the largest size takes most of an hour."""
    print(f"{time.strftime('%H:%M:%S')}  {size:>7} studies: {phase}", file=sys.stderr, flush=True)


def processor_seconds() -> float:
    """Return the processor time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_mib() -> int:
    """Return the most memory that this process has held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def search(cohort: store.Cohort) -> dict[str, float]:
    """Count and list the first page of many queries, words common and rare, as a user would type them."""
    rng = np.random.default_rng(1)
    seconds = []
    for number in range(NUM_QUERIES):
        one, two = rng.choice(COMMON_WORDS, 2, replace=False)
        rare = f"device{rng.integers(RARE)}"
        queries = (
            *(one, f"{one} {two}", f"{one} OR {two}", f"{one} NOT {two}", f"{one[:5]}*"),
            *(
                rare,
                f"{rare} OR {one}",
                '"pleural effusion"',
                f'"pleural effusion" NOT {two}',
                "tortuous aorta",
            ),
        )
        query = queries[number % len(queries)]
        began = time.perf_counter()
        cohort.count(query=query)
        cohort.studies(query=query, limit=PAGE)
        seconds.append(time.perf_counter() - began)
    listed = []
    for offset in np.linspace(0, cohort.summary().studies - PAGE, 20).astype(int):
        began = time.perf_counter()
        cohort.studies(limit=PAGE, offset=int(offset))
        listed.append(time.perf_counter() - began)
    return {
        "query_median_ms": milliseconds(np.median(seconds)),
        "query_p95_ms": milliseconds(np.quantile(seconds, 0.95)),
        "page_without_query_p95_ms": milliseconds(np.quantile(listed, 0.95)),
    }


def facets(cohort: store.Cohort) -> dict[str, float]:
    """Count everything without a filter, and beside a search for a common word."""
    fields = {}
    for name, wanted in (("facets_ms", {}), ("facets_of_query_ms", {"query": "effusion"})):
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            cohort.facets(**wanted)  # type: ignore[arg-type]
            seconds.append(time.perf_counter() - began)
        fields[name] = milliseconds(np.median(seconds))
    return fields


def explore() -> dict[str, float]:
    """Open the explore page in a process of its own, then search in it again and again."""
    code = (
        "import json, sys, time; from streamlit.testing.v1 import AppTest\n"
        "from timnet import config\n"
        "began = time.perf_counter()\n"
        "app = AppTest.from_file(str(config.REPOSITORY / 'app.py'), default_timeout=120).run()\n"
        "app = app.switch_page('pages/explore.py').run()\n"
        "first = time.perf_counter() - began; seconds = []\n"
        "for words in ['effusion', 'edema NOT stable', 'pneumothorax', 'device7', 'right', 'left OR old']:\n"
        "    began = time.perf_counter()\n"
        "    app.text_input(key='explore_query').set_value(words).run()\n"
        "    seconds.append(time.perf_counter() - began)\n"
        "assert not app.exception, app.exception\n"
        "print(json.dumps([first, sorted(seconds)[len(seconds) // 2], max(seconds)]))\n"
    )
    items = [sys.executable, "-W", "ignore", "-c", code]
    ended = subprocess.run(items, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    first, median, most = json.loads(ended.stdout.splitlines()[-1])
    return {
        "first_paint_seconds": round(first, 2),
        "explore_rerun_seconds": round(median, 2),
        "explore_slowest_rerun_seconds": round(most, 2),
    }


def milliseconds(seconds: float) -> float:
    """Return seconds as milliseconds that can be read."""
    return round(float(seconds) * 1000, 1)


def write_export(root: Path, size: int) -> None:
    """Write the layout: on average 1.6 films a study and 3.5 studies a patient, as in MIMIC."""
    rng = np.random.default_rng(0)
    root.mkdir()
    names = ("metadata", "split", "chexpert", "negbio")
    with ExitStack() as stack:
        writers = []
        for name in names:
            path = root / f"mimic-cxr-2.0.0-{name}.csv.gz"
            file = stack.enter_context(gzip.open(path, "wt", compresslevel=1, newline=""))
            writers.append(csv.writer(file))
        packed = zipfile.ZipFile(root / "mimic-cxr-reports.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        write_studies(root, size, rng, writers, stack.enter_context(packed))


def write_studies(
    root: Path, size: int, rng: np.random.Generator, writers: list[Any], reports: zipfile.ZipFile
) -> None:
    """Write the rows, reports and films of all studies."""
    metadata, split, chexpert, negbio = writers
    jpegs = [jpeg(rng) for _ in range(64)]
    metadata.writerow(["dicom_id", "subject_id", "study_id", "ViewPosition"])
    split.writerow(["dicom_id", "study_id", "subject_id", "split"])
    for labels in (chexpert, negbio):
        labels.writerow(["subject_id", "study_id", *CHEXPERT14])
    film, subject, part = 0, 10_000_000, "train"
    for number in range(size):
        if rng.random() < 1 / 3.5:
            subject += 1 + int(rng.integers(150))
            part = ("train", "validate", "test")[int(rng.choice(3, p=(0.96, 0.01, 0.03)))]
        study = 50_000_000 + number * 7
        folder = f"files/p{str(subject)[:2]}/p{subject}/s{study}"
        reports.writestr(f"{folder}.txt", report(rng))
        (root / folder).mkdir(parents=True)
        for view in ("PA", "AP", "LATERAL")[: int(rng.choice((1, 2, 3), p=(0.5, 0.38, 0.12)))]:
            dicom = f"{film:08x}-{study:08x}-{subject:08x}-0badcafe-00000000"
            (root / folder / f"{dicom}.jpg").write_bytes(marked(jpegs[film % len(jpegs)], dicom))
            metadata.writerow([dicom, subject, study, view])
            split.writerow([dicom, study, subject, part])
            film += 1
        values = rng.choice(["", "1.0", "0.0", "-1.0"], 14, p=(0.75, 0.12, 0.09, 0.04))
        chexpert.writerow([subject, study, *values])
        negbio.writerow([subject, study, *np.where(rng.random(14) < 0.1, "", values)])


def report(rng: np.random.Generator) -> str:
    """Return a made-up report of MIMIC's shape and about its length."""
    said = [FINDINGS[i] for i in rng.choice(len(FINDINGS), int(rng.integers(4, 10)), replace=False)]
    said[-1] += f" near device{rng.integers(RARE)}"
    concluded = IMPRESSIONS[rng.integers(len(IMPRESSIONS))]
    return (
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n"
        " INDICATION:  ___ year old with cough  // pneumonia?\n\n COMPARISON:  ___\n\n"
        f" FINDINGS:\n\n {'. '.join(said)}.\n\n IMPRESSION:\n\n {concluded}.\n"
    )


def jpeg(rng: np.random.Generator) -> bytes:
    """Return a small film."""
    file = io.BytesIO()
    y, x = np.mgrid[:SIDE, :SIDE]
    film = 90 + 60 * np.sin(x / rng.uniform(5, 20)) + 40 * np.cos(y / rng.uniform(5, 20))
    Image.fromarray(np.clip(film, 0, 255).astype(np.uint8)).save(file, format="JPEG", quality=70)
    return file.getvalue()


def marked(data: bytes, words: str) -> bytes:
    """Return a JPEG with a comment, so that no two films are the same file."""
    comment = words.encode()
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


if __name__ == "__main__":
    main()
