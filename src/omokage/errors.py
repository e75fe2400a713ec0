"""The exceptions that are meant for the user's eyes."""


class Refused(Exception):  # noqa: N818 (it says what happened, as a sentence to the user)
    """What the user gave cannot be used; the message is one line: what, its value, what was expected, what to do."""


class Interrupted(Exception):  # noqa: N818 (as above)
    """The system asked the stage to stop: it can go on from what it left; the message says how far it got."""
