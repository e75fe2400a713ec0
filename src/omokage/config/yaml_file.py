"""Read YAML files as DVC reads them (YAML 1.2, where 1e-05 is a number)."""

from pathlib import Path
from typing import Any, ClassVar

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.resolver import implicit_resolvers

from omokage.base.errors import UserError
from omokage.base.json_file import CONFLICT_MARKER, explain_damage

MAX_QUOTED = 500  # maximum number of characters that a message quotes from a file

# ruamel.yaml raises these instead of YAMLError for impossible dates, numbers of thousands of digits, lists as keys and
# deep nesting.
UNCAUGHT = (ValueError, TypeError, RecursionError)


class _Loader(yaml.CSafeLoader):  # type: ignore[misc]
    """The parser of libyaml with the scalars of YAML 1.2. Like ruamel.yaml, it refuses a mapping that repeats a key."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # without those of YAML 1.1, which PyYAML has by default

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping. Raises ConstructorError if it repeats a key."""
        values = super().construct_mapping(node, deep)
        if len(values) < len(node.value):
            raise yaml.constructor.ConstructorError("while constructing a mapping", node.start_mark, "repeated key")
        return dict(values)


for _versions, _tag, _pattern, _first in implicit_resolvers:
    if (1, 2) in _versions:
        _Loader.add_implicit_resolver(_tag, _pattern, _first)


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


def parse_dvc_yaml(text: str, name: str) -> Any:
    """Return the same value as `parse_yaml` in a tenth of the time, for a text that DVC has written.

    Whole numbers in another notation than DVC's, such as 0o17 and 010, are the only difference. Raises UserError, which
    calls the text `name`, if it is invalid.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, *UNCAUGHT) as error:
        raise UserError(f"{name} is not valid YAML: {quote(str(error))}") from error


def quote(text: str) -> str:
    """Return untrusted text as one printable line of at most MAX_QUOTED characters, for a message."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in " ".join(text.split()))
    return line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}..."
