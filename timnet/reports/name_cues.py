"""Names that something announces: titles, signatures, labels, lists of recipients, salutations, degrees.

Owns the announcing words in English, German, French, Spanish and Polish, and how far the name after them
goes. Its patterns work on `plain_text.plain`; what follows a cue is read word by word, so time is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from timnet.reports.names import PARTICLES, Span
from timnet.reports.ordinary_words import SPELLING
from timnet.reports.plain_text import any_of

MARK = "[name]"
_WORD = re.compile(r"\[name\]|[^\W\d_]+(?:['-][^\W\d_]+)*")
_MOST_WORDS = 8
_CAPITAL = re.compile(r"[ \t'-]{1,2}(?:(?:van|von|de|den|der|del|la|las|los)[ \t])?[A-Z]")
_NEW_LINE = re.compile(r"\n[ \t]{0,8}")
_ABBREVIATED = re.compile(r"v\.[ ]?(?:d\.[ ]?)?(?=[A-Z])")  # v.d. Berg
_GAP, _COLON = re.compile(r"[ \t]{0,2}[.^]?[ \t]{0,2}"), re.compile(r"[ \t]{0,3}:")
# With a capital they begin a sentence or go on with it, and are in nobody's name.
_STOP_WORDS = """
    at on the by and via with for who of in to is was has per from no there this as are he she we it not
    none same see unknown yes na findings impression technique comparison history indication exam
    examination report date befund beurteilung der im am um es ist wurde keine resultat conclusion le les
    pas il elle hallazgos tecnica el los se opis wnioski badanie w na z
    fax tel telefon phone pager ext mrn dob id dni nhc pesel ipp
    """
_STOP = frozenset(_STOP_WORDS.split())
# Words of a title: they belong to no name, and more of them may follow.
_TITLES = """
    dr drs mr mrs ms miss mx prof professor doctor med habil pd priv doz dipl oa herr herrn frau hr fr m mme
    mlle monsieur madame docteur pr sr sra srta senor senora don dona dra doctora pan pani pana lek hab n
    mgr inz rn np doc oberarzt oberarztin chefarzt assistenzarzt facharzt arzt arztin univ
    """
_TITLE_WORDS = frozenset(_TITLES.split())
_TITLES_OF_LOWER_CASE = frozenset(("dr", "drs", "mr", "mrs", "ms", "prof", "dra", "mme", "mlle"))
_LEFT, _RIGHT = r"(?<![^\W_])", r"(?![^\W_])"  # no letter or digit beside
_B = r"[ \t]{0,4}"
_SURE = any_of(r"dr\. drs\. mr\.? mrs\.? ms\.? prof\.? dra\.? mme mlle srta\.? sra\.?") + (
    r"|Drs?|Miss|Mx\.?|Doctor|Professor|Herrn?|Frau|Monsieur|Madame|Mademoiselle|Docteur|Senora?|Dona|Dna\.?"
    r"|Doctora"
    r"|(?!Fach)[A-Z][a-z]{2,20}arzt(?:in)?|Dhr\.|Mevr\.|Mw\.|[Pp]ani|Pan|Sr\."
)
_UNSURE = any_of("""
    dr drs doctor lekarz doktor medecin radiologue radiologo radiologa radiologist physician
    technologist surgeon doc nurse registrar matron midwife wife husband spouse son daughter mother
    father brother sister ehefrau ehemann tochter sohn epouse mari fille fils esposa esposo hija hijo
    madre padre zona maz corka syn
