"""Does any input end in a traceback, in a hang, or as a damaged JPEG that is read as a sound one?

Seeded inputs of ten kinds go through timnet's own entry points, each under a time limit: films through the
decoder's child process, the rest in this process, a sample of all by the command line, some as a process of
their own. Right is an answer, or a TimnetError (exit status 2) of one sentence of at most 600 characters. An
input is a function of seed, kind and number, so that each failure that is printed can be repeated:

    .venv/bin/python benchmarks/fuzz.py --inputs 10000 --keep
    .venv/bin/python benchmarks/fuzz.py --kind table --seed 0 --only 17
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import multiprocessing.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import FrameType
from typing import Any

import fuzz_inputs as made
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from timnet import (  # noqa: E402
    cards,
    checkpoints,
    config,
    performance,
)
from timnet.__main__ import main as timnet  # noqa: E402
from timnet.cohorts import store  # noqa: E402
from timnet.cohorts.importing import uploads  # noqa: E402
from timnet.cohorts.readers import csv_table  # noqa: E402
from timnet.errors import TimnetError, one_line  # noqa: E402
from timnet.evaluation import model_card  # noqa: E402
from timnet.evaluation.calibration import record  # noqa: E402
from timnet.films import read as films  # noqa: E402
from timnet.films import sandbox  # noqa: E402
from timnet.films.film import Admit, Film  # noqa: E402
from timnet.reports import deidentify, edits, negation, report_text  # noqa: E402
from timnet.training import run_results, runs  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "fuzz.json"
SECONDS, LONGEST = 60, 600
"""Time limit of an input, and characters of a sentence."""
COMMAND, PROCESS = 20, 200
"""One input in so many also goes through the command line, and one in so many in a process of its own."""
CHANGED, SHARE = 0.05, 0.01
"""A JPEG counts as damaged where more than SHARE of its pixels moved by more than CHANGED."""
LINEAR = 3.0
"""Times the seconds that four times the text may take, over four times the seconds of the text."""
FAILURES = ("silent", "hang", "failed")
here = Path()
"""This worker's folder."""


class Hang(BaseException):
    """The time limit of an input: no handler of errors may take it for one."""


def main() -> None:
    """Try the inputs, print failures and a table, and keep the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--kind", choices=KINDS, help="inputs of one kind alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one input of --kind, with its traceback")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true", help=f"write {RESULT.relative_to(ROOT)}")
    words = parser.parse_args()
    if words.only is not None:
        prepare()
        print(tried((words.kind, words.seed, words.only), loud=True))
        return
    begun = time.monotonic()
    shares = {words.kind: 1.0} if words.kind else {kind: share for kind, (share, _) in KINDS.items()}
    jobs = [(kind, words.seed, i) for kind in shares for i in range(round(words.inputs * shares[kind]))]
    # Slow kinds and quick ones mixed, always in the same order.
    jobs = [jobs[place] for place in np.random.default_rng(words.seed).permutation(len(jobs))]
    ended = everything(jobs, words.workers)
    fields: dict[str, Any] = {"what": __doc__.splitlines()[0], "seed": words.seed, "inputs": len(jobs)}
    fields["machine"] = {"system": platform.platform(), "cores": os.cpu_count(), "workers": words.workers}
    fields["minutes"] = round((time.monotonic() - begun) / 60, 1)
    fields["kinds"] = {kind: summed_up([each for each in ended if each["kind"] == kind]) for kind in shares}
    fields["failures"] = [each for each in ended if each["end"] in FAILURES]
    for kind, row in fields["kinds"].items():
        print(f"{kind:9}" + "  ".join(f"{name} {value}" for name, value in row.items()))
    if words.keep:
        RESULT.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(fields["failures"]))


def everything(jobs: list[tuple[str, int, int]], workers: int) -> list[dict[str, Any]]:
    """Try all inputs in several processes; one that dies costs its input, which is a failure."""
    ended, left = [], jobs
    while left:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), prepare) as pool:
            pending, left = [(job, pool.submit(tried, job)) for job in left], []
            for job, future in pending:
                try:
                    ended.append(future.result())
                except BrokenProcessPool:
                    left.append(job)
                    continue
                if ended[-1]["end"] in FAILURES:
                    kind, seed, i = job
                    print(f"--kind {kind} --seed {seed} --only {i}: {ended[-1]['reason']}", flush=True)
        if left:
            reason = f"its process died, or that of one of the next {workers}"
            ended.append(
                {"kind": left[0][0], "number": left[0][2], "end": "failed", "reason": reason, "seconds": 0.0}
            )
            print(*left[0], reason, flush=True)
            left = left[1:]
    return ended


def prepare() -> None:
    """Make a worker's folder, which ends with it: checkpoints to spoil, films, and a cohort to search."""
    global here
    folder = tempfile.TemporaryDirectory(prefix="timnet-fuzz-")
    multiprocessing.util.Finalize(None, folder.cleanup, exitpriority=10)
    here = Path(folder.name)
    os.environ |= {"TIMNET_HOME": str(here / "home"), "TIMNET_CHECKPOINTS": str(here / "checkpoints")}
    os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    os.chdir(here)
    warnings.simplefilter("ignore")
    # Commands that make way for pages would make way for the other inputs.
    os.nice = lambda step: 0
    for name in ("demo-findings", "open-cxr"):
        (here / "checkpoints" / name).mkdir(parents=True)
        for path in (ROOT / "checkpoints" / name).iterdir():
            (here / "checkpoints" / name / path.name).symlink_to(path)
    demo = (config.DEMO / "studies.csv").read_text(encoding="utf-8")
    films_of_demo = fresh("cohort") / "films"
    films_of_demo.mkdir()
    for i in range(24):
        shutil.copy(config.DEMO / "films" / f"s{i:05}.jpg", films_of_demo)
    (here / "cohort" / "pairs.csv").write_text(demo[: demo.index("films/s00024.jpg")], encoding="utf-8")
    assert command(["import", "csv", str(here / "cohort"), "--name", "some"], 1) == "read"


