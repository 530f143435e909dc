"""Report text: headers, findings and sentences on written examples, on hostile text and as properties."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timnet.reports import section_names
from timnet.reports.report_text import extract, findings, sections, sentences

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough.  // pneumonia?

 COMPARISON:  ___.

 FINDINGS:

 LUNGS: The lungs are clear.  Compared to ___ at 5:00 p.m., no
 change.
 HEART: Normal size.

 IMPRESSION:

 1.  No acute cardiopulmonary process.
 2.  Stable 1.8 cm nodule.
"""
WORDS = "LUNGS: The lungs are clear. Compared to ___ at 5:00 p.m., no change. HEART: Normal size."


def test_a_report_is_split_at_its_headers() -> None:
    assert {header: " ".join(body.split()) for header, body in sections(REPORT).items()} == {
        "": "FINAL REPORT",
        "examination": "CHEST (PA AND LAT)",
        "indication": "___ year old woman with cough. // pneumonia?",
        "comparison": "___.",
        "findings": WORDS,
        "impression": "1. No acute cardiopulmonary process. 2. Stable 1.8 cm nodule.",
    }


@pytest.mark.parametrize(
    "header",
    [
        "FINDINGS", "IMPRESSION", "INDICATION", "HISTORY", "CLINICAL HISTORY", "TECHNIQUE", "COMPARISON",
        "CONCLUSION", "FINDINGS AND IMPRESSION", "EXAMINATION", "EXAM", "REASON FOR EXAM",
    ],
)  # fmt: skip
def test_each_usual_header_is_known_inline_at_a_start_and_alone(header: str) -> None:
    expected = {"": "Before.", header.lower(): "Some words."}
    assert sections(f"Before. {header}: Some words.") == expected
    assert sections(f"Before.\n  {header.title()} : Some words.") == expected
    assert sections(f"Before.\n{header}\nSome words.") == expected


def test_a_text_without_headers_is_one_section() -> None:
    assert sections(" The lungs are clear.\nFindings are stable. ") == {
        "": "The lungs are clear.\nFindings are stable."
    }
    assert sections("") == {"": ""}


def test_a_header_within_a_word_or_a_sentence_in_lower_case_is_text() -> None:
    text = "Compared to the prior\n  study: unchanged. There is one impression: normal. REEXAM: no."
    assert sections(text) == {"": text}


