"""Escape untrusted text and URLs for Markdown and HTML."""

import re
from urllib.parse import quote


def escape_markdown(text: object) -> str:
    """Return the text on one line, escaped so that viewers interpret no part of it as Markdown or HTML."""
    one_line = re.sub(r"\s+", " ", str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", one_line)


def format_code_span(text: str) -> str:
    """Return the text as inline code in Markdown, between more backticks than the text has in a row."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"


def sanitise_url(url: object) -> str:
    """Return an http or https URL percent-encoded, and "" for any other text, so that no link can run a script."""
    address = str(url or "")
    return quote(address, safe=":/?#@!$&*+,;=%~-._") if re.match(r"https?://", address) else ""
