"""The whole of params.yaml: every stage's part composed, one loader, one way to refuse, one way to write.

The stages never import this module: each knows only its own part.
"""

import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from omokage.errors import Refused
from omokage.params import (
    detect,
    download,
    evaluate,
    faces,
    figures,
    reference,
    report,
    sample,
    train,
    transform,
    weights,
)
from omokage.params.base import Parameters
from omokage.params.words import WORDS

LONGEST = 500  # characters of a file's text that a message repeats

# What ruamel.yaml lets through: dates there are not, numbers of thousands of digits, lists as keys, deep nesting.
UNCAUGHT = (ValueError, TypeError, RecursionError)

S = TypeVar("S", bound=Parameters)

PARTS: dict[str, type[Parameters]] = {
    "download": download.Params,
    "detect": detect.Params,
    "faces": faces.Params,
    "weights": weights.Params,
    "reference": reference.Params,
    "train": train.Params,
    "sample": sample.Params,
    "transform": transform.Params,
    "evaluate": evaluate.Params,
    "figures": figures.Params,
    "report": report.Params,
}


class Params(
    download.Params,
    detect.Params,
    faces.Params,
    weights.Params,
    reference.Params,
    train.Params,
    sample.Params,
    transform.Params,
    evaluate.Params,
    figures.Params,
    report.Params,
):
    """All parameters, with the conditions that hold between them."""

    @model_validator(mode="after")
    def _possible_together(self) -> "Params":
        coarsest = self.patch * 2 ** (len(self.multipliers) - 1)
        if self.image_size % coarsest:
            raise ValueError(
                f"image_size = {self.image_size}: with patch = {self.patch} and {len(self.multipliers)} multipliers "
                f"it must be a multiple of {coarsest}"
            )
        visits = f"expected at most timesteps = {self.timesteps}, since a sampler visits each noise level once"
        for key in ("sample_steps", "transform_steps"):
            if (steps := getattr(self, key)) > self.timesteps:
                raise ValueError(f"{key} = {steps}: {visits}")
        if strange := [entry for entry in self.study if sample.parsed(entry)[2] > self.timesteps]:
            raise ValueError(f"study = {strange}: {visits}")
        if self.progress_samples == 1:
            raise ValueError("progress_samples = 1: expected 0, or at least 2 to compute a distance")
        if self.zero_snr and self.prediction == "eps":
            raise ValueError(
                "zero_snr = True with prediction = 'eps': pure noise tells nothing of the picture in eps, "
                "expected prediction v or x0"
            )
        if self.zero_snr and self.weighting in ("snr", "min_snr") and self.weight_floor == 0:
            raise ValueError(
                f"zero_snr = True with weighting = {self.weighting!r} and weight_floor = 0: pure noise would have no "
                "weight, expected weight_floor above 0 or another weighting"
            )
        if self.warmup + self.decay > 1:
            raise ValueError(f"warmup = {self.warmup} and decay = {self.decay}: expected a sum of at most 1")
        levels = [self.image_size // self.patch // 2**level for level in range(len(self.multipliers))]
        if absent := [side for side in self.attention if side not in levels]:
            raise ValueError(f"attention = {absent}: expected resolutions of the UNet, {levels}")
        if Path(self.folder).is_absolute():
            raise ValueError(
                f"folder = {self.folder!r}: expected a path relative to the main checkout, so that no machine's path "
                f"gets into the results: write {os.path.relpath(self.folder)!r}"
            )
        return self


def load(path: Path) -> dict[str, Any]:
    """Read a parameter file; raise Refused if it is missing, not YAML or not a mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path.name} cannot be read ({error}): restore it with `git checkout -- {path.name}`") from error
    values = parse(text, path.name)
    if not isinstance(values, dict):
        raise Refused(f"{path.name} holds {type(values).__name__}: expected one `key: value` a line")
    return values


def parse(text: str, name: str) -> Any:
    """Read YAML 1.2 (where 1e-05 is a number), as DVC does; raise Refused, about `name`, if it is none."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, *UNCAUGHT) as error:
        raise Refused(f"{name} is not valid YAML: {_line(str(error))}") from error


def check(values: Mapping[str, Any], name: str = "params.yaml") -> Params:
    """Check the values against the whole schema; raise Refused naming every wrong key, its value and the choices."""
    return validated(Params, values, name)


def validated(schema: type[S], values: Mapping[str, Any], name: str = "params.yaml") -> S:
    """Check the values against a part of the schema; raise Refused as `check` does."""
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        raise Refused("; ".join(f"{name}: {_complaint(problem)}" for problem in error.errors())) from error


def _complaint(problem: Any) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    key, given = str(problem["loc"][0]), _line(repr(problem["input"]))
    if problem["type"] == "missing":
        return f"{key} is missing: add it ({WORDS[key]})"
    if problem["type"] in ("extra_forbidden", "invalid_key"):
        return f"{_line(key)} = {given} is no parameter: known are {', '.join(sorted(Params.model_fields))}"
    return f"{key} = {given}: {problem['msg'][0].lower()}{problem['msg'][1:]} ({WORDS[key]})"


def _line(text: str) -> str:
    """Return text of a file as one line that a terminal shows as it is; much of it is cut short."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in " ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def render(values: Mapping[str, Any], heading: str) -> str:
    """Write parameters as commented YAML, grouped by stage; the comments come from the schema, their one home."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    written: set[str] = set()
    for stage, part in PARTS.items():
        lines += ["", f"# {stage}"]
        for key in part.model_fields:
            if key not in written:
                lines.append(f"{key}: {_flow(values[key])}  # {_explain(key)}")
                written.add(key)
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = True, 10_000
    text = io.StringIO()
    yaml.dump([value], text)
    return text.getvalue().strip()[1:-1]


def _explain(key: str) -> str:
    choices = Params.model_json_schema()["properties"][key].get("enum")
    shown = f"{' | '.join(map(str, choices))}: " if choices and not all(str(c) in WORDS[key] for c in choices) else ""
    return shown + WORDS[key]


def _rewrite(path: Path) -> None:
    heading = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        heading.append(line.removeprefix("#").strip())
    path.write_text(render(check(load(path), path.name).values(), "\n".join(heading)), encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        _rewrite(Path(argument))
