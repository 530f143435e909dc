"""Uploads through the child process: the same film, the same reasons, and every way a decoder can end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from timnet.cohorts import decoding
from timnet.cohorts.decoding import read_untrusted
from timnet.cohorts.films import Film, FilmError, read_film

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "dicom_chest"
ROOT = Path(decoding.__file__).resolve().parents[2]

GREYS = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)


def png(greys: np.ndarray = GREYS) -> bytes:
    file = io.BytesIO()
    Image.fromarray(greys).save(file, "PNG")
    return file.getvalue()


def reason(data: bytes) -> str:
    with pytest.raises(FilmError) as caught:
        read_untrusted(data, name="x.png")
    assert caught.value.source == "x.png"
    return caught.value.reason


def child_runs(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Put other Python code in the child's place, with the repository to import from."""
    monkeypatch.setattr(decoding, "_COMMAND", (sys.executable, "-P", "-B", "-c", code))


def assert_same(one: Film, other: Film) -> None:
    np.testing.assert_array_equal(one.pixels, other.pixels)
    for field in ("kind", "sha256", "bits", "spacing_mm", "view", "notes"):
        assert getattr(one, field) == getattr(other, field)


def test_the_child_gives_the_film_of_the_same_process() -> None:
    film = read_untrusted(png(), name="x.png")
    assert_same(film, read_film(png()))
    assert film.pixels.dtype == np.float32
    assert not film.pixels.flags.writeable


@pytest.mark.skipif(not REAL.is_dir(), reason="the three real DICOM chest films are not here")
def test_the_child_gives_a_real_dicom_film() -> None:
    data = (REAL / "gdcm-CR-MONO1-10-chest.dcm").read_bytes()
    assert_same(read_untrusted(data, name="x.dcm"), read_film(data))


def test_a_refusal_reads_the_same_through_the_child() -> None:
    cut = png()[:-200]
    with pytest.raises(FilmError) as here:
        read_film(cut)
    assert reason(cut) == here.value.reason


def test_what_is_no_film_is_refused_without_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_COMMAND", ("there-is-no-such-program",))
    assert reason(b"%PDF-1.7") == "expected a PNG, JPEG or DICOM film, got a PDF document"
    assert reason(bytes(33 * 2**20)) == "expected at most 32 MB, got 33.0"


def test_a_crash_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    child_runs(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert reason(png()) == "the file is damaged: its decoder crashed (SIGSEGV)"


def test_an_exit_without_an_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    child_runs(monkeypatch, "raise SystemExit(3)")
    assert reason(png()) == "the file could not be decoded (the decoder ended with code 3)"


def test_a_decoder_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    child_runs(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(decoding, "WALL_SECONDS", 0.2)
    assert reason(png()) == "expected a film that decodes within 0.2 seconds"


def test_a_decoder_that_computes_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from timnet.cohorts import decoding as d; d.CPU_SECONDS = 1; d.limit()\nwhile True: pass"
    child_runs(monkeypatch, code)
    assert reason(png()) == "expected a film that decodes within 20 seconds of computing"


def test_a_decoder_that_runs_out_of_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from timnet.cohorts import decoding as d; d.MEMORY_BYTES = 250 * 2**20; d.main()"
    child_runs(monkeypatch, code)
    assert_same(read_untrusted(png(), name="x.png"), read_film(png()))
    large = np.zeros((5000, 5000), dtype=np.uint16)
    large[0, 0] = 65535
    assert reason(png(large)) == "the file needs more memory than is available"


def test_the_limits_hold_in_the_child() -> None:
    code = (
        "import resource as r; from timnet.cohorts import decoding; decoding.limit(); "
        "print([r.getrlimit(x)[0] for x in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_CORE, r.RLIMIT_FSIZE)])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == [2 * 2**30, 20, 0, 0]


ANSWER = {"rows": 1, "columns": 2, "bits": 8, "spacing_mm": None, "view": None, "notes": []}
TWO_GREYS = np.array([0, 1], dtype=np.float32).tobytes()


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (ANSWER, TWO_GREYS[:-1]),
        (ANSWER, TWO_GREYS * 2),
        (ANSWER, np.array([0, 2], dtype=np.float32).tobytes()),
        (ANSWER, np.array([0, np.nan], dtype=np.float32).tobytes()),
        (ANSWER | {"rows": -1, "columns": 2}, TWO_GREYS),
        (ANSWER | {"rows": 100_000, "columns": 100_000}, TWO_GREYS),
        (ANSWER | {"view": "UP"}, TWO_GREYS),
        (ANSWER | {"notes": 3}, TWO_GREYS),
        (ANSWER | {"spacing_mm": [1]}, TWO_GREYS),
        ({"rows": 1}, TWO_GREYS),
        ([], b""),
        ("x" * 100_000, b""),
    ],
)
def test_a_nonsensical_answer_is_refused(
    header: object, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = json.dumps(header).encode() + b"\n" + body
    child_runs(monkeypatch, f"import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write({reply!r})")
    assert reason(png())


def test_an_answer_is_parsed_and_never_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    child_runs(monkeypatch, "import sys; sys.stdin.buffer.read(); print('[' * 60000)")
    assert reason(png()) == "the file is damaged: its decoder's answer makes no sense"


def test_nothing_of_the_file_is_in_the_childs_arguments_or_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    seen: list[object] = []
    popen = subprocess.Popen

    def spied(*arguments: object, **options: object) -> object:
        seen.extend([arguments, options])
        return popen(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", spied)
    read_untrusted(png(), name="DOE^JANE.png")
    assert "DOE" not in str(seen)
    assert "PYTHONSTARTUP" not in str(seen)
    assert seen[1]["stderr"] == subprocess.DEVNULL  # type: ignore[index]


def test_what_a_decoder_prints_does_not_reach_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os; from timnet.cohorts import decoding as d, films; read = films.read_film\n"
        "def talkative(data):\n    os.write(1, b'DOE^JANE'); print('noise'); return read(data)\n"
        "films.read_film = talkative; d.main()"
    )
    child_runs(monkeypatch, code)
    assert_same(read_untrusted(png(), name="x.png"), read_film(png()))
