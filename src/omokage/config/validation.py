"""Check parameters against the schema. A problem's message is one line: the key, its value and what was expected."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from omokage.base.errors import UserError
from omokage.base.parameters import Parameters
from omokage.config.parameters import DESCRIPTIONS
from omokage.config.renamed import PARAMETERS
from omokage.config.similar import find_similar
from omokage.config.yaml_file import quote

S = TypeVar("S", bound=Parameters)


def validate(schema: type[S], values: Mapping[str, Any], name: str = "params.yaml") -> S:
    """Return `values` as a checked `schema` object; raise UserError listing every wrong key of the file `name`."""
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        problems = error.errors()
        # A parameter under its old name is reported once: not also as missing under its new name.
        renamed = {PARAMETERS.get(str(problem["loc"][0])) for problem in problems if problem["loc"]}
        messages = [
            _describe_problem(problem)
            for problem in problems
            if not (problem["type"] == "missing" and problem["loc"][0] in renamed)
        ]
        raise UserError("; ".join(f"{name}: {message}" for message in messages)) from error


def _describe_problem(problem: Any) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    key, value = str(problem["loc"][0]), quote(repr(problem["input"]))
    if problem["type"] == "missing":
        return f"{key} is missing: add it ({DESCRIPTIONS[key].meaning})"
    if problem["type"] in ("extra_forbidden", "invalid_key"):
        return _describe_unknown(key, value)
    return f"{key} = {value}: {problem['msg'][0].lower()}{problem['msg'][1:]} ({DESCRIPTIONS[key].meaning})"


def _describe_unknown(key: str, value: str) -> str:
    if key in PARAMETERS:
        return f"{key} was renamed to {PARAMETERS[key]}: write {PARAMETERS[key]}: {value}"
    similar = find_similar(key, DESCRIPTIONS)
    hint = f"did you mean {similar}?" if similar else "params.yaml lists all parameters"
    return f"{quote(key)} = {value} is not a parameter: {hint}"
