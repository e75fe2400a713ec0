"""Describe an error of the operating system in one line: the file, what is wrong, and what to do."""

import errno

ADVICE = {
    errno.ENOENT: "check the path",
    errno.EISDIR: "expected a file",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EACCES: "change its permissions, or choose another path",
    errno.EPERM: "change its permissions, or choose another path",
    errno.EROFS: "choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOSPC: "free some space on this disk, and run the command again",
    errno.EDQUOT: "free some space in your quota, and run the command again",
}


def describe_os_error(error: OSError) -> str:
    """Return the message for an OSError. Errors that name no file, such as those of a network, keep their own text."""
    if error.filename is None or error.strerror is None:
        return " ".join(str(error).split()) or type(error).__name__
    advice = ADVICE.get(error.errno or 0)
    return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}" + (f": {advice}" if advice else "")
