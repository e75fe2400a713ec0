"""Exceptions that are shown to the user as a message without a traceback."""


class UserError(Exception):
    """An error that the user can fix.

    The message is one line: what is wrong, the value, what was expected, and what to do.
    """


class Interrupted(Exception):  # noqa: N818 (a requested stop is not an error)
    """The stage was stopped by SIGTERM or Ctrl-C.

    The message says how far the stage got. The same command resumes from there.
    """