def tried(job: tuple[str, int, int], loud: bool = False) -> dict[str, Any]:
    """Try one input and say how it ended: read, noted, refused, silent (a damaged JPEG), hang or failed."""
    kind, seed, i = job
    rng = np.random.default_rng((seed, zlib.crc32(kind.encode()), i))
    begun, reason = time.monotonic(), ""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        end = KINDS[kind][1](rng, i)
        reason = "damaged, and read without a note" if end == "silent" else ""
    except TimnetError as error:
        end, reason = "refused", one_line(error)
        if not 0 < len(reason) <= LONGEST or not reason.isprintable():
            end, reason = "failed", f"expected one sentence, got {len(reason)} characters: {reason[:200]!r}"
    except Hang:
        end, reason = "hang", f"more than {SECONDS} s"
    except BaseException as error:
        if loud:
            traceback.print_exc()
        where = traceback.extract_tb(error.__traceback__)[-1]
        end = "failed"
        reason = f"{type(error).__name__}: {error!s:.300} ({Path(where.filename).name}:{where.lineno})"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"kind": kind, "number": i, "end": end, "reason": reason, "seconds": time.monotonic() - begun}


def summed_up(ended: list[dict[str, Any]]) -> dict[str, Any]:
    """Count how the inputs of one kind ended."""
    counts, seconds = Counter(each["end"] for each in ended), [each["seconds"] for each in ended]
    ends = {name: counts[name] for name in ("read", "noted", "refused", *FAILURES)}
    most = round(max(seconds, default=0.0), 1)
    return {
        "inputs": len(ended),
        **ends,
        "mean_s": round(sum(seconds) / max(1, len(ended)), 3),
        "most_s": most,
    }


def command(words: list[str], i: int) -> str:
    """Run one command, here or as a process of its own, and check its status, its sentence and its JSON."""
    if i % PROCESS == 0 and all(word.isprintable() for word in words):
        argv = [sys.executable, "-m", "timnet", *words]
        ran = subprocess.run(argv, capture_output=True, timeout=SECONDS, check=False)
        status, out, said = ran.returncode, ran.stdout.decode(), ran.stderr.decode()
    else:
        # Its handler would hold the standard error of an earlier input.
        logging.getLogger().handlers.clear()
        answer, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(answer), contextlib.redirect_stderr(errors):
            try:
                status = timnet(words)
            except SystemExit as ended:
                status = int(ended.code or 0)
        out, said = answer.getvalue(), errors.getvalue()
    sentence = said.rstrip("\n").rpartition("\n")[2].removeprefix("timnet: ")
    if status not in (0, 2) or "Traceback (most recent" in said:
        raise AssertionError(f"status {status}: {said[-300:]!r}")
    if status == 2 and not (0 < len(sentence) <= LONGEST and sentence.isprintable()):
        raise AssertionError(f"expected one sentence, got {len(sentence)} characters: {sentence[:200]!r}")
    if not status and "--json" in words and not {"-h", "--help"} & set(words):
        json.loads(out, parse_constant=lambda name: 1 / 0)
    return "refused" if status else "read"


def fresh(name: str) -> Path:
    """Return an empty folder of this worker."""
    shutil.rmtree(here / name, ignore_errors=True)
    (here / name).mkdir()
    return here / name


