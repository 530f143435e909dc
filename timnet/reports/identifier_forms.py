"""Dates, numbers and addresses in a report, by their form, in five languages.

Owns the patterns for English, German, French, Spanish and Polish, which work on `plain_text.plain` in linear
time. Measurements, ratios, levels of the spine, times of day and years alone are none of these.
"""

from __future__ import annotations

import re

from timnet.reports.plain_text import any_of

_LONG_MONTHS = """
    january february march april june july august september october november december januar janner februar
    marz maerz mai juni juli oktober dezember janvier fevrier mars avril juin juillet aout septembre octobre
    novembre decembre enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre
    noviembre diciembre stycznia lutego marca kwietnia maja czerwca lipca sierpnia wrzesnia pazdziernika
    listopada grudnia styczen luty marzec kwiecien maj czerwiec lipiec sierpien wrzesien pazdziernik
    listopad grudzien styczniu lutym marcu kwietniu maju czerwcu lipcu sierpniu wrzesniu pazdzierniku
    listopadzie grudniu
"""
_SHORT_MONTHS = """
    jan feb mar apr may jun jul aug sep sept oct nov dec mrz okt dez janv fevr fev avr juil ene abr ago set
    dic sty lut kwi maj cze lip sie wrz paz lis gru
"""


def _months(names: str, lower: bool = True) -> str:
    """Match one of lower-case names capitalised, in capitals, and as it stands unless `lower` is False."""
    ordered = sorted(set(names.split()), key=lambda name: (-len(name), name))
    first = {name: f"[{name[0]}{name[0].upper()}]" if lower else name[0].upper() for name in ordered}
    return "(?:" + "|".join(f"{first[n]}(?:{n[1:]}|{n[1:].upper()})" for n in ordered) + ")"


_ORDINALS = any_of(r"""
    (?:(?:twenty|thirty)[-\s]?)?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth) tenth
    eleventh twelfth (?:thir|four|fif|six|seven|eigh|nine)teenth twentieth thirtieth
    (?:ein|zwei|drei|vier|funf|sechs|sieben|acht|neun)undzwanzigste[nr]? (?:einund)?drei(?:ss|ß)igste[nr]?
    (?:ers|zwei|drit|vier|funf|sechs|sieb|siebt|ach|neun|zehn|elf|zwolf|zwanzigs)te[nr]?
    (?:drei|vier|funf|sech|sieb|acht|neun)zehnte[nr]? premier
    (?:vingt|trente)(?:[-\s]et[-\s]un|-(?:deux|trois|quatre|cinq|six|sept|huit|neuf))? deux trois quatre
    cinq six sept huit neuf dix(?:-sept|-huit|-neuf)? onze douze treize quatorze quinze seize primero uno
    dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieci\w{3,6}
    veint(?:e|i\w{2,6}) treinta(?:\sy\suno)?
    (?:(?:dwu|trzy)dziestego\s)?(?:pierwszego|drugiego|trzeciego|czwartego|piatego|szostego|siodmego|osmego|dziewiatego)
    dziesiatego \w{3,10}nastego dwudziestego trzydziestego
""")

_GAP = r"[ \t]{1,2}"
_NO_UNIT = r"(?![ \t]*(?:mm|cm|ml|cc|x|×|%)\b|[ \t]*[%×])"
_DAY, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:(?:19|20)\d\d)"
_SUFFIX = r"(?:st|nd|rd|th|er|º|°|ª|\.)?"
_OF = r"(?:of|de|del|d'|le|the|dnia)"
_TWO_DIGITS = r"'\d\d(?!\d)|(?<=[ ,/-])\d\d(?![\d:]|\.\d)"
_YEAR_AFTER = rf"(?:\.?[ \t,/-]{{0,2}}(?:(?:{_OF}[ \t]{{1,2}})?{_YEAR}(?!\d)|{_TWO_DIGITS}))"
_LONG, _SHORT = _months(_LONG_MONTHS), _months(_SHORT_MONTHS)
_ENGLISH = _months(_LONG_MONTHS + _SHORT_MONTHS, lower=False)
_END = r"(?![^\W_])"
_CLOCK = r"(?:[T \t]{1,2}\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?(?![^\W_])|T\d{6}(?!\d))"