""") + (
    r"|M\.|D\.(?=[ ][A-Z][a-z]+[ ](?:(?:de|del|la|los|las)[ ])*[A-Z][a-z]{2})"
    r"|Hr\.|Fr\.|Pr\.?|OA|Don|[Ll]ek\.|[Pp]an[au]|p\.|[Mm]gr|Sir|Lady"
    r"|Nurse|Sister|Schwester|Pfleger|[Ii]nfirmiere?|[Ee]nfermer[ao]"
)
_TITLE = re.compile(
    rf"{_LEFT}(?<!\d )(?:(?P<sure>{_SURE})|{_UNSURE})(?:(?<=\.)|{_RIGHT})(?={_B}[^\W\d_]|{_B}\[)"
)
_CALLED = re.compile(
    rf"{_LEFT}(?:[Pp]atient(?:in|en|e)?|PATIENT(?:IN)?|[Pp]aciente|[Pp]acjent(?:a|ka|ki|ke)?|Pt\.?|Pat\.){_B}"
    r"(?=[A-Z]['\w-]{1,30}(?:[ ][A-Z][a-z]|,[ ][A-Z]['\w-]{1,30}(?:,|[ ](?:geb|born|DOB|nee?|ur)\b)))"
)
"""A patient without a colon: two words of a name at least, as one may be `Patient Intubated`."""
_TOLD = re.compile(rf"{_LEFT}(?i:with|by|to|from|per|told|cc)[ \t:]{{1,3}}DRS?[ \t]{{1,3}}(?=[A-Z])")
_BY = any_of("""
    dictated signed e-?signed (?:electronically|digitally)_(?:co)?signed co-?signed approved verified
    transcribed interpreted reviewed reported authenticated finali[sz]ed attested read ordered requested
    referred performed prepared entered typed validated authori[sz]ed released examined seen
