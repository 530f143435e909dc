"""What timnet refuses: every error of its own derives from one class."""


class TimnetError(ValueError):
    """Something that cannot be done; the message is one sentence for the user."""
