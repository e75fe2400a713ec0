"""Draw the figures, each from exactly the inputs and parameters it is handed, and stamp it with what made them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd
from PIL import Image
from safetensors.numpy import load_file

from omokage import provenance
from omokage.data import shards
from omokage.figures import (
    animation,
    contact,
    data_card,
    denoising,
    loss,
    noise_levels,
    noising,
    samples,
    schedule,
    scores,
)
from omokage.figures.sheet import Frames
from omokage.job import Job
from omokage.params.figures import Params
from omokage.progress import progress

SCHEDULE = ("schedule", "timesteps", "zero_snr", "log_snr_shift")
LOOKS = ("figure_style", "figure_palette", "figure_dpi")
UPSTREAM = ("download", "detect", "faces", "reference", "train", "sample", "evaluate")


@dataclass(frozen=True)
class Figure:
    """How a figure is drawn: the inputs handed over in order, and by name the parameters and facts of the training."""

    draw: Callable[..., Image.Image | Frames]
    inputs: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


FIGURES = {
    "loss.png": Figure(loss.draw, ("results/loss.csv",), LOOKS),
    "noise_levels.png": Figure(noise_levels.draw, ("results/noise_levels.csv",), LOOKS),
    "schedule.png": Figure(schedule.draw, (), (*SCHEDULE, *LOOKS)),
    "noising.png": Figure(noising.draw, ("data/faces",), SCHEDULE, ("mean", "std")),
    "denoising.png": Figure(denoising.draw, ("results/frames.safetensors",)),
    "denoising.gif": Figure(animation.draw, ("results/frames.safetensors",)),
    "samples.png": Figure(samples.draw, ("results/samples.safetensors", "data/faces"), ("grid_side",)),
    "contact.png": Figure(contact.draw, ("data/card.safetensors",)),
    "data_card.png": Figure(data_card.draw, ("data/card.safetensors", "results/faces.json"), LOOKS),
    "scores.png": Figure(scores.draw, ("results/metrics.json",), LOOKS),
}


def run(job: Job[Params]) -> None:
    """Draw every figure; the facts say how to know it again."""
    runs = [provenance.record(job.input(f"results/runs/{stage}.json")) for stage in UPSTREAM]
    training = next(run["facts"] for run in runs if run["stage"] == "train")

    @cache
    def opened(path: str) -> Any:
        place = job.input(path)
        if path == "data/faces":
            return shards.read(place, "held_out").numpy()
        if path.endswith(".csv"):
            return pd.read_csv(place)
        if path.endswith(".json"):
            return json.loads(place.read_text(encoding="utf-8"))
        arrays = load_file(place)
        return arrays.get("samples", arrays)

    made = {}
    for name, figure in progress(FIGURES.items(), "figures", unit="figure"):
        params = {key: getattr(job.params, key) for key in figure.params}
        facts = {key: training[key] for key in figure.facts}
        drawn = figure.draw(*map(opened, figure.inputs), **params, **facts)
        deps = {path: job.deps[path] for path in figure.inputs}
        stamp = {
            "figure": name,
            "params": params,
            "facts": facts,
            "deps": deps,
            "code": _own_code(figure, job),
            "packages": dict(job.packages),
            "runs": provenance.chain(deps, runs),
        }
        path = job.output(f"results/figures/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(drawn, Image.Image):
            provenance.save_png(drawn, path, stamp)
        else:
            provenance.save_gif(*drawn, path, stamp)
        made[name] = {"sha256": provenance.sha256(path), "pixels": provenance.pixels(path)}
    job.facts["figures"] = made


def _own_code(figure: Figure, job: Job[Params]) -> dict[str, str]:
    """Return the hashes of this stage's code without the modules of the other figures, which cannot change this one."""
    modules = {other.draw.__module__ for other in FIGURES.values()} - {figure.draw.__module__}
    others = {f"src/{module.replace('.', '/')}.py" for module in modules}
    return {path: digest for path, digest in job.code.items() if path not in others}
