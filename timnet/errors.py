"""What timnet refuses: every error of its own derives from one class and is shown in one line."""

LONGEST = 600
"""Characters of an error that are shown: its beginning says what and where."""


class TimnetError(ValueError):
    """Something that cannot be done; the message is one sentence for the user."""


def reason(error: Exception) -> str:
    """Return the first line of what a library's error says, its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def one_line(error: object) -> str:
    """Return an error's words in one line of at most LONGEST characters, all of them printable.

    They may quote a file, whose control characters a terminal would obey.
    """
    words = " ".join(str(error).split())
    sentence = "".join(letter if letter.isprintable() else "\ufffd" for letter in words)
    return sentence if len(sentence) <= LONGEST else f"{sentence[: LONGEST - 4]} ..."