""")
_SIGNED = re.compile(
    rf"{_LEFT}(?:{_BY}(?:[ \t](?:and|&)[ \t](?:electronically[ \t])?{_BY})?"
    r"(?:[ \t]{1,2}(?i:(?:electronically[ \t]|digitally[ \t])?by)|(?=[ \t]?:))|"
    + any_of(r"""
        /(?:e-?)?s(?:igned)?/ (?:electronic_)?signature(?=\s?:) signed(?=\s?[:,])
        (?:befundet|diktiert|freigegeben|validiert|unterzeichnet|signiert|unterschrieben|untersucht)_(?:von|durch)
        (?:erstellt|angefordert|uberwiesen|vidiert|geschrieben|gelesen)_(?:von|durch) gez\. i\.\s?[av]\.
        (?:unterschrift|gezeichnet|befundet|vidiert|freigegeben|diktiert|signiert|validiert)(?=\s?:)
        (?:lue?s?|dictee?|signee?|validee?|redigee?|interpretee?|realisee?|demandee?|adressee?|prescrite?)_par
        (?:vue?|relue?|signe_electroniquement)_par signe(?=\s?:)
        (?:firmado|dictado|informado|leido|revisado|validado|realizado|solicitado|remitido|redactado|visto)_por
        (?:firmado_(?:electronicamente|digitalmente)|transcrito)_por fdo\.? firma(?:do)?(?=\s?:)
        (?:opisane|podpisane|zatwierdzone|wykonane|zlecone|ocenione|skierowan[eya]|konsultowane)_przez
        (?:opisano|podpisano|zatwierdzono|wykonano|podpisano_elektronicznie)_przez podpis(?=\s?:)
        (?:opisal|podpisal|zatwierdzil|wykonal|zlecil|skierowal|konsultowal|autoryzowal|dyktowal)(?:a|\(a\)|/a)?(?!\w)
    """)
    + rf"){_B}(?P<colon>:)?{_B}"
)
_TOLD_TO = re.compile(
    _LEFT
    + any_of(r"""
        discussed_with d/w communicated_(?:to|with) called_to spoke_(?:with|to) reported_to relayed_to
        conveyed_to (?:to|from)(?=\s?:) told notified informed paged attention attn besprochen_mit
        discute_avec comentado_con omowiono_z
    """)
    + rf"{_B}:?[ \t]{{1,4}}"
)
_PATIENT = any_of(r"""
    patient(?:'s)?(?:in|e)?(?:_name)? (?:(?:first|last|family|given)_|sur)?name vorname nachname familienname
    prenom nom(?:_de_naissance)? paciente nombre apellidos? pacjent(?:ka)? imie(?:_i_nazwisko)?
    nazwisko(?:_i_imie)? geborene geb\. re
""")
_STAFF = any_of(r"""
    (?:referring|ordering|attending|requesting|reading|reporting)(?:_(?:physician|doctor|provider|radiologist))?
    (?:interpreting|consulting|primary_care|performing)(?:_(?:physician|doctor|provider|radiologist))?
    radiologist resident physician provider doctor consultant clinician surgeon nurse requested_by
    technologist technician radiographer dictator transcriptionist reader author contact next_of_kin
    emergency_contact operator fellow intern untersucher(?:in)?
    (?:zuweisende|uberweisende|befundende|behandelnde|anfordernde)r?_arzt(?:in)? arzt(?:in)?
    (?:zuweiser|uberweiser|befunder)(?:in)? einsender (?:ober|assistenz|fach|haus)arzt(?:in)? radiologe
    radiologin mtra? medecin(?:_(?:traitant|prescripteur|demandeur|radiologue|correspondant|referent))?
    radiologue prescripteur manipulat(?:eur|rice) interne operateur
    medicos?(?:_(?:solicitante|remitente|informante|tratante|radiologo|responsable))? radiolog[oa] tecnico
    facultativo solicitante lekarz(?:_(?:kierujacy|opisujacy|radiolog|zlecajacy|prowadzacy))? radiolog
    technik elektroradiolog
""")
_LABELLED = re.compile(
    rf"{_LEFT}(?:(?P<patient>{_PATIENT})|{_STAFF})(?:[ \t]?\([^\W\d_]{{1,4}}\))?(?:{_B}:|[ ]-(?=[ ])){_B}"
)
_COPIES = re.compile(
    _LEFT
    + any_of(r"""
        c\.?c\.? bcc cop(?:y|ies)(?:_sent)?(?:_to)? kopien?(?:_an)? verteiler nachrichtlich copies?_a
        (?:con_)?copia(?:_a)? kopia do_wiadomosci
    """)
    + rf"{_B}:{_B}"
)
_DEAR = re.compile(
    rf"{_LEFT}(?:"
    + any_of(r"""
        dear sehr_geehrte[rs]? liebe[rs]? chere? estimad[oa] querid[oa] szanown[yai]
        (?:lives|living|residing|resides)_(?:in|at) wohnhaft_in domicilie?e?_a residente_en
        zamieszkal[ya]?_w zam\.
    """)
    + r"[ \t]{1,4}|"
    + any_of(r"sincerely regards thank_you gru(?:ssen|ß|ßen) cordialement atentamente powazaniem")
    + rf"{_B}(?:[,.]?{_B}\n\s{{0,4}}|,[ ]))"
)
_ROLE = any_of(r"""
    (?:(?:staff|attending|consultant|chief)_)?radiologist consultant attending(?:_physician)? resident
    (?:fach|ober|chef)arzt\w{0,3} (?:medecin_)?radiologue (?:medico_)?radiolog[oa] lekarz(?:_radiolog)?
    radiolog specjalista
""")
_DEGREE = (
    r"M\.?D\.?|D\.O\.|Ph\.?D\.?|FRCR|FRCPC|FACR|FRANZCR|DNB|MBBS|MBChB|MRCP|R\.?N\.?|N\.?P\.?|PA-C|DO|R\.?T\.?\(R\)"
    r"|ARNP"
)
_AFTER = re.compile(rf"(?:,?[ \t]{{1,2}}(?:{_DEGREE}){_RIGHT})+")
_DEGREES = re.compile(
    rf"(?:,[ \t]{{0,2}}|(?<=[^\W\d_])[ \t]{{1,2}}(?=M\.?D))(?:{_DEGREE}|{_ROLE}){_RIGHT}"
    r"|[ ](?=is an? \d{1,3}[- ]?y)"
)
_BEFORE = re.compile(rf"{_LEFT}(?:[A-Z](?:\.|['\w-]{{1,30}})[ \t]{{1,2}}){{0,4}}[A-Z]['\w-]{{1,30}}$")
_AND = r"\b(?:and|und|et|y|i|oraz|e)\b"
_MORE = re.compile(rf"{_B}(?:[&/]|{_AND}){_B}(?:(?i:drs?|prof|mr|mrs|ms)\.?[ \t]{{1,2}})?")
_LIST = re.compile(rf"{_B}(?:[,;&/]|{_AND}){_B}\n?{_B}")


def spans(flat: str) -> Iterator[Span]:
    """Yield where a plain text has a name that something announces; spans may overlap."""
    for match in _TITLE.finditer(flat):
        lower = match[0].casefold().rstrip(".") in _TITLES_OF_LOWER_CASE
        yield from _several(flat, match.end(), sure=match["sure"] is not None, lower=lower)
    for match in _CALLED.finditer(flat):
        yield from _several(flat, match.end(), comma=True)
    for pattern in (_TOLD, _DEAR):
        for match in pattern.finditer(flat):
            yield from _several(flat, match.end(), sure=pattern is _TOLD)
    for match in _SIGNED.finditer(flat):
        yield from _several(
            flat, _next_line(flat, match.end()) if match["colon"] else match.end(), comma=True
        )
    for match in _TOLD_TO.finditer(flat):
        yield from _several(flat, match.end())
    for match in _LABELLED.finditer(flat):
        patient = match["patient"] is not None
        yield from _several(flat, match.end(), sure=not patient, comma=True, several=patient)
    for match in _COPIES.finditer(flat):
        yield from _several(flat, match.end(), separator=_LIST)
    for match in _DEGREES.finditer(flat):
        start = max(0, match.start() - 80)
        before = _BEFORE.search(flat[start : match.start()])
        if before and not _SIGNED.search(before[0]):
            words = before[0].split()
            while words and words[0].casefold() in SPELLING:
                words.pop(0)
            if words:
                yield match.start() - len(" ".join(words)), match.start()


def _next_line(flat: str, at: int) -> int:
    """Return the start of the next line's words where nothing is left of this one."""
    following = _NEW_LINE.match(flat, at)
    return following.end() if following else at


def _several(
    flat: str,
    at: int,
    *,
    sure: bool = False,
    lower: bool = False,
    comma: bool = False,
    several: bool = False,
    separator: re.Pattern[str] = _MORE,
) -> Iterator[Span]:
    """Yield the names that begin at a place, parted by `separator`."""
    for _ in range(20):
        found = _name(flat, at, sure, lower, comma, several)
        if found is None:
            return
        yield found
        following = separator.match(flat, found[1])
        if following is None:
            return
        at, sure, lower = following.end(), False, False


def _name(flat: str, at: int, sure: bool, lower: bool, comma: bool, several: bool) -> Span | None:
    """Return the name that begins at a place, or None.

    Args:
        flat: plain text.
        at: its first character, blanks and titles before it left out.
        sure: its first word may be one that reports use (Mrs. Small).
        lower: it may be in lower case (dr. roe).
        comma: it may be `Roe, Jane`.
        several: one word alone is none if reports use it (Patient: Unable).
    """
    start, end, count, new = at, at, 0, False
    usual, label = 0, comma or not sure
    for _ in range(_MOST_WORDS):
        at = _GAP.match(flat, end).end()  # type: ignore[union-attr]
        if count and comma and flat.startswith(", ", end):
            at, comma = end + 2, False
        elif count and "." in flat[end:at] and not _is_initial(flat[start:end].split()[-1]):
            break
        if particle := _ABBREVIATED.match(flat, at):
            at = particle.end()
        word = _WORD.match(flat, at)
        if word is None or re.fullmatch("X{2,}", word[0]):
            break
        if label and _COLON.match(flat, word.end()):  # a label, but no `Dear Dr. Roe:`
            break
        text = word[0]
        low = text.casefold()
        if text == MARK:
            pass
        elif low in _TITLE_WORDS and (len(text) > 1 or not count) and not _is_initial(text):
            if count:
                break
            start = end = word.end()
            continue
        elif not count and low in ("le", "la", "el") and _TITLE.match(flat, word.end() + 1):
            start = end = word.end()
            continue
        elif low in PARTICLES and text.islower() and _capital_follows(flat, word.end()):
            pass
        elif text[0].islower():
            ordinary = low in SPELLING or low in _STOP or len(text) < 3
            if not lower or count > 1 or ordinary or (count and re.search("(?:ed|ing|ly|s)$", low)):
                break
        elif low in PARTICLES and text.istitle() and _capital_follows(flat, word.end()):  # Mme Le Goff
            pass
        elif low in _STOP and not _is_initial(text):
            break
        elif low in SPELLING and not _is_initial(text):
            if (not count and not sure and not several) or (text.isupper() and (count or not sure)):
                break
            usual += 1
        if not count:
            start = at
        new |= text != MARK
        end, count = word.end(), count + 1
        lower = lower and text[0].islower()
    if not count or not new or (several and usual == count):
        return None
    if flat.startswith(".", end) and _is_initial(flat[start:end].split()[-1]):
        end += 1
    if after := _AFTER.match(flat, end):
        end = after.end()
    return start, end


def _is_initial(text: str) -> bool:
    return len(text) == 1 and text.isupper()


def _capital_follows(flat: str, at: int) -> bool:
    return _CAPITAL.match(flat, at) is not None
