"""The names of a report's sections in five languages, and how they are recognised.

Data first: what each name opens. A misspelt name of six letters or more counts as the name it resembles, as
in the section parser of MIMIC-CXR (github.com/MIT-LCP/mimic-cxr, txt/section_parser.py), which lists the
misspellings of that collection one by one.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import lru_cache

FINDINGS = (
    "findings and impression", "findings & impression", "findings/impression", "impression and findings",
    "impression/findings", "findings and conclusion", "findings", "finding", "chest findings",
    "x-ray findings", "chest x-ray findings", "cxr findings", "imaging findings", "radiographic findings",
    "radiological findings", "radiology findings", "observations", "befund", "befunde", "röntgenbefund",
    "befund und beurteilung", "untersuchungsbefund", "radiologischer befund", "résultats", "résultat",
    "constatations", "hallazgos", "hallazgo",
    "hallazgos radiológicos", "opis", "opis badania",
)  # fmt: skip
REPORT = (
    "report", "reports", "chest x-ray report", "x-ray report", "radiology report", "body of report",
    "description", "result", "results", "narrative", "bericht", "compte rendu", "informe",
    "informe radiológico", "descripción", "analyse",
    "ergebnis", "ergebnisse", "reperto", "reperti", "referto",
    "provisional report", "resultado", "resultados", "wynik", "wynik badania",
)  # fmt: skip
IMPRESSION = (
    "impressions", "impression", "final impression", "conclusions", "conclusion", "opinion", "summary",
    "interpretation", "impression and recommendation", "impression and recommendations",
    "conclusion and recommendations", "beurteilung", "zusammenfassung", "interprétation", "synthèse",
    "impresión", "impresión diagnóstica", "conclusión", "conclusiones",
    "imp", "impr", "au total", "en conclusion", "juicio diagnóstico", "impresión radiológica",
    "radiological impression", "radiographic impression", "radiologist's impression", "wnioski", "wniosek",
    "fazit", "juicio", "conclusione", "conclusioni", "konkluzja", "konkluzje",
)  # fmt: skip
COMMENT = (
    "comment",
    "comments",
    "assessment",
    "diagnosis",
    "diagnose",
    "dx",
    "kommentar",
    "commentaire",
    "comentario",
    "diagnóstico",
)
PRELIMINARY = ("wet read", "preliminary read", "preliminary report")
ADDENDUM = ("addendum", "addenda", "nachtrag", "ergänzung", "complément", "adenda", "uzupełnienie")
CIRCUMSTANCES = (
    "clinical history", "clinical information", "clinical indication", "clinical indications",
    "clinical data", "clinical details", "clinical detail", "clinical question", "clinical notes",
    "clinical summary", "clinical context", "clinical info", "clinical", "relevant history",
    "patient history", "history", "history and indication", "indications", "indication",
    "indication and comparison", "presenting complaint", "reason for examination", "reason for exam",
    "reason for the exam", "reason for this examination", "reason for study", "reason for the study",
    "reason for referral", "reason for request", "reason", "request", "referral", "examinations",
    "examination", "exam", "exams", "exam type", "type of examination", "study", "views", "view",
    "number of views", "procedure", "procedures", "technique", "techniques", "technical factors",
    "protocol", "modality", "comparison studies", "comparisons", "comparison", "prior studies",
    "previous studies", "previous imaging", "fragestellung", "klinische angaben", "klinische angabe",
    "klinische fragestellung", "klinische informationen", "anamnese", "indikation",
    "rechtfertigende indikation", "technik", "voraufnahmen", "voraufnahme", "vergleich", "untersuchung",
    "renseignements cliniques", "contexte clinique", "histoire clinique", "motif", "motif de l'examen",
    "antécédents", "comparaison", "comparatif", "examen", "indicación", "indicaciones", "motivo",
    "motivo de consulta", "motivo del estudio", "datos clínicos", "información clínica", "historia clínica",
    "antecedentes", "técnica", "comparación", "estudio", "exploración", "hx", "indications for exam",
    "indication for exam", "klinik", "wskazania", "skierowanie", "dane kliniczne", "rozpoznanie",
    "rozpoznanie kliniczne", "badanie", "technika", "porównanie", "wywiad",
)  # fmt: skip
OTHER = (
    "recommendations", "recommendation", "notifications", "notification", "communication", "communications",
    "critical results", "critical result", "advice", "attestation", "disclaimer", "signature", "dictated",
    "transcribed", "dictated by", "electronically signed",
    "electronically signed by", "signed by", "signed", "reported by", "read by", "transcribed by",
    "verified by", "approved by", "reporting radiologist", "radiologist", "attending radiologist",
    "empfehlung", "empfehlungen", "recommandation", "recommandations", "recomendación", "recomendaciones",
    "zalecenia",
)  # fmt: skip
_LEAST_LIKE, _SHORTEST = 0.86, 6
"""How alike a misspelt name must be (difflib's ratio: one slip in eight letters), and its fewest letters."""


def _plain(name: str) -> str:
    """Return a name in lower case, without diacritics, doubled spaces or spaces around a sign."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter)).replace("’", "'")
    return re.sub(r"\s*([/-])\s*", r"\1", " ".join(bare.split()))


ALL = (*FINDINGS, *REPORT, *IMPRESSION, *COMMENT, *PRELIMINARY, *ADDENDUM, *CIRCUMSTANCES, *OTHER)
LONGEST = max(map(len, ALL)) + 2
_BY_PLAIN = {_plain(name): name for name in reversed(ALL)}
_LONG = [name for name in _BY_PLAIN if len(name) >= _SHORTEST]


@lru_cache(4096)
def exact(name: str) -> str:
    """Return the section name that a name is, whatever its case and accents; "" where it is none."""
    return _BY_PLAIN.get(_plain(name), "")


@lru_cache(4096)
def known(name: str) -> str:
    """Return the section name that a name is or misspells; "" where it is none."""
    plain = _plain(name)
    if plain in _BY_PLAIN or not _SHORTEST <= len(plain) <= LONGEST:
        return _BY_PLAIN.get(plain, "")
    # A slip leaves the first or the last three letters: other names need no long comparison.
    anagrams = [each for each in _LONG if each[0] == plain[0] and sorted(each) == sorted(plain)]
    if anagrams:  # two letters exchanged
        return _BY_PLAIN[anagrams[0]]
    near = [each for each in _LONG if each[:3] == plain[:3] or each[-3:] == plain[-3:]]
    return "".join(_BY_PLAIN[each] for each in difflib.get_close_matches(plain, near, 1, _LEAST_LIKE))
