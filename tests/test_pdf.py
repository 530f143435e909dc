"""The page to print: one page, the right words, nothing of whom the film is, the same bytes each time.

The PDF is opened again by the few rules of ISO 32000 that it uses: objects, Flate streams, ToUnicode maps.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from timnet import config
from timnet import pdf as sheet
from timnet.cards import Card, Result
from timnet.evaluation.calibration.probability import Line
from timnet.evaluation.calibration.record import Certainty
from timnet.films.film import Film
from timnet.films.read import read_film
from timnet.reader import Reader
from timnet.reading import Reading, ReadingError

REPORT = "FINDINGS: There is a small left effusion. The heart is normal in size."


@dataclass(frozen=True)
class Opened:
    """What a PDF holds."""

    objects: dict[int, bytes]
    words: str
    images: list[np.ndarray]
    pages: int
    info: bytes


def opened(pdf: bytes) -> Opened:
    """Read a PDF as fpdf2 writes it: no object streams, two-byte text, Flate with PNG predictors."""
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", pdf)[1])  # type: ignore[index]
    assert pdf[start : start + 5] == b"xref\n"
    places = [int(place) for place in re.findall(rb"(\d{10}) 00000 n", pdf[start:])]
    objects = {}
    for number, place in enumerate(places, 1):
        assert pdf[place:].startswith(b"%d 0 obj\n" % number)
        objects[number] = pdf[place : pdf.index(b"\nendobj", place)]
    page = next(each for each in objects.values() if b"/Type /Page\n" in each)
    fonts = re.findall(rb"/(F\d+) (\d+) 0 R", b"".join(objects.values()))
    maps = {name: _unicode(objects, objects[int(number)]) for name, number in fonts}
    words, font = [], b""
    text = _stream(objects[_reference(page, b"Contents")])
    for token in re.finditer(rb"/(F\d+) [\d.]+ Tf|\(((?:[^()\\]|\\.)*)\) Tj", text, re.DOTALL):
        font = token[1] or font
        if token[2] is not None:
            codes = re.sub(
                rb"\\(.)",
                lambda found: {b"r": b"\r", b"n": b"\n"}.get(found[1], found[1]),
                token[2],
                flags=re.DOTALL,
            )
            words.append("".join(maps[font][code] for code in np.frombuffer(codes, ">u2").tolist()))
    images = [_image(each) for each in objects.values() if b"/Subtype /Image" in each]
    info = objects[_reference(pdf[start:], b"Info")]
    pages = int(re.search(rb"/Count (\d+)", b"".join(objects.values()))[1])  # type: ignore[index]
    return Opened(objects, "\n".join(words), images, pages, info)


def _reference(data: bytes, name: bytes) -> int:
    return int(re.search(rb"/%s (\d+) 0 R" % name, data)[1])  # type: ignore[index]


def _stream(data: bytes) -> bytes:
    body = data[data.index(b"stream\n") + 7 : data.rindex(b"\nendstream")]
    return zlib.decompress(body) if b"/FlateDecode" in data else body


def _unicode(objects: dict[int, bytes], font: bytes) -> dict[int, str]:
    told = _stream(objects[_reference(font, b"ToUnicode")])
    pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]{4})>\n", told.partition(b"beginbfchar")[2])
    return {int(code, 16): chr(int(letter, 16)) for code, letter in pairs}


def _image(data: bytes) -> np.ndarray:
    height, width, colours = (
        int(re.search(rb"/%s (\d+)" % key, data)[1])  # type: ignore[index]
        for key in (b"Height", b"Width", b"Colors")
    )
    rows = np.frombuffer(_stream(data), np.uint8).reshape(height, 1 + width * colours)
    # A PNG with these scanlines: Pillow undoes the predictors.
    file = io.BytesIO()
    header = np.array([width, height], ">u4").tobytes() + bytes([8, {1: 0, 3: 2}[colours], 0, 0, 0])
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")):
        file.write(len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big"))
    file.seek(0)
    return np.asarray(Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + file.getvalue())))


@pytest.fixture(scope="module")
def film() -> Film:
    file, told = io.BytesIO(), PngInfo()
    told.add_text("PatientName", "ZZPHI^TEST")
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG", pnginfo=told)
    return read_film(file.getvalue(), name="ZZPHI-99887766.png")


@pytest.fixture(scope="module")
def matched(networks, film) -> Reading:
    return Reader.load(networks / "timnet").read(film, REPORT)


@pytest.fixture(scope="module")
def diagnosed(networks, film) -> Reading:
    return Reader.load(networks / "classifier").read(film)


def test_a_match_stands_on_one_page_with_its_words_numbers_and_fingerprints(matched: Reading) -> None:
    measured = "On real X-rays (Theirs, 304 X-rays): auROC 0.56 (0.51 to 0.60), little better than chance."
    card = Card(format=1, summary="Good for starting, not for judging.", trained_on=())
    page = opened(sheet.page(replace(matched, trust=measured, card=card), "match"))
    assert page.pages == 1
    words = page.words.replace("\n", " ")
    assert words.count(config.RESEARCH_USE) == 2
    assert f"Match probability {matched.match:.3f}" in words
    for sentence, probability in matched.sentences:
        assert f"{probability:.3f} {sentence}" in words
    assert card.summary in words
    # Beside the number, before anything else is said about it.
    assert f"Match probability {matched.match:.3f} {measured}" in words
    assert matched.film.sha256 in words and matched.weights_sha256 in words
    assert config.MAP_LIMITS in words
    assert "90 rows x 120 columns" in words and "simulated" not in words.lower()


def test_a_classifiers_labels_stand_on_the_page_likeliest_first(diagnosed: Reading) -> None:
    page = opened(sheet.page(diagnosed, "Edema", simulated=True))
    told = [line for line in page.words.splitlines() if line in diagnosed.probabilities]
    assert told == sorted(diagnosed.probabilities, key=lambda label: -diagnosed.probabilities[label])
    for label, probability in diagnosed.probabilities.items():
        assert f"{probability:.3f}\n{label}" in page.words
    assert "With the map of: Edema" in page.words
    assert "Simulated X-ray, not a patient's" in page.words
    assert "This network has no model card." in page.words
    assert "Never measured on real X-rays." in page.words


def test_a_label_too_weak_for_a_word_is_said_on_the_page(diagnosed: Reading) -> None:
    told = {"dataset": "Theirs", "real": True, "label": "Edema", "value": 0.64, "images": 9, "command": "x"}
    card = Card(format=1, summary="s", trained_on=(), results=(Result(**told),))
    lines = {"Edema": Line(low=0.0, high=0.0)}
    page = opened(
        sheet.page(replace(diagnosed, card=card, certainty=Certainty("", "", "", "", lines)), "Edema")
    )
    words = " ".join(page.words.split())
    assert "Not sure whatever the number: Edema (auROC on real X-rays below 0.7" in words
    assert "Edema: not sure (on real X-rays: auROC 0.64)" in words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "left edge R, right edge L (assumed)"),
        ({"orientation": ("R", "F")}, "left edge L, right edge R"),
        ({"view": "LATERAL"}, "sides not marked"),
    ],
)
def test_the_page_says_the_sides_and_the_notes_of_a_film(
    diagnosed: Reading, fields: dict[str, Any], words: str
) -> None:
    noted = replace(diagnosed.film, notes=("window 900/700", "text is burned into the image"), **fields)
    found = opened(sheet.page(replace(diagnosed, film=noted), "Edema")).words.replace("\n", " ")
    assert words in found and ("assumed" in found) is ("assumed" in words)
    assert "Notes on the X-ray window 900/700; text is burned into the image" in found


def test_film_and_map_on_the_page_are_the_readings_own_pixels(diagnosed: Reading) -> None:
    plain, painted = opened(sheet.page(diagnosed, "Edema")).images
    assert (plain == np.rint(diagnosed.film.pixels * 255)).all()
    assert (painted == diagnosed.overlay("Edema")).all()


def test_the_same_reading_gives_the_same_bytes_and_no_date(matched: Reading) -> None:
    first = sheet.page(matched, "match")
    assert sheet.page(replace(matched, seconds=matched.seconds + 1), "match") == first
    assert re.findall(rb"\(D:(\d+)", first) == [b"19700101000000"]


def test_nothing_of_the_file_or_its_name_is_on_the_page(matched: Reading) -> None:
    page = opened(sheet.page(matched, "match"))
    everything = b"".join(_stream(each) if b"stream\n" in each else each for each in page.objects.values())
    assert b"ZZPHI" not in everything and b"99887766" not in everything
    assert "ZZPHI" not in page.words
    assert re.findall(rb"/(\w+) \(", page.info) == [b"CreationDate", b"Title"]


def test_names_dates_and_numbers_in_the_words_are_marked_in_the_table_and_in_the_maps_name(
    networks, film
) -> None:
    text = "Effusion as on 12/03/2021, MRN 99887766. Compared by Dr. Zzphi."
    reading = Reader.load(networks / "timnet").read(film, text)
    for name in reading.maps:
        words = opened(sheet.page(reading, name)).words
        assert not any(told in words for told in ("12/03/2021", "99887766", "Zzphi"))
        assert "[date]" in words and "[name]" in words


def test_letters_of_many_languages_are_written_and_others_replaced_and_counted(networks, film) -> None:
    text = "Kleiner Erguß ≥ 2 µm – łagodny. Плевральный выпот. Υπεζωκοτική. 心影增大。 \u202egnorw"
    reading = Reader.load(networks / "timnet").read(film, text)
    words = opened(sheet.page(reading, "match")).words
    for told in ("Kleiner Erguß ≥ 2 µm – łagodny.", "Плевральный выпот.", "Υπεζωκοτική."):
        assert told in words
    assert "心" not in words and "����" in words
    assert "4 characters that this page's font does not hold are shown as �." in words
    assert "\u202e" not in words


def test_a_long_text_stays_on_one_page_and_says_how_much_is_left_out(matched: Reading) -> None:
    long = replace(
        matched, sentences=tuple((f"Sentence {i}, {'which goes on ' * 12}.", 0.5) for i in range(200))
    )
    page = opened(sheet.page(long, "match"))
    shown = len(re.findall(r"Sentence \d+,", page.words))
    assert page.pages == 1 and 0 < shown < 200
    assert f"and {200 - shown} more sentences, for which this page has no room." in page.words
    assert long.film.sha256 in page.words
    # No baseline below the margin: A4 in points.
    heights = [float(y) for y in re.findall(rb"BT [\d.]+ ([\d.]+) Td", _stream(page.objects[4]))]
    assert heights and min(heights) > 28


@pytest.mark.parametrize("shape", [(400, 40), (40, 400)])
def test_a_tall_or_flat_film_leaves_room_for_the_numbers(diagnosed: Reading, shape: tuple[int, int]) -> None:
    pixels = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    page = opened(sheet.page(replace(diagnosed, film=replace(diagnosed.film, pixels=pixels)), "Edema"))
    assert page.pages == 1 and diagnosed.film.sha256 in page.words


def test_a_map_that_is_not_there_is_refused(diagnosed: Reading) -> None:
    with pytest.raises(ReadingError, match="expected one of Effusion, Edema"):
        sheet.page(diagnosed, "Mass")