def read(data: bytes, rng: np.random.Generator, i: int) -> Film:
    """Read a film as an upload is read, and now and then by the command line as well."""
    if i % COMMAND == 0:
        path = here / "film"
        path.write_bytes(data)
        checkpoint = ("demo-findings", "open-cxr")[i // COMMAND % 2]
        words = ["match", "--findings", "No effusion."] if checkpoint == "open-cxr" else ["diagnose"]
        command([*words, str(path), "--checkpoint", checkpoint, "--anyway", "--json"], i)
    admit: tuple[Admit, ...] = ("first-frame", "any-modality") if rng.random() < 0.7 else ()
    film = sandbox.read_untrusted(data, name="film", window=int(rng.integers(3)), admit=admit, reuse=True)
    assert np.isfinite(film.pixels).all() and not film.pixels.flags.writeable
    assert film.spacing_mm is None or min(film.spacing_mm) > 0
    return film


def dicom(rng: np.random.Generator, i: int) -> str:
    """Read a DICOM film; now and then import a folder of them with a structured report."""
    data = made.dicom(rng)
    if i % COMMAND == 1:
        folder = fresh("dicom")
        for number, each in enumerate((data, made.dicom(rng), made.structured(rng))):
            (folder / f"{number}.dcm").write_bytes(each)
        return command(["import", "dicom", str(folder), "--name", "dicom", "--json", "--any-modality"], i)
    read(data, rng, i)
    return "read"


def sample(rng: np.random.Generator, i: int) -> str:
    """Read a damaged file of pydicom's."""
    read(made.sample(rng), rng, i)
    return "read"


def png(rng: np.random.Generator, i: int) -> str:
    """Read a PNG."""
    read(made.png(rng), rng, i)
    return "read"


def jpeg(rng: np.random.Generator, i: int) -> str:
    """Read a damaged JPEG; silent where it shows other pixels and says nothing."""
    sound, data = made.jpeg(rng)
    film, true = read(data, rng, i), films.read_film(sound)
    is_alike = film.pixels.shape == true.pixels.shape
    if is_alike and (np.abs(film.pixels - true.pixels) > CHANGED).mean() <= SHARE:
        return "read"
    return "silent" if film.notes == true.notes else "noted"


def table(rng: np.random.Generator, i: int) -> str:
    """Read every row of a table; now and then import it with its films."""
    folder = fresh("table")
    name, data, columns = made.table(rng)
    (folder / name).write_bytes(data)
    if i % COMMAND == 0:
        shutil.copytree(here / "cohort" / "films", folder / "films")
        options = [f"--{option}={column}" for option, column in columns.items()]
        return command(["import", "csv", str(folder), "--name", "table", "--json", *options], i)
    for _ in csv_table.read(csv_table.find_table(folder).path, **columns):
        pass
    return "read"


def report(rng: np.random.Generator, i: int) -> str:
    """Take a report apart, and see that four times as long a text takes no more than a few times as long."""
    text = made.report(rng)

    def seconds(text: str) -> float:
        begun = time.process_time()
        findings = report_text.findings(text)
        deidentify.scrub(text, deidentify.Known(frozenset({"muller", "jorg"}), frozenset({"4711"})))
        edits.every(findings)
        for sentence in report_text.sentences(text):
            with contextlib.suppress(negation.EditError):
                negation.negated(sentence)
        return time.process_time() - begun

    whole = seconds(text)
    if len(text) > 20_000:
        ratio = whole / max(seconds(text[: len(text) // 4]), 0.1)
        assert ratio <= 4 * LINEAR, f"a text four times as long takes {ratio:.0f} times as long"
    return "read"


def settings(rng: np.random.Generator, i: int) -> str:
    """Read a checkpoint one of whose files is spoilt."""
    name = ("demo-findings", "open-cxr")[int(rng.integers(2))]
    folder = here / "checkpoints" / name
    path = folder / str(rng.choice(["model", "calibration", "config", "card", "metrics"]))
    path = path.with_suffix(".json")
    before = path.read_bytes()
    sound = path.resolve()
    path.unlink()
    path.write_bytes(made.spoilt(before, rng))
    try:
        if i % COMMAND == 0:
            words = ["match", "--findings", "No effusion."] if name == "open-cxr" else ["diagnose"]
            film = str(here / "cohort" / "films" / "s00003.jpg")
            command([*words, film, "--checkpoint", name, "--anyway", "--json"], i)
            command(["runs", "--json"], 1)
        for request in (checkpoints.describe, record.of, cards.of, performance.at_chance, runs.state,
                      run_results.result, model_card.sections):  # fmt: skip
            with contextlib.suppress(TimnetError):
                request(folder)
        run_results.points(here / "checkpoints")
        performance.trust(cards.of(folder))
        return command(["runs", "--json"], 1)
    finally:
        path.unlink()
        path.symlink_to(sound)


def search(rng: np.random.Generator, i: int) -> str:
    """Ask a cohort for words."""
    query = made.query(rng)
    with store.Cohort.open(store.find("some")) as cohort:
        cohort.search(query)
        cohort.count(query=query, asserted=bool(rng.random() < 0.5), has_report=True)
        cohort.facets(query=query)
    return "read"


def upload(rng: np.random.Generator, i: int) -> str:
    """Unpack an archive as an upload."""
    files = [("films.zip", made.archive(rng)), ("pairs.csv", b"path,text\nfilm.png,No effusion.\n")]
    uploads.tables(files, fresh("upload"))
    uploads.keep(files, "upload")
    return "read"


def line(rng: np.random.Generator, i: int) -> str:
    """Run a command of odd words."""
    return command(made.words(rng, here), i)


KINDS = {
    "dicom": (0.25, dicom),
    "sample": (0.15, sample),
    "png": (0.12, png),
    "jpeg": (0.12, jpeg),
    "table": (0.1, table),
    "report": (0.06, report),
    "settings": (0.08, settings),
    "search": (0.06, search),
    "upload": (0.03, upload),
    "line": (0.03, line),
}
"""Share of the inputs, and what is done with one."""

if __name__ == "__main__":
    main()