def test_the_bodies_of_a_repeated_header_are_joined() -> None:
    assert sections("FINDINGS: One.\nIMPRESSION: Two.\nFINDINGS: Three.") == {
        "findings": "One.\n Three.",
        "impression": "Two.",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (REPORT, WORDS),
        ("FINDINGS:\nIMPRESSION: Normal  chest.", "Normal chest."),
        ("FINDINGS: ___.\nIMPRESSION: Normal chest.", "Normal chest."),
        ("FINDINGS: Clear.\nIMPRESSION: A much longer impression than that.", "Clear."),
        ("INDICATION: Cough. FINDINGS AND IMPRESSION: Clear.", "Clear."),
        ("HISTORY: Cough.\nCONCLUSION: Clear.", "Clear."),
        ("The lungs\n are clear.", "The lungs are clear."),
        ("INDICATION: Cough.\nTECHNIQUE: PA.", ""),
        ("COMPARISON: ___.\n \n FRONTAL VIEW OF THE CHEST: Clear.\n \n IMPRESSION: Normal.", "Clear."),
        ("COMPARISON: ___.\n \n LUNGS: Clear.\n \n IMPRESSION: Normal.", "Normal."),
        ("FINDINGS: Clear.\n CHEST: Normal heart.", "Clear. CHEST: Normal heart."),
        (
            "COMPARISON:  ___.\n \n As compared to ___, no\n change.\n \n Clear.",
            "As compared to ___, no change. Clear.",
        ),
        ("COMPARISON:\n\n None.", ""),
        ("INDICATION: Cough.\n\nRECOMMENDATION: Repeat.\n\nSoon.", ""),
        ("FINDINGS:\nIMPRESSION:\n", ""),
        ("", ""),
        (" \n\t", ""),
        ("...", ""),
    ],
)
def test_findings_are_the_section_or_the_impression_or_the_free_text(text: str, expected: str) -> None:
    assert findings(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("Clear lungs", ["Clear lungs"]),
        ("Clear. Normal heart.", ["Clear.", "Normal heart."]),
        ("A 1.8 cm. nodule of 0.5 mm. Clear.", ["A 1.8 cm. nodule of 0.5 mm.", "Clear."]),
        (
            "Seen by Dr. X. Smith at 5 a.m. on ___. Clear.",
            ["Seen by Dr. X. Smith at 5 a.m. on ___.", "Clear."],
        ),
        ("Told to Dr. ___ at 5 p.m. The tube is low.", ["Told to Dr. ___ at 5 p.m.", "The tube is low."]),
        ("1. No effusion. 2. Clear.", ["1. No effusion.", "2. Clear."]),
        ("1. No effusion\n2) Large\n heart\n- Clear", ["1. No effusion", "2) Large heart", "- Clear"]),
        ("Edema vs. pneumonia, e.g. lobar. Stable.", ["Edema vs. pneumonia, e.g. lobar.", "Stable."]),
        ("Series no. 5 is poor. Effusion: no. Clear.", ["Series no. 5 is poor.", "Effusion: no.", "Clear."]),
        ("Is it new? Yes! (See above.) Clear.", ["Is it new?", "Yes!", "(See above.)", "Clear."]),
        ("Clear lungs\n\nNormal heart", ["Clear lungs", "Normal heart"]),
        ("the heart is normal . the lungs are clear .", ["the heart is normal .", "the lungs are clear ."]),
        ("No acute disease. .", ["No acute disease. ."]),
        ("Fracture of rib 2. No effusion.", ["Fracture of rib 2.", "No effusion."]),
        ("Hepatitis C. No effusion.", ["Hepatitis C.", "No effusion."]),
        ("Compared to Dec. 3, 2019. Clear.", ["Compared to Dec. 3, 2019.", "Clear."]),
        ("Prior of Jan. 5. Clear.", ["Prior of Jan. 5.", "Clear."]),
        ("Clear...No change. 5 mm.No mass.", ["Clear...", "No change.", "5 mm.", "No mass."]),
        ("\u2022 Clear \u2022 Stable", ["\u2022 Clear", "\u2022 Stable"]),
        (
            "Lt. lung clear. Post-op. changes. Hx. of TB.",
            ["Lt. lung clear.", "Post-op. changes.", "Hx. of TB."],
        ),
        ("Env. 3 cm. Stable.", ["Env. 3 cm.", "Stable."]),
        (
            "Dr. med. M\u00fcller sagt z. b. nichts. Klar.",
            ["Dr. med. M\u00fcller sagt z. b. nichts.", "Klar."],
        ),
        ("V.a. Pneumonie. Z.n. Bypass.", ["V.a. Pneumonie.", "Z.n. Bypass."]),
        ("Lunge li. frei. Klar.", ["Lunge li. frei.", "Klar."]),
        ("Fracture of the rib. lungs clear.", ["Fracture of the rib.", "lungs clear."]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


# Of the list of github.com/MIT-LCP/mimic-cxr, txt/section_parser.py, and slips of the same kind.
MISSPELT = {
    "findings": "findins findindgs findgings findngs findnings finidngs findigns fidings finding findingd",
    "impression": "impresson imprression imoression impressoin imprssion impresion imperssion mpression "
    "impession impessions inpression",
    "indication": "idication ndication indicaton indcation indicaiton",
    "comparison": "comparision comparson comaprison",
    "technique": "tecnique techinque technqiue",
    "conclusion": "conlusion conclusoin",
}
SLIPS = [(right, wrong) for right, all_wrong in MISSPELT.items() for wrong in all_wrong.split()]


@pytest.mark.parametrize(("right", "wrong"), SLIPS)
def test_a_misspelt_header_counts_as_the_one_it_resembles(right: str, wrong: str) -> None:
    kinds = [names for names in map(section_names.of, section_names.KINDS) if right in names]
    for header in (wrong.upper(), wrong.capitalize()):
        (found,) = sections(f"{header}: Small effusion.")
        assert found and any(found in kind for kind in kinds)


@pytest.mark.parametrize(
    "label", ["Lungs", "Heart", "Bones", "Compression", "Occlusion", "Contusion", "Depression", "Medication",
              "Infection", "Region", "Lines", "Tubes", "Pleura", "Cardiomediastinum", "Other findings",
              "Inclusion"]
)  # fmt: skip
def test_a_part_of_the_chest_or_another_word_is_no_misspelt_header(label: str) -> None:
    for text in (f"{label}: normal.", f"{label.upper()}: NORMAL.", f"No effusion. {label}: normal."):
        assert sections(text) == {"": text}


CLEAR, NORMAL = "The lungs are clear. No effusion.", "Normal chest radiograph."
LAYOUTS = [
    "{f}: {clear} {i}: {normal}",
    "{f}: The lungs are clear. No effusion {i}: {normal}",
    "Comparison: None. {f}: {clear} {i}: {normal}",
    "Indication: Chest pain, rule out pneumothorax. {f}: {clear} {i}: {normal}",
    "Clinical details: cough.\n{f}:\n{clear}\n{i}:\n{normal}",
    "Clinical information: Cough. {f}: {clear} {i}: {normal}",
    "1. {f}: {clear}\n2. {i}: {normal}",
    "## {f}\n{clear}\n\n## {i}\n{normal}",
    "# Chest\n\n### {f}:\n\n{clear}\n\n### {i}:\n\n{normal}",
    "**{f}:** {clear}\n\n**{i}:** {normal}",
    "**{f}**: {clear} **{i}**: {normal}",
    "**{f}**\n\n{clear}\n\n**{i}**\n\n{normal}",
    "__{f}:__ {clear}\n__{i}:__ {normal}",
    "- {f}: {clear}\n- {i}: {normal}",
    "{f}\n========\n{clear}\n\n{i}\n----------\n{normal}",
    "{f}\n{clear}\n\n{i}\n{normal}",
    "{f} - {clear}\n{i} - {normal}",
    "{f} \u2013 {clear}\n{i} \u2013 {normal}",
    "{f} :\n- The lungs are clear\n- No effusion.\n{i} : {normal}",
    "{f} (PA and lateral): {clear}\n{i} (final): {normal}",
    "| Section | Text |\n|---|---|\n| {f} | {clear} |\n| {i} | {normal} |",
    "| {f} | {i} |\n|:---|---:|\n| {clear} | {normal} |",
    "Technique: PA.\r\n\r\n{f}: {clear}\r\n\r\n{i}: {normal}\r\n\r\nRecommendation: None.",
    "{f}: {clear}\n{i}: {normal}\nNotification: Dr. X at 10:30.\nElectronically signed by: X",
    "EXAM: Chest\nREASON FOR EXAM: Flu\nWET READ: Large mass.\n{f}: {clear}\n{i}: {normal}\nADDENDUM: None.",
    "Klinische Angaben: Husten. Fragestellung: Infiltrat? {f}: {clear} {i}: {normal}",
    "Indication : toux. Technique : face. {f} : {clear} {i} : {normal}",
    "Motivo de consulta: tos. T\u00e9cnica: PA. {f}: {clear} {i}: {normal} Recomendaciones: ninguna.",
]  # fmt: skip
TITLES = [
    ("Findings", "Impression"), ("FINDINGS", "IMPRESSION"), ("Report", "Conclusion"), ("Report", "Opinion"),
    ("Findings", "Comment"), ("Befund", "Beurteilung"), ("R\u00e9sultats", "Conclusion"),
    ("Hallazgos", "Impresi\u00f3n"), ("HALLAZGOS", "IMPRESION"), ("Findings", "Summary"),
]  # fmt: skip


@pytest.mark.parametrize(("f", "i"), TITLES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_findings_end_where_the_impression_begins_in_any_layout(layout: str, f: str, i: str) -> None:
    found = extract(layout.format(f=f, i=i, clear=CLEAR, normal=NORMAL))
    assert (found.findings.rstrip("."), found.section) == (CLEAR.rstrip("."), "findings")
    assert found.impression == ("" if i == "Comment" else NORMAL)


def test_headers_in_lower_case_count_where_a_sentence_begins() -> None:
    text = "indication: cough. findings: the lungs are clear. impression: normal."
    assert extract(text).findings == "the lungs are clear."
    assert extract("findings:\nclear lungs.\nimpression:\nnormal.").impression == "normal."
    assert findings("The lungs show a stable\nimpression: of the clips. Clear.") == (
        "The lungs show a stable impression: of the clips. Clear."
    )


@pytest.mark.parametrize(
    "text",
    [
        "INDICATION cough FINDINGS {clear} IMPRESSION {normal}",
        "Clinical History: cough. Findings. {clear} Impression. {normal}",
        "FINDINGS. {clear} IMPRESSION. {normal}",
        "Findings \u2013 {clear} Impression \u2013 {normal}",
        "Findings - {clear} Impression - {normal}",
        "Findings\n{clear}\nImpression\n{normal}",
        "findings\n{clear}\nimpression\n{normal}",
        "FINDINGS:{clear}IMPRESSION:{normal}",
        "[FINDINGS]\n{clear}\n[IMPRESSION]\n{normal}",
        "<FINDINGS>\n{clear}\n<IMPRESSION>\n{normal}",
        "--FINDINGS--\n{clear}\n--IMPRESSION--\n{normal}",
        "HISTORY; cough\nFINDINGS;\n{clear}\nIMPRESSION;\n{normal}",
        "Findings- {clear}\nImpression- {normal}",
        "FINDINGS = {clear}\nIMPRESSION = {normal}",
        "FINDINGS | {clear}\nIMPRESSION | {normal}",
        "I. Findings: {clear}\nII. Impression: {normal}",
        "A. FINDINGS: {clear} B. IMPRESSION: {normal}",
        "<p><b>FINDINGS:</b> {clear}</p><p><b>IMPRESSION:</b> {normal}</p>",
        "<div>Findings:<br/>{clear}<br>Impression:&nbsp;{normal}</div>",
        "Hx: cough. Findings: {clear} Imp: {normal}",
        "Untersuchungsbefund: {clear} Beurteilung: {normal}",
        "Befnud: {clear} Beurteilnug: {normal}",
        "Reprot: {clear} Impression: {normal}",
        "Wskazania: kaszel. Opis badania: {clear} Wnioski: {normal}",
        "Datos cl\u00ednicos: tos. Informe radiol\u00f3gico: {clear} Juicio diagn\u00f3stico: {normal}",
        "Motif : toux. Description : {clear} Au total : {normal}",
        "Radiological Findings: {clear} Radiological Impression: {normal}",
        "FINDINGS: {clear}\nATTESTATION: I have reviewed the images.\nIMPRESSION: {normal}",
        "FINDINGS: {clear}\nElectronically signed by John Smith, MD\nIMPRESSION: {normal}",
        "AP CHEST, 6:08 A.M., ___\n\nFINDINGS: {clear}\n\nIMPRESSION: {normal}",
    ],
)
def test_headers_without_a_colon_in_tags_or_short_are_headers(text: str) -> None:
    clear, normal = "The lungs are clear. No effusion.", "Normal chest."
    found = extract(text.format(clear=clear, normal=normal))
    assert (found.findings, found.section, found.impression) == (clear, "findings", normal)


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS are consistent with pneumonia. See IMPRESSION of the prior.",
        "There is an IMPRESSION on the esophagus. Limited exam. Findings of edema.",
        "Compared with the study <3 days ago> and lung > 5 cm.",
    ],
)
def test_names_of_sections_amid_a_sentence_are_words(text: str) -> None:
    assert findings(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PA and lateral chest X-ray. IMPRESSION: Pneumonia.", "Pneumonia."),
        ("XR Chest.\nHISTORY: Cough.\nIMPRESSION: Pneumonia.", "Pneumonia."),
        ("AP CHEST, 6:08 A.M., ___\n\nHISTORY: Flu.\n\nIMPRESSION:  Mild edema.", "Mild edema."),
        ("HISTORY: Cough\n\nClear lungs.\n\nElectronically signed by: J. Smith", "Clear lungs."),
        ("HISTORY:\n\nFever.\n\nEvaluate for right pneumonia.", ""),
        ("Clinical details: SOB\n\nClear lungs.\n\nDr A Smith\nConsultant radiologist", "Clear lungs."),
        ("Befund: Kein Erguss.\nMit freundlichen Gr\u00fc\u00dfen\nDr. M\u00fcller", "Kein Erguss."),
        ("FINDINGS: Clear. Results conveyed to the ED. Dr. Smith aware.", "Clear."),
        ("FINDINGS: Clear. The referring clinician has been contacted.", "Clear."),
        ("FINDINGS: Clear. Message left with nurse Jones.", "Clear."),
    ],
)
def test_titles_purposes_and_who_signed_are_no_findings(text: str, expected: str) -> None:
    assert findings(text) == expected


