"""Read YAML files as DVC reads them (YAML 1.2, where 1e-05 is a number)."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from omokage.base.errors import UserError
from omokage.base.json_file import CONFLICT_MARKER, explain_damage

MAX_QUOTED = 500  # maximum number of characters that a message quotes from a file

# ruamel.yaml raises these instead of YAMLError for impossible dates, numbers of thousands of digits, lists as keys and
# deep nesting.
UNCAUGHT = (ValueError, TypeError, RecursionError)


def load_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raise UserError if the file is missing, is not YAML or holds no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path.name} cannot be read ({error}): restore it with `git checkout -- {path.name}`"
        ) from error
    values = parse_yaml(text, path.name, f": correct it, or restore it with `git checkout -- {path.name}`")
    if not isinstance(values, dict):
        raise UserError(f"{path.name} holds {type(values).__name__}: expected `key: value` on each line")
    return values


def parse_yaml(text: str, name: str, advice: str = "") -> Any:
    """Return the value of a YAML text; raise UserError if the text is invalid.

    The message calls the text `name` and ends with `advice`.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, *UNCAUGHT) as error:
        message = f"{name} is not valid YAML: {quote(str(error))}{advice}"
        raise UserError(explain_damage(text, name) if CONFLICT_MARKER.search(text) else message) from error


def quote(text: str) -> str:
    """Return untrusted text as one printable line of at most MAX_QUOTED characters, for a message."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in " ".join(text.split()))
    return line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}..."
