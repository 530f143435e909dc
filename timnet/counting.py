"""Counts in sentences: one of a kind has no plural."""


def counted(number: float, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 film`, `1,024 films`, `0 studies`.

    Args:
        number: a count; printed with separators of thousands and without decimals.
        noun: what is counted, one of it.
        plural: more of it, where it is not the noun with s or, after a consonant and y, ies.
    """
    ies = noun.endswith("y") and noun[-2:-1] not in "aeiou"
    several = plural or (f"{noun[:-1]}ies" if ies else f"{noun}s")
    digits = f"{number:,}" if isinstance(number, int) else f"{number:,.0f}"  # no float holds 10**400
    return f"{digits} {noun if number == 1 else several}"


def verb(number: float, one: str = "is", several: str = "are") -> str:
    """Return the verb that agrees with a number."""
    return one if number == 1 else several


def duration(seconds: float | None) -> str:
    """Return seconds in words: `89 s`, `12 min`, `3.5 h`; a dash where they are unknown."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