def test_statements_one_a_line_are_sentences_and_wrapped_lines_are_not() -> None:
    lines = ["Lungs clear", "Heart normal", "No pleural effusion", "Bones intact"]
    for text in ("\n".join(lines), "FINDINGS:\n" + "\n".join(lines), "Findings: " + "\n".join(lines)):
        assert sentences(findings(text)) == [*(f"{line}." for line in lines[:-1]), lines[-1]]
    words = (
        "The right internal jugular line ends in the upper SVC. Dr. Foley Catheter Of Lung Apex And Base. "
    )
    for width in range(60, 110):
        text = textwrap.fill("FINDINGS: " + words * 5, width)
        assert findings(text) == (words * 5).strip()


NOTHINGS = [
    "Described in impression.", "Refer to impression for details.", "Not dictated.", "Not reported", "Null",
    "nan", "TBD", "Pending.", "same", "ditto", "idem", "Report to follow.", "Please refer to the comment.",
    "siehe Befund", "wie oben", "voir ci-dessus", "ver informe", "Brak.", "jak wy\u017cej",
    "None", "None.", "NONE", "N/A", "n/a.", "NA", "Nil", "-", "--", ".", "___", "See impression",
    "See impression.", "See impression below.", "Please see the impression.", "As above", "as above.",
    "See above.", "As per impression", "Not applicable.", "[see impression]", "(See below)",
    "Refer to impression.", "**See impression**", "siehe oben", "s. Beurteilung", "Keine.", "N\u00e9ant",
    "Voir conclusion.", "Ninguno.", "Ver impresi\u00f3n",
]  # fmt: skip


