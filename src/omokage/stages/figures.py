"""Draw the figures, each from exactly the inputs and parameters it is handed, and stamp it with what made them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from safetensors.numpy import load_file

from omokage import provenance
from omokage.data import shards
from omokage.figures import (
    animation,
    between,
    contact,
    data_card,
    denoising,
    loss,
    neighbours,
    noise_levels,
    noising,
    progress,
    samples,
    schedule,
    scores,
    study,
    transformed,
)
from omokage.figures.sheet import Frames
from omokage.figures.style import Chart
from omokage.job import Job
from omokage.params.figures import Params
from omokage.progress import progress as progress_bar

SCHEDULE = ("schedule", "timesteps", "zero_snr", "log_snr_shift")
LOOKS = ("figure_style", "figure_palette", "figure_dpi")
UPSTREAM = ("download", "detect", "faces", "weights", "reference", "train", "sample", "transform", "evaluate")
SAMPLES, TRANSFORMED = "results/samples.safetensors:samples", "results/transformed.safetensors"
TRAIN, HELD_OUT = "data/faces:train", "data/faces:held_out"


@dataclass(frozen=True)
class Figure:
    """How a figure is drawn: the inputs handed over in order, and by name the parameters and facts of the training.

    An input is a path, or `path:part` for one array of a file, or one split of the faces.
    """

    draw: Callable[..., Image.Image | Chart | Frames]
    inputs: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def plot(name: str, draw: Callable[..., Chart], *inputs: str, params: tuple[str, ...] = ()) -> dict[str, Figure]:
    """Return a plot's two figures, one of pixels and one of lines."""
    figure = Figure(draw, inputs, (*params, *LOOKS))
    return {f"{name}.png": figure, f"{name}.svg": figure}


FIGURES = {
    **plot("loss", loss.draw, "results/loss.csv"),
    **plot("noise_levels", noise_levels.draw, "results/noise_levels.csv"),
    **plot("schedule", schedule.draw, params=SCHEDULE),
    "noising.png": Figure(noising.draw, (HELD_OUT,), SCHEDULE, ("mean", "std")),
    "denoising.png": Figure(denoising.draw, ("results/frames.safetensors",)),
    "denoising.gif": Figure(animation.draw, ("results/frames.safetensors",)),
    "samples.png": Figure(samples.draw, (SAMPLES, HELD_OUT), ("grid_side",)),
    "neighbours.png": Figure(neighbours.draw, ("results/neighbours.csv", SAMPLES, TRAIN, HELD_OUT)),
    "transformed.png": Figure(transformed.draw, (TRANSFORMED,)),
    "between.png": Figure(between.draw, (f"{TRANSFORMED}:between",)),
    "contact.png": Figure(contact.draw, ("data/card.safetensors",)),
    "data_card.png": Figure(data_card.draw, ("data/card.safetensors", "results/faces.json"), LOOKS),
    **plot("scores", scores.draw, "results/metrics.json"),
    **plot("progress", progress.draw, "results/progress.csv"),
    **plot("study", study.draw, "results/study.csv"),
}


def run(job: Job[Params]) -> None:
    """Draw every figure; the facts say how to know it again."""
    runs = [provenance.record(job.input(f"results/runs/{stage}.json")) for stage in UPSTREAM]
    training = next(run["facts"] for run in runs if run["stage"] == "train")

    @cache
    def opened(named: str) -> Any:
        path, _, part = named.partition(":")
        place = job.input(path)
        if path == "data/faces":
            return shards.read(place, part).numpy()
        if path.endswith(".csv"):
            return pd.read_csv(place)
        if path.endswith(".json"):
            return json.loads(place.read_text(encoding="utf-8"))
        arrays = load_file(place)
        return arrays[part] if part else arrays

    def handed(figure: Figure) -> dict[str, dict[str, Any]]:
        params = {key: getattr(job.params, key) for key in figure.params}
        return {"params": params, "facts": {key: training[key] for key in figure.facts}}

    @cache
    def drawn(figure: Figure) -> Image.Image | Chart | Frames:
        by_name = handed(figure)
        return figure.draw(*map(opened, figure.inputs), **by_name["params"], **by_name["facts"])

    made = {}
    for name, figure in progress_bar(FIGURES.items(), "figures", unit="figure"):
        deps = {path: job.deps[path] for path in (named.partition(":")[0] for named in figure.inputs)}
        stamp = {
            "figure": name,
            **handed(figure),
            "deps": deps,
            "code": _own_code(figure, job),
            "packages": dict(job.packages),
            "runs": provenance.chain(deps, runs),
        }
        path = job.output(f"results/figures/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(drawn(figure), path, stamp)
        made[name] = {"sha256": provenance.sha256(path), "pixels": provenance.pixels(path)}
    job.facts["figures"] = made


def _save(drawn: Image.Image | Chart | Frames, path: Path, stamp: provenance.Stamp) -> None:
    """Write a figure in the format that its name asks for."""
    if isinstance(drawn, Image.Image):
        provenance.save_png(drawn, path, stamp)
    elif not isinstance(drawn, Chart):
        provenance.save_gif(*drawn, path, stamp)
    elif path.suffix == ".svg":
        provenance.save_svg(drawn.svg, path, stamp)
    else:
        provenance.save_png(drawn.image, path, stamp)


def _own_code(figure: Figure, job: Job[Params]) -> dict[str, str]:
    """Return the hashes of this stage's code without the modules of the other figures, which cannot change this one."""
    modules = {other.draw.__module__ for other in FIGURES.values()} - {figure.draw.__module__}
    others = {f"src/{module.replace('.', '/')}.py" for module in modules}
    return {path: digest for path, digest in job.code.items() if path not in others}
