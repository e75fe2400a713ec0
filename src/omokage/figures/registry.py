"""List the figures, each with the function, inputs and parameters to plot it with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from omokage.figures import (
    animation,
    architecture,
    between,
    contact,
    data_card,
    denoising,
    hyperparameters,
    loss,
    neighbours,
    noise_levels,
    noising,
    progress,
    samplers,
    samples,
    schedule,
    scores,
    study,
    style_fidelity,
    transformed,
)
from omokage.figures.sheet import Frames
from omokage.figures.style import Chart

SCHEDULE = ("schedule", "timesteps", "zero_snr", "log_snr_shift")
SAMPLER = ("ema_kind", "sampler", "sample_steps")
STYLE = ("figure_style", "figure_palette", "figure_dpi")
SAMPLES, TRANSFORMED = "results/samples.safetensors:samples", "results/transformed.safetensors"
SETS = ("counterpart", "study")
TRAIN, HELD_OUT, SCORES = "data/faces:train", "data/faces:held_out", "results/scores.json"


@dataclass(frozen=True)
class FigureSpec:
    """How to plot a figure: `plot` gets the contents of `inputs` in order, and `params` and `facts` by name.

    An input is a path, or `path:part` for one array of a file or one split of the faces. `params` are parameters of the
    stage `figures`. `facts` are values that the stage `train` wrote to its run record: the mean and std of the
    training set, and the parts of the network. `sample_params` are parameters of the stage `sample`, from its run
    record.
    """

    plot: Callable[..., Image.Image | Chart | Frames]
    inputs: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    sample_params: tuple[str, ...] = ()


def _make_chart_specs(
    name: str,
    plot: Callable[..., Chart],
    *inputs: str,
    params: tuple[str, ...] = (),
    facts: tuple[str, ...] = (),
    sample_params: tuple[str, ...] = (),
) -> dict[str, FigureSpec]:
    """Return the specs of a chart's two files, PNG and SVG, by file name."""
    figure = FigureSpec(plot, inputs, (*params, *STYLE), facts, sample_params)
    return {f"{name}.png": figure, f"{name}.svg": figure}


FIGURES = {
    **_make_chart_specs("architecture", architecture.plot, facts=("network",)),
    **_make_chart_specs("loss", loss.plot, "results/loss.csv", "results/half_size_loss.csv"),
    **_make_chart_specs("noise_levels", noise_levels.plot, "results/noise_levels.csv"),
    **_make_chart_specs("schedule", schedule.plot, params=SCHEDULE),
    **_make_chart_specs("hyperparameters", hyperparameters.plot, "benchmarks/results/study.csv"),
    "noising.png": FigureSpec(noising.plot, (HELD_OUT,), SCHEDULE, ("mean", "std")),
    "denoising.png": FigureSpec(denoising.plot, ("results/frames.safetensors",)),
    "denoising.gif": FigureSpec(animation.plot, ("results/frames.safetensors",)),
    "samples.png": FigureSpec(samples.plot, (SAMPLES, HELD_OUT), ("grid_side",)),
    "samplers.png": FigureSpec(
        samplers.plot,
        (SAMPLES, *(f"results/{kind}.safetensors:{part}" for kind in SETS for part in ("samples", "labels"))),
        sample_params=SAMPLER,
    ),
    **_make_chart_specs("style", style_fidelity.plot, SCORES),
    "neighbours.png": FigureSpec(neighbours.plot, ("results/neighbours.csv", SCORES, SAMPLES, TRAIN, HELD_OUT)),
    "transformed.png": FigureSpec(transformed.plot, (TRANSFORMED,)),
    "between.png": FigureSpec(between.plot, (f"{TRANSFORMED}:between",)),
    "contact.png": FigureSpec(contact.plot, ("data/card.safetensors",)),
    "data_card.png": FigureSpec(data_card.plot, ("data/card.safetensors", "results/curation.json"), STYLE),
    **_make_chart_specs("scores", scores.plot, SCORES),
    **_make_chart_specs("progress", progress.plot, "results/progress.csv", "results/loss.csv", SCORES),
    **_make_chart_specs("study", study.plot, "results/study.csv", SCORES, sample_params=SAMPLER),
}


def list_code(figure: FigureSpec, loaded: Mapping[str, str]) -> dict[str, str]:
    """Return the modules that can change a figure, path -> sha256: all in `loaded` except those of other figures."""
    modules = {other.plot.__module__ for other in FIGURES.values()} - {figure.plot.__module__}
    excluded = {f"src/{module.replace('.', '/')}.py" for module in modules}
    return {path: digest for path, digest in loaded.items() if path not in excluded}
