"""Uploads through the child process: the same film, the same reasons, and every way a decoder can end."""

from __future__ import annotations

import io
import json
import platform
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import radiographs
from PIL import Image
from pydicom import uid
from radiographs import dataset, quantised, written

from timnet.films import sandbox
from timnet.films.film import MAX_BYTES, Film, FilmError
from timnet.films.read import read_film
from timnet.films.sandbox import read_untrusted

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dicom_chest"
ROOT = Path(sandbox.__file__).resolve().parents[2]

GREYS = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)


@pytest.fixture(autouse=True)
def no_child_waits() -> Iterator[None]:
    """Each test starts its own child; what waits is not left to another test."""
    sandbox._dismiss()
    yield
    sandbox._dismiss()


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
    monkeypatch.setattr(sandbox, "_COMMAND", (sys.executable, "-P", "-B", "-c", code))


def assert_same(one: Film, other: Film) -> None:
    np.testing.assert_array_equal(one.pixels, other.pixels)
    for field in ("kind", "sha256", "bits", "spacing_mm", "view", "notes", "orientation", "aspect"):
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


def test_the_child_gives_orientation_and_shape_of_the_pixels() -> None:
    tags = {"PatientOrientation": ["F", "R"], "PixelAspectRatio": [1, 2], "ViewPosition": "FRONTAL"}
    data = written(dataset(quantised(12), 12, **tags))
    film = read_untrusted(data, name="x.dcm")
    assert_same(film, read_film(data))
    assert (film.orientation, film.aspect, film.view) == (("F", "R"), 0.5, "FRONTAL")


def test_a_refusal_reads_the_same_through_the_child() -> None:
    cut = png()[:-200]
    with pytest.raises(FilmError) as here:
        read_film(cut)
    assert reason(cut) == here.value.reason


def test_what_is_no_film_is_refused_without_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_COMMAND", ("there-is-no-such-program",))
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
    monkeypatch.setattr(sandbox, "WALL_SECONDS", 0.2)
    assert reason(png()) == "expected a film that decodes within 0.2 seconds"


def test_a_decoder_that_computes_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from timnet.films import sandbox_child as d\n"
        "def endless(data, **how):\n    while True: pass\n"
        "d.CPU_SECONDS = 1; d.read.read_film = endless; d.main()"
    )
    child_runs(monkeypatch, code)
    assert reason(png()) == "expected a film that decodes within 20 seconds of computing"


def test_a_decoder_that_runs_out_of_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from timnet.films import sandbox_child as d; d.MEMORY_BYTES = 250 * 2**20; d.main()"
    child_runs(monkeypatch, code)
    assert_same(read_untrusted(png(), name="x.png"), read_film(png()))
    large = np.zeros((5000, 5000), dtype=np.uint16)
    large[0, 0] = 65535
    assert reason(png(large)) == "the file needs more memory than is available"