@pytest.mark.parametrize("nothing", NOTHINGS)
def test_a_section_that_says_nothing_is_none(nothing: str) -> None:
    assert extract(f"FINDINGS: {nothing}\nIMPRESSION: Large effusion.").findings == "Large effusion."
    assert extract(f"Findings: {nothing} Impression: Large effusion.").section == "impression"
    assert extract(f"FINDINGS: Large effusion.\nIMPRESSION: {nothing}").impression == ""
    assert findings(nothing) == ""


@pytest.mark.parametrize(
    "words",
    [
        "Normal.",
        "No change.",
        "None of the ribs is broken.",
        "Clear",
        "Unremarkable.",
        "No findings.",
        "Nil acute.",
    ],
)
def test_a_short_section_that_says_something_is_read(words: str) -> None:
    assert findings(f"FINDINGS: {words}\nIMPRESSION: Other.") == words


@pytest.mark.parametrize(
    "message",
    [
        "Dr. X was informed at 10:30.",
        "Findings discussed with Dr. Smith by phone at 5 p.m.",
        "These findings were communicated to ___ by telephone at 9:15 AM.",
        "The results were discussed with the referring physician.",
        "The ward was called at 14:05.",
        "This was paged to the ED resident.",
        "The clinical team was notified by e-mail.",
    ],
)
def test_who_was_informed_is_no_finding(message: str) -> None:
    for text in (
        "FINDINGS: Large mass. {} No effusion.",
        "Large mass. {} No effusion.",
        "{} Large mass. No effusion.",
    ):
        assert findings(text.format(message)) == "Large mass. No effusion."
    assert findings(f"IMPRESSION: Large mass. {message}") == "Large mass."


