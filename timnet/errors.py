"""What timnet refuses: every error of its own derives from one class and is shown in one line."""

LONGEST = 600
"""Characters of an error that are shown: its beginning says what and where."""


class TimnetError(ValueError):
    """Something that cannot be done; the message is one sentence for the user."""


def one_line(error: object) -> str:
    """Return an error's words in one line, cut where they are very long."""
    sentence = " ".join(str(error).split())
    return sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]} ..."