def test_the_limits_hold_in_the_child() -> None:
    code = (
        "import resource as r; from timnet.films import sandbox_child as decoding; decoding.limit(); "
        "print([r.getrlimit(x)[0] for x in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_CORE, r.RLIMIT_FSIZE)])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == [2 * 2**30, 20, 0, 0]


ANSWER = {
    "rows": 1, "columns": 2, "bits": 8, "spacing_mm": None, "view": None, "notes": [], "body_part": None,
    "body": 8, "orientation": None, "aspect": 1.0,
}  # fmt: skip
TWO_GREYS = np.array([0, 1], dtype=np.float32).tobytes()


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (ANSWER, TWO_GREYS[:-1]),
        (ANSWER | {"body": 16}, TWO_GREYS * 2),
        (ANSWER | {"body": 2**40}, TWO_GREYS),
        (ANSWER, np.array([0, 2], dtype=np.float32).tobytes()),
        (ANSWER, np.array([0, np.nan], dtype=np.float32).tobytes()),
        (ANSWER | {"rows": -1, "columns": 2}, TWO_GREYS),
        (ANSWER | {"rows": 100_000, "columns": 100_000}, TWO_GREYS),
        (ANSWER | {"view": "UP"}, TWO_GREYS),
        (ANSWER | {"orientation": ["L", "R"]}, TWO_GREYS),
        (ANSWER | {"orientation": 3}, TWO_GREYS),
        (ANSWER | {"aspect": 0}, TWO_GREYS),
        (ANSWER | {"aspect": float("nan")}, TWO_GREYS),
        (ANSWER | {"aspect": "wide"}, TWO_GREYS),
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
    child_answers(monkeypatch, reply)
    assert reason(png())


def child_answers(monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    child_runs(monkeypatch, f"import sys; sys.stdin.buffer.readline(); sys.stdout.buffer.write({reply!r})")


def test_the_answer_that_the_nonsensical_ones_are_made_of_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    child_answers(monkeypatch, json.dumps(ANSWER).encode() + b"\n" + TWO_GREYS)
    assert read_untrusted(png(), name="x.png").pixels.tolist() == [[0, 1]]


def test_an_answer_is_parsed_and_never_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    child_answers(monkeypatch, b"[" * 60000 + b"\n")
    assert reason(png()) == "the file is damaged: its decoder's answer makes no sense"


def test_a_child_that_waits_gives_the_same_film_answers_once_and_is_left_out_where_it_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = sandbox._start
    monkeypatch.setattr(sandbox, "_start", lambda *words: started.append(start(*words)) or started[-1])
    sandbox.prepare()
    sandbox.prepare()
    assert len(started) == 1
    ready = read_untrusted(png(), name="film.png")
    assert len(started) == 1 and started[0].returncode is not None
    anew = read_untrusted(png(), name="film.png")
    assert len(started) == 2 and np.array_equal(ready.pixels, anew.pixels) and ready.sha256 == anew.sha256
    sandbox.prepare()
    started[-1].kill()
    started[-1].communicate()
    assert np.array_equal(read_untrusted(png(), name="film.png").pixels, anew.pixels) and len(started) == 4
    sandbox.prepare()
    sandbox._dismiss()
    assert started[-1].returncode is not None and not sandbox._spares


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
        "import os; from timnet.films import sandbox_child as d; from timnet.films import read as films\n"
        "read = films.read_film\n"
        "def talkative(data, **how):\n    os.write(1, b'DOE^JANE'); print('noise'); return read(data)\n"
        "films.read_film = talkative; d.main()"
    )
    child_runs(monkeypatch, code)
    assert_same(read_untrusted(png(), name="x.png"), read_film(png()))


def test_the_child_reads_through_the_window_and_lets_in_what_it_is_told_to() -> None:
    made = radiographs.several(Modality="CT")
    data = radiographs.written(made)
    with pytest.raises(FilmError, match="modality CT"):
        read_untrusted(data, name="x.dcm")
    film = read_untrusted(data, name="x.dcm", window=2, admit=("any-modality",))
    assert_same(film, read_film(data, window=2, admit=("any-modality",)))
    assert film.notes[-1] == "window 2048/4096, number 3 of 3"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(side: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def grey16(rows: int = 24, columns: int = 20, **tags: object) -> bytes:
    made = radiographs.dataset(radiographs.quantised(12), 12, Rows=rows, Columns=columns)
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return radiographs.written(made)


def squeezed(rows: int, columns: int, syntax: str) -> bytes:
    """Return a header that promises rows x columns above a codestream of 24 x 20."""
    greys = (radiographs.SCENE * 255).astype(np.uint8)
    made = radiographs.dataset(greys, 8, Rows=rows, Columns=columns)
    if syntax == uid.RLELossless:
        segment = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x07" * 4
        return radiographs.compressed(made, segment, syntax)
    file = io.BytesIO()
    Image.fromarray(greys).save(file, "JPEG2000", no_jp2=True)
    return radiographs.compressed(made, file.getvalue(), syntax)


def sizes_of_32_bits() -> bytes:
    made = radiographs.dataset(radiographs.quantised(12), 12)
    for keyword in ("Rows", "Columns"):
        delattr(made, keyword)
        made.add_new(keyword, "UL", 60_000)
    return radiographs.written(made)


HOSTILE = {
    "deflated": lambda: radiographs.deflated(bytes(400_000_000)),
    "a PNG of 100 megapixels": lambda: png_of(10_000, zlib.compress(bytes(100_010_000), 1)),
    "a PNG header of 60,000 x 60,000": lambda: png_of(60_000, b""),
    "a DICOM header of 60,000 x 60,000": lambda: grey16(60_000, 60_000),
    "sizes of the wrong type": sizes_of_32_bits,
    "a million frames": lambda: grey16(NumberOfFrames=10**6),
    "JPEG 2000 smaller than promised": lambda: squeezed(6000, 6000, uid.JPEG2000Lossless),
    "RLE smaller than promised": lambda: squeezed(6000, 6000, uid.RLELossless),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_bomb_is_refused_within_seconds_and_the_app_does_not_grow(what: str) -> None:
    data = HOSTILE[what]()
    assert len(data) < MAX_BYTES
    before, started = resident_bytes(), time.monotonic()
    with pytest.raises(FilmError):
        read_untrusted(data, name="x")
    assert time.monotonic() - started < 20
    assert resident_bytes() - before < 50 * 2**20


def resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("this system does not tell a process's memory")
    return int(statm.read_text().split()[1]) * resource.getpagesize()


def test_a_dicom_file_cut_anywhere_is_refused_by_the_child() -> None:
    data = radiographs.written(radiographs.dataset(radiographs.quantised(12), 12))
    for stop in np.linspace(133, len(data) - 1, 4).astype(int):
        with pytest.raises(FilmError):
            read_untrusted(data[:stop], name="x.dcm")


def test_a_decoder_that_panics_is_one_sentence_and_its_child_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # PyO3's PanicException, which decoders in Rust raise, is no Exception.
    code = (
        "from timnet.films import film, read, sandbox_child as d\n"
        "class Panic(BaseException): pass\n"
        "def panicking(data, **how):\n    with film.guarded('x', 'the file'): raise Panic('DOE^JANE')\n"
        "read.read_film = panicking; d.main()"
    )
    child_runs(monkeypatch, code)
    with pytest.raises(FilmError) as caught:
        read_untrusted(png(), name="x.png", reuse=True)
    assert caught.value.reason == "the file is cut short or damaged (Panic)"
    assert not sandbox._idle


def test_a_child_of_a_cohort_answers_again_also_after_a_refusal() -> None:
    first = read_untrusted(png(), name="x.png", reuse=True)
    (child,) = sandbox._idle
    with pytest.raises(FilmError):
        read_untrusted(png()[:-200], name="x.png", reuse=True)
    assert_same(read_untrusted(png(), name="x.png", reuse=True), first)
    assert sandbox._idle == [child]
    sandbox.release()
    assert child.returncode is not None and not sandbox._idle


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only GNU libc is told to keep memory")
def test_a_child_of_a_cohort_keeps_its_memory_for_the_next_film() -> None:
    file = io.BytesIO()
    Image.fromarray(np.tile(GREYS // 256, (16, 16)).astype(np.uint8)).save(file, "JPEG")

    def faults() -> int:
        sandbox.read_row(file.getvalue(), name="x.jpg", side=64)
        stat = Path(f"/proc/{sandbox._idle[0].pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[7])

    counts = [faults() for _ in range(4)]
    assert counts[3] - counts[2] < 200  # pages of 4 KB; a film of 4 MB needs 2,300 anew


PANIC = REAL.parents[1] / "cases" / "rle_panic_one_bit.dcm"


@pytest.mark.skipif(not PANIC.is_file(), reason="the case of a decoder's panic is not here")
def test_a_damaged_rle_film_is_refused() -> None:
    with pytest.raises(FilmError, match="cut short or damaged"):
        read_film(PANIC)
    assert "cut short or damaged" in reason(PANIC.read_bytes())