@pytest.mark.parametrize(
    "sentence",
    [
        "The tension pneumothorax was discussed with Dr. X at 10:30.",
        "Dr. X was informed that the tube is too low.",
        "The right lung is called clear by the team.",
        "Large hiatal hernia reported to Dr. Lee.",
        "Dr. Lee was notified of the oesophageal intubation.",
        "The ward was called at 3:05 about a swallowed coin.",
        "A goitre was discussed with the surgeon.",
    ],
)
def test_a_message_that_names_a_finding_is_read(sentence: str) -> None:
    assert findings(f"FINDINGS: {sentence}") == sentence


@pytest.mark.parametrize(
    "thanks",
    [
        "Thank you for referring this patient.",
        "Many thanks for the referral.",
        "Vielen Dank für die Überweisung.",
        "Merci de nous avoir adressé cette patiente.",
        "Gracias por remitir a este paciente.",
    ],
)
@pytest.mark.parametrize("gap", [" ", "\n", "\n\n"])
def test_what_follows_a_sentence_of_thanks_is_read(thanks: str, gap: str) -> None:
    for before in ("", "Dear Dr. Roe,\n\n", "Sehr geehrte Frau Kollegin,\n", "Cher confrère,\n"):
        assert findings(f"{before}{thanks}{gap}Large effusion.") == "Large effusion."
    assert (
        findings(f"FINDINGS: Large effusion.\n{thanks}{gap}Rib fracture.") == "Large effusion. Rib fracture."
    )


