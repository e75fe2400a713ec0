"""The one exception that is meant for the user's eyes."""


class Refused(Exception):  # noqa: N818 (it says what happened, as a sentence to the user)
    """What the user gave cannot be used; the message is one line: what, its value, what was expected, what to do."""