DATES = re.compile(
    r"(?<![\w./-])(?:"
    rf"{_YEAR}([-/.])\d{{1,2}}\1{_DAY}(?!\d)"
    rf"|{_YEAR}[.][ ]\d\d[.][ ]\d\d(?!\d)"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-5]\d){{0,3}}(?!\d)"
    rf"|{_DAY}([-/.]){_DAY}\2(?:{_YEAR}|'?\d\d)(?![\d/-])(?!\.\d){_NO_UNIT}"
    rf"|{_DAY}\.[ ]{_DAY}\.[ ](?:{_YEAR}|\d\d)(?![\d/-])(?!\.\d){_NO_UNIT}"
    rf"|\d\d[ ](?:0\d|1[0-2])[ ]{_YEAR}(?!\d)"
    rf"|{_DAY}[ ./-][ ]?(?:I{{1,3}}|I?V|VI{{1,3}}|I?X|XI{{1,2}})[ ./-][ ]?{_YEAR}(?!\d)"
    rf"|(?:0?[1-9]|1[0-2])/{_YEAR}(?![\d/])|(?:0[1-9]|1[0-2])\.{_YEAR}(?![\d.])|{_YEAR}-(?:0[1-9]|1[0-2])(?![\d-])"
    # A day before its month; a short month in lower case only with a year (5 mar 2024, never 3 may).
    rf"|(?:{_DAY}{_SUFFIX}|(?<![-]){_ORDINALS})(?:(?:{_GAP}{_OF})?[ \t/-]{{0,2}})"
    rf"(?:(?:{_LONG}|{_ENGLISH}){_END}{_YEAR_AFTER}?|(?:{_SHORT}|{_LONG}){_YEAR_AFTER}|{_ENGLISH}\d\d(?![^\W_]))"
    # A month before its day or its year.
    rf"|{_ENGLISH}\.?[ \t/-]{{1,2}}(?:the[ ])?(?:{_DAY}(?:st|nd|rd|th)?(?![^\W_])(?![.]\d)|{_ORDINALS}{_END})"
    rf"(?:[ \t,/-]{{1,2}}(?:{_YEAR}|'\d\d)(?!\d))?{_NO_UNIT}"
    rf"|(?:{_ENGLISH}|{_LONG})[.,]?[ \t-]{{1,2}}(?:{_OF}[ \t]{{1,2}})?(?:{_YEAR}|'\d\d)(?!\d)"
    rf"){_CLOCK}?"
)
_BEFORE_DATE = any_of(
    r"on dated date since from comparison compared_to prior vom am zum seit du le el del al desde dnia od"
)
SHORT_DATES = re.compile(
    rf"(?<![^\W_])(?P<before>{_BEFORE_DATE}[ \t]{{0,2}}:?[ \t]{{1,2}})"
    rf"(?:(?:0?[1-9]|1[0-2])/{_DAY}|(?:1[3-9]|2\d|3[01])/(?:0?[1-9]|1[0-2])"
    rf"|{_DAY}\.[ ]?(?:0?[1-9]|1[0-2])\.(?!\d))"
    rf"(?![\d/])(?!\.\d){_NO_UNIT}"
)
_OLD = r"(?:9\d|1[0-2]\d)(?!\d)"
OLD = re.compile(
    rf"(?<![\w.,/-]){_OLD}(?=[- ]{{0,2}}"
    + any_of(r"years? yrs? y\.?/?o jahr jahrig j\. ans\b a(?:n|ni)os\b letni lat\b roku_zycia")
    + r"|[MF][ ](?:with|presents|s/p|status))"
    + "".join(
        rf"|(?i:(?<={before})){_OLD}"
        for before in ("aged ", "age: ", "age of ", "alter: ", "wiek: ", "edad: ")
    )
    + r"|(?i:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?(?=[- ]years?))"
)
MAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}(?![\w-])|(?<![^\W_])https?://\S+|(?<![^\W_])www\.\S+"
)
_NUMBER_WORDS = any_of(r"""
    mrn mr\s?\# medical_record accession acc ssn nhs patient_id case(?=_(?:number|no)) policy
    insurance(?:_id)? member_id medicare account id phone tel telephone fax pager extension ext beeper cell
    mobile telefon handy durchwahl mobil
    (?:patienten|pat\.?|fall|versicherten|versicherungs|auftrags|aufnahme|kv|untersuchungs)-?(?:nr\.?|nummer|id)
    portable ipp nip nir (?:numero|n[°º]|no)_(?:de_)?(?:dossier|securite_sociale|patient|examen|telephone)
    dossier poste securite_sociale telefono tfno movil dni nie nif nss nuhsa nhc cip historia(?:_clinica)?
    expediente pesel kom
    (?:nr|numer)_(?:historii_choroby|badania|zlecenia|ubezpieczenia|telefonu|pacjenta|ksiegi)
""")
LABELLED_NUMBERS = re.compile(
    rf"(?<![^\W_])(?P<before>{_NUMBER_WORDS}"
    r"(?:[ \t]{1,4}(?i:number|no|nr|numero)\b\.?|[ \t]{0,4}(?:\#|n[°º]))?"
    r"[ \t]{0,4}(?:[:\#.]{1,2}[ \t]{0,4}:?[ \t]{0,2})?)(?<=[ \t:\#.])"
    r"(?=[A-Za-z()+-]{0,8}\d)(?!\d{1,3}[- ]?(?i:y|m|f|c|d|v))"  # and no age, unit, day or view
    r"(?:[A-Za-z0-9()+][A-Za-z0-9()+./-]{2,40}(?:[ \t/-]{1,2}\d{2,12}){0,8}|\d{1,2}(?:[ \t/-]\d{2,12}){2,8})"
)
_SERIAL = r"(?:[Nn]r|NR|[Nn][°º]|No\.|\#|[Nn]ummer|[Nn]umber|[Nn]umero|[Nn]umer)\.?[ \t]{0,2}:?[ \t]{0,2}"
NUMBERS = re.compile(
    r"(?<![^\W_])(?<!\.)(?:"
    r"\d{1,40}(?:\.\d{1,40}){4,40}"  # a UID
    r"|\+\d{1,3}(?:[ ./()-]{1,3}\d{1,8}){1,7}"  # telephone with its country
    r"|\(0?\d{2,5}\)[ ./-]{0,2}\d{2,8}(?:[ ./-]\d{2,8}){0,4}"
    r"|(?=0(?:[ /-]{0,3}\d){6})0\d{1,4}(?:[ /-]{1,3}\d{2,8}){1,6}|0\d(?:[ .-]\d\d){4}"
    r"|(?:1[-. ])?(?:\(\d{3}\)[-. \t]{0,2}|\d{3}[-. \t]{1,2})\d{3}[-. ]\d{3,4}|\d{3}-\d{4}"
    r"|\d{2}[ -]\d{3}[ -]\d{2}[ -]\d{2}"  # Polish
    r"|\d{3}-\d{2}-\d{4}|[12] \d\d \d\d \d\d \d{3} \d{3}(?: \d\d)?"  # social security, US and French
    r"|[A-Za-z]{0,4}-?\d{6,40}[A-Za-z]{0,2}|[A-Z]\d{4,10}-[A-Z0-9]{1,3}|[XYZ]-?\d{7}-?[A-Z]|\d{8}-[A-Z]"
    r"|[A-Z]{1,6}[-/ ]?\d{2,4}[-/]\d{3,10}|\d{1,4}/\d{4,8}|[A-Z]{2,4}-\d{4,5}"
    rf")(?![^\W_]|\.\d){_NO_UNIT}"
)
SERIALS = re.compile(
    rf"(?<![^\W_])(?P<before>{_SERIAL})[A-Z]{{0,4}}[-/]?\d{{4,20}}(?:[/-]\d{{1,8}}){{0,3}}(?![^\W_])"
)

