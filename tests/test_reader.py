"""Reader: the same numbers whoever asks, maps at the film's own pixels, threads that share one in peace."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from timnet import config
from timnet.checkpoints import CheckpointError
from timnet.evaluation.calibration.record import MATCH
from timnet.films.film import Film, FilmError
from timnet.films.letterbox import Letterbox
from timnet.films.read import letterboxed, read_film
from timnet.model import encoders, weights
from timnet.model.branches import ImageBranch
from timnet.reader import Reader
from timnet.reading import ReadingError
from timnet.reports import edits, prompts

REPORT = "FINDINGS: There is an opacity in the left lung. The heart is normal in size.\nIMPRESSION: Opacity."


@pytest.fixture(scope="module")
def film():
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (90, 120), dtype=np.uint8)).save(file, format="PNG")
    return read_film(file.getvalue())


def test_a_match_is_what_the_network_says_of_the_letterboxed_film_and_the_findings(networks, film):
    reading = Reader.load(networks / "timnet").read(film, REPORT)
    timnet, spec, encoder = weights.load_timnet(networks / "timnet")
    square = np.rint(Letterbox(90, 120, 64).apply(film.pixels) * 255) / 255
    findings = "There is an opacity in the left lung. The heart is normal in size."
    with torch.inference_mode():
        v_image = timnet.image(torch.from_numpy(square.astype(np.float32))[None, None])[1]
        v_text = timnet.text.project(*encoder.states([findings], spec.tokens).batch([0]))
        expected = timnet.match(v_image, v_text).sigmoid().item()
    assert reading.match == pytest.approx(expected, abs=1e-4)


def test_each_sentence_is_asked_on_its_own(networks, film):
    reader = Reader.load(networks / "timnet")
    reading = reader.read(film, REPORT)
    told = ["There is an opacity in the left lung.", "The heart is normal in size."]
    assert [sentence for sentence, _ in reading.sentences] == told
    assert list(reading.maps) == [MATCH, *told]
    for sentence, probability in reading.sentences:
        assert probability == pytest.approx(reader.read(film, sentence).match, abs=1e-4)


SENTENCES = [
    f"The {n}th rib of the left side is intact and shows no fracture line at all." for n in range(40)
]


@pytest.mark.parametrize("place", [0, 20, 40])
def test_a_sentence_at_any_place_of_a_long_report_moves_the_match(networks, film, place):
    reader = Reader.load(networks / "timnet")
    added = [*SENTENCES[:place], "There is a huge right pneumothorax.", *SENTENCES[place:]]
    before, after = (reader.read(film, " ".join(text)).match for text in (SENTENCES, added))
    assert abs(before - after) > 1e-6


def test_sentences_beyond_the_longest_text_of_the_training_are_named(networks, film):
    reader = Reader.load(networks / "timnet")
    limit = reader.spec.tokens
    reading = reader.read(film, " ".join(SENTENCES))
    first = reading.beyond[0]
    assert reading.beyond == tuple(range(first, 41))
    # By the tokenizer's own offsets: the last token that fits lies in the sentence before.
    library = encoders.load(str(config.TEXT_ENCODER)).tokenizer
    fields = library(" ".join(SENTENCES), return_offsets_mapping=True)
    last = fields["offset_mapping"][: limit - 1][-1][1]
    assert len(" ".join(SENTENCES[: first - 1])) <= last < len(" ".join(SENTENCES[:first]))
    assert f"Sentences {first} to 40 end beyond the first {limit} tokens" in reading.long_text
    assert reading.as_dict()["sentences_beyond_training"] == list(range(first, 41))
    assert reader.read(film, SENTENCES[0]).long_text == ""


def test_a_single_sentence_is_the_whole(networks, film):
    reading = Reader.load(networks / "timnet").read(film, "Clear lungs.")
    assert reading.sentences == (("Clear lungs.", reading.match),)
    assert list(reading.maps) == [MATCH]


def test_a_classifier_gives_one_probability_and_one_map_a_label(networks, film):
    reading = Reader.load(networks / "classifier").read(film)
    classifier, _ = weights.load_classifier(networks / "classifier")
    square = np.rint(Letterbox(90, 120, 64).apply(film.pixels) * 255) / 255
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(square.astype(np.float32))[None, None]).sigmoid()[0]
    assert list(reading.probabilities) == list(reading.maps) == ["Effusion", "Edema"]
    assert list(reading.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert reading.match is None


def test_maps_come_back_at_the_films_own_pixels(networks, film):
    reading = Reader.load(networks / "classifier").read(film)
    assert reading.heat("Edema").shape == (90, 120)
    assert reading.overlay("Edema").shape == (90, 120, 3)
    assert reading.heat("Edema").dtype == np.float32
    assert reading.maps["Edema"].shape == (2, 2)
    assert reading.heat("Edema").max() <= reading.maps["Edema"].max() + 1e-6


def test_the_heat_of_a_corner_lies_in_that_corner_of_the_film(networks, film):
    import dataclasses

    grid = np.zeros((8, 8), np.float32)
    grid[2, 0] = 1
    reading = dataclasses.replace(Reader.load(networks / "classifier").read(film), maps={"corner": grid})
    row, column = np.unravel_index(reading.heat("corner").argmax(), (90, 120))
    # The letterbox of 90 x 120 in 64 keeps rows 8 to 56; row 2 of 8 cells lies at 16 to 24.
    assert column < 15
    assert 10 < row < 35


def test_eight_threads_get_what_one_gets(networks, film):
    reader = Reader.load(networks / "timnet")
    texts = [f"Sentence number {i}. There is an opacity." for i in range(10)]
    alone = [reader.read(film, text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: reader.read(film, texts[i % 10]), range(80)))
    for i, reading in enumerate(together):
        assert reading.match == alone[i % 10].match
        assert (reading.maps[MATCH] == alone[i % 10].maps[MATCH]).all()


def test_the_readings_json_has_each_sentence_beside_its_number_with_names_marked(networks, film):
    reading = Reader.load(networks / "timnet").read(film, f"{EDITED} Compared with 12/03/2021 by Dr. Zzphi.")
    told = json.loads(json.dumps(reading.as_dict()))
    assert [each["probability"] for each in told["sentences"]] == [p for _, p in reading.sentences]
    assert [each["sentence"] for each in told["sentences"]][:-1] == [s for s, _ in reading.sentences[:-1]]
    assert "[date]" in told["sentences"][-1]["sentence"] and "Zzphi" not in json.dumps(told)
    assert told["film"] == {"rows": 90, "columns": 120, "kind": "png", "sha256": film.sha256}
    assert told["checkpoint"] == "timnet"
    assert told["research_use"] == config.RESEARCH_USE
    assert (told["section_read"], told["trust"]) == (reading.section, reading.trust) and reading.trust
    assert told["explanation"] is None


@pytest.mark.parametrize("findings", ["", "   \n", "INDICATION: Cough."])
def test_a_match_without_findings_is_refused(networks, film, findings):
    with pytest.raises(ReadingError, match="findings: expected the text"):
        Reader.load(networks / "timnet").read(film, findings)
    with pytest.raises(ReadingError, match="findings: timnet matches X-rays with reports"):
        Reader.load(networks / "timnet").read(film)


def test_a_classifier_refuses_text_and_unknown_maps_are_named(networks, film):
    reader = Reader.load(networks / "classifier")
    with pytest.raises(ReadingError, match="without text"):
        reader.read(film, "Clear.")
    with pytest.raises(ReadingError, match="expected one of Effusion, Edema, got 'Mass'"):
        reader.read(film).heat("Mass")


def test_a_missing_checkpoint_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"^nothing: no checkpoint"):
        Reader.load(tmp_path / "nothing")


EDITED = "The heart is enlarged. There is a small left effusion. Right lung is clear."


def test_every_edit_is_asked_as_the_edited_text_would_be(networks, film):
    reader = Reader.load(networks / "timnet")
    reading = reader.edited(film, EDITED)
    assert reading.match == pytest.approx(reader.read(film, EDITED).match, abs=1e-4)
    assert [edit.text for edit, _ in reading.edits] == [edit.text for edit in edits.every(EDITED)[0]]
    assert list(reading.maps) == [MATCH, *(edit.name for edit, _ in reading.edits)]
    for edit, probability in reading.edits:
        alone = reader.read(film, edit.text)
        assert probability == pytest.approx(alone.match, abs=1e-4)
        np.testing.assert_allclose(reading.maps[edit.name], alone.maps[MATCH], atol=1e-4)


def test_a_texts_map_is_its_evidence_over_that_of_the_normal_texts(networks, film):
    reader = Reader.load(networks / "timnet")
    reading = reader.read(film, EDITED)
    normal = [reader.read(film, text).alone[MATCH] for text in prompts.normal()]
    assert list(reading.alone) == list(reading.maps)
    for name, of_text in reading.alone.items():
        np.testing.assert_allclose(reading.maps[name], of_text - np.mean(normal, 0), atol=1e-4)
    assert np.abs(reading.maps[MATCH] - reading.alone[MATCH]).max() > 1e-3
    # Compared with nothing, the positive part is Grad-CAM's; HiResCAM is the same behind a mean.
    seen = reader.see(film)
    library = reader.by_library(reading, seen, MATCH, "HiResCAM", EDITED).maps[MATCH]
    positive = np.maximum(reading.alone[MATCH], 0)
    span = positive.max() - positive.min()
    np.testing.assert_allclose(library, (positive - positive.min()) / span, atol=1e-4)


def test_normal_texts_that_cannot_be_used_are_told_in_the_readers_own_error(networks, film, monkeypatch):
    def broken():
        raise prompts.PromptError("prompts.toml: expected a list of normal texts (KeyError)")

    monkeypatch.setattr(prompts, "normal", broken)
    with pytest.raises(ReadingError, match=r"^prompts\.toml: expected a list of normal texts"):
        Reader.load(networks / "timnet").read(film, EDITED)
    Reader.load(networks / "classifier").read(film)


def test_a_classifiers_maps_are_compared_with_nothing(networks, film):
    reading = Reader.load(networks / "classifier").read(film)
    for name, of_label in reading.alone.items():
        assert (reading.maps[name] == of_label).all()


def test_a_film_is_taken_through_the_trunk_once_for_all_questions(networks, film, monkeypatch):
    forwards: list[int] = []
    grid = ImageBranch.grid
    monkeypatch.setattr(ImageBranch, "grid", lambda *asked: (forwards.append(1), grid(*asked))[1])
    reader = Reader.load(networks / "timnet")
    whole = reader.edited(film, EDITED)
    assert len(forwards) == 1 and len(whole.edits) == 9
    seen = reader.see(film)
    again, read = reader.edited(seen, EDITED), reader.read(seen, EDITED)
    assert len(forwards) == 2
    assert again.edits == whole.edits and read.film is film
    assert read.match == reader.read(film, EDITED).match


def test_edits_and_what_they_explain_are_in_the_json(networks, film):
    reader = Reader.load(networks / "timnet")
    reading = reader.read(film, EDITED).explained(reader.edited(film, EDITED).edits)
    told = reading.as_dict()
    assert told["explanation"] == reading.explanation.sentence
    assert list(told["edits"])[:3] == ["remove 1", "negate 1", "remove 2"]


def test_a_classifier_has_no_edits_and_empty_findings_neither(networks, film):
    with pytest.raises(ReadingError, match="without text"):
        Reader.load(networks / "classifier").edited(film, EDITED)
    with pytest.raises(ReadingError, match="findings: expected the text"):
        Reader.load(networks / "timnet").edited(film, "\n")


def test_a_film_matches_texts_by_their_vectors_as_it_matches_the_texts(networks, film):
    reader = Reader.load(networks / "timnet")
    texts = ["The heart is enlarged.", "Clear lungs.", "There is a small left effusion."]
    matches = reader.matches(reader.see(film), reader.matcher.text_vectors(texts))
    assert matches.tolist() == pytest.approx([reader.read(film, text).match for text in texts], abs=1e-4)


def test_a_classifier_has_no_vectors_of_texts(networks, film):
    reader = Reader.load(networks / "classifier")
    with pytest.raises(ReadingError, match="without text"):
        reader.matcher.text_vectors(["Clear."])
    with pytest.raises(ReadingError, match="without text"):
        reader.matches(reader.see(film), torch.zeros(1, 512))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The same greys as a path, as bytes, in memory and as a Film."""
    rng = np.random.default_rng(1)
    greys = rng.integers(0, 256, (80, 70), dtype=np.uint8)
    path = tmp_path_factory.mktemp("films") / "film.png"
    Image.fromarray(greys).save(path)
    return [path, str(path), path.read_bytes(), greys, (greys / 255).astype(np.float32), read_film(path)]


