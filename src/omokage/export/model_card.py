"""Write the model card of an exported model, in the format of the Hugging Face hub: YAML front matter and Markdown."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from omokage.comparison.template import format_setting
from omokage.config.parameters import DESCRIPTIONS
from omokage.diffusion.model import ModelSpec
from omokage.report.escaping import escape_markdown, format_code_span, sanitise_url
from omokage.report.tables import SCORE_MEANINGS, SCORE_NAMES
from omokage.report.wording import format_count, format_number, format_percent

# The score -> its identifier among the hub's metrics. Only Inception features give the metric fid.
METRICS = ("distance", "kid", "precision", "recall", "coverage")
FID, DISTANCE = "fid", "frechet-distance"
# The parameters of the training that the card explains.
RECIPE = (
    *("schedule", "log_snr_shift", "prediction", "loss_weighting", "optimiser", "lr", "warmup", "decay", "batch_size"),
    *(
        "half_size_steps",
        "steps",
        "ema_half_life",
        "flip",
        "model_channels",
        "channel_mult",
        "patch_size",
        "precision",
        "seed",
    ),
)
TASK = "unconditional-image-generation"


@dataclass(frozen=True)
class CardContent:
    """What a model card describes.

    `params` are the parameters by stage, `manifest` describes the data set, `counts` the faces, and `scores` are those
    of scores.json; the last two may be empty. `settings` are those of sampling, as in config.json. `files` maps the
    name of a file to its meaning and its size in bytes. `onnx_error` is None if there is no ONNX file. `origin` has the
    names of the commits and experiments with the run, and `commands` reproduce it.
    """

    title: str
    licence: str
    spec: ModelSpec
    parameter_count: int
    params: Mapping[str, Mapping[str, Any]]
    manifest: Mapping[str, Any]
    counts: Mapping[str, Any]
    scores: Mapping[str, Any]
    settings: Mapping[str, Any]
    files: Mapping[str, tuple[str, int]]
    onnx_error: float | None
    has_picture: bool
    model_sha256: str
    origin: list[str]
    commands: list[str]
    version: str


def render_card(content: CardContent) -> str:
    """Return the text of README.md."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # Markdown; the template escapes what it does not know
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "text": escape_markdown,
        "code": format_code_span,
        "url": sanitise_url,
        "number": format_number,
        "percent": format_percent,
        "count": format_count,
        "setting": format_setting,
    }
    body = environment.get_template("model_card.md.j2").render(
        card=content, scores=list(_list_scores(content.scores)), describe=_describe, recipe=RECIPE
    )
    matter = yaml.safe_dump(make_front_matter(content), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{matter}---\n\n{body}"


def make_front_matter(content: CardContent) -> dict[str, Any]:
    """Return the metadata of the card, which the hub reads."""
    dataset, size = make_slug(content.manifest["name"]), content.spec.architecture.image_size
    tags = ["diffusers", TASK, "ddpm", "diffusion", "faces", "omokage"]
    metrics: list[dict[str, Any]] = [_make_metric(content.scores, key) for key in METRICS if key in content.scores]
    result = {
        "task": {"type": TASK, "name": f"unconditional generation of {size} x {size} images"},
        "dataset": {"type": dataset, "name": content.manifest["name"], "split": "held-out"},
        "metrics": metrics,
    }
    return {
        "license": content.licence,
        "library_name": "diffusers",
        "pipeline_tag": TASK,
        "tags": tags + ["onnx"] * (content.onnx_error is not None),
        "datasets": [dataset],
        **({"metrics": [metric["type"] for metric in metrics]} if metrics else {}),
        **({"model-index": [{"name": content.title, "results": [result]}]} if metrics else {}),
    }


def make_slug(name: str) -> str:
    """Return a name as an identifier that the hub accepts: letters, digits, hyphens, and not empty."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "images"


def _make_metric(scores: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a score as a metric of the model index. `args` has its interval and floor, and what it was computed on."""
    name = scores["score"] if key == "distance" else SCORE_NAMES.get(key, key)
    kind = (FID if scores["extractor"] == "inception" else DISTANCE) if key == "distance" else key
    limits = {end: scores[f"{key}_{end}"] for end in ("low", "high", "floor") if f"{key}_{end}" in scores}
    settings = {part: scores[part] for part in ("n", "n_reference", "extractor", "resize", "seed") if part in scores}
    return {"type": kind, "name": name, "value": scores[key], "args": limits | settings}


def _list_scores(scores: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield name, value, 95 % interval, floor and meaning of each score, as in the report."""
    for key, meaning in SCORE_MEANINGS.items():
        if key in scores:
            ends = [format_number(scores[f"{key}_{end}"]) for end in ("low", "high") if f"{key}_{end}" in scores]
            floor = format_number(scores[f"{key}_floor"]) if f"{key}_floor" in scores else ""
            name = scores["score"] if key == "distance" else SCORE_NAMES.get(key, key.replace("_", " "))
            yield name, format_number(scores[key]), " to ".join(ends), floor, meaning


def _describe(key: str) -> str:
    return DESCRIPTIONS[key].meaning if key in DESCRIPTIONS else ""