_PLACE = r"[A-Z][\w'.-]{1,30}"
_TOWN_WORD = r"[A-Z][\w'-]{1,30}"
_HOUSE = r"\d{1,5}(?:[ ]?(?!m\.)[a-zA-Z](?![^\W_]))?(?:[ ]?[/-][ ]?\d{1,4}[a-z]?)?(?:[ ]m\.[ ]?\d{1,4})?"
_FIRST = r"\d{1,4}(?:[ ]?(?:bis|ter))?,?[ ]"
_OF_STREET = r"(?:(?:de|des|du|la|las|los|le|les|del|el|d'|de[ ]l'|der|den|dem|am|an|sw\.)[ ]?)"
_NAMED = rf"{_OF_STREET}{{0,2}}{_PLACE}(?:[ ]{_OF_STREET}{{0,2}}{_PLACE}){{0,3}}"
_TOWN = (
    r"(?:,?[ \t]{0,2}\n?[ \t]{0,4}(?:[A-Z]{1,2}-)?(?:\d{5}|\d\d-\d{3})[ ]"
    rf"{_TOWN_WORD}(?:[ ](?:am|an|der|de|la|sur|{_TOWN_WORD})){{0,3}})"
)
_POSTCODE = r"(?![CTLS]\d)[A-Z]{1,2}\d[A-Z\d]?[ ]\d[A-Z]{2}\b"  # British; no level of the spine
_STREET = any_of(
    "street avenue road drive lane boulevard court way place square terrace crescent parkway highway close"
)
_SHORT_STREET = "St|Ave|Rd|Dr|Ln|Blvd|Ct|Pl|Sq|Hwy|ST|AVE|RD"
_CALLE = any_of("calle avenida avda[.] plaza pza[.] paseo ronda carretera")
_STRASSE = r"(?:[Ss]tra(?:ss|ß)e|[Ss]tr\.|[Ww]eg|[Pp]latz|[Aa]llee|[Gg]asse|[Rr]ing|[Uu]fer|[Dd]amm)"
ADDRESSES = re.compile(
    r"(?<![^\W_])(?:(?:"
    rf"\d{{1,5}}[ ](?:[NSEW]\.?[ ])?(?:{_PLACE}[ ]){{1,4}}(?:{_STREET}|{_SHORT_STREET})\b\.?"
    r"(?:,?[ ](?i:apt|suite|unit|flat|ste)\.?[ ]?[\w#-]{1,6})?"
    rf"(?:,[ ]{_PLACE}(?:[ ](?!{_POSTCODE}){_PLACE}){{0,2}})?"
    rf"(?:,?[ ]{_POSTCODE}|,?[ ][A-Z]{{2}}[ ]\d{{5}}(?:-\d{{4}})?)?"
    r"|(?i:p\.?[ ]?o\.?[ ]?box|postfach)[ ]\d{1,6}(?:,[ ][A-Z][\w-]{1,30})?"
    rf"|(?:{_PLACE}[ ]){{0,3}}[A-Z][\w'-]{{0,29}}(?:(?<=[^\W\d_])|[ -]){_STRASSE}[ ]{_HOUSE}{_NO_UNIT}"
    rf"|(?:{_FIRST}(?:{any_of('avenue av[.] boulevard bd place chemin allee impasse quai route cours')})|"
    rf"(?:{_FIRST})?(?i:rue))[ ]{_NAMED}(?:,?[ ]\d{{1,4}}\b)?"
    rf"|(?:{_CALLE}|[Cc]/(?=[^,\n]{{1,40}},?[ ]\d))[ ]?{_NAMED}"
    r"(?:,?[ ](?:n[°º.][ ]?)?\d{1,4}(?:,[ ]\d{1,2}[°ºª][ ]?[A-Z]?)?)?"
    rf"|{any_of('ul[.] ulica ulicy al[.] aleja pl[.] plac os[.] osiedle')}[ ]{_NAMED}[ ]{_HOUSE}"
    rf"){_TOWN}?"
    rf"|{_PLACE}(?:[ ]{_PLACE}){{0,2}}[ ]{_HOUSE}{_TOWN}"
    rf"|{_PLACE}(?:[ ]{_PLACE}){{0,2}},[ ][A-Z]{{2}}[ ]\d{{5}}(?:-\d{{4}})?(?!\d)"
    rf"|(?<=,[ ])\d{{5}}[ ]{_PLACE}|[A-Z]{{1,2}}-\d{{5}}[ ]{_PLACE}|\d\d-\d{{3}}[ ]{_PLACE}(?:[ ]{_PLACE})?"
    rf"|{_POSTCODE}"
    r")"
)