def test_a_film_may_be_a_path_bytes_greys_or_a_film(networks, several):
    reader = Reader.load(networks / "classifier", device="cpu")
    read = [reader.read(each) for each in several]
    for reading in read[1:]:
        assert reading.probabilities == pytest.approx(dict(read[0].probabilities), abs=1e-6)


def test_many_films_are_read_as_each_alone(networks, several):
    for name, findings in (("classifier", None), ("timnet", ["Clear lungs.", *[REPORT] * 5])):
        reader = Reader.load(networks / name, device="cpu")
        alone = [reader.read(film, text) for film, text in zip(several, findings or [None] * 6, strict=True)]
        together = reader.read_many(several, findings, batch=4)
        for one, other in zip(alone, together, strict=True):
            assert other.probabilities == pytest.approx(dict(one.probabilities), abs=1e-5)
            assert other.match == (one.match if one.match is None else pytest.approx(one.match, abs=1e-5))


def test_maps_of_many_films_are_made_where_they_are_asked_for(networks, several):
    for name, findings in (("classifier", None), ("timnet", [REPORT] * 6)):
        reader = Reader.load(networks / name, device="cpu")
        alone = reader.read(several[0], REPORT if findings else None)
        without, made = (reader.read_many(several, findings, maps=maps)[0] for maps in (False, True))
        assert set(made.maps) == set(alone.maps)
        for key, map_hw in made.maps.items():
            np.testing.assert_allclose(map_hw, alone.maps[key], atol=1e-5)
        assert without.maps == {}
        assert without.sentences == tuple((told, pytest.approx(p, abs=1e-5)) for told, p in alone.sentences)
        with pytest.raises(ReadingError, match="maps=True"):
            without.heat(next(iter(made.maps)))


