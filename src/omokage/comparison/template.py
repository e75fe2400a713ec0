"""Render the pages of this folder: one style sheet, a strict content security policy, and values as text."""

import base64
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from omokage import report
from omokage.config.parameters import DESCRIPTIONS
from omokage.report.wording import format_duration, format_number

FOLDER = Path(__file__).parent
STYLE_SHEETS = (Path(report.__file__).parent / "report.css", FOLDER / "page.css")


def render(template: str, script: str = "", **values: Any) -> str:
    """Return a page as HTML.

    The browser loads no file, and applies no style and runs no script but those of this folder: the policy has their
    hashes. All values are escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"value": format_setting, "number": format_number, "duration": format_duration}
    style = "\n".join(path.read_text(encoding="utf-8") for path in STYLE_SHEETS)
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script) if script else repr('none')}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    page = environment.get_template(template).render(style=style, script=script, policy=policy, **values)
    # A name in git may have bytes that are not UTF-8.
    return page.encode("utf-8", "replace").decode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def isolate(name: str) -> str:
    """Return a name between Unicode isolates, so that one written from right to left does not reorder the sentence."""
    return f"\u2068{name}\u2069"


def describe_parameter(key: str) -> str:
    """Return the meaning of a parameter, or "" if an older version or a user has added it."""
    return DESCRIPTIONS[key].meaning if key in DESCRIPTIONS else ""


def format_setting(value: Any) -> str:
    """Return the value of a parameter as text: a list as its items, and "—" for None."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(format_setting, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {format_setting(item)}" for key, item in value.items()) or "none"
    return str(value)
