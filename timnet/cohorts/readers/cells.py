"""What the cells of a table say: split, age, sex, view and label, in the words of several languages.

Owns which words count as missing, positive, negative and uncertain (English, German, French, Spanish,
Portuguese, Italian, Polish). A word of two meanings is none of them: a label of it is refused by RowError.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

from timnet.cohorts.records import UNCERTAIN
from timnet.errors import TimnetError
from timnet.films.hanging import view_of

SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val",
    "validation": "val", "dev": "val", "test": "test", "testing": "test",
}  # fmt: skip
LATERAL = "LATERAL"
MAX_AGE = 120.0
# What programs write for a missing value, and what people do.
_MISSING = frozenset(
    [
        "", "na", "n/a", "n.a", "nan", "-nan", "#n/a", "#na", "<na>", "none", "null", "(null)", r"\n",
        "#null!", "nil", "#nv", "#n/d", "#n/d!", "n/d", "s/d", "k.a",
    ]
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?", re.ASCII)
_LABEL_WORDS = {
    1.0: "true t yes y positive pos + present ja j wahr positiv vorhanden oui vrai v positif si s verdadero "
    "positivo presente sim verdadeiro vero tak prawda dodatni obecny",
    0.0: "false f no n negative neg absent nein falsch negativ nicht|vorhanden non faux negatif falso "
    "negativo ausente nao assente nie fałsz ujemny nieobecny",
    UNCERTAIN: "uncertain unsure equivocal indeterminate unsicher unklar fraglich incertain douteux "
    "indetermine incierto dudoso indeterminado incerto duvidoso dubbio niepewny",
    math.nan: "unknown missing not|available not|mentioned not|stated not|known unbekannt nicht|angegeben "
    "keine|angabe inconnu non|renseigne desconocido no|consta desconhecido sconosciuto nieznany",
}
_LABELS = {word.replace("|", " "): value for value, words in _LABEL_WORDS.items() for word in words.split()}
_BY_COLUMN: dict[str, tuple[tuple[str, float], ...]] = {
    "o": (("n", 1.0),),
    "-": (("+", 0.0), ("0", math.nan), ("1", math.nan)),
}
"""Signs of two meanings: which one holds beside which other sign of the column."""
_AGE = re.compile(r"0*(\d{1,3}(?:[.,]\d+)?)[\s-]*([a-z][a-z./]*?|)(?:[\s-]*old)?", re.ASCII)
_UNIT_WORDS = {
    1.0: "a y yr yrs yo y/o year years jahr jahre jahren an ans ano anos anno anni rok roku lat lata",
    12.0: "m mo mos mon month months mth mths monat monate monaten mois mes meses mesi",
    52.18: "w wk wks week weeks woche wochen semaine semaines semana semanas",
    365.25: "d day days tag tage tagen jour jours dia dias giorni",
}
_PER_YEAR = {"": 1.0} | {word: number for number, words in _UNIT_WORDS.items() for word in words.split()}
_SEX_WORDS = {
    "M": "m male man boy mannlich mann homme masculin h hombre masculino maschio uomo mezczyzna",
    "F": "f female woman girl w weiblich frau femme feminin mujer femenino feminino femminile donna "
    "k kobieta",
    "O": "o other d divers diverse intersex",
}
_SEX = {word: sex for sex, words in _SEX_WORDS.items() for word in words.split()}


class RowError(TimnetError):
    """Why a row is left out."""


def known(cell: str) -> str:
    """Return a cell without the blanks around it; "" where it only says that nothing is known (NA, null)."""
    cell = cell.strip()
    return "" if len(cell) < 8 and cell.rstrip(".").lower() in _MISSING else cell


def split(cell: str) -> str | None:
    """Return the split that a cell names, None where it is missing; RowError for another word."""
    word = _word(known(cell))
    if word and word not in SPLIT_WORDS:
        raise RowError("split is none of train, val, test")
    return SPLIT_WORDS.get(word)


def age(cell: str) -> float | None:
    """Return an age in years (`58`, `058Y`, `006M`, `64,5`, `3 Monate`); None where it is none up to 120."""
    found = _AGE.fullmatch(_word(cell))
    if not found or (unit := found[2].replace(".", "")) not in _PER_YEAR:
        return None
    years = float(found[1].replace(",", ".")) / _PER_YEAR[unit]
    return years if years <= MAX_AGE else None


def sex(cell: str) -> str | None:
    """Return M, F or O (PS3.3 C.7.1.1) for a word of several languages; None for any other."""
    return _SEX.get(_word(cell))


def view(cell: str) -> str | None:
    """Return a view as `hanging.view_of` names it, else in upper case; None where it is missing."""
    word = " ".join(known(cell).upper().split())
    return view_of(word) or word or None


def label(name: str, cell: str, signs: Collection[str] = ()) -> float:
    """Return the value of a label: 0 to 1, UNCERTAIN, or nan where it is unknown.

    Args:
        name: of the label, for messages.
        cell: its value in a row.
        signs: cells of one character that the column holds, in lower case.

    Raises:
        RowError: another number, or a word that is not known.
    """
    text = _word(known(cell))
    if not text:
        return math.nan
    value = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else _LABELS.get(text, math.inf)
    if text in _BY_COLUMN:
        value = next((meant for other, meant in _BY_COLUMN[text] if other in signs), math.inf)
    if not (value == UNCERTAIN or math.isnan(value) or 0 <= value <= 1):
        raise RowError(f"label {name} is none of 0, 1, -1, a number between 0 and 1, or blank")
    return value


def verdict(name: str, cell: str) -> float:
    """Return the value of a label that is 1, 0 or UNCERTAIN, nan where unknown; RowError for any other."""
    try:
        value = label(name, cell)
    except RowError:
        value = math.inf
    if value not in (0.0, 1.0, UNCERTAIN) and not math.isnan(value):
        raise RowError(f"label {name} is none of 1, 0, -1, or blank")
    return value


@lru_cache(maxsize=4096)  # most cells say what others said
def _word(cell: str) -> str:
    """Return a cell in lower case, without accents, in single blanks and with a plain minus."""
    cell = cell.strip()
    if not cell.isascii():
        parts = unicodedata.normalize("NFKD", cell).replace("\u2212", "-")
        cell = "".join(part for part in parts if not unicodedata.combining(part))
    return " ".join(cell.casefold().split()).removesuffix(".")