@pytest.mark.parametrize(
    ("text", "section", "expected"),
    [
        ("The lungs are clear.", "whole text", "The lungs are clear."),
        ("FINAL REPORT\nThe lungs are clear.", "whole text", "The lungs are clear."),
        ("The lungs are clear.\nImpression: Normal.", "text before the headers", "The lungs are clear."),
        ("CHEST X-RAY PA\nImpression: Normal.", "impression", "Normal."),
        ("Clinical details: Cough.\nComment: Clear lungs.", "comment", "Clear lungs."),
        ("COMPARISON: None.\nFrontal view of the chest: Clear.", "views", "Clear."),
        ("WET READ: Large effusion.", "wet read", "Large effusion."),
        ("ADDENDUM: Large effusion.", "addendum", "Large effusion."),
        ("HISTORY: Cough.\n\nThe lungs are clear.", "text after the headers", "The lungs are clear."),
        ("HISTORY: Cough.\nTECHNIQUE: PA.", "", ""),
    ],
)
def test_an_extract_says_which_section_was_read(text: str, section: str, expected: str) -> None:
    assert (extract(text).section, extract(text).findings) == (section, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HISTORY: cough. The lungs are clear.", "The lungs are clear."),
        ("INDICATION: Cough.\nThe heart is enlarged. No change.", "The heart is enlarged. No change."),
        ("Indication: fall. Fever. No pneumothorax. Ribs intact.", "No pneumothorax. Ribs intact."),
        ("EXAM: Chest. HISTORY: cough. Small left pleural effusion.", "Small left pleural effusion."),
        (
            "Klinische Angaben: Husten. Die Lungen sind frei. Kein Erguss.",
            "Die Lungen sind frei. Kein Erguss.",
        ),
        ("Indication : toux. Pas d'épanchement pleural.", "Pas d'épanchement pleural."),
        ("Motivo: tos. Los pulmones están limpios.", "Los pulmones están limpios."),
        ("Wskazania: kaszel. Płuca bez zmian.", "Płuca bez zmian."),
        ("HISTORY: The lungs are clear.", ""),
        ("HISTORY: Cough. Fever for 3 days. Right-sided chest pain.", ""),
        ("HISTORY: Dyspnea. Known left effusion. Status post right pneumothorax.", ""),
        ("HISTORY: Cough. Evaluate for left effusion.", ""),
        ("HISTORY: Cough. Left effusion?", ""),
        ("HISTORY: Cough. Heart failure. No fever.", ""),
    ],
)
def test_what_is_seen_behind_a_history_is_read(text: str, expected: str) -> None:
    assert (extract(text).findings, extract(text).section) == (
        expected,
        "text after the headers" if expected else "",
    )


@pytest.mark.parametrize("header", ["ADDENDUM", "Addendum", "ADDENDUM (5 p.m.)", "NACHTRAG", "ADENDA"])
@pytest.mark.parametrize("section", ["findings", "impression"])
def test_an_addendum_of_the_film_is_read_with_the_findings(header: str, section: str) -> None:
    text = f"HISTORY: Cough.\n{section.upper()}: No effusion.\n{header}: "
    read = extract(text + "Small right apical pneumothorax.")
    assert read.findings == "No effusion. Small right apical pneumothorax."
    assert read.section == f"{section} and addendum"
    for nothing in ("None.", "Dr. X was informed at 10:30.", "The order number was corrected."):
        assert (extract(text + nothing).findings, extract(text + nothing).section) == (
            "No effusion.",
            section,
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FINDINGS:\n1. Large effusion\n2. No pneumothorax", ["1. Large effusion.", "2. No pneumothorax"]),
        (
            "1. Large effusion 2. No pneumothorax 3. Clear",
            ["1. Large effusion", "2. No pneumothorax", "3. Clear"],
        ),
        ("1. Fracture of rib 2. No effusion.", ["1. Fracture of rib 2.", "No effusion."]),
        ("1) Large effusion 2) Clear.", ["1) Large effusion", "2) Clear."]),
        ("- Large effusion\n- No pneumothorax", ["Large effusion.", "No pneumothorax"]),
        ("* Large\n  effusion\n\u2022 Clear", ["Large effusion.", "Clear"]),
        ("LUNGS: Clear\nHEART: Normal", ["LUNGS: Clear.", "HEART: Normal"]),
        ("Large effusion\n\nNo pneumothorax", ["Large effusion.", "No pneumothorax"]),
        ("The effusion of the\n\nLeft side.", ["The effusion of the Left side."]),
        ("Clear lungs.No effusion.", ["Clear lungs.", "No effusion."]),
        ("Small bilat. effusions. R. lung is clear.", ["Small bilat. effusions.", "R. lung is clear."]),
        ("No. 3 is a 5.5 cm mass vs. scar, e.g. old.", ["No. 3 is a 5.5 cm mass vs. scar, e.g. old."]),
        (
            "| Region | Finding |\n|---|---|\n| Lungs | Clear |\n| Pleura | Effusion |",
            ["Lungs: Clear.", "Pleura: Effusion"],
        ),
    ],
)
def test_findings_on_one_line_keep_their_statements_apart(text: str, expected: list[str]) -> None:
    assert sentences(findings(text)) == expected


