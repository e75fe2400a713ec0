"""Escape untrusted text and URLs for Markdown and HTML."""

import re
from urllib.parse import quote


def escape_markdown(text: object) -> str:
    """Return the text on one line, escaped so that viewers interpret no part of it as Markdown or HTML."""
    one_line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", one_line)


def sanitise_url(url: object) -> str:
    """Return an http or https URL percent-encoded, and "" for any other text, so that no link can run a script."""
    address = str(url or "")
    return quote(address, safe=":/?#@!$&*+,;=%~-._") if re.match(r"https?://", address) else ""