def test_many_films_need_the_findings_of_each(networks, several):
    with pytest.raises(ReadingError, match="expected those of each X-ray, got 5"):
        Reader.load(networks / "timnet", device="cpu").read_many(several, [REPORT] * 5)


def test_the_numbers_of_squares_are_those_of_the_films(networks, several):
    squares_BSS = np.stack([letterboxed(read_film(several[0]), 64)] * 3)
    texts = ["Clear lungs.", "There is an opacity in the left lung. Normal heart.", "Clear lungs."]
    reader = Reader.load(networks / "timnet", device="cpu")
    expected = [[reader.read(several[0], text).match] for text in texts]
    np.testing.assert_allclose(reader.numbers(squares_BSS, texts), expected, atol=1e-5)
    reader = Reader.load(networks / "classifier", device="cpu")
    expected = [list(reader.read(several[0]).probabilities.values())] * 3
    np.testing.assert_allclose(reader.numbers(squares_BSS), expected, atol=1e-5)


def test_a_films_vector_is_the_one_that_it_is_searched_by(networks, several):
    reader = Reader.load(networks / "timnet", device="cpu")
    vectors_ND = reader.embed(several, batch=4)
    assert vectors_ND.shape == (6, 512)
    np.testing.assert_allclose(
        vectors_ND[:1], reader.matcher.film_vectors(reader.see(several[0]).grid_1Chw), atol=1e-5
    )
    assert len(Reader.load(networks / "classifier").embed(several)) == 6


@pytest.mark.parametrize(
    ("greys", "told"),
    [
        (np.zeros((4, 4), np.uint8), "one grey value"),
        (np.zeros((4, 4, 3), np.uint8), "the shape"),
        (np.array([[0.0, 2.0]]), r"in \[0, 1\]"),
        (np.array([[0, 2]], np.int64), "got int64"),
        (np.array([[0, np.nan]]), r"in \[0, 1\]"),
    ],
)
def test_greys_that_are_no_film_are_refused(greys, told):
    with pytest.raises(FilmError, match=told):
        Film.from_array(greys)