@pytest.mark.parametrize("case", ["22-mimic-section-header-typos", "24-one-line-title-case-report"])
def test_reports_with_misspelt_or_one_line_headers_are_read(case: str) -> None:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / case
    if not folder.is_dir():
        pytest.skip(f"the reports of {case} are not beside the repository (shared/cases)")
    for line in (folder / "expected.txt").read_text(encoding="utf-8").splitlines():
        name, expected = line.split("\t")
        assert findings((folder / "reports" / f"{name}.txt").read_text(encoding="utf-8")) == expected


PIECES = st.sampled_from(
    [
        "FINDINGS:",
        "IMPRESSION:",
        "Dr.",
        "1.",
        "2)",
        "1.8",
        "cm.",
        "a.m.",
        "no.",
        "___",
        ".",
        "?!",
        "-",
        "\n",
        "\n\n",
        " ",
        "\t",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=30).map(" ".join)


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_sentences_hold_every_word_in_order_and_none_is_empty(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence.strip() for sentence in found)


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_sections_keep_every_word_beside_their_headers(text: str) -> None:
    kept = "".join(header + body for header, body in sections(text).items())
    letters = [Counter(filter(str.isalnum, each.lower())) for each in (kept, text)]
    assert letters[0] <= letters[1]  # a table's rows become items with a hyphen and a colon


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_findings_are_words_of_the_report_on_one_line(text: str) -> None:
    found = findings(text)
    assert found == " ".join(found.split())
    assert found == "" or any(character.isalpha() for character in found)
    # A full stop may be added where a line ended a statement.
    words = {word.rstrip(".") for body in sections(text).values() for word in body.split()}
    assert {word.rstrip(".") for word in found.split()} <= words


@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        " ",
        "\t",
        " \t-",
        "\n \n",
        "HISTORY: \n",
        "A VIEW",
        "FINDINGS a ",
        "<p",
        "[Aaa",
        "Aaaa. ",
        "A" * 29 + "\n",
        "\n CHEST:",
        "FINDINGS",
        "FINDINGS: ",
        "Findings   ",
        "*",
        "1. ",
        "Ab: ",
        ": ",
        "|findings|x|\n|-|\n",
        "1. A 2. B ",
        "Dr. X informed 10:30. ",
        "HISTORY: A. No heart no lung ",
    ],
)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    findings(text)
    sentences(text)
    assert time.process_time() - started < 10  # seconds; a quadratic step would take minutes


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u2009 "])
def test_blanks_between_words_take_linear_time_and_say_nothing(blank: str) -> None:
    started = time.process_time()
    text = f"Findings: Clear{blank * 80_000}lungs. No{blank * 80_000}effusion."
    assert sentences(findings(text)) == ["Clear lungs.", "No effusion."]
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        "Ergebnis: Kept.\nBeurteilung: Left.",
        "Befund: Kept.\nFazit: Left.",
        "Reperto: Kept.\nConclusione: Left.",
        "Hallazgos: Kept.\nJuicio: Left.",
        "Hallazgos: Kept.\nDiagnóstico: Left.",
        "Opis: Kept.\nKonkluzja: Left.",
        "FINDINGS：Kept。IMPRESSION：Left。",
    ],
)
def test_further_headers_and_full_width_signs_part_a_report(text: str) -> None:
    assert findings(text) == "Kept."
